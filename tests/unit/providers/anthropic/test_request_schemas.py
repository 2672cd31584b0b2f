"""Schemas that OpenAI's clients leave open, on their way to Anthropic."""

import pytest
from msgspec import json

from tests.unit.providers.anthropic.sending import raw_fields, sent_fields, warnings

OPEN = {"type": "object", "properties": {"a": {"type": "number"}}}
CLOSED = OPEN | {"additionalProperties": False}


def form(schema, **more):
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema} | more}}


def sent_schema(schema, **more):
    return sent_fields(form(schema, **more))["output_config"]["format"]["schema"]


@pytest.mark.parametrize(
    ("schema", "sent"),
    [
        (OPEN, CLOSED),
        ({"type": "object"}, {"type": "object", "additionalProperties": False}),
        ({"type": ["object", "null"]}, {"type": ["object", "null"], "additionalProperties": False}),
        ({"type": "array", "items": OPEN}, {"type": "array", "items": CLOSED}),
        ({"type": "array", "prefixItems": [OPEN, True]}, {"type": "array", "prefixItems": [CLOSED, True]}),
        ({"anyOf": [OPEN, {"type": "null"}]}, {"anyOf": [CLOSED, {"type": "null"}]}),
        ({"oneOf": [OPEN]}, {"oneOf": [CLOSED]}),
        ({"$ref": "#/$defs/x", "$defs": {"x": OPEN}}, {"$ref": "#/$defs/x", "$defs": {"x": CLOSED}}),
        (CLOSED | {"properties": {"a": OPEN}}, CLOSED | {"properties": {"a": CLOSED}}),
    ],
)
def test_their_objects_are_closed(schema, sent):
    assert sent_schema(schema) == sent_schema(schema, strict=False) == sent
    assert warnings(form(schema)) == ()


@pytest.mark.parametrize(
    "schema",
    [
        CLOSED,
        OPEN | {"additionalProperties": {"type": "string"}},
        OPEN | {"additionalProperties": True},
        {"allOf": [OPEN, OPEN]},
        OPEN | {"allOf": [{"properties": {"b": {}}}]},
        {"type": "string", "not": OPEN},
        {"properties": 5},
        {"anyOf": OPEN},
        {"enum": [{"type": "object"}]},
    ],
)
def test_nothing_is_closed_where_that_would_say_something_else(schema):
    assert sent_schema(schema) == schema


def test_a_schema_that_is_meant_strictly_is_the_clients_own():
    assert sent_schema(OPEN, strict=True) == OPEN


@pytest.mark.parametrize("before", ["", '"x":{"type":"object"},'])
def test_numbers_in_them_keep_their_bytes(before):
    numbers = '{"type":"number","maximum":1.0,"minimum":-1000000000000000000000000000000}'
    schema = '{"type":"object","additionalProperties":false,"properties":{' + before + '"a":' + numbers + "}}"
    body = '{"model":"auto","messages":[{"role":"user","content":"Hi"}],"response_format":{"type":"json_schema",'
    body += '"json_schema":{"name":"x","schema":' + schema + "}}}"
    assert numbers in raw_fields(body.encode())["output_config"].decode()
    assert json.decode(raw_fields(body.encode())["output_config"])["format"]["type"] == "json_schema"

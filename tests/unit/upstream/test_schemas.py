"""Instances of JSON schemas: each follows its schema, as the `jsonschema` library judges it."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from tests.upstream.schemas import Values, instance

NODE = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
        "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
        "twin": {"$ref": "#/$defs/node"},
    },
    "required": ["name", "next", "children"],
}
EXPECTED: list[tuple[dict[str, Any], Any]] = [
    ({"type": "string"}, "text"),
    ({"type": "string", "enum": ["red", "green"]}, "red"),
    ({"const": 7}, 7),
    ({"type": "string", "format": "date"}, "2025-06-15"),
    ({"type": "string", "minLength": 9}, "text text"),
    ({"type": "string", "maxLength": 2}, "te"),
    ({"type": "integer"}, 1),
    ({"type": "integer", "minimum": 5}, 5),
    ({"type": "integer", "exclusiveMinimum": 5}, 6),
    ({"type": "integer", "maximum": -3}, -3),
    ({"type": "integer", "multipleOf": 4, "minimum": 5}, 8),
    ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
    ({"type": "boolean"}, True),
    ({"type": "null"}, None),
    ({"type": ["null", "integer"]}, 1),
    ({"type": "array", "items": {"type": "integer"}}, [1]),
    ({"type": "array", "items": {"type": "boolean"}, "minItems": 3}, [True, True, True]),
    ({"type": "array", "items": {}, "maxItems": 0}, []),
    ({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}]}, [1, "text"]),
    ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, 1),
    ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, "text"),
    (
        {"allOf": [{"type": "object", "properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}}]},
        {"a": 1, "b": 2},
    ),
    ({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}, {"a": "text", "b": 1}),
    ({"$ref": "#/$defs/node", "$defs": {"node": NODE}}, {"name": "text", "next": None, "children": []}),
    ({"type": "object", "properties": {"again": {"$ref": "#"}}}, {}),
    ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "integer"}}}, 1),
]


@pytest.mark.parametrize(("schema", "expected"), EXPECTED, ids=[str(schema) for schema, _ in EXPECTED])
def test_an_instance_follows_its_schema(schema: dict[str, Any], expected: Any) -> None:
    found = instance(schema)
    assert found == expected
    jsonschema.validate(found, schema)


def test_a_schema_that_only_recurs_has_no_instance() -> None:
    assert instance({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}) is None


class TestGivenValues:
    SCHEMA = {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer"},
            "unit": {"enum": ["celsius"]},
            "factor": {"type": "number"},
            "more": {"type": "integer"},
        },
    }

    def test_they_fill_properties_in_order(self) -> None:
        found = instance(self.SCHEMA, values=Values(numbers=[3, 0.5], texts=["Bern", "left over"]))
        assert found == {"city": "Bern", "days": 3, "unit": "celsius", "factor": 0.5, "more": 1}

    def test_a_number_stands_only_where_the_schema_allows_it(self) -> None:
        schema = {"type": "object", "properties": {"percent": {"type": "integer", "maximum": 100}}}
        assert instance(schema, values=Values(numbers=[200, 0.5, 40])) == {"percent": 40}

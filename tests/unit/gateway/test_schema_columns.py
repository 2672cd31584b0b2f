"""Shapes of the API's description that come from columns and from the kinds of fields."""

from __future__ import annotations

import pytest

from analytics.models import ApiKey, Project
from gateway.api import admin_keys, managing
from gateway.api.schema import columns
from providers.models import Model, Provider
from routing.models import Candidate, Layer


def field(table, name):
    return table._meta.get_field(name)


@pytest.mark.parametrize(
    ("table", "name", "shape"),
    [
        (Provider, "enabled", {"type": "boolean"}),
        (Provider, "slug", {"type": "string", "maxLength": 64, "pattern": "^[a-z0-9][a-z0-9_-]*$"}),
        (Provider, "dialect", {"type": "string", "enum": ["openai", "anthropic"]}),
        (Provider, "headers_timeout_s", {"type": "number", "minimum": 0.01}),
        (Layer, "position", {"type": "integer", "minimum": 0, "maximum": 32767, "description": "Cheapest first."}),
        (Layer, "from_score", {"type": "number", "minimum": 0.0, "maximum": 1.0}),
        (Model, "max_output_tokens",
         {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 2147483647}, {"type": "null"}]}),
    ],
)  # fmt: skip
def test_a_body_may_hold_what_the_column_takes(table, name, shape):
    found = columns.column(field(table, name))
    assert {key: found[key] for key in shape} == shape


def test_an_answer_has_the_type_without_the_limits():
    found = columns.answers(Candidate, ["weight", "relative_cost"])
    assert found["weight"]["anyOf"][0] == {"type": "number"}
    assert found["relative_cost"]["anyOf"][0]["type"] == "string"


def test_a_body_has_every_field_that_is_read_and_takes_no_other():
    found = columns.body(admin_keys._KINDS, table=ApiKey, required=["name"])
    assert list(found["properties"]) == list(admin_keys._KINDS)
    assert (found["required"], found["additionalProperties"]) == (["name"], False)


def test_what_is_said_besides_holds():
    found = columns.body({"grace_s": managing.as_it_is}, besides={"grace_s": {"type": "number"}})
    assert found["properties"] == {"grace_s": {"type": "number"}}


def test_a_field_that_nothing_is_known_of_is_refused():
    with pytest.raises(TypeError, match="grace_s has no description yet: say in `besides` what it is"):
        columns.body({"grace_s": managing.as_it_is})


def test_so_is_a_column_of_an_unknown_class():
    with pytest.raises(TypeError, match="analytics.ApiKey.key_hash has no description yet"):
        columns.column(field(ApiKey, "key_hash"))


def test_help_texts_become_descriptions():
    limit = columns.column(field(Project, "requests_per_minute"))
    assert limit["description"] == "Requests in any sliding minute. Empty: no limit."

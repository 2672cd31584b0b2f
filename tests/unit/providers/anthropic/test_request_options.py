"""How the answer is to be made, and what Anthropic cannot do at all."""

import pytest

from tests.unit.providers.anthropic.sending import refused, sent_fields, warnings

SCHEMA = {"type": "object", "properties": {"a": {"type": "number"}}}
FORM = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": SCHEMA}}
FORMAT = {"type": "json_schema", "schema": SCHEMA}


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({"response_format": {"type": "text"}}, {}),
        ({"response_format": {}}, {}),
        ({"response_format": FORM}, {"output_config": {"format": FORMAT}}),
        (
            {"response_format": FORM, "output_config": {"effort": "low"}},
            {"output_config": {"effort": "low", "format": FORMAT}},
        ),
        ({"stop": "END"}, {"stop_sequences": ["END"]}),
        ({"stop": ["A", "B"]}, {"stop_sequences": ["A", "B"]}),
        ({"stop": []}, {}),
        ({"stop": "B", "stop_sequences": ["A"]}, {"stop_sequences": ["A", "B"]}),
        ({"temperature": 0, "top_p": 0.9, "top_k": 5}, {"temperature": 0, "top_p": 0.9, "top_k": 5}),
        ({"temperature": 1.0}, {"temperature": 1.0}),
        ({"user": "ann"}, {"metadata": {"user_id": "ann"}}),
        ({"safety_identifier": "ann"}, {"metadata": {"user_id": "ann"}}),
        ({"user": "ann", "safety_identifier": "ann"}, {"metadata": {"user_id": "ann"}}),
        ({"metadata": {"user_id": "bob"}}, {"metadata": {"user_id": "bob"}}),
        ({"metadata": {}}, {}),
        ({"service_tier": "auto"}, {"service_tier": "auto"}),
        ({"service_tier": "default"}, {"service_tier": "standard_only"}),
        ({"service_tier": "standard_only"}, {"service_tier": "standard_only"}),
    ],
)
def test_it_is_said_in_anthropics_words(fields, sent):
    assert sent_fields(fields) == sent
    assert warnings(fields) == ()


@pytest.mark.parametrize(
    ("fields", "sent", "warning"),
    [
        ({"temperature": 1.5}, {"temperature": 1}, "temperature is lowered to 1, Anthropic's highest"),
        (
            {"user": "ann", "metadata": {"user_id": "bob"}},
            {"metadata": {"user_id": "bob"}},
            "user is not sent to Anthropic",
        ),
        (
            {"user": "ann", "safety_identifier": "h"},
            {"metadata": {"user_id": "ann"}},
            "safety_identifier is not sent to Anthropic",
        ),
        ({"metadata": {"a": "b", "c": "d"}}, {}, "metadata other than user_id is not sent to Anthropic"),
        ({"service_tier": "flex"}, {}, "service_tier flex is not sent to Anthropic"),
        (
            {"response_format": FORM | {"json_schema": FORM["json_schema"] | {"description": "d"}}},
            {"output_config": {"format": FORMAT}},
            "response_format.json_schema.description is not sent to Anthropic",
        ),
        (
            {"response_format": FORM, "output_config": {"format": {"type": "json_schema", "schema": {}}}},
            {"output_config": {"format": {"type": "json_schema", "schema": {}}}},
            "response_format is not sent to Anthropic: output_config has a format",
        ),
        ({"frequency_penalty": 0.5}, {}, "frequency_penalty is not sent to Anthropic"),
        ({"presence_penalty": -1}, {}, "presence_penalty is not sent to Anthropic"),
        ({"seed": 0}, {}, "seed is not sent to Anthropic"),
        ({"store": True}, {}, "store is not sent to Anthropic"),
        ({"verbosity": "low"}, {}, "verbosity is not sent to Anthropic"),
        ({"prediction": {"type": "content", "content": "x"}}, {}, "prediction is not sent to Anthropic"),
    ],
)
def test_a_hint_that_cannot_be_given_is_left_out_with_a_warning(fields, sent, warning):
    assert sent_fields(fields) == sent
    assert warnings(fields) == (warning,)


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 1},
        {"logprobs": False},
        {"top_logprobs": 0},
        {"logit_bias": {}},
        {"modalities": ["text"]},
        {"functions": [], "function_call": "auto"},
        {"frequency_penalty": 0, "presence_penalty": 0.0},
        {"store": False},
        {"verbosity": "medium"},
        {"prompt_cache_key": "k", "prompt_cache_retention": "24h", "prompt_cache_options": {"mode": "explicit"}},
    ],
)
def test_what_asks_for_nothing_is_left_out_in_silence(fields):
    assert sent_fields(fields) == {}
    assert warnings(fields) == ()


@pytest.mark.parametrize(
    ("fields", "param", "said"),
    [
        ({"n": 2}, "n", "Anthropic's models give one answer a request: leave n out."),
        ({"logprobs": True}, "logprobs", "Anthropic's models cannot return logprobs: leave logprobs out."),
        ({"top_logprobs": 3}, "top_logprobs", "leave top_logprobs out."),
        ({"logit_bias": {"50256": -100}}, "logit_bias", "leave logit_bias out."),
        ({"modalities": ["text", "audio"]}, "modalities", "leave modalities out."),
        ({"audio": {"voice": "alloy", "format": "wav"}}, "audio", "leave audio out."),
        ({"functions": [{"name": "f"}]}, "functions", "send tools instead"),
        ({"function_call": {"name": "f"}}, "function_call", "send tool_choice instead"),
        ({"moderation": {}}, "moderation", "leave moderation out."),
        ({"response_format": {"type": "json_object"}}, "response_format", "send a json_schema as response_format."),
        ({"response_format": {"type": "grammar"}}, "response_format", "change response_format."),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "must be a JSON object."),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
            "response_format.json_schema.schema",
            "is missing",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": 5}}},
            "response_format.json_schema.schema",
            "must be a JSON object.",
        ),
        ({"stop": "\n"}, "stop", "stop only at text that is not blank: change stop."),
        ({"stop": ["A", ""]}, "stop[1]", "change stop[1]."),
        ({"stop": [5]}, "stop[0]", "must be a string."),
        ({"stop": 5}, "stop", "must be a string or a list of strings."),
        ({"stop": "A", "stop_sequences": 5}, "stop_sequences", "must be a JSON array."),
        ({"metadata": "m"}, "metadata", "must be a JSON object."),
        ({"service_tier": 5}, "service_tier", "must be a string"),
    ],
)
def test_what_cannot_be_had_is_refused_saying_what_to_change(fields, param, said):
    path, told = refused(fields)
    assert path == param
    assert said in told

"""What each vendor's list says, in the shape its documentation gives; written by hand."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from providers.types import Capability, Unit
from routing.catalog import Model, PriceTier
from routing.offers import anthropic, lmstudio, naming, ollama, openai, openrouter
from routing.offers.offer import LARGEST_BYTES, OfferError, checked

TOOLS, VISION, SCHEMA = Capability.TOOLS, Capability.VISION, Capability.JSON_SCHEMA
AUDIO, REASONING = Capability.AUDIO, Capability.REASONING


def body(*entries: object, **more: object) -> bytes:
    return json.dumps({"object": "list", "data": list(entries), **more}).encode()


def router(**changes: object) -> dict[str, object]:
    """An entry of OpenRouter's list."""
    return {
        "id": "acme/large",
        "canonical_slug": "acme/large-2610",
        "name": "Acme: Large",
        "created": 1760000000,
        "description": "A model.",
        "context_length": 262144,
        "architecture": {
            "modality": "text+image->text",
            "input_modalities": ["text", "image", "file"],
            "output_modalities": ["text"],
            "tokenizer": "Other",
        },
        "pricing": {
            "prompt": "0.00000015",
            "completion": "0.0000006",
            "input_cache_read": "0.000000015",
            "input_cache_write": "0.0000001875",
            "request": "0",
            "image": "0.001",
            "web_search": "0.01",
            "internal_reasoning": "0",
        },
        "top_provider": {"context_length": 131072, "max_completion_tokens": 32768, "is_moderated": False},
        "per_request_limits": None,
        "supported_parameters": ["tools", "tool_choice", "response_format", "structured_outputs", "reasoning", "seed"],
    } | changes


class TestOpenRouter:
    def test_its_window_limits_and_capabilities_are_read(self):
        (offer,) = openrouter.read(body(router()))
        model = offer.model
        assert (model.name, model.title, model.kind) == ("acme/large", "Acme: Large", "chat")
        assert (model.context_tokens, model.max_output_tokens) == (262144, 32768)
        assert model.capabilities == {TOOLS, VISION, SCHEMA, REASONING}
        assert offer.tells == set(Capability)

    def test_a_response_format_alone_is_no_schema(self):
        (offer,) = openrouter.read(body(router(supported_parameters=["response_format"])))
        assert SCHEMA not in (offer.model.capabilities or ())
        assert SCHEMA in offer.tells

    def test_its_prices_for_one_token_become_listed_prices(self):
        (offer,) = openrouter.read(body(router()))
        assert offer.model.prices == {
            Unit.INPUT: Decimal("0.15"),
            Unit.OUTPUT: Decimal("0.6"),
            Unit.CACHED_INPUT: Decimal("0.015"),
            Unit.CACHE_WRITE_5M: Decimal("0.1875"),
            Unit.REQUEST: Decimal(0),
            Unit.IMAGE: Decimal("0.001"),
            Unit.WEB_SEARCH: Decimal("0.01"),
        }

    def test_a_price_that_varies_is_none(self):
        (offer,) = openrouter.read(body(router(pricing={"prompt": "-1", "completion": "-1"})))
        assert offer.model.prices == {}

    def test_the_noise_of_binary_fractions_is_rounded_away(self):
        (offer,) = openrouter.read(body(router(pricing={"prompt": "0.00000039999999999999996"})))
        assert offer.model.prices == {Unit.INPUT: Decimal("0.4")}

    def test_a_price_for_long_prompts_is_a_tier_and_one_for_some_hours_is_not(self):
        pricing = {
            "prompt": "0.000002",
            "completion": "0.000006",
            "overrides": [
                {"min_prompt_tokens": 200000, "prompt": "0.000004"},
                {"utc_start": 100, "utc_end": 400, "prompt": "0.000009"},
            ],
        }
        (offer,) = openrouter.read(body(router(pricing=pricing)))
        assert offer.model.price_tiers == (PriceTier(from_tokens=200001, prices={Unit.INPUT: Decimal(4)}),)
        assert offer.model.prices[Unit.INPUT] == Decimal(2)

    @pytest.mark.parametrize(
        ("outputs", "kind", "is_usable"),
        [(["text"], "chat", True), (["embeddings"], "embeddings", True), (["image"], "chat", False)],
    )
    def test_what_comes_out_says_what_it_is_for(self, outputs, kind, is_usable):
        shape = {"input_modalities": ["text"], "output_modalities": outputs}
        (offer,) = openrouter.read(body(router(architecture=shape)))
        assert (offer.model.kind, offer.is_usable) == (kind, is_usable)

    @pytest.mark.parametrize("price", ["free", "NaN", "Infinity", "1e9"])
    def test_an_entry_with_an_impossible_price_is_left_out_and_named(self, price):
        (skipped,) = openrouter.read(body(router(pricing={"prompt": price})))
        assert str(skipped) == f"acme/large: an impossible price: prompt {price!r}"

    def test_its_next_page_is_named(self):
        page = body(router(), links={"next": "/api/v1/models?offset=500&limit=500"}, total_count=501)
        assert openrouter.next_page(page) == "/api/v1/models?offset=500&limit=500"
        assert openrouter.next_page(body(router())) is None


class TestOllama:
    SHOWN = {
        "license": "...",
        "parameters": 'stop                           "<eot>"\ntemperature                    0.7',
        "template": "...",
        "capabilities": ["completion", "vision", "tools", "thinking"],
        "details": {"parent_model": "", "format": "gguf", "family": "gemma3", "families": ["gemma3"]},
        "model_info": {"general.architecture": "gemma3", "gemma3.block_count": 34, "gemma3.context_length": 131072},
    }

    def shown(self, **changes: object) -> Model:
        (offer,) = ollama.read({"gemma3:4b": json.dumps(self.SHOWN | changes).encode()})
        return offer.model

    def test_its_names_come_from_the_tags(self):
        tags = {"models": [{"name": "gemma3:4b", "model": "gemma3:4b", "size": 1, "digest": "a", "details": {}}]}
        assert ollama.read_names(json.dumps(tags).encode()) == ("gemma3:4b",)
        assert ollama.read_names(b'{"models": null}') == ()

    def test_its_details_tell_capabilities_and_window(self):
        model = self.shown()
        assert model.capabilities == {VISION, TOOLS, REASONING, SCHEMA}
        assert (model.kind, model.context_tokens) == ("chat", 131072)

    def test_the_window_that_the_model_is_run_with_wins(self):
        assert self.shown(parameters="temperature 0.7\nnum_ctx 8192").context_tokens == 8192

    def test_a_model_in_the_cloud_is_not_held_to_a_schema(self):
        assert SCHEMA not in (self.shown(remote_host="https://ollama.com:443").capabilities or ())

    def test_a_model_that_embeds_is_no_chat_model(self):
        assert self.shown(capabilities=["embedding"]).kind == "embeddings"

    def test_an_older_server_tells_no_capabilities(self):
        assert self.shown(capabilities=None).capabilities is None

    @pytest.mark.parametrize("window", ["many", True, 2**40])
    def test_a_model_with_an_impossible_window_is_left_out_and_named(self, window):
        details = self.SHOWN | {"model_info": {"gemma3.context_length": window}}
        (skipped,) = ollama.read({"gemma3:4b": json.dumps(details).encode()})
        assert str(skipped) == "gemma3:4b: an impossible context_length"


class TestLmStudio:
    def test_kind_window_and_tools_are_read(self):
        loaded = {"state": "loaded", "max_context_length": 131072, "loaded_context_length": 8192}
        offers = lmstudio.read(
            body(
                {"id": "qwen3-8b", "type": "llm", "capabilities": ["tool_use"]} | loaded,
                {"id": "qwen2-vl", "type": "vlm", "state": "not-loaded", "max_context_length": 32768},
                {"id": "nomic", "type": "embeddings", "state": "not-loaded", "max_context_length": 2048},
            )
        )
        chat, sees, embeds = (offer.model for offer in offers)
        assert (chat.context_tokens, chat.capabilities, offers[0].tells) == (8192, {TOOLS}, {TOOLS, VISION})
        assert (sees.context_tokens, sees.capabilities, offers[1].tells) == (32768, {VISION}, {VISION})
        assert (embeds.kind, embeds.capabilities) == ("embeddings", None)


class TestAnthropic:
    def test_the_newer_list_tells_windows_and_capabilities(self):
        told = {
            "batch": {"supported": True},
            "image_input": {"supported": True},
            "structured_outputs": {"supported": False},
            "thinking": {
                "supported": True,
                "types": {"adaptive": {"supported": False}, "enabled": {"supported": True}},
            },
        }
        entry = {
            "id": "claude-one-1",
            "type": "model",
            "display_name": "Claude One",
            "created_at": "2026-01-01T00:00:00Z",
            "max_input_tokens": 200000,
            "max_tokens": 64000,
            "capabilities": told,
        }
        (offer,) = anthropic.read(body(entry, has_more=False, first_id="a", last_id="a"))
        model = offer.model
        assert (model.title, model.context_tokens, model.max_output_tokens) == ("Claude One", 200000, 64000)
        assert (model.capabilities, model.reasoning_control) == ({TOOLS, VISION, REASONING}, "budget")
        assert SCHEMA in offer.tells

    def test_the_older_list_tells_names(self):
        (offer,) = anthropic.read(body({"id": "claude-one-1", "display_name": "Claude One"}))
        assert (offer.model.context_tokens, offer.tells) == (None, frozenset())

    def test_it_says_where_the_next_page_starts(self):
        assert anthropic.cursor(body(has_more=True, last_id="b")) == "b"
        assert anthropic.cursor(body(has_more=False, last_id="b")) is None


class TestOpenAi:
    @pytest.mark.parametrize(
        ("told", "window"),
        [
            ({}, None),
            ({"owned_by": "Groq", "active": True, "context_window": 131072, "public_apps": None}, 131072),
            ({"owned_by": "vllm", "root": "m", "parent": None, "max_model_len": 40960, "permission": []}, 40960),
            ({"owned_by": "llamacpp", "meta": {"vocab_type": 2, "n_ctx_train": 131072, "n_params": 1}}, 131072),
            ({"owned_by": "llamacpp", "meta": {"n_ctx": 4096, "n_ctx_train": 131072}}, 4096),
            ({"context_window": 0}, None),
        ],
    )
    def test_the_window_is_found_under_each_vendors_name(self, told, window):
        (offer,) = openai.read(body({"id": "m", "object": "model", "created": 1} | told))
        assert (offer.model.context_tokens, offer.model.capabilities, offer.is_usable) == (window, None, True)

    def test_llama_cpp_tells_what_goes_in(self):
        shape = {"input_modalities": ["text", "image"], "output_modalities": ["text"]}
        (offer,) = openai.read(body({"id": "m", "owned_by": "llamacpp", "architecture": shape}))
        assert (offer.model.capabilities, offer.tells) == ({VISION}, {VISION, AUDIO})
        (other,) = openai.read(body({"id": "m", "architecture": "llama"}))
        assert other.model.capabilities is None

    def test_groq_tells_the_output_limit(self):
        (offer,) = openai.read(body({"id": "m", "max_completion_tokens": 65536}))
        assert offer.model.max_output_tokens == 65536

    def test_mistrals_object_of_capabilities_is_read(self):
        told = {
            "completion_chat": True,
            "function_calling": True,
            "completion_fim": False,
            "vision": True,
            "ocr": False,
        }
        entry = {"id": "mistral-one", "max_context_length": 262144, "capabilities": told, "aliases": []}
        (offer,) = openai.read(body(entry))
        assert (offer.model.capabilities, offer.model.context_tokens) == ({TOOLS, VISION}, 262144)
        assert offer.tells == {TOOLS, VISION, AUDIO, REASONING}

    def test_mistrals_models_that_only_listen_cannot_be_added(self):
        (offer,) = openai.read(body({"id": "voxtral", "capabilities": {"completion_chat": False, "audio": True}}))
        assert not offer.is_usable

    @pytest.mark.parametrize("told", [["completion"], {"vision": {"supported": True}}, "all"])
    def test_what_others_put_under_that_name_is_left_alone(self, told):
        (offer,) = openai.read(body({"id": "m", "capabilities": told}))
        assert offer.model.capabilities is None

    def test_a_server_without_any_model_is_an_empty_list(self):
        assert openai.read(b'{"object": "list", "data": null}') == ()


class TestRefused:
    @pytest.mark.parametrize(
        ("bad", "says"),
        [
            (b"<html>hello</html>", "is not JSON"),
            (b"\xff\xfe", "is not JSON"),
            (b"", "is not JSON"),
            (b"[]", "another form than known: expected `object`, got `array`"),
            (b'{"object": "list"}', "missing required field `data`"),
            (body({"id": 7}), "no entry with the name of a model (entry 1: expected `str`, got `int` at id)"),
            (
                body({"status": "ok"}, 3),
                "no entry with the name of a model (entry 1: object missing required field `id`)",
            ),
            (b"[" * 100_000, "its list of models"),
            (b" " * (LARGEST_BYTES + 1), "is larger than 4 MiB"),
        ],
    )
    def test_a_bad_list_is_refused_whole_in_one_short_sentence(self, bad, says):
        with pytest.raises(OfferError) as caught:
            checked(openai.read(bad))
        assert says in str(caught.value)
        assert len(str(caught.value)) < 200
        assert "\n" not in str(caught.value)

    def test_an_entry_that_is_there_twice_and_says_the_same_is_one(self):
        assert len(checked(openai.read(body({"id": "m"}, {"id": "m"}))).models) == 1

    @pytest.mark.parametrize(
        ("odd", "says"),
        [
            ({"id": "odd", "max_model_len": 1e9}, "odd: expected `int | null`, got `float` at max_model_len"),
            ({"id": "odd", "max_model_len": 2**31}, "odd: expected `int` <= 2147483647 at max_model_len"),
            ({"id": "odd", "context_window": "many"}, "odd: expected `int | null`, got `str` at context_window"),
            (
                {"id": "odd", "capabilities": {"completion_chat": 7}},
                "odd: its capabilities have another form than known",
            ),
            ({"id": "m" * 10_000}, f"{'m' * 40}...: no model is called that"),
            ({"id": ""}, "entry 2: no model is called that"),
            ({"id": "a\nb"}, "'a\\nb': no model is called that"),
            ({"max_model_len": 5}, "entry 2: object missing required field `id`"),
            (7, "entry 2: expected `object`, got `int`"),
        ],
    )
    def test_an_entry_that_cannot_be_read_is_left_out_and_named_and_the_others_go_on(self, odd, says):
        found = checked(openai.read(body({"id": "first"}, odd, {"id": "last", "max_model_len": 5})))
        assert [offer.model.name for offer in found.models] == ["first", "last"]
        assert [str(skipped) for skipped in found.skipped] == [says]

    def test_of_an_entry_that_is_there_twice_and_differs_neither_is_believed(self):
        found = checked(
            openai.read(body({"id": "m", "max_model_len": 1}, {"id": "m", "max_model_len": 2}, {"id": "n"}))
        )
        assert [offer.model.name for offer in found.models] == ["n"]
        assert [str(skipped) for skipped in found.skipped] == ["m: it is there twice, and differently"]

    def test_an_entry_that_is_not_text_is_left_out_too(self):
        found = checked(openai.read(b'{"data": [{"id": "\xff"}, {"id": "n"}]}'))
        assert [offer.model.name for offer in found.models] == ["n"]

    def test_the_names_alone_are_read_whatever_else_is_odd(self):
        assert openai.read_names(body({"id": "m", "max_model_len": "?"}, {"name": "n"})) == ("m",)


class TestNames:
    @pytest.mark.parametrize(
        ("name", "listed", "found"),
        [
            ("m", ["m", "n"], "m"),
            ("llama3", ["llama3:latest"], "llama3:latest"),
            ("claude-haiku-4-5", ["claude-haiku-4-5-20251001"], "claude-haiku-4-5-20251001"),
            ("acme/large:nitro", ["acme/large"], "acme/large"),
            ("acme/large:free", ["acme/large"], None),
            ("gpt-6", ["gpt-6-luna"], None),
        ],
    )
    def test_the_entry_that_serves_a_name_is_found(self, name, listed, found):
        assert naming.entry_for(name, listed=listed) == found

    def test_close_names_are_told(self):
        assert naming.close_to("gpt-6-lunar", listed=["gpt-6-luna", "whisper"]) == ["gpt-6-luna"]

"""What was used: in disjoint buckets for the ledger, in OpenAI's words for the client."""

import pytest

from providers.dialects.anthropic import usage
from providers.types import Usage

FULL = {
    "input_tokens": 100,
    "cache_read_input_tokens": 2000,
    "cache_creation_input_tokens": 300,
    "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 100},
    "output_tokens": 50,
    "output_tokens_details": {"thinking_tokens": 30},
    "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1},
    "service_tier": "standard",
    "inference_geo": "us",
}


class TestTheBuckets:
    def test_are_disjoint(self):
        assert usage.read(FULL) == Usage(
            input_tokens=100,
            cached_input_tokens=2000,
            cache_write_5m_tokens=200,
            cache_write_1h_tokens=100,
            output_tokens=50,
            reasoning_tokens=30,
            web_searches=2,
        )

    def test_of_a_cache_write_without_its_duration_are_the_short_one(self):
        read = usage.read({"input_tokens": 1, "output_tokens": 1, "cache_creation_input_tokens": 70})
        assert (read.cache_write_5m_tokens, read.cache_write_1h_tokens) == (70, 0)

    def test_never_hold_more_cache_writes_than_there_were(self):
        odd = FULL | {"cache_creation_input_tokens": 60}
        assert usage.read(odd).cache_write_1h_tokens + usage.read(odd).cache_write_5m_tokens == 60

    def test_hold_what_a_compaction_took_beside_the_sums(self):
        steps = [
            {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3500, "cache_read_input_tokens": 7},
            {"type": "message", "input_tokens": 23_000, "output_tokens": 1000},
        ]
        read = usage.read({"input_tokens": 23_000, "output_tokens": 1000, "iterations": steps})
        assert (read.input_tokens, read.cached_input_tokens, read.output_tokens) == (203_000, 7, 4500)

    def test_do_not_hold_what_another_model_advised(self):
        steps = [{"type": "advisor_message", "model": "other", "input_tokens": 9, "output_tokens": 9}]
        assert usage.read(FULL | {"iterations": steps}) == usage.read(FULL)

    def test_are_partial_without_the_output(self):
        assert usage.read({"input_tokens": 7}) == Usage(input_tokens=7, is_partial=True)

    @pytest.mark.parametrize("odd", [None, {}, [], 5, {"input_tokens": "many"}, {"service_tier": "standard"}])
    def test_are_none_where_nothing_is_told(self, odd):
        assert usage.read(odd) is None

    @pytest.mark.parametrize("odd", [-1, 10**12, "5", None, [], {}, float("nan")])
    def test_count_no_figure_that_cannot_be(self, odd):
        names = ["cache_creation", "iterations", "server_tool_use", "output_tokens_details"]
        read = usage.read({"input_tokens": 3, "output_tokens": odd, **dict.fromkeys(names, odd)})
        assert (read.total_tokens, read.web_searches) == (3, 0)

    @pytest.mark.parametrize("absurd", [-5, 10**25, 1e99, float("nan")])
    def test_are_none_where_the_input_cannot_be(self, absurd):
        for name in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"):
            assert usage.read(FULL | {name: absurd}) is None

    @pytest.mark.parametrize("absurd", [-5, 10**25, 1e99, float("nan")])
    def test_are_partial_where_the_output_cannot_be(self, absurd):
        read = usage.read({"input_tokens": 7, "output_tokens": absurd})
        assert read == Usage(input_tokens=7, is_partial=True)


class TestInOpenAIsWords:
    def test_prompt_tokens_contain_the_cached_ones(self):
        told = usage.composed(FULL)
        assert (told["prompt_tokens"], told["completion_tokens"], told["total_tokens"]) == (2400, 50, 2450)
        assert told["prompt_tokens_details"] == {"cached_tokens": 2000, "cache_write_tokens": 300, "audio_tokens": 0}
        assert told["completion_tokens_details"] == {
            "reasoning_tokens": 30,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        }

    def test_every_other_figure_of_the_vendors_stands_beside_them(self):
        told = usage.composed(FULL)
        kept = FULL.keys() - {"input_tokens", "output_tokens"}
        assert {name: told[name] for name in kept} == {name: FULL[name] for name in kept}


def test_a_later_figure_counts_and_what_is_not_told_again_stays():
    merged = usage.merged({"input_tokens": 5, "service_tier": "standard"}, {"input_tokens": 9, "service_tier": None})
    assert merged == {"input_tokens": 9, "service_tier": "standard"}

"""OpenAI's usage object: which bucket each token falls into, and what the provider says it cost."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.dialects import openai


class TestUsage:
    def test_cached_tokens_are_taken_out_of_the_prompt(self):
        usage = openai.read_usage(
            {"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 64}}
        )
        assert (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens) == (36, 64, 7)

    def test_more_cached_tokens_than_prompt_tokens_are_no_negative_input(self):
        usage = openai.read_usage({"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 64}})
        assert (usage.input_tokens, usage.cached_input_tokens) == (0, 10)

    @given(
        prompt=st.integers(0, 10**7),
        cached=st.integers(0, 10**7),
        completion=st.integers(0, 10**6),
        reasoning=st.integers(0, 10**6),
    )
    def test_the_buckets_sum_to_what_the_provider_counted(self, prompt, cached, completion, reasoning):
        usage = openai.read_usage(
            {
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "prompt_tokens_details": {"cached_tokens": cached},
                "completion_tokens_details": {"reasoning_tokens": reasoning},
            }
        )
        assert usage.total_tokens == prompt + completion

    def test_reasoning_is_part_of_the_output(self):
        usage = openai.read_usage({"completion_tokens": 50, "completion_tokens_details": {"reasoning_tokens": 40}})
        assert (usage.output_tokens, usage.reasoning_tokens) == (50, 40)

    @pytest.mark.parametrize("usage", [None, "12", [], 3])
    def test_what_is_no_object_is_no_usage(self, usage):
        assert openai.read_usage(usage) is None

    @pytest.mark.parametrize(
        "usage", [{}, {"total_tokens": 50}, {"prompt_tokens": None}, {"prompt_tokens": "12"}, {"input_tokens": 9}]
    )
    def test_usage_without_a_count_is_none(self, usage):
        assert openai.read_usage(usage) is None

    @pytest.mark.parametrize("count", [None, "12", -5, [], {}])
    def test_a_count_that_is_none_counts_nothing(self, count):
        usage = openai.read_usage(
            {
                "prompt_tokens": 0,
                "completion_tokens": count,
                "prompt_tokens_details": {"cached_tokens": count},
                "completion_tokens_details": count,
            }
        )
        assert usage.total_tokens == 0


class TestReportedCost:
    @pytest.mark.parametrize(
        ("usage", "usd"),
        [
            ({"cost": 0.000123}, "0.000123"),
            ({"cost": 0}, "0"),
            ({"cost": 1e-9}, "1E-9"),
            ({"cost": 0.01, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.19}}, "0.20"),
            ({"cost": 0.01, "is_byok": True, "cost_details": {"upstream_inference_cost": None}}, "0.01"),
            ({"cost": 0.01, "is_byok": True}, "0.01"),
            ({"cost": 0.01, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.19}}, "0.01"),
        ],
    )
    def test_it_is_read_exactly(self, usage, usd):
        assert openai.read_usage(usage).reported_cost_usd == Decimal(usd)

    @pytest.mark.parametrize("cost", [-0.01, 1e300, float("nan"), float("inf"), "0.01", None, [], True])
    def test_what_is_no_cost_is_ignored(self, cost):
        assert openai.read_usage({"prompt_tokens": 5, "cost": cost}).reported_cost_usd is None

    @pytest.mark.parametrize("charged", ["much", "1e9999999", "1e999999", "-1e9999999", "sNaN", 1e30, [1]])
    def test_an_upstream_cost_that_is_none_spoils_the_whole(self, charged):
        usage = {"cost": 0.01, "is_byok": True, "cost_details": {"upstream_inference_cost": charged}}
        assert openai.read_usage(usage).reported_cost_usd is None

"""Usage as the vendors of OpenAI's dialect tell it, each with names of its own, in the same disjoint buckets."""

from decimal import Decimal

import pytest

from providers.dialects import openai
from providers.dialects.openai_stream import EventReader
from providers.types import ProviderError, Usage

COUNTED = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
SAID = b'{"prompt_tokens":9,"completion_tokens":2}'
CONTENT = b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":null}]}\n\n'
FINISH = b'"choices":[{"delta":{},"finish_reason":"stop"}]'


def read(*payloads, keep_usage=False):
    reader = EventReader(keep_usage=keep_usage)
    stream = CONTENT + b"".join(b"data: " + payload + b"\n\n" for payload in payloads)
    return reader.feed(stream) + reader.end(), reader


class TestBuckets:
    @pytest.mark.parametrize(
        ("told", "wanted"),
        [
            pytest.param({}, Usage(input_tokens=100, output_tokens=20), id="no details"),
            pytest.param(
                {"prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30}},
                Usage(input_tokens=10, cached_input_tokens=60, cache_write_5m_tokens=30, output_tokens=20),
                id="OpenRouter's cache, read and written",
            ),
            pytest.param(
                {"num_cached_tokens": 99},
                Usage(input_tokens=1, cached_input_tokens=99, output_tokens=20),
                id="Mistral's cache",
            ),
            pytest.param(
                {"prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36},
                Usage(input_tokens=36, cached_input_tokens=64, output_tokens=20),
                id="DeepSeek's cache",
            ),
            pytest.param(
                {"prompt_cache_hit_tokens": 64, "prompt_tokens_details": {"cached_tokens": 64}},
                Usage(input_tokens=36, cached_input_tokens=64, output_tokens=20),
                id="the same told twice",
            ),
            pytest.param(
                {"server_tool_use_details": {"web_search_requests": 3, "tool_calls_executed": 4}},
                Usage(input_tokens=100, output_tokens=20, web_searches=3),
                id="OpenRouter's searches",
            ),
            pytest.param(
                {"prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 90}},
                Usage(cached_input_tokens=60, cache_write_5m_tokens=40, output_tokens=20),
                id="more written than there was",
            ),
        ],
    )
    def test_they_are_read_from_wherever_a_vendor_tells_them(self, told, wanted):
        usage = openai.read_usage(COUNTED | told)
        assert (usage, usage.total_tokens) == (wanted, 120)

    @pytest.mark.parametrize("odd", [None, "3", -1, 1e99, [], {}])
    def test_what_is_no_count_counts_nothing(self, odd):
        told = {"prompt_tokens_details": {"cached_tokens": odd, "cache_write_tokens": odd}}
        told |= {"num_cached_tokens": odd, "prompt_cache_hit_tokens": odd, "server_tool_use_details": odd}
        assert openai.read_usage(COUNTED | told) == Usage(input_tokens=100, output_tokens=20)

    @pytest.mark.parametrize("absurd", [-5, 10**25, 1e99])
    def test_an_input_that_cannot_be_makes_it_none(self, absurd):
        assert openai.read_usage(COUNTED | {"prompt_tokens": absurd}) is None

    @pytest.mark.parametrize("absurd", [-5, 10**25, 1e99])
    def test_an_output_that_cannot_be_makes_it_partial(self, absurd):
        usage = openai.read_usage(COUNTED | {"completion_tokens": absurd})
        assert usage == Usage(input_tokens=100, is_partial=True)

    def test_a_cost_that_the_vendor_tells_holds_beside_figures_that_cannot_be(self):
        usage = openai.read_usage({"prompt_tokens": -5, "completion_tokens": 10**25, "cost": 0.5})
        assert (usage.reported_cost_usd, usage.is_partial) == (Decimal("0.5"), False)


class TestInStreams:
    @pytest.mark.parametrize(
        "last",
        [
            pytest.param((b"{" + FINISH + b',"usage":' + SAID + b"}",), id="in the last content chunk"),
            pytest.param((b"{" + FINISH + b"}", b'{"choices":[],"usage":' + SAID + b"}"), id="in a chunk of its own"),
        ],
    )
    def test_usage_is_read_from_its_own_chunk_and_from_the_last_one(self, last):
        _, reader = read(*last)
        assert (reader.usage.input_tokens, reader.usage.output_tokens, reader.finish_reason) == (9, 2, "stop")

    def test_only_its_own_chunk_is_taken_out(self):
        finish = b"{" + FINISH + b',"usage":' + SAID + b"}"
        relayed, _ = read(finish, b'{"choices":[],"usage":' + SAID + b"}")
        assert relayed == CONTENT + b"data: " + finish + b"\n\n"

    def test_usage_of_null_in_every_chunk_is_none(self):
        payload = b"{" + FINISH + b',"usage":null}'
        relayed, reader = read(payload)
        assert (relayed, reader.usage) == (CONTENT + b"data: " + payload + b"\n\n", None)

    def test_groqs_own_place_counts_where_there_is_no_other(self):
        payload = b"{" + FINISH + b',"x_groq":{"id":"req_1","usage":' + SAID + b"}}"
        relayed, reader = read(b'{"choices":[],"x_groq":{"id":"req_1"}}', payload)
        assert (reader.usage.input_tokens, reader.usage.output_tokens) == (9, 2)
        assert relayed.endswith(b"data: " + payload + b"\n\n")

    def test_what_else_stands_there_is_nobodys_business(self):
        payload = b"{" + FINISH + b',"x_groq":["odd"],"usage":' + SAID + b"}"
        relayed, reader = read(payload)
        assert (reader.usage.output_tokens, relayed) == (2, CONTENT + b"data: " + payload + b"\n\n")

    def test_an_error_that_tells_what_was_used_is_paid_for(self):
        reader = EventReader(keep_usage=False)
        failing = b'data: {"error":{"code":400,"message":"Token limit reached"},"usage":' + SAID + b"}\n\n"
        with pytest.raises(ProviderError, match="Token limit"):
            reader.feed(failing)
        assert (reader.usage.input_tokens, reader.usage.output_tokens) == (9, 2)

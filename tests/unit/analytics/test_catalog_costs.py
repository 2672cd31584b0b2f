"""What calls of every kind cost at the shipped catalog's prices, each worked out by hand."""

from datetime import UTC, datetime
from decimal import Decimal
from functools import cache

import pytest

from analytics import cost
from providers.types import Price, Usage
from routing import catalog

NOW = datetime(2026, 11, 22, tzinfo=UTC)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
SONNET, HAIKU = "anthropic/claude-sonnet-5-5", "anthropic/claude-haiku-5-5"


@cache
def prices(name):
    slug, _, model_name = name.partition("/")
    provider = next(provider for provider in catalog.read(catalog.SHIPPED).providers if provider.slug == slug)
    model = next(model for model in provider.models if model.name == model_name)
    return [
        Price(listed.unit, listed.usd_per_unit, listed.from_tokens, listed.valid_from or LONG_AGO)
        for listed in model.price_list()
    ]


@pytest.mark.parametrize(
    ("model", "usage", "usd"),
    [
        pytest.param(SONNET, Usage(input_tokens=1000, output_tokens=500), "0.007", id="plain: 0.002 + 0.005"),
        pytest.param(
            SONNET,
            Usage(input_tokens=10, cache_write_5m_tokens=2000, output_tokens=100),
            "0.00602",
            id="written for five minutes: 0.00002 + 0.005 + 0.001",
        ),
        pytest.param(
            SONNET,
            Usage(input_tokens=10, cache_write_1h_tokens=2000, output_tokens=100),
            "0.00902",
            id="written for an hour: 0.00002 + 0.008 + 0.001",
        ),
        pytest.param(
            SONNET,
            Usage(
                input_tokens=3,
                cached_input_tokens=10_000,
                cache_write_5m_tokens=456,
                cache_write_1h_tokens=100,
                output_tokens=22,
            ),
            "0.002766",
            id="read and written both ways: 0.000006 + 0.001 + 0.00114 + 0.0004 + 0.00022",
        ),
        pytest.param(
            SONNET,
            Usage(input_tokens=50, output_tokens=5000, reasoning_tokens=4000),
            "0.0501",
            id="thinking is output, once: 0.0001 + 0.05",
        ),
        pytest.param(
            SONNET,
            Usage(input_tokens=8000, output_tokens=300, web_searches=3),
            "0.049",
            id="three searches: 0.016 + 0.003 + 0.03",
        ),
        pytest.param(HAIKU, Usage(cached_input_tokens=100_000), "0.001", id="the last token of the first tier"),
        pytest.param(
            HAIKU,
            Usage(input_tokens=1, cached_input_tokens=100_000, cache_write_1h_tokens=1000, output_tokens=10),
            "0.0060255",
            id="beyond it all is dearer: 0.0000005 + 0.005 + 0.001 + 0.000025",
        ),
        pytest.param(
            "openai/gpt-6-luna",
            Usage(input_tokens=100, cached_input_tokens=1000, cache_write_5m_tokens=1000, output_tokens=10),
            "0.00015",
            id="OpenAI's written tokens: 0.00001 + 0.00001 + 0.000125 + 0.000005",
        ),
        pytest.param(
            "openrouter/google/gemma-4-31b-it:free",
            Usage(input_tokens=10**6, cached_input_tokens=10**6, output_tokens=10**6, reasoning_tokens=10**6),
            "0",
            id="free",
        ),
    ],
)
def test_a_call_costs_exactly(model, usage, usd):
    assert cost.compute(usage, prices(model), at=NOW).usd == Decimal(usd)

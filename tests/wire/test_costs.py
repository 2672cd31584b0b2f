"""Our costs against OpenRouter's own, which its answers carry: by our price table, and as the ledger takes them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest

from analytics import cost
from providers.listed_prices import usd_per_unit
from providers.types import Price, Unit, Usage
from tests.process.gateway_process import eventually
from tests.wire import fidelity, openai_gateway
from tests.wire.openai_gateway import Recorded
from tests.wire.recordings import Recording, load, params
from tests.wire.test_openai_usage import read, told

pytestmark = pytest.mark.wire

NOW = datetime(2026, 11, 22, tzinfo=UTC)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)

# USD per million tokens, a web search for one. Prices are those of genai-prices 0.2.3 for the provider "openrouter",
# save where a line says otherwise.
PRICES: dict[str, dict[str, str]] = {
    "anthropic/claude-sonnet-4.5": {"input": "3", "output": "15", "cached_input": "0.3", "cache_write_5m": "3.75"},
    "anthropic/claude-sonnet-4.6": {"input": "3", "output": "15", "cached_input": "0.3", "cache_write_5m": "3.75"},
    # Its price from 2026-10-20 on. A search is Exa's: 7 USD per 1,000 on its price page.
    "deepseek/deepseek-chat": {"input": "0.2574", "output": "1.0287", "web_search": "0.007"},
    "google/gemini-2.5-flash": {"input": "0.3", "output": "2.5", "cached_input": "0.03"},
    # Not in genai-prices: free, as its name says.
    "minimax/minimax-m2:free": {"input": "0", "output": "0"},
    # A search is OpenAI's own: 10 USD per 1,000 calls, as the shipped catalog has it.
    "openai/gpt-4.1-mini": {"input": "0.4", "output": "1.6", "cached_input": "0.1", "web_search": "0.01"},
    "openai/gpt-4o-mini": {"input": "0.15", "output": "0.6", "cached_input": "0.075"},
    "openai/gpt-5-mini": {"input": "0.25", "output": "2", "cached_input": "0.025"},
    # Of the provider "x-ai", where it is grok-4-0709: OpenRouter's list has it no more.
    "x-ai/grok-4": {"input": "3", "output": "15", "cached_input": "0.75"},
    # Its price from 2026-11-03 on.
    "z-ai/glm-4.6": {"input": "0.6", "output": "2.2", "cached_input": "0.11"},
}
DATED = {
    "anthropic/claude-4.5-sonnet-20250929": "anthropic/claude-sonnet-4.5",
    "anthropic/claude-4.6-sonnet-20260217": "anthropic/claude-sonnet-4.6",
    "openai/gpt-5-mini-2025-08-07": "openai/gpt-5-mini",
}
"""Names under which a model answers, and the one it is priced under."""
NAMED = {
    "88477179cda3": ("0.0003253", "0.0003253"),
    "f8fcea5ff058": ("0.0002265", "0.0002265"),
    "2b532573b4f1": ("0.007637029", "0.007637029"),
    "7f6e39d483d8": ("0.0076509169", "0.0076509169"),
    "b7751a7e3f8f": ("0.0133176", "0.0133176"),
    "badbd557a2ef": ("0.0133176", "0.0133176"),
    "4562ac34c481": ("0.0160614", "0.0001764"),
}
"""What a call cost in all, and what it comes to at our prices. Two with a key of the user's own, whose cost the
provider says is nothing and its upstream's stands beside it; two with a search by Exa and two by OpenAI; and one that
asked a second model, of which no usage is told: only the provider knows what that cost."""


def answered_by(recording: Recording) -> str:
    documents = fidelity.payloads(recording.answer) if recording.is_stream else [recording.answer]
    name = msgspec.json.decode(documents[0])["model"]
    return DATED.get(name, name)


def usage_of(recording: Recording) -> Usage:
    usage = read(recording)
    assert usage is not None
    return usage


def computed(recording: Recording) -> Decimal:
    """By our price table, the provider's own figure unread."""
    usage = msgspec.structs.replace(usage_of(recording), reported_cost_usd=None)
    usd = cost.compute(usage, price_rows(PRICES[answered_by(recording)]), at=NOW).usd
    assert usd is not None
    return usd


def price_rows(prices: dict[str, str]) -> list[Price]:
    return [Price(Unit(unit), usd_per_unit(unit, Decimal(usd)), 0, LONG_AGO) for unit, usd in prices.items()]


PRICED = [
    recording
    for recording in load("openrouter_chat")
    if not recording.is_error and told(recording).get("cost") is not None
]
PLAIN = [recording for recording in PRICED if recording.id not in NAMED]


def test_no_recording_with_a_cost_is_left_out() -> None:
    if not PRICED:
        pytest.skip("no recordings")
    assert (len(PRICED), len(PLAIN)) == (34, 27)
    assert {recording.id for recording in PRICED} >= NAMED.keys()


class TestByOurPrices:
    @pytest.mark.parametrize("recording", params(PLAIN))
    def test_a_plain_call_costs_what_the_provider_says(self, recording: Recording) -> None:
        reported = usage_of(recording).reported_cost_usd
        assert reported is not None
        assert abs(computed(recording) - reported) <= reported / 100

    @pytest.mark.parametrize("recording", params([recording for recording in PRICED if recording.id in NAMED]))
    def test_a_call_with_more_to_it_costs_what_it_should(self, recording: Recording) -> None:
        total, ours = map(Decimal, NAMED[recording.id])
        reported = usage_of(recording).reported_cost_usd
        assert reported is not None
        assert cost.rounded(reported) == total
        assert cost.rounded(computed(recording)) == ours

    def test_the_provider_itself_counts_what_it_wrote_to_its_cache_within_the_prompt(self) -> None:
        """The figures of the three recordings that wrote to a cache come out only so, to the last digit."""
        written = [recording for recording in PLAIN if usage_of(recording).cache_write_5m_tokens]
        if not PRICED:
            pytest.skip("no recordings")
        assert len(written) == 3
        assert [computed(recording) for recording in written] == [
            usage_of(recording).reported_cost_usd for recording in written
        ]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Any]]]:
    """What the ledger says of each recording with a cost, by the recording's id, after a gateway relayed them all."""
    folder = tmp_path_factory.mktemp("costs")
    with openai_gateway.running(PRICED, folder=folder, prices=PRICES) as recorded:
        ids = {recording.id: _relayed(recorded, recording) for recording in PRICED}
        found = eventually(lambda: _found(recorded, ids), what="all rows")
        yield found


def _relayed(recorded: Recorded, recording: Recording) -> str:
    answer = recorded.exchange(recording).answer
    assert answer.status_code == 200
    return UUID(answer.headers["x-gateway-request-id"]).hex


def _found(recorded: Recorded, ids: dict[str, str]) -> dict[str, dict[str, Any]]:
    rows = recorded.gateway.installation.execute("SELECT * FROM analytics_usagerecord")
    by_request = {row["id"]: row for row in rows}
    return {name: by_request[id] for name, id in ids.items()} if by_request.keys() >= set(ids.values()) else {}


class TestInTheLedger:
    @pytest.mark.parametrize("recording", params(PRICED))
    def test_the_providers_own_cost_is_what_a_call_cost(
        self, rows: dict[str, dict[str, Any]], recording: Recording
    ) -> None:
        row, usage = rows[recording.id], usage_of(recording)
        assert usage.reported_cost_usd is not None
        wanted = NAMED[recording.id][0] if recording.id in NAMED else usage.reported_cost_usd
        assert row["cost_source"] == "provider"
        assert Decimal(str(row["cost_usd"])) == Decimal(str(row["reported_cost_usd"])) == cost.rounded(Decimal(wanted))
        assert not row["is_disputed"]

    @pytest.mark.parametrize("recording", params(PRICED))
    def test_the_row_holds_the_usage_in_its_buckets(
        self, rows: dict[str, dict[str, Any]], recording: Recording
    ) -> None:
        usage, row = usage_of(recording), rows[recording.id]
        kept = [name for name in Usage.__struct_fields__ if name not in ("reported_cost_usd", "is_partial")]
        told = {name: getattr(usage, name) for name in kept}
        assert {name: row[name] for name in told} == told

"""What each provider's recorded calls cost, call by call, against invoices that are kept in `invoices/`.

The recordings go through the dialects' own readers and the ledger's billing. A change of an invoice is a change of what
people are billed: it needs its reason in the commit. They are written anew, to be looked at and tested again, by

    UPDATE_INVOICES=1 uv run pytest -m wire tests/wire/test_invoices.py

Prices are `invoice_prices`'s, with no factor of a dearer tier; a second reckoning, made apart from the product's code,
has to agree.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from gateway.api import bodies
from providers.dialects import anthropic, openai, said
from providers.dialects.anthropic import stream as anthropic_stream
from providers.dialects.openai_stream import EventReader
from providers.listed_prices import usd_per_unit
from providers.tokens import Text
from providers.types import Model, Price, Provider, ProviderError, Timeouts, Unit, Usage
from routing import counting
from routing.bills import Bill, Priced
from tests.wire import second_reckoning
from tests.wire.invoice_prices import PRICES
from tests.wire.recordings import MISSING, OPENAI_COMPATIBLE, Recording, load

pytestmark = pytest.mark.wire

FOLDER = Path(__file__).with_name("invoices")
NOTE = (
    "What these recorded calls are billed. A change here is a change of what people are billed. To write it anew: "
    "UPDATE_INVOICES=1 uv run pytest -m wire tests/wire/test_invoices.py"
)
NOW = datetime(2026, 11, 22, tzinfo=UTC)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
BUCKETS = [name for name in Usage.__struct_fields__ if name not in ("reported_cost_usd", "is_partial")]
KINDS = {kind.partition("_")[0]: kind for kind in ("anthropic_messages", *OPENAI_COMPATIBLE)}
CALLS = {
    "anthropic": 165,
    "cerebras": 1,
    "deepseek": 4,
    "groq": 42,
    "mistral": 37,
    "ollama": 1,
    "openai": 85,
    "openrouter": 40,
}
COUNTED = {"99d447425eb8"}
"""Groq's stream that an error cut off before any usage came."""

vendors = pytest.mark.parametrize("vendor", sorted(PRICES))


def answered(vendor: str) -> list[Recording]:
    if not (found := load(KINDS[vendor])):
        pytest.skip(MISSING)
    return [recording for recording in found if not recording.is_error]


@cache
def model(vendor: str, name: str) -> Model:
    prices = PRICES[vendor][name].items()
    timeouts = Timeouts(1.0, 1.0, 1.0, 1.0)
    provider = Provider(1, vendor, vendor, "openai", "http://x", False, False, None, True, {}, timeouts)
    rows = tuple(Price(Unit(unit), usd_per_unit(unit, Decimal(usd)), 0, LONG_AGO) for unit, usd in prices)
    return Model(1, provider, name, "", None, None, 0, frozenset(), rows, LONG_AGO)


def read(recording: Recording) -> tuple[Usage | None, Text]:
    """What the dialect's reader makes of the answer: its usage, and what it says."""
    is_anthropic = recording.vendor == "anthropic"
    if not recording.is_stream:
        answer = (anthropic if is_anthropic else openai).read_answer(recording.answer)
        return answer.usage, said.of_answer(answer.body)
    reader = (anthropic_stream.EventReader if is_anthropic else EventReader)(keep_usage=True)
    try:
        reader.feed(recording.answer)
        reader.end()
    except ProviderError as error:
        return reader.usage or error.usage, reader.said.text()
    return reader.usage, reader.said.text()


async def billed(recording: Recording) -> Bill:
    usage, text = read(recording)
    priced = Priced(model(recording.vendor, recording.model), None, NOW)
    if usage is not None and not usage.is_partial:
        return priced.told(usage, most=usage)
    request = bodies.chat_request(recording.question)
    found = await counting.count(request, said=lambda: text, usage=usage)
    assert found is not None
    counted = Usage(input_tokens=found.input_tokens, output_tokens=found.output_tokens)
    return priced.counted(counted, most=counted)


def line(bill: Bill, *, of: str) -> dict[str, Any]:
    """A call on the invoice; what is nothing is left out."""
    tokens = {name: value for name in BUCKETS if (value := getattr(bill.usage, name))}
    told = {} if bill.reported_usd is None else {"reported_usd": f"{bill.reported_usd:f}"}
    source = {"cost_usd": f"{bill.usd:f}", "cost_source": bill.source.value}
    return {"model": of} | tokens | source | told | ({"is_disputed": True} if bill.is_disputed else {})


def total(lines: Iterable[dict[str, Any]]) -> dict[str, Any]:
    found = list(lines)
    tokens = {name: value for name in BUCKETS if (value := sum(line.get(name, 0) for line in found))}
    return {"calls": len(found)} | tokens | {"cost_usd": f"{sum(Decimal(line['cost_usd']) for line in found):f}"}


async def invoice(vendor: str) -> dict[str, Any]:
    recordings = answered(vendor)
    lines = {recording.id: line(await billed(recording), of=recording.model) for recording in recordings}
    models = sorted({line["model"] for line in lines.values()})
    by_model = {name: total(line for line in lines.values() if line["model"] == name) for name in models}
    return {"note": NOTE, "total": total(lines.values()), "models": by_model, "calls": dict(sorted(lines.items()))}


def written(made: dict[str, Any]) -> str:
    """One line for a call and for a model, so that a change of one is a change of one line."""
    parts = [f' "note": {json.dumps(made["note"])}', f' "total": {json.dumps(made["total"])}']
    for name in ("models", "calls"):
        rows = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in made[name].items())
        parts.append(f' "{name}": {{\n{rows}\n }}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


@vendors
async def test_every_call_is_billed_as_its_invoice_says(vendor: str) -> None:
    made, path = await invoice(vendor), FOLDER / f"{vendor}.json"
    if os.environ.get("UPDATE_INVOICES"):
        path.write_text(written(made))
    assert made == json.loads(path.read_text())


@vendors
def test_no_call_is_left_out(vendor: str) -> None:
    recordings = answered(vendor)
    assert {recording.id for recording in recordings} == json.loads((FOLDER / f"{vendor}.json").read_text())[
        "calls"
    ].keys()
    assert len(recordings) == CALLS[vendor]


@vendors
def test_a_second_reckoning_agrees_call_by_call_and_in_all(vendor: str) -> None:
    kept = json.loads((FOLDER / f"{vendor}.json").read_text())
    sums: dict[str, int] = dict.fromkeys(kept["models"], 0)
    for recording in answered(vendor):
        on_invoice = kept["calls"][recording.id]
        usage = second_reckoning.usage_told(recording.answer, is_stream=recording.is_stream)
        assert bool(usage) is (recording.id not in COUNTED)
        if not usage:  # the tokens can only be taken from the invoice: nobody told them
            usage = {"prompt_tokens": on_invoice["input_tokens"], "completion_tokens": on_invoice["output_tokens"]}
        units = second_reckoning.cost(usage, PRICES[vendor][recording.model])
        assert units == units_of(on_invoice["cost_usd"]), recording.id
        sums[recording.model] += units
    assert sums == {name: units_of(row["cost_usd"]) for name, row in kept["models"].items()}
    assert sum(sums.values()) == units_of(kept["total"]["cost_usd"])


def units_of(usd: str) -> int:
    return int(Decimal(usd) * second_reckoning.UNITS)


@vendors
def test_the_source_of_a_cost_is_the_surest_that_was_there(vendor: str) -> None:
    kept = json.loads((FOLDER / f"{vendor}.json").read_text())["calls"]
    for id, row in kept.items():
        usual = "provider" if "reported_usd" in row else "price"
        assert row["cost_source"] == ("counted" if id in COUNTED else usual)

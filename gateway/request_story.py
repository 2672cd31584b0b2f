"""One request of the ledger as a person reads it: who asked what, how it was judged, what was planned, tried, used and
paid. Lines of text; what a row does not know is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from analytics.models import CostSource, Outcome, UsageRecord
from analytics.record_models import NOT_KNOWN_OF_INTERRUPTED
from gateway.usage_rows import money
from gateway.wording import counted

_TOKENS = {
    "input_tokens": "input",
    "cached_input_tokens": "cached input",
    "cache_write_5m_tokens": "written to a cache for 5 minutes",
    "cache_write_1h_tokens": "written to a cache for an hour",
    "output_tokens": "output",
    "reasoning_tokens": "of it reasoning",
}

_COUNTED = {"web_searches": ("web search", "web searches"), "images": ("image", "images")}


def lines(row: UsageRecord, *, zone: str) -> Iterator[str]:
    decision: dict[str, Any] = row.decision if isinstance(row.decision, dict) else {}
    yield f"Request {row.id}"
    yield _line("when", f"{row.started_at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S.%f} {zone}")
    yield _line("who", f"{row.key_name} of {row.project}" + (f", session {row.session}" if row.session else ""))
    yield _line("asked for", asked(row))
    yield _line("ended", ended(row))
    yield from _judged(row, decision)
    yield from _planned(decision)
    yield from _tried(row)
    yield from _paid(row, zone=zone)


def _line(name: str, words: str) -> str:
    return f"  {name:<12} {words}"


def asked(row: UsageRecord) -> str:
    """For which model, and what it had to be able to do."""
    need: Mapping[str, Any] = (row.decision.get("need") or {}) if isinstance(row.decision, dict) else {}
    told = [row.requested_model + (" as a stream" if row.is_stream else "")]
    told += [counted(need[f"{name}s"], name) for name in ("turn", "tool", "file") if need.get(f"{name}s")]
    if need.get("capabilities"):
        told.append(f"needs {', '.join(need['capabilities'])}")
    if need.get("max_output_tokens"):
        told.append(f"at most {need['max_output_tokens']:,} tokens")
    if need.get("max_cost_usd"):
        told.append(f"at most ${need['max_cost_usd']}")
    return f"{', '.join(told)} ({row.kind})"


def ended(row: UsageRecord) -> str:
    """How and when."""
    if row.outcome == Outcome.INTERRUPTED:
        return f"interrupted: {Outcome.INTERRUPTED.label.lower()}; {NOT_KNOWN_OF_INTERRUPTED}"
    told = f"{row.outcome} {row.status} after {row.duration_ms:,.0f} ms"
    if row.first_token_ms is not None:
        told += f", first token after {row.first_token_ms:,.0f} ms"
    if row.finish_reason:
        told += f", finish reason {row.finish_reason}"
    if row.is_capped:
        told += ", cut to what its budget had left"
    if row.error_kind or row.error_message:
        told += f"; {row.error_kind}: {row.error_message}" if row.error_kind else f"; {row.error_message}"
    return told


def _judged(row: UsageRecord, decision: Mapping[str, Any]) -> Iterator[str]:
    if row.score is not None:
        reasons = ", ".join(f"{name} {points:+.2f}" for name, points in decision.get("reasons") or [])
        yield _line("score", f"{row.score:.2f}" + (f" ({reasons})" if reasons else ""))
    if decision.get("entry_reason"):
        yield _line("entered at", f"{decision.get('entry') or 'the model named'} ({decision['entry_reason']})")
    if decision.get("ceiling"):
        yield _line("no higher", f"{decision['ceiling']}, for its budget")


def _planned(decision: Mapping[str, Any]) -> Iterator[str]:
    if decision.get("is_last_resort"):
        yield _line("last resort", "all else was out of order: the model that is due first is tried once")
    for number, (model, layer) in enumerate(decision.get("attempts") or [], 1):
        yield _line("plan" if number == 1 else "", f"{number}. {model} of {layer or 'no layer'}")
    for number, (model, layer, reason, detail) in enumerate(decision.get("dropped") or []):
        told = f"{model} of {layer or 'no layer'}: {reason}" + (f" ({detail})" if detail else "")
        yield _line("dropped" if not number else "", told)


def _tried(row: UsageRecord) -> Iterator[str]:
    for number, step in enumerate(row.trail if isinstance(row.trail, list) else [], 1):
        status = f" {step['status']}" if step.get("status") else ""
        told = (
            f"{number}. {step.get('provider')}/{step.get('model')} of {step.get('layer') or 'no layer'}: "
            f"{step.get('outcome')}{status}, at {step.get('started_ms', 0):,.0f} ms "
            f"for {step.get('duration_ms', 0):,.0f} ms"
        )
        waited_ms = step.get("waited_ms") or 0
        told += f", waited {waited_ms:,.0f} ms for a place before that" if waited_ms >= 1 else ""
        if step.get("malformed"):
            told += f"; {counted(step['malformed'], 'event')} could not be read"
        yield _line("attempts" if number == 1 else "", told + (f"; {step['message']}" if step.get("message") else ""))
    if row.model:
        other = ", not the first model tried" if row.fell_back else ""
        is_answered = row.outcome == Outcome.OK or row.first_token_ms is not None
        yield _line(
            "answered by" if is_answered else "last tried",
            f"{row.provider}/{row.model} of {row.layer or 'no layer'}{other}",
        )


def _paid(row: UsageRecord, *, zone: str) -> Iterator[str]:
    used = [f"{getattr(row, name):,} {words}" for name, words in _TOKENS.items() if getattr(row, name)]
    used += [f"{many:,} {words[many > 1]}" for name, words in _COUNTED.items() if (many := getattr(row, name))]
    yield _line("tokens", ", ".join(used) or ("not known" if row.outcome == Outcome.INTERRUPTED else "none"))
    told = f"${money(row.cost_usd)} ({CostSource(row.cost_source).label.lower()})"
    if row.reported_cost_usd is not None and row.computed_cost_usd is not None:
        told += f"; the provider said ${money(row.reported_cost_usd)}, our price makes ${money(row.computed_cost_usd)}"
    if row.is_disputed:
        told += "; disputed"
    if row.budget_usd != row.cost_usd:
        told += f"; budgets counted ${money(row.budget_usd)}"
    yield _line("cost", told)
    prices = row.prices if isinstance(row.prices, dict) else {}
    if prices:
        each = (f"{unit.replace('_', ' ')} {price(told, zone=zone)}" for unit, told in prices.items())
        yield _line("prices", ", ".join(each))


def price(told: object, *, zone: str) -> str:
    """Of one unit, with what a row tells beside it; rows from before they told it have USD alone."""
    if not isinstance(told, dict):
        return f"${told}"
    more = []
    if "valid_from" in told:
        more.append(f"since {datetime.fromisoformat(told['valid_from']).astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}")
    more += [f"from {told['from_tokens']} tokens"] if "from_tokens" in told else []
    more += [f"as {told['unit'].replace('_', ' ')}"] if "unit" in told else []
    more += [f"{told['factor']} times the list price"] if "factor" in told else []
    return f"${told.get('usd')}" + (f" ({', '.join(more)})" if more else "")

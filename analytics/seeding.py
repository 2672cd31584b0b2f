"""Made-up usage, to see how an installation does with millions of rows: who asks, for which model, when, how long it
takes, what it costs. Pure: gives lines for PostgreSQL's COPY, knows no database.

Keys and models are drawn by Zipf's law, each key has a few models of its own, days have a busy noon and weeks a quiet
end. Every project, key and model has a number below zero, which none in a real database has.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from itertools import accumulate
from typing import NamedTuple

import msgspec

from analytics import series

PROJECTS = 20
LAYERS = ("L0", "L1", "L2", "L3")
PROVIDERS = ("alder", "birch", "cedar", "dogwood", "elm")
SHAPES = 1 << 14
"""So many lengths of texts and answers are drawn beforehand; a request takes one of them."""
COLUMNS = (
    "id",
    "started_at",
    "kind",
    "outcome",
    "status",
    "error_kind",
    "error_message",
    "finish_reason",
    "project_id",
    "project",
    "key_id",
    "key_name",
    "requested_model",
    "provider",
    "model_id",
    "model",
    "layer",
    "is_stream",
    "session",
    "score",
    "attempts",
    "fell_back",
    "decision",
    "trail",
    "input_tokens",
    "cached_input_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
    "web_searches",
    "images",
    "cost_usd",
    "budget_usd",
    "computed_cost_usd",
    "cost_source",
    "is_disputed",
    "is_capped",
    "prices",
    "duration_ms",
    "first_token_ms",
)
_PER_USD = 10**10
_HOUR_MS = 3_600_000
_HOURS = (2, 1, 1, 1, 1, 2, 4, 7, 10, 12, 13, 13, 12, 12, 13, 13, 12, 10, 8, 7, 6, 5, 4, 3)
"""How busy each hour of a day is, beside the others."""
_WEEKDAYS = (10, 11, 11, 11, 10, 4, 3)


@dataclass(frozen=True, slots=True)
class Plan:
    rows: int
    days: int
    keys: int
    models: int
    seed: int
    until: datetime
    """Of the last row; whole days of UTC up to it."""

    def per_day(self) -> list[tuple[datetime, int]]:
        """The days, oldest first, and how many requests each has; the last one is as long as it has lasted."""
        today = self.until.replace(hour=0, minute=0, second=0, microsecond=0)
        starts = [today - timedelta(days=back) for back in reversed(range(self.days))]
        weights = [_WEEKDAYS[day.weekday()] * (self.until - day if day == today else _DAY) / _DAY for day in starts]
        edges = [round(self.rows * part / sum(weights)) for part in accumulate(weights, initial=0.0)]
        return [(day, edges[number + 1] - edges[number]) for number, day in enumerate(starts)]


_DAY = timedelta(days=1)


class Ending(NamedTuple):
    """How a request ends, and how many of 10,000 do."""

    share: int
    outcome: str = "ok"
    status: int = 200
    error_kind: str = ""
    error_message: str = ""
    finish_reason: str = ""
    attempts: int = 1
    is_answered: bool = True


ENDINGS = (
    Ending(8_700, finish_reason="stop"),
    Ending(450, finish_reason="length"),
    Ending(400, finish_reason="stop", attempts=2),
    Ending(180, "error", 502, "server_error", "the provider answered 503", is_answered=False, attempts=3),
    Ending(70, "error", 504, "timeout", "no content came within 120 s", is_answered=False, attempts=2),
    Ending(60, "error", 400, "rejected", "the provider refused the request", is_answered=False),
    Ending(50, "error", 402, "budget", "A budget is reached.", is_answered=False, attempts=0),
    Ending(20, "error", 200, "broken_stream", "the stream ended without a finish reason"),
    Ending(68, "cancelled", 499),
    Ending(2, "interrupted", 0, is_answered=False),
)


class Combo(NamedTuple):
    """A key with one of its models: what most columns of a row are told by."""

    project_id: int
    project: str
    key_id: int
    key_name: str
    provider: str
    model_id: int
    model: str
    layer: str
    input_price: int
    """For one token, in ten-billionths of a dollar; a cached one costs a tenth."""
    output_price: int

    def dimensions(self, ending: Ending) -> series.Dimensions:
        """Of a request that ends so."""
        status = series.status_class(ending.outcome, ending.status)
        whose = (self.project_id, self.project, self.key_id, self.key_name)
        by = (self.provider, self.model) if ending.attempts else ("", "")
        layer = self.layer if ending.attempts else ""
        return series.Dimensions("chat", status, ending.error_kind, layer, *whose, *by)


class _Shape(NamedTuple):
    """How long a request and its answer are, and how long they take."""

    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    duration_ms: str
    first_token_ms: str
    score: str


_NOTHING = _Shape(0, 0, 0, "1.2345", r"\N", "0.25")


class _Frame(NamedTuple):
    """The columns of a row that a combo and an ending tell: before the score, behind it, and behind the cost."""

    ending: Ending
    prices: tuple[int, int]
    before: str
    behind: str
    last: str


class Maker:
    """Makes the rows of a plan; the same plan makes the same ones."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        draw = random.Random(plan.seed)  # noqa: S311 - nobody's secret depends on it
        self.combos, weights = _combos(plan, draw=draw)
        frames = [
            (_frame(combo, ending), weight * ending.share)
            for combo, weight in zip(self.combos, weights, strict=True)
            for ending in ENDINGS
        ]
        self._frames = [frame for frame, _ in frames]
        self._weights = list(accumulate(weight for _, weight in frames))
        self._shapes = [_shape(draw) for _ in range(SHAPES)]

    def lines(self, day: datetime, count: int) -> Iterator[str]:
        """The day's rows in order of time, each as a line of COPY's text form in the order of `COLUMNS`."""
        draw = random.Random(f"{self._plan.seed} {day:%Y-%m-%d}")  # noqa: S311 - nobody's secret depends on it
        frames = draw.choices(self._frames, cum_weights=self._weights, k=count)
        shapes = draw.choices(self._shapes, k=count)
        moments = _moments(day, min(day + _DAY, self._plan.until), count, draw=draw)
        for at_ms, frame, shape in zip(moments, frames, shapes, strict=True):
            yield _line(at_ms, frame, shape if frame.ending.attempts else _NOTHING, bits=draw.getrandbits(74))


def _line(at_ms: int, frame: _Frame, shape: _Shape, *, bits: int) -> str:
    tokens, cached, output, duration_ms, first_ms, score = shape
    if not frame.ending.is_answered:
        output, first_ms = 0, r"\N"
    per_input, per_output = frame.prices
    cost = (tokens * 10 + cached) * per_input // 10 + output * per_output
    usd = f"{cost // _PER_USD}.{cost % _PER_USD:010d}"
    return (
        f"{_uuid(at_ms, bits)}\t{_stamp(at_ms)}\t{frame.before}\t{score}\t{frame.behind}\t{tokens}\t{cached}\t0\t0"
        f"\t{output}\t0\t0\t0\t{usd}\t{usd}\t{usd}\t{frame.last}\t{duration_ms}\t{first_ms}\n"
    )


def _uuid(at_ms: int, bits: int) -> str:
    """A UUIDv7 of that millisecond (RFC 9562, section 5.7), its other 74 bits given."""
    low = f"{(bits & (1 << 62) - 1) | (2 << 62):016x}"
    return f"{at_ms >> 16:08x}-{at_ms & 0xFFFF:04x}-7{bits >> 62:03x}-{low[:4]}-{low[4:]}"


def _stamp(at_ms: int) -> str:
    """The same millisecond as the ledger has it."""
    seconds, ms = divmod(at_ms, 1000)
    day, second = divmod(seconds, 86_400)
    return f"{_date(day)} {second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{ms:03}+00"


@cache
def _date(day: int) -> str:
    return f"{datetime.fromtimestamp(day * 86_400, UTC):%Y-%m-%d}"


def _moments(day: datetime, end: datetime, count: int, *, draw: random.Random) -> list[int]:
    """Milliseconds since 1970, ascending, more of them in busy hours."""
    first_ms, end_ms = (int(moment.timestamp() * 1000) for moment in (day, end))
    hours = [hour for hour in range(24) if first_ms + hour * _HOUR_MS < end_ms]
    chosen = draw.choices(hours, weights=[_HOURS[hour] for hour in hours], k=count)
    found = [first_ms + hour * _HOUR_MS + int(draw.random() * _HOUR_MS) for hour in chosen]
    return sorted(min(moment, end_ms - 1) for moment in found)


def _combos(plan: Plan, *, draw: random.Random) -> tuple[list[Combo], list[float]]:
    """Every key with its models, and how often each is asked for."""
    liked = [1 / (number + 1) for number in range(plan.models)]
    found: list[Combo] = []
    weights: list[float] = []
    for number in range(plan.keys):
        own = sorted(set(draw.choices(range(plan.models), weights=liked, k=6)))
        found += [_combo(number, model) for model in own]
        weights += [1 / (number + 1) ** 1.05 * liked[model] / sum(liked[one] for one in own) for model in own]
    return found, weights


def _combo(key: int, model: int) -> Combo:
    project, layer = key % PROJECTS + 1, model % len(LAYERS)
    provider, price = PROVIDERS[model % len(PROVIDERS)], (0, 2_000, 10_000, 50_000)[layer]
    return Combo(
        project_id=-project,
        project=f"seeded-{project:02}",
        key_id=-key - 1,
        key_name=f"key-{key + 1:03}",
        provider=provider,
        model_id=-model - 1,
        model=f"{provider}-{model + 1:02}",
        layer=LAYERS[layer],
        input_price=price,
        output_price=price * 4,
    )


def _shape(draw: random.Random) -> _Shape:
    tokens = min(int(draw.lognormvariate(6.5, 1.1)) + 8, 120_000)
    cached = tokens // 2 if draw.random() < 0.2 else 0
    output = min(int(draw.lognormvariate(5.2, 0.9)) + 1, 16_000)
    first_ms = draw.lognormvariate(6.0, 0.6)
    # Four places: no duration lies on a histogram's bound, which have three, so that every way to count them agrees.
    took_ms = first_ms + output * draw.uniform(8, 25)
    score = f"{draw.betavariate(2, 4):.3f}"
    return _Shape(tokens - cached, cached, output, f"{took_ms:.3f}5", f"{first_ms:.3f}5", score)


def _frame(combo: Combo, ending: Ending) -> _Frame:
    by = combo.dimensions(ending)
    model_id = str(combo.model_id) if ending.attempts else r"\N"
    what = ["chat", ending.outcome, str(ending.status), ending.error_kind, ending.error_message, ending.finish_reason]
    whose = [str(combo.project_id), combo.project, str(combo.key_id), combo.key_name, "auto"]
    answered = [by.provider, model_id, by.model, by.layer, "f", ""]
    fell_back = "t" if ending.attempts == 2 and ending.outcome == "ok" else "f"
    source = ["price" if ending.attempts else "none", "f", "f", _json(_prices(combo))]
    return _Frame(
        ending,
        (combo.input_price, combo.output_price) if ending.attempts else (0, 0),
        "\t".join(what + whose + answered),
        "\t".join([str(ending.attempts), fell_back, _json(_decision(combo)), _json(_trail(combo, ending))]),
        "\t".join(source),
    )


def _decision(combo: Combo) -> dict[str, object]:
    """As `routing.decision` stores it, without what a back-test needs."""
    attempt = [f"{combo.provider}/{combo.model}", combo.layer]
    return {"entry": combo.layer, "entry_reason": "score", "reasons": [], "attempts": [attempt], "dropped": []}


def _trail(combo: Combo, ending: Ending) -> list[dict[str, object]]:
    outcomes = ["server_error"] * ending.attempts
    if outcomes and ending.outcome != "error":
        outcomes[-1] = "ok"
    step = {"provider": combo.provider, "model": combo.model, "layer": combo.layer, "status": None, "message": ""}
    return [
        step | {"outcome": outcome, "started_ms": 10.0 * number, "duration_ms": 10.0}
        for number, outcome in enumerate(outcomes)
    ]


def _prices(combo: Combo) -> dict[str, object]:
    since = "2020-01-01T00:00:00Z"
    told = {"input": combo.input_price, "output": combo.output_price}
    return {unit: {"usd": f"{Decimal(price) / _PER_USD:f}", "valid_from": since} for unit, price in told.items()}


def _json(value: object) -> str:
    """As COPY's text form takes it."""
    return msgspec.json.encode(value).decode().replace("\\", "\\\\")

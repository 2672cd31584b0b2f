"""Clients that spend a budget, and what their spending comes to by the upstream's own log.

Every try has a nonce: in its prompt (so the upstream has it) and in its X-Session-Id (so its row has it). Lengths of
answers are drawn by the upstream from the nonce: a median of 60 tokens, two in a hundred at the model's maximum. Half
of the tries say no `max_tokens`, half are streams. Starts and kills nothing.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

import aiohttp
import msgspec

from tests.process.gateway_process import Installation
from tests.upstream.log import Call
from tests.upstream.process import RunningUpstream

MODEL = "tailed"
PROMPT_USD, COMPLETION_USD = Decimal("0.000001"), Decimal("0.00002")
"""Of a token, as in catalog.toml."""
LIMITS = (64, 256, 1024)
JSON_CHUNKS = 300
ENDED_S = 20.0
_POLL_S = 0.01


class How(StrEnum):
    """What a client was told."""

    ANSWERED = "answered"
    SPENT = "budget_spent"
    HELD = "budget_held"
    UNAVAILABLE = "budget_unavailable"
    GONE = "gone"
    """The connection was refused, or broke."""


OVER = frozenset({How.ANSWERED, How.SPENT})
"""A client does not try again."""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one try."""

    nonce: str
    how: How
    is_capped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How clients behave."""

    clients: int
    goes_on: bool = False
    """Asks again when answered, until the budget is spent; else a client wants one answer."""
    pause_s: tuple[float, float] = (0.3, 0.9)
    """Before it tries again: between so long and so long."""
    patience: float = 4.0
    """Waits that many times as long as the refusal took at least: a crowd must not be all that a slow machine does."""
    delay_ms: tuple[int, int] = (1, 3)
    """Of the upstream, before each chunk of a stream; a JSON answer takes as long as 300 chunks."""


@dataclass(slots=True)
class Crowd:
    """Clients that all come at once."""

    url: str
    headers: Mapping[str, str]
    dice: random.Random
    manners: Manners
    run: str = field(init=False)
    told: list[Told] = field(default_factory=list)
    is_over: bool = False

    def __post_init__(self) -> None:
        self.run = f"{self.dice.getrandbits(48):012x}"

    @property
    def answered(self) -> int:
        return sum(told.how is How.ANSWERED for told in self.told)

    async def spend(self) -> None:
        """Returns when no client wants to go on."""
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=120)
        async with aiohttp.ClientSession(connector=connector, headers=self.headers, timeout=timeout) as session:
            try:
                await asyncio.gather(*(self._client(session) for _ in range(self.manners.clients)))
            finally:
                self.is_over = True

    async def until(self, answered: int) -> None:
        """Returns when so many were answered. Fails the test when no client wants to go on before."""
        while self.answered < answered:
            assert not self.is_over, f"over with {self.answered} answers, waited for {answered}"
            await asyncio.sleep(_POLL_S)

    async def until_under_way(self, requests: int, *, upstream: RunningUpstream) -> None:
        """Returns when so many of its tries are being answered. Fails the test when that does not come."""
        while sum(self.has(call) and call.answer is None for call in upstream.calls()) < requests:
            assert not self.is_over, f"over, waited for {requests} under way"
            await asyncio.sleep(_POLL_S)

    def has(self, call: Call) -> bool:
        return self.run in (call.request.body or "")

    def nonce(self) -> str:
        return f"{self.run}-{self.dice.getrandbits(48):012x}"

    def prompt(self, nonce: str, *, stream: bool) -> str:
        delay_ms = self.dice.uniform(*self.manners.delay_ms) * (1 if stream else JSON_CHUNKS)
        return f"#!tail=60;most=4096;delay_ms={delay_ms:.1f}\n{nonce}"

    async def _client(self, session: aiohttp.ClientSession) -> None:
        while True:
            asked_at = time.monotonic()
            told = await self._ask(session)
            took_s = time.monotonic() - asked_at
            self.told.append(told)
            if told.how is How.SPENT or (told.how is How.ANSWERED and not self.manners.goes_on):
                return
            if told.how not in OVER:
                await asyncio.sleep(max(self.dice.uniform(*self.manners.pause_s), self.manners.patience * took_s))

    async def _ask(self, session: aiohttp.ClientSession) -> Told:
        nonce, stream = self.nonce(), self.dice.random() < 0.5
        message = {"role": "user", "content": self.prompt(nonce, stream=stream)}
        body: dict[str, Any] = {"model": MODEL, "messages": [message], "stream": stream}
        if self.dice.random() < 0.5:
            body["max_tokens"] = self.dice.choice(LIMITS)
        try:
            async with session.post(self.url, json=body, headers={"X-Session-Id": nonce}) as response:
                return _told(nonce, response, await response.read())
        except (aiohttp.ClientError, ConnectionError):
            return Told(nonce, How.GONE)


def _told(nonce: str, response: aiohttp.ClientResponse, body: bytes) -> Told:
    if response.status != 200:
        code = "" if response.content_type != "application/json" else _code(body)
        assert code in set(How), f"{response.status}: {body.decode(errors='replace')[:500]}"
        return Told(nonce, How(code))
    if response.content_type == "text/event-stream":
        if not body.endswith(b"data: [DONE]\n\n"):
            return Told(nonce, How.GONE)
        return Told(nonce, How.ANSWERED, is_capped=b": X-Gateway-Capped: budget" in body)
    return Told(nonce, How.ANSWERED, is_capped="X-Gateway-Capped" in response.headers)


def _code(body: bytes) -> str:
    return str(msgspec.json.decode(body)["error"]["code"])


@dataclass(frozen=True, slots=True)
class Aftermath:
    """All three sides of the story, once every server has settled its affairs."""

    told: list[Told]
    calls: list[Call]
    """Of this run, in the upstream's log."""
    rows: list[dict[str, Any]]
    """All in the ledger."""

    @property
    def spent_usd(self) -> Decimal:
        """By the upstream's log alone."""
        return sum((_billed_usd(call) for call in self.calls), Decimal(0))

    @property
    def counted_usd(self) -> Decimal:
        """By the ledger: what budgets count."""
        return sum((Decimal(str(row["budget_usd"])) for row in self.rows), Decimal(0))

    @property
    def capped_share(self) -> float:
        answered = [told for told in self.told if told.how is How.ANSWERED]
        return sum(told.is_capped for told in answered) / max(len(answered), 1)

    @property
    def interrupted(self) -> int:
        """Requests that a kill found under way."""
        return sum(row["outcome"] == "interrupted" for row in self.rows)

    def says(self) -> str:
        hows = Counter(told.how.value for told in self.told)
        outcomes = Counter(f"{row['outcome']} {row['status']}" for row in self.rows)
        return (
            f"spent ${self.spent_usd:.4f} by the upstream's log, ${self.counted_usd:.4f} by the ledger, in "
            f"{len(self.calls)} calls; {self.capped_share:.1%} of answers capped; clients {dict(hows)}; "
            f"rows {dict(outcomes)}"
        )


def aftermath(crowd: Crowd, *, installation: Installation, upstream: RunningUpstream) -> Aftermath:
    """When the last server has stopped. Fails the test when an answer of the upstream does not end."""
    seen = len(upstream.requests())
    calls = [call for call in upstream.calls(at_least=seen, within_s=ENDED_S) if crowd.has(call)]
    rows = installation.execute(
        "SELECT id, session, key_id, outcome, status, attempts, budget_usd FROM analytics_usagerecord"
    )
    return Aftermath(crowd.told, calls, rows)


def check_spending(found: Aftermath, *, budget_usd: Decimal) -> None:
    """Whatever was killed, deleted or emptied meanwhile."""
    print(found.says())
    assert found.spent_usd <= budget_usd, found.says()
    assert found.counted_usd <= budget_usd, found.says()
    assert all(call.model == MODEL for call in found.calls)


def check_rows(found: Aftermath) -> None:
    """Every call of the upstream has one row, or is one of its attempts."""
    sessions = Counter(row["session"] for row in found.rows if row["session"])
    assert [session for session, count in sessions.items() if count != 1] == []
    called = Counter(_nonce(call) for call in found.calls)
    by_session = {row["session"]: row for row in found.rows if row["session"]}
    for session, row in by_session.items():
        assert _accounts_for(row, calls=called[session]), (row, called[session])
    without_session = sum(count for nonce, count in called.items() if nonce not in by_session)
    assert without_session == sum(row["attempts"] for row in found.rows if not row["session"])
    answered = {told.nonce for told in found.told if told.how is How.ANSWERED}
    assert {by_session[nonce]["outcome"] for nonce in answered} == {"ok"}


def check_refused_unspent(found: Aftermath) -> None:
    called = {_nonce(call) for call in found.calls}
    refused = {told.nonce for told in found.told if told.how in (How.SPENT, How.HELD, How.UNAVAILABLE)}
    assert called.isdisjoint(refused)


def _accounts_for(row: Mapping[str, Any], *, calls: int) -> bool:
    """A killed server may have noted an attempt that it did not come to."""
    if row["outcome"] == "interrupted":
        return bool(row["attempts"] - 1 <= calls <= row["attempts"])
    return bool(row["attempts"] == calls)


def _nonce(call: Call) -> str:
    return str(call.request.json["messages"][-1]["content"]).rpartition("\n")[2]


def _billed_usd(call: Call) -> Decimal:
    return call.prompt_tokens * PROMPT_USD + call.completion_tokens * COMPLETION_USD

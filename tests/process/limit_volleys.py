"""Keys that ask for more than their limits allow, of several processes at once, and what reached the upstream.

Half of the keys are limited in requests, half in tokens. What is judged are arrivals in the upstream's log: the
gateway's clocks and counters have no say, but for one thing, how late a request may have arrived after it was admitted.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp

from tests.process.gateway_process import Gateway, Installation
from tests.process.set_up import LIMITED
from tests.upstream.log import Call
from tests.upstream.process import RunningUpstream

MODEL = "cheap"
KEYS = len(LIMITED)
OF_REQUESTS, OF_TOKENS = LIMITED[::2], LIMITED[1::2]
SLACK = 1 / 128
"""Of a window: so much longer the gateway counts what it has admitted, as it arrives a little later."""
PAUSES = (1 / 60, 1 / 30)
"""Of a window: between a refusal and the next try."""

Arrivals = Sequence[tuple[float, int]]
"""When, in Unix seconds, and how much: in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Volley:
    """Each key has so many askers at each gateway, who ask again at once when answered and a little later when not."""

    window_s: float
    windows: int
    """How long it lasts."""
    requests: int
    """In a window, of half of the keys."""
    tokens: int
    """Of the others."""
    askers: int
    words: int
    """Of each answer."""


@dataclass(frozen=True, slots=True)
class Held:
    """What came of one key's limit."""

    key: str
    limit: int
    most: int
    """In any sliding window."""
    used_share: float
    """Of what its whole windows allow."""
    latest_s: float
    """The longest that a request took from its entry to the upstream, and longer than the gateway allows for."""


def impose(volley: Volley, *, installation: Installation) -> None:
    """Before a server starts."""
    for kind, limit, keys in (
        ("requests_per_minute", volley.requests, OF_REQUESTS),
        ("tokens_per_minute", volley.tokens, OF_TOKENS),
    ):
        names = ", ".join(f"'{key}'" for key in keys)
        installation.execute(f"UPDATE analytics_apikey SET {kind} = {limit} WHERE name IN ({names})")


async def fire(volley: Volley, *, gateways: Sequence[Gateway]) -> None:
    """Each asker has a connection of its own: workers of one server get some of each key's."""
    until = time.monotonic() + volley.windows * volley.window_s
    async with asyncio.TaskGroup() as tasks:
        for gateway in gateways:
            for key in LIMITED:
                for _ in range(volley.askers):
                    tasks.create_task(_ask_until(until, volley=volley, gateway=gateway, key=key))


async def _ask_until(until: float, *, volley: Volley, gateway: Gateway, key: str) -> None:
    async with aiohttp.ClientSession(headers=gateway.headers(key)) as session:
        while time.monotonic() < until:
            nonce = f"{key}-{uuid.uuid4().hex}"
            message = {"role": "user", "content": f"#!chunks={volley.words}\n{nonce}"}
            body = {"model": MODEL, "messages": [message], "max_tokens": volley.words}
            async with session.post(gateway.chat_url, json=body, headers={"X-Session-Id": nonce}) as response:
                said = await response.read()
            assert response.status in (200, 429), said
            if response.status == 429:
                await asyncio.sleep(volley.window_s * random.uniform(*PAUSES))


def held(volley: Volley, *, installation: Installation, upstream: RunningUpstream) -> list[Held]:
    """When every server has stopped."""
    began = installation.execute("SELECT session, started_at FROM analytics_usagerecord")
    by_key: dict[str, list[Call]] = defaultdict(list)
    for call in upstream.calls(at_least=len(upstream.requests())):
        key, _, _ = _nonce(call).partition("-")
        by_key[key].append(call)
    entered = {row["session"]: _unix_s(row["started_at"]) for row in began}
    return [_held(key, by_key[key], volley=volley, entered=entered) for key in LIMITED]


def _held(key: str, calls: Sequence[Call], *, volley: Volley, entered: Mapping[str, float]) -> Held:
    is_requests = key in OF_REQUESTS
    limit = volley.requests if is_requests else volley.tokens
    arrivals = [(call.at, 1 if is_requests else call.prompt_tokens + call.completion_tokens) for call in calls]
    latest_s = max(call.at - entered[_nonce(call)] for call in calls)
    beyond_s = max(latest_s - volley.window_s * SLACK, 0.0)
    # What was admitted within a window arrives within that and what requests are late.
    most = most_within(arrivals, window_s=volley.window_s - beyond_s)
    return Held(key, limit, most, used_share(arrivals, window_s=volley.window_s, limit=limit), beyond_s)


def most_within(arrivals: Arrivals, *, window_s: float) -> int:
    """The most that arrived within any stretch of that length."""
    most = held = oldest = 0
    for at, amount in arrivals:
        held += amount
        while arrivals[oldest][0] <= at - window_s:
            held -= arrivals[oldest][1]
            oldest += 1
        most = max(most, held)
    return most


def used_share(arrivals: Arrivals, *, window_s: float, limit: int) -> float:
    """Of what the limit allows in the whole windows from the first arrival on."""
    began = arrivals[0][0]
    windows = int((arrivals[-1][0] - began) / window_s)
    whole = sum(amount for at, amount in arrivals if at < began + windows * window_s)
    return whole / (windows * limit) if windows else 0.0


def _nonce(call: Call) -> str:
    return str(call.request.json["messages"][-1]["content"]).rpartition("\n")[2]


def _unix_s(moment: object) -> float:
    found = moment if isinstance(moment, datetime) else datetime.fromisoformat(str(moment))
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()

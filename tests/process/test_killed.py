"""The server is killed with `kill -9`, again and again, under load: no call is ever lost, none is counted twice.

The upstream's log is the truth about what was called; the clients know what they were told; the ledger has to agree
with both. A request's nonce stands in its prompt (so the upstream has it) and in its X-Session-Id (so its row has it).
"""

from __future__ import annotations

import asyncio
import os
import random
import uuid
from collections import Counter
from dataclasses import dataclass, field

import aiohttp
import pytest

from tests.process import gateway_process
from tests.process.gateway_process import Gateway, Installation, Row, eventually
from tests.upstream.process import RunningUpstream

CLIENTS = 50
KILLS = 6
EARLIEST_S, LATEST_S = 0.05, 0.6
"""When a server is killed, from the moment its clients start."""
SCRIPTS = (
    ("ok", False),
    ("delay_ms=60", False),
    ("delay_ms=400", False),
    ("chunks=5", True),
    ("chunks=40;delay_ms=10", True),
    ("chunks=200;delay_ms=10", True),
)
"""What a client may ask for, and whether as a stream: what ends quickly, and what a kill finds under way."""
OUTCOMES = {"ok", "error", "cancelled", "interrupted"}


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one request, as its client saw it."""

    nonce: str
    is_complete: bool
    has_content: bool


@dataclass(slots=True)
class Crowd:
    """Fifty clients that ask one thing after the other until their server is gone."""

    dice: random.Random
    told: list[Told] = field(default_factory=list)

    async def besiege(self, gateway: Gateway, *, kill_after_s: float) -> None:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, headers=gateway.headers()) as session:
            clients = [asyncio.create_task(self._ask_until_gone(session, gateway)) for _ in range(CLIENTS)]
            await asyncio.sleep(kill_after_s)
            gateway.kill()
            await asyncio.gather(*clients)

    async def _ask_until_gone(self, session: aiohttp.ClientSession, gateway: Gateway) -> None:
        is_there = True
        while is_there:
            script, stream = self.dice.choice(SCRIPTS)
            told = await _ask(session, gateway, script=script, stream=stream)
            self.told.append(told)
            is_there = told.is_complete


async def _ask(session: aiohttp.ClientSession, gateway: Gateway, *, script: str, stream: bool) -> Told:
    nonce, received = uuid.uuid4().hex, b""
    body = {"model": "cheap", "messages": [{"role": "user", "content": f"#!{script}\n{nonce}"}], "stream": stream}
    try:
        async with session.post(gateway.chat_url, json=body, headers={"X-Session-Id": nonce}) as response:
            assert response.status == 200, await response.text()
            async for received_now in response.content.iter_any():
                received += received_now
    except aiohttp.ClientError:
        return Told(nonce, is_complete=False, has_content=bool(received))
    assert received.endswith(b"data: [DONE]\n\n") or not stream
    return Told(nonce, is_complete=True, has_content=True)


@dataclass(frozen=True, slots=True)
class Aftermath:
    """All three sides of the story, once the last server has settled what the killed ones left."""

    told: list[Told]
    called: Counter[str]
    """How often the upstream was called, by nonce."""
    rows: list[Row]
    spool_folders: list[str]

    @property
    def outcomes(self) -> dict[str, str]:
        return {row.session: row.outcome for row in self.rows}


def killed(installation: Installation, upstream: RunningUpstream, *, times: int, dice: random.Random) -> Aftermath:
    """Starts and kills `times` servers under load, then lets a last one clean up behind them."""
    crowd = Crowd(dice)
    for _ in range(times):
        with gateway_process.start(installation) as gateway:
            asyncio.run(crowd.besiege(gateway, kill_after_s=dice.uniform(EARLIEST_S, LATEST_S)))
    with gateway_process.start(installation) as last:
        eventually(lambda: len(installation.spool_folders) == 1, what="one spool folder", within_s=10)
        assert last.stop() == 0
    nonces = [request.json["messages"][0]["content"].rpartition("\n")[2] for request in upstream.requests()]
    folders = [folder.name for folder in installation.spool_folders]
    return Aftermath(crowd.told, Counter(nonces), installation.rows(), folders)


def check(aftermath: Aftermath) -> None:
    """Everything that has to hold, whenever the kills came."""
    assert aftermath.spool_folders == []
    assert aftermath.called.keys() - aftermath.outcomes.keys() == set(), "called and not in the ledger"
    assert [count for count in Counter(row.session for row in aftermath.rows).values() if count != 1] == []
    assert set(aftermath.outcomes.values()) <= OUTCOMES
    told_whole = [told.nonce for told in aftermath.told if told.is_complete]
    assert {aftermath.outcomes[nonce] for nonce in told_whole} == {"ok"}, "told whole, and not so in the ledger"
    assert set(aftermath.called.values()) == {1}


def check_it_was_hard_enough(aftermath: Aftermath, *, times: int) -> None:
    """The kills found requests before their first content, in the middle of a stream, and settled but not drained."""
    counted = Counter(aftermath.outcomes.values())
    mid_stream = sum(told.has_content and not told.is_complete for told in aftermath.told)
    print(f"{len(aftermath.told)} requests, {mid_stream} cut in mid-stream; rows: {dict(counted)}")
    assert mid_stream >= times
    assert counted["interrupted"] >= 10 * times
    assert counted["ok"] >= 10 * times


def the_dice(request: pytest.FixtureRequest) -> random.Random:
    """The seed that pytest prints at its start, so that `--randomly-seed` kills at the same moments again."""
    seed = request.config.getoption("randomly_seed")
    print(f"seed {seed}")
    return random.Random(seed)


@pytest.mark.process
@pytest.mark.timeout(240)
def test_kills_lose_nothing_and_count_nothing_twice(
    installation: Installation, upstream: RunningUpstream, request: pytest.FixtureRequest
) -> None:
    aftermath = killed(installation, upstream, times=KILLS, dice=the_dice(request))
    check(aftermath)
    check_it_was_hard_enough(aftermath, times=KILLS)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_many_kills_lose_nothing_and_count_nothing_twice(
    installation: Installation, upstream: RunningUpstream, request: pytest.FixtureRequest
) -> None:
    """`GATEWAY_KILLS=300 pytest -m soak`: about two and a half seconds a kill."""
    times = int(os.environ.get("GATEWAY_KILLS", "200"))
    check(killed(installation, upstream, times=times, dice=the_dice(request)))

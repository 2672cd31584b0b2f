"""Puts the cases to a gateway and gathers what came of each: at its client, in the ledger, at the providers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx

from tests.faults.cases import WARMING_CASES, Beside, Case
from tests.faults.table import Mode
from tests.faults.world import World
from tests.process.gateway_process import Row, eventually
from tests.upstream.log import Call

AT_ONCE = 60
"""Cases of a block: as many as two cores answer without being late for the others' deadlines."""
PATIENCE_S = 30.0
LEAVES_AFTER_S = 0.15
LEFT = "left-"
"""Begins the session of a client that leaves."""
DONE = "[DONE]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """What a client received."""

    status: int
    headers: httpx.Headers
    text: str
    """Of the answer, as far as it came."""
    error: dict[str, Any]
    """OpenAI's error object: of the body, or of a stream's last event; {} for none."""
    is_done: bool
    """Whether the answer ended as an answer does: a whole one, or a stream with `[DONE]`."""
    finish_reason: str | None


@dataclass(frozen=True, slots=True)
class Circuit:
    """As `GET /v1/health/routes` tells it."""

    state: str
    cause: str | None
    held_s: float | None
    """From when it was closed last until when it may be called again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """All that came of a case."""

    got: Got
    rows: Sequence[Row]
    calls: Sequence[Call]
    """Of the model that has the fault."""
    healthy_calls: Sequence[Call]
    circuit: Circuit
    """Of the model that has the fault."""
    healthy_circuit: Circuit | None


@dataclass(frozen=True, slots=True)
class Run:
    """All cases, and what was left open after a block of them."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    """By the case's name."""
    left_over: list[str] = field(default_factory=list)
    left_early: dict[str, list[Row]] = field(default_factory=dict)
    """The cases whose clients left, in a block of such, before there was an answer, with the rows of that."""


def run(world: World, cases: Sequence[Case]) -> Run:
    made = Run()
    _warm_up(world)
    before = world.settled()
    got: dict[str, Got] = {}
    for block in _blocks(cases):
        got |= asyncio.run(_ask_all(world, block))
        if told := world.left_over(before):
            made.left_over.append(f"after {block[0].name} to {block[-1].name}: {told}")
    circuits = _circuits(world)
    left = asyncio.run(_leave_all(world, cases))
    if told := world.left_over(before):
        made.left_over.append(f"after clients that left: {told}")
    gathered = _gathered(world, {case.name for case in cases} | {f"{LEFT}{name}" for name in left})
    made.left_early.update({name: gathered[f"{LEFT}{name}"][0] for name in left})
    for case in cases:
        rows, calls = gathered[case.name]
        faulty = [call for call in calls if call.request.json["model"] == case.model]
        healthy = [call for call in calls if call.request.json["model"] == case.healthy_model]
        made.outcomes[case.name] = Outcome(
            got=got[case.name],
            rows=rows,
            calls=faulty,
            healthy_calls=healthy,
            circuit=circuits[case.model],
            healthy_circuit=circuits.get(case.healthy_model),
        )
    return made


def _blocks(cases: Sequence[Case]) -> Iterator[tuple[Case, ...]]:
    """Where a tenth of a second counts, nothing else goes on, least of all a flood. Of the rest neighbours are in
    different blocks, so that each has a little of everything."""
    floods = tuple(case for case in cases if case.fault.floods)
    hasty = tuple(case for case in cases if case.fault.is_hasty)
    rest = tuple(case for case in cases if not (case.fault.floods or case.fault.is_hasty))
    count = -(-len(rest) // AT_ONCE)
    return filter(None, [hasty, *(rest[start::count] for start in range(count)), floods])


def _warm_up(world: World) -> None:
    """What is made on first need is no leak: a connection to each database, the process that counts."""
    for number in range(2):
        asyncio.run(_ask_all(world, WARMING_CASES, session=f"warm{number}"))


def _circuits(world: World) -> dict[str, Circuit]:
    """By model, once what was said last is known."""
    found: dict[str, Circuit] = {}

    def is_steady() -> bool:
        nonlocal found
        before = found
        answer = httpx.get(f"{world.gateway.url}/v1/health/routes", headers=world.gateway.headers()).json()
        found = {one["model"]: Circuit(one["state"], one["cause"], _held_s(one)) for one in answer["data"]}
        return found == before

    eventually(is_steady, what="the circuits at rest", within_s=10)
    return found


def _held_s(told: dict[str, Any]) -> float | None:
    if told["until"] is None:
        return None
    return (datetime.fromisoformat(told["until"]) - datetime.fromisoformat(told["since"])).total_seconds()


async def _ask_all(world: World, cases: Sequence[Case], *, session: str = "") -> dict[str, Got]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(headers=world.gateway.headers(), limits=limits, timeout=PATIENCE_S) as client:
        found = await asyncio.gather(*(_ask(client, world.gateway.chat_url, case, session) for case in cases))
    return {case.name: got for case, got in zip(cases, found, strict=True)}


async def _leave_all(world: World, cases: Sequence[Case]) -> list[str]:
    """Clients that wait for no answer, wherever their provider falls silent or is slow."""
    chosen = [case for case in cases if case.fault.is_hasty or case.fault.name in ("slow-headers", "429-soon")]
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(headers=world.gateway.headers(), limits=limits, timeout=LEAVES_AFTER_S) as client:
        asked = (_ask(client, world.gateway.chat_url, case, f"{LEFT}{case.name}") for case in chosen)
        found = await asyncio.gather(*asked, return_exceptions=True)
    return [case.name for case, one in zip(chosen, found, strict=True) if isinstance(one, httpx.TimeoutException)]


async def _ask(client: httpx.AsyncClient, url: str, case: Case, session: str) -> Got:
    is_fenced = case.beside is not Beside.NEXT_LAYER
    session = session or case.name
    headers = {"X-Session-Id": session, "X-Gateway-Layer": f"={case.layer}" if is_fenced else case.layer}
    asked = {"model": "auto", "messages": [{"role": "user", "content": session}], "stream": case.mode is Mode.SSE}
    response = await client.post(url, headers=headers, json=asked)
    if response.headers["Content-Type"].startswith("text/event-stream"):
        return _got_stream(response)
    body = response.json()
    choice = body["choices"][0] if "choices" in body else {}
    return Got(
        status=response.status_code,
        headers=response.headers,
        text=choice.get("message", {}).get("content") or "",
        error=body.get("error", {}),
        is_done="choices" in body,
        finish_reason=choice.get("finish_reason"),
    )


def _got_stream(response: httpx.Response) -> Got:
    events = [line.removeprefix("data: ") for line in response.text.split("\n") if line.startswith("data: ")]
    chunks = [json.loads(event) for event in events if event != DONE]
    choices = [choice for chunk in chunks for choice in chunk.get("choices", ())]
    reasons = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
    return Got(
        status=response.status_code,
        headers=response.headers,
        text="".join(choice["delta"].get("content") or "" for choice in choices),
        error=chunks[-1].get("error", {}) if chunks else {},
        is_done=events[-1] == DONE,
        finish_reason=reasons[-1] if reasons else None,
    )


def _gathered(world: World, names: Set[str]) -> dict[str, tuple[list[Row], list[Call]]]:
    """Rows and calls by session, once all of them can be there."""

    def rows() -> list[Row]:
        found = [row for row in world.gateway.installation.rows() if row.session in names]
        return found if len(found) >= len(names) else []

    made: dict[str, tuple[list[Row], list[Call]]] = {name: ([], []) for name in names}
    for row in eventually(rows, what="a row for each request", within_s=10):
        made[row.session][0].append(row)
    for call in world.calls():
        if (name := _asked_by(call)) in names:
            made[name][1].append(call)
    return made


def _asked_by(call: Call) -> str:
    """The words of its message, in either dialect."""
    content = call.request.json["messages"][0]["content"]
    return content if isinstance(content, str) else str(content[0]["text"])

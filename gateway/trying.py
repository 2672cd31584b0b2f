"""Tries a provider with one tiny chat, through the use case: recorded in the ledger and paid for like any other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from analytics import callers, cost, ids
from analytics.types import Caller, storable
from gateway import mending, serving
from gateway.api import bodies, over_limit
from gateway.checking import Subject
from gateway.mending import Place, Problem
from providers import embedded
from providers.dialects.openai_stream import text_of
from providers.types import ChatRequest, Model, Usage
from routing import afterwards, chat, runtime, snapshot, streaming
from routing.admission import Parts
from routing.bills import Bill
from routing.chat import Completed
from routing.decision import UnknownModel
from routing.types import DropReason, Snapshot, Wishes

PROMPT = "Reply with the single word OK."
LONGEST_TOKENS = 256
"""Room for a model that thinks before it says one word."""
LONGEST_ASKER = 100
_ASSUMED = Usage(input_tokens=20, output_tokens=100)
"""By what models are compared to find the cheapest."""


@dataclass(frozen=True, slots=True)
class Trial:
    slug: str
    model: str
    problem: Problem | None = None
    answer: str = ""
    is_cut: bool = False
    """Whether it ends at the limit and not by itself."""
    first_token_s: float | None = None
    """Until the first content; None when the answer came as a whole."""
    took_s: float | None = None
    bill: Bill | None = None
    request_id: str = ""


Telling = AsyncGenerator[str | Trial, None]
"""The pieces of an answer as they are written, where it is a stream; the trial at last."""


def run(
    subjects: Sequence[Subject], *, model: str | None, is_stream: bool, done: Callable[[str], None] = lambda slug: None
) -> list[Trial]:
    """Tries one after the other, each with `model` or its cheapest; `done` is told each slug as it is through.

    Raises: SpoolError, StartError.
    """
    with ExitStack() as held:
        if any(subject.provider.slug == embedded.SLUG for subject in subjects):
            held.enter_context(serving.embedded_model())
        config, owner = snapshot.load(), callers.owner()

        async def all_of_them() -> list[Trial]:
            trials = []
            async with runtime.running() as process:
                for subject in subjects:
                    trials.append(
                        await _one(subject, model=model, is_stream=is_stream, config=config, owner=owner, parts=process)
                    )
                    done(subject.provider.slug)
            return trials

        return asyncio.run(all_of_them())


async def _one(
    subject: Subject, *, model: str | None, is_stream: bool, config: Snapshot, owner: Caller, parts: Parts
) -> Trial:
    place = subject.place
    found = cheapest(place.slug, config=config)
    name = model or (found.name if found else "")
    problem = subject.key_problem
    if not subject.enabled:
        problem = mending.not_enabled(place)
    elif not name:
        problem = mending.not_ready(place, why="it has no enabled chat model")
    if problem:
        return Trial(place.slug, name, problem)
    return await attempt(place, model=name, is_stream=is_stream, config=config, owner=owner, parts=parts)


def cheapest(slug: str, *, config: Snapshot) -> Model | None:
    """The provider's cheapest model; one without a price only when there is no other."""
    return min(_models(slug, config=config), key=_dearness, default=None)


def here(subject: Subject, *, model: str, prompt: str, asker: str) -> Telling:
    """In the process that answers requests, as one request among the others: for its event loop. `asker` is the name
    the ledger has for who asked.

    Raises: NotRunning, SnapshotError.
    """
    place = subject.place
    if subject.key_problem is not None or not subject.enabled:
        return _only(Trial(place.slug, model, subject.key_problem or mending.not_enabled(place)))
    config, parts = snapshot.current(), runtime.current()
    owner = replace(callers.owner(), key_name=storable(asker, most=LONGEST_ASKER))
    return _left_with_its_client(
        _telling(place, model=model, is_stream=True, config=config, owner=owner, parts=parts, prompt=prompt)
    )


async def _left_with_its_client(telling: Telling) -> Telling:
    """Reads in a task of its own, which ends when whoever asked is gone, and when the gateway stops. Django tells of
    neither: it cancels what it awaits, or forgets it.

    Raises: NotRunning when the gateway stops.
    """
    parts: asyncio.Queue[str | Trial | Exception | None] = asyncio.Queue()  # no longer than the answer
    reading = afterwards.start(_read(telling, parts), then=lambda: parts.put_nowait(None), is_cut=True)
    try:
        while (part := await parts.get()) is not None:
            if isinstance(part, Exception):
                raise part
            yield part
        if reading is None or reading.cancelled():
            raise runtime.NotRunning
    finally:
        if reading is not None and not reading.done():
            streaming.leave(reading)


async def _read(telling: Telling, parts: asyncio.Queue[str | Trial | Exception | None]) -> None:
    async with aclosing(telling):
        try:
            async for part in telling:
                parts.put_nowait(part)
        except Exception as error:
            parts.put_nowait(error)


async def last(telling: Telling) -> Trial:
    """What came of it. Raises: SpoolError; NotRunning when the gateway stops."""
    return [part async for part in telling if isinstance(part, Trial)][-1]


async def attempt(
    place: Place,
    *,
    model: str,
    is_stream: bool,
    config: Snapshot,
    owner: Caller,
    parts: Parts,
    prompt: str = PROMPT,
) -> Trial:
    """Asks once, and that model alone. Raises: SpoolError."""
    return await last(
        _telling(place, model=model, is_stream=is_stream, config=config, owner=owner, parts=parts, prompt=prompt)
    )


async def _only(trial: Trial) -> Telling:
    yield trial


async def _telling(
    place: Place, *, model: str, is_stream: bool, config: Snapshot, owner: Caller, parts: Parts, prompt: str
) -> Telling:
    """Raises: SpoolError."""
    request = _request(place, model=model, is_stream=is_stream, prompt=prompt)
    request_id, started_at = ids.new(), time.monotonic()
    begun = Trial(place.slug, model, request_id=str(request_id))
    ask = chat.stream if is_stream else chat.complete
    try:
        answer = await ask(request, wishes=Wishes(), caller=owner, snapshot=config, request_id=request_id, parts=parts)
    except (*over_limit.REFUSALS, chat.ChatError, UnknownModel) as error:
        yield replace(begun, problem=_problem(error, place=place, model=model, caller=owner))
        return
    answered_s = time.monotonic() - started_at
    if isinstance(answer, Completed):
        is_cut = answer.answer.finish_reason == "length"
        yield replace(begun, answer=_said(answer.answer.body), is_cut=is_cut, took_s=answered_s, bill=answer.bill)
        return
    text: list[str] = []
    try:
        async for frames in answer.frames():
            text.append(text_of(frames))
            yield text[-1]
    finally:
        answer.close()
    problem = mending.failed(place, error=answer.error, model=model) if answer.error else None
    told = replace(begun, problem=problem, answer="".join(text), is_cut=answer.is_cut, first_token_s=answered_s)
    yield replace(told, took_s=time.monotonic() - started_at, bill=answer.bill)


def _request(place: Place, *, model: str, is_stream: bool, prompt: str) -> ChatRequest:
    body = {
        "model": f"{place.slug}/{model}",
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": LONGEST_TOKENS,
        "stream": is_stream,
    }
    return bodies.chat_request(msgspec.json.encode(body))


def _said(body: bytes) -> str:
    """The text of an answer that was read before; '' where it has none."""
    content = msgspec.json.decode(body)["choices"][0]["message"].get("content")
    return content if isinstance(content, str) else ""


def _problem(error: Exception, *, place: Place, model: str, caller: Caller) -> Problem:
    if isinstance(error, over_limit.REFUSALS):
        return mending.held_back(why=over_limit.refusal(error, caller=caller, at=time.time()).message)
    if isinstance(error, chat.ChatError):
        return _unanswered(error, place=place, model=model)
    near = f"; close to it: {', '.join(error.near)}" if isinstance(error, UnknownModel) and error.near else ""
    return mending.not_ready(place, why=f"it has no enabled model {model!r}{near}")


def _unanswered(failure: chat.ChatError, *, place: Place, model: str) -> Problem:
    if isinstance(failure, chat.NobodyAnswered) and failure.error is not None:
        return mending.failed(place, error=failure.error, model=model)
    reasons = {dropped.reason for dropped in failure.decision.plan.dropped}
    if DropReason.NO_CREDENTIAL in reasons:
        return mending.no_key(place)
    if DropReason.PRICE_UNKNOWN in reasons:
        return mending.no_price(place, model=model)
    return mending.not_ready(place, why=str(failure))


def _models(slug: str, *, config: Snapshot) -> list[Model]:
    found = {
        candidate.model.id: candidate.model
        for candidates in config.served.values()
        for candidate in candidates
        if candidate.model.provider.slug == slug
    }
    return list(found.values())


def _dearness(model: Model) -> tuple[bool, Decimal, str]:
    usd = cost.compute(_ASSUMED, model.prices, at=datetime.now(UTC)).usd
    return usd is None, usd or Decimal(0), model.name

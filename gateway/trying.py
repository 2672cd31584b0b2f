"""Tries a provider with one tiny chat, through the use case: recorded in the ledger and paid for like any other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
from asgiref.sync import async_to_sync

from analytics import callers, cost, ids
from analytics.types import Caller, storable
from gateway import mending, serving
from gateway.api import bodies, over_limit
from gateway.checking import Subject
from gateway.mending import Place, Problem
from providers import embedded
from providers.dialects.openai_stream import text_of
from providers.types import ChatRequest, Model, Usage
from routing import chat, decision, runtime, snapshot
from routing.admission import Parts
from routing.bills import Bill
from routing.streaming import Streaming
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
    first_token_s: float | None = None
    """Until the first content; None when the answer came as a whole."""
    took_s: float | None = None
    bill: Bill | None = None
    request_id: str = ""


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


def here(subject: Subject, *, model: str, prompt: str, asker: str) -> Trial:
    """In the process that answers requests, from the thread of a view: on its event loop, as one request among the
    others. `asker` is the name the ledger has for who asked.

    Raises: NotRunning, SnapshotError, SpoolError.
    """
    if subject.key_problem is not None or not subject.enabled:
        return Trial(subject.place.slug, model, subject.key_problem or mending.not_enabled(subject.place))
    caller = replace(callers.owner(), key_name=storable(asker, most=LONGEST_ASKER))
    return async_to_sync(attempt)(
        subject.place,
        model=model,
        is_stream=True,
        config=snapshot.current(),
        owner=caller,
        parts=runtime.current(),
        prompt=prompt,
    )


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
    request = _request(place, model=model, is_stream=is_stream, prompt=prompt)
    request_id, started_at = ids.new(), time.monotonic()
    begun = Trial(place.slug, model, request_id=str(request_id))
    try:
        if is_stream:
            stream = await chat.stream(
                request, wishes=Wishes(), caller=owner, snapshot=config, request_id=request_id, parts=parts
            )
            return await _streamed(begun, place=place, stream=stream, started_at=started_at)
        whole = await chat.complete(
            request, wishes=Wishes(), caller=owner, snapshot=config, request_id=request_id, parts=parts
        )
    except over_limit.REFUSALS as refused:
        said = over_limit.refusal(refused, caller=owner, at=time.time())
        return replace(begun, problem=mending.held_back(why=said.message))
    except chat.ChatError as failure:
        return replace(begun, problem=_problem(place, failure=failure, model=model))
    except decision.UnknownModel as error:
        near = f"; close to it: {', '.join(error.near)}" if error.near else ""
        return replace(begun, problem=mending.not_ready(place, why=f"it has no enabled model {model!r}{near}"))
    took_s = time.monotonic() - started_at
    return replace(begun, answer=_said(whole.answer.body), took_s=took_s, bill=whole.bill)


async def _streamed(begun: Trial, *, place: Place, stream: Streaming, started_at: float) -> Trial:
    first_token_s = time.monotonic() - started_at
    try:
        text = "".join([text_of(frames) async for frames in stream.frames()])
    finally:
        stream.close()
    problem = mending.failed(place, error=stream.error, model=begun.model) if stream.error else None
    took_s = time.monotonic() - started_at
    return replace(begun, problem=problem, answer=text, first_token_s=first_token_s, took_s=took_s, bill=stream.bill)


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


def _problem(place: Place, *, failure: chat.ChatError, model: str) -> Problem:
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

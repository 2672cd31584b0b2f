"""Finds what is there: providers that accept the key we have for them, and model servers on this machine.

Looks and tells; what comes of it is written by `gateway.adoption`. Never prints, logs or stores a key.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from rich.table import Table

from gateway import asking
from providers import door, rows
from providers.dialects.spoken import dialect_of
from providers.models import Provider as ProviderRow
from providers.types import Provider, ProviderError, Timeouts

LOCAL_SLUGS = ("ollama", "lmstudio", "llamacpp", "vllm")
LOCAL_CONNECT_S = 0.5
TIMEOUT_S = 3.0
"""Seconds for one provider's whole answer; all are asked at once."""
NAMED = 3
"""Models of one server that the table names; the others are counted."""

_MOST_MODELS = 200
_LONGEST_NAME = 200
_NOT_FOR_CHAT = re.compile(r"embed|rerank|minilm|whisper|(^|[/_-])(bge|e5|gte|tts)[-_]", re.IGNORECASE)


class State(StrEnum):
    FOUND = "found"
    KEY_REFUSED = "key refused"
    UNREACHABLE = "unreachable"
    NOT_RUNNING = "not running"


@dataclass(frozen=True, slots=True)
class FoundModel:
    name: str
    context_tokens: int | None


@dataclass(frozen=True, slots=True)
class Finding:
    slug: str
    name: str
    is_local: bool
    state: State
    detail: str = ""
    models: tuple[FoundModel, ...] = ()
    """Chat models a local server listed."""


def look() -> list[Finding]:
    """Asks every provider that has a key, and every local server, all at once. Writes nothing."""
    return asyncio.run(_ask_all(_targets()))


def table(findings: Iterable[Finding]) -> Table:
    shown = Table("provider", "state", "models", box=None, pad_edge=False, header_style="bold")
    for finding in findings:
        names = [model.name for model in finding.models]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        shown.add_row(finding.name, finding.state.value, finding.detail or ", ".join(names[:NAMED]) + more)
    return shown


def _targets() -> list[Provider]:
    """The local servers, which are asked without a key, and every other provider that we have one for."""
    known = rows.providers_by_id(ProviderRow.objects.all()).values()
    local = [replace(provider, credential=None) for provider in known if _is_local(provider)]
    return local + [provider for provider in known if not _is_local(provider) and provider.credential]


def _is_local(provider: Provider) -> bool:
    """One of the servers looked for by name, whatever its row says."""
    return provider.slug in LOCAL_SLUGS


async def _ask_all(targets: list[Provider]) -> list[Finding]:
    async with door.opened():
        return await asyncio.gather(*(_ask(target) for target in targets))


async def _ask(target: Provider) -> Finding:
    is_local = _is_local(target)
    silent = State.NOT_RUNNING if is_local else State.UNREACHABLE
    if target.credential and not target.credential.isascii():
        return _finding(target, State.KEY_REFUSED, detail="the key holds characters that no key has")
    try:
        async with asyncio.timeout(TIMEOUT_S):
            answer = await door.get(
                asking.address_for_key(target),
                headers=dialect_of(target).headers(target),
                timeouts=_timeouts(LOCAL_CONNECT_S if is_local else TIMEOUT_S),
                is_local=target.is_local,
            )
    except TimeoutError:
        return _finding(target, silent, detail=f"no answer within {TIMEOUT_S:g} s")
    except ProviderError as error:
        says = "" if is_local else f"cannot be reached from here: {error.message}"
        return _finding(target, silent, detail=says)
    return _judge(target, status=answer.status, body=answer.body)


def _timeouts(connect_s: float) -> Timeouts:
    """The rest is within `TIMEOUT_S` of the whole."""
    return Timeouts(connect_s, TIMEOUT_S, TIMEOUT_S, TIMEOUT_S)


def _judge(target: Provider, *, status: int, body: bytes) -> Finding:
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) and not _is_local(target):
        return _finding(target, State.KEY_REFUSED, detail=f"HTTP {status}")
    if status != HTTPStatus.OK:
        return _finding(target, State.NOT_RUNNING if _is_local(target) else State.UNREACHABLE, detail=f"HTTP {status}")
    if not _is_local(target):
        return _finding(target, State.FOUND)
    models = _chat_models(body)
    if models is None:
        return _finding(target, State.NOT_RUNNING, detail="another program listens there")
    return _finding(target, State.FOUND, detail="" if models else "no model is loaded", models=models)


def _finding(target: Provider, state: State, *, detail: str = "", models: tuple[FoundModel, ...] = ()) -> Finding:
    return Finding(target.slug, target.name, _is_local(target), state, detail, models)


def _chat_models(body: bytes) -> tuple[FoundModel, ...] | None:
    """The models of an OpenAI-compatible list; None when the body is no such list."""
    try:
        listed = json.loads(body)
    except (ValueError, RecursionError):
        return None
    entries = listed.get("data") if isinstance(listed, dict) else None
    if listed == {"object": "list", "data": None}:  # Ollama without any model
        entries = []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        return None
    found = {entry.get("id"): _found_model(entry) for entry in entries[:_MOST_MODELS] if _is_for_chat(entry.get("id"))}
    return tuple(found.values())


def _is_for_chat(name: object) -> bool:
    return (
        isinstance(name, str)
        and 0 < len(name) <= _LONGEST_NAME
        and name.isprintable()
        and _NOT_FOR_CHAT.search(name) is None
    )


def _found_model(entry: Mapping[str, Any]) -> FoundModel:
    window = entry.get("max_model_len")  # vLLM's field; the others do not tell the window they run with
    is_known = isinstance(window, int) and not isinstance(window, bool) and window > 0
    return FoundModel(entry["id"], window if is_known else None)

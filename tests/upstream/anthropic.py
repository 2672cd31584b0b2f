"""The bytes Anthropic's Messages API would answer with. Pure: same request, same bytes, every time.

Owns the shape of messages, as JSON and as server-sent events, errors included; tests call the same functions to predict
an answer and its usage. Does not decide what is said (`said`), and does not know time or connections.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import msgspec

from tests.upstream import anthropic_refusals, anthropic_requests, said
from tests.upstream.exchange import (
    CACHEABLE_BYTES,
    SSE_TYPE,
    Answer,
    Asked,
    Json,
    Refused,
    digest,
    halves,
    of_no_dialect,
    pieces,
    spoiled,
)
from tests.upstream.said import Said, Why
from tests.upstream.script import Script, ScriptError, find

VERSION = "2023-06-01"
"""Of the API, which every request must name in its `anthropic-version`."""
BROKEN_EVENT = b'event: content_block_delta\ndata: {"type":"content_block_del\n\n'
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_STOP_REASONS = {
    Why.END: "end_turn",
    Why.LENGTH: "max_tokens",
    Why.STOP_SEQUENCE: "stop_sequence",
    Why.CALLS: "tool_use",
    Why.REFUSAL: "refusal",
}


def answer_to(
    body: bytes, *, version: str | None = VERSION, has_key: bool = True, default_script: str = "ok"
) -> Answer:
    """The answer to a request with this body and `anthropic-version`; `has_key` whether it named any credential."""
    if not has_key:
        return _refusal(401, "x-api-key header is required")
    if version is None:
        return _refusal(400, "anthropic-version: header is required")
    if len(body) > CACHEABLE_BYTES:
        return _answer_to(body, default_script)
    return _cached_answer_to(body, default_script)


def _answer_to(body: bytes, default_script: str) -> Answer:
    try:
        asked = read_request(body)
        return compose(asked, find(model=asked.model, message=asked.message, default=default_script))
    except Refused as refused:
        return _refusal(400, str(refused))
    except ScriptError as mistake:
        return _refusal(400, f"Scripted upstream: {mistake}")


_cached_answer_to = lru_cache(maxsize=256)(_answer_to)


def read_request(body: bytes) -> Asked:
    """Reads a messages request. Raises: Refused for what the API would not take."""
    request = anthropic_requests.decode(body)
    anthropic_refusals.check(request)
    return anthropic_requests.read(request)


def compose(asked: Asked, script: Script) -> Answer:
    """What Anthropic following this script would answer."""
    if script.whole:
        asked = replace(asked, stream=False)
    if (answer := of_no_dialect(script, stream=asked.stream)) is not None:
        return answer
    if script.is_error:
        return _compose_error(asked, script)
    return _compose_stream(asked, script) if asked.stream else _compose_json(asked, script)


def usage(asked: Asked, script: Script) -> dict[str, Any]:
    """The usage object of that answer."""
    found = said.say(asked, script)
    thoughts = {"output_tokens_details": {"thinking_tokens": found.reasoning_tokens}} if found.reasoning else {}
    return _usage_so_far(asked, script, output_tokens=found.tokens) | thoughts


def _usage_so_far(asked: Asked, script: Script, *, output_tokens: int) -> dict[str, Any]:
    prompt = said.prompt(asked, script)
    return {
        "input_tokens": prompt.fresh,
        "cache_creation_input_tokens": prompt.cache_write,
        "cache_read_input_tokens": prompt.cached,
        "cache_creation": {"ephemeral_5m_input_tokens": prompt.cache_write, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }


def _compose_json(asked: Asked, script: Script) -> Answer:
    found = said.say(asked, script)
    stop = {"stop_reason": None, "stop_sequence": None} if script.no_finish else _stop(found, script)
    body = _message(asked, script, content=list(_blocks(found, asked=asked, script=script))) | stop
    if not script.no_usage:
        body["usage"] = usage(asked, script)
    encoded = msgspec.json.encode(body)
    if script.bad_json:
        encoded = encoded[: len(encoded) // 2]
    bill = said.bill(found, asked=asked, script=script)
    return Answer(script=script, headers=_headers(asked, script), content=halves(encoded), bill=bill)


def _message(asked: Asked, script: Script, *, content: list[Json]) -> dict[str, Any]:
    return {
        "model": asked.model,
        "id": f"msg_{_id(asked, script)}",
        "type": "message",
        "role": "assistant",
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
    }


def _blocks(found: Said, *, asked: Asked, script: Script) -> Iterator[dict[str, Any]]:
    """What was said, in order: thoughts, text, calls. A refusal has no content."""
    if found.reasoning:
        signature = base64.b64encode(f"scripted {_id(asked, script)} {found.reasoning}".encode()).decode()
        yield {"type": "thinking", "thinking": found.reasoning, "signature": signature}
    if found.text:
        yield {"type": "text", "text": found.text}
    for number, call in enumerate(found.calls):
        named = {"type": "tool_use", "id": f"toolu_{_id(asked, script, number)}", "name": call.name}
        yield named | {"input": call.arguments, "caller": {"type": "direct"}}


def _stop(found: Said, script: Script) -> dict[str, Any]:
    refused = {"type": "refusal", "category": None, "explanation": found.refusal}
    return {
        "stop_reason": script.finish or _STOP_REASONS[found.why],
        "stop_sequence": found.stop_sequence,
        "stop_details": None if found.refusal is None else refused,
    }


def _compose_stream(asked: Asked, script: Script) -> Answer:
    found, event = said.say(asked, script), _Eventer()
    begun = {} if script.no_usage else {"usage": _usage_so_far(asked, script, output_tokens=1)}
    opening = event("message_start", message=_message(asked, script, content=[]) | begun)
    blocks = list(_blocks(found, asked=asked, script=script))
    begin, content = _told(blocks, event)
    answer = Answer(
        script=script,
        content_type=SSE_TYPE,
        headers=_headers(asked, script),
        opening=opening + begin + (BROKEN_EVENT if script.bad_json else b""),
        content=content,
        closing=b"".join(_closing(found, asked=asked, script=script, event=event)),
        bill=said.bill(found, asked=asked, script=script),
    )
    error = b"event: error\ndata: " + _error_object(asked, script) + b"\n\n"
    return spoiled(answer, broken=BROKEN_EVENT, error=error, end=_Eventer()("message_stop"))


def _told(blocks: list[dict[str, Any]], event: _Eventer) -> tuple[bytes, tuple[bytes, ...]]:
    """How the first block begins, unless it is a call, whose name is content; then a frame for each delta."""
    frames: list[bytes] = []
    begin = b""
    for index, block in enumerate(blocks):
        started = event("content_block_start", index=index, content_block=_emptied(block)) + (b"" if index else PING)
        if index == 0 and block["type"] != "tool_use":
            begin, started = started, b""
        told = [event("content_block_delta", index=index, delta=delta) for delta in _deltas(block)]
        told[0] = started + told[0]
        told[-1] += event("content_block_stop", index=index)
        frames += told
    return begin, tuple(frames)


def _emptied(block: dict[str, Any]) -> dict[str, Any]:
    """A block as its start tells it."""
    empty: dict[str, Any] = {"text": "", "thinking": "", "signature": "", "input": {}}
    return {key: empty.get(key, value) for key, value in block.items()}


def _deltas(block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    match block["type"]:
        case "thinking":
            for piece in pieces(block["thinking"]):
                yield {"type": "thinking_delta", "thinking": piece}
            yield {"type": "signature_delta", "signature": block["signature"]}
        case "text":
            for piece in pieces(block["text"]):
                yield {"type": "text_delta", "text": piece}
        case "tool_use":
            yield {"type": "input_json_delta", "partial_json": ""}
            for piece in pieces(said.as_json(block["input"])) if block["input"] else ():  # no input: nothing more comes
                yield {"type": "input_json_delta", "partial_json": piece}


def _closing(found: Said, *, asked: Asked, script: Script, event: _Eventer) -> Iterator[bytes]:
    if not script.no_finish:
        told = _usage_so_far(asked, script, output_tokens=found.tokens)
        final = {key: count for key, count in told.items() if key.endswith("_tokens")}
        yield event("message_delta", delta=_stop(found, script), **({} if script.no_usage else {"usage": final}))
    if not script.no_done:
        yield event("message_stop")


class _Eventer:
    """Writes one stream's events, padded with blanks as the API does against guessing tokens by their length."""

    def __init__(self) -> None:
        self._events = 0

    def __call__(self, kind: str, **fields: Json) -> bytes:
        self._events += 1
        payload = msgspec.json.encode({"type": kind} | fields)
        padding = b" " * (self._events * 5 % 16)
        return b"event: " + kind.encode() + b"\ndata: " + payload[:-1] + padding + b"}\n\n"


def _compose_error(asked: Asked, script: Script) -> Answer:
    headers, error = _headers(asked, script), _error_object(asked, script)
    if not script.error_first:
        return Answer(script=script, status=script.status, headers=headers, content=halves(error))
    if not asked.stream:
        return Answer(script=script, headers=headers, content=halves(error))
    event = b"event: error\ndata: " + error + b"\n\n"
    return Answer(script=script, content_type=SSE_TYPE, headers=headers, content=(event,))


def _error_object(asked: Asked, script: Script) -> bytes:
    told = script.told_status or 500
    message = f"model: {asked.model}" if told == 404 else f"Scripted failure {told}"
    return _error(told, message, request_id=_request_id(asked, script))


def _refusal(status: int, message: str) -> Answer:
    request_id = f"req_{digest(status, message)}"
    return Answer(
        script=Script(status=status),
        status=status,
        headers=(("request-id", request_id),),
        content=halves(_error(status, message, request_id=request_id)),
    )


def _error(status: int, message: str, *, request_id: str) -> bytes:
    kind = _ERROR_TYPES.get(status, "invalid_request_error" if status in range(400, 500) else "api_error")
    return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id})


def _headers(asked: Asked, script: Script) -> tuple[tuple[str, str], ...]:
    return (("request-id", _request_id(asked, script)),)


def _request_id(asked: Asked, script: Script) -> str:
    return f"req_{_id(asked, script)}"


def _id(asked: Asked, script: Script, *more: int) -> str:
    """Differs between the turns of a conversation, whose prompts grow: ids in it must be unique."""
    return digest(asked.model, repr(script), asked.message, asked.prompt_tokens, *more)

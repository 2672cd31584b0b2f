"""The bytes an OpenAI-compatible vendor would answer with. Pure: same request, same bytes, every time.

Owns the shape of OpenAI's chat completions, as JSON and as a stream, errors included; tests call the same functions to
predict an answer and its usage. Does not decide what is said (`said`), and does not know time or connections: `server`
plays what is composed here.

As at OpenAI, chunks carry `"usage": null` exactly when the client asked for usage, before the usage chunk itself.
Thoughts are `reasoning_content`, as DeepSeek and vLLM write them: OpenAI's own models keep theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import msgspec

from tests.upstream import openai_requests, openai_strict, said
from tests.upstream.exchange import (
    CACHEABLE_BYTES,
    SSE_TYPE,
    Answer,
    Asked,
    Refused,
    count_tokens,
    digest,
    halves,
    of_no_dialect,
    pieces,
    spoiled,
    words,
)
from tests.upstream.said import Prompt, Said, Why
from tests.upstream.script import Script, ScriptError, find
from tests.upstream.tool_calls import Call

__all__ = ["DONE", "Answer", "Asked", "answer_to", "compose", "count_tokens", "read_request", "usage", "words"]

CREATED = 1_750_000_000
"""Unix seconds of every answer: fixed, so that bytes can be predicted."""
DONE = b"data: [DONE]\n\n"
BROKEN_LINE = b'data: {"id":"chatcmpl-\n\n'
_ERROR_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_FINISH_REASONS = {
    Why.END: "stop",
    Why.LENGTH: "length",
    Why.STOP_SEQUENCE: "stop",
    Why.CALLS: "tool_calls",
    Why.REFUSAL: "stop",
}
read_request = openai_requests.read


def answer_to(body: bytes, *, default_script: str = "ok", strict: bool = False) -> Answer:
    """The answer to a request body. Equal small bodies are composed once: the load test depends on that."""
    if len(body) > CACHEABLE_BYTES:
        return _answer_to(body, default_script, strict)
    return _cached_answer_to(body, default_script, strict)


def _answer_to(body: bytes, default_script: str, strict: bool) -> Answer:
    try:
        if strict:
            openai_strict.check(body)
        asked = read_request(body)
        return compose(asked, find(model=asked.model, message=asked.message, default=default_script))
    except Refused as refused:
        error = _error(400, str(refused), param=refused.param, code=refused.code)
    except ScriptError as mistake:
        error = _error(400, f"Scripted upstream: {mistake}")
    return Answer(script=Script(status=400), status=400, content=halves(error))


_cached_answer_to = lru_cache(maxsize=256)(_answer_to)


def compose(asked: Asked, script: Script) -> Answer:
    """What a vendor following this script would answer."""
    if script.whole:
        asked = replace(asked, stream=False)
    if (answer := of_no_dialect(script, stream=asked.stream)) is not None:
        return answer
    if script.is_error:
        return _compose_error(asked, script)
    return _compose_stream(asked, script) if asked.stream else _compose_json(asked, script)


def usage(asked: Asked, script: Script) -> dict[str, Any]:
    """The usage object of that answer."""
    return _usage(said.say(asked, script), said.prompt(asked, script))


def _usage(found: Said, prompt: Prompt) -> dict[str, Any]:
    completion_tokens = found.tokens
    written = {"cache_write_tokens": prompt.cache_write} if prompt.cache_write else {}
    return {
        "prompt_tokens": prompt.total,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt.total + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": prompt.cached, "audio_tokens": 0} | written,
        "completion_tokens_details": {
            "reasoning_tokens": found.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _compose_json(asked: Asked, script: Script) -> Answer:
    found = said.say(asked, script)
    reason = None if script.no_finish else _reason(found, script)
    message = _message(found, asked=asked, script=script)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
    body = _envelope(asked, script, kind="chat.completion") | {"choices": [] if script.no_choices else [choice]}
    if not script.no_usage:
        body["usage"] = _usage(found, said.prompt(asked, script))
    encoded = msgspec.json.encode(body)
    content = halves(encoded[: len(encoded) // 2] if script.bad_json else encoded)
    return Answer(script=script, content=content, bill=said.bill(found, asked=asked, script=script))


def _message(found: Said, *, asked: Asked, script: Script) -> dict[str, Any]:
    is_silent = not found.text and (found.calls or found.refusal is not None)
    message: dict[str, Any] = {"role": "assistant", "content": None if is_silent else found.text}
    if found.reasoning:
        message["reasoning_content"] = found.reasoning
    message |= {"refusal": found.refusal, "annotations": []}
    if found.calls:
        message["tool_calls"] = [
            _tool_call(call, call_id=_call_id(asked, script, number), arguments=said.as_json(call.arguments))
            for number, call in enumerate(found.calls)
        ]
    return message


def _tool_call(call: Call, *, call_id: str, arguments: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _reason(found: Said, script: Script) -> str:
    return script.finish or _FINISH_REASONS[found.why]


def _compose_stream(asked: Asked, script: Script) -> Answer:
    found = said.say(asked, script)
    frame = _Framer(asked, script)
    opening, content = _told(found, frame=frame, asked=asked, script=script)
    answer = Answer(
        script=script,
        content_type=SSE_TYPE,
        opening=opening + (BROKEN_LINE if script.bad_json else b""),
        content=content,
        closing=b"".join(_closing(found, asked=asked, script=script, frame=frame)),
        bill=said.bill(found, asked=asked, script=script),
    )
    return spoiled(answer, broken=BROKEN_LINE, error=b"data: " + _error_object(script) + b"\n\n", end=DONE)


def _told(found: Said, *, frame: _Framer, asked: Asked, script: Script) -> tuple[bytes, tuple[bytes, ...]]:
    """The role chunk, and the chunks behind it. A first call comes in the role chunk, which then is content."""
    role: dict[str, Any] = {"role": "assistant", "content": "", "refusal": None}
    told: list[dict[str, Any]] = [{"reasoning_content": piece} for piece in pieces(found.reasoning)]
    told += [{"refusal": piece} for piece in pieces(found.refusal or "")]
    told += [{"content": piece} for piece in pieces(found.text)]
    calls = [delta for number, call in enumerate(found.calls) for delta in _call_deltas(call, number, asked, script)]
    if calls and not told:
        first = {"role": "assistant", "content": None} | calls[0] | {"refusal": None}
        return b"", tuple(frame.choice(delta) for delta in [first, *calls[1:]])
    opening = frame.choice(role)
    return opening, tuple(frame.choice(delta) for delta in told + calls)


def _call_deltas(call: Call, number: int, asked: Asked, script: Script) -> Iterator[dict[str, Any]]:
    """A call's name, then its arguments word by word."""
    named = _tool_call(call, call_id=_call_id(asked, script, number), arguments="")
    yield {"tool_calls": [{"index": number} | named]}
    for piece in pieces(said.as_json(call.arguments)):
        yield {"tool_calls": [{"index": number, "function": {"arguments": piece}}]}


def _closing(found: Said, *, asked: Asked, script: Script, frame: _Framer) -> Iterator[bytes]:
    if not script.no_finish:
        yield frame.choice({}, finish_reason=_reason(found, script))
    if asked.include_usage and not script.no_usage:
        yield frame.usage(_usage(found, said.prompt(asked, script)))
    if not script.no_done:
        yield DONE


def _compose_error(asked: Asked, script: Script) -> Answer:
    if not script.error_first:
        return Answer(script=script, status=script.status, content=halves(_error(script.status, code=script.code)))
    error = _error_object(script)
    if not asked.stream:
        return Answer(script=script, content=halves(error))
    return Answer(script=script, content_type=SSE_TYPE, content=(b"data: " + error + b"\n\n",), closing=DONE)


def _error_object(script: Script) -> bytes:
    return _error(script.told_status or 500, code=script.code or script.told_status)


class _Framer:
    """Builds the `data:` frames of one stream, which share everything but choices and usage."""

    def __init__(self, asked: Asked, script: Script) -> None:
        self._envelope = _envelope(asked, script, kind="chat.completion.chunk")
        self._usage: dict[str, Any] = {"usage": None} if asked.include_usage and not script.no_usage else {}
        self._no_choices = script.no_choices
        self._frames = 0

    def choice(self, delta: dict[str, Any], *, finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return self._frame({"choices": [] if self._no_choices else [choice]} | self._usage)

    def usage(self, usage: dict[str, Any]) -> bytes:
        return self._frame({"choices": [], "usage": usage})

    def _frame(self, parts: dict[str, Any]) -> bytes:
        self._frames += 1
        padding = "obfuscated"[: 1 + self._frames % 10]  # OpenAI pads frames against guessing tokens by their length
        return b"data: " + msgspec.json.encode(self._envelope | parts | {"obfuscation": padding}) + b"\n\n"


def _envelope(asked: Asked, script: Script, *, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{digest(asked.model, repr(script), asked.message)}",
        "object": kind,
        "created": CREATED,
        "model": asked.model,
        "service_tier": "default",
        "system_fingerprint": "fp_5cr1p7ed00",
    }


def _call_id(asked: Asked, script: Script, number: int) -> str:
    """Differs between the turns of a conversation, whose prompts grow: ids in it must be unique."""
    return f"call_{digest(asked.model, repr(script), asked.message, asked.prompt_tokens, number)}"


def _error(status: int, message: str = "", *, param: str | None = None, code: int | str | None = None) -> bytes:
    kind = _ERROR_TYPES.get(status, "invalid_request_error" if status in range(400, 500) else "server_error")
    text = message or f"Scripted failure {status}"
    return msgspec.json.encode({"error": {"message": text, "type": kind, "param": param, "code": code}})

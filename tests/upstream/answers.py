"""The bytes a vendor would answer with, and how its tokens are counted. Pure: same request, same bytes, every time.

Owns the shape of OpenAI's chat completions, as JSON and as a stream, errors included; tests call the same functions to
predict an answer and its usage. Does not know time or connections: `server` plays what is composed here.

One token is one word. `max_tokens` and `max_completion_tokens` shorten an answer, with `finish_reason: "length"`.
As at OpenAI, chunks carry `"usage": null` exactly when the client asked for usage, before the usage chunk itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import msgspec

from tests.upstream.script import ERROR_STATUSES, REDIRECT_STATUSES, Script, ScriptError, find, without_script

CREATED = 1_750_000_000
"""Unix seconds of every answer: fixed, so that bytes can be predicted."""
DONE = b"data: [DONE]\n\n"
HTML = b"<!DOCTYPE html><html><head><title>Please wait</title></head><body><h1>Just a moment...</h1></body></html>\n"
BROKEN_LINE = b'data: {"id":"chatcmpl-\n\n'
JSON_TYPE, SSE_TYPE, HTML_TYPE = "application/json", "text/event-stream; charset=utf-8", "text/html; charset=utf-8"
_ERROR_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_WORD = re.compile(r"\s*\S+|\s+$")
_CACHEABLE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the upstream reads from a request body."""

    model: str
    message: str = ""
    """Text of the last user message, its `#!` line included."""
    prompt_tokens: int = 0
    max_tokens: int | None = None
    stream: bool = False
    include_usage: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A composed answer: `opening + content + closing` is its body."""

    script: Script
    status: int = 200
    content_type: str = JSON_TYPE
    opening: bytes = b""
    content: tuple[bytes, ...] = ()
    """One frame per content chunk of a stream; a JSON body in two halves. What `mid` means is half of these."""
    closing: bytes = b""
    body: bytes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "body", self.opening + b"".join(self.content) + self.closing)

    @property
    def is_stream(self) -> bool:
        return self.content_type == SSE_TYPE


def count_tokens(text: str) -> int:
    return len(text.split())


def words(count: int) -> str:
    """The content `chunks=<count>` asks for."""
    return " ".join(f"w{n}" for n in range(count))


def read_request(body: bytes) -> Asked:
    """Reads a chat request. Raises: ScriptError when it is none."""
    try:
        request = msgspec.json.decode(body)
        texts = [(message["role"], _text(message.get("content"))) for message in request["messages"]]
        options = request.get("stream_options") or {}
        limit = request.get("max_completion_tokens")
        return Asked(
            model=request["model"],
            message=next((text for role, text in reversed(texts) if role == "user"), ""),
            prompt_tokens=sum(count_tokens(text) for _, text in texts),
            max_tokens=request.get("max_tokens") if limit is None else limit,
            stream=bool(request.get("stream")),
            include_usage=bool(options.get("include_usage")),
        )
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError) as error:
        raise ScriptError(f"not a chat request: {error!r}") from error


def answer_to(body: bytes, *, default_script: str = "ok") -> Answer:
    """The answer to a request body. Equal small bodies are composed once: the load test depends on that."""
    if len(body) > _CACHEABLE_BYTES:
        return _answer_to(body, default_script)
    return _cached_answer_to(body, default_script)


def _answer_to(body: bytes, default_script: str) -> Answer:
    try:
        asked = read_request(body)
        return compose(asked, find(model=asked.model, message=asked.message, default=default_script))
    except ScriptError as error:
        body = _error(400, f"Scripted upstream: {error}")
        return Answer(script=Script(status=400), status=400, content=_halves(body))


_cached_answer_to = lru_cache(maxsize=256)(_answer_to)


def compose(asked: Asked, script: Script) -> Answer:
    """What a vendor following this script would answer."""
    if script.html:
        return Answer(script=script, status=script.status, content_type=HTML_TYPE, content=_halves(HTML))
    if script.status in REDIRECT_STATUSES:
        return Answer(script=script, status=script.status)
    if script.is_error:
        return _compose_error(asked, script)
    return _compose_stream(asked, script) if asked.stream else _compose_json(asked, script)


def usage(asked: Asked, script: Script) -> dict[str, Any]:
    """The usage object of that answer."""
    text, _ = content(asked, script)
    completion_tokens = count_tokens(text)
    return {
        "prompt_tokens": asked.prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": asked.prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def content(asked: Asked, script: Script) -> tuple[str, str]:
    """The answer's text and its finish reason."""
    if script.empty:
        return "", "stop"
    text = words(script.chunks) if script.chunks is not None else script.content
    if text is None:
        text = f"You said: {without_script(asked.message)}"
    if asked.max_tokens is None or count_tokens(text) <= asked.max_tokens:
        return text, "stop"
    return "".join(_WORD.findall(text)[: asked.max_tokens]), "length"


def _compose_json(asked: Asked, script: Script) -> Answer:
    text, reason = content(asked, script)
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": None if script.no_finish else reason}
    body = _envelope(asked, script, kind="chat.completion") | {"choices": [choice]}
    if not script.no_usage:
        body["usage"] = usage(asked, script)
    encoded = msgspec.json.encode(body)
    return Answer(script=script, content=_halves(encoded[: len(encoded) // 2] if script.bad_json else encoded))


def _compose_stream(asked: Asked, script: Script) -> Answer:
    text, reason = content(asked, script)
    frame = _Framer(asked, script)
    opening = frame.choice({"role": "assistant", "content": "", "refusal": None})
    pieces = tuple(frame.choice({"content": piece}) for piece in _WORD.findall(text))
    return Answer(
        script=script,
        content_type=SSE_TYPE,
        opening=opening + (BROKEN_LINE if script.bad_json else b""),
        content=pieces,
        closing=b"".join(_closing(asked, script, frame=frame, reason=reason)),
    )


def _closing(asked: Asked, script: Script, *, frame: _Framer, reason: str) -> Iterator[bytes]:
    if not script.no_finish:
        yield frame.choice({}, finish_reason=reason)
    if asked.include_usage and not script.no_usage:
        yield frame.usage(usage(asked, script))
    if not script.no_done:
        yield DONE


def _compose_error(asked: Asked, script: Script) -> Answer:
    if not script.error_first:
        return Answer(script=script, status=script.status, content=_halves(_error(script.status)))
    told = script.status in ERROR_STATUSES
    error = _error(script.status if told else 500, code=script.status if told else None)
    if not asked.stream:
        return Answer(script=script, content=_halves(error))
    return Answer(script=script, content_type=SSE_TYPE, content=(b"data: " + error + b"\n\n",), closing=DONE)


class _Framer:
    """Builds the `data:` frames of one stream, which share everything but choices and usage."""

    def __init__(self, asked: Asked, script: Script) -> None:
        self._envelope = _envelope(asked, script, kind="chat.completion.chunk")
        self._usage: dict[str, Any] = {"usage": None} if asked.include_usage and not script.no_usage else {}
        self._frames = 0

    def choice(self, delta: dict[str, Any], *, finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return self._frame({"choices": [choice]} | self._usage)

    def usage(self, usage: dict[str, Any]) -> bytes:
        return self._frame({"choices": [], "usage": usage})

    def _frame(self, parts: dict[str, Any]) -> bytes:
        self._frames += 1
        padding = "obfuscated"[: 1 + self._frames % 10]  # OpenAI pads frames against guessing tokens by their length
        return b"data: " + msgspec.json.encode(self._envelope | parts | {"obfuscation": padding}) + b"\n\n"


def _envelope(asked: Asked, script: Script, *, kind: str) -> dict[str, Any]:
    seed = f"{asked.model}\n{script!r}\n{asked.message}".encode(errors="replace")
    return {
        "id": f"chatcmpl-{blake2b(seed, digest_size=12).hexdigest()}",
        "object": kind,
        "created": CREATED,
        "model": asked.model,
        "service_tier": "default",
        "system_fingerprint": "fp_5cr1p7ed00",
    }


def _error(status: int, message: str = "", *, code: int | None = None) -> bytes:
    kind = _ERROR_TYPES.get(status, "invalid_request_error" if status in range(400, 500) else "server_error")
    text = message or f"Scripted failure {status}"
    return msgspec.json.encode({"error": {"message": text, "type": kind, "param": None, "code": code}})


def _halves(body: bytes) -> tuple[bytes, bytes]:
    return body[: len(body) // 2], body[len(body) // 2 :]


def _text(content: Any) -> str:
    """Text of a message's content, which is a string, a list of parts, or null beside tool calls."""
    if isinstance(content, list):
        return " ".join(part["text"] for part in content if part.get("type") == "text")
    return content or ""

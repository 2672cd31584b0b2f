"""A whole answer as the stream that was asked for: some vendors answer `stream: true` with JSON. Pure; paid is paid."""

from __future__ import annotations

from typing import Any

import msgspec

from providers.dialects import unusual_json
from providers.dialects.sse import END

_DATA = b"data: "
_DONE = _DATA + b"[DONE]" + END


def frames_of(body: bytes) -> bytes:
    """One chunk with all that was said, a usage chunk where there is usage, and `[DONE]`. `body` is an answer in
    OpenAI's dialect, read before."""
    answer = unusual_json.decode(body) | {"object": "chat.completion.chunk"}
    usage = answer.pop("usage", None)
    events = [answer | {"choices": [_as_delta(choice) for choice in answer["choices"]]}]
    if usage:
        events.append(answer | {"choices": [], "usage": usage})
    return b"".join(_DATA + msgspec.json.encode(event) + END for event in events) + _DONE


def _as_delta(choice: dict[str, Any]) -> dict[str, Any]:
    told = {name: value for name, value in choice.items() if name != "message"}
    message = choice.get("message")
    delta = dict(message) if isinstance(message, dict) else {}
    calls = delta.get("tool_calls")
    if isinstance(calls, list) and all(isinstance(call, dict) for call in calls):
        delta["tool_calls"] = [{"index": number} | call for number, call in enumerate(calls)]
    return told | {"delta": delta}

"""What a failed call means, in the parts that dialects have in common: the status, the words, the wait asked for.

Finds the vendor's error in whatever body it comes. Does not know one vendor's types of error from another's.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from providers.dialects import unusual_json
from providers.types import FailureKind

_LONGEST = 500
"""Characters of a vendor's words that are told."""
_AROUND = frozenset({"object", "error", "detail"})
"""What stands beside an error's own fields where nothing wraps them."""
_CONTEXT_CODES = frozenset({"context_length_exceeded", "string_above_max_length"})
_CONTEXT_WORDS = ("context length", "context window", "maximum context", "too many tokens", "prompt is too long")
_KINDS = {
    401: FailureKind.CREDENTIALS,
    402: FailureKind.CREDENTIALS,
    403: FailureKind.CREDENTIALS,
    404: FailureKind.NOT_FOUND,
    408: FailureKind.SERVER_ERROR,
    429: FailureKind.RATE_LIMITED,
}


def kind_of(status: int, *, error: object) -> FailureKind:
    """`error` is the vendor's error object, or whatever stands in its place."""
    if status >= 500:
        return FailureKind.SERVER_ERROR
    if status < 400:
        return FailureKind.BAD_ANSWER  # a redirect, or a success that is not 200: nobody's chat answer
    if status == 403 and _is_flagged(error):
        return FailureKind.REJECTED
    if status in _KINDS:
        return _KINDS[status]
    if status in (400, 413) and _says_too_long(error):
        return FailureKind.CONTEXT_TOO_LONG
    return FailureKind.REJECTED


def _is_flagged(error: object) -> bool:
    """Whether the words of the request are what is refused: OpenRouter's moderation says 403, and why in `metadata`
    (openrouter.ai/docs/api/reference/errors-and-debugging)."""
    metadata = error.get("metadata") if isinstance(error, dict) else None
    return isinstance(metadata, dict) and bool(metadata.get("reasons") or metadata.get("flagged_input"))


def _says_too_long(error: object) -> bool:
    code = error.get("code") if isinstance(error, dict) else None
    # Only OpenAI has a code for it; of the other vendors the text is all there is.
    is_coded = isinstance(code, str) and code in _CONTEXT_CODES
    return is_coded or any(words in message_of(error).lower() for words in _CONTEXT_WORDS)


def error_of(body: bytes) -> object:
    """The vendor's error in the body of a failed call, as `error_in` finds it; a line of plain text is its words."""
    try:
        return error_in(unusual_json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _plain_text(body)


def error_in(content: object) -> object:
    """The error object, its words where there is no object, or None.

    Most vendors have it in `error`; Gemini in a list of one such; Mistral and older vLLM in no wrapping at all; what is
    built on FastAPI says `detail`.
    """
    if isinstance(content, list):
        content = content[0] if content else None
    if not isinstance(content, dict):
        return content if isinstance(content, str) else None
    error, detail = content.get("error"), content.get("detail")
    if isinstance(error, dict) and error:
        return error
    if words := _words(content.get("message")):
        return {name: value for name, value in content.items() if name not in _AROUND} | {"message": words[:_LONGEST]}
    if isinstance(detail, dict):
        return detail["error"] if isinstance(detail.get("error"), dict) else detail
    return error or _words(detail) or None


def _words(said: object) -> str:
    """Of a text, or of FastAPI's list of what is wrong with a body: where each mistake is, and what it is."""
    if isinstance(said, dict):  # Mistral's message may hold such a list
        said = said.get("detail")
    if isinstance(said, str):
        return said
    found = [_mistake(entry) for entry in said if isinstance(entry, dict)] if isinstance(said, list) else []
    return "; ".join(filter(None, found))


def _mistake(entry: Mapping[str, Any]) -> str:
    place, what = entry.get("loc"), entry.get("msg")
    if not isinstance(what, str):
        return ""
    steps = [str(step) for step in place if step != "body"] if isinstance(place, list) else []
    return f"{'.'.join(steps)}: {what}" if steps else what


def _plain_text(body: bytes) -> str | None:
    """None for a page, for JSON that was cut, and for what is no text."""
    try:
        text = " ".join(body.decode().split())
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() and not text.startswith(("<", "{", "[")) else None


def message_of(error: object) -> str:
    """The vendor's words, cut to a bearable length; '' where there are none."""
    message = error.get("message") if isinstance(error, dict) else error
    return message[:_LONGEST] if isinstance(message, str) else ""


def seconds_of(retry_after: str | None) -> float | None:
    """The wait that a `Retry-After` header asks for (RFC 9110, section 10.2.3); None where it cannot be read."""
    if not retry_after:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        seconds = _until(retry_after)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _until(date: str) -> float:
    try:
        return parsedate_to_datetime(date).timestamp() - time.time()
    except (ValueError, OverflowError):
        return math.nan

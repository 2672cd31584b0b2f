"""What a failed call means, in the parts that dialects have in common: the status, the words, the wait asked for."""

from __future__ import annotations

import math

from providers.types import FailureKind

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
    if status in _KINDS:
        return _KINDS[status]
    if status in (400, 413) and _says_too_long(error):
        return FailureKind.CONTEXT_TOO_LONG
    return FailureKind.REJECTED


def _says_too_long(error: object) -> bool:
    code = error.get("code") if isinstance(error, dict) else None
    # Only OpenAI has a code for it; of the other vendors the text is all there is.
    is_coded = isinstance(code, str) and code in _CONTEXT_CODES
    return is_coded or any(words in message_of(error).lower() for words in _CONTEXT_WORDS)


def message_of(error: object) -> str:
    """The vendor's words, cut to a bearable length; '' where there are none."""
    if isinstance(error, str):
        return error[:500]
    message = error.get("message") if isinstance(error, dict) else None
    return message[:500] if isinstance(message, str) else ""


def seconds_of(retry_after: str | None) -> float | None:
    """The wait that a `Retry-After` header asks for."""
    try:
        seconds = float(retry_after) if retry_after else math.nan
    except ValueError:
        return None  # the HTTP-date form: nobody in this field sends it
    return max(0.0, seconds) if math.isfinite(seconds) else None

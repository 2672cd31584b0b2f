"""What the Messages API's errors mean: as an answer's status, as an object in a 200, as an event in a stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from providers.dialects.failures import error_in, error_of, kind_of, message_of, seconds_of
from providers.types import FailureKind, ProviderError

_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The status that each type of error stands for: https://platform.claude.com/docs/en/api/errors."""
_SPENT = "credit balance is too low"
_UNKNOWN_FIELD = "extra inputs are not permitted"
"""Said of a field that another vendor knows, and another model may."""
_TOO_LONG = "exceed context limit"
"""The vendor has no codes: its words are all there is. Input and output together are refused in these."""


class _Envelope(msgspec.Struct):
    request_id: str | None = None


_read_envelope = msgspec.json.Decoder(_Envelope).decode


def read_error(status: int, *, body: bytes, retry_after: str | None) -> ProviderError:
    """What an answer that is not a 200 means."""
    error = error_of(body)
    return ProviderError(
        _kind(status, error=error),
        message_of(error) or f"answered {status}",
        status=status,
        retry_after_s=seconds_of(retry_after),
        body=_body(error, request_id=_request_id(body)),
    )


def error_in_answer(content: Mapping[str, Any]) -> ProviderError:
    """An error object in a 200 or as an event: judged by its type, else as a broken answer."""
    error = error_in(content)
    name = error.get("type") if isinstance(error, dict) else None
    status = _STATUSES.get(name) if isinstance(name, str) else None
    return ProviderError(
        _kind(status, error=error) if status else FailureKind.BAD_ANSWER,
        message_of(error) or "answered with an error object",
        status=status or 200,
        body=_body(error, request_id=content.get("request_id")),
    )


def _kind(status: int, *, error: object) -> FailureKind:
    message = message_of(error).lower()
    if status == 400 and _SPENT in message:
        return FailureKind.CREDENTIALS
    if status in (400, 413) and _TOO_LONG in message:
        return FailureKind.CONTEXT_TOO_LONG
    if status == 400 and _UNKNOWN_FIELD in message:
        return FailureKind.UNSUPPORTED
    return kind_of(status, error=error)


def _body(error: object, *, request_id: object) -> Mapping[str, Any] | None:
    """The error object as OpenAI's dialect has it."""
    if not isinstance(error, dict):
        return None
    told = {name: error.get(name) for name in ("message", "type", "param", "code")}
    return told | {"request_id": request_id} if request_id else told


def _request_id(body: bytes) -> object:
    """The vendor's name for the call, which stands beside the error."""
    try:
        return _read_envelope(body).request_id
    except (ValueError, RecursionError):
        return None

"""Reads pieces of the client's JSON, and names by its path what has another shape than OpenAI's dialect gives it.

Owns the two ways to say no: what Anthropic lacks, so that another model may be asked (`refusal`), and what no model
could be asked (`mistake`).
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import msgspec
from msgspec import Raw

from providers.types import FailureKind, ProviderError

NULL = Raw(b"null")
INVALID_TYPE = "invalid_type"
INVALID_VALUE = "invalid_value"
MISSING = "missing_required_parameter"

_read_members = msgspec.json.Decoder(dict[str, Raw]).decode
_read_entries = msgspec.json.Decoder(list[Raw]).decode
_read_value = msgspec.json.Decoder().decode


def refusal(at: str | None, message: str) -> ProviderError:
    """The request, or this field of it, cannot be said in Anthropic's dialect. `message` says what to change."""
    body = {"message": message, "type": "invalid_request_error", "param": at, "code": "unsupported_parameter"}
    return ProviderError(FailureKind.UNSUPPORTED, message, status=400, body=body)


def mistake(at: str, message: str, *, code: str) -> ProviderError:
    """The client's own mistake, in OpenAI's word for it: no other model need be asked. `message` says what is right."""
    body = {"message": message, "type": "invalid_request_error", "param": at, "code": code}
    return ProviderError(FailureKind.REJECTED, message, status=400, body=body)


def wrong_type(at: str, message: str, *, found: object) -> ProviderError:
    """The same of a value of another type than it must be, and of one that is not there."""
    return mistake(at, message, code=MISSING if found is None else INVALID_TYPE)


def members(raw: Raw, *, at: str) -> dict[str, Raw]:
    """A JSON object's members, each in its bytes."""
    try:
        return _read_members(raw)
    except msgspec.DecodeError as error:
        raise wrong_type(at, f"{at} must be a JSON object.", found=_sent(raw)) from error


def _sent(raw: Raw) -> Raw | None:
    return None if raw == NULL else raw


def sent_members(raw: Raw, *, at: str) -> dict[str, Raw]:
    """The same without those that are null: they count as not sent."""
    return {name: value for name, value in members(raw, at=at).items() if value != NULL}


def entries(raw: Raw, *, at: str) -> list[Raw]:
    """A JSON array's entries, each in its bytes."""
    try:
        return _read_entries(raw)
    except msgspec.DecodeError as error:
        raise wrong_type(at, f"{at} must be a JSON array.", found=_sent(raw)) from error


def value(raw: Raw, *, at: str) -> Any:
    """What `raw` says, decoded."""
    try:
        return _read_value(raw)
    except msgspec.DecodeError as error:  # such as a number that no float holds
        raise mistake(at, f"{at} cannot be read: {error}.", code=INVALID_VALUE) from error


def text(raw: Raw | None, *, at: str) -> str:
    """A string that says something."""
    found = None if raw is None else value(raw, at=at)
    return said(found, at=at)


def said(found: object, *, at: str) -> str:
    """The same of what is decoded already."""
    if isinstance(found, str) and found:
        return found
    message = f"{at} must be a string that is not empty."
    raise mistake(at, message, code=INVALID_VALUE) if found == "" else wrong_type(at, message, found=found)


def with_others(block: dict[str, Any], source: Mapping[str, Any], *, named: Set[str]) -> dict[str, Any]:
    """`block` with what else `source` carries: keys that nobody named pass on, for the vendor to judge."""
    if source.keys() <= named:  # as almost always
        return block
    for name, other in source.items():
        if name not in named and name not in block and other is not None:
            block[name] = other
    return block

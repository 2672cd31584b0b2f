"""Closes the objects of a schema that an answer has to follow: Anthropic takes only those that say
`additionalProperties: false`, and OpenAI's clients leave it out where they do not ask for `strict`.

What keeps to the closed schema keeps to the client's too. So nothing is closed where that would not hold, or where
nothing could keep to it: beside and below `allOf`, below `not` and conditions; nor where the client says what else an
object may hold. There the vendor judges.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

_CLOSED = Raw(b"false")
_NAMED = ("properties", "$defs", "definitions")
_LISTED = ("anyOf", "oneOf", "prefixItems")

_read = msgspec.json.Decoder().decode
_read_members = msgspec.json.Decoder(dict[str, Raw]).decode
_read_entries = msgspec.json.Decoder(list[Raw]).decode
_encode = msgspec.json.encode


def closed(schema: Raw) -> Raw:
    """The schema with every open object closed; in its own bytes where there is none, and where it is no schema."""
    try:
        return _closed(schema)
    except (msgspec.DecodeError, RecursionError):
        return schema


def _closed(schema: Raw) -> Raw:
    if not bytes(schema).lstrip().startswith(b"{"):
        return schema  # `true` or `false`
    members = _read_members(schema)
    if "allOf" in members:
        return schema
    edited = members | {name: _closed_values(members[name]) for name in _NAMED if name in members}
    edited |= {name: _closed_entries(members[name]) for name in _LISTED if name in members}
    if "items" in members:
        edited["items"] = _closed(members["items"])
    if "additionalProperties" not in members and _is_object(members):
        edited["additionalProperties"] = _CLOSED
    return schema if edited == members else Raw(_encode(edited))


def _closed_values(raw: Raw) -> Raw:
    members = _read_members(raw)
    edited = {name: _closed(value) for name, value in members.items()}
    return raw if edited == members else Raw(_encode(edited))


def _closed_entries(raw: Raw) -> Raw:
    entries = _read_entries(raw)
    edited = [_closed(entry) for entry in entries]
    return raw if edited == entries else Raw(_encode(edited))


def _is_object(members: dict[str, Raw]) -> bool:
    kind = _read(members["type"]) if "type" in members else None
    return kind == "object" or (isinstance(kind, list) and "object" in kind)

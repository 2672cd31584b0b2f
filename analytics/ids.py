"""Request ids: UUIDv7, made once at entry. A request's time and draw are read from its id, never from a clock."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from uuid import UUID

from uuid_utils.compat import uuid7

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DRAW_BYTES = 6


def new() -> UUID:
    return uuid7()


def started_at(request_id: UUID) -> datetime:
    """The millisecond a UUIDv7 was made in (RFC 9562, section 5.7: its first 48 bits)."""
    return _EPOCH + timedelta(milliseconds=request_id.int >> 80)


def draw(request_id: UUID) -> float:
    """A number in [0, 1): the same id always draws the same. Hashed, as ids of one millisecond count upwards."""
    digest = hashlib.blake2b(request_id.bytes, digest_size=_DRAW_BYTES).digest()
    return int.from_bytes(digest) / (1 << 8 * _DRAW_BYTES)


def moment(unix_s: float) -> datetime:
    """A Unix time as an aware datetime in UTC."""
    return datetime.fromtimestamp(unix_s, UTC)

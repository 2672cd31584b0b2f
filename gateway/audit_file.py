"""Entries of the audit trail as a file of CSV, written piece by piece while it is sent.

Each piece is a query of its own, which begins where the last one ended: no connection to the database is held while a
client takes its time.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from asgiref.sync import sync_to_async
from django.db import connection
from django.db.models import QuerySet

from analytics import audit_listing
from analytics.models import AuditEntry
from gateway import usage_csv

COLUMNS = ("id", "at", "severity", "actor", "address", "action", "target", "project", "before", "after")
PIECE = 500


class Piece(NamedTuple):
    text: str
    last_id: int | None
    """None: there is nothing behind it."""


async def written(rows: QuerySet[AuditEntry]) -> AsyncIterator[str]:
    """The header, and the rows, newest first."""
    yield usage_csv.written(COLUMNS, [])
    piece = await sync_to_async(_piece)(rows)
    yield piece.text
    while piece.last_id is not None:
        piece = await sync_to_async(_piece)(rows.filter(pk__lt=piece.last_id))
        yield piece.text


def _piece(rows: QuerySet[AuditEntry]) -> Piece:
    try:
        told = audit_listing.as_json(rows.order_by("-id")[:PIECE])
    finally:
        if not connection.in_atomic_block:  # somebody else's, within which we were asked
            connection.close()
    text = usage_csv.written(COLUMNS, [_row(one) for one in told], with_header=False)
    return Piece(text, told[-1]["id"] if len(told) == PIECE else None)


def _row(told: dict[str, Any]) -> dict[str, Any]:
    """What was, and what is, as JSON."""
    states = {name: None if told[name] is None else json.dumps(told[name]) for name in ("before", "after")}
    return told | states

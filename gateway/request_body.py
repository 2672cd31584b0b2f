"""What may be shown of a request's body, to whom, and what is said where there is none: for page, API and command."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import msgspec

from analytics.authority import Authority
from analytics.models import Project, RequestBody, Role, UsageRecord
from gateway import conversation
from gateway.conversation import Turn


class State(StrEnum):
    KEPT = "kept"
    WITHHELD = "withheld"
    """There, and not for who asks."""
    NONE = "none"
    """Not there, though the project has them kept now."""
    OFF = "off"
    """The project has none kept."""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    state: State
    project_id: int
    project: str
    days: int = 0
    """For how many the project keeps them."""
    may_switch: bool = False
    """Whether who asks may have them kept from now on."""
    turns: tuple[Turn, ...] = ()
    others: str = ""
    answer: Turn | None = None
    request_is_cut: bool = False
    answer_is_cut: bool = False


def shown(row: UsageRecord, *, authority: Authority | None) -> Shown:
    """Of a request that the asker may see."""
    may_read = authority is not None and authority.has(Role.OPERATOR, project_id=row.project_id)
    bodies = RequestBody.objects.filter(pk=row.pk, project=row.project_id)
    if may_read and (body := bodies.first()) is not None:
        return _kept(row, body)
    if not may_read and bodies.exists():
        return Shown(state=State.WITHHELD, project_id=row.project_id, project=row.project)
    return _missing(row, authority=authority)


def _kept(row: UsageRecord, body: RequestBody) -> Shown:
    request = _read(body)
    return Shown(
        state=State.KEPT,
        project_id=row.project_id,
        project=row.project,
        turns=tuple(conversation.turns(request)),
        others=conversation.others(request),
        answer=Turn("answer", (conversation.Piece(body.answer),)) if body.answer else None,
        request_is_cut=body.request_is_cut,
        answer_is_cut=body.answer_is_cut,
    )


def _missing(row: UsageRecord, *, authority: Authority | None) -> Shown:
    project = Project.objects.filter(pk=row.project_id).first()
    stores = project is not None and project.stores_bodies
    return Shown(
        state=State.NONE if stores else State.OFF,
        project_id=row.project_id,
        project=row.project,
        days=(project.bodies_days or 0) if project else 0,
        may_switch=project is not None and authority is not None and authority.has(Role.ADMIN, project_id=project.pk),
    )


def as_json(body: RequestBody) -> dict[str, Any]:
    return {
        "object": "request.body",
        "id": str(body.pk),
        "at": body.at.isoformat(),
        "request": _read(body),
        "request_is_cut": body.request_is_cut,
        "answer": body.answer,
        "answer_is_cut": body.answer_is_cut,
    }


def lines(body: RequestBody | None, *, row: UsageRecord) -> Iterator[str]:
    """For the command line, whose user may read all."""
    if body is None:
        yield f"No body of it is kept. `manage.py projects set {row.project} --store-bodies` keeps those to come."
        return
    told = _kept(row, body)
    for turn in (*told.turns, *([told.answer] if told.answer else [])):
        yield f"{turn.who or '-'}:"
        for piece in turn.pieces:
            text = f"{piece.title}: {piece.text}" if piece.title else piece.text
            yield from (f"  {line}" for line in text.splitlines() or [""])
    if told.others:
        yield "other fields:"
        yield from (f"  {line}" for line in told.others.splitlines())
    if told.request_is_cut or told.answer_is_cut:
        yield "It was cut where it says [cut]; docs/bodies.md says at what lengths."


def _read(body: RequestBody) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(body.request)
    return found

"""When a channel is told of a group of alerts, and what: waits, intervals, repeats, and who was told what. Pure.

A group is what one channel hears of in one message. Its first alert waits for others (`group_wait_s`); while it lasts
it is looked at again every `group_interval_s`, and told anew where something changed, or nothing did for as long as
`repeat_interval_s`. That an alert is over is told where its beginning was, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

import msgspec

from alerts.machine import Level


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """A channel's, in seconds."""

    group_wait_s: float = 30.0
    group_interval_s: float = 300.0
    repeat_interval_s: float = 14_400.0


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that stands, as a channel may hear of it."""

    alert_id: int
    level: Level
    is_muted: bool = False
    """Silenced, or explained by another alert: nobody is told that it began."""
    is_acknowledged: bool = False
    """Somebody looks after it: it is not repeated."""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """What a channel knows of a group. Times are aware."""

    due_at: datetime
    """When it is looked at next."""
    sent_at: datetime | None = None
    told: Mapping[int, Level] = {}
    """Alerts that it was told of and not the end of, by id, with the worst level that was told."""


class Message(msgspec.Struct, frozen=True):
    """What there is to tell. Ids of alerts, in order."""

    firing: tuple[int, ...]
    """All that stand and are not muted; `began` are among them."""
    began: tuple[int, ...]
    """Those that were not told before, or are worse than was told."""
    resolved: tuple[int, ...]
    is_repeat: bool = False


def noted(group: Group | None, *, timing: Timing, now: datetime) -> Group:
    """Something of the group changed. One that was looked at before is looked at at its own time."""
    if group is not None:
        return group
    return Group(due_at=now + timedelta(seconds=timing.group_wait_s))


def looked_at(
    group: Group, standing: Collection[Standing], *, timing: Timing, now: datetime
) -> tuple[Group | None, Message | None]:
    """What becomes of a group that is due, and what is told: nothing of what nobody was told of. None: it is over."""
    message = _message(group, standing, timing=timing, now=now)
    told = _told_after(group, standing, message)
    if not told and not standing:
        return None, message
    # What is muted is looked at as long as it stands: a silence may end before it does.
    due_at = now + timedelta(seconds=timing.group_interval_s)
    return Group(due_at=due_at, sent_at=group.sent_at if message is None else now, told=told), message


def _message(group: Group, standing: Collection[Standing], *, timing: Timing, now: datetime) -> Message | None:
    heard = sorted((one for one in standing if not one.is_muted), key=lambda one: one.alert_id)
    began = tuple(one.alert_id for one in heard if _is_new(one, group))
    there = {one.alert_id for one in standing}
    resolved = tuple(sorted(group.told.keys() - there))
    firing = tuple(one.alert_id for one in heard)
    if began or resolved:
        return Message(firing, began, resolved)
    waits = [one for one in heard if not one.is_acknowledged]
    is_long_ago = group.sent_at is None or now - group.sent_at >= timedelta(seconds=timing.repeat_interval_s)
    return Message(firing, (), (), is_repeat=True) if waits and is_long_ago else None


def _is_new(one: Standing, group: Group) -> bool:
    told = group.told.get(one.alert_id)
    return told is None or (told is Level.WARNING and one.level is Level.CRITICAL)


def _told_after(group: Group, standing: Collection[Standing], message: Message | None) -> dict[int, Level]:
    if message is None:
        return dict(group.told)
    levels = {one.alert_id: one.level for one in standing}
    kept = {alert_id: level for alert_id, level in group.told.items() if alert_id not in message.resolved}
    return kept | {alert_id: levels[alert_id] for alert_id in message.began}

"""Looks at the rules that are due: reads, steps each alert, and writes what changed. One call is one pass.

Any number of workers may do so at once. A rule is claimed by a conditional update, for as long as one look may take; an
alert's change is a conditional update on its revision with the `Change` in the same transaction, so that of two who saw
the same one writes it. A rule that was edited meanwhile is left to its next look.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from uuid import uuid4

import msgspec
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone

from alerts import rules
from alerts.machine import ALARMED, NORMAL, TOLD, Level, Missing, Seen, Standing, State, Terms, end, step
from alerts.models import Alert, Change, Look, Rule
from alerts.readings import Labels, Reader, Reading
from analytics.queries.deadline import TookTooLong
from analytics.queries.spans import SpanProblem

logger = logging.getLogger(__name__)

CLAIMED_FOR = timedelta(seconds=60)
AT_ONCE = 200
"""Rules that one worker claims together."""
GONE = "nothing of it is left"
"""Why an alert ends whose labels are no longer seen."""


class Moved(msgspec.Struct, frozen=True):
    """What a look found of one set of labels, where it changed something."""

    labels: Labels
    was: Standing
    now: Standing
    value: float | None
    alert: Alert | None
    """None: there was none for these labels."""
    reason: str = ""


class Pass(msgspec.Struct, frozen=True):
    """What came of one."""

    rules: int = 0
    changes: int = 0
    problems: int = 0


def run(*, now: datetime | None = None) -> Pass:
    """Looks at all that is due. `now` is a test's."""
    at = now or timezone.now()
    _begin_looks(at)
    total, reader = Pass(), Reader(at)
    while looks := _claimed(at):
        done = _look(looks, reader)
        total = Pass(total.rules + done.rules, total.changes + done.changes, total.problems + done.problems)
    return total


def next_due(interval_s: int, *, after: datetime) -> datetime:
    """The next moment at which rules of this interval are looked at: so many seconds apart from 1970 on."""
    return datetime.fromtimestamp((after.timestamp() // interval_s + 1) * interval_s, UTC)


def _begin_looks(at: datetime) -> None:
    """Rules that were made by whatever way are due at once."""
    new = Rule.objects.filter(enabled=True, look__isnull=True).values_list("pk", flat=True)
    Look.objects.bulk_create([Look(rule_id=pk, due_at=at) for pk in new], ignore_conflicts=True)


def _claimed(at: datetime) -> Sequence[Look]:
    free = Q(claimed_until__isnull=True) | Q(claimed_until__lt=at)
    due = Look.objects.filter(free, due_at__lte=at).order_by("due_at").values_list("pk", flat=True)[:AT_ONCE]
    claim = uuid4()
    Look.objects.filter(free, pk__in=list(due), due_at__lte=at).update(claim=claim, claimed_until=at + CLAIMED_FOR)
    return list(Look.objects.filter(claim=claim).select_related("rule"))


def _look(looks: Sequence[Look], reader: Reader) -> Pass:
    alerts: dict[int, list[Alert]] = defaultdict(list)
    for alert in Alert.objects.filter(rule__in=[look.rule_id for look in looks]).exclude(state=State.NORMAL.value):
        alerts[alert.rule_id or 0].append(alert)
    changes, problems = 0, {}
    for look in looks:
        moved, problem = _moved(look.rule, alerts[look.rule_id], reader)
        changes += write(look.rule, moved, at=reader.at)
        if problem != look.problem:
            problems[look.pk] = problem
    _release(looks, problems, at=reader.at)
    return Pass(len(looks), changes, len(problems))


def _moved(rule: Rule, alerts: Iterable[Alert], reader: Reader) -> tuple[list[Moved], str]:
    """What changed, and why the rule could not be evaluated ('': it could)."""
    if not rule.enabled:
        return [ended(alert, now=reader.at, reason="paused") for alert in alerts if alert.state in TOLD], ""
    readings, problem = _read(rule, reader)
    return moved(rule, readings, alerts, now=reader.at), problem


def _read(rule: Rule, reader: Reader) -> tuple[list[Reading], str]:
    try:
        asked = rules.question(rule, ids=reader.project_ids)
        return reader.read(asked), ""
    except Exception as error:  # written by other ways than ours: one rule must not keep the others from being seen
        is_known = isinstance(error, SpanProblem | TookTooLong | DatabaseError)
        problem = f"{type(error).__name__}: {error}".removesuffix(": ")[:500]
        logger.warning("The rule %s cannot be evaluated: %s", rule, problem, exc_info=not is_known)
        return [Reading((), Seen(error=problem))], problem


def moved(rule: Rule, readings: Sequence[Reading], alerts: Iterable[Alert], *, now: datetime) -> list[Moved]:
    """What a look changes. Labels that are no longer seen have nothing to be wrong with, unless all is kept then."""
    asked = rules.terms(rule)
    found = [(reading.labels, reading.seen) for reading in readings]
    known = {frozenset(alert.labels.items()): alert for alert in alerts}
    if readings and readings[0].seen.error and rule.group_by:
        found = [(tuple(alert.labels.items()), readings[0].seen) for alert in known.values()] or found
    told = []
    for labels, seen in found:
        alert = known.pop(frozenset(labels), None)
        told.append(_step(alert, labels, seen, terms=asked, now=now))
    told += [_gone(alert, terms=asked, now=now) for alert in known.values()]
    return [one for one in told if one is not None]


def _step(alert: Alert | None, labels: Labels, seen: Seen, *, terms: Terms, now: datetime) -> Moved | None:
    was = NORMAL if alert is None else standing(alert)
    then = step(was, seen, terms=terms, now=now)
    return None if then == was else Moved(labels, was, then, seen.value, alert, seen.error[:200])


def _gone(alert: Alert, *, terms: Terms, now: datetime) -> Moved | None:
    if terms.no_data is Missing.KEEP:
        return None
    calm = msgspec.structs.replace(terms, no_data=Missing.NORMAL)
    found = _step(alert, tuple(alert.labels.items()), Seen(), terms=calm, now=now)
    return found and msgspec.structs.replace(found, reason=GONE)


def ended(alert: Alert, *, now: datetime, reason: str) -> Moved:
    """An alert whose rule nobody looks at any more."""
    was = standing(alert)
    return Moved(tuple(alert.labels.items()), was, end(was, now=now), alert.value, alert, reason)


def standing(alert: Alert) -> Standing:
    return Standing(State(alert.state), Level(alert.level), alert.since, alert.began_at)


def fingerprint(rule_id: int, labels: Labels) -> str:
    return blake2b(msgspec.json.encode((rule_id, sorted(labels))), digest_size=16).hexdigest()


def is_news(was: Standing, now: Standing) -> bool:
    """Whether people are to be told: an alert began, turned into another or worse one, or is over."""
    if now.state not in ALARMED:
        return now.state is State.RESOLVED
    has_turned = was.state in ALARMED and was.state is not now.state
    return was.state not in TOLD or was.level is not now.level or has_turned


def write(rule: Rule, moves: Sequence[Moved], *, at: datetime) -> int:
    """How many of these changes were this one's to write: all or none of a rule that was edited meanwhile."""
    if not moves:
        return 0
    with transaction.atomic():
        fresh = Rule.objects.select_for_update().filter(pk=rule.pk, updated_at=rule.updated_at)
        if not fresh.exists():
            return 0
        return sum(_write(rule, one, at=at) for one in moves)


def _write(rule: Rule, one: Moved, *, at: datetime) -> bool:
    values = {
        "state": one.now.state.value,
        "level": one.now.level.value,
        "since": one.now.since,
        "began_at": one.now.began_at,
        "value": one.value,
        "reason": one.reason,
    }
    if one.alert is None:
        alert, is_ours = _made(rule, one.labels, values)
    else:
        alert, same = one.alert, Alert.objects.filter(pk=one.alert.pk, revision=one.alert.revision)
        is_ours = bool(same.update(**values, revision=F("revision") + 1))
        alert.revision += 1
    if is_ours:
        _tell(alert, one, at=at)
    return is_ours


def _made(rule: Rule, labels: Labels, values: Mapping[str, object]) -> tuple[Alert, bool]:
    """A row of these labels may be there from before, calm or, where another worker was faster, not."""
    name = fingerprint(rule.pk, labels)
    told = {"rule": rule, "rule_name": rule.name, "project_id": rule.project_id, "labels": dict(labels)}
    try:
        with transaction.atomic():
            return Alert.objects.create(fingerprint=name, **told, **values), True
    except IntegrityError:
        calm = Alert.objects.select_for_update().filter(fingerprint=name, state=State.NORMAL.value)
        alert = calm.first()
        if alert is None:
            return Alert(), False
        is_ours = calm.filter(revision=alert.revision).update(**told, **values, revision=F("revision") + 1)
        alert.revision += 1
        return alert, bool(is_ours)


def _tell(alert: Alert, one: Moved, *, at: datetime) -> None:
    Change.objects.create(
        alert=alert,
        revision=alert.revision,
        at=at,
        from_state=one.was.state.value,
        to_state=one.now.state.value,
        from_level=one.was.level.value,
        to_level=one.now.level.value,
        value=one.value,
        reason=one.reason,
        is_news=is_news(one.was, one.now),
    )


def _release(looks: Sequence[Look], problems: Mapping[int, str], *, at: datetime) -> None:
    """Gives the rules back until they are due again. Who was so late that another took them gives nothing back."""
    by_interval: dict[int, list[int]] = defaultdict(list)
    for look in looks:
        by_interval[look.rule.interval_s].append(look.pk)
    for interval_s, pks in by_interval.items():
        Look.objects.filter(pk__in=pks, claim=looks[0].claim).update(
            looked_for_at=F("due_at"),
            looked_at=at,
            due_at=next_due(interval_s, after=at),
            claim=None,
            claimed_until=None,
        )
    for pk, problem in problems.items():
        Look.objects.filter(pk=pk).update(problem=problem)
    Look.objects.filter(pk__in=[look.pk for look in looks], rule__enabled=False).delete()

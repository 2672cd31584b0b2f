"""Fills budgets' accounts that a store lacks, from the truth: the ledger, and the spools on their way there.

Exact without a transaction: nobody is granted anything by an account while it is missing, so what is spent in it
meanwhile is what was opened before. But accounts that may miss (their budgets only note, or settle in) are named by
reservations made meanwhile: the store adds those. A sum may contain them already: they count twice rather than not at
all. Every request that a spool names is counted by its line and left out of the ledger's sums, whenever a drainer may
move it; every other one is in the ledger already. Does not decide when: `analytics.keeper` does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from uuid import UUID

import msgspec
from django.db import connection

from analytics import accounts, drainer, ids, spending, spool
from analytics.counters.steps import Account, Held, Line, Rebuilt, nano
from analytics.counters.store import Store, StoreError
from analytics.periods import Period
from analytics.spending import By
from analytics.types import Budget, BudgetScope, Opened, UsageRow
from providers import sqlite_file

TTL_MS = 5_000
"""How long a step of a rebuild may take at first, a sum over the ledger for instance: so long everybody's budgets wait
when whoever is at it is killed. The keeper takes twice as long when that was too short."""
HELD_TTL_MS = 600_000
"""A request that was open lapses so long after the rebuild, if nobody settles it before."""
SLOW_TO_BEGIN = timedelta(minutes=1)
"""A request may reserve so long after it started: its window may have ended meanwhile."""
FILLED_AHEAD = timedelta(seconds=0.5)
"""An account is filled so long before its budget is enforced."""
ASKED_AT_ONCE = 500
"""Accounts: a store that is asked for more keeps requests waiting."""

_BY = {BudgetScope.KEY: By.KEY, BudgetScope.PROJECT: By.PROJECT, BudgetScope.INSTALLATION: By.ALL}


class _Lost(Exception):
    """The rebuild is no longer the one that is marked."""


class Target(msgspec.Struct, frozen=True):
    """One account, and what it counts."""

    account: Account
    by: By
    member: int
    """The key or project; 0 for all."""
    span: Period


def targets(budgets: Sequence[Budget], *, at: datetime) -> list[Target]:
    """The accounts that requests reserve in at `at`: of budgets in force, and of those that will be in a moment."""
    found: dict[str, Target] = {}
    for moment in (at - SLOW_TO_BEGIN, at, at + FILLED_AHEAD):
        for budget in accounts.in_force(budgets, at=moment, now=max(moment, at)):
            target = _target(budget, at=moment)
            # A window that is yet to begin starts at zero by itself.
            if moment <= at or not target.account.may_begin:
                found[target.account.name] = target
    return list(found.values())


def same_until(budget: Budget, *, at: datetime) -> datetime:
    """Until when `targets` says of this budget what it says at `at`, as far as that is easily told."""
    moments = (at - SLOW_TO_BEGIN, at + FILLED_AHEAD)
    if not all(accounts.in_force([budget], at=moment) for moment in moments):
        return at
    first, last = (accounts.span(budget, at=moment) for moment in moments)
    if first != last:
        return at
    return datetime.max.replace(tzinfo=UTC) if last.end is None else last.end - FILLED_AHEAD


def lacking(store: Store, wanted: Sequence[Target]) -> list[Target]:
    """Those whose accounts the store does not hold."""
    missing: set[str] = set()
    for start in range(0, len(wanted), ASKED_AT_ONCE):
        some = [target.account for target in wanted[start : start + ASKED_AT_ONCE]]
        missing.update(account.name for account in store.missing(some))
    return [target for target in wanted if target.account.name in missing]


def rebuild(
    store: Store,
    *,
    wanted: Sequence[Target],
    spool_root: Path,
    announce_s: float,
    replayed: drainer.Replayed,
    ttl_ms: int = TTL_MS,
    wait: Callable[[float], object] = time.sleep,
) -> Rebuilt | None:
    """Makes the store whole and fills every account of those wanted that it lacks.

    `announce_s` is what other processes get to announce what they have open. Returns what was written; None when
    another process is at it, or a step of it, a sum for instance, took longer than the `ttl_ms` it may. Raises:
    StoreError, and what the database raises; nothing was written then.
    """
    token = ids.new().hex
    if not store.begin(token, ttl_ms=ttl_ms):
        return None
    try:
        wait(announce_s)
        drainer.replay_abandoned(spool_root, replayed=replayed)
        found = lacking(store, wanted)
        lines = _lines(store, token=token, spool_root=spool_root)
        rebuilt = _count(found, lines, go_on=partial(_go_on, store, token=token, ttl_ms=ttl_ms))
    except _Lost:
        return None
    except BaseException:
        with suppress(StoreError):
            store.finish(token, Rebuilt((), (), 0))  # the mark goes, the accounts are still missing
        raise
    return rebuilt if store.finish(token, rebuilt) else None


def adopt(store: Store, *, folder: Path, budgets: Sequence[Budget], at: datetime) -> Sequence[Held]:
    """Has a store that others have rebuilt hold what is open by this process's spool and was told to none of them;
    returns what it may hold by this. What the store did not know while it was open was counted nowhere."""
    unknown = set(store.unknown([one.id for one in _open_in(folder)]))
    # Read again: what was open after the store was asked cannot have been settled before.
    lost = [one for one in _open_in(folder) if one.id in unknown] if unknown else []
    if not lost:
        return ()
    of = _index(targets(budgets, at=at))
    named = (Held(one.id, one.nano_usd, tuple(target.account.name for target in _counting(one, of))) for one in lost)
    held = [one for one in named if one.accounts]
    store.adopt(held, ttl_ms=HELD_TTL_MS)
    return held


def _open_in(folder: Path) -> list[Line]:
    return [one for one in latest(map(line, spool.lines(folder))).values() if one.is_open]


def line(found: spool.Line) -> Line:
    """A spool's line as a rebuild counts it. What no budget has asked for yet is held at its estimate."""
    cost = found.budget_usd if isinstance(found, UsageRow) else max(found.cap_usd, found.cost_usd)
    return Line(found.id.hex, found.project_id, found.key_id, nano(cost), isinstance(found, Opened))


def latest(lines: Iterable[Line]) -> dict[str, Line]:
    """One line for each request: settled over open, and of open ones the highest cap, as top-ups only raise it."""
    found: dict[str, Line] = {}
    for one in lines:
        known = found.get(one.id)
        if known is None or (known.is_open and (not one.is_open or one.nano_usd > known.nano_usd)):
            found[one.id] = one
    return found


def _target(budget: Budget, *, at: datetime) -> Target:
    member = {BudgetScope.KEY: budget.key_id, BudgetScope.PROJECT: budget.project_id}.get(budget.scope) or 0
    return Target(accounts.account(budget, at=at), _BY[budget.scope], member, accounts.span(budget, at=at))


def _lines(store: Store, *, token: str, spool_root: Path) -> dict[str, Line]:
    """Of living processes: those of this machine from their spools, in place, those of others as announced. Those of a
    dead one that could not be replayed count as open, and are corrected when they are."""
    read = (line(found) for folder in spool.folders(spool_root) for found in spool.lines(folder))
    announced = (one for lines in store.announced(token).values() for one in lines)
    return latest([*read, *announced])


def _go_on(store: Store, *, token: str, ttl_ms: int) -> None:
    """Raises: _Lost."""
    if not store.renew(token, ttl_ms=ttl_ms):
        raise _Lost


def _count(lacking: list[Target], lines: Mapping[str, Line], *, go_on: Callable[[], None]) -> Rebuilt:
    if not lacking:
        return Rebuilt((), (), HELD_TTL_MS)
    sqlite_file.require(connection)
    lines = _with_settled(lines)
    sums = _sums(lacking, without=[UUID(hex=id) for id in lines], go_on=go_on)
    sqlite_file.require(connection)
    spent = {target.account.name: nano(sums[target.account.name]) for target in lacking}
    held = []
    of = _index(lacking)
    for one in lines.values():
        names = tuple(target.account.name for target in _counting(one, of))
        if one.is_open and names:
            held.append(Held(one.id, one.nano_usd, names))
        elif not one.is_open:
            for name in names:
                spent[name] += one.nano_usd
    ends = {target.account.name: target.account.ends_ms for target in lacking}
    return Rebuilt(tuple((name, ends[name], total) for name, total in spent.items()), tuple(held), HELD_TTL_MS)


def _with_settled(lines: Mapping[str, Line]) -> dict[str, Line]:
    """Open ones that the ledger has cost what it says: their last line was drained and deleted before we came to it."""
    known = spending.of_requests([UUID(hex=one.id) for one in lines.values() if one.is_open])
    settled = {
        id.hex: msgspec.structs.replace(lines[id.hex], nano_usd=nano(usd), is_open=False) for id, usd in known.items()
    }
    return {**lines, **settled}


def _sums(lacking: list[Target], *, without: list[UUID], go_on: Callable[[], None]) -> dict[str, Decimal]:
    """One sum for each account, one query for each scope and span. Asks before and after each whether to go on."""
    together: dict[tuple[By, Period], list[Target]] = {}
    for target in lacking:
        together.setdefault((target.by, target.span), []).append(target)
    sums: dict[str, Decimal] = {}
    go_on()
    for (by, span), alike in together.items():
        members = {target.member for target in alike}
        found = spending.spent(by, members, start=span.start, end=span.end, without=without)
        go_on()
        sums |= {target.account.name: found.get(target.member, Decimal(0)) for target in alike}
    return sums


_Index = Mapping[tuple[By, int], list[Target]]


def _index(lacking: list[Target]) -> _Index:
    of: dict[tuple[By, int], list[Target]] = {}
    for target in lacking:
        of.setdefault((target.by, target.member), []).append(target)
    return of


def _counting(one: Line, of: _Index) -> Iterable[Target]:
    """The accounts that a request counts in: a window counts those that started in it."""
    started_at = ids.started_at(UUID(hex=one.id))
    by = [(By.PROJECT, one.project_id), (By.ALL, 0)]
    if one.key_id is not None:
        by.append((By.KEY, one.key_id))
    for target in (target for member in by for target in of.get(member, ())):
        if target.span.holds(started_at):
            yield target

"""Keeps the counters true, in a thread of its own: feels their pulse, has lost accounts filled, settles what was left.

What a request could not wait for, or could not do, ends here: settlements that failed, reservations whose time ran out,
places of processes that died, audit entries of budgets that were reached. Decides no request: `is_here` and the store's
own answers do. How accounts are filled is `analytics.rebuilding`'s.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import msgspec
from django.db import DatabaseError, InterfaceError, connection, transaction

from analytics import accounts, audit, budget_book, limits, rebuilding, spending
from analytics import spool as spools
from analytics.counters.steps import Held, Pulse, Rebuilt, Settle, nano, usd
from analytics.counters.store import Store, StoreError
from analytics.lengths import Lengths
from analytics.models import ApiKey, Outcome, Severity
from analytics.rebuilding import Target
from analytics.spool import Spool
from analytics.types import Book, Budget, UsageRow

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")

LOOK_FOR_LAPSED_S = 1.0
LOOK_FOR_MISSING_S = 5.0
TIDY_S = 60.0
SEED_AGAIN_S = 5.0
LONGEST_PAUSE_S = 5.0
"""Between two tries to fill accounts."""
LONGEST_TTL_MS = 600_000
FLUSH_AT_STOP_S = 1.0
AT_ONCE = 100
MOST_LATER = 100_000
"""Settlements that wait for the store; the oldest go first, and are corrected when their reservations have lapsed."""
MOST_TOLD = 10_000
OTHERS_ANNOUNCE_S = 2.0
"""Several looks: one that was late is no reason to be left out."""
OPENED_S = 0.05
"""What a request between its reservation and its `opened` line needs at most, where spools are read in place."""


class _Reached(msgspec.Struct):
    account: str
    budget: Budget
    spent: int
    is_ours: bool = False
    """The store chose this process to write it down."""


def _nobody(is_here: bool) -> None: ...


def _now() -> datetime:
    return datetime.now(UTC)


class Keeper(threading.Thread):
    """Looks after one store for one process, until stopped."""

    def __init__(
        self,
        store: Store,
        *,
        spool: Spool,
        spool_root: Path,
        book: Callable[[], Book],
        lengths: Lengths,
        every_s: float = 0.25,
        announce_s: float | None = None,
        on_pulse: Callable[[bool], None] = _nobody,
        now: Callable[[], datetime] = _now,
    ) -> None:
        """`book` is the one requests are held to; `on_pulse` hears in this thread whether the store answers."""
        super().__init__(name="keeper", daemon=True)
        self._store = store
        self._own = spool
        self._spool_root = spool_root
        self._book = book
        self._lengths = lengths
        self._every_s = every_s
        usual_s = OPENED_S if store.is_local else OTHERS_ANNOUNCE_S
        self._announce_s = usual_s if announce_s is None else announce_s
        self._on_pulse = on_pulse
        self._now = now
        self._stopping = threading.Event()
        self.is_here = False
        """Whether the store answered the last time."""
        self.has_looked = threading.Event()
        """The first round is over."""
        self._problems: dict[str, str] = {}
        self._due_at: dict[str, float] = {}
        self._later: deque[Settle] = deque(maxlen=MOST_LATER)
        self._reached: deque[_Reached] = deque()
        self._told: set[str] = set()
        self._is_wanted = threading.Event()
        self._checked: Book | None = None
        self._known: dict[int, tuple[Budget, datetime]] = {}
        """Budgets whose accounts were there, and until when they are the same ones."""
        self._whole_since_ms: int | None = None
        self._adopted_since_ms: int | None = None
        """The store was whole since then when it was last asked for what is open here."""
        self._held: dict[str, float] = {}
        """Requests that a rebuild took for open, and until when their rows are looked for: not each will settle."""
        self._pause_s = 0.0
        self._fill_at = 0.0
        self._ttl_ms = rebuilding.TTL_MS

    # What others say, from any thread.

    def later(self, step: Settle) -> None:
        """A settlement that failed: tried until the store takes it. Its rates stay uncorrected, as nobody knows
        whether they were corrected before it failed; the rest may be done twice."""
        if step.nano_usd is not None or step.slots:
            self._later.append(msgspec.structs.replace(step, corrections=()) if step.corrections else step)

    def reached(self, account: str, budget: Budget, spent: int) -> None:
        """A budget refused, degraded or would have: the audit trail gets one entry for each of its windows."""
        if account not in self._told:
            if len(self._told) >= MOST_TOLD:
                self._told.clear()
            self._told.add(account)
            self._reached.append(_Reached(account, budget, spent))

    def wants_rebuild(self) -> None:
        """A request found accounts missing."""
        self._is_wanted.set()

    def replayed(self, rows: Sequence[UsageRow]) -> None:
        """Rows of a dead process are in the ledger: what it held is settled, its places are given back. Raises what
        the database raises."""
        # A request that seems interrupted may have been settled in memory, and be in the ledger at what it cost.
        known = spending.of_requests([row.id for row in rows if row.outcome == Outcome.INTERRUPTED])
        for row in rows:
            self.later(
                Settle(
                    row.id.hex,
                    nano_usd=nano(known.get(row.id, row.budget_usd)),
                    slots=limits.slots_of(row.key_id, row.project_id),
                )
            )

    @property
    def problem(self) -> str:
        """What does not work, '' while all does."""
        return "; ".join(f"{what}: {why}" for what, why in list(self._problems.items()))

    # The thread.

    def run(self) -> None:
        try:
            while True:
                self.look()
                self.has_looked.set()
                if self._stopping.wait(self._every_s):
                    return
        finally:
            connection.close()

    def stop(self, *, timeout_s: float) -> bool:
        """Ends the thread; returns whether every settlement that waited is done."""
        self._stopping.set()
        self.join(timeout_s)
        if self.is_alive():
            return False
        try:
            self._flush_at_last()
            self._try("audit entries", self._tell)
        finally:
            connection.close()  # this thread's own
        return not self._later

    def look(self) -> None:
        """One round. Never raises."""
        pulse = self._try("the counters", self._store.pulse)
        self.is_here = pulse is not None
        self._try("the guard", lambda: self._on_pulse(self.is_here))
        if pulse is not None:
            self._try("settlements", self._flush)
            self._try("announcing", lambda: self._announce(pulse))
            self._try("open requests", lambda: self._adopt(pulse))
            self._try("accounts", lambda: self._fill(pulse))
            self._try("audit entries", self._tell)
            if self._is_due("lapsed", every_s=LOOK_FOR_LAPSED_S):
                self._try("lapsed reservations", self._settle_lapsed)
            if self._is_due("tidy", every_s=TIDY_S):
                self._try("tidying", self._store.tidy)
        if self._is_due("seed", every_s=SEED_AGAIN_S) and self._try("lengths", self._lengths.seed):
            self._due_at["seed"] = float("inf")

    def _try(self, what: str, act: Callable[[], Answer]) -> Answer | None:
        try:
            answer = act()
        except Exception as error:
            connection.close()
            if what not in self._problems:
                is_known = isinstance(error, StoreError | DatabaseError | InterfaceError | OSError)
                logger.error("Keeping budgets, %s: %s", what, error, exc_info=not is_known)
            self._problems[what] = str(error)[:200] or type(error).__name__
            return None
        if self._problems.pop(what, None) is not None:
            logger.info("Keeping budgets, %s: works again", what)
        return answer

    def _is_due(self, what: str, *, every_s: float) -> bool:
        now = time.monotonic()
        if now < self._due_at.get(what, 0.0):
            return False
        self._due_at[what] = now + every_s
        return True

    # Settling what was left.

    def _flush_at_last(self) -> None:
        """A store that was busy for a moment gets another chance: what is left open now stays so until it lapses."""
        give_up_at = time.monotonic() + FLUSH_AT_STOP_S
        while True:
            self._try("settlements", self._flush)
            if not self._later or time.monotonic() >= give_up_at:
                return
            time.sleep(self._every_s)

    def _flush(self) -> None:
        while self._later:
            steps = [self._later.popleft() for _ in range(min(AT_ONCE, len(self._later)))]
            try:
                self._store.settle_now(steps)
            except BaseException:
                self._later.extendleft(reversed(steps))
                raise

    def _settle_lapsed(self) -> None:
        now = time.monotonic()
        self._held = {id: until for id, until in self._held.items() if until > now}
        waiting = {*self._store.lapse(), *self._held}
        known = spending.of_requests([UUID(hex=id) for id in waiting])
        steps = [Settle(id.hex, nano_usd=nano(cost)) for id, cost in known.items()]
        for at in range(0, len(steps), AT_ONCE):
            self._store.settle_now(steps[at : at + AT_ONCE])
        for id in known:
            self._held.pop(id.hex, None)

    # Filling accounts.

    def _announce(self, pulse: Pulse) -> None:
        token = pulse.rebuilding
        if not token or self._store.is_local:
            return
        lines = rebuilding.latest(rebuilding.line(found) for found in spools.lines(self._own.folder))
        self._store.announce(token, source=self._own.folder.name, lines=list(lines.values()))

    def _adopt(self, pulse: Pulse) -> None:
        """Whoever made the store whole may not have waited for what was announced here."""
        since_ms = pulse.whole_since_ms
        if since_ms is None or since_ms == self._adopted_since_ms or self._store.is_local:
            return
        book = self._book()
        held = rebuilding.adopt(self._store, folder=self._own.folder, budgets=book.all(), at=self._now())
        self._look_for(held, ttl_ms=rebuilding.HELD_TTL_MS)
        self._adopted_since_ms = since_ms

    def _look_for(self, held: Sequence[Held], *, ttl_ms: int) -> None:
        until = time.monotonic() + ttl_ms / 1000
        self._held |= {one.id: until for one in held}

    def _fill(self, pulse: Pulse) -> None:
        if pulse.rebuilding or time.monotonic() < self._fill_at:
            return
        book, is_whole = self._book(), pulse.whole_since_ms is not None
        if is_whole and not self._is_time_to_check(book):
            return
        if self._is_wanted.is_set() or pulse.whole_since_ms != self._whole_since_ms:
            self._known.clear()
            self._whole_since_ms = pulse.whole_since_ms
        self._is_wanted.clear()
        # The snapshot's book may be two seconds old; it says whether to look, the database what to fill.
        if not is_whole or self._lacking(book):
            try:
                is_done = self._rebuild(is_whole=is_whole)
            except Exception:
                self._pause_s = min(self._pause_s * 2 or self._every_s, LONGEST_PAUSE_S)
                self._fill_at = time.monotonic() + self._pause_s
                self._is_wanted.set()
                raise
            self._pause_s = 0.0
            if not is_done:
                self._is_wanted.set()
                return
        self._checked = book
        self._due_at["missing"] = time.monotonic() + self._until_next_check_s(book)

    def _is_time_to_check(self, book: Book) -> bool:
        is_due = time.monotonic() >= self._due_at.get("missing", 0.0)
        return is_due or self._is_wanted.is_set() or book is not self._checked

    def _until_next_check_s(self, book: Book) -> float:
        """Not later than the next budget's account is to be filled."""
        filled = accounts.SETTLING_IN - rebuilding.FILLED_AHEAD
        waits = [(budget.defined_at + filled - self._now()).total_seconds() for budget in book.all()]
        return min([LOOK_FOR_MISSING_S, *(wait for wait in waits if wait > 0)])

    def _lacking(self, book: Book) -> list[Target]:
        """The accounts that are missing, of budgets that are not known to have theirs."""
        at = self._now()
        unknown = [budget for budget in book.all() if not self._is_known(budget, at=at)]
        lacking = rebuilding.lacking(self._store, rebuilding.targets(unknown, at=at))
        if not lacking:
            self._known |= {budget.id: (budget, rebuilding.same_until(budget, at=at)) for budget in unknown}
        return lacking

    def _is_known(self, budget: Budget, *, at: datetime) -> bool:
        known = self._known.get(budget.id)
        return known is not None and at < known[1] and known[0] == budget

    def _rebuild(self, *, is_whole: bool) -> bool:
        """Returns whether nothing is missing any more, as far as is known."""
        fresh = budget_book.load()
        wanted = self._lacking(fresh) if is_whole else rebuilding.targets(fresh.all(), at=self._now())
        if is_whole and not wanted:
            return True
        began = time.monotonic()
        rebuilt = rebuilding.rebuild(
            self._store,
            wanted=wanted,
            spool_root=self._spool_root,
            announce_s=self._announce_s,
            replayed=self.replayed,
            ttl_ms=self._ttl_ms,
            wait=self._stopping.wait,
        )
        if rebuilt is not None:
            self._note(rebuilt, took_s=time.monotonic() - began)
        elif (time.monotonic() - began) * 1000 > self._ttl_ms:
            # A ledger that takes longer to sum up than the mark lasts would never be done.
            self._ttl_ms = min(self._ttl_ms * 2, LONGEST_TTL_MS)
        return rebuilt is not None

    def _note(self, rebuilt: Rebuilt, *, took_s: float) -> None:
        self._look_for(rebuilt.held, ttl_ms=rebuilt.ttl_ms)
        if rebuilt.spent:
            logger.warning(
                "%d budgets' accounts were filled from the ledger in %.2f s, with %d open requests",
                len(rebuilt.spent),
                took_s,
                len(rebuilt.held),
            )

    # The audit trail.

    def _tell(self) -> None:
        """An entry is lost only when this process dies between being chosen to write it and writing it."""
        while self._reached:
            reached = self._reached[0]
            reached.is_ours = reached.is_ours or self._store.first(reached.account)
            if reached.is_ours:
                with transaction.atomic():
                    _record(reached)
            self._reached.popleft()


def _record(reached: _Reached) -> None:
    budget = reached.budget
    project_id = budget.project_id
    if budget.key_id is not None:
        project_id = ApiKey.objects.filter(pk=budget.key_id).values_list("project_id", flat=True).first()
    audit.record(
        "budget.reached",
        actor="system",
        severity=Severity(budget.severity),
        target=f"{budget.scope} {budget.name}".strip(),
        project_id=project_id,
        after={
            "budget": budget.id,
            "window": budget.window,
            "limit_usd": f"{budget.limit_usd.normalize():f}",
            "spent_usd": f"{usd(reached.spent).normalize():f}",
            "action": budget.action,
        },
    )

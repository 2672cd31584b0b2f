"""A process's view of which models are well, and its part in keeping it true for all.

Requests read `circuits` and say how their calls ended; neither waits for anything. A thread folds what they said into
the circuits that all processes share (`routing.circuits`), by compare-and-set, and publishes what it read. A model that
answers costs nothing: calls that went well are counted here, and told only beside a failure. While the counters are
away this process goes on with circuits of its own.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from uuid import uuid4

from msgspec.structs import replace

from analytics.counters.store import Store, StoreError
from providers.types import Model
from routing import circuits, snapshot, transitions
from routing.circuit import (
    BUCKET_S,
    CHANGED,
    WINDOW_S,
    Circuit,
    Outcome,
    Rules,
    Says,
    State,
    after,
    claimed,
    is_of,
    said,
)
from routing.circuits import Kept, Wanted
from routing.types import ALL_CLOSED

logger = logging.getLogger(__name__)

EVERY_S = 0.25
LEAST_S = 0.02
"""Between two looks, however many failures ask for one."""
LOOKS_AWAY = 2
"""So many looks in a row without the counters are an outage; one is a busy machine."""
MOST_HEARD = 100_000
QUIET = frozenset({Says.WELL, Says.ANSWERS, Says.NOTHING})
"""What changes nothing of a model that is well."""


class Taken(Exception):
    """Somebody else tries the model just now, or has found it out of order."""


class Health(threading.Thread):
    """One per process. The thread looks until stopped; everything else is called from others."""

    def __init__(
        self,
        store: Store,
        *,
        every_s: float = EVERY_S,
        now: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(name="health", daemon=True)
        self.circuits: Mapping[int, Circuit] = ALL_CLOSED
        """By the model's row id, those that are not closed. Replaced, never changed."""
        self.known: Mapping[int, Circuit] = ALL_CLOSED
        """The same with those that are closed and count failures."""
        self.is_shared = True
        """Whether the counters are there."""
        self.has_looked = threading.Event()
        self.writer = transitions.Writer()
        self._store = store
        self._every_s = every_s
        self._now = now
        self._draw = draw
        self._stopping = threading.Event()
        self._is_wanted = threading.Event()
        self._heard: deque[tuple[Model, Outcome]] = deque(maxlen=MOST_HEARD)
        self._waiting: dict[int, list[Outcome]] = {}
        """What the shared circuits do not know yet."""
        self._well: dict[int, dict[int, int]] = {}
        """Calls that went well, by model and bucket, of models without a failure."""
        self._models: dict[int, Model] = {}
        self._fingerprints: dict[int, str] = {}
        """Of what is configured."""
        self._called: dict[int, tuple[Model, str]] = {}
        """Of what was called, which may be what was configured before."""
        self._rules = Rules()
        self._version = ""
        self._confirmed_at = 0.0
        """When the database last said that this is what is configured."""
        self._looks_away = 0
        """In a row."""
        self._own: set[int] = set()
        """Models whose circuits moved while the counters were away."""
        self._mine = threading.Lock()
        """Over `known`, where this process alone decides who claims."""

    # What requests say and ask.

    def saw(self, model: Model, outcome: Outcome) -> None:
        """Never waits."""
        self._heard.append((model, outcome))
        if outcome.probe or outcome.says not in QUIET:
            self._is_wanted.set()

    def claim(self, model: Model, *, for_s: float) -> str:
        """Takes it on oneself to try a model that is due; its token, '' where its circuit is closed by now. Waits for
        the counters: not for the event loop. Raises: Taken."""
        token = uuid4().hex
        try:
            kept = circuits.read(self._store).get(model.id)
            before = kept.circuit if kept is not None else None
            if before is None or before.state is State.CLOSED:
                return ""
            if not is_of(before, circuits.fingerprint(model)):
                return ""
            now = self._now()
            probing = claimed(before, probe=token, now=now, for_s=for_s)
            if probing is None or not circuits.write(self._store, {model.id: Wanted(kept, probing)}, now=now):
                raise Taken
        except StoreError:
            if self.is_shared:  # another process may reach them, and claim it there
                raise Taken from None
            return self._claim_alone(model, token=token, for_s=for_s)
        self._note(model, before, probing)
        with self._mine:
            self._publish({**self.known, model.id: probing})
        return token

    def _claim_alone(self, model: Model, *, token: str, for_s: float) -> str:
        with self._mine:
            before = self.known.get(model.id)
            if before is None or before.state is State.CLOSED:
                return ""
            probing = claimed(before, probe=token, now=self._now(), for_s=for_s)
            if probing is None:
                raise Taken
            self._own.add(model.id)
            self._publish({**self.known, model.id: probing})
        self._note(model, before, probing)
        return token

    # The thread.

    def start(self) -> None:
        self.writer.start()
        super().start()

    def run(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._stopping.is_set()
            try:
                self.look()
            except Exception:  # whatever it is: nobody else would ever hear of a model that is out
                logger.exception("Looking after circuits failed")
            self.has_looked.set()
            if not is_last:
                self._is_wanted.wait(self._every_s)
                self._is_wanted.clear()
                self._stopping.wait(LEAST_S)

    def stop(self, *, timeout_s: float) -> bool:
        """Ends the thread once all it heard is told; whether that was in time."""
        self._stopping.set()
        self._is_wanted.set()
        if self.is_alive():
            self.join(timeout_s)
        is_written = self.writer.stop(timeout_s=timeout_s)
        return not self.is_alive() and is_written

    def look(self) -> None:
        """One round: tells what was heard, reads what all know."""
        self._look_at_configuration()
        self._gather()
        try:
            self._share()
        except StoreError as error:
            self._looks_away += 1
            if self._looks_away < LOOKS_AWAY:
                return
            if self.is_shared:
                logger.error("The counters are away, circuits are this process's own: %s", error)
            self.is_shared = False
            self._go_on_alone()
        else:
            if not self.is_shared:
                logger.warning("The counters are back, circuits are shared again")
            self.is_shared, self._looks_away = True, 0

    # What is configured, and what was heard.

    def _look_at_configuration(self) -> None:
        try:
            config = snapshot.current()
        except snapshot.SnapshotError:
            return
        self._confirmed_at = self._now() - (time.monotonic() - config.loaded_at)
        if config.version != self._version:
            self._version = config.version
            self._models = {one.model.id: one.model for served in config.served.values() for one in served}
            self._fingerprints = {number: circuits.fingerprint(model) for number, model in self._models.items()}
        self._rules = config.policy.circuits

    def _gather(self) -> None:
        while self._heard:
            model, outcome = self._heard.popleft()
            outcome = replace(outcome, fingerprint=self._fingerprint(model))
            self._waiting.setdefault(model.id, []).append(outcome)

    def _fingerprint(self, model: Model) -> str:
        known = self._called.get(model.id)
        if known is None or known[0] is not model:
            known = self._called[model.id] = model, circuits.fingerprint(model)
        return known[1]

    def _set_aside(self, known: Mapping[int, object]) -> None:
        """Calls that went well, of models of which nothing else is known, are counted here alone."""
        for number, outcomes in list(self._waiting.items()):
            if number not in known and all(one.says in QUIET for one in outcomes):
                del self._waiting[number]
                counts = self._well.setdefault(number, {})
                for one in outcomes:
                    if one.says is Says.WELL:
                        bucket = int(one.at // BUCKET_S)
                        counts[bucket] = counts.get(bucket, 0) + one.times
        first = int((self._now() - WINDOW_S) // BUCKET_S)
        for counts in self._well.values():
            for bucket in [bucket for bucket in counts if bucket < first]:
                del counts[bucket]

    def _outcomes(self, number: int) -> Iterator[Outcome]:
        """All that the shared circuit has not been told of."""
        waiting = self._waiting.get(number, [])
        fingerprint = waiting[0].fingerprint if waiting else self._fingerprints.get(number, "")
        for bucket, count in self._well.get(number, {}).items():  # nobody knows any more when they began
            yield Outcome(Says.WELL, bucket * BUCKET_S, 0.0, fingerprint=fingerprint, times=count)
        yield from waiting

    # The shared circuits.

    def _share(self) -> None:
        for _ in range(circuits.TRIES):
            kept = circuits.read(self._store)
            self._set_aside(kept)
            wanted = self._wanted(kept)
            now = self._now()
            done = circuits.write(self._store, wanted, now=now)
            known = {number: one.circuit for number, one in kept.items() if one.circuit is not None}
            for number in done:
                self._tell(number, known.get(number), wanted[number].circuit)
            with self._mine:
                self._publish(_changed(known, {number: wanted[number].circuit for number in done}))
            for number in done:
                self._well.pop(number, None)
            self._forget(self._waiting.keys() - (wanted.keys() - done))
            self._own -= done
            if len(done) == len(wanted):
                self._own.clear()
                return

    def _wanted(self, kept: Mapping[int, Kept]) -> dict[int, Wanted]:
        """What is to be changed, by what was heard, and by what is configured."""
        wanted = {}
        for number in {*self._waiting, *kept, *self._own}:
            entry = kept.get(number)
            before = entry.circuit if entry is not None else None
            changed = self._after(number, self._to_go_on_from(number, before))
            if changed != before:
                wanted[number] = Wanted(entry, changed)
        return wanted

    def _to_go_on_from(self, number: int, before: Circuit | None) -> Circuit | None:
        """What the shared circuit is, or what it became here while nobody could be told."""
        own = self.known.get(number) if number in self._own else None
        return own if own is not None and own.state is not State.CLOSED and before is None else before

    def _after(self, number: int, before: Circuit | None) -> Circuit | None:
        if before is not None and self._is_of_the_past(number, before):
            before = None
        knows_better = before is not None and before.is_doubted and number in self._well
        if number not in self._waiting and not knows_better:
            return before
        return after(before, self._outcomes(number), rules=self._rules, now=self._now(), draw=self._draw())

    def _is_of_the_past(self, number: int, circuit: Circuit) -> bool:
        """Whether what it is of was changed since; a process that has not heard of the last change cannot say so."""
        is_another = not is_of(circuit, self._fingerprints.get(number, circuit.fingerprint))
        return is_another and self._confirmed_at > circuit.since

    def _go_on_alone(self) -> None:
        with self._mine:
            known = dict(self.known)
            self._set_aside(known)
            changes = {number: self._after(number, known.get(number)) for number in {*self._waiting, *known}}
            self._publish(_changed(known, changes))
        for number, changed in changes.items():
            if changed != known.get(number):
                self._own.add(number)
                self._tell(number, known.get(number), changed)
        self._forget(self._waiting.keys())

    def _forget(self, told: Iterable[int]) -> None:
        for number in list(told):
            if self._waiting.pop(number, None) is not None:
                self._well.pop(number, None)

    def _publish(self, known: Mapping[int, Circuit]) -> None:
        self.known = known
        self.circuits = circuits.of_now(known, fingerprints=self._fingerprints) or ALL_CLOSED

    # What became of them.

    def _tell(self, number: int, before: Circuit | None, changed: Circuit | None) -> None:
        called = self._called.get(number)
        model = self._models.get(number) or (called[0] if called is not None else None)
        if model is not None:
            is_new = before is not None and self._is_of_the_past(number, before)
            self._note(model, before, changed, cause=CHANGED if is_new and changed is None else "")

    def _note(self, model: Model, before: Circuit | None, changed: Circuit | None, *, cause: str = "") -> None:
        row = transitions.row(model, before, changed, at=self._now(), cause=cause)
        if row is None:
            return
        self.writer.add(row)
        level = logging.WARNING if row.to_state == State.OPEN else logging.INFO
        logger.log(
            level,
            "The circuit of %s is %s: %s",
            model.qualified_name,
            said(row.to_state),
            changed.words() if changed is not None and changed.state is State.OPEN else said(row.cause),
        )


def _changed(known: Mapping[int, Circuit], changes: Mapping[int, Circuit | None]) -> dict[int, Circuit]:
    """What is known, with these changes."""
    return {number: circuit for number, circuit in {**known, **changes}.items() if circuit is not None}

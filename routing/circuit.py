"""A model's circuit: whether it may be called, by what came of the calls before. Pure: outcomes in, the next state out.

Closed, calls are counted over 30 seconds; open, nobody calls until a time; then it is *due*: one request claims it,
the circuit is half open as long as that takes, and its outcome closes it or opens it for longer. Which model a circuit
is of, where it is kept and who agrees on it is `routing.health`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from providers.types import FailureCause, FailureKind, ProviderError

WINDOW_S = 30.0
BUCKET_S = 5.0
LONGEST_OPEN_S = 120.0
LONGEST_RETRY_S = 3600.0
"""The most that a vendor's Retry-After is believed."""
RELOOK_S = 300.0
"""Until a refused credential is tried again though nothing was changed here: an account may have been topped up."""
JITTER = 0.2
"""By how much of itself a time is shortened at most, so that not all circuits are due at once."""


SETTLED = frozenset(
    {
        FailureCause.PRIVATE_ADDRESS,
        FailureCause.METADATA_ADDRESS,
        FailureCause.UNUSABLE_ADDRESS,
        FailureCause.UNUSABLE_CREDENTIAL,
    }
)
"""Nobody was called: the same model again would fail the same way until a row or the environment changes."""


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Says(StrEnum):
    """What the end of a call says of its model's health."""

    WELL = "well"
    ANSWERS = "answers"
    """It refused this request for the request's own sake: not counted, but somebody is there."""
    NOTHING = "nothing"
    """It was not called, or left before it could answer."""
    FAILING = "failing"
    LIMITED = "limited"
    REFUSED = "refused"
    """By what only an operator can mend."""
    DENIED = "denied"
    """By that, or for the request's own sake: vendors say 402, 403 and 404 also of an output that credits do not cover,
    of words that moderation flags, and of a feature that no endpoint of theirs has."""


SAYS = {
    FailureKind.UNREACHABLE: Says.FAILING,
    FailureKind.TIMEOUT: Says.FAILING,
    FailureKind.SERVER_ERROR: Says.FAILING,
    FailureKind.BAD_ANSWER: Says.FAILING,
    FailureKind.BROKEN_STREAM: Says.FAILING,
    FailureKind.RATE_LIMITED: Says.LIMITED,
    FailureKind.CREDENTIALS: Says.REFUSED,
    FailureKind.NOT_FOUND: Says.DENIED,
    FailureKind.CONTEXT_TOO_LONG: Says.ANSWERS,
    FailureKind.REJECTED: Says.ANSWERS,
    FailureKind.UNSUPPORTED: Says.NOTHING,
    FailureKind.OVERLOADED: Says.NOTHING,
}

DENIES = frozenset({402, 403})

COUNTED = frozenset({Says.WELL, Says.FAILING, Says.DENIED})

ANSWERED = "answered"
PROBED = "tried once"
LET_GO = "the one who tried it left"
CHANGED = "configuration changed"
RESET = "reset by hand"
"""Causes of a change other than a failure."""


class Rules(msgspec.Struct, frozen=True):
    """The policy's numbers."""

    min_calls: int = 5
    failure_share: float = 0.5
    open_s: float = 5.0


class Outcome(msgspec.Struct, frozen=True):
    """The end of one call, or of several that went well."""

    says: Says
    at: float
    """Unix time, as all times here."""
    began_at: float
    cause: str = ""
    """Of a failure: its kind, or what has to be mended."""
    retry_after_s: float | None = None
    probe: str = ""
    """Token of the claim, where the call was one."""
    fingerprint: str = ""
    """Of what was called."""
    times: int = 1
    was_counted: bool = False
    """The call has been counted as one that went well: a stream broke after its content."""


class Bucket(msgspec.Struct, frozen=True, array_like=True):
    number: int
    """Of the five seconds, since 1970."""
    calls: int
    failures: int


class Circuit(msgspec.Struct, frozen=True, omit_defaults=True):
    fingerprint: str
    """Keyed digest of what is called: another one is another circuit."""
    state: State = State.CLOSED
    since: float = 0.0
    """When it came into this state, or was opened anew."""
    until: float = 0.0
    """Open: when it is due. Half open: when the claim lapses."""
    cause: str = ""
    """Why it is not closed."""
    opened_at: float = 0.0
    """When it was closed last."""
    reopened: int = 0
    """Probes that failed since."""
    probe: str = ""
    buckets: tuple[Bucket, ...] = ()
    """As they were when it opened, once it is open."""
    is_doubted: bool = False
    """Opened by one refusal that may have been the request's own, since nobody was known to have had an answer. Who had
    one says so, and it closes."""

    @property
    def calls(self) -> int:
        return sum(bucket.calls for bucket in self.buckets)

    @property
    def failures(self) -> int:
        return sum(bucket.failures for bucket in self.buckets)

    @property
    def share(self) -> float:
        """Of the failures among the counted calls."""
        return self.failures / self.calls if self.calls else 0.0

    def is_out(self, *, at: float) -> bool:
        """Whether nobody may call: it is open, or somebody tries it just now."""
        return self.state is not State.CLOSED and at < self.until

    def is_due(self, *, at: float) -> bool:
        """Whether one may claim it: its time is over, or the one before never came back."""
        return self.state is not State.CLOSED and at >= self.until

    def words(self) -> str:
        """Why it is out and until when."""
        if self.state is State.HALF_OPEN:
            return f"{said(self.cause)}, and another request tries it now"
        return f"{said(self.cause)}, until {datetime.fromtimestamp(self.until, UTC):%H:%M:%S} UTC"


def said(cause: str) -> str:
    """A cause as people read it."""
    return cause.replace("_", " ")


def outcome(
    error: ProviderError | None,
    *,
    at: float,
    began_at: float,
    fingerprint: str = "",
    probe: str = "",
    was_counted: bool = False,
) -> Outcome:
    """What the end of a call says: with an answer (None), or by its failure. It reads no message."""
    says, cause, retry_after_s = Says.WELL, "", None
    if error is not None:
        says, cause, retry_after_s = SAYS[error.kind], error.kind.value, error.retry_after_s
        if error.cause is not None and error.cause in SETTLED:
            says, cause = Says.REFUSED, error.cause.value
        elif says is Says.REFUSED and error.status in DENIES:
            says = Says.DENIED
    return Outcome(says, at, began_at, cause, retry_after_s, probe, fingerprint, was_counted=was_counted)


def after(
    circuit: Circuit | None, outcomes: Iterable[Outcome], *, rules: Rules, now: float, draw: float
) -> Circuit | None:
    """The circuit once these outcomes are known. None, as given or as the answer: closed, and nothing to remember.

    `draw` in [0, 1) jitters what is opened.
    """
    for one in sorted(outcomes, key=lambda one: one.at):
        circuit = _after(circuit, one, rules=rules, draw=draw)
    if circuit is None or circuit.state is not State.CLOSED:
        return circuit
    circuit = replace(circuit, buckets=_within_window(circuit.buckets, at=now))
    return circuit if circuit.failures else None


def claimed(circuit: Circuit, *, probe: str, now: float, for_s: float) -> Circuit | None:
    """The circuit in the hands of whoever has the token, for so long at most; None when it is not due."""
    if not circuit.is_due(at=now):
        return None
    return replace(circuit, state=State.HALF_OPEN, since=now, until=now + for_s, probe=probe)


def hastened(circuit: Circuit, *, now: float) -> Circuit:
    """Due at once, where it is open."""
    return replace(circuit, until=min(circuit.until, now)) if circuit.state is State.OPEN else circuit


def is_of(circuit: Circuit, configured: str) -> bool:
    """Whether it is a circuit of what has this fingerprint. Without the credential, as commands often are that read it
    from an environment, nobody can tell whether that was changed."""
    return circuit.fingerprint == configured or (
        configured.endswith(".") and circuit.fingerprint.partition(".")[0] == configured[:-1]
    )


def _after(circuit: Circuit | None, one: Outcome, *, rules: Rules, draw: float) -> Circuit | None:
    if circuit is not None and not is_of(circuit, one.fingerprint):
        if one.began_at < circuit.since:  # a call by what was configured before
            return circuit
        circuit = None
    known = circuit or Circuit(one.fingerprint)
    if one.says is Says.REFUSED:
        return _refused(known, one)
    if one.says is Says.LIMITED:
        return _limited(known, one, rules=rules, draw=draw)
    if known.state is State.CLOSED:
        if one.says is Says.DENIED and not _has_answered(known, at=one.at):
            return replace(_opened(_noted(known, one), one, rules=rules, draw=draw), is_doubted=True)
        return _counted(known, one, rules=rules, draw=draw) if one.says in COUNTED else circuit
    return _tried(known, one, rules=rules, draw=draw)


def _tried(circuit: Circuit, one: Outcome, *, rules: Rules, draw: float) -> Circuit | None:
    """What comes in while nobody was to call: from the probe, from who had no other model, from who began before."""
    is_probe = _is_probe(circuit, one)
    if circuit.is_doubted and one.says is Says.WELL and one.at > circuit.since - WINDOW_S:
        return _noted(Circuit(circuit.fingerprint, buckets=circuit.buckets), one)
    if one.says in (Says.WELL, Says.ANSWERS):
        return None if is_probe or one.began_at >= circuit.since else circuit
    if not is_probe:
        return circuit
    if one.says is Says.NOTHING:
        return replace(circuit, state=State.OPEN, since=one.at, until=one.at, probe="")
    return _opened(circuit, one, rules=rules, draw=draw)


def _has_answered(circuit: Circuit, *, at: float) -> bool:
    """Whether it is known of anybody within the window."""
    return any(bucket.calls > bucket.failures for bucket in _within_window(circuit.buckets, at=at))


def _counted(circuit: Circuit, one: Outcome, *, rules: Rules, draw: float) -> Circuit:
    counted, is_failure = _noted(circuit, one), one.says is not Says.WELL
    # Only a failure opens: one that went well may complete the number of calls, and is no reason.
    if is_failure and counted.calls >= rules.min_calls and counted.share >= rules.failure_share:
        return _opened(counted, one, rules=rules, draw=draw)
    return counted


def _noted(circuit: Circuit, one: Outcome) -> Circuit:
    """With one call more, or several, in its bucket."""
    number, is_failure = int(one.at // BUCKET_S), one.says is not Says.WELL
    counts = {bucket.number: bucket for bucket in _within_window(circuit.buckets, at=one.at)}
    before = counts.get(number, Bucket(number, 0, 0))
    failures = before.failures + (one.times if is_failure else 0)
    calls = before.calls + (0 if one.was_counted else one.times)
    counts[number] = Bucket(number, max(calls, failures), failures)  # it may have been counted in another bucket
    return replace(circuit, buckets=tuple(counts[each] for each in sorted(counts)))


def _opened(circuit: Circuit, one: Outcome, *, rules: Rules, draw: float) -> Circuit:
    reopened = _reopened(circuit, one)
    until = one.at + _pause_s(reopened, rules=rules, draw=draw)
    return _open(circuit, one, until=until, reopened=reopened)


def _limited(circuit: Circuit, one: Outcome, *, rules: Rules, draw: float) -> Circuit:
    """Until the vendor's own time; the longest that was told holds."""
    reopened = _reopened(circuit, one)
    if one.retry_after_s is None:
        until = one.at + _pause_s(reopened, rules=rules, draw=draw)
    else:
        until = one.at + min(max(one.retry_after_s, 0.0), LONGEST_RETRY_S)
    if circuit.state is State.OPEN and until <= circuit.until:
        return circuit
    if circuit.state is State.HALF_OPEN and not _is_probe(circuit, one):
        return circuit  # told to a call from before: the one who tries it now will hear it as well
    return _open(circuit, one, until=until, reopened=reopened)


def _refused(circuit: Circuit, one: Outcome) -> Circuit:
    is_known = circuit.state is State.OPEN and circuit.cause == one.cause and circuit.until - circuit.since >= RELOOK_S
    if is_known or (circuit.state is State.HALF_OPEN and not _is_probe(circuit, one)):
        return circuit
    until = one.at + RELOOK_S
    return _open(circuit, one, until=max(until, circuit.until), reopened=_reopened(circuit, one))


def _open(circuit: Circuit, one: Outcome, *, until: float, reopened: int) -> Circuit:
    opened_at = one.at if circuit.state is State.CLOSED else circuit.opened_at
    return replace(
        circuit,
        state=State.OPEN,
        since=one.at,
        until=until,
        cause=one.cause,
        opened_at=opened_at,
        reopened=reopened,
        probe="",
        is_doubted=False,
    )


def _is_probe(circuit: Circuit, one: Outcome) -> bool:
    return bool(one.probe) and one.probe == circuit.probe


def _reopened(circuit: Circuit, one: Outcome) -> int:
    """A refusal for the request's own sake makes no pause longer: one client could keep the model from all others."""
    is_another = _is_probe(circuit, one) and one.says is not Says.DENIED
    return circuit.reopened + 1 if is_another else circuit.reopened


def _pause_s(reopened: int, *, rules: Rules, draw: float) -> float:
    longest = max(LONGEST_OPEN_S, rules.open_s)
    return float(min(rules.open_s * 2.0 ** min(reopened, 30), longest)) * (1 - JITTER * draw)


def _within_window(buckets: tuple[Bucket, ...], *, at: float) -> tuple[Bucket, ...]:
    first = int((at - WINDOW_S) // BUCKET_S) + 1
    return tuple(bucket for bucket in buckets if bucket.number >= first)

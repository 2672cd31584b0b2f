"""Each fault in each mode, alone and beside a healthy model, and what has to come of it by the failure table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

from tests.faults.faults import FAULTS
from tests.faults.table import Fault, Mode, Row

DEADLINE_S = 8.0
"""Of every request."""


class Beside(StrEnum):
    """What else there is to try."""

    NOTHING = "alone"
    SAME_LAYER = "same"
    NEXT_LAYER = "next"


@dataclass(frozen=True)
class Case:
    fault: Fault
    mode: Mode
    beside: Beside
    is_warming: bool = False
    """It is asked before anything counts, of models of its own."""

    @cached_property
    def name(self) -> str:
        return f"{'warm-' * self.is_warming}{self.fault.name}_{self.mode}_{self.beside}"

    @property
    def layer(self) -> str:
        return f"F-{self.name}"

    @property
    def layer_above(self) -> str:
        return f"{self.layer}-above"

    @property
    def model(self) -> str:
        return f"{self.name}?{self.fault.script_for(self.mode)}"

    @property
    def healthy_model(self) -> str:
        return f"{self.name}-well?{HEALTHY}"


HEALTHY_TEXT = "All well"
HEALTHY = f"content={HEALTHY_TEXT.replace(' ', '%20')}"

CASES = tuple(Case(fault, mode, beside) for fault in FAULTS for beside in Beside for mode in fault.modes)
WARMING = ("cut-mid", "byte-by-byte", "slow-body", "401")
WARMING_CASES = tuple(replace(case, is_warming=True) for case in CASES if case.fault.name in WARMING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a case must come to."""

    status: int
    """The client's, and the row's."""
    outcome: str
    text: str
    """Of the answer, as far as the client gets it."""
    is_whole: bool
    """Whether the answer ends as an answer does."""
    code: str | None
    """Of the error object, in the body or in the stream's last event."""
    calls: int
    """Of the model that has the fault."""
    healthy_calls: int
    kinds: tuple[str, ...]
    """What each attempt came to, in order."""
    error_kind: str
    retry_after_s: int | None


def expected(case: Case) -> Expected:
    fault, meaning = case.fault, case.fault.meaning
    if fault.row is Row.FINE:
        return _answered(case, calls=1, healthy_calls=0, kinds=("ok",), text=_words(fault.told_chunks))
    if meaning.is_after_content:
        return _broken_off(fault)
    calls = _calls(case)
    if _is_taken_over(case):
        kinds = (*[fault.kind] * calls, "ok")
        return _answered(case, calls=calls, healthy_calls=1, kinds=kinds, text=HEALTHY_TEXT)
    is_limited = fault.row is Row.RATE_LIMITED
    return Expected(
        status=fault.status or meaning.status,
        outcome="error",
        text="",
        is_whole=False,
        code=meaning.code or fault.code,
        calls=calls,
        healthy_calls=0,
        kinds=(fault.kind,) * calls,
        error_kind=fault.kind,
        retry_after_s=(fault.waits_s or 1) if is_limited else None,
    )


def _calls(case: Case) -> int:
    """Of the model with the fault: a rate limit is waited for where nobody else is left and the deadline allows."""
    fault = case.fault
    waits = fault.waits_s is not None and fault.waits_s < DEADLINE_S and case.beside is Beside.NOTHING
    return 2 if fault.meaning.again or waits else 1


def _is_taken_over(case: Case) -> bool:
    fault = case.fault
    if case.beside is Beside.NOTHING or not fault.meaning.next_model:
        return False
    return fault.row is not Row.TOO_LONG or fault.has_larger_behind


def _answered(case: Case, *, calls: int, healthy_calls: int, kinds: tuple[str, ...], text: str) -> Expected:
    return Expected(
        status=200,
        outcome="ok",
        text=text,
        is_whole=True,
        code=None,
        calls=calls,
        healthy_calls=healthy_calls,
        kinds=kinds,
        error_kind="",
        retry_after_s=None,
    )


def _broken_off(fault: Fault) -> Expected:
    return Expected(
        status=200,
        outcome="error",
        text=_words(fault.told_chunks),
        is_whole=False,
        code=fault.code,
        calls=1,
        healthy_calls=0,
        kinds=(fault.kind,),
        error_kind=fault.kind,
        retry_after_s=None,
    )


def _words(count: int) -> str:
    return " ".join(f"w{number}" for number in range(count))

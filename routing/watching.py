"""A request's side of circuits: claims a model that is due before it is called, and says how each call ended.

A model without an open circuit costs it one look into a dictionary. Holds its claims until the call has ended, and
gives back those whose calls say nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from providers.types import FailureKind, Model, ProviderError
from routing import trails
from routing.attempts import Clock, PassedOver, patience_of
from routing.circuit import Circuit, Outcome, Says, outcome
from routing.health import Health, Taken
from routing.trails import Step
from routing.types import ALL_CLOSED, Candidate, Plan

CLAIM_BEYOND_S = 1.0
"""How long a claim outlives the time that its call may take: who has it may be slow to say how that ended."""


class UnderProbe(PassedOver):
    """The model is out of order, and not this request's to try."""


class _Claim(NamedTuple):
    model: Model
    token: str


@dataclass(slots=True)
class Watching:
    """Of one request; an `attempts.Watch`. Without a `health` all circuits are closed, and nobody hears."""

    health: Health | None = None
    _claims: dict[int, _Claim] = field(default_factory=dict)
    _called: set[int] = field(default_factory=set)
    _once: set[int] = field(default_factory=set)
    """Models whose first call was their only one."""
    _began_at: float = 0.0

    @property
    def circuits(self) -> Mapping[int, Circuit]:
        """As a plan of this request is given them: what it has claimed is its own to try."""
        found = ALL_CLOSED if self.health is None else self.health.circuits
        return {number: one for number, one in found.items() if number not in self._claims} if self._claims else found

    async def let(self, candidate: Candidate, *, plan: Plan, trail: list[Step], clock: Clock) -> None:
        """Before each call. Raises: UnderProbe."""
        number = candidate.model.id
        circuit = self.circuits.get(number)
        if number in self._once:
            raise UnderProbe
        if number in self._claims:  # for a plan that was given up before it was called
            self._once.add(number)
        # A second call to the same model is the walk's own decision: it has waited as it was told to.
        if circuit is not None and number not in self._called:
            is_last = not trails.calls(trail) and candidate is plan.attempts[-1]
            await self._ask(candidate, circuit=circuit, is_last=is_last, clock=clock)
        self._called.add(number)
        self._began_at = time.time()

    async def _ask(self, candidate: Candidate, *, circuit: Circuit, is_last: bool, clock: Clock) -> None:
        """Where no other model is left, it is tried once though it is not this request's to try."""
        model = candidate.model
        if circuit.is_due(at=time.time()):
            try:
                token = await self._claimed(model, for_s=min(clock.left_s(), patience_of(candidate)) + CLAIM_BEYOND_S)
            except Taken:
                pass
            else:
                if token:
                    self._claims[model.id] = _Claim(model, token)
                    self._once.add(model.id)
                return
        if not is_last:
            raise UnderProbe
        self._once.add(model.id)

    async def _claimed(self, model: Model, *, for_s: float) -> str:
        """Raises: Taken."""
        if self.health is None:
            return ""
        claim = partial(self.health.claim, model, for_s=for_s)
        claiming = asyncio.get_running_loop().run_in_executor(None, claim)
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            claiming.add_done_callback(partial(self._claimed_too_late, model))
            raise

    def _claimed_too_late(self, model: Model, claiming: asyncio.Future[str]) -> None:
        if not claiming.cancelled() and claiming.exception() is None and claiming.result():
            self._claims[model.id] = _Claim(model, claiming.result())
            self._give_back(model)

    def spared(self, candidate: Candidate) -> None:
        """It was not called after all, and another plan follows that may have it again: its claim is kept."""
        self._called.discard(candidate.model.id)
        self._once.discard(candidate.model.id)

    def end(self) -> None:
        """Nothing more will be called."""
        for number in list(self._claims):
            self._give_back(self._claims[number].model)

    # How a call ended.

    def answered(self, candidate: Candidate) -> None:
        self._say(candidate.model, None)

    def failed(self, candidate: Candidate, error: ProviderError) -> None:
        self._say(candidate.model, error)
        if error.kind is FailureKind.RATE_LIMITED:  # once its wait is over it may be called again
            self._once.discard(candidate.model.id)

    def may_repeat(self, candidate: Candidate) -> bool:
        return candidate.model.id not in self._once

    def left(self, candidate: Candidate) -> None:
        self._give_back(candidate.model)

    def broke(self, candidate: Candidate, error: ProviderError) -> None:
        """A stream, after its first content had come."""
        self._say(candidate.model, error, was_counted=True)

    def _say(self, model: Model, error: ProviderError | None, *, was_counted: bool = False) -> None:
        if self.health is not None:
            probe = self._token(model)
            ended = outcome(error, at=time.time(), began_at=self._began_at, probe=probe, was_counted=was_counted)
            self.health.saw(model, ended)

    def _give_back(self, model: Model) -> None:
        probe = self._token(model)
        if probe and self.health is not None:
            self.health.saw(model, Outcome(Says.NOTHING, time.time(), self._began_at, probe=probe))

    def _token(self, model: Model) -> str:
        claim = self._claims.pop(model.id, None)
        return "" if claim is None else claim.token

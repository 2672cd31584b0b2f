"""Any interleaving of what can happen to budgets, by two processes on one store, beside a model of plain sums.

Short here. For long, by hand:
    COUNTERS_EXAMPLES=5000 pytest -n0 --timeout=0 tests/unit/analytics/counters/test_stateful.py
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from analytics.counters.steps import NO_END, Account, Balance, Held, Rebuilt, Reserve, Settle
from tests.unit.analytics.counters.stores import STORES, Clock, lose, make_whole, opener

EXAMPLES = int(os.environ.get("COUNTERS_EXAMPLES", "0"))
TTL_MS = 1_000
LONG_MS = 10**9
CAPS = st.one_of(st.tuples(st.integers(1, 60)), st.tuples(st.integers(30, 90), st.integers(1, 30)))
WHO = st.integers(0, 1)
"""Which of the two processes."""


@dataclass
class Request:
    id: str
    accounts: tuple[str, ...]
    cap: int = 0
    ends_ms: int = 0
    lapsed: bool = False
    cost: int | None = None
    """None: not settled yet."""


class Budgets(RuleBasedStateMachine):
    kind = "sqlite"
    server: Any = None

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="counters-"))
        self.clock = Clock()
        lose(self.kind, folder=self.folder, server=self.server)
        opens, self.closes = opener(self.kind, folder=self.folder, clock=self.clock, server=self.server)
        self.stores = (opens(), opens())
        self.loop = asyncio.new_event_loop()
        self.requests: list[Request] = []
        self.accounts: dict[str, Account] = {}
        self.current: dict[str, str] = {}
        """The account of each budget's window."""
        self.made = 0
        self.is_lost = False
        self.rebuild: tuple[str, Rebuilt, list[Request]] | None = None
        """Its token, what it read of the truth, and the requests it read."""

    @initialize()
    def the_store_becomes_whole(self) -> None:
        make_whole(self.stores[0])
        self._window("day", limit=100, may_begin=True)
        self._window("total", limit=150, may_begin=True)

    # What requests do.

    @rule(who=WHO, caps=CAPS, budgets=st.sets(st.sampled_from(["day", "total", "new"]), min_size=1))
    def reserve(self, who: int, caps: tuple[int, ...], budgets: set[str]) -> None:
        names = tuple(self.current[budget] for budget in sorted(budgets) if budget in self.current)
        request = Request(self._id("r"), names or (self.current["day"],))
        if self._reserve(who, request, caps):
            self.requests.append(request)

    @precondition(lambda self: self._unsettled())
    @rule(who=WHO, caps=CAPS, data=st.data())
    def try_a_dearer_model(self, who: int, caps: tuple[int, ...], data: st.DataObject) -> None:
        self._reserve(who, data.draw(st.sampled_from(self._unsettled())), caps)

    @precondition(lambda self: self._unsettled())
    @rule(who=WHO, cost=st.one_of(st.just(0), st.integers(0, 100)), data=st.data())
    def settle(self, who: int, cost: int, data: st.DataObject) -> None:
        """At what it cost, or at nothing: a refund."""
        self._settle(who, data.draw(st.sampled_from(self._unsettled())), cost)

    @precondition(lambda self: len(self._unsettled()) < len(self.requests))
    @rule(who=WHO, data=st.data())
    def settle_again(self, who: int, data: st.DataObject) -> None:
        """A retry whose first answer was lost, or the replay of the ledger's row."""
        request = data.draw(st.sampled_from([request for request in self.requests if request.cost is not None]))
        assert self.stores[who].settle_now([Settle(request.id, request.cost)])[0].spent == ()

    # What time does.

    @rule(who=WHO, ms=st.sampled_from([1, TTL_MS // 2, TTL_MS]))
    def time_passes(self, who: int, ms: int) -> None:
        """What a process that crashed had open lapses."""
        self.clock.ms += ms
        self._lapse()
        assert sorted(self.stores[who].lapse()) == sorted(self._lapsed())

    @precondition(lambda self: self._lapsed())
    @rule(who=WHO, cost=st.integers(0, 60))
    def the_rows_of_a_crash_are_replayed(self, who: int, cost: int) -> None:
        by_id = {request.id: request for request in self.requests}
        for id in self.stores[who].lapse():
            self._settle(who, by_id[id], cost)

    # What operators do.

    @rule(budget=st.sampled_from(["day", "total"]))
    def the_window_rolls_over(self, budget: str) -> None:
        limit = self.accounts[self.current[budget]].limit
        self._window(budget, limit=limit, may_begin=True)

    @rule(budget=st.sampled_from(["day", "total", "new"]), limit=st.integers(0, 300), shorten=st.booleans())
    def the_limit_changes(self, budget: str, limit: int, shorten: bool) -> None:
        if budget in self.current:
            old = self.accounts[self.current[budget]]
            self.accounts[old.name] = Account(old.name, limit, shorten, old.starts_ms, NO_END, old.may_begin)

    @precondition(lambda self: not self.is_lost)
    @rule()
    def the_store_is_lost(self) -> None:
        lose(self.kind, folder=self.folder, server=self.server)
        self.is_lost, self.rebuild = True, None

    # Rebuilding, with anything of the above in between.

    @precondition(lambda self: self.rebuild is None)
    @rule(who=WHO, limit=st.integers(0, 300))
    def a_rebuild_begins(self, who: int, limit: int) -> None:
        """Of all accounts when the store is lost; else of a budget just made, which counts all there has been."""
        token = self._id("t")
        assert self.stores[who].begin(token, ttl_ms=LONG_MS)
        assert not self.stores[1 - who].begin("another", ttl_ms=LONG_MS)
        rows = list(self.requests)
        if self.is_lost:
            names = list(self.accounts)
            held = [Held(r.id, r.cap, r.accounts) for r in rows if r.cost is None]
        else:
            names = [f"new.{token}"]
            held = [Held(r.id, r.cap, (*r.accounts, *names)) for r in rows if r.cost is None]
            self.accounts[names[0]] = Account(names[0], limit, True, 0, NO_END, False)
        spent = tuple((name, NO_END, self._cost(name, rows, is_new=not self.is_lost)) for name in names)
        self.rebuild = token, Rebuilt(spent, tuple(held), TTL_MS), rows

    @precondition(lambda self: self.rebuild is not None)
    @rule(who=WHO)
    def a_rebuild_finishes(self, who: int) -> None:
        assert self.rebuild is not None
        token, rebuilt, rows = self.rebuild
        assert self.stores[who].finish(token, rebuilt)
        for request in rows:
            if self.is_lost:
                request.lapsed, request.ends_ms = False, self.clock.ms + TTL_MS
            else:
                request.accounts = (*request.accounts, rebuilt.spent[0][0])
        if not self.is_lost:
            self.current["new"] = rebuilt.spent[0][0]
        self.is_lost, self.rebuild = False, None

    # What always holds.

    @invariant()
    def the_store_counts_what_the_model_counts(self) -> None:
        for store in self.stores:
            found = store.balances(list(self.accounts))
            if self.is_lost:
                assert found == {}
                continue
            for name in self._held_names():
                assert found.get(name, Balance(0, 0)) == self._balance(name)

    @invariant()
    def nothing_is_open_after_its_lease(self) -> None:
        if not self.is_lost:
            open_ids = [r.id for r in self.requests if r.cost is None and not r.lapsed and r.ends_ms <= self.clock.ms]
            assert not open_ids

    def teardown(self) -> None:
        self.loop.run_until_complete(self.closes())
        self.loop.close()
        shutil.rmtree(self.folder)

    def _reserve(self, who: int, request: Request, caps: tuple[int, ...]) -> bool:
        accounts = tuple(self.accounts[name] for name in request.accounts)
        expected = self._expected(request, caps, accounts)
        before = {name: self._balance(name) for name in request.accounts}
        answer = self.loop.run_until_complete(self.stores[who].reserve(Reserve(request.id, caps, accounts, TTL_MS)))
        assert (answer.granted, answer.refused, answer.missing) == expected
        if answer.granted is None:
            return False
        more = max(0, caps[answer.granted] - request.cap)
        for account, balance in zip(accounts, answer.balances, strict=True):
            old = before[account.name]
            assert balance == Balance(old.spent, old.open + more)
            assert more == 0 or balance.spent + balance.open <= (account.limit or 0)
        request.cap += more
        request.ends_ms = self.clock.ms + TTL_MS
        return True

    def _expected(
        self, request: Request, caps: tuple[int, ...], accounts: tuple[Account, ...]
    ) -> tuple[int | None, int | None, tuple[int, ...]]:
        if self.is_lost or request.lapsed:
            return None, None, tuple(range(len(accounts)))
        taken = [
            [place for place, cap in enumerate(caps) if self._takes(account, request, cap)] for account in accounts
        ]
        for place, (account, places) in enumerate(zip(accounts, taken, strict=True)):
            if not places or (places[0] > 0 and not account.shorten):
                return None, place, ()
        return max((places[0] for places in taken), default=0), None, ()

    def _takes(self, account: Account, request: Request, cap: int) -> bool:
        balance = self._balance(account.name)
        more = cap - request.cap
        return more <= 0 or balance.spent + balance.open + more <= (account.limit or 0)

    def _settle(self, who: int, request: Request, cost: int) -> None:
        answer = self.stores[who].settle_now([Settle(request.id, cost)])[0]
        request.cost = cost
        assert dict(answer.spent) == (
            {} if self.is_lost else {name: self._balance(name).spent for name in request.accounts}
        )

    def _lapse(self) -> None:
        for request in self.requests:
            if not self.is_lost and request.cost is None and request.ends_ms <= self.clock.ms:
                request.lapsed = True

    def _balance(self, name: str) -> Balance:
        own = [request for request in self.requests if name in request.accounts]
        spent = sum(r.cap if r.cost is None else r.cost for r in own if r.lapsed or r.cost is not None)
        return Balance(spent, sum(r.cap for r in own if r.cost is None and not r.lapsed))

    def _cost(self, name: str, rows: list[Request], *, is_new: bool) -> int:
        return sum(r.cost for r in rows if r.cost is not None and (is_new or name in r.accounts))

    def _held_names(self) -> list[str]:
        """Without an account whose rebuild is under way, or was given up."""
        return [name for name, account in self.accounts.items() if account.may_begin or self._is_used(name)]

    def _is_used(self, name: str) -> bool:
        return name == self.current.get("new") or any(name in request.accounts for request in self.requests)

    def _unsettled(self) -> list[Request]:
        return [request for request in self.requests if request.cost is None]

    def _lapsed(self) -> list[str]:
        return [] if self.is_lost else [r.id for r in self.requests if r.lapsed and r.cost is None]

    def _window(self, budget: str, *, limit: int | None, may_begin: bool) -> None:
        name = self._id(budget + ".")
        self.accounts[name] = Account(name, limit, True, self.clock.ms, NO_END, may_begin)
        self.current[budget] = name

    def _id(self, prefix: str) -> str:
        self.made += 1
        return f"{prefix}{self.made}"


@pytest.mark.parametrize("kind", STORES)
def test_whatever_happens_to_budgets_the_store_counts_it(kind, request):
    machine = type(f"{kind.title()}Budgets", (Budgets,), {"kind": kind})
    if kind == "redis":
        machine.server = request.getfixturevalue("redis_server")
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES or 25,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=checks,
        ),
    )

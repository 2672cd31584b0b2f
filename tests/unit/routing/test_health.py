"""A process's part in the circuits that all share: two processes over one register, looked at step by step."""

import logging
import threading
import time
from contextlib import suppress
from dataclasses import replace

import pytest

from analytics.counters.steps import Change
from providers.types import FailureKind, ProviderError
from routing import circuits, snapshot
from routing.circuit import Outcome, Says, State, outcome
from routing.health import Health, Taken
from tests.unit.routing.processes import NOON, M, in_force
from tests.unit.routing.test_plan import ACME


class TestWhatIsShared:
    def test_failures_of_one_open_the_circuit_of_all(self, one, other):
        one.sees(M, *["timeout"] * 5)
        assert (one.state(M), other.looks().state(M)) == ("open", "open")

    def test_failures_of_several_are_added_up(self, one, other):
        one.sees(M, *["timeout"] * 3)
        assert one.state(M) == "closed"
        other.sees(M, "timeout", "timeout")
        assert (one.looks().state(M), other.state(M)) == ("open", "open")

    def test_calls_that_went_well_anywhere_count_beside_them(self, one, other):
        one.sees(M, *["ok"] * 6)
        other.sees(M, *["ok"] * 6)
        one.sees(M, *["timeout"] * 5)
        other.sees(M, "ok", "timeout")
        found = one.looks().health.known[M.id]
        assert (found.state, found.calls, found.failures) == (State.CLOSED, 11 + 8, 6)

    def test_none_is_told_twice(self, one, other):
        one.sees(M, "timeout", "ok")
        one.looks().looks()
        assert other.looks().health.known[M.id].calls == 2

    def test_what_was_told_at_the_same_time_is_not_lost(self, one, other, monkeypatch):
        """Both have read before either wrote."""
        read, between = circuits.read, [lambda: other.sees(M, "timeout", "timeout")]

        def read_first(store):
            found = read(store)
            if store is one.store and between:
                between.pop()()
            return found

        monkeypatch.setattr(circuits, "read", read_first)
        one.sees(M, *["timeout"] * 3)
        assert (one.state(M), one.health.known[M.id].failures) == ("open", 5)

    def test_a_model_that_answers_costs_no_write(self, one):
        for _ in range(10):
            one.sees(M, *["ok", "rejected", "unsupported"] * 10)
        assert one.store.writes == []

    def test_of_calls_that_went_well_only_the_last_half_minute_counts(self, one, clock):
        one.sees(M, *["ok"] * 100)
        clock.s += 60
        assert one.sees(M, *["timeout"] * 5).state(M) == "open"


class TestTrying:
    def test_of_all_processes_one_gets_the_claim(self, processes, clock):
        one, other = processes
        one.sees(M, *["timeout"] * 5)
        clock.s += 5
        won = []

        def claim(process):
            with suppress(Taken):
                won.append(process.health.claim(M, for_s=10.0))

        threads = [threading.Thread(target=claim, args=(process,)) for process in processes * 4]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1 and won[0]
        assert {process.looks().state(M) for process in processes} == {"half_open"}

    def test_its_answer_closes_the_circuit_of_all(self, one, other, clock):
        one.sees(M, *["timeout"] * 5)
        clock.s += 5
        token = other.looks().health.claim(M, for_s=10.0)
        other.sees(M, "ok", probe=token)
        assert (one.looks().state(M), other.state(M)) == ("closed", "closed")
        assert one.store.registered(circuits.KIND) == {}

    def test_one_who_is_dead_gives_way(self, one, other, clock):
        one.sees(M, *["timeout"] * 5)
        clock.s += 5
        one.health.claim(M, for_s=3.0)
        with pytest.raises(Taken):
            other.health.claim(M, for_s=3.0)
        clock.s += 3
        assert other.health.claim(M, for_s=3.0)

    def test_one_who_leaves_gives_it_back(self, one, other, clock):
        one.sees(M, *["timeout"] * 5)
        clock.s += 5
        token = one.health.claim(M, for_s=30.0)
        one.health.saw(M, Outcome(Says.NOTHING, clock(), clock(), probe=token))
        one.looks()
        assert other.health.claim(M, for_s=3.0)

    def test_a_model_that_is_well_by_now_needs_no_claim(self, one):
        assert one.health.claim(M, for_s=3.0) == ""

    def test_it_is_known_at_once_where_it_was_claimed(self, one, clock):
        one.sees(M, *["timeout"] * 5)
        clock.s += 5
        one.health.claim(M, for_s=3.0)
        assert one.state(M) == "half_open"


class TestWhatIsConfigured:
    def test_what_was_mended_is_called_at_once(self, one, other, clock):
        """In the process that has seen the change, and by its doing in the others."""
        fixed = replace(M, provider=replace(ACME, credential="another"))
        with in_force(M, version="1"):
            one.sees(M, "credentials")
            other.looks()
        clock.s += 1
        with in_force(fixed, version="2"):
            assert one.looks().state(M) == "closed"
        assert one.rows == [("closed", "open", "credentials"), ("open", "closed", "configuration changed")]
        with in_force(M, version="1"):
            assert other.looks().state(M) == "closed"

    def test_what_only_costs_something_else_is_the_same(self, one, clock):
        with in_force(M, version="1"):
            one.sees(M, "credentials")
        clock.s += 1
        with in_force(replace(M, prices=(), title="Renamed"), version="2"):
            assert one.looks().state(M) == "open"

    def test_nobody_learns_the_credential_from_the_register(self, one):
        secret = replace(M, provider=replace(ACME, credential="sk-very-secret"))
        one.sees(secret, "credentials")
        [entry] = one.store.registered(circuits.KIND).values()
        assert b"secret" not in entry.value
        assert circuits.fingerprint(secret).encode() in entry.value

    def test_a_process_without_the_credential_sees_what_others_do_and_takes_nothing_back(self, one, other, clock):
        """A command whose environment lacks the variable that the server has it from."""
        with_key = replace(M, provider=replace(ACME, credential="sk-of-the-server"))
        with in_force(with_key, version="1"):
            one.sees(with_key, "credentials")
        clock.s += 1
        with in_force(replace(M, provider=replace(ACME, credential=None)), version="1"):
            assert other.looks().state(M) == "open"
        moved = replace(ACME, credential=None, base_url="https://elsewhere.test/v1")
        with in_force(replace(M, provider=moved), version="2"):
            assert other.looks().state(M) == "closed"

    def test_a_process_that_is_behind_takes_nothing_back(self, one, other, clock):
        """It has not heard of the credential that is refused now."""
        fixed = replace(M, provider=replace(ACME, credential="another"))
        with in_force(replace(M, provider=replace(ACME, credential="the first")), version="1"):
            other.looks()
            behind_s = other.health._confirmed_at
        clock.s += 1
        with in_force(fixed, version="2"):
            one.sees(fixed, "credentials")
        snapshot.forget()
        other.health._confirmed_at = behind_s
        assert other.looks().state(M) == "closed"
        assert one.looks().state(fixed) == "open"


class TestTheCountersGoAway:
    def test_it_goes_on_with_its_own(self, one, other, caplog):
        one.sees(M, *["timeout"] * 3)
        one.store.is_away = True
        one.sees(M, "timeout", "timeout").looks()
        assert (one.state(M), other.looks().state(M)) == ("open", "closed")
        assert len([line for line in caplog.records if "counters are away" in line.message]) == 1

    def test_one_look_in_vain_is_no_outage(self, one, other, clock, caplog):
        one.sees(M, *["timeout"] * 3)
        one.store.is_away = True
        one.sees(M, "timeout", "timeout")
        one.store.is_away = False
        assert (one.looks().state(M), one.health.known[M.id].failures) == ("open", 5)
        assert "away" not in caplog.text

    def test_nobody_claims_alone_what_another_may_claim(self, one, clock):
        """A step that failed once says nothing of the others'."""
        one.sees(M, *["timeout"] * 5)
        clock.s += 5
        one.store.is_away = True
        with pytest.raises(Taken):
            one.health.claim(M, for_s=3.0)

    def test_it_tries_and_closes_by_itself(self, one, clock):
        one.store.is_away = True
        one.sees(M, *["timeout"] * 5).looks()
        clock.s += 5
        token = one.health.claim(M, for_s=3.0)
        with pytest.raises(Taken):
            one.health.claim(M, for_s=3.0)
        assert one.sees(M, "ok", probe=token).state(M) == "closed"

    def test_what_it_found_meanwhile_is_told_when_they_are_back(self, one, other, caplog):
        caplog.set_level(logging.WARNING)
        one.store.is_away = True
        one.sees(M, *["timeout"] * 5).looks()
        one.store.is_away = False
        one.looks()
        assert (one.state(M), other.looks().state(M)) == ("open", "open")
        assert "circuits are shared again" in caplog.text

    def test_a_register_that_was_emptied_is_an_empty_one(self, one, tmp_path):
        one.sees(M, *["timeout"] * 5)
        for file in tmp_path.glob("counters.sqlite3*"):
            file.unlink()
        assert one.looks().state(M) == "closed"

    def test_what_nobody_can_read_is_written_anew(self, one):
        one.store.register(circuits.KIND, [Change(str(M.id), 0, b"not json")])
        assert one.looks().state(M) == "closed"
        assert one.sees(M, *["timeout"] * 5).state(M) == "open"


class TestItsThread:
    def test_a_failure_has_it_look_at_once(self, one, other):
        patient = Health(one.store, every_s=60.0)
        patient.start()
        try:
            assert patient.has_looked.wait(5.0)
            for _ in range(5):
                patient.saw(M, outcome(ProviderError(FailureKind.TIMEOUT, ""), at=NOON, began_at=NOON))
            assert _eventually(lambda: M.id in patient.known)
        finally:
            patient.stop(timeout_s=5.0)

    def test_all_it_heard_is_told_when_it_stops(self, one, other):
        patient = Health(one.store, every_s=60.0, now=one.clock)
        patient.start()
        patient.saw(M, outcome(ProviderError(FailureKind.RATE_LIMITED, ""), at=NOON, began_at=NOON))
        patient.stop(timeout_s=5.0)
        assert not patient.is_alive()
        assert other.looks().state(M) == "open"

    def test_a_mistake_of_ours_does_not_end_it(self, one, monkeypatch, caplog):
        looks = []

        def look(self):
            looks.append(self)
            raise ZeroDivisionError

        monkeypatch.setattr(Health, "look", look)
        patient = Health(one.store, every_s=0.001)
        patient.start()
        assert _eventually(lambda: len(looks) > 2)
        patient.stop(timeout_s=5.0)
        assert "Looking after circuits failed" in caplog.text


def _eventually(look, within_s=5.0):
    ends_at = time.monotonic() + within_s
    while not look() and time.monotonic() < ends_at:
        time.sleep(0.002)
    return look()


def test_what_became_of_it_is_noted_by_the_one_that_changed_it(one, other, clock):
    one.sees(M, *["timeout"] * 5)
    other.looks()
    clock.s += 5
    token = other.health.claim(M, for_s=3.0)
    other.sees(M, "timeout", probe=token)
    clock.s += 10
    token = one.looks().health.claim(M, for_s=3.0)
    one.sees(M, "ok", probe=token)
    assert one.rows == [
        ("closed", "open", "timeout"),
        ("open", "half_open", "tried once"),
        ("half_open", "closed", "answered"),
    ]
    assert other.rows == [("open", "half_open", "tried once"), ("half_open", "open", "timeout")]

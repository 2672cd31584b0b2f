"""Refusals that may be a request's own fault, seen by several processes; and a process that has not the credential."""

from dataclasses import replace

import pytest

from routing.circuit import State
from tests.unit.routing.processes import M, in_force
from tests.unit.routing.test_circuit import Model
from tests.unit.routing.test_plan import ACME

DENIED = [("credentials", 402), ("credentials", 403), ("not_found", 404)]


class TestOneRefusalBesideAnswersOfAnotherProcess:
    @pytest.fixture
    def refused(self, one, other, clock):
        """Fifty answers in one process, a refusal in the other, which knows nothing of them."""
        with in_force(M):
            one.looks()
            one.sees(M, *["ok"] * 50)
            clock.s += 1
            other.looks()
            other.sees(M, "not_found", status=404)
            yield

    def test_it_holds_until_the_others_have_looked(self, one, other, refused):
        assert other.state(M) == "open"
        one.looks()
        assert (one.state(M), other.looks().state(M)) == ("closed", "closed")
        assert one.rows[-1] == ("open", "closed", "answered")

    def test_their_answers_are_counted_beside_it(self, one, other, refused):
        one.looks()
        circuit = other.looks().health.known[M.id]
        assert (circuit.calls, circuit.failures, circuit.is_doubted) == (51, 1, False)
        other.sees(M, "not_found", status=404)
        assert other.state(M) == "closed"

    def test_answers_of_long_ago_say_nothing(self, one, other, clock):
        with in_force(M):
            one.looks()
            one.sees(M, *["ok"] * 50)
            clock.s += 40
            other.sees(M, "not_found", status=404)
            assert one.looks().state(M) == other.looks().state(M) == "open"


class TestWhatIsKnownOfIt:
    def test_an_answer_from_before_closes_it(self):
        model = Model().sees("not_found", status=404).sees("ok", began_s_ago=2.0)
        assert (model.state, model.circuit.calls, model.circuit.failures) == (State.CLOSED, 2, 1)

    def test_once_another_try_failed_it_takes_a_try_that_does_not(self):
        model = Model().sees("not_found", status=404).waits(5)
        model.claims()
        model.sees("server_error", probe="mine")
        assert model.sees("ok", began_s_ago=2.0).state is State.OPEN

    def test_answers_that_left_the_window_do_not_keep_it_closed(self):
        assert Model().sees("ok", "server_error").waits(36).sees("credentials", status=403).state is State.OPEN

    @pytest.mark.parametrize(("kind", "status"), DENIED)
    def test_refused_again_and_again_its_pause_grows_no_longer(self, kind, status):
        """Else one client that asks for what it may not have would keep the model from all others."""
        model = Model().sees(kind, status=status)
        for _ in range(5):
            model.waits(model.out_s)
            assert model.claims()
            assert model.sees(kind, status=status, probe="mine").out_s == 5.0

    def test_a_credential_refused_beside_it_is_believed_for_as_long_as_ever(self):
        assert Model().sees("credentials", status=403).sees("credentials", status=401).out_s == 300
        model = Model().sees("credentials", status=401).waits(100)
        until = model.circuit.until
        assert model.sees("credentials", status=401).circuit.until == until


class TestAProcessWithoutTheCredential:
    KEYED, BARE = (
        replace(M, provider=replace(ACME, needs_credential=False, credential=credential)) for credential in ("sk", None)
    )

    @pytest.fixture
    def token(self, one, other, clock):
        """The claim of a process that calls without the credential, to a circuit opened by one that has it."""
        with in_force(self.KEYED):
            one.looks()
            one.sees(self.KEYED, *["server_error"] * 6)
        clock.s += 6
        with in_force(self.BARE):
            other.looks()
            token = other.health.claim(self.BARE, for_s=5)
            clock.s += 1
            yield token

    def test_a_try_of_it_that_fails_opens_it_for_longer(self, one, other, token):
        other.sees(self.BARE, "server_error", probe=token)
        assert (other.state(self.BARE), other.rows[-1]) == ("open", ("half_open", "open", "server_error"))
        with in_force(self.KEYED):
            assert one.looks().state(self.KEYED) == "open"
            assert one.health.known[M.id].reopened == 1

    def test_a_try_of_it_that_is_answered_closes_it(self, one, other, token):
        other.sees(self.BARE, "ok", probe=token)
        with in_force(self.KEYED):
            assert one.looks().state(self.KEYED) == "closed"

    def test_it_claims_nothing_of_another_row(self, one, other, clock, token):
        elsewhere = replace(self.BARE, provider=replace(self.BARE.provider, base_url="https://elsewhere.test/v1"))
        assert other.health.claim(elsewhere, for_s=5) == ""

"""When a model is called no more, for how long, and what brings it back. Plain values."""

from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.types import FailureCause, FailureKind, ProviderError
from routing import circuit as circuits
from routing.circuit import (
    LONGEST_OPEN_S,
    LONGEST_RETRY_S,
    RELOOK_S,
    WINDOW_S,
    Circuit,
    Outcome,
    Rules,
    Says,
    State,
    after,
    claimed,
    hastened,
    outcome,
)

NOON = 1_800_000_000.0
RULES = Rules(min_calls=5, failure_share=0.5, open_s=5.0)
AGAINST_HEALTH = ["unreachable", "timeout", "server_error", "bad_answer", "broken_stream"]


def error(kind, **fields):
    return ProviderError(FailureKind(kind), "it failed", **fields)


@dataclass
class Model:
    """A model whose calls end one after the other, each at once unless they say when they began."""

    now: float = NOON
    circuit: Circuit | None = None
    rules: Rules = RULES
    tokens: list[str] = field(default_factory=list)

    def sees(self, *kinds, began_s_ago=0.0, probe="", draw=0.0, fingerprint="", **fields):
        ended = [
            outcome(
                None if kind == "ok" else error(kind, **fields),
                at=self.now,
                began_at=self.now - began_s_ago,
                probe=probe,
                fingerprint=fingerprint,
            )
            for kind in kinds
        ]
        self.circuit = after(self.circuit, ended, rules=self.rules, now=self.now, draw=draw)
        return self

    def leaves(self, *, probe):
        left = Outcome(Says.NOTHING, self.now, self.now, probe=probe)
        self.circuit = after(self.circuit, [left], rules=self.rules, now=self.now, draw=0.0)
        return self

    def waits(self, seconds):
        self.now += seconds
        return self

    def claims(self, probe="mine", *, for_s=10.0):
        found = claimed(self.circuit, probe=probe, now=self.now, for_s=for_s)
        self.circuit = found or self.circuit
        return found is not None

    @property
    def state(self):
        return State.CLOSED if self.circuit is None else self.circuit.state

    @property
    def out_s(self):
        return self.circuit.until - self.now


def opened(**fields):
    return Model(**fields).sees(*["server_error"] * 5)


class TestOpening:
    @pytest.mark.parametrize("kind", AGAINST_HEALTH)
    def test_five_failures_in_a_row_open_it_for_five_seconds(self, kind):
        model = Model().sees(*[kind] * 4)
        assert model.state is State.CLOSED
        model.sees(kind)
        assert (model.state, model.circuit.cause, model.out_s) == (State.OPEN, kind, 5.0)

    @pytest.mark.parametrize("kind", ["rejected", "context_too_long", "unsupported"])
    def test_what_the_request_is_to_blame_for_is_not_even_counted(self, kind):
        assert Model().sees(*[kind] * 50).circuit is None
        assert Model().sees(*[kind] * 50, *["server_error"] * 4).state is State.CLOSED

    def test_half_of_the_calls_is_enough(self):
        assert Model().sees("ok", "ok", "ok", "timeout", "timeout").state is State.CLOSED
        assert Model().sees("ok", "ok", "timeout", "timeout", "timeout").state is State.OPEN
        assert Model().sees(*["ok"] * 5, *["timeout"] * 5).state is State.OPEN

    def test_what_happened_before_the_window_is_forgotten(self):
        model = Model().sees(*["timeout"] * 4).waits(WINDOW_S + 5).sees("timeout")
        assert (model.state, model.circuit.failures) == (State.CLOSED, 1)

    def test_what_happened_within_it_is_not(self):
        assert Model().sees(*["timeout"] * 4).waits(WINDOW_S - 5).sees("timeout").state is State.OPEN

    def test_the_policy_says_how_many_and_how_often_and_how_long(self):
        model = Model(rules=Rules(min_calls=2, failure_share=1.0, open_s=60.0))
        assert model.sees("timeout", "ok", "timeout").state is State.CLOSED
        model = Model(rules=Rules(min_calls=2, failure_share=1.0, open_s=60.0)).sees("timeout", "timeout")
        assert model.out_s == 60.0

    @pytest.mark.parametrize("is_known", [True, False])
    def test_a_stream_that_breaks_makes_a_failure_of_the_call_that_had_gone_well(self, is_known):
        broke = outcome(error("broken_stream"), at=NOON, began_at=NOON, was_counted=True)
        well = [outcome(None, at=NOON, began_at=NOON)] * 4 if is_known else []
        counted = after(None, [*well, *[broke] * 4], rules=RULES, now=NOON, draw=0.0)
        assert (counted.calls, counted.failures, counted.state) == (4, 4, State.CLOSED)

    def test_calls_that_go_well_leave_nothing_to_remember(self):
        assert Model().sees(*["ok"] * 100).circuit is None

    def test_it_is_shortened_by_chance_and_never_lengthened(self):
        assert 4.0 <= Model().sees(*["timeout"] * 5, draw=0.999).out_s < 5.0


class TestRateLimits:
    def test_one_is_enough_and_the_vendor_says_for_how_long(self):
        model = Model().sees("rate_limited", retry_after_s=17.0)
        assert (model.state, model.circuit.cause, model.out_s) == (State.OPEN, "rate_limited", 17.0)

    def test_the_longest_wins(self):
        model = Model().sees("rate_limited", retry_after_s=17.0)
        model.sees("rate_limited", retry_after_s=30.0).sees("rate_limited", retry_after_s=3.0)
        assert model.out_s == 30.0

    def test_an_hour_is_believed_at_most(self):
        assert Model().sees("rate_limited", retry_after_s=86_400.0).out_s == LONGEST_RETRY_S

    def test_without_a_word_it_is_as_long_as_any_and_doubled_by_each_try(self):
        model = Model().sees("rate_limited")
        waits = []
        for _ in range(3):
            waits.append(model.out_s)
            model.waits(model.out_s).claims()
            model.sees("rate_limited", probe="mine")
        assert waits == [5.0, 10.0, 20.0]


class TestWhatAnOperatorMends:
    @pytest.mark.parametrize("status", [401, None])
    def test_it_is_looked_at_again_after_five_minutes(self, status):
        model = Model().sees("credentials", status=status)
        assert (model.state, model.circuit.cause, model.out_s) == (State.OPEN, "credentials", RELOOK_S)

    @pytest.mark.parametrize("cause", sorted(circuits.SETTLED))
    def test_so_is_what_we_do_not_even_call(self, cause):
        model = Model().sees("unreachable", cause=cause)
        assert (model.state, model.circuit.cause, model.out_s) == (State.OPEN, cause.value, RELOOK_S)

    def test_an_address_that_does_not_answer_is_none_of_these(self):
        assert Model().sees("unreachable", cause=FailureCause.NO_TLS).state is State.CLOSED

    def test_many_refusals_at_once_do_not_put_it_off(self):
        model = Model().sees("credentials")
        until = model.circuit.until
        assert model.waits(1).sees("credentials", began_s_ago=2.0).circuit.until == until

    def test_what_was_mended_is_another_circuit(self):
        model = Model().sees("credentials", fingerprint="old").waits(1).sees("ok", fingerprint="new")
        assert model.circuit is None

    def test_a_call_from_before_it_was_mended_says_nothing_of_it(self):
        model = Model().sees("credentials", fingerprint="new").waits(1)
        known = model.circuit
        assert model.sees("ok", "credentials", fingerprint="old", began_s_ago=5.0).circuit == known


class TestWhatMayBeTheRequestsOwnFault:
    @pytest.mark.parametrize(("kind", "status"), [("credentials", 402), ("credentials", 403), ("not_found", 404)])
    def test_without_an_answer_lately_it_opens_at_once_for_no_longer_than_a_failure(self, kind, status):
        model = Model().sees(kind, status=status)
        assert (model.state, model.circuit.cause, model.out_s) == (State.OPEN, kind, 5.0)
        model.waits(5).claims()
        assert model.sees(kind, status=status, probe="mine").out_s == 5.0

    @pytest.mark.parametrize(("kind", "status"), [("credentials", 403), ("not_found", 404)])
    def test_where_others_have_answers_it_is_one_failure_of_several(self, kind, status):
        model = Model().sees("ok", "ok", "ok", "server_error").sees(kind, status=status)
        assert (model.state, model.circuit.failures, model.circuit.calls) == (State.CLOSED, 2, 5)
        assert model.sees(kind, status=status).state is State.OPEN

    def test_another_credential_of_it_is_refused_at_once(self):
        assert Model().sees("ok", "ok", "server_error").sees("credentials", status=401).state is State.OPEN


class TestTrying:
    def test_nobody_may_before_it_is_due(self):
        model = opened()
        assert model.circuit.is_out(at=model.now + 4.999)
        assert not model.waits(4.999).claims()

    def test_one_may_then_and_only_one(self):
        model = opened().waits(5)
        assert model.circuit.is_due(at=model.now)
        assert (model.claims("a"), model.claims("b"), model.state) == (True, False, State.HALF_OPEN)
        assert model.circuit.is_out(at=model.now)

    def test_an_answer_closes_it(self):
        model = opened().waits(5)
        model.claims()
        assert model.sees("ok", probe="mine").circuit is None

    @pytest.mark.parametrize("kind", ["rejected", "context_too_long"])
    def test_so_does_a_refusal_which_shows_that_somebody_is_there(self, kind):
        model = opened().waits(5)
        model.claims()
        assert model.sees(kind, probe="mine").circuit is None

    def test_each_failure_opens_it_for_twice_as_long_up_to_two_minutes(self):
        model = opened()
        waits = []
        for _ in range(7):
            waits.append(model.out_s)
            model.waits(model.out_s)
            assert model.claims()
            model.sees("timeout", probe="mine")
        assert waits == [5, 10, 20, 40, 80, 120, 120] == [*waits[:-1], LONGEST_OPEN_S]

    def test_whoever_leaves_gives_it_back_at_once(self):
        model = opened().waits(5)
        model.claims("a")
        assert model.leaves(probe="a").state is State.OPEN
        assert model.claims("b")

    def test_whoever_dies_gives_it_back_when_his_time_is_over(self):
        model = opened().waits(5)
        model.claims("dead", for_s=3.0)
        assert not model.waits(2.999).claims("b")
        assert model.waits(0.001).claims("b")
        assert model.sees("timeout", probe="dead").circuit.probe == "b"

    def test_what_began_before_it_opened_changes_nothing(self):
        model = opened().waits(3)
        known = model.circuit
        assert model.sees("ok", "timeout", "ok", began_s_ago=4.0).circuit == known

    def test_who_had_no_other_model_and_was_answered_closes_it(self):
        assert opened().waits(3).sees("ok", began_s_ago=1.0).circuit is None

    def test_who_had_no_other_model_and_failed_does_not_lengthen_it(self):
        model = opened().waits(3)
        known = model.circuit
        assert model.sees(*["timeout"] * 20, began_s_ago=1.0).circuit == known

    def test_once_closed_it_begins_anew(self):
        model = opened().waits(5)
        model.claims()
        model.sees("ok", probe="mine").sees(*["timeout"] * 5)
        assert (model.circuit.reopened, model.out_s) == (0, 5.0)

    def test_it_can_be_hastened(self):
        model = opened()
        model.circuit = hastened(model.circuit, now=model.now)
        assert model.claims()
        assert hastened(model.circuit, now=model.now) == model.circuit


def test_it_says_why_and_until_when():
    model = opened()
    assert model.circuit.words() == "server error, until 08:00:05 UTC"
    model.waits(5).claims()
    assert model.circuit.words() == "server error, and another request tries it now"


KINDS = [kind.value for kind in FailureKind]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("sees"), st.sampled_from(["ok", *KINDS]), st.booleans()),
        st.tuples(st.just("claims"), st.floats(0.1, 30), st.none()),
        st.tuples(st.just("leaves"), st.none(), st.none()),
        st.tuples(st.just("waits"), st.floats(0, 60), st.none()),
        st.tuples(st.just("limited"), st.floats(0, 5000), st.none()),
    ),
    max_size=60,
)


@given(STEPS)
def test_whatever_happens(steps):
    """Never two probes at a time, a call that went well never opens, what is written is read as it was."""
    model, holders, number = Model(), {}, 0
    for what, value, is_probe in steps:
        before = model.state
        if what == "waits":
            model.waits(value)
        elif model.circuit is not None and what == "claims":
            number += 1
            if model.claims(f"p{number}", for_s=value):
                assert not [token for token, until in holders.items() if until > model.now]
                holders[f"p{number}"] = model.now + value
        elif what == "leaves" and holders:
            token, _ = holders.popitem()
            model.leaves(probe=token)
        elif what == "limited":
            model.sees("rate_limited", retry_after_s=value)
        elif what == "sees":
            token = holders.popitem()[0] if is_probe and holders else ""
            model.sees(value, probe=token)
            if value == "ok":
                assert before is not State.CLOSED or model.state is State.CLOSED
        if model.state is not State.HALF_OPEN:  # whoever still has a claim has one that counts no more
            holders.clear()
        if model.circuit is not None:
            assert msgspec.json.decode(msgspec.json.encode(model.circuit), type=Circuit) == model.circuit


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 4000)), min_size=1, max_size=20))
def test_of_all_that_vendors_say_the_longest_holds(told):
    model, latest = Model(), 0.0
    for waited_s, retry_after_s in told:
        model.waits(waited_s).sees("rate_limited", retry_after_s=retry_after_s)
        latest = max(latest, model.now + min(retry_after_s, LONGEST_RETRY_S))
    assert model.circuit.until == latest


@given(st.lists(st.sampled_from(["ok", "rejected", "context_too_long", "unsupported"]), max_size=50))
def test_without_a_failure_there_is_nothing(kinds):
    assert Model().sees(*kinds).circuit is None

"""Walking a plan: what a failure means for the next step, and what the trail says of it."""

import asyncio
from dataclasses import replace

import pytest

from providers.deadlines import CLOCK_S
from providers.types import FailureCause, FailureKind, ProviderError, Timeouts
from routing import attempts
from routing.attempts import CONSEQUENCES, AttemptsError, Clock
from tests.unit.routing.test_plan import ACME, candidate, model

A, B, C = (candidate(name, layer) for name, layer in (("a", "L0"), ("b", "L1"), ("c", "L2")))
HANGS = "hangs"

# The table of DESIGN, section 3.
SAME_MODEL_AGAIN = {FailureKind.UNREACHABLE, FailureKind.TIMEOUT, FailureKind.SERVER_ERROR, FailureKind.BAD_ANSWER}
NEXT_MODEL = SAME_MODEL_AGAIN | {FailureKind.RATE_LIMITED, FailureKind.CREDENTIALS, FailureKind.NOT_FOUND}
NOBODY = {FailureKind.REJECTED, FailureKind.BROKEN_STREAM}


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(attempts, "BACKOFF_S", 0.001)


def fails(kind, **fields):
    return ProviderError(kind, f"failed: {kind.value}", **fields)


class Vendor:
    """Gives each model's outcomes one after the other, the last one for ever; notes who was called."""

    def __init__(self, **outcomes):
        self._outcomes = {name: list(given) if isinstance(given, list) else [given] for name, given in outcomes.items()}
        self.called = []

    async def __call__(self, candidate):
        name = candidate.model.name
        self.called.append(name)
        left = self._outcomes[name]
        outcome = left.pop(0) if len(left) > 1 else left[0]
        if outcome == HANGS:
            await asyncio.Event().wait()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def nothing(candidate):
    """Before an attempt that needs no leave."""


async def walk(vendor, *candidates, deadline_s=30.0, max_attempts=6, trail=None, before=nothing, clock=None):
    return await attempts.walk(
        candidates or (A, B, C),
        call=vendor,
        clock=clock or Clock(deadline_s),
        max_attempts=max_attempts,
        trail=[] if trail is None else trail,
        before=before,
    )


async def failed(vendor, *candidates, **options):
    with pytest.raises(AttemptsError) as caught:
        await walk(vendor, *candidates, **options)
    return caught.value


class TestConsequences:
    def test_every_kind_of_failure_has_one(self):
        assert set(CONSEQUENCES) == set(FailureKind)

    async def test_the_first_answer_ends_the_walk(self):
        vendor = Vendor(a="hello")
        answered = await walk(vendor)
        assert (answered.candidate, answered.answer, vendor.called) == (A, "hello", ["a"])

    @pytest.mark.parametrize("kind", sorted(SAME_MODEL_AGAIN))
    async def test_the_same_model_is_tried_once_more(self, kind):
        vendor = Vendor(a=[fails(kind), "hello"])
        assert (await walk(vendor)).candidate is A
        assert vendor.called == ["a", "a"]

    @pytest.mark.parametrize("kind", sorted(SAME_MODEL_AGAIN))
    async def test_but_only_once_and_then_the_next(self, kind):
        vendor = Vendor(a=fails(kind), b="hello")
        assert (await walk(vendor)).candidate is B
        assert vendor.called == ["a", "a", "b"]

    @pytest.mark.parametrize("cause", [FailureCause.PRIVATE_ADDRESS, FailureCause.UNUSABLE_CREDENTIAL])
    async def test_a_model_that_was_not_called_at_all_is_not_tried_again(self, cause):
        vendor = Vendor(a=fails(FailureKind.UNREACHABLE, cause=cause), b="hello")
        assert (await walk(vendor)).candidate is B
        assert vendor.called == ["a", "b"]

    @pytest.mark.parametrize("kind", sorted(NEXT_MODEL - SAME_MODEL_AGAIN))
    async def test_the_next_model_is_tried_at_once(self, kind):
        vendor = Vendor(a=fails(kind, status=429), b="hello")
        assert (await walk(vendor)).candidate is B
        assert vendor.called == ["a", "b"]

    @pytest.mark.parametrize("kind", sorted(NOBODY))
    async def test_nobody_else_is_tried(self, kind):
        vendor = Vendor(a=fails(kind))
        failure = await failed(vendor)
        assert (failure.error.kind, failure.candidate, vendor.called) == (kind, A, ["a"])

    async def test_when_all_fail_the_last_failure_is_told(self):
        vendor = Vendor(
            a=fails(FailureKind.NOT_FOUND), b=fails(FailureKind.CREDENTIALS), c=fails(FailureKind.RATE_LIMITED)
        )
        failure = await failed(vendor)
        assert (failure.error.kind, failure.candidate, failure.is_deadline) == (FailureKind.RATE_LIMITED, C, False)


class TestContextTooLong:
    TOO_LONG = fails(FailureKind.CONTEXT_TOO_LONG)

    def of(self, name, context_tokens):
        return candidate(model(name, context_tokens=context_tokens))

    async def test_only_a_larger_window_is_tried_next(self):
        windows = [
            self.of("a", 8000),
            self.of("b", 4000),
            self.of("b2", 8000),
            self.of("b3", None),
            self.of("c", 16000),
        ]
        vendor = Vendor(a=self.TOO_LONG, c="hello")
        assert (await walk(vendor, *windows)).answer == "hello"
        assert vendor.called == ["a", "c"]

    async def test_with_none_larger_it_is_what_is_told(self):
        vendor = Vendor(a=self.TOO_LONG)
        failure = await failed(vendor, self.of("a", 8000), self.of("b", 8000))
        assert (failure.error.kind, vendor.called) == (FailureKind.CONTEXT_TOO_LONG, ["a"])

    async def test_nor_a_smaller_one_once_a_larger_one_failed_otherwise(self):
        vendor = Vendor(a=self.TOO_LONG, b=fails(FailureKind.NOT_FOUND))
        failure = await failed(vendor, self.of("a", 8000), self.of("b", 16000), self.of("c", 4000))
        assert (failure.error.kind, vendor.called) == (FailureKind.NOT_FOUND, ["a", "b"])

    async def test_a_window_of_unknown_size_is_not_known_to_be_exceeded(self):
        vendor = Vendor(a=self.TOO_LONG)
        await failed(vendor, self.of("a", None), self.of("b", 8000))
        assert vendor.called == ["a"]


class TestUnsupported:
    """A model whose dialect cannot say the request: nobody was called, so nothing is lost but the model."""

    async def test_the_next_model_is_tried_at_once(self):
        vendor = Vendor(a=fails(FailureKind.UNSUPPORTED), b="yes")
        assert (await walk(vendor)).answer == "yes"
        assert vendor.called == ["a", "b"]

    async def test_it_counts_as_no_attempt(self):
        vendor = Vendor(a=fails(FailureKind.UNSUPPORTED), b=fails(FailureKind.UNSUPPORTED), c="yes")
        assert (await walk(vendor, max_attempts=1)).answer == "yes"

    async def test_where_it_is_all_there_is_the_caller_has_to_mend_it(self):
        with pytest.raises(AttemptsError) as caught:
            await walk(Vendor(a=fails(FailureKind.UNSUPPORTED, status=400), b=fails(FailureKind.UNSUPPORTED)), A, B)
        assert caught.value.client_status == 400

    @pytest.mark.parametrize(
        ("failure", "status"),
        [(fails(FailureKind.RATE_LIMITED, retry_after_s=60), 429), (fails(FailureKind.CREDENTIALS), 502)],
    )
    async def test_it_hides_no_failure_of_a_model_that_was_called(self, failure, status):
        with pytest.raises(AttemptsError) as caught:
            await walk(Vendor(a=failure, b=fails(FailureKind.UNSUPPORTED)), A, B)
        assert (caught.value.error, caught.value.candidate, caught.value.client_status) == (failure, A, status)

    async def test_nor_is_it_hidden_by_the_time_that_ran_out(self):
        with pytest.raises(AttemptsError) as caught:
            await walk(Vendor(a=fails(FailureKind.UNSUPPORTED), b=fails(FailureKind.SERVER_ERROR, status=500)), A, B)
        assert caught.value.error.kind is FailureKind.SERVER_ERROR


class TestLimits:
    async def test_the_deadline_ends_an_attempt_and_the_walk(self):
        vendor = Vendor(a=HANGS, b="never")
        failure = await failed(vendor, deadline_s=0.05)
        assert (failure.is_deadline, failure.error.kind, vendor.called) == (True, FailureKind.TIMEOUT, ["a"])

    async def test_a_timer_that_fires_a_little_early_is_the_deadline_all_the_same(self):
        class NearlyOver(Clock):
            def left_s(self):
                return CLOCK_S / 2

        with pytest.raises(AttemptsError) as caught:
            await attempts.walk(
                (A,), call=Vendor(a=HANGS), clock=NearlyOver(1.0), max_attempts=1, trail=[], before=nothing
            )
        assert caught.value.is_deadline

    async def test_a_deadline_already_past_calls_nobody(self):
        vendor = Vendor()
        failure = await failed(vendor, deadline_s=0.0)
        assert (failure.is_deadline, failure.error, vendor.called) == (True, None, [])

    async def test_a_model_that_hangs_is_given_up_for_the_next(self):
        timeouts = Timeouts(connect_s=0.01, headers_s=0.01, first_content_s=0.01, between_frames_s=0.01)
        impatient = candidate(model("a", provider=replace(ACME, timeouts=timeouts)))
        vendor = Vendor(a=HANGS, b="hello")
        assert (await walk(vendor, impatient, B)).candidate is B
        assert vendor.called == ["a", "a", "b"]

    async def test_no_pause_is_made_that_the_deadline_does_not_allow(self, monkeypatch):
        monkeypatch.setattr(attempts, "BACKOFF_S", 60.0)
        vendor = Vendor(a=fails(FailureKind.SERVER_ERROR), b="hello")
        assert (await walk(vendor, deadline_s=5.0)).candidate is B
        assert vendor.called == ["a", "b"]

    @pytest.mark.parametrize("most", [1, 2, 3])
    async def test_no_more_attempts_than_the_policy_allows_retries_included(self, most):
        vendor = Vendor(a=fails(FailureKind.SERVER_ERROR), b=fails(FailureKind.SERVER_ERROR))
        await failed(vendor, max_attempts=most)
        assert vendor.called == ["a", "a", "b"][:most]


class TestTrail:
    async def test_each_attempt_leaves_a_step(self):
        trail = []
        vendor = Vendor(
            a=fails(FailureKind.NOT_FOUND, status=404), b=[fails(FailureKind.SERVER_ERROR, status=503), "hello"]
        )
        await walk(vendor, trail=trail)
        assert [(step.provider, step.model, step.layer, step.outcome, step.status, step.message) for step in trail] == [
            ("acme", "a", "L0", "not_found", 404, "failed: not_found"),
            ("acme", "b", "L1", "server_error", 503, "failed: server_error"),
            ("acme", "b", "L1", "ok", 200, ""),
        ]

    async def test_steps_follow_each_other_in_time(self):
        trail = []
        await walk(Vendor(a=fails(FailureKind.SERVER_ERROR), b="hello"), trail=trail)
        assert [step.started_ms for step in trail] == sorted(step.started_ms for step in trail)
        assert all(step.duration_ms >= 0 for step in trail)
        assert trail[1].started_ms >= trail[0].started_ms + trail[0].duration_ms

    async def test_a_timeout_is_told_as_one(self):
        trail = []
        await failed(Vendor(a=HANGS), deadline_s=0.02, trail=trail)
        assert [(step.outcome, step.status) for step in trail] == [("timeout", None)]

    async def test_a_walk_that_is_cancelled_leaves_its_step_too(self):
        trail = []
        vendor = Vendor(a=HANGS)
        task = asyncio.create_task(walk(vendor, trail=trail))
        await asyncio.sleep(0)
        assert vendor.called == ["a"]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [step.outcome for step in trail] == ["cancelled"]


class TestBefore:
    async def test_it_is_told_of_each_attempt_before_it_starts(self):
        seen = []
        vendor = Vendor(a=fails(FailureKind.SERVER_ERROR), b="hello")

        async def note(candidate):
            seen.append((candidate.model.name, len(vendor.called)))

        await walk(vendor, before=note)
        assert seen == [("a", 0), ("a", 1), ("b", 2)]

    async def test_what_it_raises_stops_the_walk_before_the_call(self):
        async def refuse(candidate):
            raise LookupError

        vendor, trail = Vendor(a="never"), []
        with pytest.raises(LookupError):
            await walk(vendor, before=refuse, trail=trail)
        assert (vendor.called, trail) == ([], [])

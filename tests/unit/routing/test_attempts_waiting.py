"""Waiting between attempts: for a model that asked for it, and before the same one again; by a clock of the test's."""

import asyncio

import pytest

from providers.types import FailureKind
from routing import attempts
from routing.attempts import Clock
from tests.unit.routing.test_attempts import NOBODY, A, B, Vendor, failed, fails, walk
from tests.unit.routing.test_plan import candidate, model


class Hand:
    """A clock that moves when it is slept by, and when a call `takes_s`; notes what was slept."""

    def __init__(self):
        self.time = 1000.0
        self.slept = []

    def now(self):
        return self.time

    async def sleep(self, seconds):
        self.slept.append(round(seconds, 6))
        self.time += seconds

    def of(self, deadline_s):
        return Clock(deadline_s, now=self.now, sleep=self.sleep)


def limited(retry_after_s=None):
    return fails(FailureKind.RATE_LIMITED, status=429, retry_after_s=retry_after_s)


class TestRateLimits:
    """A model that asks to wait is waited for when no other is left, within the deadline; by a clock of the test's."""

    @pytest.fixture
    def hand(self, monkeypatch):
        monkeypatch.setattr(attempts, "WAIT_SPREAD", 0.0)
        return Hand()

    async def test_those_who_were_told_the_same_do_not_come_back_at_once(self, hand, monkeypatch):
        monkeypatch.setattr(attempts, "WAIT_SPREAD", 0.1)
        for _ in range(20):
            await walk(Vendor(a=[limited(10), "hello"]), A, clock=hand.of(30))
        assert len(set(hand.slept)) > 10
        assert all(10 <= slept_s <= 11 for slept_s in hand.slept)

    async def test_a_servers_error_may_ask_for_a_wait_as_well(self, hand):
        tired = fails(FailureKind.SERVER_ERROR, status=503, retry_after_s=5)
        vendor = Vendor(a=[tired, "hello"], b=fails(FailureKind.NOT_FOUND))
        assert (await walk(vendor, A, B, clock=hand.of(30))).candidate is A
        assert (vendor.called, hand.slept) == (["a", "b", "a"], [5])

    async def test_it_is_not_waited_for_while_another_model_is_left(self, hand):
        vendor = Vendor(a=limited(1), b="hello")
        assert (await walk(vendor, A, B, clock=hand.of(30))).answer == "hello"
        assert hand.slept == []

    async def test_the_last_model_is_tried_again_when_its_wait_is_over(self, hand):
        vendor = Vendor(a=fails(FailureKind.NOT_FOUND), b=[limited(2), "hello"])
        assert (await walk(vendor, A, B, clock=hand.of(30))).answer == "hello"
        assert (vendor.called, hand.slept) == (["a", "b", "b"], [2])

    async def test_so_is_one_that_others_failed_after(self, hand):
        vendor = Vendor(a=[limited(2), "hello"], b=fails(FailureKind.CREDENTIALS), c=fails(FailureKind.NOT_FOUND))
        assert (await walk(vendor, clock=hand.of(30))).candidate is A
        assert (vendor.called, hand.slept) == (["a", "b", "c", "a"], [2])

    async def test_what_others_took_counts_for_the_wait(self, hand):
        async def slow(candidate):
            if candidate is B:
                hand.time += 1.5
            return await vendor(candidate)

        vendor = Vendor(a=[limited(2), "hello"], b=fails(FailureKind.CREDENTIALS))
        await walk(slow, A, B, clock=hand.of(30))
        assert hand.slept == [0.5]

    async def test_a_wait_that_is_over_by_then_is_none(self, hand):
        async def slow(candidate):
            if candidate is B:
                hand.time += 5
            return await vendor(candidate)

        vendor = Vendor(a=[limited(2), "hello"], b=fails(FailureKind.CREDENTIALS))
        assert (await walk(slow, A, B, clock=hand.of(30))).answer == "hello"
        assert hand.slept == [0]

    async def test_the_shortest_wait_comes_first(self, hand):
        vendor = Vendor(a=limited(3), b=[limited(1), limited(9)], c=[limited(2), limited(9)])
        await failed(vendor, clock=hand.of(30))
        assert (vendor.called, hand.slept) == (["a", "b", "c", "b", "c", "a"], [1, 1, 1])

    async def test_each_model_is_waited_for_once(self, hand):
        vendor = Vendor(a=limited(1))
        failure = await failed(vendor, A, clock=hand.of(30))
        assert (vendor.called, hand.slept, failure.retry_after_s) == (["a", "a"], [1], 1)

    async def test_one_that_does_not_say_how_long_is_not_waited_for(self, hand):
        vendor = Vendor(a=limited())
        failure = await failed(vendor, A, clock=hand.of(30))
        assert (vendor.called, hand.slept, failure.retry_after_s, failure.client_status) == (["a"], [], None, 429)

    @pytest.mark.parametrize("deadline_s", [1, 5])
    async def test_it_is_not_waited_for_beyond_the_deadline(self, hand, deadline_s):
        vendor = Vendor(a=[limited(5), "never"])
        failure = await failed(vendor, A, clock=hand.of(deadline_s))
        assert (failure.error.kind, vendor.called, hand.slept) == (FailureKind.RATE_LIMITED, ["a"], [])

    async def test_nor_for_an_attempt_that_may_not_be_made(self, hand):
        vendor = Vendor(a=limited(1), b=limited(1))
        await failed(vendor, A, B, max_attempts=2, clock=hand.of(30))
        assert hand.slept == []

    @pytest.mark.parametrize("kind", sorted(NOBODY))
    async def test_nor_where_nobody_else_may_be_tried(self, hand, kind):
        vendor = Vendor(a=limited(1), b=fails(kind))
        assert (await failed(vendor, A, B, clock=hand.of(30))).error.kind is kind
        assert (vendor.called, hand.slept) == (["a", "b"], [])

    async def test_nor_where_its_window_is_known_to_be_too_small(self, hand):
        small, large = candidate(model("a", context_tokens=4000)), candidate(model("b", context_tokens=8000))
        vendor = Vendor(a=limited(1), b=fails(FailureKind.CONTEXT_TOO_LONG))
        assert (await failed(vendor, small, large, clock=hand.of(30))).client_status == 400
        assert hand.slept == []

    async def test_an_attempt_after_the_wait_is_one_like_any_other(self, hand):
        vendor = Vendor(a=[limited(1), fails(FailureKind.SERVER_ERROR), "hello"])
        assert (await walk(vendor, A, clock=hand.of(30))).answer == "hello"
        assert (vendor.called, len(hand.slept)) == (["a", "a", "a"], 2)

    async def test_the_client_is_told_the_shortest_wait_that_is_left(self, hand):
        async def slow(candidate):
            hand.time += 1
            return await vendor(candidate)

        vendor = Vendor(a=limited(60), b=limited(45), c=limited(90))
        failure = await failed(slow, clock=hand.of(30))
        assert (failure.client_status, failure.retry_after_s) == (429, 44)

    async def test_a_wait_that_did_not_help_is_not_told_again(self, hand):
        vendor = Vendor(a=[limited(1), fails(FailureKind.NOT_FOUND)], b=[limited(2), limited(60)])
        failure = await failed(vendor, A, B, clock=hand.of(30))
        assert (vendor.called, failure.retry_after_s) == (["a", "b", "a", "b"], 60)

    async def test_it_is_told_of_the_limit_and_not_of_the_deadline_that_passed_meanwhile(self, hand):
        async def slow(candidate):
            hand.time += 31
            return await vendor(candidate)

        vendor = Vendor(a=limited(60))
        failure = await failed(slow, clock=hand.of(30))
        assert (failure.client_status, failure.is_deadline, failure.retry_after_s) == (429, False, 60)

    async def test_another_last_failure_is_told_as_what_it_was(self, hand):
        vendor = Vendor(a=limited(60), b=fails(FailureKind.NOT_FOUND, status=404))
        failure = await failed(vendor, A, B, clock=hand.of(30))
        assert (failure.client_status, failure.retry_after_s) == (502, None)


class TestPauses:
    async def test_the_same_model_is_tried_again_after_a_jittered_pause(self, monkeypatch):
        monkeypatch.setattr(attempts, "BACKOFF_S", 0.2)
        pauses = []
        for _ in range(50):
            hand = Hand()
            await walk(Vendor(a=[fails(FailureKind.SERVER_ERROR), "hello"]), clock=hand.of(30))
            pauses += hand.slept
        assert (len(pauses), min(pauses) >= 0.1, max(pauses) <= 0.3) == (50, True, True)
        assert max(pauses) - min(pauses) > 0.05

    @pytest.mark.parametrize("failure", [fails(FailureKind.SERVER_ERROR), limited(20)])
    async def test_a_caller_that_leaves_ends_it_at_once(self, monkeypatch, failure):
        monkeypatch.setattr(attempts, "BACKOFF_S", 20.0)
        sleeping, vendor = asyncio.Event(), Vendor(a=failure)

        async def sleep(seconds):
            sleeping.set()
            await asyncio.sleep(seconds)

        task = asyncio.create_task(walk(vendor, A, clock=Clock(60.0, sleep=sleep)))
        await sleeping.wait()
        task.cancel()
        async with asyncio.timeout(2):
            with pytest.raises(asyncio.CancelledError):
                await task
        assert vendor.called == ["a"]

"""A budget on a request's way: what it changes, what it refuses, and what it lets go on."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest

from analytics.types import BudgetAction, BudgetScope, NearEdge
from routing.chat import NobodyAnswered, OverBudget
from routing.types import DropReason, UnknownPrice, Wishes
from tests.unit.routing.test_plan import POLICY, model
from tests.unit.routing.use_case import answering, budget

LONG = 4096
"""Tokens of an answer of no stated length."""
PER_TOKEN = Decimal("0.001")
INPUT = 15
"""The upper estimate of the usual request's tokens."""
NOTE, DEGRADE = BudgetAction.NOTE, BudgetAction.DEGRADE


def usd(output, *, input=INPUT, answers=1):
    return (input + output * answers) * PER_TOKEN


def sent(gateway):
    return [msgspec.json.decode(request.body) for request in gateway.seen()]


def caps(gateway):
    """What each request that was sent says of its answer's length."""
    return [body.get("max_tokens") for body in sent(gateway)]


async def refused(gateway, *scripts, **options):
    with pytest.raises(OverBudget) as caught:
        await gateway.ask(*scripts, **options)
    return caught.value.reached


def limited(gateway, script="ok", **fields):
    """A model that says how long its answers may get."""
    return gateway.candidate(script, **({"max_output_tokens": 1000} | fields))


class TestThatFits:
    @pytest.mark.parametrize("asked", [{"max_tokens": 50}, {}, {"max_completion_tokens": 700, "n": 2}])
    async def test_changes_not_one_byte_of_the_request(self, gateway, asked):
        await gateway.ask(limited(gateway), **asked)
        gateway.hold(budget())
        completed = await gateway.ask(limited(gateway), **asked)
        without, with_it = gateway.seen()
        assert with_it.body == without.body
        assert not completed.is_capped

    async def test_settles_what_the_answer_cost(self, gateway):
        gateway.hold(budget())
        completed = await gateway.ask("ok")
        row = await gateway.assert_settled()
        assert row.budget_usd == completed.bill.usd > 0

    async def test_holds_the_most_it_may_cost_while_it_is_under_way(self, gateway):
        gateway.hold(budget())
        streaming = await gateway.ask("chunks=4", stream=True, max_tokens=50)
        (held,) = await gateway.balances()
        assert (held.spent, held.open) == (0, usd(50) * 10**9)
        assert gateway.opened[0].cap_usd == usd(50)
        streaming.close()
        await gateway.assert_settled()

    async def test_holds_as_much_for_each_of_several_choices(self, gateway):
        gateway.hold(budget())
        await gateway.ask("ok", max_tokens=50, n=3)
        assert gateway.opened[0].cap_usd == usd(50, answers=3)

    async def test_a_model_that_says_nothing_of_its_length_is_told_the_one_that_is_held(self, gateway):
        gateway.hold(budget())
        await gateway.ask("ok")
        assert caps(gateway) == [LONG]


class TestNearItsEdge:
    async def test_an_answer_may_be_as_long_as_usual(self, gateway):
        gateway.hold(budget("1"))
        await gateway.ask(limited(gateway, max_output_tokens=LONG))
        assert caps(gateway) == [512]
        assert gateway.opened[0].cap_usd == usd(512)
        await gateway.assert_settled()

    async def test_what_is_usual_is_learned_from_answers(self, gateway):
        gateway.hold(budget("1"))
        asked = limited(gateway, max_output_tokens=LONG)
        for _ in range(20):
            gateway.guard.lengths.learn(key_id=1, model_id=asked.model.id, tokens=100, was_capped=False)
        await gateway.ask(asked)
        (cap,) = caps(gateway)
        assert 100 <= cap < 130

    async def test_its_own_answers_are_what_it_learns_from(self, gateway):
        gateway.hold(budget("1"))
        asked = limited(gateway, "content=a%20b%20c", max_output_tokens=LONG)
        for _ in range(21):
            await gateway.ask(asked)
        assert caps(gateway) == [512] * 20 + [3]

    async def test_one_that_denies_refuses(self, gateway):
        gateway.hold(budget("1", near_edge=NearEdge.DENY))
        await refused(gateway, limited(gateway, max_output_tokens=LONG))
        assert gateway.seen() == []
        assert (await gateway.assert_settled()).budget_usd == 0

    async def test_one_that_denies_lets_a_model_through_whose_longest_answer_fits(self, gateway):
        gateway.hold(budget("2", near_edge=NearEdge.DENY))
        long, short = limited(gateway, max_output_tokens=LONG), limited(gateway, usd="0.002", max_output_tokens=500)
        completed = await gateway.ask(long, short)
        assert completed.candidate is short

    @pytest.mark.parametrize("own", [20, 512, 600])
    async def test_a_clients_own_smaller_limit_is_its_cap_and_never_raised(self, gateway, own):
        gateway.hold(budget("0.62"))
        await gateway.ask("ok", max_tokens=own)
        assert caps(gateway) == [own]
        assert gateway.opened[0].cap_usd == usd(own)

    async def test_a_clients_larger_limit_is_lowered(self, gateway):
        gateway.hold(budget("0.62"))
        await gateway.ask("ok", max_tokens=700)
        assert caps(gateway) == [512]

    @pytest.mark.parametrize("is_stream", [False, True], ids=["json", "stream"])
    async def test_an_answer_that_hits_the_cap_says_so(self, gateway, is_stream):
        gateway.hold(budget("1"))
        asked = limited(gateway, "ok;finish=length", max_output_tokens=LONG)
        answered = (await gateway.relay(asked))[0] if is_stream else await gateway.ask(asked)
        assert answered.is_capped
        assert (await gateway.assert_settled()).is_capped

    async def test_an_answer_that_hits_its_clients_own_limit_does_not(self, gateway):
        gateway.hold(budget("1"))
        completed = await gateway.ask("ok;finish=length", max_tokens=20)
        assert not completed.is_capped
        assert not gateway.row.is_capped


class TestThatIsReached:
    async def test_is_spent_when_not_even_a_usual_answer_fits(self, gateway):
        gateway.hold(budget("1"), spent="0.9")
        reached = await refused(gateway, "ok")
        assert not reached.is_held
        assert gateway.heard.reached_budgets == [1]
        row = await gateway.assert_settled()
        assert (row.status, row.error_kind, row.cost_usd, row.attempts) == (402, "budget", 0, 0)

    async def test_is_held_while_open_requests_might_leave_enough(self, gateway):
        gateway.hold(budget("1"))
        streaming = await gateway.ask("chunks=4", stream=True)
        reached = await refused(gateway, "ok")
        assert reached.is_held
        assert (reached.spent_usd, reached.open_usd) == (0, usd(512))
        assert gateway.heard.reached_budgets == []
        streaming.close()
        await gateway.ask("ok")

    async def test_one_request_dearer_than_the_whole_budget_does_not_make_it_reached(self, gateway):
        gateway.hold(budget("0.1"))
        reached = await refused(gateway, "ok")
        assert reached.is_too_dear
        assert gateway.heard.reached_budgets == []

    async def test_once_it_is_seen_as_spent_the_plan_holds_no_model_it_cannot_pay(self, gateway):
        gateway.hold(budget("1"), spent="1")
        await refused(gateway, "ok")
        with pytest.raises(OverBudget) as caught:
            await gateway.ask("ok")
        (dropped,) = caught.value.decision.plan.dropped
        assert dropped.reason is DropReason.OVER_BUDGET
        assert caught.value.reached.budget.id == 1
        assert (await gateway.balances())[0].open == 0

    async def test_of_several_the_tightest_refuses(self, gateway):
        key, project = budget("100", id=1), budget("0.1", id=2, scope=BudgetScope.PROJECT, key_id=None, project_id=1)
        installation = budget("50", id=3, scope=BudgetScope.INSTALLATION, key_id=None)
        gateway.hold(key, project, installation)
        assert (await refused(gateway, "ok")).budget is project
        assert [(balance.spent, balance.open) for balance in await gateway.balances()] == [(0, 0)] * 3

    async def test_all_of_several_count_what_was_spent(self, gateway):
        gateway.hold(budget(id=1), budget(id=2, scope=BudgetScope.PROJECT), budget(id=3, key_id=None))
        await gateway.ask("ok")
        await gateway.assert_settled()

    async def test_a_dearer_second_model_that_does_not_fit_is_passed_over(self, gateway):
        gateway.hold(budget("1"))
        dear = gateway.candidate("status=503", usd="0.003")
        with pytest.raises(NobodyAnswered) as caught:
            await gateway.ask("status=503", dear)
        assert {step.model for step in caught.value.trail} == {"status=503"}
        assert caught.value.status == 502
        assert len(gateway.seen()) == 2
        await gateway.assert_settled()

    async def test_a_cheaper_model_behind_one_that_does_not_fit_answers(self, gateway):
        gateway.hold(budget("1"))
        dear, dearer, cheap = (gateway.candidate("ok", usd=each) for each in ("0.01", "0.02", "0.001"))
        completed = await gateway.ask(dear, dearer, cheap)
        assert (completed.candidate, completed.attempts) == (cheap, 1)
        await gateway.assert_settled()


class TestAFreeModel:
    @pytest.fixture
    def free(self, gateway):
        return gateway.candidate("ok", usd="0")

    async def test_goes_on_when_the_budget_is_spent_and_reserves_nothing(self, gateway, free):
        gateway.hold(budget("1"), spent="1")
        completed = await gateway.ask(free)
        assert (completed.bill.usd, caps(gateway)) == (0, [None])
        assert (await gateway.assert_settled()).budget_usd == 0

    async def test_is_not_capped_by_it(self, gateway):
        gateway.hold(budget("1"), spent="1")
        completed = await gateway.ask(gateway.candidate("ok;finish=length", usd="0"))
        assert not completed.is_capped

    async def test_answers_behind_one_that_no_longer_fits(self, gateway, free):
        gateway.hold(budget("1"), spent="1")
        assert (await gateway.ask("ok", free)).candidate is free

    async def test_goes_on_while_the_counters_are_away(self, gateway, free):
        gateway.hold(budget("1"))
        with gateway.counters_away():
            await gateway.ask(free)
        assert gateway.row.outcome == "ok"

    async def test_that_costs_after_all_is_charged(self, gateway):
        gateway.hold(budget("1"))
        told = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "cost": 0.02}
        message = {"role": "assistant", "content": "Hi"}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        body = msgspec.json.encode({"object": "chat.completion", "choices": choices, "usage": told})
        async with answering(body, content_type="application/json") as url:
            await gateway.ask(gateway.candidate("free", usd="0", url=url))
        assert (await gateway.assert_settled()).budget_usd == Decimal("0.02")

    async def test_goes_on_behind_one_that_may_have_cost(self, gateway, free):
        gateway.hold(budget("0.6"))
        completed = await gateway.ask("bad_json", free)
        assert completed.candidate is free
        assert (await gateway.assert_settled()).budget_usd == usd(512)


class TestAnUnpricedModel:
    async def test_is_held_and_counted_at_the_dearest_price(self, gateway):
        gateway.policy = replace(POLICY, unknown_price=UnknownPrice.ESTIMATE)
        gateway.dearest = model("dearest", usd="0.01")
        gateway.hold(budget("100"))
        await gateway.ask(gateway.candidate("ok;no_usage", usd=None), max_tokens=100)
        assert gateway.opened[0].cap_usd == usd(100) * 10
        assert (await gateway.assert_settled()).budget_usd > 0


class TestThatDegrades:
    @pytest.fixture
    def ladder(self, gateway):
        return gateway.candidate("ok;content=low", "L0", usd="0.0001"), gateway.candidate("ok;content=high", "L2")

    @pytest.mark.parametrize("named", [False, True], ids=["by layer", "by name"])
    async def test_lowers_to_its_layer_and_says_so(self, gateway, ladder, named):
        gateway.hold(budget("1", action=DEGRADE, layer="L0"), spent="1")
        asked = {"model": "ok;content=high", "wishes": Wishes()} if named else {"wishes": Wishes(layer="L2")}
        completed = await gateway.ask(*ladder, **asked)
        assert completed.candidate is ladder[0]
        assert "a budget is reached: no layer above L0" in completed.decision.warnings
        assert gateway.heard.reached_budgets[0] == 1

    async def test_counts_what_its_layer_costs_and_refuses_nothing_there(self, gateway, ladder):
        gateway.hold(budget("1", action=DEGRADE, layer="L0"), spent="1")
        for _ in range(2):
            completed = await gateway.ask(*ladder, wishes=Wishes(layer="L2"))
        (balance,) = await gateway.balances()
        assert (balance.spent, balance.open) == (10**9 + completed.bill.usd * 2 * 10**9, 0)

    async def test_caps_nothing_there(self, gateway, ladder):
        gateway.hold(budget("1", action=DEGRADE, layer="L0"), spent="1")
        await gateway.ask(*ladder, wishes=Wishes(layer="L2"))
        assert caps(gateway) == [None]

    async def test_leaves_a_higher_layer_alone_while_it_fits(self, gateway, ladder):
        gateway.hold(budget("100", action=DEGRADE, layer="L0"))
        completed = await gateway.ask(*ladder, wishes=Wishes(layer="L2"))
        assert (completed.candidate, completed.decision.warnings) == (ladder[1], ())

    async def test_to_a_layer_that_is_not_there_any_more_refuses(self, gateway, ladder):
        gateway.hold(budget("1", action=DEGRADE, layer="gone"), spent="1")
        reached = await refused(gateway, *ladder, wishes=Wishes(layer="L2"))
        assert reached.budget.id == 1
        await gateway.assert_settled()

    async def test_a_refusing_budget_beside_it_has_the_last_word(self, gateway, ladder):
        gateway.hold(budget("1", action=DEGRADE, layer="L0"), budget("1", id=2), spent="1")
        assert (await refused(gateway, *ladder, wishes=Wishes(layer="L2"))).budget.id == 2

    async def test_of_two_the_lower_layer_holds(self, gateway):
        three = [gateway.candidate("ok", layer) for layer in ("L0", "L1", "L2")]
        degrading = [budget("1", id=number, action=DEGRADE, layer=f"L{number}") for number in (1, 0)]
        gateway.hold(*degrading, spent="1")
        completed = await gateway.ask(*three, wishes=Wishes(layer="L2"))
        assert completed.candidate is three[0]

    async def test_after_a_failed_attempt_it_passes_over_what_does_not_fit(self, gateway):
        gateway.hold(budget("0.6", action=DEGRADE, layer="L0"))
        with pytest.raises(NobodyAnswered):
            await gateway.ask("bad_json", "ok", wishes=Wishes(layer="L0"))
        assert len(gateway.seen()) == 1
        await gateway.assert_settled()


class TestThatOnlyNotes:
    async def test_refuses_and_changes_nothing_and_is_told_once_it_is_reached(self, gateway):
        gateway.hold(budget("0.001", action=NOTE))
        await gateway.ask("ok")
        assert caps(gateway) == [None]
        await gateway.assert_settled()
        assert gateway.heard.reached_budgets == [1]

    async def test_is_not_told_before(self, gateway):
        gateway.hold(budget("100", action=NOTE))
        await gateway.ask("ok")
        assert gateway.heard.reached_budgets == []

    async def test_goes_on_uncounted_where_its_account_is_missing(self, gateway):
        gateway.hold(budget(id=1), budget(id=2, action=NOTE))
        gateway.forget(2)
        await gateway.ask("ok")
        assert gateway.heard.rebuilds_wanted == 1


class TestAbsurdSizes:
    @pytest.mark.parametrize("action", [NOTE, BudgetAction.REFUSE])
    @pytest.mark.parametrize("script", ["ok", "bad_json"])
    async def test_overflow_nothing(self, gateway, action, script):
        gateway.hold(budget("1000000", action=action))
        with suppress(NobodyAnswered):
            await gateway.ask(script, max_tokens=10**30, n=128)
        assert (await gateway.assert_settled()).budget_usd < 10**10


class TestAtOnce:
    async def test_caps_of_open_requests_never_exceed_the_limit_together(self, gateway):
        gateway.hold(budget("2"))
        asked = [gateway.ask("chunks=4;delay_ms=20") for _ in range(12)]
        ended = await asyncio.gather(*asked, return_exceptions=True)
        answered = [one for one in ended if not isinstance(one, OverBudget)]
        assert 3 <= len(answered) < 12
        (balance,) = await gateway.balances()
        assert (balance.open, balance.spent <= 2 * 10**9) == (0, True)

"""A request that budgets hold while the counters are away, and what is left of it where the process dies."""

import pytest

from analytics.types import BudgetAction
from routing.chat import MoneyUnknown
from tests.unit.routing.use_case import budget, come_round

NOTE = BudgetAction.NOTE


class TestNoted:
    async def test_before_budgets_are_asked_and_once(self, gateway, monkeypatch):
        """A process that is killed when they have answered leaves a line: whoever reads it gives back what is held."""
        gateway.hold(budget())
        noted, reserve = [], gateway.guard.reserve

        async def asked(step):
            noted.append([(line.id.hex, line.cap_usd) for line in gateway.noted])
            return await reserve(step)

        monkeypatch.setattr(gateway.guard, "reserve", asked)
        await gateway.ask("bad_json", "ok")
        assert noted[-1] == noted[0] == [(gateway.row.id.hex, 0)]
        assert len(noted) > 1

    async def test_not_where_no_budget_holds(self, gateway):
        await gateway.ask("ok")
        assert gateway.noted == []


class TestCountersAway:
    async def test_a_refusing_budget_is_unknown_and_no_model_is_called(self, gateway):
        gateway.hold(budget())
        with gateway.counters_away(), pytest.raises(MoneyUnknown) as caught:
            await gateway.ask("ok")
        assert (caught.value.status, gateway.seen()) == (503, [])
        assert (gateway.row.status, gateway.row.error_kind) == (503, "budget_unavailable")

    async def test_one_that_only_notes_goes_on_and_is_settled_later(self, gateway):
        gateway.hold(budget(action=NOTE))
        with gateway.counters_away():
            completed = await gateway.ask("ok")
        (step,) = gateway.heard.unsettled
        assert step.nano_usd == completed.bill.usd * 10**9

    async def test_what_could_not_be_settled_is_settled_later(self, gateway):
        gateway.hold(budget())
        streaming = await gateway.ask("chunks=4", stream=True)
        with gateway.counters_away():
            streaming._entry.guard = gateway.guard
            streaming.close()
            await come_round()
        (step,) = gateway.heard.unsettled
        gateway.store.settle_now([step])
        await gateway.assert_settled()

    async def test_an_account_that_is_missing_is_unknown_and_wanted(self, gateway):
        gateway.hold(budget())
        gateway.forget(1)
        with pytest.raises(MoneyUnknown):
            await gateway.ask("ok")
        assert gateway.heard.rebuilds_wanted == 1

"""One request's entry in the ledger: what is written before each attempt, and what it cost in the end."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from analytics import budgets, drainer, ids
from analytics.bodies import Bodies
from analytics.counters.guard import Guard
from analytics.counters.sqlite_store import SqliteStore
from analytics.lengths import Lengths
from analytics.models import CostSource, Outcome, UsageRecord
from analytics.spool import Reader, SpoolError
from analytics.types import Opened, UsageRow
from providers.types import FailureKind, Price, ProviderError, Unit, Usage
from routing import attempts
from routing.attempts import AttemptsError, Clock
from routing.bills import NOTHING, Bill
from routing.entry import Entry
from routing.trails import Step
from routing.types import Wishes
from tests.unit.analytics.spools import full_disk
from tests.unit.routing.test_decision import make, request
from tests.unit.routing.test_plan import ACME, ANYONE, LONG_AGO, candidate, model, snapshot
from tests.unit.routing.use_case import Heard

STEP = Step("acme", "a", "L0", "timeout", None, "did not answer in time", 0.0, 5.0)


@pytest.fixture
def begin(spool, tmp_path):
    """Begins an entry for a request; by default its one model costs 1 USD a token of input and 2 of output."""

    guard = Guard(SqliteStore(tmp_path / "counters.sqlite3"), keeper=Heard(), lengths=Lengths())

    def begin(asked=None, *, of=None, wishes=None, decision=None):
        asked = asked or request("dear")
        made = decision or make(asked, config=snapshot(candidate(of or dear(), "L1")), wishes=wishes)
        no_budget = budgets.reservation(guard, (), request_id=made.request_id.hex, at=made.started_at, ttl_s=60)
        return Entry(ANYONE, asked, made, spool, guard, Bodies(), Clock(30.0), no_budget)

    return begin


def dear(**fields):
    prices = (Price(Unit.INPUT, Decimal(1), 0, LONG_AGO), Price(Unit.OUTPUT, Decimal(2), 0, LONG_AGO))
    return replace(model("dear", **fields), prices=prices)


def open_(entry):
    (only,) = entry.decision.plan.attempts
    asyncio.run(entry.opened(only))
    return only


def broke(usage):
    return ProviderError(FailureKind.BAD_ANSWER, "broke off", usage=usage)


def lines(spool):
    batch = Reader(spool.folder).next_batch()
    return list(batch.lines) if batch else []


def settled(spool):
    (row,) = [line for line in lines(spool) if isinstance(line, UsageRow)]
    return row


class TestOpened:
    def test_a_line_is_on_disk_before_the_attempt(self, begin, spool):
        entry = begin()
        open_(entry)
        (line,) = lines(spool)
        assert isinstance(line, Opened)
        assert (line.id, line.provider, line.model, line.layer) == (entry.decision.request_id, "acme", "dear", "L1")
        assert (line.key_id, line.project, line.requested_model, line.attempts) == (1, "default", "dear", 1)

    def test_it_carries_an_estimate_of_what_may_be_spent_already(self, begin, spool):
        entry = begin(request("dear", content="x" * 1000))
        open_(entry)
        (line,) = lines(spool)
        assert line.input_tokens == entry.decision.need.input_tokens // 2
        assert line.cost_usd == line.input_tokens

    def test_each_attempt_writes_another(self, begin, spool):
        entry = begin()
        open_(entry)
        entry.trail.append(STEP)
        open_(entry)
        assert [line.attempts for line in lines(spool)] == [1, 2]

    def test_a_full_disk_is_an_error(self, begin):
        entry = begin()
        with full_disk(), pytest.raises(SpoolError):
            open_(entry)


class TestSettle:
    def test_the_row_says_who_asked_for_what_and_got_what(self, begin, spool):
        entry = begin(request("dear", user="session-7"))
        open_(entry)
        entry.trail.append(STEP)
        entry.first_token_ms = 12.5
        bill = entry.bill(Usage(input_tokens=10, output_tokens=5, reasoning_tokens=3), content_chars=0)
        entry.settle(Outcome.OK, status=200, bill=bill, finish_reason="stop")
        row = settled(spool)
        assert (row.outcome, row.status, row.finish_reason, row.first_token_ms) == ("ok", 200, "stop", 12.5)
        assert (row.project, row.key_name, row.session, row.requested_model) == (
            "default",
            "first",
            "session-7",
            "dear",
        )
        assert (row.provider, row.model, row.layer, row.attempts) == ("acme", "dear", "L1", 1)
        assert (row.input_tokens, row.output_tokens, row.reasoning_tokens) == (10, 5, 3)
        assert (row.cost_usd, row.cost_source, row.computed_cost_usd, row.reported_cost_usd) == (20, "price", 20, None)
        assert msgspec.json.decode(row.prices) == {
            "input": {"usd": "1", "valid_from": "2020-01-01T00:00:00Z"},
            "output": {"usd": "2", "valid_from": "2020-01-01T00:00:00Z"},
        }
        assert row.started_at == ids.started_at(row.id)
        assert row.duration_ms > 0

    def test_twice_counts_once(self, begin, spool):
        entry = begin()
        open_(entry)
        entry.settle(Outcome.OK, status=200)
        entry.settle(Outcome.CANCELLED, status=499)
        assert settled(spool).outcome == "ok"

    def test_budgets_count_no_less_than_the_ledger_has(self, begin, spool):
        entry = begin()
        open_(entry)
        entry.settle(Outcome.ERROR, status=504, bill=Bill(Decimal(5), CostSource.ESTIMATE, Usage()))
        assert (settled(spool).cost_usd, settled(spool).budget_usd) == (5, 5)

    def test_without_any_attempt_nothing_was_consumed(self, begin, spool):
        begin().settle(Outcome.ERROR, status=503, error_kind="nothing_to_try", error_message="why")
        row = settled(spool)
        assert (row.cost_usd, row.cost_source, row.model, row.attempts) == (0, "none", "", 0)
        assert (row.error_kind, row.error_message) == ("nothing_to_try", "why")

    def test_the_trail_and_the_decision_are_kept(self, begin, spool):
        entry = begin()
        open_(entry)
        entry.trail.append(STEP)
        entry.settle(Outcome.ERROR, status=502)
        row = settled(spool)
        assert msgspec.json.decode(row.trail)[0]["message"] == "did not answer in time"
        assert msgspec.json.decode(row.decision)["attempts"] == [["acme/dear", "L1"]]

    def test_a_full_disk_keeps_it_in_memory_and_never_raises(self, begin, spool):
        entry = begin()
        open_(entry)
        with full_disk():
            entry.settle(Outcome.OK, status=200)
        (row,) = spool.take_unwritten()
        assert row.id == entry.decision.request_id

    @pytest.mark.parametrize(
        ("first", "fell_back"),
        [
            (candidate("dear"), False),
            (candidate("other"), True),
            (candidate(model("dear", provider=replace(ACME, id=2, slug="second"))), True),
        ],
        ids=["the first itself", "another model", "the same id at another provider"],
    )
    def test_it_says_whether_another_than_the_first_answered(self, begin, spool, first, fell_back):
        entry = begin()
        for tried in (first, entry.decision.plan.attempts[0]):
            asyncio.run(entry.opened(tried))
            entry.trail.append(Step(tried.model.provider.slug, tried.model.name, tried.layer, "x", None, "", 0.0, 0.0))
        entry.settle(Outcome.OK, status=200)
        assert settled(spool).fell_back is fell_back


class TestBill:
    def bill(self, begin, usage, *, content_chars=0, of=None, asked=None):
        entry = begin(asked, of=of)
        open_(entry)
        return entry.bill(usage, content_chars=content_chars), entry

    def test_what_the_provider_told_is_billed_and_counted(self, begin):
        bill, _ = self.bill(begin, Usage(input_tokens=10, cached_input_tokens=5, output_tokens=1))
        assert (bill.usd, bill.counted_usd, bill.source) == (17, 17, CostSource.PRICE)

    def test_without_usage_it_is_an_estimate_from_the_text(self, begin):
        bill, entry = self.bill(begin, None, content_chars=9)
        assert bill.source is CostSource.ESTIMATE
        assert bill.usage == Usage(input_tokens=entry.decision.need.input_tokens // 2, output_tokens=3)
        assert bill.usd == bill.usage.input_tokens + 2 * 3

    def test_budgets_count_a_token_a_character_then_and_what_was_not_seen(self, begin):
        bill, entry = self.bill(begin, None, content_chars=9)
        assert bill.counted_usd == entry.decision.need.input_tokens + 2 * (9 + 32)

    def test_what_was_not_seen_may_be_of_every_choice(self, begin):
        bill, entry = self.bill(begin, None, content_chars=9, asked=request("dear", n=3))
        assert bill.counted_usd == entry.decision.need.input_tokens + 2 * (9 + 3 * 32)

    def test_but_no_more_than_was_asked_for(self, begin):
        bill, entry = self.bill(begin, None, content_chars=40, asked=request("dear", max_tokens=20))
        assert bill.counted_usd == entry.decision.need.input_tokens + 2 * 20

    def test_with_the_input_alone_the_output_is_an_estimate_from_the_text(self, begin):
        bill, _ = self.bill(begin, Usage(input_tokens=10, cached_input_tokens=5, is_partial=True), content_chars=9)
        assert (bill.usage.all_input_tokens, bill.usage.output_tokens) == (15, 3)
        assert (bill.usd, bill.source) == (10 + 5 + 2 * 3, CostSource.ESTIMATE)

    def test_prices_are_those_of_the_requests_time(self, begin):
        request_id = ids.new()
        later = Price(Unit.INPUT, Decimal(100), 0, ids.started_at(request_id) + timedelta(milliseconds=1))
        changing = replace(dear(), prices=(*dear().prices, later))
        made = make(request("dear"), config=snapshot(candidate(changing, "L1")), request_id=request_id)
        entry = begin(decision=made)
        open_(entry)
        assert entry.bill(Usage(input_tokens=1), content_chars=0).usd == 1


class TestFailedAttempts:
    TOLD = Usage(input_tokens=10, output_tokens=1, reported_cost_usd=Decimal(9))

    def entry(self, begin, *outcomes):
        """After one attempt of each outcome; those that are usages failed after they were told."""
        entry = begin()
        for outcome in outcomes:
            open_(entry)
            if isinstance(outcome, Usage):
                entry.failed(broke(outcome))
            name = "bad_answer" if isinstance(outcome, Usage) else outcome
            entry.trail.append(msgspec.structs.replace(STEP, outcome=name))
        return entry

    def test_one_that_told_its_usage_is_billed(self, begin):
        bill = self.entry(begin, self.TOLD).bill_without_answer()
        assert (bill.usd, bill.source, bill.computed_usd, bill.reported_usd) == (9, CostSource.PROVIDER, 12, 9)

    def test_several_are_billed_together(self, begin):
        bill = self.entry(begin, self.TOLD, "server_error", Usage(input_tokens=3)).bill_without_answer()
        assert (bill.usd, bill.source, bill.computed_usd, bill.reported_usd) == (12, CostSource.PRICE, 15, None)
        assert (bill.usage.input_tokens, bill.usage.output_tokens) == (13, 1)

    def test_they_are_billed_with_the_answer_that_came_after_them(self, begin):
        entry = self.entry(begin, self.TOLD)
        open_(entry)
        bill = entry.bill(self.TOLD, content_chars=0)
        assert (bill.usd, bill.source, bill.reported_usd, bill.usage.input_tokens) == (18, CostSource.PROVIDER, 18, 20)

    def test_with_an_estimate_of_a_last_one_that_was_cut_off(self, begin):
        entry = self.entry(begin, self.TOLD, "cancelled")
        estimate = entry._estimated(output_tokens=0, most=None).usd
        bill = entry.bill_without_answer()
        assert (bill.usd, bill.source, estimate > 0) == (9 + estimate, CostSource.ESTIMATE, True)

    def test_a_model_that_was_never_called_is_not_the_last_one(self, begin):
        entry = self.entry(begin, "timeout", "unsupported")
        assert entry.bill_without_answer().usd == entry._estimated(output_tokens=0, most=None).usd > 0
        assert self.entry(begin, "server_error", "unsupported").bill_without_answer() == NOTHING

    def test_without_one_of_a_last_one_that_told_its_usage(self, begin):
        entry = begin()
        open_(entry)
        entry.failed(broke(self.TOLD))
        entry.trail.append(STEP)  # timed out
        assert entry.bill_without_answer().usd == 9

    def test_none_that_told_nothing_costs_nothing(self, begin):
        assert self.entry(begin, "server_error").bill_without_answer() == NOTHING


@pytest.mark.django_db
class TestReachesTheLedger:
    """Whatever a client or a vendor writes, the row is stored: in either database."""

    def stored(self, spool, tmp_path):
        drainer.drain(Reader(spool.folder), root=tmp_path)
        assert not (tmp_path / "rejected.jsonl").exists()
        return UsageRecord.objects.get()

    @pytest.mark.parametrize("text", ["a\0b", "\x01", "x" * 5000, "😀" * 1000, '"\\\n'])
    def test_words_of_a_client_in_columns(self, begin, spool, tmp_path, text):
        asked = request(text[:200], models=["dear"], user=text)
        entry = begin(asked)
        open_(entry)
        entry.settle(Outcome.ERROR, status=502, finish_reason=text, error_message=text)
        assert self.stored(spool, tmp_path).outcome == "error"

    def test_words_of_a_vendor_in_the_trail(self, begin, spool, tmp_path):
        entry = begin()

        async def refuse(candidate):
            raise ProviderError(FailureKind.REJECTED, "bad \0 byte \ud800", status=400)

        with pytest.raises(AttemptsError) as caught:
            asyncio.run(
                attempts.walk(
                    entry.decision.plan.attempts,
                    call=refuse,
                    clock=entry.clock,
                    max_attempts=1,
                    trail=entry.trail,
                    before=entry.opened,
                )
            )
        entry.settle(Outcome.ERROR, status=400, error_message=str(caught.value))
        (step,) = self.stored(spool, tmp_path).trail
        assert (step["outcome"], step["message"][:4]) == ("rejected", "bad ")

    def test_a_limit_beyond_all_integers(self, begin, spool, tmp_path):
        entry = begin(request("dear", max_tokens=10**30))
        open_(entry)
        entry.settle(Outcome.OK, status=200)
        self.stored(spool, tmp_path)

    def test_a_ceiling_with_many_digits(self, begin, spool, tmp_path):
        entry = begin(wishes=Wishes(max_cost_usd=Decimal("1e9") + Decimal("1e-15")))
        open_(entry)
        entry.settle(Outcome.OK, status=200)
        self.stored(spool, tmp_path)

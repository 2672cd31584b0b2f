"""The decision for one request: what a live request and a dry run share."""

from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest

from analytics import ids
from gateway.api import bodies
from providers.types import Price, Unit
from routing import decision, plan
from routing.decision import UnknownModel
from routing.need import UnknownLayer
from routing.types import DropReason, Live, Need, Score, Wishes
from tests.unit.routing.test_plan import ANYONE, LADDER, POLICY, candidate, model, snapshot

NOW_MS = 1_790_000_000_000
SECRET_WORDS = "the launch code is 0000"


def request(model="auto", *, content="Hello", **fields):
    messages = [{"role": "system", "content": content}, {"role": "user", "content": content}]
    return bodies.chat_request(msgspec.json.encode({"model": model, "messages": messages} | fields))


def make(asked=None, *, config=None, caller=ANYONE, wishes=None, request_id=None, **live):
    asked = asked or request()
    around = {"wishes": wishes or Wishes(), "caller": caller, "snapshot": config or snapshot(*LADDER)}
    need = decision.read_need(asked, **around)
    return decision.decide(need, request=asked, request_id=request_id or ids.new(), **around, **live)


class TestMake:
    def test_the_time_and_the_draw_come_from_the_request_id(self):
        request_id = ids.new()
        made = make(request_id=request_id)
        assert (made.request_id, made.started_at) == (request_id, ids.started_at(request_id))
        assert made.live.now == ids.started_at(request_id).timestamp()

    def test_the_same_id_gets_the_same_decision(self):
        config = snapshot(*(candidate(f"w{number}", weight=1.0) for number in range(6)))
        request_id = ids.new()
        assert make(config=config, request_id=request_id) == make(config=config, request_id=request_id)

    def test_another_draw_may_get_another(self):
        config = snapshot(*(candidate(f"w{number}", weight=1.0) for number in range(6)))
        draws = [0, (1 << 62) - 1]
        orders = [
            make(config=config, request_id=UUID(int=NOW_MS << 80 | 7 << 76 | 2 << 62 | draw)).plan.attempts
            for draw in draws
        ]
        assert orders[0] != orders[1]

    def test_a_greeting_enters_below_a_proof(self):
        hello = make(request(content="hi"))
        hard = make(
            request(content="Prove that there are infinitely many primes, step by step, with a rigorous proof.")
        )
        assert hello.plan.entry < hard.plan.entry

    def test_it_names_the_snapshot_it_was_made_from(self):
        assert make().version == "1.1.1"

    def test_the_entry_of_an_exact_model_is_the_layer_it_is_in(self):
        assert make(request("m2")).entry == "L2"

    def test_prices_are_those_of_the_requests_own_time(self):
        request_id = ids.new()
        base = model("m", usd="0.001")
        dearer = Price(Unit.OUTPUT, Decimal(100), 0, ids.started_at(request_id))
        config = snapshot(candidate(replace(base, prices=(*base.prices, dearer))))
        made = make(
            request(max_tokens=1), config=config, wishes=Wishes(max_cost_usd=Decimal(50)), request_id=request_id
        )
        assert [each.reason for each in made.plan.dropped] == [DropReason.TOO_DEAR]


class TestBounds:
    CONFIG = snapshot(*LADDER, bounds={"L1": {"max_attempts": 2, "deadline_s": 5.0}, "L2": {"deadline_s": 90.0}})

    @pytest.mark.parametrize(
        ("model", "bounds"),
        [("auto:L0", (6, 30.0)), ("auto:L1", (2, 5.0)), ("auto:L2", (6, 90.0)), ("m1", (2, 5.0)), ("m3", (6, 30.0))],
    )
    def test_those_of_the_layer_entered_hold_and_else_the_policys(self, model, bounds):
        found = make(request(model), config=self.CONFIG).bounds
        assert (found.max_attempts, found.deadline_s) == bounds

    def test_a_model_outside_every_layer_has_the_policys(self):
        config = snapshot(*LADDER, outside=[model("rare")], bounds={"L0": {"max_attempts": 1}})
        assert make(request("rare"), config=config).bounds == make(request("m3")).bounds

    @pytest.mark.parametrize(
        ("wishes", "bounds"),
        [
            (Wishes(max_attempts=1), (1, 5.0)),
            (Wishes(timeout_s=0.5), (2, 0.5)),
            (Wishes(max_attempts=3, timeout_s=6.0), (2, 5.0)),
        ],
    )
    def test_the_caller_may_lower_them_and_never_raise_them(self, wishes, bounds):
        found = make(request("auto:L1"), config=self.CONFIG, wishes=wishes).bounds
        assert (found.max_attempts, found.deadline_s) == bounds

    @pytest.mark.parametrize(("timeout_s", "longest_s"), [(None, 90.0), (60.0, 60.0)])
    def test_the_longest_deadline_is_known_before_the_layer_is(self, timeout_s, longest_s):
        assert decision.longest_s(wishes=Wishes(timeout_s=timeout_s), snapshot=self.CONFIG) == longest_s

    def test_they_are_kept_with_the_decision(self):
        stored = msgspec.json.decode(decision.stored(make(request("auto:L1"), config=self.CONFIG)))
        assert (stored["max_attempts"], stored["deadline_s"]) == (2, 5.0)


class TestUnknown:
    def test_a_model_nobody_serves_is_told_with_near_names(self):
        config = snapshot(candidate("gpt-4o-mini"), candidate("claude-sonnet"))
        with pytest.raises(UnknownModel, match="'gpt-4-mini' does not exist .* Did you mean .*gpt-4o-mini") as caught:
            make(request("gpt-4-mini"), config=config)
        assert caught.value.near[0] == "gpt-4o-mini"

    def test_without_anything_near_it_says_where_to_look(self):
        with pytest.raises(UnknownModel, match="GET /v1/models"):
            make(request("zzzzzzzz"))

    def test_a_model_the_key_may_not_use_is_as_unknown_and_not_named(self):
        config = snapshot(candidate("secret-model"), candidate("open"))
        with pytest.raises(UnknownModel) as caught:
            make(request("secret-model"), config=config, caller=replace(ANYONE, allowed_models=("open",)))
        assert caught.value.near == []

    @pytest.mark.parametrize(
        ("asked", "limits", "near"),
        [
            ("gpt-4o-min", {}, ["gpt-4o-mini", "acme/gpt-4o-mini"]),
            ("gpt-4o-min", {"allowed_models": ("gpt-*",)}, ["gpt-4o-mini", "acme/gpt-4o-mini"]),
            ("gpt-4o-min", {"allowed_models": ("claude-*",)}, []),
            ("gpt-4o-min", {"allowed_layers": ("L0",)}, ["gpt-4o-mini", "acme/gpt-4o-mini"]),
            ("gpt-4o-min", {"allowed_layers": ("L1",)}, []),
            ("L22", {}, ["L2"]),
            ("L22", {"allowed_layers": ("L0", "L1")}, []),
        ],
    )
    def test_near_names_are_only_those_the_key_may_use(self, asked, limits, near):
        config = snapshot(candidate("gpt-4o-mini", "L0"), candidate("claude-sonnet", "L1"))
        with pytest.raises(UnknownModel) as caught:
            make(request(asked), config=config, caller=replace(ANYONE, **limits))
        assert caught.value.near == near

    def test_one_known_model_of_a_list_is_enough(self):
        made = make(request("nobody", models=["m1"]))
        assert [each.model.name for each in made.plan.attempts] == ["m1"]

    def test_a_model_in_a_layer_the_key_may_not_use_does_not_exist_for_it(self):
        with pytest.raises(UnknownModel):
            make(request("m3"), caller=replace(ANYONE, allowed_layers=("L0", "L1")))

    def test_an_unknown_layer_is_an_error_that_names_those_the_key_may_use(self):
        with pytest.raises(UnknownLayer, match=r"the layers are L0, L1\.$"):
            make(wishes=Wishes(layer="L9"), caller=replace(ANYONE, allowed_layers=("L0", "L1")))


class TestWarnings:
    def test_a_model_that_a_header_overrules_is_told(self):
        (warning,) = make(request("m3"), wishes=Wishes(layer="L1")).warnings
        assert "m3 was not used" in warning

    @pytest.mark.parametrize("name", ["auto", "auto:L2"])
    def test_auto_is_not_overruled(self, name):
        assert make(request(name), wishes=Wishes(layer="L1")).warnings == ()

    def test_usually_there_is_none(self):
        assert make(request("m3")).warnings == ()


class TestStored:
    def test_it_keeps_what_the_plan_was_made_from(self):
        made = make(
            request("auto:L1", tools=[{"type": "function"}], max_tokens=50),
            config=snapshot(
                *(candidate(each.model, each.layer) for each in LADDER[:3]), candidate(tools := model("t"), "L1")
            ),
            wishes=Wishes(max_cost_usd=Decimal("0.5")),
        )
        stored = msgspec.json.decode(decision.stored(made))
        assert (stored["version"], stored["draw"]) == ("1.1.1", ids.draw(made.request_id))
        assert (stored["entry"], stored["need"]["enter"], stored["need"]["fenced"]) == ("L1", "L1", False)
        assert stored["need"]["capabilities"] == ["tools"]
        assert (stored["need"]["max_output_tokens"], Decimal(stored["need"]["max_cost_usd"])) == (50, Decimal("0.5"))
        assert [tools.qualified_name, "L1", "lacks a capability the request needs", "tools"] in stored["dropped"]

    def test_it_keeps_the_attempts_in_order_and_every_reason_to_drop(self):
        stored = msgspec.json.decode(decision.stored(make(request("auto:L2"))))
        assert stored["attempts"] == [["acme/m2", "L2"], ["acme/m3", "L3"]]
        assert [entry[:3] for entry in stored["dropped"]] == [
            ["acme/m0", "L0", "below the entry layer"],
            ["acme/m1", "L1", "below the entry layer"],
        ]

    def test_it_does_not_keep_the_words_of_the_request(self):
        made = make(request(content=SECRET_WORDS))
        assert SECRET_WORDS.encode() not in bytes(decision.stored(made))
        assert SECRET_WORDS not in repr(made)


class TestReplayed:
    """What a row keeps is enough to decide again."""

    CANDIDATES = tuple(candidate(f"m{number}", weight=1.0 + number % 2) for number in range(6))

    def again(self, kept):
        need = Need(prompt="", enter=kept["need"]["enter"], session=kept["need"]["session"])
        outstanding = {int(model_id): calls for model_id, calls in kept["outstanding"].items()}
        planned = plan.decide(
            need,
            score=Score(None),
            snapshot=snapshot(*self.CANDIDATES),
            caller=ANYONE,
            live=Live(now=NOW_MS / 1000, outstanding=outstanding),
            policy=POLICY,
            draw=kept["draw"],
        )
        return [[each.model.qualified_name, each.layer] for each in planned.attempts]

    @pytest.mark.parametrize("session", ["", "chat-42", "s\0" + "é" * 500])
    @pytest.mark.parametrize("calls", [(), (3, 0, 1, 0, 2, 1)])
    def test_the_order_among_equals_is_the_same(self, session, calls):
        busy = {one.model.id: count for one, count in zip(self.CANDIDATES, calls, strict=False) if count}
        made = make(
            request("auto:L0"),
            config=snapshot(*self.CANDIDATES),
            wishes=Wishes(session=session),
            outstanding=busy | {-1: 5},
        )
        kept = msgspec.json.decode(decision.stored(made))
        assert self.again(kept) == kept["attempts"]
        assert kept["outstanding"] == {str(model_id): count for model_id, count in busy.items()}

    def test_sessions_and_calls_do_order_them(self):
        orders = set()
        for session in ("", "a", "b", "c"):
            made = make(
                request("auto:L0"),
                config=snapshot(*self.CANDIDATES),
                wishes=Wishes(session=session),
                request_id=UUID(int=NOW_MS << 80 | 7 << 76 | 2 << 62),
            )
            orders.add(tuple(each.model.name for each in made.plan.attempts))
        assert len(orders) == 4

"""Which models are tried, in which order, and why the others are not. Plain values, no database."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count

import pytest

from analytics.types import Caller, Scope
from providers.types import Capability, Model, Price, Provider, Timeouts, Unit
from routing import balancing, plan
from routing.types import Candidate, DropReason, Layer, Live, Need, Policy, Score, Snapshot, UnknownPrice

NOW = datetime(2026, 11, 22, tzinfo=UTC)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
LAYER_NAMES = ("L0", "L1", "L2", "L3")

ANYONE = Caller(
    key_id=1,
    key_name="first",
    key_prefix="agw_000000",
    project_id=1,
    project="default",
    scopes=frozenset(Scope),
    allowed_models=(),
    allowed_layers=(),
    expires_at=None,
    enabled=True,
)
POLICY = Policy(default_layer="L1", unknown_price=UnknownPrice.DENY, deadline_s=30.0, max_attempts=6)
ACME = Provider(
    id=1,
    slug="acme",
    name="Acme",
    dialect="openai",
    base_url="http://127.0.0.1:1/v1",
    is_local=True,
    needs_credential=False,
    credential=None,
    usage_in_streams=True,
    extra_body={},
    timeouts=Timeouts(connect_s=5.0, headers_s=5.0, first_content_s=5.0, between_frames_s=5.0),
)
_numbers = count(1)


def model(name="m", *, provider=ACME, usd="0.000001", capabilities=(), **fields):
    """A model priced at `usd` per token of input and output; without a price when None."""
    prices = () if usd is None else tuple(Price(unit, Decimal(usd), 0, LONG_AGO) for unit in (Unit.INPUT, Unit.OUTPUT))
    usual = {"context_tokens": None, "max_output_tokens": None, "max_input_tokens_per_file": 2000, "created_at": NOW}
    return Model(
        id=next(_numbers),
        provider=provider,
        name=name,
        title=name,
        capabilities=frozenset(capabilities),
        prices=prices,
        **(usual | fields),
    )


def candidate(of="m", layer="L0", *, priority=0, weight=None, cost=1, **fields):
    found = of if isinstance(of, Model) else model(of, **fields)
    return Candidate(found, layer, priority, Decimal(cost), weight)


def layer(name, position, *, of=4, candidates=(), **fields):
    """A layer with those of the candidates that name it; requests enter it by even shares of the score."""
    own = tuple(one for one in candidates if one.layer == name)
    return Layer(name, name, position, position / of, own, balancing.ranked(own), **fields)


def snapshot(*candidates, outside=(), layers=LAYER_NAMES, policy=POLICY, bounds=None):
    """A configuration with these candidates; `outside` are models in no layer, `bounds` what layers say beside."""
    served = {}
    for each in [*candidates, *(Candidate(found, "", 0, Decimal(1), None) for found in outside)]:
        for name in (each.model.name, each.model.qualified_name):
            served[name] = (*served.get(name, ()), each)
    return Snapshot(
        version="1.1.1",
        loaded_at=0.0,
        callers={},
        layers=tuple(
            layer(name, position, of=len(layers), candidates=candidates, **(bounds or {}).get(name, {}))
            for position, name in enumerate(layers)
        ),
        served=served,
        policy=policy,
    )


def decide(*candidates, score=None, caller=ANYONE, draw=0.0, policy=POLICY, config=None, outstanding=None, **need):
    config = config or snapshot(*candidates)
    return plan.decide(
        Need(prompt="Hello", **need),
        score=Score(score),
        snapshot=config,
        caller=caller,
        live=Live(now=NOW.timestamp(), outstanding=outstanding or {}),
        policy=policy,
        draw=draw,
    )


def tried(planned):
    return [each.model.name for each in planned.attempts]


def dropped(planned):
    return {each.candidate.model.name: each.reason for each in planned.dropped}


LADDER = tuple(candidate(f"m{number}", f"L{number}") for number in range(4))


class TestEntry:
    @pytest.mark.parametrize(
        ("score", "entry"),
        [(0.0, "L0"), (0.2499, "L0"), (0.25, "L1"), (0.5, "L2"), (0.7499, "L2"), (0.75, "L3"), (1.0, "L3")],
    )
    def test_by_the_score_goes_to_the_highest_layer_that_claims_it(self, score, entry):
        planned = decide(*LADDER, score=score)
        assert (planned.entry, planned.attempts[0].layer) == (entry, entry)
        assert "score" in planned.entry_reason

    def test_without_a_score_it_is_the_default_layer(self):
        planned = decide(*LADDER, score=None)
        assert (planned.entry, tried(planned)) == ("L1", ["m1", "m2", "m3"])
        assert "default" in planned.entry_reason

    def test_goes_up_from_there_and_drops_what_lies_below(self):
        planned = decide(*LADDER, score=0.5)
        assert tried(planned) == ["m2", "m3"]
        assert dropped(planned) == {"m0": DropReason.BELOW_ENTRY, "m1": DropReason.BELOW_ENTRY}

    def test_the_callers_layer_wins_over_the_score(self):
        assert decide(*LADDER, score=1.0, enter="L1").entry == "L1"

    def test_a_fence_keeps_the_request_in_its_layer(self):
        planned = decide(*LADDER, enter="L1", fenced=True)
        assert tried(planned) == ["m1"]
        assert dropped(planned) == {
            "m0": DropReason.BELOW_ENTRY,
            "m2": DropReason.OUTSIDE_FENCE,
            "m3": DropReason.OUTSIDE_FENCE,
        }

    def test_a_layer_that_is_not_enabled_leads_to_the_first_there_is(self):
        config = snapshot(*LADDER[:2], layers=("L0", "L1"))
        planned = decide(config=config, policy=replace(POLICY, default_layer="L3"))
        assert (planned.entry, tried(planned)) == ("L0", ["m0", "m1"])
        assert "'L3' is not enabled" in planned.entry_reason

    def test_with_no_layer_at_all_nothing_is_tried(self):
        planned = decide(config=snapshot(layers=()))
        assert (planned.attempts, planned.dropped, planned.entry) == ((), (), "")


class TestCeiling:
    CEILED = replace(ANYONE, allowed_layers=("L0", "L1"))

    def test_a_key_does_not_climb_above_its_layers(self):
        planned = decide(*LADDER, score=0.0, caller=self.CEILED)
        assert tried(planned) == ["m0", "m1"]
        assert dropped(planned) == {"m2": DropReason.LAYER_NOT_ALLOWED, "m3": DropReason.LAYER_NOT_ALLOWED}

    @pytest.mark.parametrize("wanted", [{"score": 1.0}, {"enter": "L3"}])
    def test_what_asks_for_more_is_lowered_to_it(self, wanted):
        planned = decide(*LADDER, caller=self.CEILED, **wanted)
        assert (planned.entry, tried(planned)) == ("L1", ["m1"])
        assert "ceiling" in planned.entry_reason

    def test_a_fence_above_it_is_refused_and_not_lowered(self):
        planned = decide(*LADDER, caller=self.CEILED, enter="L3", fenced=True)
        assert (planned.entry, tried(planned)) == ("L3", [])
        assert dropped(planned)["m3"] is DropReason.LAYER_NOT_ALLOWED

    def test_layers_in_between_may_be_forbidden(self):
        planned = decide(*LADDER, score=0.0, caller=replace(ANYONE, allowed_layers=("L0", "L3")))
        assert tried(planned) == ["m0", "m3"]

    def test_patterns_are_shell_patterns(self):
        assert tried(decide(*LADDER, score=0.0, caller=replace(ANYONE, allowed_layers=("L[12]",)))) == ["m1", "m2"]

    def test_a_key_without_any_known_layer_gets_nothing(self):
        planned = decide(*LADDER, caller=replace(ANYONE, allowed_layers=("gold",)))
        assert tried(planned) == []
        assert DropReason.LAYER_NOT_ALLOWED in dropped(planned).values()


class TestOrder:
    def test_layers_keep_their_order_and_candidates_theirs(self):
        candidates = [candidate("b", "L1"), candidate("a", "L1"), candidate("c", "L2"), candidate("d", "L0")]
        assert tried(decide(*candidates, enter="L0")) == ["d", "b", "a", "c"]

    @pytest.mark.parametrize(("draw", "order"), [(0.0, ["a", "b", "c"]), (0.9, ["b", "a", "c"])])
    def test_equals_are_ordered_by_the_draw(self, draw, order):
        candidates = [candidate("a"), candidate("b"), candidate("c", cost=2)]
        assert tried(decide(*candidates, enter="L0", draw=draw)) == order

    def test_a_session_keeps_its_order_whatever_is_drawn(self):
        candidates = [candidate(f"m{number}") for number in range(5)]
        orders = {
            tuple(tried(decide(*candidates, enter="L0", draw=step / 10, session="chat-42"))) for step in range(10)
        }
        assert len(orders) == 1

    def test_a_model_that_is_busier_than_its_equals_comes_after_them(self):
        a, b = candidate("a"), candidate("b")
        planned = [decide(a, b, enter="L0", draw=draw, outstanding={a.model.id: 1}) for draw in (0.0, 0.9)]
        assert [tried(each) for each in planned] == [["b", "a"]] * 2

    def test_the_same_draw_gives_the_same_order(self):
        candidates = [candidate(f"w{number}", weight=1.0) for number in range(5)]
        assert decide(*candidates, enter="L0", draw=0.37) == decide(*candidates, enter="L0", draw=0.37)

    def test_a_model_in_two_layers_is_tried_once_where_it_comes_first(self):
        shared = model("shared")
        planned = decide(candidate(shared, "L1"), candidate("other", "L1"), candidate(shared, "L2"), enter="L1")
        assert [(each.model.name, each.layer) for each in planned.attempts] == [("shared", "L1"), ("other", "L1")]


class TestExactIds:
    OTHER = replace(ACME, id=2, slug="other")

    def test_only_the_providers_that_serve_the_id_are_tried_in_their_order(self):
        config = snapshot(candidate("x", "L2"), candidate("y", "L1"), candidate(model("x", provider=self.OTHER), "L3"))
        planned = decide(config=config, models=("x",))
        assert [each.model.qualified_name for each in planned.attempts] == ["acme/x", "other/x"]
        assert (planned.entry, planned.entry_reason) == ("", "asked for by name")

    def test_of_providers_that_are_equals_one_is_drawn_and_a_session_stays_with_its_own(self):
        config = snapshot(candidate("x", "L2"), candidate(model("x", provider=self.OTHER), "L2"))

        def first(**given):
            return decide(config=config, models=("x",), **given).attempts[0].model.qualified_name

        assert {first(draw=draw) for draw in (0.1, 0.9)} == {"acme/x", "other/x"}
        assert {first(draw=draw, session="chat-42") for draw in (0.1, 0.5, 0.9)} == {first(session="chat-42")}

    def test_with_its_provider_named_there_is_one(self):
        config = snapshot(candidate("x", "L2"), candidate(model("x", provider=self.OTHER), "L3"))
        assert [each.model.qualified_name for each in decide(config=config, models=("other/x",)).attempts] == [
            "other/x"
        ]

    def test_several_are_tried_in_the_callers_order_whatever_their_layers(self):
        assert tried(decide(*LADDER, models=("m3", "m0", "m2"))) == ["m3", "m0", "m2"]

    @pytest.mark.parametrize("draw", [0.0, 0.5, 0.99])
    def test_a_providers_model_comes_before_what_another_calls_by_that_name(self, draw):
        """OpenRouter has a model `openai/gpt-4o`, OpenAI a model `gpt-4o`."""
        router = replace(ACME, id=2, slug="router")
        config = snapshot(candidate(model("acme/x", provider=router)), candidate("x"))
        planned = decide(config=config, models=("acme/x",), draw=draw)
        assert [one.model.qualified_name for one in planned.attempts] == ["acme/x", "router/acme/x"]

    def test_a_name_nobody_serves_is_passed_over(self):
        assert tried(decide(*LADDER, models=("nobody", "m1"))) == ["m1"]

    def test_a_model_outside_every_layer_can_be_asked_for(self):
        assert tried(decide(config=snapshot(*LADDER, outside=[model("rare")]), models=("rare",))) == ["rare"]

    def test_but_not_by_a_key_limited_to_layers(self):
        config = snapshot(*LADDER, outside=[model("rare")])
        planned = decide(config=config, models=("rare",), caller=replace(ANYONE, allowed_layers=("L0", "L1")))
        assert (tried(planned), dropped(planned)) == ([], {"rare": DropReason.LAYER_NOT_ALLOWED})

    def test_a_model_in_two_layers_is_tried_where_the_key_may_use_it(self):
        both = model("both")
        config = snapshot(candidate(both, "L1"), candidate(both, "L2"))
        planned = decide(config=config, models=("both",), caller=replace(ANYONE, allowed_layers=("L2",)))
        assert ([each.layer for each in planned.attempts], planned.dropped) == (["L2"], ())

    def test_and_else_once_in_the_lower(self):
        both = model("both")
        planned = decide(config=snapshot(candidate(both, "L1"), candidate(both, "L2")), models=("both",))
        assert [each.layer for each in planned.attempts] == ["L1"]

    def test_ids_keep_their_slashes_and_colons(self):
        config = snapshot(candidate("meta/llama-3:70b:free", "L1"))
        for name in ("meta/llama-3:70b:free", "acme/meta/llama-3:70b:free"):
            assert tried(decide(config=config, models=(name,))) == ["meta/llama-3:70b:free"]

    def test_the_keys_layers_hold_for_them_too(self):
        planned = decide(*LADDER, models=("m1", "m3"), caller=replace(ANYONE, allowed_layers=("L0", "L1")))
        assert tried(planned) == ["m1"]
        assert dropped(planned) == {"m3": DropReason.LAYER_NOT_ALLOWED}

    def test_the_same_model_named_twice_is_tried_once(self):
        assert tried(decide(*LADDER, models=("m1", "acme/m1"))) == ["m1"]


class TestModelPatterns:
    @pytest.mark.parametrize(
        ("patterns", "names"),
        [
            ((), ["gpt-4o", "gpt-4o-mini", "llama:8b"]),
            (("gpt-*",), ["gpt-4o", "gpt-4o-mini"]),
            (("gpt-4o",), ["gpt-4o"]),
            (("acme/*",), ["gpt-4o", "gpt-4o-mini", "llama:8b"]),
            (("acme/llama:*", "*-mini"), ["gpt-4o-mini", "llama:8b"]),
            (("other/*",), []),
            (("GPT-*",), []),
        ],
    )
    def test_a_key_may_use_what_its_patterns_match(self, patterns, names):
        candidates = [candidate(name) for name in ("gpt-4o", "gpt-4o-mini", "llama:8b")]
        planned = decide(*candidates, enter="L0", caller=replace(ANYONE, allowed_models=patterns))
        assert tried(planned) == names
        assert set(dropped(planned).values()) <= {DropReason.MODEL_NOT_ALLOWED}


class TestDropReasons:
    @pytest.mark.parametrize(
        ("refused", "need", "reason", "detail"),
        [
            (model(provider=replace(ACME, needs_credential=True)), {}, DropReason.NO_CREDENTIAL, ""),
            (
                model(capabilities=[Capability.TOOLS]),
                {"capabilities": frozenset({Capability.VISION, Capability.TOOLS, Capability.AUDIO})},
                DropReason.MISSING_CAPABILITY,
                "audio, vision",
            ),
            (model(max_output_tokens=999), {"max_output_tokens": 1000}, DropReason.OUTPUT_TOO_SMALL, "1000 > 999"),
            (model(context_tokens=1000), {"input_tokens": 2002}, DropReason.CONTEXT_TOO_SMALL, "about 1001 > 1000"),
            (
                model(context_tokens=1000),
                {"input_tokens": 1000, "max_output_tokens": 501},
                DropReason.CONTEXT_TOO_SMALL,
                "about 1001 > 1000",
            ),
            (
                model(context_tokens=1000, max_input_tokens_per_file=2001),
                {"files": 1, "input_tokens": 1},
                DropReason.CONTEXT_TOO_SMALL,
                "about 1001 > 1000",
            ),
            (model(usd=None), {}, DropReason.PRICE_UNKNOWN, ""),
            (
                model(usd="0.001"),
                {"input_tokens": 10, "max_output_tokens": 91, "max_cost_usd": Decimal("0.1")},
                DropReason.TOO_DEAR,
                "up to 0.101 USD",
            ),
        ],
    )
    def test_a_refused_model_says_why_and_the_next_is_tried(self, refused, need, reason, detail):
        free = model("good", usd="0", capabilities=Capability)
        planned = decide(candidate(refused), candidate(free), enter="L0", **need)
        assert tried(planned) == ["good"]
        (drop,) = planned.dropped
        assert (drop.candidate.model, drop.reason, drop.detail) == (refused, reason, detail)

    @pytest.mark.parametrize(
        ("fitting", "need"),
        [
            (model(provider=replace(ACME, needs_credential=True, credential="sk")), {}),
            (model(capabilities=[Capability.TOOLS]), {"capabilities": frozenset({Capability.TOOLS})}),
            (model(max_output_tokens=1000), {"max_output_tokens": 1000}),
            (model(context_tokens=1000), {"input_tokens": 2001}),
            (model(context_tokens=1000), {"input_tokens": 1000, "max_output_tokens": 500}),
            (model(usd="0"), {"max_cost_usd": Decimal("0.0000001")}),
            (
                model(usd="0.001"),
                {"input_tokens": 10, "max_output_tokens": 90, "max_cost_usd": Decimal("0.1")},
            ),
        ],
    )
    def test_what_just_fits_is_tried(self, fitting, need):
        assert tried(decide(candidate(fitting), enter="L0", **need)) == ["m"]

    def test_the_keys_own_limits_are_told_first(self):
        broken = model("broken", provider=replace(ACME, dialect="anthropic"), usd=None)
        planned = decide(candidate(broken), enter="L0", caller=replace(ANYONE, allowed_models=("good",)))
        assert dropped(planned) == {"broken": DropReason.MODEL_NOT_ALLOWED}

    def test_every_candidate_is_either_tried_or_dropped(self):
        planned = decide(*LADDER, enter="L1", fenced=True)
        assert sorted([*tried(planned), *dropped(planned)]) == ["m0", "m1", "m2", "m3"]

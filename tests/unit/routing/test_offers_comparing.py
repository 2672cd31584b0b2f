from decimal import Decimal

from providers.types import Capability, Unit
from routing.catalog import Model
from routing.offers.comparing import compare
from routing.offers.offer import Offer

TOOLS, VISION, SCHEMA = Capability.TOOLS, Capability.VISION, Capability.JSON_SCHEMA
PRICED = {Unit.INPUT: Decimal(1), Unit.OUTPUT: Decimal(2)}


def offer(name="m", *, tells=(), is_usable=True, **told) -> Offer:
    return Offer(Model(name=name, **told), frozenset(tells), is_usable)


def held(name="m", **has) -> Model:
    return Model(name=name, **has)


def test_a_capability_of_which_the_list_has_no_word_stays():
    offers = [offer(tells={TOOLS, VISION}, capabilities=frozenset({TOOLS}))]
    (model,) = compare(offers, held=[held(capabilities=frozenset({VISION, SCHEMA}))]).known
    assert model.capabilities == {TOOLS, SCHEMA}


def test_a_list_of_names_alone_says_nothing():
    (model,) = compare([offer()], held=[held(context_tokens=5, capabilities=frozenset({TOOLS}))]).known
    assert (model.context_tokens, model.capabilities, model.prices) == (None, None, {})


def test_title_switch_and_layer_are_the_operators():
    (model,) = compare([offer(title="New", enabled=True)], held=[held(title="Mine", enabled=False, layer="L1")]).known
    assert (model.title, model.enabled, model.layer) == (None, None, None)


def test_models_that_are_not_set_up_are_counted_unless_asked_for():
    offers = [offer("a/1"), offer("a/2"), offer("b/1"), offer("a/draws", is_usable=False)]
    compared = compare(offers, held=[], add=["a/*"], layer="L1")
    assert [(model.name, model.layer) for model in compared.added] == [("a/1", "L1"), ("a/2", "L1")]
    assert compared.more == ("b/1",)


def test_a_model_that_embeds_is_put_into_no_layer():
    (model,) = compare([offer(kind="embeddings")], held=[], add=["m"], layer="L1").added
    assert model.layer is None


def test_models_that_are_gone_are_named():
    assert compare([offer("new")], held=[held("old")]).gone == ("old",)


def test_a_pattern_that_fits_nothing_is_told():
    assert compare([offer("a")], held=[held("a")], add=["a", "zzz*"]).unmatched == ("zzz*",)


def test_prices_of_known_models_follow_only_where_wanted_and_new_ones_have_theirs():
    compared = compare([offer("a", prices=PRICED), offer("b", prices=PRICED)], held=[held("a")], add=["b"])
    assert [model.prices for model in compared.wanted(prices=False)] == [{}, PRICED]
    assert [model.prices for model in compared.wanted(prices=True)] == [PRICED, PRICED]


def test_a_price_of_nothing_is_said_only_where_another_one_stood():
    prices = PRICED | {Unit.WEB_SEARCH: Decimal(0), Unit.IMAGE: Decimal(0), Unit.CACHED_INPUT: Decimal(0)}
    (model,) = compare([offer(prices=prices)], held=[held(prices={Unit.IMAGE: Decimal(3)})]).known
    assert model.prices == PRICED | {Unit.IMAGE: Decimal(0)}


def test_a_local_servers_new_models_are_free():
    (model,) = compare([offer()], held=[], add=["*"], is_free=True).added
    assert model.prices == {Unit.INPUT: Decimal(0), Unit.OUTPUT: Decimal(0)}

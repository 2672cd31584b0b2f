"""Of which models a caller may be told: those it may use, by whatever is known of them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing import decision, listing
from routing.types import Dropped, DropReason
from tests.unit.routing.test_plan import ANYONE, candidate, model, snapshot

names = st.sampled_from(["small", "org/large:free", "acme", "acme/small"])
layers = st.sampled_from(["", "L0", "L1"])
patterns = st.lists(st.sampled_from(["small", "acme/*", "org/*", "*:free", "acme/acme/small", "l*"]), max_size=2)


@given(name=names, layer=layers, models=patterns, allowed=st.lists(st.sampled_from(["L0", "L*", "x"]), max_size=2))
def test_names_alone_give_the_same_answer_as_the_model(name, layer, models, allowed):
    one = candidate(name, layer)
    caller = replace(ANYONE, allowed_models=tuple(models), allowed_layers=tuple(allowed))
    by_name = listing.may_use_named(one.model.qualified_name, layer=layer, caller=caller)
    assert by_name is decision.may_use(one, caller=caller)


def test_a_model_in_two_layers_names_its_provider_once():
    both = model("both")
    config = snapshot(candidate(both, "L1"), candidate(both, "L2"))
    (listed,) = listing.models(config, caller=None)
    assert (listed.providers, listed.first.layer) == (["acme"], "L1")


def test_a_user_may_be_told_of_every_model():
    assert decision.may_use(candidate(), caller=None)
    assert listing.may_use_named("acme/m", layer="L0", caller=None)


@pytest.mark.parametrize("reason", DropReason)
def test_what_the_key_may_use_is_told_unless_the_reason_says_it_may_not(reason):
    dropped = [Dropped(candidate(), reason)]
    assert (listing.tellable(dropped, caller=ANYONE) == []) is (reason in listing.NOT_ALLOWED)


@pytest.mark.parametrize("reason", DropReason)
def test_what_the_key_may_not_use_is_never_told(reason):
    caller = replace(ANYONE, allowed_models=("other",))
    assert listing.tellable([Dropped(candidate(), reason)], caller=caller) == []

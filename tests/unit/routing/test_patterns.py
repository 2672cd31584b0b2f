"""Patterns of a key's allow-lists that match nothing are found, and near names told."""

import pytest

from providers.models import Model, Provider
from routing import patterns
from routing.models import Layer, Policy

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("layers")]


def found(*, models=(), layers=()):
    return [(each.noun, each.pattern) for each in patterns.unmatched(models=models, layers=layers)]


@pytest.mark.parametrize("pattern", ["m1", "up/m1", "m*", "up/*", "*", "[mx]1", "up/m?"])
def test_a_pattern_that_matches_a_model_is_fine(pattern):
    assert found(models=[pattern]) == []


@pytest.mark.parametrize("pattern", ["m9", "pu/*", "M1", "up", "up/", "other/m1"])
def test_one_that_matches_none_is_found(pattern):
    assert found(models=[pattern]) == [("model", pattern)]


@pytest.mark.parametrize(
    ("pattern", "matches"), [("L0", True), ("L*", True), ("L9", False), ("l0", False), ("", False)]
)
def test_layers_go_by_their_names(pattern, matches):
    assert (found(layers=[pattern]) == []) is matches


def test_every_such_pattern_is_found_in_order_models_first():
    assert found(models=["x", "m1", "y"], layers=["gold", "L1"]) == [("model", "x"), ("model", "y"), ("layer", "gold")]


def test_what_is_switched_off_exists():
    Model.objects.filter(name="m1").update(enabled=False)
    Provider.objects.update(enabled=False)
    Layer.objects.filter(name="L1").update(enabled=False)
    assert found(models=["m1"], layers=["L1"]) == []


@pytest.mark.parametrize(
    ("pattern", "near"),
    [("gpt4o", "gpt-4o"), ("GPT-4O", "gpt-4o"), ("opnai/*", "openai/gpt-4o"), ("openai/gtp-4o*", "openai/gpt-4o")],
)
def test_near_names_are_told(pattern, near):
    provider = Provider.objects.create(slug="openai", name="OpenAI", base_url="https://api.openai.com/v1")
    Model.objects.create(provider=provider, name="gpt-4o")
    (slip,) = patterns.unmatched(models=[pattern], layers=[])
    assert near in slip.near
    assert str(slip).startswith(f"No model matches {pattern!r} yet. Did you mean ")


def test_a_layer_in_the_wrong_case_is_near():
    (slip,) = patterns.unmatched(models=[], layers=["l2"])
    assert slip.near[0] == "L2"


def test_without_a_near_name_none_is_made_up():
    (slip,) = patterns.unmatched(models=["zzz*"], layers=[])
    assert str(slip) == "No model matches 'zzz*' yet."


def test_no_patterns_no_queries(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert found() == []


@pytest.mark.parametrize(
    ("name", "says"),
    [("L1", None), ("l1", "There is no layer 'l1'. Did you mean L1"), ("zzz", "There is L0, L1, L2, L3.")],
)
def test_a_layer_that_has_to_exist_is_looked_for_by_its_exact_name(name, says):
    mistake = patterns.layer_mistake(name)
    assert mistake is None if says is None else says in mistake


def test_without_layers_it_says_so():
    Policy.objects.all().delete()
    Layer.objects.all().delete()
    assert patterns.layer_mistake("L1") == "There is no layer 'L1'. There is none yet."

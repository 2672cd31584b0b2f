"""Several writers of layers, models and candidates at the same moment, each with a connection of its own and committed
for real.

Nothing is audited here: entries could not be deleted again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from analytics import audit
from providers.models import Model
from routing import candidate_rows, layer_rows, model_rows, vendor_rows
from routing.configuring import InUse
from routing.models import Candidate, Layer

NAMES = ["A0", "A1", "A2"]


@pytest.fixture(autouse=True)
def rows(django_db_setup, django_db_blocker, monkeypatch) -> Iterator[None]:
    """Three layers and a model in none of them; gone after the test."""
    monkeypatch.setattr(audit, "record", lambda *_, **__: None)
    with django_db_blocker.unblock():
        provider = vendor_rows.create(actor="tests", slug="at-once", base_url="https://x.example/v1")
        model_rows.create(actor="tests", provider=provider, name="m")
        for place, name in enumerate(NAMES):
            layer_rows.create(actor="tests", name=name, from_score=place / 4)
        yield
        provider.delete()
        Layer.objects.all().delete()


def at_once(*works: Callable[[], object]) -> list[str]:
    """The kind of what each of them gave, or raised."""
    start = threading.Barrier(len(works), timeout=10)

    def run(work: Callable[[], object]) -> object:
        try:
            start.wait()
            return work()
        except (ValidationError, InUse, Model.DoesNotExist) as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(works)) as pool:
        return sorted(type(outcome).__name__ for outcome in pool.map(run, works))


def test_of_several_orders_one_is_the_last():
    orders = [NAMES, NAMES[::-1], ["A1", "A2", "A0"], ["A2", "A0", "A1"]]
    found = at_once(*[lambda names=names: layer_rows.reorder(names, actor="tests") for names in orders])  # type: ignore[misc]
    assert found == ["list"] * 4
    assert list(Layer.objects.order_by("position").values_list("name", flat=True)) in orders
    assert list(Layer.objects.order_by("position").values_list("position", flat=True)) == [0, 1, 2]


def test_several_new_layers_come_one_above_the_other():
    found = at_once(*[lambda n=n: layer_rows.create(actor="tests", name=f"B{n}", from_score=1) for n in range(4)])  # type: ignore[misc]
    assert found == ["Layer"] * 4
    assert sorted(Layer.objects.values_list("position", flat=True)) == list(range(7))


def test_a_model_is_put_into_a_layer_once():
    layer, model = Layer.objects.get(name="A0"), Model.objects.get()
    found = at_once(*[lambda: candidate_rows.add(layer, model, actor="tests")] * 4)
    assert found == ["Candidate"] + ["ValidationError"] * 3


def test_a_model_that_goes_is_in_no_layer_or_stays():
    layer, model = Layer.objects.get(name="A0"), Model.objects.get()
    found = at_once(
        lambda: candidate_rows.add(layer, model, actor="tests"), lambda: model_rows.delete(model, actor="tests")
    )
    assert found in (["Candidate", "InUse"], ["DoesNotExist", "NoneType"])
    assert Candidate.objects.count() == Model.objects.count()


def test_changes_of_one_row_are_all_kept():
    model = Model.objects.get()
    changes = [{"title": "T"}, {"vision": True}, {"tools": True}, {"context_tokens": 5}]
    at_once(*[lambda one=one: model_rows.edit(model, actor="tests", changes=one) for one in changes])  # type: ignore[misc]
    row = Model.objects.get()
    assert (row.title, row.vision, row.tools, row.context_tokens) == ("T", True, True, 5)


@pytest.mark.parametrize("change", [{"nothing": 1}, {"title": " x"}, {"context_tokens": 2**40}])
def test_what_is_refused_leaves_everything_as_it_was(change: dict[str, object]):
    before = list(Model.objects.values())
    with pytest.raises(ValidationError) as refused:
        model_rows.edit(Model.objects.get(), actor="tests", changes={"vision": True} | change)
    assert set(refused.value.message_dict) == set(change)
    assert list(Model.objects.values()) == before

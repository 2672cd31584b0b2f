"""`/v1/admin/layers`, the models in them, and the policy: made, changed, put in order, deleted."""

import pytest

from analytics import budget_rows, keys
from analytics.models import AuditEntry
from providers.models import Model, Provider
from routing import snapshot
from routing.models import Candidate, Layer, Policy

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def four_layers(layers):
    return layers


def order():
    return list(Layer.objects.order_by("position").values_list("name", "position"))


class TestMake:
    def test_it_comes_above_all_others(self, fitter):
        status, made = fitter("post", "layers", name="L4", from_score=0.9)
        assert (status, made["object"], made["position"], made["candidates"]) == (201, "layer", 4, [])
        assert (made["enabled"], made["title"], made["max_attempts"], made["deadline_s"]) == (True, "", None, None)
        assert fitter("get", "layers/L4")[1] == made
        assert AuditEntry.objects.get(action="layer.created").target == "L4"

    def test_every_field_is_kept(self, fitter):
        given = {"name": "top", "title": "Top", "position": 9, "from_score": 1, "max_attempts": 3, "deadline_s": 2.5,
                 "enabled": False}  # fmt: skip
        made = fitter("post", "layers", given)[1]
        assert {name: made[name] for name in given} == given

    @pytest.mark.parametrize(
        ("fields", "field", "says"),
        [
            ({"name": ""}, "name", "blank"),
            ({"name": "L0"}, "name", "already exists"),
            ({"name": "0L"}, "name", "starting with a letter"),
            ({"name": "auto"}, "name", "what requests call the gateway's own choice"),
            ({"name": "a/b"}, "name", "starting with a letter"),
            ({"name": 4}, "name", "Use a text."),
            ({"from_score": 1.01}, "from_score", "less than or equal to"),
            ({"from_score": None}, "from_score", "cannot be null"),
            ({"from_score": "0.5"}, "from_score", "Use a number."),
            ({"position": 0}, "position", "already exists"),
            ({"position": 40_000}, "position", "Use 32767 or less."),
            ({"position": None}, "position", "cannot be null"),
            ({"max_attempts": 0}, "max_attempts", "greater than or equal to"),
            ({"deadline_s": 0}, "deadline_s", "greater than or equal to"),
            ({"candidates": []}, "candidates", "There is no field 'candidates'"),
        ],
    )
    def test_what_is_wrong_is_told_at_its_field(self, fitter, fields, field, says):
        status, param, words = fitter.refused("post", "layers", {"name": "L4", "from_score": 0.9} | fields)
        assert (status, param) == (400, field)
        assert says in words
        assert Layer.objects.count() == 4


class TestList:
    def test_cheapest_first_with_their_models_in_order(self, fitter):
        second = Model.objects.create(provider=Provider.objects.get(), name="second")
        Candidate.objects.create(layer=Layer.objects.get(name="L0"), model=second, priority=1, weight=0.5)
        page = fitter("get", "layers?limit=2")[1]
        assert [row["name"] for row in page["data"]] == ["L0", "L1"]
        assert page["data"][0]["candidates"] == [
            {"model": "up/m0", "priority": 0, "relative_cost": None, "weight": None, "enabled": True},
            {"model": "up/second", "priority": 1, "relative_cost": None, "weight": 0.5, "enabled": True},
        ]
        assert [row["name"] for row in fitter("get", f"layers?after={page['last_id']}")[1]["data"]] == ["L2", "L3"]
        assert fitter.refused("get", "layers?after=L0")[:2] == (400, "after")
        assert fitter.refused("get", "layers?name=L0")[:2] == (400, "name")

    def test_it_takes_as_many_queries_for_many(self, fitter, django_assert_max_num_queries):
        fitter("get", "layers")
        with django_assert_max_num_queries(3):  # with the versions of the configuration
            fitter("get", "layers")


class TestOrder:
    @pytest.mark.parametrize("wanted", [["L3", "L2", "L1", "L0"], ["L1", "L2", "L3", "L0"], ["L0", "L2", "L1", "L3"]])
    def test_all_of_them_are_put_in_order(self, fitter, wanted):
        status, answer = fitter("put", "layers", layers=wanted)
        assert (status, [row["name"] for row in answer["data"]]) == (200, wanted)
        assert order() == [(name, place) for place, name in enumerate(wanted)]
        entry = AuditEntry.objects.get(action="layers.reordered")
        assert (entry.before["layers"], entry.after["layers"]) == (["L0", "L1", "L2", "L3"], wanted)
        assert [row["id"] for row in self.known(fitter)] == wanted

    def known(self, fitter):
        snapshot.load()
        return fitter("get", "/v1/models/layers")[1]["data"]

    def test_positions_with_gaps_and_at_the_end_of_the_column(self, fitter):
        Layer.objects.filter(name="L3").update(position=32_767)
        Layer.objects.filter(name="L2").update(position=4)
        fitter("put", "layers", layers=["L3", "L0", "L1", "L2"])
        assert order() == [("L3", 0), ("L0", 1), ("L1", 2), ("L2", 3)]

    def test_the_same_order_again_is_told_nobody(self, fitter):
        assert fitter("put", "layers", layers=["L0", "L1", "L2", "L3"])[0] == 200
        assert not AuditEntry.objects.filter(action="layers.reordered").exists()

    @pytest.mark.parametrize(
        ("wanted", "says"),
        [
            (["L0", "L1", "L2"], "Name all of them: L3 is missing."),
            ([], "Name all of them: L0, L1, L2, L3 are missing."),
            (["L0", "L1", "L2", "L3", "L9"], "There is no layer 'L9' here."),
            (["L0", "L1", "L2", "L3", "L0"], "Name each of them once."),
            (["L0", 1], "Use a list of names"),
            ("L0", "Use a list of names"),
            (None, "Use a list of names"),
        ],
    )
    def test_another_set_is_refused(self, fitter, wanted, says):
        before = order()
        status, param, words = fitter.refused("put", "layers", layers=wanted)
        assert (status, param) == (400, "layers")
        assert says in words
        assert order() == before


class TestOne:
    def test_a_change_leaves_what_somebody_else_changed(self, fitter):
        Layer.objects.filter(name="L1").update(title="cheap")
        told = fitter("patch", "layers/L1", max_attempts=2, deadline_s=30)[1]
        assert (told["title"], told["max_attempts"], told["deadline_s"]) == ("cheap", 2, 30.0)
        assert fitter("patch", "layers/L1", max_attempts=None)[1]["max_attempts"] is None

    @pytest.mark.parametrize(("method", "path"), [("get", ""), ("patch", ""), ("delete", ""), ("get", "/candidates"),
                                                  ("put", "/candidates"), ("post", "/candidates/up/m0")])  # fmt: skip
    def test_an_unknown_one_is_404(self, fitter, method, path):
        assert fitter.refused(method, f"layers/L9{path}")[::2] == (404, "There is no layer 'L9'.")


class TestRename:
    def test_nobody_means_it(self, fitter, ours):
        keys.create("all", actor="tests", project=ours.project, allowed_layers=["L*"])
        keys.create("other", actor="tests", project=ours.project, allowed_layers=["L0"])
        assert fitter("patch", "layers/L2", name="Lots")[1]["name"] == "Lots"
        assert fitter("get", "layers/L2")[0] == 404

    @pytest.mark.parametrize(("patterns", "name"), [(["L2"], "Lots"), (["L?"], "Lots"), (["M*"], "Mid")])
    def test_a_key_would_be_shut_out_or_let_in(self, fitter, ours, patterns, name):
        keys.create("held", actor="tests", project=ours.project, allowed_layers=patterns)
        status, answer = fitter("patch", "layers/L2", name=name, title="new")
        assert (status, answer["error"]["code"]) == (409, "layer_in_use")
        words = "L2 keeps its name while it is meant by key held of default. Change those first."
        assert answer["error"]["message"] == words
        assert (Layer.objects.get(name="L2").title, AuditEntry.objects.filter(action="layer.changed").count()) == (
            "",
            0,
        )

    def test_budgets_degrade_to_it(self, fitter, ours):
        fields = {"limit_usd": "5", "project": ours.project, "action": "degrade", "layer": "L2", "actor": "tests"}
        rows = [budget_rows.create(window=window, **fields) for window in ("hour", "day")]
        words = f"L2 keeps its name while it is meant by budget {rows[0].pk}, budget {rows[1].pk}. Change those first."
        assert fitter.refused("patch", "layers/L2", name="Lots")[::2] == (409, words)

    def test_of_many_a_few_are_named(self, fitter, ours):
        for number in range(7):
            keys.create(f"k{number}", actor="tests", project=ours.project, allowed_layers=["L2"])
        assert "key k4 of default and 2 more." in fitter.refused("patch", "layers/L2", name="Lots")[2]


class TestDelete:
    def test_its_models_stay(self, fitter):
        assert fitter("delete", "layers/L2") == (200, {"name": "L2", "object": "layer", "deleted": True})
        assert Model.objects.count() == 4
        assert not Candidate.objects.filter(model__name="m2").exists()

    def test_the_policy_needs_it(self, fitter):
        status, answer = fitter("delete", "layers/L1")
        assert (status, answer["error"]["code"]) == (409, "layer_in_use")
        words = "L1 is needed by the policy, as its default layer. Change those first."
        assert answer["error"]["message"] == words

    def test_budgets_need_it(self, fitter, ours):
        row = budget_rows.create(window="day", limit_usd="5", project=ours.project, action="degrade", layer="L2",
                                 actor="tests")  # fmt: skip
        words = f"L2 is needed by budget {row.pk}. Change those first."
        assert fitter.refused("delete", "layers/L2")[::2] == (409, words)


class TestCandidates:
    @pytest.fixture(autouse=True)
    def three(self, layers):
        """`up/m0`, `up/b` and `up/c:x/y` in L0, all of priority 0."""
        for name in ("b", "c:x/y"):
            row = Model.objects.create(provider=Provider.objects.get(), name=name)
            Candidate.objects.create(layer=Layer.objects.get(name="L0"), model=row)

    def in_order(self, fitter):
        return [(one["model"], one["priority"]) for one in fitter("get", "layers/L0/candidates")[1]["data"]]

    def test_they_are_put_in_order(self, fitter):
        wanted = ["up/c:x/y", "up/m0", "up/b"]
        status, answer = fitter("put", "layers/L0/candidates", models=wanted)
        assert (status, [one["model"] for one in answer["data"]]) == (200, wanted)
        assert self.in_order(fitter) == [(name, place) for place, name in enumerate(wanted)]
        entry = AuditEntry.objects.get(action="candidates.reordered")
        assert (entry.target, entry.after) == ("L0", {name: place for place, name in enumerate(wanted)})
        assert entry.before == dict.fromkeys(["up/m0", "up/b", "up/c:x/y"], 0)

    @pytest.mark.parametrize(
        ("wanted", "says"),
        [
            (["up/b", "up/m0"], "Name all of them: up/c:x/y is missing."),
            (["up/b", "up/m0", "up/c:x/y", "up/m1"], "There is no model 'up/m1' here."),
            (["up/b", "up/m0", "up/c:x/y", "up/b"], "Name each of them once."),
            (5, "Use a list of names"),
        ],
    )
    def test_another_set_is_refused(self, fitter, wanted, says):
        status, param, words = fitter.refused("put", "layers/L0/candidates", models=wanted)
        assert (status, param) == (400, "models")
        assert says in words
        assert {priority for _, priority in self.in_order(fitter)} == {0}

    def test_a_model_is_put_in_changed_and_taken_out(self, fitter):
        path, given = "layers/L1/candidates/up/c:x/y", {"priority": 3, "relative_cost": "0.5", "weight": 2.5}
        status, made = fitter("post", path, given)
        assert (status, made["object"], made["layer"], made["model"]) == (201, "candidate", "L1", "up/c:x/y")
        assert {name: made[name] for name in given} == given
        assert fitter("patch", path, enabled=False, relative_cost=None, weight=None)[1] == made | {
            "enabled": False, "relative_cost": None, "weight": None,
        }  # fmt: skip
        assert fitter("get", path)[1]["enabled"] is False
        gone = {"layer": "L1", "model": "up/c:x/y", "object": "candidate", "deleted": True}
        assert fitter("delete", path) == (200, gone)
        assert fitter("get", path)[0] == fitter("patch", path)[0] == fitter("delete", path)[0] == 404
        actions = AuditEntry.objects.filter(target="up/c:x/y in L1").order_by("id").values_list("action", flat=True)
        assert list(actions) == ["candidate.created", "candidate.changed", "candidate.deleted"]

    def test_it_stands_in_a_layer_once(self, fitter):
        refused = fitter.refused("post", "layers/L0/candidates/up/b")
        assert refused == (400, "model", "up/b stands in L0 already.")

    def test_an_unknown_model_is_404(self, fitter):
        assert fitter("post", "layers/L0/candidates/up/m9")[0] == 404
        assert fitter("patch", "layers/L0/candidates/up/m1", priority=1)[1]["error"]["message"] == "up/m1 is not in L0."

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"priority": -1}, "priority"),
            ({"priority": 1.5}, "priority"),
            ({"priority": None}, "priority"),
            ({"weight": 0}, "weight"),
            ({"weight": "2"}, "weight"),
            ({"relative_cost": -1}, "relative_cost"),
            ({"relative_cost": "NaN"}, "relative_cost"),
            ({"relative_cost": "1e400"}, "relative_cost"),
            ({"relative_cost": "0.00000000001"}, "relative_cost"),
            ({"enabled": "yes"}, "enabled"),
            ({"layer": "L1"}, "layer"),
            ({"model": "up/m1"}, "model"),
        ],
    )
    def test_what_is_wrong_is_told_at_its_field(self, fitter, fields, field):
        assert fitter.refused("patch", "layers/L0/candidates/up/b", fields)[:2] == (400, field)
        assert fitter.refused("post", "layers/L1/candidates/up/b", fields)[:2] == (400, field)
        assert Candidate.objects.filter(model__name="b").count() == 1


class TestPolicy:
    def test_a_change_leaves_the_rest(self, fitter):
        before = fitter("get", "policy")[1]
        assert (before["object"], before["default_layer"], before["max_attempts"]) == ("policy", "L1", 6)
        given = {"default_layer": "L2", "unknown_price": "estimate", "deadline_s": 60, "balancing": "least_outstanding"}
        choices = dict(Policy._meta.get_field("balancing").choices)
        given["balancing"] = next(name for name in choices if name != before["balancing"])
        given["unknown_price"] = next(
            name for name in dict(Policy._meta.get_field("unknown_price").choices) if name != before["unknown_price"]
        )
        assert fitter("patch", "policy", given)[1] == before | given
        assert fitter("get", "policy")[1] == before | given
        entry = AuditEntry.objects.get(action="policy.changed")
        assert (entry.before["default_layer"], entry.after["default_layer"]) == ("L1", "L2")

    def test_it_is_made_where_there_is_none(self, fitter):
        Policy.objects.all().delete()
        assert fitter("get", "policy")[0] == 404
        assert fitter.refused("patch", "policy", max_attempts=2)[:2] == (400, "default_layer")
        assert fitter("patch", "policy", default_layer="L0", max_attempts=2)[1]["max_attempts"] == 2

    @pytest.mark.parametrize(
        ("fields", "field", "says"),
        [
            ({"default_layer": "L9"}, "default_layer", "There is no layer 'L9'; there is L0, L1, L2, L3."),
            ({"default_layer": None}, "default_layer", "Use a text."),
            ({"unknown_price": "guess"}, "unknown_price", "not a valid choice"),
            ({"deadline_s": 0}, "deadline_s", "greater than or equal to"),
            ({"max_attempts": 0}, "max_attempts", "greater than or equal to"),
            ({"circuit_failure_share": 1.5}, "circuit_failure_share", "less than or equal to"),
            ({"id": 2}, "id", "There is no field 'id'"),
        ],
    )
    def test_what_is_wrong_is_told_at_its_field(self, fitter, fields, field, says):
        status, param, words = fitter.refused("patch", "policy", fields)
        assert (status, param) == (400, field)
        assert says in words

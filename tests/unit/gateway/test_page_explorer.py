"""`/admin/route/`: what would become of a request, what moves with other thresholds, and setting them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from analytics import ledger
from analytics.models import ApiKey, AuditEntry, Membership, UsageRecord
from analytics.queries import judged
from routing import snapshot
from routing.models import Layer, Policy
from tests.unit.analytics.test_ledger import usage_row

pytestmark = pytest.mark.django_db
PAGE = "/admin/route/"
EASY = "Say hello."


@pytest.fixture(autouse=True)
def loaded(layers, ours, theirs):
    """Layers from 0, 0.25, 0.5 and 0.75 on."""
    snapshot.load()


@pytest.fixture
def viewer(client, ours):
    user = User.objects.create_user("vera")
    Membership.objects.create(user=user, project=ours.project, role="viewer")
    client.force_login(user)
    return client


def looked(client, prompt=EASY, **fields):
    answer = client.post(PAGE, {"do": "look", "prompt": prompt, **fields})
    assert answer.status_code == 200, answer.context_data["mistakes"]
    return answer.context_data


def refused(client, **fields):
    answer = client.post(PAGE, {"do": "look", "prompt": EASY, **fields})
    assert answer.status_code == 400
    wrong = [one.mistake for one in answer.context_data["asked"].thresholds if one.mistake]
    return answer.context_data["mistakes"] or wrong


def tried(path):
    return [one.model for one in path.attempts]


class TestLooking:
    def test_at_first_it_asks_for_a_prompt(self, admin_client):
        told = admin_client.get(PAGE).context_data
        assert [(one.layer, one.tried) for one in told["asked"].thresholds] == [
            ("L0", "0"), ("L1", "0.25"), ("L2", "0.5"), ("L3", "0.75"),
        ]  # fmt: skip
        assert "paths" not in told

    def test_it_shows_score_entry_plan_and_cost(self, admin_client):
        told = looked(admin_client, max_tokens="1000")
        [path] = told["paths"]
        assert (told["score"]["score"], path.told["entry"]) == (0.0, "L0")
        assert [reason["name"] for reason in told["score"]["reasons"]]
        assert tried(path) == ["up/m0", "up/m1", "up/m2", "up/m3"]
        dearest = path.attempts[-1]
        input_usd = told["score"]["input_tokens_at_most"] * Decimal("0.000003")
        assert dearest.usual_usd == input_usd + 500 * Decimal("0.000003")
        assert dearest.most_usd == input_usd + 1000 * Decimal("0.000003")

    def test_nothing_is_kept(self, admin_client, ours):
        before = AuditEntry.objects.count()
        looked(admin_client)
        assert (UsageRecord.objects.count(), AuditEntry.objects.count()) == (0, before)

    def test_a_whole_body_may_be_pasted(self, admin_client):
        body = {"model": "m2", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}
        [path] = looked(admin_client, prompt=json.dumps(body, indent=1))["paths"]
        assert tried(path) == ["up/m2"]

    def test_what_only_looks_like_one_is_a_prompt(self, admin_client):
        assert tried(looked(admin_client, prompt="{x} is my name")["paths"][0])

    def test_it_stays_in_a_layer(self, admin_client):
        [path] = looked(admin_client, layer="L2", fenced="on")["paths"]
        assert tried(path) == ["up/m2"]
        assert len(path.dropped) == 3

    @pytest.mark.parametrize(
        ("fields", "field", "says"),
        [
            ({"prompt": "  "}, "prompt", "Write a prompt, or paste one."),
            ({"prompt": '{"messages": 5}'}, "prompt", "messages: expected"),
            ({"prompt": '{"messages": ['}, "prompt", "not valid JSON"),
            ({"model": "m22"}, "model", "does not exist"),
            ({"layer": "L9"}, "model", "There is no layer 'L9'"),
            ({"max_tokens": "many"}, "max_tokens", "Use a whole number"),
            ({"max_tokens": "0"}, "max_tokens", "must be at least 1"),
            ({"max_cost": "cheap"}, "max_cost", "must be a positive number"),
            ({"key": "999999"}, "key", "Choose one of your tokens"),
            ({"key": "1; drop"}, "key", "Choose one of your tokens"),
        ],
    )
    def test_a_mistake_is_told_beside_its_field(self, admin_client, fields, field, says):
        mistakes = refused(admin_client, **fields)
        assert list(mistakes) == [field]
        assert says in mistakes[field]

    @pytest.mark.parametrize("given", ["2", "-0.1", "nan", "much", "1e999", "0_1", "1e-400"])
    def test_a_threshold_lies_from_0_to_1(self, admin_client, given):
        assert refused(admin_client, **{"from-L1": given}) == ["Use a number from 0 to 1, such as 0.25."]

    def test_one_of_many_digits_is_shown_as_it_is(self, admin_client):
        Layer.objects.filter(name="L1").update(from_score=0.1234567)
        snapshot.load()
        told = admin_client.get("/admin/route/").context_data["asked"].thresholds
        assert [one.tried for one in told if one.layer == "L1"] == ["0.1234567"]

    def test_while_the_configuration_is_away_it_says_so(self, admin_client):
        snapshot.forget()
        answer = admin_client.get(PAGE)
        assert (answer.status_code, answer["Retry-After"]) == (503, "5")

    def test_its_queries_do_not_grow_with_the_tokens(self, admin_client, ours):
        def number():
            with CaptureQueriesContext(
                connection,
            ) as found:
                looked(admin_client)
            return len(found)

        before = number()
        ApiKey.objects.bulk_create(
            ApiKey(project=ours.project, name=f"k{number}", prefix=f"agw_{number}", key_hash=bytes([number] * 32))
            for number in range(20)
        )
        assert number() == before


class TestThresholds:
    @pytest.fixture
    def requests(self, ours, theirs):
        """Of ours: two easy ones, one hard; one entered by name, one at the caller's wish. Of theirs: a hard one."""
        our = {"project_id": ours.project.pk, "project": "default"}
        their = {"project_id": theirs.project.pk, "project": "theirs"}
        by_score, by_wish = {"entry_reason": "score 0.10"}, {"entry_reason": "asked for by the caller"}
        kinds = [
            (our, 0.1, by_score, "0.5"), (our, 0.2, by_score, "0.25"), (our, 0.6, by_score, "4"),
            (our, None, {}, "1"), (our, 0.6, by_wish, "1"), (their, 0.6, by_score, "8"),
        ]  # fmt: skip
        rows = [
            usage_row(
                datetime.now(UTC) - timedelta(minutes=number),
                **whose, score=score, decision=msgspec.Raw(msgspec.json.encode(decision)), cost_usd=Decimal(usd),
            )
            for number, (whose, score, decision, usd) in enumerate(kinds)
        ]  # fmt: skip
        ledger.insert(rows)

    def test_both_ways_stand_beside_each_other(self, admin_client):
        now, then = looked(admin_client, **{"from-L0": "0.1"})["paths"]
        assert (now.told["entry"], tried(now)[0]) == ("L0", "up/m0")
        assert (then.title, then.told["entry"]) == ("With your thresholds", "L0")
        now, then = looked(admin_client, **{"from-L1": "0"})["paths"]
        assert (now.told["entry"], then.told["entry"]) == ("L0", "L1")
        assert tried(then) == ["up/m1", "up/m2", "up/m3"]
        assert then.reasons == (("below the entry layer", 1),)

    def test_it_says_where_they_change_nothing_for_the_prompt(self, admin_client):
        assert looked(admin_client, **{"from-L3": "0.9"})["is_same"]
        assert not looked(admin_client, **{"from-L1": "0"})["is_same"]

    def test_the_same_ones_show_one_way(self, admin_client, requests):
        told = looked(admin_client, **{"from-L1": "0.250"})
        assert [path.title for path in told["paths"]] == ["Plan"]
        assert "moved" not in told

    def test_it_says_which_of_the_latest_requests_move(self, admin_client, requests):
        told = looked(admin_client, **{"from-L1": "0.15", "from-L2": "0.7"})
        moved = [(one.before, one.after, one.requests, one.cost_usd) for one in told["moved"]]
        assert moved == [("L2", "L1", 2, Decimal(12)), ("L0", "L1", 1, Decimal("0.25"))]
        assert (told["looked_at"], told["stay"]) == (4, 1)

    def test_a_member_counts_the_own_projects_alone(self, viewer, requests):
        told = looked(viewer, **{"from-L2": "0.7"})
        assert [(one.requests, one.cost_usd) for one in told["moved"]] == [(1, Decimal(4))]

    def test_only_the_newest_are_looked_at(self, admin_client, requests, monkeypatch):
        monkeypatch.setattr(judged, "MOST_LOOKED_AT", 2)
        assert looked(admin_client, **{"from-L1": "0.15"})["looked_at"] == 2

    def test_they_are_set_and_told_of(self, admin_client, admin_user):
        answer = admin_client.post(PAGE, {"do": "set", "from-L1": "0.2", "from-L2": "0.5", "from-L3": "0.9"})
        assert answer.context_data["said"].startswith("Set: L1 from 0.2, L3 from 0.9.")
        assert list(Layer.objects.values_list("from_score", flat=True)) == [0, 0.2, 0.5, 0.9]
        entry = AuditEntry.objects.order_by("-pk")[0]
        assert (entry.actor, entry.action, entry.after) == (
            admin_user.get_username(),
            "layer.changed",
            {"from_score": 0.9},
        )

    def test_setting_what_holds_changes_nothing(self, admin_client):
        before = AuditEntry.objects.count()
        answer = admin_client.post(PAGE, {"do": "set", "from-L1": "0.25"})
        assert answer.context_data["said"] == "These are the thresholds in force."
        assert AuditEntry.objects.count() == before

    def test_what_was_not_changed_stays_as_others_set_it(self, admin_client):
        opened = {f"was-{one.layer}": one.was for one in admin_client.get(PAGE).context_data["asked"].thresholds}
        Layer.objects.filter(name="L1").update(from_score=0.3)
        form = opened | {name.replace("was", "from"): value for name, value in opened.items()} | {"from-L3": "0.8"}
        answer = admin_client.post(PAGE, {"do": "set", **form})
        assert answer.context_data["said"].startswith("Set: L3 from 0.8. ")
        assert Layer.objects.get(name="L1").from_score == 0.3

    def test_and_back_again_in_the_form_that_answers(self, admin_client):
        first = admin_client.post(PAGE, {"do": "set", "from-L3": "0.8", "prompt": EASY}).context_data
        assert (first["asked"].thresholds[3].was, [path.title for path in first["paths"]]) == ("0.8", ["Plan"])
        again = admin_client.post(PAGE, {"do": "set", "was-L3": "0.8", "from-L3": "0.75", "prompt": "{"}).context_data
        assert again["said"].startswith("Set: L3 from 0.75. ")

    def test_what_is_in_force_is_what_the_rows_say(self, admin_client):
        Layer.objects.filter(name="L1").update(from_score=0)
        assert looked(admin_client)["paths"][0].told["entry"] == "L1"

    def test_all_or_none(self, admin_client):
        Policy.objects.update(default_layer=Layer.objects.get(name="L0"))
        Layer.objects.filter(name="L3").delete()
        answer = admin_client.post(PAGE, {"do": "set", "from-L1": "0.2", "from-L3": "0.9"})
        assert (answer.status_code, answer.context_data["mistakes"]) == (400, {"": "There is no layer 'L3' any more."})
        assert Layer.objects.get(name="L1").from_score == 0.25

    def test_not_by_who_lacks_the_permission(self, viewer):
        assert not looked(viewer)["may_set"]
        assert viewer.post(PAGE, {"do": "set", "from-L1": "0.2"}).status_code == 403
        assert Layer.objects.get(name="L1").from_score == 0.25

    def test_by_who_has_it(self, client, ours):
        user = User.objects.create_user("otto", is_staff=True)
        user.user_permissions.add(Permission.objects.get(codename="change_layer"))
        client.force_login(user)
        assert "Set: L1" in client.post(PAGE, {"do": "set", "from-L1": "0.2"}).context_data["said"]


class TestAMember:
    def test_decides_for_tokens_of_the_own_projects(self, viewer, ours, theirs):
        assert viewer.get(PAGE).context_data["asked"].choices == ((str(ours.key.pk), "first of default"),)
        assert list(refused(viewer, key=str(theirs.key.pk))) == ["key"]
        assert list(refused(viewer, key="owner")) == ["key"]

    def test_learns_which_models_the_token_may_not_use_as_on_a_requests_page(self, viewer, ours):
        ApiKey.objects.filter(pk=ours.key.pk).update(allowed_models=["m1"])
        snapshot.load()
        [path] = looked(viewer)["paths"]
        assert tried(path) == ["up/m1"]
        assert path.reasons == (("model not allowed for this key", 3),)

    def test_without_a_token_is_told_so(self, viewer, ours):
        ApiKey.objects.all().delete()
        assert "There is no token to decide for" in viewer.get(PAGE).content.decode()
        assert list(refused(viewer)) == ["key"]

"""API keys that are changed: field by field, told in the audit trail, nobody's change lost; and ended."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from analytics import keys
from analytics.models import ApiKey, AuditEntry, Budget, Project

pytestmark = pytest.mark.django_db


@pytest.fixture
def row(db):
    return keys.create("app", actor="tests").row


def edit(row, **changes):
    return keys.edit(row, actor="somebody", changes=changes)


def told(action="api_key.changed"):
    return AuditEntry.objects.filter(action=action)


NEW_VALUES = {
    "name": "renamed",
    "scopes": ["admin"],
    "allowed_models": ["gpt-*"],
    "allowed_layers": ["L0"],
    "allowed_endpoints": ["/v1/chat/*"],
    "allowed_networks": ["10.0.0.0/8"],
    "requests_per_minute": 60,
    "tokens_per_minute": 1000,
    "concurrent_requests": 5,
    "enabled": False,
}


class TestEdit:
    @pytest.mark.parametrize(("field", "value"), NEW_VALUES.items())
    def test_one_field_is_saved_and_told_alone(self, row, field, value):
        before = getattr(row, field)
        edited = edit(row, **{field: value})
        assert getattr(edited, field) == getattr(ApiKey.objects.get(), field) == value
        entry = told().get()
        assert (entry.actor, entry.target, entry.project_id) == ("somebody", str(edited), row.project_id)
        assert (entry.before, entry.after) == ({field: before}, {field: value})

    def test_all_of_them_at_once_are_one_entry(self, row, django_user_model):
        until = timezone.now() + timedelta(days=1)
        project = Project.objects.create(slug="other", name="Other")
        owner = django_user_model.objects.create_user("ada")
        edit(row, **NEW_VALUES, expires_at=until, project=project, owner=owner)
        after = told().get().after
        assert set(after) == set(keys.FIELDS)
        assert (after["project"], after["owner"], after["expires_at"]) == ("other", "ada", until.isoformat())

    def test_what_others_changed_meanwhile_stays(self, row):
        """Both have read the row before either writes."""
        first, second = ApiKey.objects.get(), ApiKey.objects.get()
        edit(first, requests_per_minute=60)
        edited = edit(second, allowed_layers=["L0"])
        assert (edited.requests_per_minute, edited.allowed_layers) == (60, ["L0"])
        saved = ApiKey.objects.get()
        assert (saved.requests_per_minute, saved.allowed_layers) == (60, ["L0"])

    def test_the_same_values_change_nothing(self, row):
        assert edit(row, name="app", scopes=list(row.scopes), enabled=True, owner=None) == row
        assert not told().exists()
        assert ApiKey.objects.get().updated_at == row.updated_at

    def test_a_limit_is_lifted_by_none(self, row):
        edit(row, tokens_per_minute=5)
        assert edit(row, tokens_per_minute=None).tokens_per_minute is None

    def test_unknown_fields_are_refused_by_name(self, row):
        with pytest.raises(ValidationError) as refused:
            edit(row, key_hash=b"x", prefix="x", colour="red", name="renamed")
        assert set(refused.value.message_dict) == {"key_hash", "prefix", "colour"}
        assert ApiKey.objects.get().name == "app"

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("name", ""), ("name", None), ("name", 7), ("enabled", "no"), ("enabled", None), ("enabled", 1),
            ("project", None), ("project", "default"), ("owner", 1), ("scopes", None), ("scopes", ["root"]),
            ("requests_per_minute", 1.5), ("requests_per_minute", True), ("tokens_per_minute", 2**63),
            ("concurrent_requests", "3"), ("allowed_networks", ["::1/64"]), ("expires_at", "tomorrow"),
        ],
    )  # fmt: skip
    def test_a_wrong_value_is_named_and_nothing_is_saved(self, row, field, value):
        with pytest.raises(ValidationError) as refused:
            edit(row, **{"allowed_layers": ["L0"], field: value})
        assert list(refused.value.message_dict) == [field]
        assert ApiKey.objects.get().allowed_layers == []
        assert not told().exists()

    def test_a_name_that_is_taken_is_refused_in_the_words_of_creation(self, row):
        keys.create("taken", actor="tests")
        with pytest.raises(ValidationError) as refused:
            edit(row, name="taken")
        assert refused.value.message_dict == {
            "name": ["A key named 'taken' already exists in default; choose another name."]
        }

    def test_a_name_that_is_taken_in_between_too(self, row, monkeypatch):
        keys.create("taken", actor="tests")
        monkeypatch.setattr(ApiKey, "clean", lambda row: None)
        with pytest.raises(ValidationError, match="'taken' already exists in default"):
            edit(row, name="taken")
        assert not told().exists()

    def test_a_row_that_is_wrong_elsewhere_can_be_mended_field_by_field(self, row):
        ApiKey.objects.update(scopes=["everything"], allowed_networks=["nowhere"])
        assert edit(row, requests_per_minute=5).requests_per_minute == 5
        assert edit(row, scopes=["chat"]).scopes == ["chat"]

    @pytest.mark.parametrize("value", ["", {}, 0])
    def test_an_allow_list_that_is_none_is_not_made_an_open_one_by_a_change_elsewhere(self, row, value):
        ApiKey.objects.update(allowed_networks=value)
        edit(row, requests_per_minute=5)
        assert ApiKey.objects.get().allowed_networks == value
        assert told().get().after == {"requests_per_minute": 5}

    def test_one_that_was_deleted_meanwhile_is_gone(self, row):
        ApiKey.objects.all().delete()
        with pytest.raises(ApiKey.DoesNotExist):
            edit(row, name="renamed")


class TestMove:
    @pytest.fixture
    def budget(self, row):
        long_ago = timezone.now() - timedelta(days=9)
        budget = Budget.objects.create(api_key=row, window="day", limit_usd=5, defined_at=long_ago)
        Budget.objects.update(updated_at=long_ago)
        budget.refresh_from_db()
        return budget

    def test_its_budgets_come_along_and_it_is_said(self, row, budget):
        other = Project.objects.create(slug="other", name="Other")
        assert "the budgets and limits of other" in keys.told_of_move(row, to=other)
        assert "Its 1 budget goes with it" in keys.told_of_move(row, to=other)
        edit(row, project=other)
        entry = told().get()
        assert (entry.before, entry.after, entry.project_id) == ({"project": "default"}, {"project": "other"}, other.pk)
        assert Budget.objects.get().api_key.project == other

    def test_in_another_time_zone_a_budget_counts_anew_by_its_windows(self, row, budget):
        edit(row, project=Project.objects.create(slug="other", name="Other", time_zone="Asia/Tokyo"))
        assert Budget.objects.get().defined_at > budget.defined_at

    def test_in_the_same_one_it_goes_on_and_processes_look_again(self, row, budget):
        edit(row, project=Project.objects.create(slug="other", name="Other"))
        moved = Budget.objects.get()
        assert moved.defined_at == budget.defined_at
        assert moved.updated_at > budget.updated_at

    def test_a_new_name_reaches_its_budgets_holders(self, row, budget):
        edit(row, name="renamed")
        assert Budget.objects.get().updated_at > budget.updated_at

    def test_other_changes_leave_budgets_alone(self, row, budget):
        edit(row, requests_per_minute=5)
        assert Budget.objects.get().updated_at == budget.updated_at

    def test_a_project_that_uses_its_name_refuses_it(self, row):
        other = Project.objects.create(slug="other", name="Other")
        keys.create("app", actor="tests", project=other)
        with pytest.raises(ValidationError) as refused:
            edit(row, project=other)
        assert "'app' already exists in other" in refused.value.message_dict["name"][0]


class TestExpire:
    def test_now(self, row):
        assert keys.expire(row, actor="somebody").is_over()
        entry = told("api_key.expired").get()
        assert (entry.actor, entry.before) == ("somebody", {"expires_at": None})
        assert entry.after == {"expires_at": ApiKey.objects.get().expires_at.isoformat()}

    def test_at_a_time_to_come(self, row):
        at = timezone.now() + timedelta(hours=2)
        assert keys.expire(row, actor="tests", at=at).expires_at == ApiKey.objects.get().expires_at == at

    def test_one_that_has_expired_keeps_its_time(self, row):
        ended = keys.expire(row, actor="tests").expires_at
        assert keys.expire(row, actor="tests").expires_at == ended
        assert told("api_key.expired").count() == 1

    def test_one_that_would_expire_later_ends_now(self, row):
        keys.expire(row, actor="tests", at=timezone.now() + timedelta(hours=2))
        assert keys.expire(row, actor="tests").is_over()

    @pytest.mark.parametrize(
        "at", [datetime(2026, 1, 1, tzinfo=UTC), datetime(2999, 1, 1), datetime(9999, 1, 1, tzinfo=UTC)]
    )
    def test_a_time_that_makes_no_sense_is_refused(self, row, at):
        with pytest.raises(ValidationError) as refused:
            keys.expire(row, actor="tests", at=at)
        assert list(refused.value.message_dict) == ["expires_at"]
        assert ApiKey.objects.get().expires_at is None

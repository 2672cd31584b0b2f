"""Projects as rows: what may stand in them, what a change of zone does to their budgets, what the audit trail keeps."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError

from analytics import budget_rows, keys, projects
from analytics.models import AuditEntry, Budget, Membership, Project, Role
from analytics.projects import ProjectProblem
from providers.models import ConfigVersion

pytestmark = pytest.mark.django_db


def make(slug="lab", **fields):
    return projects.create(slug, actor="tests", **fields)


def edit(row, **changes):
    return projects.edit(row, actor="tests", changes=changes)


def mistakes(call, *args, **fields):
    before = list(Project.objects.order_by("id").values())
    with pytest.raises(ValidationError) as refused:
        call(*args, **fields)
    assert list(Project.objects.order_by("id").values()) == before
    return {field: " ".join(said) for field, said in refused.value.message_dict.items()}


def audited(action):
    return AuditEntry.objects.filter(action=action)


class TestCreate:
    def test_it_is_called_like_its_slug_and_lives_in_utc_without_limits(self):
        row = make()
        row.refresh_from_db()
        assert (row.slug, row.name, row.time_zone, row.enabled) == ("lab", "lab", "UTC", True)
        assert (row.requests_per_minute, row.tokens_per_minute, row.concurrent_requests) == (None, None, None)

    def test_it_keeps_what_was_asked_for(self):
        row = make(
            name="The lab",
            time_zone="Asia/Kathmandu",
            requests_per_minute=60,
            tokens_per_minute=9,
            concurrent_requests=1,
        )
        row.refresh_from_db()
        assert (row.name, row.time_zone) == ("The lab", "Asia/Kathmandu")
        assert (row.requests_per_minute, row.tokens_per_minute, row.concurrent_requests) == (60, 9, 1)

    def test_it_is_audited(self):
        row = make(time_zone="Europe/Berlin")
        entry = audited("project.created").get()
        assert (entry.actor, entry.target, entry.project_id) == ("tests", "lab", row.pk)
        assert entry.after["time_zone"] == "Europe/Berlin"

    @pytest.mark.parametrize(
        ("fields", "field", "says"),
        [
            ({"slug": "default"}, "slug", "already exists"),
            ({"slug": "The Lab"}, "slug", "lower-case letters"),
            ({"slug": "", "name": "x"}, "slug", "blank"),
            ({"slug": "x" * 65}, "slug", "64 characters"),
            ({"name": "x" * 201}, "name", "200 characters"),
            ({"time_zone": "Mars/Olympus"}, "time_zone", "'Mars/Olympus' is not a time zone"),
            ({"time_zone": "localtime"}, "time_zone", "'localtime' is not a time zone"),
            ({"time_zone": "Factory"}, "time_zone", "'Factory' is not a time zone"),
            ({"time_zone": "europe/berlin"}, "time_zone", "use an IANA name such as Europe/Berlin"),
            ({"requests_per_minute": 0}, "requests_per_minute", "greater than or equal to 1"),
            ({"tokens_per_minute": -1}, "tokens_per_minute", "greater than or equal to 1"),
            ({"concurrent_requests": 10_000_001}, "concurrent_requests", "less than or equal to 10000000"),
        ],
    )
    def test_a_wrong_field_is_named(self, fields, field, says):
        found = mistakes(make, **({"slug": "lab"} | fields))
        assert list(found) == [field]
        assert says in found[field]

    def test_a_slug_that_was_taken_meanwhile_is_named(self, monkeypatch):
        """Two may look at the same time; the database lets one through."""
        looks = iter([None])

        def full_clean(self):
            if next(looks, self) is self:
                raise ValidationError({"slug": ["taken"]})

        def save(self, **_):
            raise IntegrityError

        monkeypatch.setattr(Project, "full_clean", full_clean)
        monkeypatch.setattr(Project, "save", save)
        assert mistakes(make) == {"slug": "taken"}


class TestEdit:
    def test_it_changes_what_was_named_and_nothing_else(self):
        row = make(requests_per_minute=5)
        Project.objects.filter(pk=row.pk).update(tokens_per_minute=7)  # somebody else, meanwhile
        changed = edit(row, requests_per_minute=None, name="New")
        assert (changed.name, changed.requests_per_minute, changed.tokens_per_minute) == ("New", None, 7)

    def test_it_is_audited_with_before_and_after(self):
        edit(make(), enabled=False, concurrent_requests=3)
        entry = audited("project.changed").get()
        assert (entry.before["enabled"], entry.after["enabled"]) == (True, False)
        assert (entry.before["concurrent_requests"], entry.after["concurrent_requests"]) == (None, 3)

    @pytest.mark.parametrize("changes", [{}, {"time_zone": "UTC", "enabled": True}])
    def test_without_a_difference_nothing_happens(self, changes):
        row = make()
        version = ConfigVersion.objects.get(group="keys").version
        edit(row, **changes)
        assert not audited("project.changed").exists()
        assert ConfigVersion.objects.get(group="keys").version == version

    @pytest.mark.parametrize("field", ["slug", "id", "nonsense"])
    def test_its_slug_stays(self, field):
        assert list(mistakes(edit, make(), **{field: "x"})) == [field]

    @pytest.mark.parametrize(
        ("field", "value"), [("time_zone", "Nowhere"), ("time_zone", ""), ("name", ""), ("tokens_per_minute", 0)]
    )
    def test_it_refuses_what_creation_refuses(self, field, value):
        assert list(mistakes(edit, make(), **{field: value})) == [field]

    def test_one_that_was_deleted_meanwhile_is_told(self):
        row = make()
        Project.objects.filter(pk=row.pk).delete()
        with pytest.raises(ProjectProblem, match="lab was deleted meanwhile"):
            edit(row, name="New")


class TestTimeZone:
    """Budgets whose windows begin elsewhere are counted anew, from the ledger."""

    @pytest.fixture
    def rows(self, ours, theirs):
        targets = {
            "project": {"project": ours.project},
            "key": {"api_key": ours.key},
            "installation": {},
            "theirs": {"project": theirs.project},
            "their key": {"api_key": theirs.key},
        }
        return {
            name: budget_rows.create(actor="tests", window="day", limit_usd=1, **target)
            for name, target in targets.items()
        }

    def moved(self, rows):
        for row in rows.values():
            Budget.objects.filter(pk=row.pk).update(defined_at=row.defined_at - timedelta(days=1))
        return lambda: {name for name, row in rows.items() if budget_rows.find(row.pk).defined_at >= row.defined_at}

    def test_a_change_moves_the_projects_and_its_keys_budgets_alone(self, rows, ours):
        moved = self.moved(rows)
        edit(ours.project, time_zone="Asia/Kathmandu")
        assert moved() == {"project", "key"}

    def test_every_process_hears_of_it(self, rows, ours):
        before = ConfigVersion.objects.get(group="budgets").version
        edit(ours.project, time_zone="Asia/Kathmandu")
        assert ConfigVersion.objects.get(group="budgets").version > before

    @pytest.mark.parametrize("changes", [{"name": "New"}, {"time_zone": "UTC"}, {"enabled": False}])
    def test_another_change_moves_none(self, rows, ours, changes):
        moved = self.moved(rows)
        edit(ours.project, **changes)
        assert moved() == set()


class TestDelete:
    def test_it_goes_with_its_budgets_and_each_is_audited(self):
        row = make()
        budget_rows.create(actor="tests", window="day", limit_usd=1, project=row)
        projects.delete(row, actor="tests")
        assert not Project.objects.filter(slug="lab").exists()
        assert not Budget.objects.exists()
        assert audited("project.deleted").get().before["name"] == "lab"
        assert audited("budget.deleted").count() == 1

    def test_it_is_refused_while_there_are_keys(self):
        row = make()
        for name in ("a", "b", "c", "d"):
            keys.create(name, actor="tests", project=row)
        budget_rows.create(actor="tests", window="day", limit_usd=1, project=row)
        with pytest.raises(
            ProjectProblem, match=r"lab has API keys \(a, b, c, \.\.\.\): delete them first, or disable"
        ):
            projects.delete(row, actor="tests")
        assert (Project.objects.filter(slug="lab").count(), Budget.objects.count()) == (1, 1)
        assert not audited("project.deleted").exists()

    def test_the_default_one_stays(self):
        with pytest.raises(ProjectProblem, match="The default project cannot be deleted"):
            projects.delete(projects.find("default"), actor="tests")

    def test_a_second_time_nothing_happens(self):
        row = make()
        Project.objects.filter(pk=row.pk).delete()
        projects.delete(row, actor="tests")
        assert not audited("project.deleted").filter(actor="tests").exists()


def test_an_unknown_project_is_told_with_those_that_are_known(theirs):
    assert projects.find("theirs") == theirs.project
    with pytest.raises(ProjectProblem, match="There is no project 'nowhere'; there is default, theirs"):
        projects.find("nowhere")


def test_members_are_audited_when_they_change(ours, django_user_model):
    before = projects.members(ours.project)
    projects.record_members(ours.project, actor="tests", before=before)
    assert not audited("project.members_changed").exists()
    Membership.objects.create(user=django_user_model.objects.create_user("ann"), project=ours.project, role=Role.VIEWER)
    projects.record_members(ours.project, actor="tests", before=before)
    entry = audited("project.members_changed").get()
    assert (entry.before, entry.after, entry.project_id) == ({}, {"ann": "viewer"}, ours.project.pk)

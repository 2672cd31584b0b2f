"""The pages of budgets and projects: the same words at the same fields as everywhere, and everything audited."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from analytics import budget_rows, keys, projects, standing
from analytics.models import AuditEntry, Budget, Membership, Project
from analytics.standing import Standing

pytestmark = pytest.mark.django_db

BUDGETS = "/admin/analytics/budget/"
PROJECTS = "/admin/analytics/project/"


def budget_form(**fields):
    """Of the whole installation, unless it is said whose."""
    whose = {} if {"project", "api_key"} & fields.keys() else {"installation": "on"}
    return {"limit_usd": "5", "window": "day", "action": "refuse", "near_edge": "shorten", "severity": "warning",
            "enabled": "on"} | whose | fields  # fmt: skip


def make(**fields):
    return budget_rows.create(**{"actor": "tests", "window": "day", "limit_usd": Decimal(5)} | fields)


class TestBudget:
    def test_it_is_made_through_the_service(self, admin_client, ours):
        answer = admin_client.post(f"{BUDGETS}add/", budget_form(api_key=ours.key.pk, limit_usd="0.25"))
        assert answer.status_code == 302
        row = Budget.objects.get()
        assert (str(row), row.project) == ("$0.25 per day for key first", None)
        assert AuditEntry.objects.get(action="budget.created").actor == "admin"

    def test_the_installations_is_made_when_it_is_ticked(self, admin_client):
        assert admin_client.post(f"{BUDGETS}add/", budget_form()).status_code == 302
        assert str(Budget.objects.get()) == "$5 per day for the installation"

    def test_it_is_nobodys_by_omission(self, refused_form):
        found = refused_form(f"{BUDGETS}add/", budget_form(installation=""))
        assert list(found) == ["project"]
        assert found["project"].startswith("Say whose budget it is: ")
        assert not Budget.objects.exists()

    @pytest.mark.parametrize("whose", ["project", "key"])
    def test_the_installation_goes_with_neither_project_nor_key(self, refused_form, ours, whose):
        named = {"project": ours.project.pk} if whose == "project" else {"api_key": ours.key.pk}
        found = refused_form(f"{BUDGETS}add/", budget_form(installation="on", **named))
        assert list(found) == ["project"]
        assert found["project"].startswith("The whole installation is ticked and a project or an API key is chosen")
        assert not Budget.objects.exists()

    def test_a_key_that_there_is_not_is_told_alone(self, refused_form):
        assert list(refused_form(f"{BUDGETS}add/", budget_form(api_key=999))) == ["api_key"]

    def test_a_total_one_counts_from_now(self, admin_client):
        admin_client.post(f"{BUDGETS}add/", budget_form(window="total"))
        assert Budget.objects.get().starts_at is not None

    @pytest.mark.parametrize(
        ("fields", "field", "says"),
        [
            ({"limit_usd": "-1"}, "limit_usd", "Use more than 0 US dollars."),
            ({"limit_usd": "0"}, "limit_usd", "Use more than 0 US dollars."),
            ({"limit_usd": "0.0000000005"}, "limit_usd", "Use at least 0.000000001 US dollars."),
            ({"limit_usd": "1000001"}, "limit_usd", "Use at most 1,000,000 US dollars."),
            ({"limit_usd": "NaN"}, "limit_usd", "Use an amount in US dollars, such as 5 or 0.25."),
            ({"limit_usd": "0.12345678901"}, "limit_usd", "Use at most ten digits after the point."),
            ({"window": "fortnight"}, "window", "fortnight is not a window: use hour, day, week, month or total."),
            ({"action": "explode"}, "action", "explode is not an action: use refuse, degrade or note."),
            ({"near_edge": "jump"}, "near_edge", "jump is nothing to do near the edge: use shorten or deny."),
            ({"severity": "loud"}, "severity", "loud is not a severity: use info, warning or critical."),
            ({"action": "degrade"}, "layer", "Name the layer to degrade to."),
            ({"action": "degrade", "layer": "l1"}, "layer", "There is no layer 'l1'. Did you mean L1"),
            ({"layer": "L0"}, "layer", "Only a budget that degrades names a layer: leave this empty."),
            ({"ends_at_0": "2026-01-01", "ends_at_1": "00:00"}, "ends_at", "This lies in the past."),
        ],
    )
    def test_a_wrong_field_is_refused_beside_it_in_the_services_words(self, refused_form, layers, fields, field, says):
        found = refused_form(f"{BUDGETS}add/", budget_form(**fields))
        assert list(found) == [field]
        assert found[field].startswith(says)
        assert not Budget.objects.exists()

    def test_its_page_shows_what_was_refused(self, admin_client):
        page = admin_client.post(f"{BUDGETS}add/", budget_form(limit_usd="-1")).content.decode()
        assert "Use more than 0 US dollars." in page
        assert 'name="limit_usd" value="-1"' in page

    def test_another_projects_key_is_refused(self, refused_form, ours, theirs):
        form = budget_form(project=ours.project.pk, api_key=theirs.key.pk)
        found = refused_form(f"{BUDGETS}add/", form)
        assert found == {"api_key": "The key first belongs to the project theirs, not to default."}

    def test_one_that_overlaps_is_refused_naming_the_other(self, refused_form):
        row = make()
        found = refused_form(f"{BUDGETS}add/", budget_form())
        assert found["starts_at"].startswith(f"Budget {row.pk} (")

    def test_a_change_goes_through_the_service(self, admin_client, ours):
        row = make(project=ours.project)
        answer = admin_client.post(f"{BUDGETS}{row.pk}/change/", budget_form(limit_usd="7.50", enabled=""))
        assert answer.status_code == 302
        entry = AuditEntry.objects.get(action="budget.changed")
        assert (entry.actor, entry.after["limit_usd"], entry.after["enabled"]) == ("admin", "7.5", False)

    def test_saving_without_a_change_changes_nothing(self, admin_client, ours):
        row = make(project=ours.project, starts_at=datetime(2026, 1, 2, tzinfo=UTC))
        form = budget_form(starts_at_0="2026-01-02", starts_at_1="00:00:00")
        assert admin_client.post(f"{BUDGETS}{row.pk}/change/", form).status_code == 302
        assert not AuditEntry.objects.filter(action="budget.changed").exists()
        assert Budget.objects.get().defined_at == row.defined_at

    def test_a_wrong_change_is_refused_beside_its_field(self, refused_form):
        row = make()
        found = refused_form(f"{BUDGETS}{row.pk}/change/", budget_form(limit_usd="x"))
        assert list(found) == ["limit_usd"]

    def test_whose_it_is_and_its_window_are_shown_and_stay(self, admin_client, ours):
        row = make()
        page = admin_client.get(f"{BUDGETS}{row.pk}/change/")
        assert not {"project", "api_key", "window"} & set(page.context["adminform"].form.fields)
        admin_client.post(f"{BUDGETS}{row.pk}/change/", budget_form(window="hour", project=ours.project.pk))
        row.refresh_from_db()
        assert (row.window, row.project) == ("day", None)

    def test_deleting_is_audited_for_each(self, admin_client, ours):
        rows = [make(), make(project=ours.project), make(api_key=ours.key)]
        admin_client.post(f"{BUDGETS}{rows[0].pk}/delete/", {"post": "yes"})
        chosen = {"action": "delete_selected", "_selected_action": [row.pk for row in rows[1:]], "post": "yes"}
        admin_client.post(BUDGETS, chosen)
        assert not Budget.objects.exists()
        assert AuditEntry.objects.filter(action="budget.deleted", actor="admin").count() == 3

    def test_the_list_tells_what_was_spent_and_is_held(self, admin_client, ours, monkeypatch):
        make(), make(window="month")
        asked = []

        def of(rows):
            asked.append(len(rows))
            return {row.pk: Standing(Decimal("1.250"), None) for row in rows}

        monkeypatch.setattr(standing, "of", of)
        page = admin_client.get(BUDGETS).content.decode()
        assert asked == [2]
        assert '<td class="field-spent">1.25</td>' in page
        assert '<td class="field-state">active</td>' in page
        assert '<td class="field-held">-</td>' in page

    def test_its_page_tells_them_too_and_when_the_window_ends(self, admin_client, monkeypatch):
        row = make()
        ends = datetime(2040, 1, 2, tzinfo=UTC)
        monkeypatch.setattr(
            standing,
            "of",
            lambda rows: {row.pk: Standing(Decimal("1.250"), Decimal("0.5"), None, ends) for row in rows},
        )
        page = admin_client.get(f"{BUDGETS}{row.pk}/change/").content.decode()
        for shown in ("1.25", "0.5", "02 January 2040, 00:00 UTC"):
            assert f'<div class="readonly">{shown}' in page

    def test_the_list_takes_as_many_queries_for_many(self, admin_client, ours, django_assert_max_num_queries):
        for window in ("hour", "day", "week", "month"):
            make(window=window, api_key=ours.key)
            make(window=window, project=ours.project)
        with django_assert_max_num_queries(8):
            page = admin_client.get(BUDGETS).content.decode()
        assert "key first" in page
        assert "project default" in page


def project_form(**fields):
    empty = {f"memberships-{part}_FORMS": 0 for part in ("TOTAL", "INITIAL")}
    return {"slug": "lab", "name": "Lab", "time_zone": "UTC", "enabled": "on", "bodies_days": "7"} | empty | fields


class TestProject:
    def test_it_is_made_through_the_service(self, admin_client):
        form = project_form(time_zone="Asia/Kathmandu", requests_per_minute="60")
        assert admin_client.post(f"{PROJECTS}add/", form).status_code == 302
        row = projects.find("lab")
        assert (row.time_zone, row.requests_per_minute, row.tokens_per_minute) == ("Asia/Kathmandu", 60, None)
        assert AuditEntry.objects.get(action="project.created").actor == "admin"

    def test_zones_are_a_list_to_choose_from(self, admin_client):
        page = admin_client.get(f"{PROJECTS}add/").content.decode()
        assert '<option value="America/Sao_Paulo">' in page
        assert '<option value="UTC" selected>' in page

    @pytest.mark.parametrize(
        ("fields", "field", "says"),
        [
            ({"time_zone": "Mars/Olympus"}, "time_zone", "'Mars/Olympus' is not a time zone"),
            ({"slug": "default"}, "slug", "A project named 'default' already exists; choose another slug."),
            ({"slug": "The Lab"}, "slug", "Use lower-case letters"),
            ({"requests_per_minute": "0"}, "requests_per_minute", "greater than or equal to 1"),
            ({"tokens_per_minute": "-1"}, "tokens_per_minute", "greater than or equal to 1"),
            ({"bodies_days": "91"}, "bodies_days", "less than or equal to 90"),
        ],
    )
    def test_a_wrong_field_is_refused_beside_it(self, refused_form, fields, field, says):
        found = refused_form(f"{PROJECTS}add/", project_form(**fields))
        assert list(found) == [field]
        assert says in found[field]
        assert Project.objects.count() == 1

    def test_its_page_shows_what_was_refused(self, admin_client):
        page = admin_client.post(f"{PROJECTS}add/", project_form(time_zone="Mars/Olympus")).content.decode()
        assert "&#x27;Mars/Olympus&#x27; is not a time zone" in page

    def test_a_change_of_zone_moves_its_budgets(self, admin_client, ours):
        row = make(api_key=ours.key)
        form = project_form(slug="other", time_zone="Asia/Kathmandu")
        assert admin_client.post(f"{PROJECTS}{ours.project.pk}/change/", form).status_code == 302
        assert Budget.objects.get().defined_at > row.defined_at
        entry = AuditEntry.objects.get(action="project.changed")
        assert (entry.actor, entry.after["time_zone"]) == ("admin", "Asia/Kathmandu")
        assert Project.objects.get().slug == "default"

    def test_its_members_are_audited(self, admin_client, ours, django_user_model):
        ann = django_user_model.objects.create_user("ann")
        member = {"memberships-TOTAL_FORMS": 1, "memberships-0-user": ann.pk, "memberships-0-role": "operator",
                  "memberships-0-project": ours.project.pk}  # fmt: skip
        admin_client.post(f"{PROJECTS}{ours.project.pk}/change/", project_form(name="Default", **member))
        assert Membership.objects.get().user == ann
        assert AuditEntry.objects.get(action="project.members_changed").after == {"ann": "operator"}

    def test_one_with_keys_is_kept_and_says_why(self, admin_client, theirs):
        for path, form in (
            (f"{PROJECTS}{theirs.project.pk}/delete/", {"post": "yes"}),
            (PROJECTS, {"action": "delete_selected", "_selected_action": [theirs.project.pk], "post": "yes"}),
        ):
            page = admin_client.post(path, form).content.decode()
            assert "API key: " in page
            assert "first" in page
        assert projects.find("theirs")

    def test_the_default_one_is_kept_and_says_why(self, admin_client):
        page = admin_client.post(f"{PROJECTS}{projects.find('default').pk}/delete/", {"post": "yes"}).content.decode()
        assert "The default project: keys that name no project belong to it" in page
        assert projects.find("default")

    def test_deleting_is_audited_with_its_budgets(self, admin_client, theirs):
        keys.delete(theirs.key, actor="tests")
        make(project=theirs.project)
        admin_client.post(f"{PROJECTS}{theirs.project.pk}/delete/", {"post": "yes"})
        assert not Project.objects.filter(slug="theirs").exists()
        assert AuditEntry.objects.filter(action__in=["project.deleted", "budget.deleted"], actor="admin").count() == 2

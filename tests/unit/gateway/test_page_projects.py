"""`/admin/projects/` and the page of one: settings, members, deleting; for who belongs to it, by their role there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from analytics import budget_rows, keys, ledger, projects
from analytics.models import AuditEntry, Membership, Project
from tests.unit.analytics.test_ledger import usage_row
from tests.unit.gateway import page_forms

pytestmark = pytest.mark.django_db
LIST = "/admin/projects/"
OURS = "/admin/projects/default/"
LIMITS = {"requests_per_minute": "", "tokens_per_minute": "", "concurrent_requests": ""}


def member(name, project, role):
    found, _ = User.objects.get_or_create(username=name)
    Membership.objects.create(user=found, project=project, role=role)
    return found


@pytest.fixture
def ada(client, ours):
    """An admin of ours, at the pages."""
    client.force_login(member("ada", ours.project, "admin"))
    return client


def sent(client, do, *, at=OURS, htmx=False, **fields):
    return client.post(at, {"do": do, **fields}, headers={"HX-Request": "true"} if htmx else {})


def done(client, do, *, to=OURS, **fields):
    """What is said on the page that one is led to."""
    answer = client.post(OURS, {"do": do, **fields}, follow=True)
    assert answer.redirect_chain == [(to, 302)], answer.context_data["mistake"]
    return " ".join(str(message) for message in answer.context["messages"])


def refused(client, do, status=400, **fields):
    answer = sent(client, do, **fields)
    assert answer.status_code == status
    return answer.context_data["mistake"]


class TestList:
    def lines(self, client, query=""):
        answer = client.get(f"{LIST}?{query}")
        assert answer.status_code == 200
        return {line.project.slug: line for line in answer.context_data["lines"]}

    def test_each_has_its_members_tokens_budgets_and_cost(self, admin_client, ours, theirs):
        member("bob", ours.project, "viewer")
        member("eve", ours.project, "admin")
        keys.create("second", actor="tests", project=ours.project)
        for target in ({"project": ours.project}, {"api_key": ours.key}, {"project": theirs.project}, {}):
            budget_rows.create(actor="tests", window="day", limit_usd="5", **target)
        for tenant, days, usd in ((ours, 1, "0.5"), (ours, 20, "0.25"), (ours, 40, "9"), (theirs, 1, "7")):
            ids = {"project_id": tenant.project.pk, "project": tenant.project.slug, "key_id": tenant.key.pk}
            ledger.insert([usage_row(datetime.now(UTC) - timedelta(days=days), **ids, cost_usd=Decimal(usd))])
        found = self.lines(admin_client)
        assert list(found) == ["default", "theirs"]
        line = found["default"]
        assert (line.members, line.keys, line.budgets, line.cost_usd) == (2, 2, 2, Decimal("0.75"))
        line = found["theirs"]
        assert (line.members, line.keys, line.budgets, line.cost_usd) == (0, 1, 1, 7)

    def test_a_member_sees_theirs_alone(self, client, ours, theirs):
        client.force_login(member("zoe", theirs.project, "viewer"))
        assert {slug: line.role for slug, line in self.lines(client).items()} == {"theirs": "viewer"}
        page = client.get(LIST).content.decode()
        assert "default" not in page
        assert "New project" not in page

    def test_search_and_pages(self, admin_client, ours, monkeypatch):
        for slug in ("alpha", "beta", "gamma"):
            projects.create(slug, name=f"The {slug}", actor="tests")
        assert list(self.lines(admin_client, "q=THE+b")) == ["beta"]
        monkeypatch.setattr("gateway.pages.projects.MOST_SHOWN", 2)
        answer = admin_client.get(LIST)
        assert list(self.lines(admin_client)) == ["alpha", "beta"]
        assert list(self.lines(admin_client, answer.context_data["next"][1:])) == ["default", "gamma"]

    def test_its_questions_do_not_grow(self, admin_client, ours):
        def asked():
            with CaptureQueriesContext(connection) as captured:
                admin_client.get(LIST)
            return len(captured)

        before = asked()
        for number in range(5):
            member(f"u{number}", projects.create(f"p{number}", actor="tests"), "viewer")
        assert asked() == before

    def test_it_stands_in_the_navigation_of_members(self, client, ada, theirs):
        assert 'href="/admin/projects/"' in ada.get("/admin/requests/").content.decode()
        client.force_login(User.objects.create_user("staff", is_staff=True))
        assert 'href="/admin/projects/"' not in client.get("/admin/requests/").content.decode()
        assert client.get(LIST).status_code == 403


class TestBodies:
    def sent(self, client, slug="default", **fields):
        return client.post(f"{LIST}{slug}/", {"do": "bodies", **fields}, follow=True)

    def test_they_are_kept_and_not_kept_any_more(self, admin_client, ours):
        answer = self.sent(admin_client, stores_bodies="true", bodies_days="3")
        assert "kept, masked, for 3 days" in answer.content.decode()
        ours.project.refresh_from_db()
        assert (ours.project.stores_bodies, ours.project.bodies_days) == (True, 3)
        assert "are not kept" in self.sent(admin_client, stores_bodies="false", bodies_days="3").content.decode()
        ours.project.refresh_from_db()
        assert not ours.project.stores_bodies

    def test_days_are_changed_without_what_others_switched(self, admin_client, ours):
        Project.objects.filter(pk=ours.project.pk).update(stores_bodies=True)
        opened = page_forms.filled(admin_client, OURS, "bodies")
        Project.objects.filter(pk=ours.project.pk).update(stores_bodies=False)
        assert "are not kept" in self.sent(admin_client, **opened | {"bodies_days": "3"}).content.decode()
        row = Project.objects.get(pk=ours.project.pk)
        assert (row.stores_bodies, row.bodies_days) == (False, 3)

    @pytest.mark.parametrize("days", ["0", "91", "many", ""])
    def test_days_have_their_bounds(self, admin_client, ours, days):
        opened = page_forms.filled(admin_client, OURS, "bodies")
        answer = self.sent(admin_client, **opened | {"stores_bodies": "true", "bodies_days": days})
        assert (answer.status_code, bool(answer.context_data["mistake"])) == (400, True)
        ours.project.refresh_from_db()
        assert not ours.project.stores_bodies

    def test_by_admins_alone(self, client, ours):
        user = User.objects.create_user("otto")
        Membership.objects.create(user=user, project=ours.project, role="operator")
        client.force_login(user)
        assert self.sent(client, stores_bodies="true", bodies_days="3").status_code == 403


class TestNew:
    PAGE = "/admin/projects/new/"

    def test_a_superuser_makes_one(self, admin_client, ours):
        assert admin_client.get(self.PAGE).status_code == 200
        given = {**LIMITS, "slug": "lab", "name": "", "time_zone": "Asia/Kathmandu", "requests_per_minute": "60"}
        answer = admin_client.post(self.PAGE, given)
        assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/projects/lab/")
        row = Project.objects.get(slug="lab")
        assert (row.name, row.time_zone, row.requests_per_minute) == ("lab", "Asia/Kathmandu", 60)
        assert AuditEntry.objects.get(action="project.created").actor == "admin"

    @pytest.mark.parametrize(
        ("field", "value", "says"),
        [
            ("slug", "default", "already exists"), ("slug", "A b", "lower-case"), ("slug", "", "blank"),
            ("slug", "a\0b", "Use no control characters"), ("name", "a\0b", "Use no control characters"),
            ("slug", "new", "is where projects are made"), ("time_zone", "localtime", "IANA name"),
            ("tokens_per_minute", "many", "Use a whole number"), ("tokens_per_minute", "0", "1"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_said_beside_its_field(self, admin_client, ours, field, value, says):
        given = {**LIMITS, "slug": "lab", "name": "Lab", "time_zone": "UTC"} | {field: value}
        answer = admin_client.post(self.PAGE, given)
        wrong = {one.name: (one.value, one.mistake) for one in answer.context_data["fields"] if one.mistake}
        assert (answer.status_code, list(wrong), wrong[field][0]) == (400, [field], value)
        assert says in wrong[field][1]

    def test_a_form_without_fields_lacks_its_slug(self, admin_client, ours):
        answer = admin_client.post(self.PAGE)
        assert (answer.status_code, [one.name for one in answer.context_data["fields"] if one.mistake]) == (
            400,
            ["slug", "name"],
        )
        assert Project.objects.count() == 1

    def test_nobody_else_does(self, ada):
        assert ada.get(self.PAGE).status_code == ada.post(self.PAGE, {"slug": "lab"}).status_code == 403
        assert Project.objects.count() == 1


class TestSettings:
    def test_an_admin_changes_them(self, ada, ours):
        given = LIMITS | {"name": " Ours ", "time_zone": "Europe/Berlin", "concurrent_requests": "4"}
        assert "are saved" in done(ada, "settings", **given)
        ours.project.refresh_from_db()
        assert (ours.project.name, ours.project.time_zone, ours.project.concurrent_requests) == (
            "Ours",
            "Europe/Berlin",
            4,
        )
        assert AuditEntry.objects.get(action="project.changed").actor == "ada"

    def test_what_nobody_touched_stays_as_others_set_it(self, ada, ours):
        opened = page_forms.filled(ada, OURS, "settings")
        theirs = {"requests_per_minute": 60, "time_zone": "Asia/Kathmandu", "concurrent_requests": 2}
        Project.objects.filter(pk=ours.project.pk).update(**theirs)
        wrong = sent(ada, "settings", **opened | {"name": "Ours", "tokens_per_minute": "many"})
        again = page_forms.read(wrong, "settings") | {"tokens_per_minute": "9000"}
        assert "are saved" in done(ada, "settings", **again)
        expected = theirs | {"name": "Ours", "tokens_per_minute": 9000}
        assert Project.objects.filter(pk=ours.project.pk).values(*expected).get() == expected

    def test_a_limit_is_lifted(self, ada, ours):
        Project.objects.filter(pk=ours.project.pk).update(requests_per_minute=60)
        opened = page_forms.filled(ada, OURS, "settings")
        assert opened["requests_per_minute"] == "60"
        done(ada, "settings", **opened | {"requests_per_minute": ""})
        assert Project.objects.get(pk=ours.project.pk).requests_per_minute is None

    def test_what_is_wrong_is_said_beside_its_field_and_the_rest_is_kept(self, ada, ours):
        answer = sent(ada, "settings", htmx=True, name="Ours", time_zone="UTC", requests_per_minute="-1")
        told = {one.name: one for one in answer.context_data["fields"]}
        assert (answer.status_code, told["name"].value, bool(told["requests_per_minute"].mistake)) == (
            400,
            "Ours",
            True,
        )
        assert Project.objects.get().name != "Ours"

    def test_a_name_holds_no_character_that_cannot_be_kept(self, ada, ours):
        answer = sent(ada, "settings", **page_forms.filled(ada, OURS, "settings") | {"name": "a\0b"})
        wrong = {one.name: one.mistake for one in answer.context_data["fields"] if one.mistake}
        assert (answer.status_code, list(wrong)) == (400, ["name"])
        assert "Use no control characters" in wrong["name"]

    def test_it_is_switched_off_and_on(self, ada, ours):
        for word, is_on in (("false", False), ("true", True)):
            assert done(ada, "switch", enabled=word)
            assert Project.objects.get().enabled is is_on


class TestMembers:
    def test_they_are_added_changed_and_taken_out(self, admin_client, ours):
        User.objects.create_user("bob")
        assert done(admin_client, "put", user=" bob ", role="viewer") == "bob is now viewer of the project."
        assert done(admin_client, "put", user="bob", role="admin") == "bob is in the project as admin."
        assert Membership.objects.get().role == "admin"
        assert done(admin_client, "take-out", user="bob") == "bob is no longer in default."
        assert AuditEntry.objects.filter(action="project.members_changed", actor="admin").count() == 3

    def test_who_is_in_already_is_not_added_with_another_role(self, admin_client, ours):
        Membership.objects.create(user=User.objects.create_user("bob"), project=ours.project, role="admin")
        answer = sent(admin_client, "add", user="bob", role="viewer")
        assert (answer.status_code, answer.context_data["mistake"][:44]) == (
            400,
            "bob is in the project already, as admin: ano",
        )
        assert Membership.objects.get(user__username="bob", project=ours.project).role == "admin"
        assert "Say who" in sent(admin_client, "add", user=" ", role="viewer").context_data["mistake"]
        page = sent(admin_client, "add", user="ewe", role="viewer").content.decode()
        assert 'value="ewe" aria-invalid="true"' in page
        User.objects.create_user("eve")
        assert done(admin_client, "add", user="eve", role="viewer") == "eve is now viewer of the project."

    @pytest.mark.parametrize(
        ("do", "fields", "says"),
        [
            ("put", {"user": "eve", "role": "viewer"}, "There is no user 'eve' whom you may add"),
            ("put", {"user": "nobody", "role": "viewer"}, "There is no user 'nobody' whom you may add"),
            ("put", {"user": "n\0", "role": "viewer"}, "There is no user"),
            ("put", {"user": "ada", "role": "viewer"}, "ada is the last admin"),
            ("put", {"user": "ada", "role": "owner"}, "Use viewer, operator, admin."),
            ("take-out", {"user": "ada"}, "ada is the last admin"),
            ("take-out", {"user": "eve"}, "'eve' is no member"),
            ("explode", {}, "load the page anew"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_is_said(self, ada, ours, theirs, do, fields, says):
        member("eve", theirs.project, "viewer")
        before = list(Membership.objects.values())
        assert says in refused(ada, do, **fields)
        assert list(Membership.objects.values()) == before

    def test_names_are_offered_that_may_be_added(self, ada, admin_client, ours, theirs):
        member("eve", theirs.project, "viewer")
        assert [user.username for user in ada.get(OURS).context_data["names"]] == []
        assert [user.username for user in admin_client.get(OURS).context_data["names"]] == ["admin", "eve"]

    def test_who_takes_themselves_out_is_led_to_the_list(self, ada, ours, theirs):
        member("bob", ours.project, "admin")
        Membership.objects.create(user=User.objects.get(username="ada"), project=theirs.project, role="viewer")
        answer = sent(ada, "take-out", htmx=True, user="ada")
        assert (answer.status_code, answer.headers["HX-Redirect"]) == (200, LIST)
        assert ada.get(OURS).status_code == 404

    def test_by_htmx_it_is_said_on_the_spot(self, ada, ours):
        member("bob", ours.project, "viewer")
        answer = sent(ada, "put", htmx=True, user="bob", role="operator")
        assert (answer.status_code, answer.context_data["said"]) == (200, "bob is in the project as operator.")
        assert {one.user.username: one.role for one in answer.context_data["members"]}["bob"] == "operator"


class TestDeleting:
    @pytest.fixture
    def lab(self, ours):
        return projects.create("lab", actor="tests")

    def test_a_superuser_who_writes_its_name(self, admin_client, lab):
        at = "/admin/projects/lab/"
        answer = sent(admin_client, "delete", at=at, confirm="la")
        assert "write lab into the field" in answer.context_data["mistake"]
        answer = sent(admin_client, "delete", at=at, confirm="lab")
        assert (answer.status_code, answer.headers["Location"]) == (302, LIST)
        assert not Project.objects.filter(slug="lab").exists()

    def test_one_with_keys_is_kept_and_says_why(self, admin_client, theirs):
        answer = sent(admin_client, "delete", at="/admin/projects/theirs/", confirm="theirs")
        assert "has API keys (first)" in answer.context_data["mistake"]
        assert "default project cannot be deleted" in refused(admin_client, "delete", confirm="default")

    def test_its_admin_does_not(self, ada):
        assert refused(ada, "delete", 403, confirm="default") == "Only superusers delete projects."
        assert 'value="delete"' not in ada.get(OURS).content.decode()


class TestWhoMay:
    DOS = ("settings", "switch", "bodies", "add", "put", "take-out", "delete")

    @pytest.mark.parametrize("role", ["viewer", "operator"])
    def test_lower_roles_look(self, client, ours, role):
        client.force_login(member("zoe", ours.project, role))
        page = client.get(OURS).content.decode()
        assert ("zoe" in page, role in page) == (True, True)
        assert "<form" not in page.partition('id="project"')[2]
        for do in self.DOS:
            fields = {"user": "zoe", "role": "admin", "enabled": "false", "name": "x", "confirm": "default"}
            assert refused(client, do, 403, **fields) == "This is for admins of the project."
        assert (Project.objects.get().enabled, Membership.objects.get().role) == (True, role)

    def test_to_another_projects_admin_it_is_not_there(self, client, ours, theirs):
        client.force_login(member("eve", theirs.project, "admin"))
        assert client.get(OURS).status_code == 404
        for do in self.DOS:
            assert sent(client, do, user="eve", role="admin").status_code == 404
        assert not Membership.objects.filter(project=ours.project).exists()

    def test_nobody_comes_in_unsigned_or_from_another_site(self, ours, admin_user):
        assert Client().get(OURS).status_code == 302
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(admin_user)
        assert sent(strict, "switch", enabled="false").status_code == 403
        assert Project.objects.get().enabled


def test_it_leads_to_what_the_project_has(ada, ours):
    page = ada.get(OURS).content.decode()
    for address in ("/admin/tokens/", "/admin/budgets/", "/admin/requests/", "/admin/"):
        assert f'href="{address}?project=default' in page

"""The audit trail as it is read: by the API, the command and the admin; nobody sees what is not theirs."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.test import Client

from analytics import audit, audit_context, keys
from analytics.models import AuditEntry, Membership, Severity
from gateway import command_line
from providers.models import Provider

pytestmark = pytest.mark.django_db
PAGES = "/admin/analytics/auditentry/"
SOME_ACTION = "tried."


@pytest.fixture
def trail(ours, theirs):
    """Four entries: about us, them, the installation, and one that was a warning, oldest first."""
    with audit_context.request_of(lambda: "ann", address=lambda: "192.0.2.7"):
        audit.record("tried.ours", target="first", project_id=ours.project.pk, before={"a": 1}, after={"a": 2})
        audit.record("tried.theirs", actor="Bob", target="second", project_id=theirs.project.pk)
        audit.record("tried.all", target="third 100%")
        audit.record("tried.hard", target="fourth", project_id=ours.project.pk, severity=Severity.WARNING)
    return list(AuditEntry.objects.filter(action__startswith=SOME_ACTION).order_by("id"))


def actions(answer):
    status, page = answer
    assert status == 200, page
    return [row["action"] for row in page["data"]]


class TestApi:
    def test_an_entry_has_who_what_when_and_from_where(self, us, trail):
        (told,) = us("get", "audit?action=tried.ours")[1]["data"]
        entry = trail[0]
        assert told == {
            "object": "audit_entry", "id": entry.pk, "at": entry.at.isoformat(timespec="milliseconds"),
            "severity": "info", "actor": "ann", "address": "192.0.2.7", "action": "tried.ours", "target": "first",
            "project": "default", "before": {"a": 1}, "after": {"a": 2},
        }  # fmt: skip
        assert us("get", f"audit/{entry.pk}") == (200, told)

    def test_a_projects_admin_reads_what_is_about_it(self, us, them, root, trail):
        assert actions(us("get", "audit?action=tried.")) == ["tried.hard", "tried.ours"]
        assert actions(them("get", "audit?action=tried.")) == ["tried.theirs"]
        assert actions(root("get", "audit?action=tried.")) == ["tried.hard", "tried.all", "tried.theirs", "tried.ours"]

    def test_to_others_an_entry_does_not_exist(self, us, them, trail):
        assert them("get", f"audit/{trail[0].pk}")[0] == 404
        assert us("get", f"audit/{trail[2].pk}")[0] == 404
        assert us("get", f"audit/{1 << 70}")[0] == 404
        assert them.refused("get", "audit?project=default")[:2] == (400, "project")

    def test_a_member_who_is_no_admin_reads_nothing(self, ours, trail):
        ann = User.objects.create_user("ann")
        Membership.objects.create(user=ann, project=ours.project, role="operator")
        client = Client()
        client.force_login(ann)
        assert client.get("/v1/admin/audit").status_code == 403
        assert Client().get("/v1/admin/audit").status_code == 401

    def test_a_key_without_the_scope_reads_nothing(self, ours, trail):
        from tests.unit.gateway.conftest import bearing

        assert bearing(ours.secret)("get", "audit")[0] == 403

    @pytest.mark.parametrize(
        ("asked", "found"),
        [
            ("severity=warning", ["tried.hard"]),
            ("severity=info&target=FIRST", ["tried.ours"]),
            ("actor=bob", ["tried.theirs"]),
            ("project=theirs", ["tried.theirs"]),
            ("target=100%25", ["tried.all"]),
            ("target=1_0", []),
            ("since=2020-01-01T00:00:00Z&until=2020-01-02T00:00:00Z", []),
            ("since=7d&severity=warning&target=four", ["tried.hard"]),
            ("since=last+month&target=first", []),
            ("until=today&target=first", []),
            ("until=2020-01-01&target=first", []),
        ],
    )
    def test_it_is_filtered(self, root, trail, asked, found):
        assert [action for action in actions(root("get", f"audit?{asked}")) if action.startswith("tried.")] == found

    def test_pages_go_back_in_time_and_miss_nothing_that_is_added_meanwhile(self, root, trail):
        first = root("get", "audit?action=tried.&limit=2")[1]
        assert (first["has_more"], [row["action"] for row in first["data"]]) == (True, ["tried.hard", "tried.all"])
        audit.record("tried.later")
        second = root("get", f"audit?action=tried.&limit=2&after={first['last_id']}")[1]
        assert ([row["action"] for row in second["data"]], second["has_more"]) == (
            ["tried.theirs", "tried.ours"], False,
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("asked", "field"),
        [("since=soon", "since"), ("until=never", "until"), ("since=", "since"), ("severity=bad", "severity"),
         ("whom=x", "whom"), ("format=csv", "format"),
         ("after=x", "after"), ("limit=0", "limit"), ("target=%00", "target")],
    )  # fmt: skip
    def test_what_is_wrong_is_told_at_its_parameter(self, us, asked, field):
        assert us.refused("get", f"audit?{asked}")[:2] == (400, field)

    @pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
    def test_it_can_only_be_read(self, root, trail, method):
        assert [root(method, path)[0] for path in ("audit", f"audit/{trail[0].pk}")] == [405, 405]

    def test_what_a_key_changes_carries_its_name_and_address(self, us, ours):
        us("patch", f"keys/{ours.key.pk}", name="renamed")
        entry = AuditEntry.objects.get(action="api_key.changed")
        assert (entry.actor[:12], entry.address) == ("key steward ", "127.0.0.1")

    def test_the_number_of_queries_does_not_grow_with_the_page(self, root, trail, django_assert_max_num_queries):
        root("get", "audit?limit=1")
        with django_assert_max_num_queries(6):
            root("get", "audit?limit=100")


class TestCommand:
    def test_it_lists_the_newest_first(self, run, trail):
        status, out, _ = run("audit", "--action", "tried.")
        lines = out.splitlines()
        assert (status, len(lines)) == (0, 5)
        assert lines[0].split()[:3] == ["id", "at", "severity"]
        assert [line.split()[0] for line in lines[1:]] == [str(entry.pk) for entry in reversed(trail)]
        assert "a: 1 -> 2" in lines[4]

    def test_filters_and_json(self, run, trail):
        _, out, _ = run("audit", "list", "--since", "7d", "--severity", "warning", "--target", "FOUR", "--json")
        assert [row["action"] for row in json.loads(out)] == ["tried.hard"]
        _, out, _ = run("audit", "--project", "theirs", "--action", "tried.", "--json")
        assert [row["actor"] for row in json.loads(out)] == ["Bob"]
        tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"
        assert run("audit", "--since", tomorrow)[1] == "No entries.\n"
        _, out, _ = run("audit", "--action", "tried.", "--limit", "1", "--before", str(trail[1].pk), "--json")
        assert [row["id"] for row in json.loads(out)] == [trail[0].pk]

    def test_one_is_shown_in_full(self, run, trail):
        status, out, _ = run("audit", "show", str(trail[0].pk))
        assert (status, out.splitlines()[0]) == (0, f"Entry {trail[0].pk}: tried.ours")
        assert "192.0.2.7" in out
        assert out.splitlines()[-1].split() == ["a", "1", "2"]

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            (["show"], "Say which entry"),
            (["show", "x"], "There is no entry x"),
            (["show", "99999999"], "There is no entry 99999999"),
            (["list", "7"], "did you mean `audit show 7`"),
            (["--since", "soon"], "'soon' is no time: write 7d"),
            (["--until", "100000w"], "use a time between 1971 and 2200"),
            (["--limit", "0"], "use a whole number from 1"),
            (["--project", "nowhere"], "There is no project 'nowhere'"),
        ],
    )
    def test_what_it_cannot_do_is_told_in_a_sentence(self, run, db, words, told):
        status, _, err = run("audit", *words)
        assert (status, told in err) == (1, True), err

    def test_what_a_command_changes_is_the_command_lines(self, run, ours):
        run("projects", "set", "default", "--name", "Ours")
        entry = AuditEntry.objects.get(action="project.changed")
        assert (entry.actor, entry.address) == ("command line", None)

    def test_so_is_what_djangos_own_commands_change(self, monkeypatch, db):
        # The real one closes every connection, that of the test as well.
        monkeypatch.setattr(command_line.CommandLine, "execute", lambda line: User.objects.create_superuser("ann"))
        command_line.run()
        assert AuditEntry.objects.get(action="user.created").actor == "command line"


class TestPages:
    def test_the_list_is_found_filtered_and_short(self, admin_client, trail):
        page = admin_client.get(PAGES, {"q": "first"}).content.decode()
        assert "tried.ours" in page
        assert "second" not in page
        assert "a: 1 -&gt; 2" in page
        assert "192.0.2.7" in page
        page = admin_client.get(PAGES, {"severity__exact": "warning"}).content.decode()
        assert ("tried.hard" in page, "second" in page) == (True, False)

    def test_times_have_seconds(self, admin_client, trail):
        at = f"{trail[0].at:%Y-%m-%d %H:%M:%S}"
        assert at in admin_client.get(PAGES, {"q": "first"}).content.decode()
        assert at in admin_client.get(f"{PAGES}{trail[0].pk}/change/").content.decode()

    def test_there_is_no_history_of_what_nobody_edits(self, admin_client, trail):
        assert "historylink" not in admin_client.get(f"{PAGES}{trail[0].pk}/change/").content.decode()

    def test_what_was_changed_has_the_most_room(self, admin_client, trail):
        page = admin_client.get(PAGES).content.decode()
        assert "analytics/audit_list.css" in page and "column-changed" in page
        assert ".column-changed" in Path(finders.find("analytics/audit_list.css")).read_text()

    def test_an_entry_shows_before_and_after_in_a_table(self, admin_client, provider):
        provider.extra_body = {"x": "<script>"}
        provider.save()
        entry = AuditEntry.objects.order_by("-id").exclude(action="login.accepted").first()
        page = admin_client.get(f"{PAGES}{entry.pk}/change/").content.decode()
        assert "&lt;script&gt;" in page
        assert "<script>&quot;" not in page
        assert "extra_body" in page

    def test_nobody_adds_changes_or_deletes_one(self, admin_client, trail):
        page = f"{PAGES}{trail[0].pk}"
        chosen = {"action": "delete_selected", "_selected_action": [trail[0].pk], "post": "yes"}
        assert admin_client.get(f"{PAGES}add/").status_code == 403
        assert admin_client.post(f"{page}/change/", {"actor": "nobody"}).status_code == 403
        assert admin_client.post(f"{page}/delete/", {"post": "yes"}).status_code == 403
        admin_client.post(PAGES, chosen)
        assert AuditEntry.objects.get(pk=trail[0].pk).actor == "ann"
        assert "delete_selected" not in admin_client.get(PAGES).content.decode()

    def test_it_is_for_superusers(self, client, trail):
        user = User.objects.create_user("carl", is_staff=True)
        client.force_login(user)
        assert client.get(PAGES).status_code == 403


@pytest.fixture
def provider(db):
    return Provider.objects.create(slug="acme", name="Acme", base_url="https://acme.test/v1")


def test_a_task_is_the_systems(provider):
    import contextvars

    from gateway import celery

    def task():
        celery._begin_task()
        provider.enabled = False
        provider.save()

    contextvars.copy_context().run(task)
    assert AuditEntry.objects.order_by("-id").first().actor == "system"


def test_an_entry_about_a_project_that_is_gone_says_so(admin_client, root, theirs):
    audit.record("tried.theirs", project_id=theirs.project.pk)
    keys.delete(theirs.key, actor="tests")
    theirs.project.delete()
    (told,) = root("get", "audit?action=tried.")[1]["data"]
    assert told["project"] is None
    assert "(deleted)" in admin_client.get(f"{PAGES}{told['id']}/change/").content.decode()

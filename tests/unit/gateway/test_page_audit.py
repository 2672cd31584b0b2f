"""`/admin/audit/`: entries searched, paged, read one by one and taken away as CSV; beside a second tenant."""

from __future__ import annotations

import csv
import io

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from analytics import audit, audit_context
from analytics.models import AuditEntry, Membership, Project, Severity
from gateway import audit_file

pytestmark = pytest.mark.django_db
LIST = "/admin/audit/"


@pytest.fixture
def trail(ours, theirs):
    """Four entries: about us, them, the installation, and one that was a warning, oldest first."""
    with audit_context.request_of(lambda: "ann", address=lambda: "192.0.2.7"):
        audit.record(
            "tried.ours", target="<i>first</i>", project_id=ours.project.pk, before={"a": 1}, after={"a": None}
        )
        audit.record("tried.theirs", actor="Bob", target="second", project_id=theirs.project.pk)
        audit.record("tried.all", target="=third", after={"b": "made"})
        audit.record("tried.hard", target="fourth", project_id=ours.project.pk, severity=Severity.WARNING)
    return list(AuditEntry.objects.filter(action__startswith="tried.").order_by("id"))


def member(name, project, role):
    found, _ = User.objects.get_or_create(username=name)
    Membership.objects.create(user=found, project=project, role=role)
    return found


@pytest.fixture
def ada(ours, trail):
    """An admin of ours, who is a viewer of theirs."""
    user = member("ada", ours.project, "admin")
    member("ada", Project.objects.get(slug="theirs"), "viewer")
    client = Client()
    client.force_login(user)
    return client


def shown(client, **query):
    answer = client.get(LIST, {"action": "tried."} | query)
    assert answer.status_code == 200, answer.context_data["fields"]
    return [line.row.action.removeprefix("tried.") for line in answer.context_data["lines"]]


def rows(client, **query):
    answer = client.get(f"{LIST}csv/", {"action": "tried."} | query)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/csv; charset=utf-8")

    async def whole():
        return b"".join([piece async for piece in answer.streaming_content]).decode()

    return list(csv.DictReader(io.StringIO(async_to_sync(whole)())))


class TestList:
    def test_an_entry_is_a_line(self, admin_client, trail):
        page = admin_client.get(LIST, {"action": "tried.ours"})
        (line,) = page.context_data["lines"]
        assert (line.about, line.changed, line.project) == ("<i>first</i>", "a: 1 -> none", "default")
        assert "&lt;i&gt;first" in page.content.decode()

    def test_it_tells_what_differs_and_nothing_else(self, admin_client, trail):
        audit.record("tried.more", before={"a": 1, "b": 2}, after={"a": 1, "b": 3})
        audit.record("tried.first", before={}, after={"ann": "viewer"})
        lines = admin_client.get(LIST).context_data["lines"][:2]
        assert [line.changed for line in lines] == ["ann: none -> viewer", "b: 2 -> 3"]

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({}, ["hard", "all", "theirs", "ours"]), ({"severity": "warning"}, ["hard"]),
            ({"actor": "BOB"}, ["theirs"]),
            ({"target": "first"}, ["ours"]), ({"project": "default"}, ["hard", "ours"]), ({"until": "yesterday"}, []),
            ({"since": "1h", "action": "tried.a"}, ["all"]), ({"actor": " "}, ["hard", "all", "theirs", "ours"]),
            ({"target": "a\0b"}, []),
        ],
    )  # fmt: skip
    def test_it_is_narrowed_by_each_field(self, admin_client, trail, query, found):
        assert shown(admin_client, **query) == found

    @pytest.mark.parametrize(
        ("query", "says"),
        [
            ({"since": "nonsense"}, "is no time"), ({"severity": "mild"}, "Use info, warning, critical"),
            ({"project": "gone"}, "no project &#x27;gone&#x27;"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_said_beside_its_field(self, admin_client, trail, query, says):
        for at in (LIST, f"{LIST}csv/"):
            answer = admin_client.get(at, query)
            wrong = [field.name for field in answer.context_data["fields"] if field.mistake]
            assert (answer.status_code, wrong, answer.context_data["lines"]) == (400, list(query), [])
            assert says in answer.content.decode()

    def test_pages(self, admin_client, trail, monkeypatch):
        monkeypatch.setattr("gateway.pages.audit.MOST_SHOWN", 3)
        first = admin_client.get(LIST, {"action": "tried."})
        assert [line.row.action for line in first.context_data["lines"]][-1] == "tried.theirs"
        second = admin_client.get(LIST + first.context_data["older"])
        assert [line.row.action for line in second.context_data["lines"]] == ["tried.ours"]
        assert (second.context_data["older"], second.context_data["newest"]) == ("", "?action=tried.")
        assert len(shown(admin_client, after="no mark")) == 3

    def test_its_questions_do_not_grow(self, admin_client, trail, theirs):
        def asked():
            with CaptureQueriesContext(connection) as captured:
                admin_client.get(LIST)
            return len(captured)

        before = asked()
        for _ in range(10):
            audit.record("tried.more", project_id=theirs.project.pk)
        assert asked() == before


class TestEntry:
    def test_it_tells_before_and_after(self, admin_client, trail):
        answer = admin_client.get(f"{LIST}{trail[0].pk}/")
        assert [tuple(one) for one in answer.context_data["differences"]] == [("a", "1", "none")]
        page = answer.content.decode()
        assert ("192.0.2.7" in page, "/admin/projects/default/" in page) == (True, True)

    def test_of_a_deleted_project_too(self, admin_client, trail, theirs):
        audit.record("tried.gone", project_id=9999)
        row = AuditEntry.objects.get(action="tried.gone")
        assert "9999 (deleted)" in admin_client.get(f"{LIST}{row.pk}/").content.decode()

    @pytest.mark.parametrize("entry_id", [0, 1 << 40, 1 << 70])
    def test_one_that_is_not_there(self, admin_client, entry_id):
        assert admin_client.get(f"{LIST}{entry_id}/").status_code == 404


class TestCsv:
    def test_it_has_what_is_searched_for(self, admin_client, trail):
        (row,) = rows(admin_client, target="first")
        assert tuple(row) == audit_file.COLUMNS
        assert row | {"id": "", "at": ""} == {
            "id": "", "at": "", "severity": "info", "actor": "ann", "address": "192.0.2.7", "action": "tried.ours",
            "target": "<i>first</i>", "project": "default", "before": '{"a": 1}', "after": '{"a": null}',
        }  # fmt: skip

    def test_no_name_is_a_formula(self, admin_client, trail):
        assert [row["target"] for row in rows(admin_client, target="=third")] == ["'=third"]

    @pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
    def test_it_is_whole_whatever_its_pieces(self, admin_client, trail, monkeypatch, size):
        monkeypatch.setattr(audit_file, "PIECE", size)
        found = [row["id"] for row in rows(admin_client)]
        assert found == [str(entry.pk) for entry in reversed(trail)]


class TestWhoMay:
    def test_an_admin_reads_what_is_about_their_projects(self, ada, trail):
        assert shown(ada) == ["hard", "ours"]
        assert [row["action"] for row in rows(ada)] == ["tried.hard", "tried.ours"]
        assert [ada.get(f"{LIST}{entry.pk}/").status_code for entry in trail] == [200, 404, 404, 200]
        assert 'href="/admin/audit/"' in ada.get(LIST).content.decode()

    def test_a_project_they_are_no_admin_of_is_as_unknown_as_one_that_is_not_there(self, ada):
        told = set()
        for slug in ("theirs", "gone"):
            answer = ada.get(LIST, {"project": slug})
            told.add(answer.content.decode().replace(slug, "X").partition("You are an admin")[2][:30])
        assert len(told) == 1
        project = next(field for field in answer.context_data["fields"] if field.name == "project")
        assert [value for value, _ in project.choices] == ["", "default"]

    @pytest.mark.parametrize("role", ["viewer", "operator"])
    def test_lower_roles_read_nothing(self, client, ours, trail, role):
        client.force_login(member("zoe", ours.project, role))
        for at in (LIST, f"{LIST}csv/", f"{LIST}{trail[0].pk}/"):
            assert client.get(at).status_code == 403
        assert 'href="/admin/audit/"' not in client.get("/admin/projects/").content.decode()

    def test_nobody_comes_in_unsigned(self, client, trail):
        for at in (LIST, f"{LIST}csv/", f"{LIST}{trail[0].pk}/"):
            assert client.get(at).status_code == 302

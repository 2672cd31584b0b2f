"""`GET /v1/requests/{id}/body`, and who may read one: by API, on the request's page, at the command line."""

import json
from dataclasses import dataclass

import msgspec
import pytest
from django.contrib.auth.models import User
from django.test import Client

from analytics import ledger
from analytics.models import ApiKey, Membership, Project, RequestBody
from routing import snapshot
from tests.unit.analytics.test_ledger import request_id, usage_row
from tests.unit.gateway.conftest import Asker
from tests.unit.gateway.test_api_requests import LONG_AGO

pytestmark = pytest.mark.django_db
MESSAGES = [
    {"role": "system", "content": "Be <b>brief</b>"},
    {"role": "user", "content": [{"type": "text", "text": "Hi [e-mail]"}, {"type": "input_audio", "input_audio": {}}]},
    {"role": "assistant", "content": None,
     "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"a": 1}'}}]},
    {"role": "tool", "tool_call_id": "c1", "content": "line\n" * 40},
]  # fmt: skip


@pytest.fixture
def row(ours, layers):
    """Of our project, with a body."""
    snapshot.load()
    Project.objects.update(stores_bodies=True)
    row = usage_row(LONG_AGO, project_id=ours.project.pk, project="default", key_id=ours.key.pk)
    ledger.insert([row])
    asked = msgspec.json.encode({"model": "auto", "messages": MESSAGES, "temperature": 0.5}).decode()
    RequestBody.objects.create(
        id=row.id, project=ours.project, at=LONG_AGO, request=asked, answer="Brief.", request_is_cut=True
    )
    return row


@pytest.fixture
def bare(ours, layers):
    """Of our project, without one."""
    snapshot.load()
    row = usage_row(LONG_AGO, project_id=ours.project.pk, project="default", key_id=ours.key.pk)
    ledger.insert([row])
    return row


@dataclass(frozen=True)
class Member:
    client: Client

    def body(self, row):
        answer = self.client.get(f"/v1/requests/{row.id}/body")
        return answer.status_code, answer.json()

    def page(self, row):
        answer = self.client.get(f"/admin/requests/{row.id}/")
        assert answer.status_code == 200
        return answer.context_data["body"], answer.content.decode()


@pytest.fixture
def member(ours):
    def made(role, project=ours.project):
        user = User.objects.create_user(f"{role} of {project}")
        Membership.objects.create(user=user, project=project, role=role)
        client = Client()
        client.force_login(user)
        return Member(client)

    return made


class TestTheApi:
    @pytest.mark.parametrize("role", ["operator", "admin"])
    def test_operators_and_admins_read_it(self, member, row, role):
        status, told = member(role).body(row)
        assert (status, told["object"], told["id"], told["answer"]) == (200, "request.body", str(row.id), "Brief.")
        assert (told["request"]["messages"], told["request"]["temperature"]) == (MESSAGES, 0.5)
        assert (told["request_is_cut"], told["answer_is_cut"]) == (True, False)

    def test_a_superuser_does_and_nothing_on_the_way_stores_it(self, root, row):
        answer = root.answer("get", f"/v1/requests/{row.id}/body")
        assert (answer.status_code, answer["Cache-Control"]) == (200, "no-store")

    def test_an_admin_key_of_the_project_does(self, us, row):
        assert us("get", f"/v1/requests/{row.id}/body")[0] == 200

    def test_one_of_another_project_finds_none(self, them, row):
        assert them("get", f"/v1/requests/{row.id}/body")[0] == 404
        assert them("get", f"/v1/requests/{row.id}/body") == them("get", f"/v1/requests/{request_id(LONG_AGO)}/body")

    @pytest.mark.parametrize("scopes", [["chat", "usage:own", "usage:project"], ["installation"]])
    def test_other_keys_are_refused(self, client, ours, row, scopes):
        ApiKey.objects.update(scopes=scopes)
        asker = Asker(client, {"Authorization": f"Bearer {ours.secret}"})
        assert asker("get", f"/v1/requests/{row.id}/body")[0] == 403

    def test_a_viewer_is_refused_even_as_an_operator_elsewhere(self, member, row, theirs):
        viewer = member("viewer")
        assert viewer.body(row)[0] == 403
        Membership.objects.create(user=User.objects.get(), project=theirs.project, role="operator")
        assert viewer.body(row)[0] == 403

    def test_an_operator_of_another_project_finds_none(self, member, row, theirs):
        assert member("operator", theirs.project).body(row)[0] == 404

    @pytest.mark.parametrize("wanted", ["nonsense", "0e4a5a0e-3c4f-4f5e-8a3f-5b2f6f6d7c8e"])
    def test_what_is_no_request_is_not_there(self, root, layers, wanted):
        assert root("get", f"/v1/requests/{wanted}/body")[0] == 404

    def test_where_none_is_kept_it_is_404(self, root, bare):
        assert root("get", f"/v1/requests/{bare.id}/body")[0] == 404

    def test_nobody_reads_it_without_signing_in(self, client, row):
        assert client.get(f"/v1/requests/{row.id}/body").status_code == 401

    def test_it_asks_little(self, member, row, django_assert_max_num_queries):
        operator = member("operator")
        with django_assert_max_num_queries(6):  # session, user, roles; version, body
            operator.body(row)


class TestThePage:
    @pytest.mark.parametrize("role", ["operator", "admin"])
    def test_operators_and_admins_read_who_said_what(self, member, row, role):
        told, page = member(role).page(row)
        assert [turn.who for turn in told.turns] == ["system", "user", "assistant", "tool"]
        assert [(one.title, one.text) for one in told.turns[2].pieces] == [("calls look (c1)", '{"a": 1}')]
        assert "Be &lt;b&gt;brief&lt;/b&gt;" in page
        assert ("Brief." in page, "too long to be kept whole" in page, '"temperature": 0.5' in told.others) == (
            True, True, True)  # fmt: skip

    def test_what_is_long_is_folded(self, member, row):
        told, page = member("operator").page(row)
        assert [one.is_long for turn in told.turns for one in turn.pieces] == [False, False, False, False, True]
        assert "200 characters" in page

    def test_a_viewer_is_told_that_it_is_there_and_nothing_of_it(self, member, row):
        told, page = member("viewer").page(row)
        assert (told.state, told.turns, told.answer) == ("withheld", (), None)
        assert "Operators and admins of default may read it" in page
        assert "Brief." not in page

    @pytest.mark.parametrize(
        ("role", "says"), [("viewer", "An admin of the project may"), ("admin", 'href="/admin/projects/default/"')]
    )
    def test_without_one_it_says_where_to_switch_it_on(self, member, bare, role, says):
        told, page = member(role).page(bare)
        assert (told.state, says in page) == ("off", True)

    def test_one_that_is_too_old_or_too_large_is_told_apart(self, member, bare):
        Project.objects.update(stores_bodies=True, bodies_days=1)
        told, page = member("operator").page(bare)
        assert (told.state, "older than default keeps it (1 day)" in page) == ("none", True)

    def test_a_project_that_is_gone_has_none(self, admin_client, layers):
        snapshot.load()
        row = usage_row(LONG_AGO, project_id=987654)
        ledger.insert([row])
        assert Member(admin_client).page(row)[0].state == "off"

    def test_a_body_costs_the_page_one_query(self, member, row, bare, django_assert_max_num_queries):
        operator = member("operator")
        operator.page(bare)
        with django_assert_max_num_queries(12):
            operator.page(row)


class TestTheCommand:
    def test_it_shows_who_said_what(self, run, row):
        out = run("requests", "show", str(row.id), "--body")[1]
        for words in ("user:\n  Hi [e-mail]", 'calls look (c1): {"a": 1}', "answer:\n  Brief.", "It was cut where"):
            assert words in out
        assert "Brief." not in run("requests", "show", str(row.id))[1]

    def test_as_json(self, run, row, bare):
        told = json.loads(run("requests", "show", str(row.id), "--body", "--json")[1])
        assert (told["object"], told["body"]["answer"]) == ("request", "Brief.")
        assert json.loads(run("requests", "show", str(bare.id), "--body", "--json")[1])["body"] is None

    def test_without_one_it_says_how_to_have_them_kept(self, run, bare):
        assert "projects set default --store-bodies" in run("requests", "show", str(bare.id), "--body")[1]

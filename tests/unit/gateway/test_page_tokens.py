"""`/admin/tokens/`: keys listed, found, paged; beside a second tenant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from analytics import budget_rows, keys, ledger, standing
from analytics.models import ApiKey, Project
from analytics.standing import Standing
from tests.unit.analytics.test_ledger import usage_row
from tests.unit.gateway.members import signed_in

pytestmark = pytest.mark.django_db
LIST = "/admin/tokens/"


@pytest.fixture
def viewer(ours):
    return signed_in("vera", default="viewer")


def make(name, **fields):
    return keys.create(name, actor="tests", **fields).row


def lines(client, **query):
    answer = client.get(LIST, query)
    assert answer.status_code == 200
    return answer.context_data["lines"]


def names(client, **query):
    return [line.row.name for line in lines(client, **query)]


def test_it_shows_what_may_be_seen_the_newest_first(admin_client, viewer, ours, theirs):
    make("second")
    assert names(admin_client) == ["second", "first", "first"]
    assert [line.row.pk for line in lines(viewer)] == [ApiKey.objects.get(name="second").pk, ours.key.pk]


def test_each_line_tells_what_a_key_is_held_to(admin_client, ours):
    ann = User.objects.create_user("ann")
    row = make(
        "held", owner=ann, scopes=["chat"], allowed_models=["gpt-*"], allowed_networks=["10.0.0.0/8"],
        requests_per_minute=1_000_000_000 // 100, expires_at=timezone.now() + timedelta(days=1),
    )  # fmt: skip
    line = lines(admin_client)[0]
    assert (line.state, line.held_to) == ("active", "models gpt-*; networks 10.0.0.0/8")
    assert line.limits == "10,000,000 requests/min"
    page = admin_client.get(LIST).content.decode()
    assert row.prefix in page
    assert "of ann" in page


def test_what_was_used_and_spent_is_asked_once_for_all(admin_client, ours, theirs):
    at = datetime.now(UTC) - timedelta(minutes=5)
    our = {"project_id": ours.project.pk, "key_id": ours.key.pk}
    ledger.insert(
        [
            usage_row(at, **our, provider="up", model="m1", cost_usd=Decimal("1.25")),
            usage_row(at - timedelta(minutes=1), **our, provider="up", model="m2", cost_usd=Decimal("0.25")),
        ]
    )
    told = {line.row.pk: line for line in lines(admin_client)}
    assert (told[ours.key.pk].spent_usd, told[theirs.key.pk].spent_usd) == (Decimal("1.5"), Decimal(0))
    assert abs(told[ours.key.pk].last_used_at - at) < timedelta(seconds=1)
    assert told[theirs.key.pk].last_used_at is None


def test_of_its_budgets_the_one_nearest_to_its_end_is_told(admin_client, ours, monkeypatch):
    day = budget_rows.create(actor="tests", api_key=ours.key, window="day", limit_usd="5")
    month = budget_rows.create(actor="tests", api_key=ours.key, window="month", limit_usd="100")
    off = budget_rows.create(actor="tests", api_key=ours.key, window="hour", limit_usd="1", enabled=False)
    spent = {day.pk: "4.5", month.pk: "20", off.pk: "9"}
    monkeypatch.setattr(
        standing, "of", lambda rows, at: {row.pk: Standing(Decimal(spent[row.pk]), Decimal(0)) for row in rows}
    )
    [line] = lines(admin_client)
    assert (line.budget.budget, line.budget.share, line.budget.level) == (day, 0.9, "near")
    assert "90.0 % of $5 per day" in admin_client.get(LIST).content.decode()


class TestFinding:
    @pytest.fixture(autouse=True)
    def several(self, ours, theirs):
        make("laptop", owner=User.objects.create_user("olga"))
        make("Robot", enabled=False)
        over = make("over")
        ApiKey.objects.filter(pk=over.pk).update(expires_at=timezone.now())

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({"q": "lap"}, ["laptop"]), ({"q": "ROBOT"}, ["Robot"]), ({"q": "olga"}, ["laptop"]),
            ({"q": "theirs"}, ["first"]), ({"q": "nothing"}, []), ({"q": "\0"}, []),
            ({"state": "disabled"}, ["Robot"]), ({"state": "expired"}, ["over"]),
            ({"state": "active", "project": "default"}, ["laptop", "first"]), ({"project": "theirs"}, ["first"]),
            ({"q": " ", "project": "", "state": ""}, ["over", "Robot", "laptop", "first", "first"]),
        ],
    )  # fmt: skip
    def test_by_text_project_and_state(self, admin_client, query, found):
        assert names(admin_client, **query) == found

    def test_by_its_first_characters(self, admin_client, ours):
        assert [line.row.pk for line in lines(admin_client, q=ours.key.prefix[4:])] == [ours.key.pk]

    @pytest.mark.parametrize(
        ("query", "says"),
        [
            ({"project": "gone"}, "There is no project"), ({"state": "asleep"}, "Use one of active, disabled"),
            ({"after": "here"}, "no page of the list"), ({"after": "9" * 30}, "no page of the list"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_said(self, admin_client, query, says):
        answer = admin_client.get(LIST, query)
        assert (answer.status_code, says in answer.content.decode()) == (400, True)

    def test_nothing_found_leads_back(self, admin_client):
        assert "No such token" in admin_client.get(LIST, {"q": "nothing"}).content.decode()

    def test_another_project_is_one_there_is_not(self, viewer):
        told = [viewer.get(LIST, {"project": slug}).content.decode() for slug in ("theirs", "gone42")]
        assert "There is no project &#x27;theirs&#x27;" in told[0]
        assert "There is no project &#x27;gone42&#x27;" in told[1]
        assert names(viewer, q="theirs") == []


def test_older_ones_are_a_page_further(admin_client, ours, monkeypatch):
    monkeypatch.setattr("gateway.pages.tokens.MOST_SHOWN", 2)
    for number in range(4):
        make(f"k{number}")
    first = admin_client.get(LIST, {"project": "default"}).context_data
    make("meanwhile")
    second = admin_client.get(LIST + first["older"]).context_data
    assert [line.row.name for page in (first, second) for line in page["lines"]] == ["k3", "k2", "k1", "k0"]
    assert second["newest"] == "?project=default"
    last = admin_client.get(LIST + second["older"]).context_data
    assert ([line.row.name for line in last["lines"]], last["older"]) == (["first"], "")


class TestWhoMay:
    def test_who_belongs_to_no_project_is_refused(self, client, ours):
        staff = User.objects.create_user("staff", is_staff=True)
        staff.user_permissions.add(Permission.objects.get(codename="view_model", content_type__app_label="providers"))
        client.force_login(staff)
        assert client.get(LIST).status_code == 403
        links = [
            link.title for group in client.get("/admin/tables/").context_data["navigation"] for link in group.links
        ]
        assert "Tokens" not in links

    @pytest.mark.parametrize(("role", "may"), [("viewer", False), ("operator", True), ("admin", True)])
    def test_it_offers_a_new_one_to_who_may_make_one(self, ours, role, may):
        client = signed_in("someone", default=role)
        assert (LIST + "new/" in client.get(LIST).content.decode()) is may
        links = [link.url for group in client.get(LIST).context_data["navigation"] for link in group.links]
        assert LIST in links

    def test_nobody_comes_in_unsigned(self, client):
        assert client.get(LIST).status_code == 302


def test_its_questions_do_not_grow_with_keys(admin_client, ours):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            admin_client.get(LIST)
        return len(captured)

    budget_rows.create(actor="tests", api_key=ours.key, window="day", limit_usd="5")
    ledger.insert([usage_row(datetime.now(UTC), project_id=ours.project.pk, key_id=ours.key.pk)])
    before = queries()
    for number in range(10):
        row = make(f"k{number}", project=Project.objects.create(slug=f"p{number}", name="P"))
        budget_rows.create(actor="tests", api_key=row, window="day", limit_usd="5")
        ledger.insert([usage_row(datetime.now(UTC), project_id=row.project_id, key_id=row.pk)])
    assert queries() == before
    assert before <= 20


def test_none_yet_says_what_to_do(admin_client, viewer, ours):
    ApiKey.objects.all().delete()
    assert "Make one" in admin_client.get(LIST).content.decode()
    assert "Operators and admins of your project make them" in viewer.get(LIST).content.decode()

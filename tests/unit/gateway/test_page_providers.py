"""`/admin/providers/`: each with its key, models, last day; and one more added."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from analytics import ledger
from analytics.models import AuditEntry
from providers import credentials
from providers.models import Credential, Model, Provider
from routing import snapshot
from tests.unit.analytics.test_ledger import usage_row
from tests.unit.gateway.pages_seen import done, member, mistakes, queries

pytestmark = pytest.mark.django_db
PAGE, NEW = "/admin/providers/", "/admin/providers/new/"
SETTINGS = {
    "dialect": "openai", "base_url": "https://api.groq.example/v1", "enabled": "on", "needs_credential": "on",
    "usage_in_streams": "on", "stops_when_left": "on", "extra_body": "{}", "connect_timeout_s": "5",
    "headers_timeout_s": "120", "first_content_timeout_s": "120", "between_frames_timeout_s": "30",
    "max_concurrent": "", "max_queued": "100",
}  # fmt: skip


@pytest.fixture(autouse=True)
def loaded(layers):
    snapshot.load()


@pytest.fixture
def used(ours, theirs):
    """Of `up`: two requests of ours an hour apart, one of which failed; one of theirs."""
    at = datetime.now(UTC) - timedelta(hours=3)
    our = {"project_id": ours.project.pk, "provider": "up", "model": "m0", "duration_ms": 100.0}
    ledger.insert(
        [
            usage_row(at, **our),
            usage_row(at + timedelta(hours=1), **our | {"outcome": "error", "status": 502}),
            usage_row(at, **our | {"project_id": theirs.project.pk}),
            usage_row(at - timedelta(hours=30), **our),
        ]
    )


def lines(client):
    return {line.row.slug: line for line in client.get(PAGE).context_data["lines"]}


def test_it_tells_of_the_last_day(admin_client, used):
    (line,) = lines(admin_client).values()
    assert (line.model_count, line.out, line.key) == (4, (), "no key needed")
    assert (line.figures.totals.requests, line.figures.totals.errors, line.figures.latency.count) == (3, 1, 2)
    assert [part.requests for part in line.figures.parts if part.requests] == [2, 1]
    assert len(line.figures.parts) in (24, 25)
    assert line.sparkline.says == "Requests by hour: 3 in all, 2 in the busiest hour, 1 failed."
    assert [bar.failed_height for bar in line.sparkline.bars] == ["0.0", "14.0"]


def test_members_see_their_projects_figures_alone(client, ours, used):
    member(client, ours.project, "providers.view_provider")
    assert lines(client)["up"].figures.totals.requests == 2


def test_how_keys_stand(admin_client, monkeypatch):
    monkeypatch.setenv("TEST_SET_API_KEY", "sk-0123456789abcdef-9Zq7")
    for slug in ("stored", "named", "unset", "broken", "none"):
        Provider.objects.create(slug=slug, name=slug, base_url="https://x.example/v1")
    held = Credential(provider=Provider.objects.get(slug="stored"))
    credentials.set_value(held, "sk-0123456789abcdef-9Zq7")
    held.save()
    for slug, columns in (
        ("named", {"env_var": "TEST_SET_API_KEY"}),
        ("unset", {"env_var": "TEST_UNSET_API_KEY"}),
        ("broken", {"encrypted_value": "x"}),
    ):
        Credential.objects.create(provider=Provider.objects.get(slug=slug), **columns)
    assert {slug: line.key for slug, line in lines(admin_client).items()} == {
        "stored": "key set, ends in 9Zq7", "named": "key set, from TEST_SET_API_KEY",
        "unset": "key missing: TEST_UNSET_API_KEY is not set", "broken": "key unreadable", "none": "key missing",
        "up": "no key needed",
    }  # fmt: skip
    assert "sk-0123456789" not in admin_client.get(PAGE).content.decode()


def test_its_questions_do_not_grow_with_providers(admin_client, used):
    before = queries(admin_client, PAGE)
    for number in range(5):
        row = Provider.objects.create(slug=f"p{number}", name="x", base_url="https://x.example/v1")
        Credential.objects.create(provider=row, env_var="TEST_UNSET_API_KEY")
        Model.objects.create(provider=row, name="m")
        ledger.insert([usage_row(datetime.now(UTC) - timedelta(hours=2), provider=row.slug, model="m")])
    assert queries(admin_client, PAGE) == before


def test_without_any_it_says_how_to_begin(admin_client):
    Provider.objects.all().delete()
    assert "manage.py catalog load" in admin_client.get(PAGE).content.decode()


def test_the_tables_of_the_app_keep_their_addresses(admin_client):
    for table in ("provider", "credential", "model", "price"):
        page = admin_client.get(f"/admin/providers/{table}/")
        assert page.context_data["cl"].opts.model_name == table


class TestAdd:
    def test_one_more(self, admin_client):
        said = done(admin_client, NEW, "add", to=f"{PAGE}groq/", slug="groq", name="", **SETTINGS)
        assert "The provider groq is there" in said
        row = Provider.objects.get(slug="groq")
        assert (row.name, row.enabled, row.max_concurrent, row.extra_body) == ("groq", True, None, {})
        assert AuditEntry.objects.get(action="provider.created").actor == "admin"

    @pytest.mark.parametrize(
        ("fields", "field", "says"),
        [
            ({"slug": "up"}, "slug", "already exists"),
            ({"slug": "Groq"}, "slug", "lower-case"),
            ({"slug": "new"}, "slug", "an address of its own"),
            ({"slug": "model"}, "slug", "an address of its own"),
            ({"base_url": "ftp://x.example"}, "base_url", "http or https"),
            ({"base_url": "http://10.0.0.7/v1"}, "base_url", "private"),
            ({"connect_timeout_s": "0"}, "connect_timeout_s", "greater than or equal to"),
            ({"max_queued": "99999999999"}, "max_queued", "2147483647"),
            ({"extra_body": "[]"}, "extra_body", "JSON object"),
            ({"extra_body": "{"}, "extra_body", "valid JSON"),
            ({"dialect": "klingon"}, "dialect", "not one of the available choices"),
        ],
    )
    def test_what_is_wrong_is_told_at_its_field(self, admin_client, fields, field, says):
        answer = admin_client.post(NEW, {"do": "add", "slug": "groq", "name": ""} | SETTINGS | fields)
        assert (answer.status_code, list(mistakes(answer))) == (400, [field])
        assert says in mistakes(answer)[field][0]
        assert not Provider.objects.exclude(slug="up").exists()


class TestWhoMay:
    def test_a_projects_admin_does_not_see_it(self, client, ours):
        member(client, ours.project)
        assert [client.get(page).status_code for page in (PAGE, NEW)] == [403, 403]

    def test_who_may_see_adds_none(self, client, ours):
        member(client, ours.project, "providers.view_provider")
        assert NEW not in client.get(PAGE).content.decode()
        assert client.post(NEW, {"do": "add", "slug": "groq"} | SETTINGS).status_code == 403
        assert not Provider.objects.filter(slug="groq").exists()

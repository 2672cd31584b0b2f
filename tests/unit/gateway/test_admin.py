"""The plain admin: every table is there, secrets go in and never come out, history can only be read."""

import re

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.utils import timezone

from analytics import audit, ids, partitions
from analytics.models import (
    AuditEntry,
    GaugeSample,
    LedgerSpan,
    Outcome,
    Project,
    RequestBody,
    UsageRecord,
    UsageRollup,
    UsageSeries,
)
from providers import credentials
from providers.models import ConfigChange, ConfigVersion, Credential, Provider

pytestmark = pytest.mark.django_db
OURS = ("providers", "analytics", "routing")
INLINE_OR_INTERNAL = {ConfigVersion, ConfigChange, apps.get_model("analytics", "Membership"), GaugeSample, LedgerSpan,
                      RequestBody}  # fmt: skip
ROLLUPS = {UsageSeries, UsageRollup}
"""What is read through reports."""


def test_every_table_has_its_page():
    tables = {model for app in OURS for model in apps.get_app_config(app).get_models()} - INLINE_OR_INTERNAL - ROLLUPS
    assert tables <= set(admin.site._registry)


@pytest.mark.parametrize("model", sorted(admin.site._registry, key=str), ids=str)
def test_each_list_and_form_opens(admin_client, layers, ours, model):
    base = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    assert admin_client.get(base).status_code == 200
    assert admin_client.get(f"{base}add/").status_code in (200, 403)


def test_tokens_and_attempts_to_sign_in_have_none(admin_client):
    shown = {model._meta.app_label for model in admin.site._registry}
    assert shown == {*OURS, "auth"}
    for path in ("token_blacklist/outstandingtoken/", "axes/accessattempt/"):
        assert admin_client.get(f"/admin/{path}").status_code == 404


def test_labels_name_units_and_spell_abbreviations(admin_client, layers):
    """In the words of the code, a label would end in a unit ("Deadline s") or shout too little ("Base url")."""
    for path in ("providers/provider/add/", "providers/model/add/", "providers/price/add/", "routing/policy/1/change/"):
        labels = [field.label for field in admin_client.get(f"/admin/{path}").context["adminform"].form]
        assert labels
        assert not [label for label in labels if re.search(r" (s|ms|usd)$|\b(Usd|url|Json|Api|Id|id)\b", label)]
    assert "Deadline (s)" in admin_client.get("/admin/routing/policy/").content.decode()


def test_nobody_gets_in_without_signing_in(client):
    assert client.get("/admin/analytics/apikey/").status_code == 302


class TestStaff:
    """Someone with every permission who is no superuser: analytics show all projects, so that they stay shut."""

    @pytest.fixture
    def staff_client(self, client, django_user_model):
        user = django_user_model.objects.create_user("staff", is_staff=True)
        user.user_permissions.set(Permission.objects.all())
        client.force_login(user)
        return client

    @pytest.fixture
    def rows(self, ours):
        partitions.ensure([timezone.now()])
        usage = UsageRecord.objects.create(
            id=ids.new(), started_at=timezone.now(), outcome=Outcome.OK, status=200, project_id=ours.project.pk,
            project="default", key_name="first", requested_model="m", cost_usd=0, cost_source="none", duration_ms=1,
        )  # fmt: skip
        return {
            "project": ours.project,
            "apikey": ours.key,
            "usagerecord": usage,
            "auditentry": AuditEntry.objects.first(),
        }

    @pytest.mark.parametrize("table", ["project", "apikey", "usagerecord", "auditentry"])
    def test_no_page_of_analytics_opens(self, staff_client, rows, table):
        base, row = f"/admin/analytics/{table}/", f"/admin/analytics/{table}/{rows[table].pk}/"
        forms = [base, f"{base}add/", f"{row}change/", f"{row}delete/"]
        looked = {path: staff_client.get(path).status_code for path in (*forms, f"{row}history/")}
        assert looked == dict.fromkeys((*forms, f"{row}history/"), 403)
        sent = {path: staff_client.post(path, {"post": "yes"}).status_code for path in forms}
        assert sent == dict.fromkeys(forms, 403)

    def test_the_index_does_not_name_them(self, staff_client, rows):
        index = staff_client.get("/admin/tables/").content.decode()
        assert "/admin/providers/provider/" in index
        assert "/admin/analytics/" not in index
        assert staff_client.get("/admin/analytics/").status_code == 404

    def test_no_member_can_be_seen_or_added(self, rf, staff_client, rows, django_user_model):
        request = rf.get("/")
        request.user = django_user_model.objects.get(username="staff")
        assert admin.site.get_model_admin(Project).get_inline_instances(request, rows["project"]) == []

    def test_a_superuser_sees_them(self, admin_client, rows):
        assert "/admin/analytics/apikey/" in admin_client.get("/admin/tables/").content.decode()
        for table, row in rows.items():
            assert admin_client.get(f"/admin/analytics/{table}/{row.pk}/change/").status_code == 200


class TestProvider:
    FORM = {"slug": "vllm", "name": "vLLM", "dialect": "openai", "base_url": "http://vllm:8000/v1", "extra_body": "{}",
            "max_tokens_field": "max_tokens", "connect_timeout_s": 1, "headers_timeout_s": 1,
            "first_content_timeout_s": 1, "between_frames_timeout_s": 1, "max_queued": 0}  # fmt: skip
    FORM |= {f"{table}-{part}_FORMS": 0 for table in ("credentials", "models") for part in ("TOTAL", "INITIAL")}

    @pytest.mark.parametrize("extra_body", ["{}", ""])
    def test_one_at_a_host_without_a_dot_is_saved(self, admin_client, extra_body):
        admin_client.post("/admin/providers/provider/add/", self.FORM | {"extra_body": extra_body})
        row = Provider.objects.get()
        assert (row.base_url, row.extra_body) == ("http://vllm:8000/v1", {})

    def test_one_at_a_private_address_is_saved_when_it_is_marked_local(self, admin_client):
        there = {"base_url": "http://192.168.1.20:8000/v1", "is_local": "on"}
        admin_client.post("/admin/providers/provider/add/", self.FORM | there)
        assert Provider.objects.get().is_local

    @pytest.mark.parametrize(
        ("field", "value", "says"),
        [
            ("base_url", "http://a..b/v1", "The host is not a name"),
            ("base_url", "http://192.168.1.20:8000/v1", "Its address is private: mark the provider as local"),
            ("base_url", "http://localhost:8000/v1", "Its address is private: mark the provider as local"),
            ("extra_body", "[]", "Use a JSON object"),
            ("max_concurrent", "0", "greater than or equal to 1"),
            ("extra_body", '["a"]', "Use a JSON object"),
            ("extra_body", '{"stream": true}', "cannot be added to requests: each request says for itself"),
            ("extra_body", '{"top_k": 1, "model": "x"}', "cannot be added to requests: the gateway sets it"),
            ("extra_body", '{"messages": []}', "cannot be added to requests: each request brings its own"),
            ("extra_body", '{"stream_options": {}}', "cannot be added to requests: it belongs to streams alone"),
            ("extra_body", '{"n": 2}', "cannot be added to requests: each further choice is paid for"),
        ],
    )
    def test_a_wrong_field_is_explained(self, refused_form, field, value, says):
        found = refused_form("/admin/providers/provider/add/", self.FORM | {field: value})
        assert list(found) == [field]
        assert says in found[field]
        assert not Provider.objects.exists()

    def test_the_page_shows_what_was_refused(self, admin_client):
        page = admin_client.post("/admin/providers/provider/add/", self.FORM | {"extra_body": "[]"}).content.decode()
        assert "Use a JSON object" in page


class TestCredential:
    @pytest.fixture
    def provider(self):
        return Provider.objects.create(slug="acme", name="Acme", base_url="https://example.org/v1")

    def test_a_value_goes_in_encrypted_and_never_comes_out(self, admin_client, provider):
        secret = "sk-a-long-enough-secret-1234"
        form = {"provider": provider.pk, "name": "default", "value": secret, "enabled": "on"}
        admin_client.post("/admin/providers/credential/add/", form)
        row = Credential.objects.get()
        assert credentials.opened(row) == secret
        assert secret not in row.encrypted_value
        page = admin_client.get(f"/admin/providers/credential/{row.pk}/change/").content.decode()
        assert secret not in page
        assert row.encrypted_value not in page

    def test_an_empty_value_keeps_what_is_there(self, admin_client, provider):
        row = Credential(provider=provider)
        credentials.set_value(row, "sk-a-long-enough-secret-1234")
        row.save()
        form = {"provider": provider.pk, "name": "renamed", "value": "", "enabled": "on"}
        admin_client.post(f"/admin/providers/credential/{row.pk}/change/", form)
        row.refresh_from_db()
        assert (row.name, credentials.opened(row)) == ("renamed", "sk-a-long-enough-secret-1234")

    def test_it_does_not_name_the_gateways_own_secret(self, admin_client, provider):
        form = {"provider": provider.pk, "name": "default", "env_var": "SECRET_KEY", "enabled": "on"}
        page = admin_client.post("/admin/providers/credential/add/", form).content.decode()
        assert "Use the name of a variable" in page
        assert not Credential.objects.exists()

    @pytest.mark.parametrize("source", [{}, {"env_var": "A_KEY", "value": "sk-1"}])
    def test_it_wants_one_source(self, admin_client, provider, source):
        form = {"provider": provider.pk, "name": "default", "enabled": "on"} | source
        assert "environment variable" in admin_client.post("/admin/providers/credential/add/", form).content.decode()
        assert not Credential.objects.exists()


def test_the_audit_trail_says_which_budget_was_reached(admin_client):
    told = {"budget": 7, "window": "day", "limit_usd": "5", "spent_usd": "5.1", "action": "refuse"}
    audit.record("budget.reached", actor="system", target="project lab", after=told)
    audit.record("budget.reached", actor="system", target="project old", after=None)
    page = admin_client.get("/admin/analytics/auditentry/").content.decode()
    assert "Budget 7: $5 per day for project lab" in page
    assert "project old" in page


@pytest.mark.parametrize("table", ["usagerecord", "auditentry"])
def test_history_can_only_be_read(admin_client, ours, table):
    row = AuditEntry.objects.first()
    assert admin_client.get(f"/admin/analytics/{table}/add/").status_code == 403
    if table == "auditentry":
        assert admin_client.post(f"/admin/analytics/auditentry/{row.pk}/delete/", {"post": "yes"}).status_code == 403
        assert AuditEntry.objects.filter(pk=row.pk).exists()


@pytest.mark.parametrize("query", ["username=a%00b", "username__contains=%00"])
def test_a_list_is_asked_for_nothing_that_cannot_be_looked_for(admin_client, query):
    """PostgreSQL fails at it."""
    answer = admin_client.get(f"/admin/auth/user/?{query}", follow=True)
    assert (answer.redirect_chain, answer.status_code) == ([("/admin/auth/user/?e=1", 302)], 200)

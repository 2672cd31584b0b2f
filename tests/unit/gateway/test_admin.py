"""The plain admin: every table is there, secrets go in and never come out, history can only be read."""

import re

import pytest
from django.apps import apps
from django.contrib import admin

from analytics import keys
from analytics.models import ApiKey, AuditEntry
from providers import credentials
from providers.models import ConfigChange, ConfigVersion, Credential, Provider

pytestmark = pytest.mark.django_db
OURS = ("providers", "analytics", "routing")
INLINE_OR_INTERNAL = {ConfigVersion, ConfigChange, apps.get_model("analytics", "Membership")}


def test_every_table_has_its_page():
    tables = {model for app in OURS for model in apps.get_app_config(app).get_models()} - INLINE_OR_INTERNAL
    assert tables <= set(admin.site._registry)


@pytest.mark.parametrize("model", sorted(admin.site._registry, key=str), ids=str)
def test_each_list_and_form_opens(admin_client, layers, ours, model):
    base = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    assert admin_client.get(base).status_code == 200
    assert admin_client.get(f"{base}add/").status_code in (200, 403)


def test_nobody_gets_in_without_signing_in(client):
    assert client.get("/admin/analytics/apikey/").status_code == 302


def test_a_new_key_is_shown_once(admin_client, ours):
    form = {"name": "new", "project": ours.project.pk, "scopes": '["chat"]', "allowed_models": "[]",
            "allowed_layers": "[]", "enabled": "on"}  # fmt: skip
    page = admin_client.post("/admin/analytics/apikey/add/", form, follow=True).content.decode()
    (secret,) = re.findall(r"agw_[\w-]{43}", page)
    row = ApiKey.objects.get(key_hash=keys.digest(secret))
    assert row.name == "new"
    again = admin_client.get(f"/admin/analytics/apikey/{row.pk}/change/").content.decode()
    assert secret not in again
    assert AuditEntry.objects.filter(action="api_key.created", actor="admin", target=str(row)).exists()


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [("scopes", '["everything"]', "Scopes are a list out of"), ("allowed_models", '"gpt"', "Use a list of patterns")],
)
def test_a_wrong_field_is_refused_beside_it(admin_client, ours, field, value, says):
    form = {"name": "new", "project": ours.project.pk, "scopes": '["chat"]', "allowed_models": "[]",
            "allowed_layers": "[]", field: value}  # fmt: skip
    assert says in admin_client.post("/admin/analytics/apikey/add/", form).content.decode()
    assert ApiKey.objects.count() == 1


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

    @pytest.mark.parametrize("source", [{}, {"env_var": "A_KEY", "value": "sk-1"}])
    def test_it_wants_one_source(self, admin_client, provider, source):
        form = {"provider": provider.pk, "name": "default", "enabled": "on"} | source
        assert "environment variable" in admin_client.post("/admin/providers/credential/add/", form).content.decode()
        assert not Credential.objects.exists()


@pytest.mark.parametrize("table", ["usagerecord", "auditentry"])
def test_history_can_only_be_read(admin_client, ours, table):
    row = AuditEntry.objects.first()
    assert admin_client.get(f"/admin/analytics/{table}/add/").status_code == 403
    if table == "auditentry":
        assert admin_client.post(f"/admin/analytics/auditentry/{row.pk}/delete/", {"post": "yes"}).status_code == 403
        assert AuditEntry.objects.filter(pk=row.pk).exists()

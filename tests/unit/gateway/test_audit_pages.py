"""What is changed in the admin is in the audit trail: by whom, from which address, from what to what."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection

from analytics import networks
from analytics.models import AuditEntry, Membership
from providers.models import Credential, Model, Price, Provider
from routing.models import Candidate, Layer, Policy
from tests.unit.gateway.admin_forms import send

pytestmark = pytest.mark.django_db

SECRET = "sk-live-0123456789abcdef"
HERE = "127.0.0.1"


def newest(action):
    return AuditEntry.objects.filter(action=action).order_by("-id").first()


def told(action):
    entry = newest(action)
    assert (entry.actor, entry.address) == ("admin", HERE)
    return entry.target, entry.before, entry.after


@pytest.fixture
def provider(layers):
    return Provider.objects.get()


class TestForms:
    def test_a_provider(self, admin_client, provider):
        send(admin_client, f"/admin/providers/provider/{provider.pk}/change/", enabled=None, name="Upstairs")
        changed = ("up", {"enabled": True, "name": "Upstream"}, {"enabled": False, "name": "Upstairs"})
        assert told("provider.changed") == changed

    def test_a_credential_among_its_provider(self, admin_client, provider):
        added = {"credentials-TOTAL_FORMS": 1, "credentials-0-name": "main", "credentials-0-value": SECRET}
        send(admin_client, f"/admin/providers/provider/{provider.pk}/change/", **added)
        target, _, after = told("credential.created")
        assert (target, after["encrypted_value"], after["last_four"]) == ("up: main", "...", "cdef")

    def test_a_credential_on_its_page(self, admin_client, provider):
        row = Credential.objects.create(provider=provider, env_var="UP_KEY")
        send(admin_client, f"/admin/providers/credential/{row.pk}/change/", env_var="", value=SECRET)
        _, before, after = told("credential.changed")
        assert (before["env_var"], after["env_var"], after["encrypted_value"]) == ("UP_KEY", "", "...")
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM analytics_auditentry")
            everything = str(cursor.fetchall())
        assert SECRET not in everything
        assert Credential.objects.get().encrypted_value not in everything

    def test_a_model_and_its_price(self, admin_client, layers):
        row = layers["L1"]
        new = {
            "unit": "request",
            "usd": "0.01",
            "from_tokens": 0,
            "valid_from_0": "2030-01-01",
            "valid_from_1": "00:00",
        }
        added = {f"prices-0-{name}": value for name, value in new.items()} | {"prices-TOTAL_FORMS": 1}
        Price.objects.all().delete()
        send(admin_client, f"/admin/providers/model/{row.pk}/change/", tools=None, **added)
        assert told("model.changed") == ("up/m1", {"tools": True}, {"tools": False})
        target, _, after = told("price.created")
        assert (target, after["usd_per_unit"]) == ("up/m1 request: 0.01 USD per request", "0.01")

    def test_a_layer_and_a_place_in_it(self, admin_client, layers):
        row = Layer.objects.get(name="L2")
        send(admin_client, f"/admin/routing/layer/{row.pk}/change/", title="Best", **{"candidates-0-priority": "4"})
        assert told("layer.changed") == ("L2", {"title": ""}, {"title": "Best"})
        assert told("candidate.changed") == ("up/m2 in L2", {"priority": 0}, {"priority": 4})

    def test_the_policy(self, admin_client, layers):
        send(admin_client, "/admin/routing/policy/1/change/", default_layer=Layer.objects.get(name="L2").pk)
        assert told("policy.changed") == ("Policy", {"default_layer": "L1"}, {"default_layer": "L2"})

    def test_a_user_with_groups_and_permissions(self, admin_client):
        user, group = User.objects.create_user("ann"), Group.objects.create(name="operators")
        permission = Permission.objects.get(codename="change_provider")
        path = f"/admin/auth/user/{user.pk}/change/"
        send(admin_client, path, is_staff="on", groups=[group.pk], user_permissions=[permission.pk])
        entries = AuditEntry.objects.filter(action="user.changed", target="ann", actor="admin").order_by("id")
        assert [entry.after for entry in entries] == [
            {"is_staff": True},
            {"groups": ["operators"]},
            {"user_permissions": ["Providers | provider | Can change provider"]},
        ]

    def test_a_new_user_and_their_password(self, admin_client):
        words = {"password1": "correct horse battery", "password2": "correct horse battery"}
        send(admin_client, "/admin/auth/user/add/", username="bob", usable_password="true", **words)
        target, _, after = told("user.created")
        assert (target, after["password"]) == ("bob", "...")
        assert "last_login" not in after

    def test_a_group(self, admin_client):
        row = Group.objects.create(name="operators")
        send(admin_client, f"/admin/auth/group/{row.pk}/change/", name="pilots")
        assert told("group.changed") == ("pilots", {"name": "operators"}, {"name": "pilots"})

    def test_members_of_a_project_are_told_once(self, admin_client, ours):
        ann = User.objects.create_user("ann")
        added = {"memberships-TOTAL_FORMS": 1, "memberships-0-user": ann.pk, "memberships-0-role": "operator"}
        send(admin_client, f"/admin/analytics/project/{ours.project.pk}/change/", **added)
        assert told("project.members_changed") == ("default", {}, {"ann": "operator"})
        assert Membership.objects.get().user == ann
        assert newest("membership.created") is None

    def test_saving_a_page_as_it_was_shown_is_no_change(self, admin_client, provider):
        before = AuditEntry.objects.order_by("-id").first().pk
        send(admin_client, f"/admin/providers/provider/{provider.pk}/change/")
        send(admin_client, "/admin/routing/policy/1/change/")
        later = AuditEntry.objects.filter(pk__gt=before)
        assert list(later.exclude(action="login.accepted").values_list("action", flat=True)) == []


def test_rows_deleted_from_a_list_have_an_entry_each(admin_client, layers):
    rows = list(Candidate.objects.values_list("pk", flat=True))
    chosen = {"action": "delete_selected", "_selected_action": rows, "post": "yes"}
    assert admin_client.post("/admin/routing/candidate/", chosen).status_code == 302
    entries = AuditEntry.objects.filter(action="candidate.deleted", actor="admin", address=HERE)
    assert sorted(entries.values_list("target", flat=True)) == [f"up/m{number} in L{number}" for number in range(4)]


def test_a_row_deleted_on_its_page_has_one(admin_client, layers):
    Policy.objects.all().delete()
    Layer.objects.filter(name="L1").update(title="Cheap")
    row = Layer.objects.get(name="L1")
    assert admin_client.post(f"/admin/routing/layer/{row.pk}/delete/", {"post": "yes"}).status_code == 302
    target, before, after = told("layer.deleted")
    assert (target, before["title"], after) == ("L1", "Cheap", None)
    assert before["went_with_it"] == {"candidate": ["up/m1 in L1"]}
    assert Model.objects.filter(name="m1").exists()


class TestAddress:
    @pytest.fixture
    def from_where(self, admin_client, provider):
        def from_where(**meta):
            names = ["Upstream", "Downstream"]
            provider.refresh_from_db()
            names.remove(provider.name)
            page = f"/admin/providers/provider/{provider.pk}/change/"
            shown = admin_client.get(page).context["adminform"].form
            fields = {name: shown[name].value() or "" for name in shown.fields}
            fields = {name: "on" if value is True else value for name, value in fields.items() if value is not False}
            fields |= {"name": names[0], "credentials-TOTAL_FORMS": 0, "credentials-INITIAL_FORMS": 0}
            assert admin_client.post(page, fields, **meta).status_code == 302
            return newest("provider.changed").address

        return from_where

    def test_what_a_client_claims_counts_for_nothing(self, from_where):
        assert from_where(REMOTE_ADDR="192.0.2.7", HTTP_X_FORWARDED_FOR="203.0.113.9") == "192.0.2.7"

    def test_a_trusted_proxy_tells_the_clients(self, from_where, settings):
        settings.TRUSTED_PROXIES = (networks.network("10.0.0.0/8"),)
        assert from_where(REMOTE_ADDR="10.0.0.2", HTTP_X_FORWARDED_FOR="203.0.113.9") == "203.0.113.9"
        assert from_where(REMOTE_ADDR="10.0.0.2", HTTP_X_FORWARDED_FOR="203.0.113.9, 198.51.100.4") == "198.51.100.4"
        assert from_where(REMOTE_ADDR="192.0.2.7", HTTP_X_FORWARDED_FOR="203.0.113.9") == "192.0.2.7"

    def test_it_may_be_unknown(self, from_where):
        assert from_where(REMOTE_ADDR="") is None

    def test_a_zone_of_this_machine_is_left_out(self, from_where):
        assert from_where(REMOTE_ADDR="fe80::1%eth0") == "fe80::1"


async def test_asynchronous_views_have_it_too(async_client, ours, monkeypatch):
    """The short way's views also stand in Django's table, where they run below this middleware."""
    from analytics import audit_context
    from gateway.api import health

    seen = []

    async def get(self, request):
        seen.append((audit_context.actor(), audit_context.address()))
        return health.JsonResponse({})

    monkeypatch.setattr(health.HealthView, "get", get)
    await async_client.get("/health")
    assert seen == [("unknown", HERE)]

"""Who may change what all projects share: superusers, who was given Django's permission, keys with `installation`."""

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import OperationalError, connection
from django.test import Client

from analytics import keys
from analytics.models import AuditEntry, Membership
from providers.models import Credential, Model, Price, Provider
from routing.models import Candidate, Layer, Policy
from tests.unit.gateway.conftest import Asker, bearing

pytestmark = pytest.mark.django_db

ADDRESSES = {
    ("get", "providers"): "providers.view_provider",
    ("post", "providers"): "providers.add_provider",
    ("get", "providers/up"): "providers.view_provider",
    ("patch", "providers/up"): "providers.change_provider",
    ("delete", "providers/up"): "providers.delete_provider",
    ("put", "providers/up/credential"): "providers.change_credential",
    ("delete", "providers/up/credential"): "providers.delete_credential",
    ("post", "providers/up/test"): "providers.change_provider",
    ("get", "models"): "providers.view_model",
    ("post", "models"): "providers.add_model",
    ("get", "models/up/m1"): "providers.view_model",
    ("patch", "models/up/m1"): "providers.change_model",
    ("delete", "models/up/m1"): "providers.delete_model",
    ("get", "prices"): "providers.view_price",
    ("post", "prices"): "providers.add_price",
    ("get", "prices/{price}"): "providers.view_price",
    ("delete", "prices/{price}"): "providers.delete_price",
    ("get", "layers"): "routing.view_layer",
    ("post", "layers"): "routing.add_layer",
    ("put", "layers"): "routing.change_layer",
    ("get", "layers/L1"): "routing.view_layer",
    ("patch", "layers/L1"): "routing.change_layer",
    ("delete", "layers/L1"): "routing.delete_layer",
    ("get", "layers/L1/candidates"): "routing.view_candidate",
    ("put", "layers/L1/candidates"): "routing.change_candidate",
    ("get", "layers/L1/candidates/up/m1"): "routing.view_candidate",
    ("post", "layers/L1/candidates/up/m1"): "routing.add_candidate",
    ("patch", "layers/L1/candidates/up/m1"): "routing.change_candidate",
    ("delete", "layers/L1/candidates/up/m1"): "routing.delete_candidate",
    ("get", "policy"): "routing.view_policy",
    ("patch", "policy"): "routing.change_policy",
}
LOOKS = {address for address in ADDRESSES if address[0] == "get"}
TABLES = (Provider, Credential, Model, Price, Layer, Candidate, Policy)


@pytest.fixture
def price(layers):
    return Price.objects.order_by("pk").first().pk


@pytest.fixture
def signed_in(client, django_user_model):
    def signed_in(*permissions, role=None, project=None):
        user = django_user_model.objects.create_user("ann")
        group = Group.objects.create(name="fitters")
        for one in permissions:
            app, _, codename = one.partition(".")
            group.permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
        user.groups.add(group)
        if role:
            Membership.objects.create(user=user, project=project, role=role)
        client.force_login(user)
        return Asker(client)

    return signed_in


def state():
    return [list(table.objects.order_by("pk").values()) for table in TABLES]


def answers(asker, addresses, price):
    """Status and words at each address; nothing has changed, as none of the bodies is one that is taken."""
    before, found = state(), {}
    for method, path in addresses:
        status, answer = asker(method, path.format(price=price), nothing=True)
        found[method, path] = (status, answer.get("error", {}).get("message"))
        assert state() == before, (method, path)
    return found


def refusals(permissions=ADDRESSES):
    return {address: (403, f"You lack the permission {permissions[address]!r}.") for address in permissions}


NO_SCOPE = dict.fromkeys(ADDRESSES, (403, "This API key lacks the scope 'installation'."))


def test_without_a_key_401(price):
    refusal = (401, "Send an API key as 'Authorization: Bearer KEY'.")
    assert answers(Asker(Client()), ADDRESSES, price) == dict.fromkeys(ADDRESSES, refusal)


@pytest.mark.parametrize("scopes", [["chat", "usage:own", "usage:project"], ["admin"], ["admin", "chat"]])
@pytest.mark.parametrize("tenant", ["ours", "theirs"])
def test_a_key_without_the_scope_403(request, price, tenant, scopes):
    project = request.getfixturevalue(tenant).project
    made = keys.create("new", actor="tests", project=project, scopes=scopes)
    assert answers(bearing(made.secret), ADDRESSES, price) == NO_SCOPE


@pytest.mark.parametrize("role", [None, "viewer", "operator", "admin"])
@pytest.mark.parametrize("tenant", ["ours", "theirs"])
def test_a_project_gives_nobody_the_permission(request, price, signed_in, tenant, role):
    project = request.getfixturevalue(tenant).project
    assert answers(signed_in(role=role, project=project), ADDRESSES, price) == refusals()


def test_who_may_look_may_not_change(price, signed_in):
    user = signed_in(*{ADDRESSES[address] for address in LOOKS})
    changes = {address: ADDRESSES[address] for address in ADDRESSES.keys() - LOOKS}
    assert answers(user, changes, price) == refusals(changes)
    assert {user("get", path.format(price=price))[0] for _, path in LOOKS} == {200}


def test_who_may_change_may_look(price, signed_in):
    user = signed_in(*{ADDRESSES[address].replace(".view_", ".change_") for address in LOOKS})
    assert {user("get", path.format(price=price))[0] for _, path in LOOKS} == {200}


@pytest.mark.parametrize("address", [("patch", "models/up/m1"), ("post", "prices"), ("put", "layers")])
def test_one_permission_opens_its_own_address_alone(price, signed_in, address):
    user = signed_in(ADDRESSES[address])
    opened = {one for one, wanted in ADDRESSES.items() if wanted == ADDRESSES[address]}
    found = answers(user, ADDRESSES.keys() - opened - LOOKS, price)
    assert {status for status, _ in found.values()} == {403}
    assert answers(user, [address], price)[address][0] == 400


@pytest.mark.parametrize("path", ["providers/up", "models/up/m1"])
def test_taking_models_out_of_layers_is_a_permission_of_its_own(layers, signed_in, path):
    user = signed_in("providers.delete_provider", "providers.delete_model")
    words = "You lack the permission 'routing.delete_candidate', which with_candidates asks for."
    assert user.refused("delete", f"{path}?with_candidates=true")[::2] == (403, words)
    assert user("delete", path)[0] == 409
    assert Candidate.objects.count() == 4


@pytest.mark.parametrize("who", ["root", "fitter"])
def test_a_superuser_and_a_key_with_the_scope_pass_everywhere(request, price, who):
    asker = request.getfixturevalue(who)
    assert {asker("get", path.format(price=price))[0] for _, path in LOOKS} == {200}
    with_body = [one for one in ADDRESSES if one[0] in ("post", "put", "patch")]
    found = answers(asker, with_body, price)
    assert {status for status, _ in found.values()} == {400}


def test_a_change_needs_the_csrf_token(layers, admin_user):
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    assert "CSRF" in Asker(client).refused("patch", "layers/L1", title="x")[2]
    client.cookies["csrftoken"] = token = "a" * 32
    assert Asker(client, {"X-CSRFToken": token})("patch", "layers/L1", title="x")[0] == 200


def test_while_the_database_is_gone_503(fitter, price):
    def gone(*_):
        raise OperationalError("unable to open database file")

    fitter("get", "layers")
    for method, path in ADDRESSES:
        sent = {} if method == "get" else {"data": {}, "content_type": "application/json"}
        with connection.execute_wrapper(gone):
            address = f"/v1/admin/{path.format(price=price)}"
            answer = getattr(fitter.client, method)(address, headers=fitter.headers, **sent)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "database_unavailable"), (method, path)
        assert answer["Retry-After"] == "5"


def test_the_key_is_named_in_the_audit_trail(fitter, layers):
    fitter("patch", "layers/L1", title="cheap")
    assert AuditEntry.objects.get(action="layer.changed").actor.startswith("key fitter (agw_")

"""The scope `installation`: it comes from superusers and from keys that have it, and reaches no project by itself."""

import pytest
from django.contrib.auth.models import Permission

from analytics import authority, keys
from analytics.models import Membership
from analytics.types import Scope
from tests.unit.gateway.conftest import Asker, bearing

pytestmark = pytest.mark.django_db

REFUSED = (400, "scopes", "Only superusers and keys with the scope 'installation' give that scope.")


@pytest.fixture
def both(ours):
    made = keys.create("both", actor="tests", project=ours.project, scopes=["admin", "installation"])
    return bearing(made.secret)


@pytest.fixture(params=["key", "user"])
def project_admin(request, us, ours, client, django_user_model):
    """The user has every permission there is, and is no superuser."""
    if request.param == "key":
        return us
    user = django_user_model.objects.create_user("ann")
    user.user_permissions.set(Permission.objects.all())
    Membership.objects.create(user=user, project=ours.project, role="admin")
    client.force_login(user)
    return Asker(client)


def test_an_admin_of_the_project_does_not_give_it(project_admin, ours):
    assert project_admin.refused("post", "keys", name="x", scopes=["chat", "installation"]) == REFUSED
    assert project_admin.refused("patch", f"keys/{ours.key.pk}", scopes=["installation"]) == REFUSED


@pytest.mark.parametrize(("method", "path"), [("patch", ""), ("post", "/rotate"), ("delete", "")])
def test_nor_touches_a_key_that_has_it(project_admin, ours, method, path):
    row = keys.create("strong", actor="tests", project=ours.project, scopes=["installation"]).row
    status, _, words = project_admin.refused(method, f"keys/{row.pk}{path}")
    assert (status, words.endswith(": see scopes.")) == (403, True)
    row.refresh_from_db()
    assert row.scopes == ["installation"]


@pytest.mark.parametrize("who", ["root", "both"])
def test_who_may_gives_it_and_takes_it_back(request, ours, who):
    asker = request.getfixturevalue(who)
    status, made = asker("post", "keys", name="x", scopes=["installation"])
    assert (status, made["scopes"]) == (201, ["installation"])
    assert asker("patch", f"keys/{made['id']}", scopes=["chat"])[1]["scopes"] == ["chat"]


def test_a_key_held_to_paths_gives_it_with_the_same_ones(ours):
    held = keys.create("held", actor="tests", project=ours.project, scopes=["admin", "installation"],
                       allowed_endpoints=["/v1/admin/*"])  # fmt: skip
    asker = bearing(held.secret)
    assert asker.refused("post", "keys", name="x", scopes=["installation"])[:2] == (400, "allowed_endpoints")
    given = {"name": "x", "scopes": ["installation"], "allowed_endpoints": ["/v1/admin/*"]}
    assert asker("post", "keys", given)[0] == 201


def test_the_command_line_gives_it(ours, run):
    status, out, _ = run("keys", "create", "x", "--scope", Scope.INSTALLATION.value, "--json")
    assert (status, '"installation"' in out) == (0, True)


def test_the_scope_alone_reaches_no_project(fitter, ours):
    words = "This API key lacks the scope 'admin'."
    assert fitter.refused("get", "keys")[::2] == (403, words)
    assert fitter.refused("patch", "projects/default", name="x")[::2] == (403, words)
    assert fitter.refused("get", "audit")[::2] == (403, words)


def test_permissions_alone_reach_no_project(client, django_user_model, ours):
    user = django_user_model.objects.create_user("ann")
    user.user_permissions.set(Permission.objects.all())
    client.force_login(user)
    assert Asker(client).refused("get", "keys")[::2] == (403, "This is for members of a project.")


def test_the_scope_has_every_permission_of_both_apps_and_no_other():
    known = {
        f"{one.content_type.app_label}.{one.codename}"
        for one in Permission.objects.filter(content_type__app_label__in=["providers", "routing"])
    }
    assert authority.installation_permissions() == known
    assert {"providers.change_credential", "routing.delete_layer"} <= known

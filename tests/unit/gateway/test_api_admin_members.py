"""`/v1/admin/projects/{slug}/members`: looked at by every member, changed by the project's admins and superusers."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from analytics import keys
from analytics.models import AuditEntry, Membership
from tests.unit.gateway.conftest import Asker, bearing

pytestmark = pytest.mark.django_db
MEMBERS = "projects/default/members"


def member(name, project, role):
    found, _ = User.objects.get_or_create(username=name)
    Membership.objects.create(user=found, project=project, role=role)
    return found


def by(user):
    client = Client()
    client.force_login(user)
    return Asker(client)


@pytest.fixture
def ada(ours):
    """An admin of ours."""
    return by(member("ada", ours.project, "admin"))


def roles(tenant):
    return dict(Membership.objects.filter(project=tenant.project).values_list("user__username", "role"))


class TestLooking:
    @pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
    def test_every_member_sees_the_others(self, ours, role):
        asker = by(member("zoe", ours.project, role))
        member("bob", ours.project, "viewer")
        page = asker("get", MEMBERS)[1]
        assert [(one["user"], one["role"]) for one in page["data"]] == [("bob", "viewer"), ("zoe", role)]
        told = {"object": "member", "user": "bob", "project": "default", "role": "viewer", "active": True}
        assert asker("get", f"{MEMBERS}/bob") == (200, told)
        assert asker("get", f"{MEMBERS}/nobody")[0] == 404

    def test_lists_are_paged_by_name(self, us, ours):
        for name in ("c@d.org", "ann", "bob"):
            member(name, ours.project, "viewer")
        page = us("get", f"{MEMBERS}?limit=2")[1]
        assert ([one["user"] for one in page["data"]], page["last_id"], page["has_more"]) == (
            ["ann", "bob"],
            "bob",
            True,
        )
        assert [one["user"] for one in us("get", f"{MEMBERS}?after=bob")[1]["data"]] == ["c@d.org"]
        assert us.refused("get", f"{MEMBERS}?colour=red")[:2] == (400, "colour")

    def test_its_questions_do_not_grow(self, ada, ours):
        def asked():
            with CaptureQueriesContext(connection) as captured:
                ada("get", MEMBERS)
            return len(captured)

        asked()
        before = asked()
        for number in range(5):
            member(f"u{number}", ours.project, "viewer")
        assert asked() == before


class TestChanging:
    def test_a_superuser_adds_anybody(self, root, ours):
        User.objects.create_user("eve")
        told = {"object": "member", "user": "eve", "project": "default", "role": "operator", "active": True}
        assert root("put", f"{MEMBERS}/eve", role="operator") == (201, told)
        assert root.refused("put", f"{MEMBERS}/nobody", role="viewer")[::2] == (
            404,
            "There is no user 'nobody': superusers make them at /admin/auth/user/.",
        )

    def test_an_admin_gives_roles_and_takes_members_out(self, ada, ours):
        member("bob", ours.project, "viewer")
        assert ada("put", f"{MEMBERS}/bob", role="operator")[0] == 200
        assert roles(ours) == {"ada": "admin", "bob": "operator"}
        told = {"user": "bob", "project": "default", "object": "member", "deleted": True}
        assert ada("delete", f"{MEMBERS}/bob") == (200, told)
        assert roles(ours) == {"ada": "admin"}
        assert ada.refused("delete", f"{MEMBERS}/bob")[::2] == (404, "'bob' is no member of default.")

    def test_whom_an_admin_does_not_know_is_as_unknown_as_who_is_not_there(self, ada, ours, theirs):
        member("eve", theirs.project, "admin")
        User.objects.create_user("new")
        words = "There is no user {!r} whom you may add: members of projects of which you are an admin, no others."
        for name in ("eve", "new", "nobody", "a\0b"):
            status, _, said = ada.refused("put", f"{MEMBERS}/{name.replace(chr(0), '%00')}", role="viewer")
            assert (status, said) == (404, words.format(name))
        assert roles(ours) == {"ada": "admin"}

    def test_an_admin_of_two_projects_adds_who_is_in_the_other(self, ada, ours, theirs):
        Membership.objects.create(user=User.objects.get(username="ada"), project=theirs.project, role="admin")
        member("eve", theirs.project, "viewer")
        assert ada("put", f"{MEMBERS}/eve", role="viewer")[0] == 201

    def test_a_viewer_of_the_other_project_does_not(self, ada, ours, theirs):
        Membership.objects.create(user=User.objects.get(username="ada"), project=theirs.project, role="viewer")
        member("eve", theirs.project, "viewer")
        assert ada("put", f"{MEMBERS}/eve", role="viewer")[0] == 404

    @pytest.mark.parametrize("body", [{}, {"role": "owner"}, {"role": 1}, {"role": "viewer", "user": "x"}], ids=str)
    def test_what_is_wrong_is_told_at_its_field(self, ada, ours, body):
        member("bob", ours.project, "operator")
        status, field, _ = ada.refused("put", f"{MEMBERS}/bob", body)
        assert (status, field) == (400, "user" if "user" in body else "role")
        assert roles(ours)["bob"] == "operator"

    def test_each_change_is_in_the_audit_trail_once(self, ada, ours):
        member("bob", ours.project, "viewer")
        seen = AuditEntry.objects.count()
        for _ in range(2):
            ada("put", f"{MEMBERS}/bob", role="admin")
        ada("delete", f"{MEMBERS}/bob")
        given, taken = AuditEntry.objects.order_by("id")[seen:]
        assert {(one.action, one.actor, one.target, one.project_id) for one in (given, taken)} == {
            ("project.members_changed", "ada", "default", ours.project.pk)
        }
        assert (given.before["bob"], given.after["bob"], taken.after) == ("viewer", "admin", {"ada": "admin"})


class TestTheLastAdmin:
    WORDS = "ada is the last admin of default: make somebody else one first."

    def test_stays(self, ada, us, ours):
        for asker in (ada, us):
            assert asker.refused("delete", f"{MEMBERS}/ada")[::2] == (409, self.WORDS)
            assert asker.refused("put", f"{MEMBERS}/ada", role="viewer")[::2] == (409, self.WORDS)
        assert ada("put", f"{MEMBERS}/ada", role="admin")[0] == 200

    def test_one_who_cannot_sign_in_is_none(self, ada, ours):
        gone = member("bob", ours.project, "admin")
        User.objects.filter(pk=gone.pk).update(is_active=False)
        assert ada("delete", f"{MEMBERS}/ada")[0] == 409
        assert ada("delete", f"{MEMBERS}/bob")[0] == 200

    def test_goes_by_another_admins_hand_or_a_superusers(self, ada, root, ours):
        bob = by(member("bob", ours.project, "admin"))
        assert bob("delete", f"{MEMBERS}/ada")[0] == 200
        assert root("put", f"{MEMBERS}/bob", role="viewer")[0] == 200
        assert roles(ours) == {"bob": "viewer"}


class TestNobodyElse:
    CHANGES = (("put", f"{MEMBERS}/bob"), ("delete", f"{MEMBERS}/bob"))

    @pytest.fixture(autouse=True)
    def bob(self, ours):
        return member("bob", ours.project, "viewer")

    @pytest.mark.parametrize("role", ["viewer", "operator"])
    def test_lower_roles_change_nothing(self, ours, role):
        asker = by(member("zoe", ours.project, role))
        for method, path in self.CHANGES:
            assert asker.refused(method, path, role="admin")[::2] == (403, "This is for admins of a project.")
        assert roles(ours)["bob"] == "viewer"

    def test_to_another_projects_admin_it_does_not_exist(self, ours, theirs, them):
        for asker in (them, by(member("eve", theirs.project, "admin"))):
            for method, path in (("get", MEMBERS), ("get", f"{MEMBERS}/bob"), *self.CHANGES):
                assert asker.refused(method, path, role="admin")[::2] == (404, "There is no project 'default'.")

    def test_an_admin_elsewhere_who_looks_here_is_told_why(self, ours, theirs):
        eve = member("eve", theirs.project, "admin")
        Membership.objects.create(user=eve, project=ours.project, role="viewer")
        for method, path in self.CHANGES:
            assert by(eve).refused(method, path, role="admin")[::2] == (403, "This is for admins of the project.")

    def test_without_a_key_or_the_scope(self, ours, fitter):
        for asker, status in ((Asker(Client()), 401), (bearing(ours.secret), 403), (fitter, 403)):
            assert asker("get", MEMBERS)[0] == asker("put", f"{MEMBERS}/bob", role="admin")[0] == status


class TestKeys:
    """A key with the scope `admin` acts as an admin does, and gives no role that is worth more than itself."""

    HELD = [
        ({"allowed_models": ["m1"]}, "models", {"viewer"}),
        ({"allowed_layers": ["L0"]}, "layers", {"viewer"}),
        ({"allowed_networks": ["127.0.0.1"]}, "networks", {"viewer"}),
        ({"allowed_endpoints": ["/v1/admin/*"]}, "paths", {"viewer", "operator"}),
        ({"expires_at": datetime.now(UTC) + timedelta(days=1)}, "a time", {"viewer", "operator"}),
        ({}, "", {"viewer", "operator", "admin"}),
    ]  # fmt: skip

    @pytest.mark.parametrize(("fields", "what", "given"), HELD, ids=[what or "nothing" for _, what, _ in HELD])
    def test_held_to_something(self, ours, fields, what, given):
        made = keys.create("steward", actor="tests", project=ours.project, scopes=["admin"], **fields)
        asker = bearing(made.secret)
        member("ada", ours.project, "admin")
        for role in ("viewer", "operator", "admin"):
            member(f"is-{role}", ours.project, role)
            status, answer = asker("put", f"{MEMBERS}/is-{role}", role=role)
            assert status == (200 if role in given else 403), answer
            assert status == 200 or f"Your key is held to {what}" in answer["error"]["message"]
            assert asker("delete", f"{MEMBERS}/is-{role}")[0] == status

    def test_it_adds_nobody(self, us, ours):
        User.objects.create_user("eve")
        assert us("put", f"{MEMBERS}/eve", role="viewer")[0] == 404

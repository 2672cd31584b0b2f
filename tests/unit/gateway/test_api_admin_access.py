"""Who may use the management API, and how far it reaches: an admin key, a superuser, a project's admin, nobody else."""

import pytest
from django.db import transaction
from django.test import Client

from analytics import budget_rows, keys
from analytics.models import ApiKey, AuditEntry, Budget, Membership, Project
from tests.unit.gateway.conftest import Asker, bearing

pytestmark = pytest.mark.django_db

ADDRESSES = [
    ("get", "keys"), ("post", "keys"), ("get", "keys/{key}"), ("patch", "keys/{key}"), ("delete", "keys/{key}"),
    ("post", "keys/{key}/rotate"),
    ("get", "budgets"), ("post", "budgets"), ("get", "budgets/{budget}"), ("patch", "budgets/{budget}"),
    ("delete", "budgets/{budget}"),
    ("get", "projects"), ("post", "projects"), ("get", "projects/theirs"), ("patch", "projects/theirs"),
    ("delete", "projects/theirs"),
]  # fmt: skip


@pytest.fixture
def rows(theirs):
    """What `ADDRESSES` speak of."""
    budget = budget_rows.create(actor="tests", window="day", limit_usd="5", api_key=theirs.key)
    return {"key": theirs.key.pk, "budget": budget.pk}


@pytest.fixture
def signed_in(client, django_user_model):
    def signed_in(*, role=None, project=None, **fields):
        user = django_user_model.objects.create_user("ann", **fields)
        if role:
            Membership.objects.create(user=user, project=project, role=role)
        client.force_login(user)
        return Asker(client)

    return signed_in


def state():
    return [list(model.objects.order_by("pk").values()) for model in (ApiKey, Budget, Project)]


def answers(asker, addresses, rows):
    """Status and error at each address; whatever was asked for there, nothing has changed."""
    before, found = state(), {}
    for method, path in addresses:
        status, answer = asker(method, path.format(**rows), enabled=False)
        found[method, path] = (status, answer.get("error"))
        assert state() == before, (method, path)
    return found


class TestNobodyElse:
    def refusals(self, asker, rows):
        found = answers(asker, ADDRESSES, rows)
        return {address: (status, error and error["message"]) for address, (status, error) in found.items()}

    def test_without_a_key_401(self, rows):
        refusal = (401, "Send an API key as 'Authorization: Bearer KEY'.")
        assert self.refusals(Asker(Client()), rows) == dict.fromkeys(ADDRESSES, refusal)

    def test_a_key_without_the_scope_403(self, rows, theirs):
        refusal = (403, "This API key lacks the scope 'admin'.")
        assert self.refusals(bearing(theirs.secret), rows) == dict.fromkeys(ADDRESSES, refusal)

    def test_a_user_who_is_in_no_project_403(self, rows, signed_in):
        assert {words for _, words in self.refusals(signed_in(), rows).values()} == {
            "This is for members of a project.",
            "This is for operators and admins of a project.",
            "This is for admins of a project.",
        }


class TestRoles:
    """A viewer looks, an operator looks after keys as well, an admin does the rest of what is the project's."""

    LOOKING = {address for address in ADDRESSES if address[0] == "get"}
    OF_KEYS = {("post", "keys"), ("patch", "keys/{key}"), ("post", "keys/{key}/rotate")}

    def refused(self, asker, rows):
        """The addresses that answer with 403."""
        found = {}
        for method, path in ADDRESSES:
            with transaction.atomic():
                found[method, path] = asker(method, path.format(**rows), name="made", enabled=True)[0]
                transaction.set_rollback(True)
        assert set(found.values()) <= {200, 201, 400, 403}  # 400: the body that suits a key suits no budget
        return {address for address, status in found.items() if status == 403}

    def test_a_viewer_looks(self, rows, theirs, signed_in):
        viewer = signed_in(role="viewer", project=theirs.project)
        assert self.refused(viewer, rows) == {*ADDRESSES} - self.LOOKING

    def test_an_operator_looks_after_the_keys(self, rows, theirs, signed_in):
        operator = signed_in(role="operator", project=theirs.project)
        assert self.refused(operator, rows) == {*ADDRESSES} - self.LOOKING - self.OF_KEYS

    def test_an_admin_does_all_but_make_and_delete_projects(self, rows, theirs, signed_in):
        admin = signed_in(role="admin", project=theirs.project)
        assert self.refused(admin, rows) == {("post", "projects"), ("delete", "projects/theirs")}

    def test_the_audit_trail_is_for_admins(self, rows, theirs, signed_in):
        operator = signed_in(role="operator", project=theirs.project)
        assert operator.refused("get", "audit")[::2] == (403, "This is for admins of a project.")
        assert operator.refused("get", "audit/1")[::2] == (403, "This is for admins of a project.")

    def test_head_asks_for_no_less_than_get(self, rows, theirs, signed_in):
        operator = signed_in(role="operator", project=theirs.project)
        assert operator.client.head("/v1/admin/audit").status_code == 403
        assert operator.client.head("/v1/admin/keys").status_code == 200

    def test_a_role_in_one_project_is_none_in_another(self, rows, ours, theirs, signed_in):
        """Who is an admin of ours and a viewer of theirs sees theirs, and is told why nothing more."""
        user = signed_in(role="admin", project=ours.project)
        Membership.objects.create(user_id=user.client.session["_auth_user_id"], project=theirs.project, role="viewer")
        assert user("get", f"keys/{rows['key']}")[0] == 200
        assert user.refused("patch", f"keys/{rows['key']}", enabled=False)[::2] == (
            403,
            "This is for operators and admins of the project.",
        )
        budget = {"window": "day", "limit_usd": 5}
        for fields in ({"project": "theirs"}, {"api_key": rows["key"]}):
            assert user.refused("post", "budgets", **fields, **budget)[::2] == (
                403,
                "This is for admins of the project.",
            )
        assert user.refused("patch", f"keys/{ours.key.pk}", project="theirs")[0] == 403
        assert {row["project"] for row in user("get", "keys")[1]["data"]} == {"default", "theirs"}
        assert ApiKey.objects.get(pk=ours.key.pk).project == ours.project


class TestAnOperator:
    """Looks after keys that chat and report, and gives none that changes configuration."""

    @pytest.fixture
    def operator(self, theirs, signed_in):
        return signed_in(role="operator", project=theirs.project)

    def test_makes_and_rotates_a_key(self, operator, theirs):
        status, made = operator("post", "keys", name="new", project="theirs")
        assert (status, made["project"]) == (201, "theirs")
        assert operator("post", f"keys/{made['id']}/rotate", grace_s=0)[0] == 200

    @pytest.mark.parametrize("scope", ["admin", "installation"])
    def test_gives_no_scope_that_changes_configuration(self, operator, rows, scope):
        for method, path in (("post", "keys"), ("patch", f"keys/{rows['key']}")):
            status, param, words = operator.refused(method, path, name="new", scopes=["chat", scope])
            assert (status, param) == (400, "scopes")
            assert words.startswith("Only ")
        assert ApiKey.objects.get(pk=rows["key"]).scopes != ["chat", scope]

    def test_leaves_a_key_alone_that_has_one(self, operator, theirs):
        made = keys.create("steward", actor="tests", project=theirs.project, scopes=["admin"])
        for method, path in (("patch", f"keys/{made.row.pk}"), ("post", f"keys/{made.row.pk}/rotate")):
            status, _, words = operator.refused(method, path)
            assert (status, words) == (403, "The key steward may do more than you: see scopes.")


class TestAnotherProject:
    """To an admin of ours, rows of theirs do not exist."""

    @pytest.fixture(params=["key", "user"])
    def ours_alone(self, request, ours, signed_in):
        return (
            request.getfixturevalue("us") if request.param == "key" else signed_in(role="admin", project=ours.project)
        )

    def test_a_row_of_theirs_is_404(self, ours_alone, rows):
        of_one = [(method, path) for method, path in ADDRESSES if "/" in path]
        found = answers(ours_alone, of_one, rows)
        codes = {address: (status, error and error["code"]) for address, (status, error) in found.items()}
        assert codes == dict.fromkeys(of_one, (404, "not_found"))

    def test_lists_show_ours_alone(self, ours_alone, rows, ours):
        budget_rows.create(actor="tests", window="day", limit_usd="5")
        mine = budget_rows.create(actor="tests", window="day", limit_usd="5", project=ours.project)
        assert {row["project"] for row in ours_alone("get", "keys")[1]["data"]} == {"default"}
        assert [row["id"] for row in ours_alone("get", "budgets")[1]["data"]] == [mine.pk]
        assert [row["slug"] for row in ours_alone("get", "projects")[1]["data"]] == ["default"]

    def test_nothing_is_made_in_or_moved_to_theirs(self, ours_alone, rows, ours):
        budget = {"window": "day", "limit_usd": 5}
        tries = [
            ("post", "keys", "project", {"name": "x", "project": "theirs"}),
            ("patch", f"keys/{ours.key.pk}", "project", {"project": "theirs"}),
            ("get", "keys?project=theirs", "project", {}),
            ("post", "budgets", "project", {"project": "theirs"} | budget),
            ("post", "budgets", "api_key", {"api_key": rows["key"]} | budget),
        ]
        before = state()
        for method, path, field, fields in tries:
            status, param, words = ours_alone.refused(method, path, **fields)
            assert (status, param) == (400, field)
            assert words.startswith("There is no ")
            assert "there is default." in words or field == "api_key"
            assert state() == before

    def test_the_installations_budget_is_404_and_cannot_be_made(self, ours_alone):
        row = budget_rows.create(actor="tests", window="day", limit_usd="5")
        assert ours_alone("get", f"budgets/{row.pk}")[0] == 404
        made = ours_alone.refused("post", "budgets", installation=True, window="hour", limit_usd=5)
        assert made[::2] == (403, "Only superusers make budgets of the installation.")

    def test_projects_are_neither_made_nor_deleted(self, ours_alone):
        assert ours_alone.refused("post", "projects", slug="lab")[::2] == (403, "Only superusers make projects.")
        assert ours_alone.refused("delete", "projects/default")[::2] == (403, "Only superusers delete projects.")

    def test_users_who_are_no_members_are_not_told_of(self, us, ours, django_user_model):
        django_user_model.objects.create_user("eve")
        assert us.refused("post", "keys", name="x", owner="eve") == (400, "owner", "There is no user 'eve'.")

    def test_a_member_may_be_an_owner(self, us, ours, django_user_model):
        Membership.objects.create(user=django_user_model.objects.create_user("bob"), project=ours.project)
        assert us("post", "keys", name="x", owner="bob")[1]["owner"] == "bob"


class TestSession:
    def test_a_superuser_sees_all(self, root, rows, ours):
        assert {row["project"] for row in root("get", "keys")[1]["data"]} == {"default", "theirs"}
        assert root("patch", f"keys/{rows['key']}", enabled=False)[1]["state"] == "disabled"

    @pytest.mark.parametrize("method", ["post", "patch", "delete"])
    def test_a_change_needs_the_csrf_token(self, ours, admin_user, method):
        client = Client(enforce_csrf_checks=True)
        client.force_login(admin_user)
        path = "keys" if method == "post" else f"keys/{ours.key.pk}"
        status, answer = Asker(client)(method, path, name="new")
        assert (status, answer["error"]["type"]) == (403, "permission_error")
        assert "CSRF" in answer["error"]["message"]
        client.cookies["csrftoken"] = token = "a" * 32
        assert Asker(client, {"X-CSRFToken": token})(method, path, name="new")[0] in (200, 201)

    def test_looking_needs_none(self, ours, admin_user):
        client = Client(enforce_csrf_checks=True)
        client.force_login(admin_user)
        assert Asker(client)("get", "keys")[0] == 200

    def test_an_admin_of_two_projects_names_one(self, client, django_user_model, ours, theirs):
        user = django_user_model.objects.create_user("ann")
        third = Project.objects.create(slug="third", name="Third")
        for project in (theirs.project, third):
            Membership.objects.create(user=user, project=project, role="admin")
        client.force_login(user)
        assert Asker(client).refused("post", "keys", name="x") == (400, "project", "Name the project.")
        made = Asker(client)("post", "keys", name="x", project="third")[1]
        assert Asker(client)("patch", f"keys/{made['id']}", project="theirs")[1]["project"] == "theirs"


class TestHeldKeys:
    def test_an_admin_key_is_held_to_its_addresses_and_paths(self, ours):
        row = ApiKey.objects.create(name="held", project=ours.project, key_hash=keys.digest("s"), scopes=["admin"])
        ApiKey.objects.filter(pk=row.pk).update(allowed_endpoints=["/v1/admin/keys*"], allowed_networks=["127.0.0.1"])
        assert bearing("s")("get", "keys")[0] == 200
        assert bearing("s")("get", "budgets")[1]["error"]["code"] == "endpoint_not_allowed"
        ApiKey.objects.filter(pk=row.pk).update(allowed_networks=["192.0.2.7"])
        assert bearing("s")("get", "keys")[1]["error"]["code"] == "address_not_allowed"


class TestActor:
    def test_a_key_is_named_with_its_prefix(self, us, ours):
        us("patch", f"keys/{ours.key.pk}", tokens_per_minute=5)
        row = ApiKey.objects.get(name="steward")
        assert AuditEntry.objects.get(action="api_key.changed").actor == f"key steward ({row.prefix}...)"

    def test_a_user_by_name(self, root, ours):
        root("patch", f"keys/{ours.key.pk}", tokens_per_minute=5)
        assert AuditEntry.objects.get(action="api_key.changed").actor == "admin"

"""`/v1/admin/projects` and one of them: made by superusers, changed by their admins too."""

import pytest

from analytics import keys, projects
from analytics.models import AuditEntry, Project

pytestmark = pytest.mark.django_db


def test_a_superuser_makes_one(root):
    given = {"slug": "lab", "name": "The lab", "time_zone": "Asia/Kathmandu", "requests_per_minute": 60}
    status, made = root("post", "projects", **given)
    assert (status, made["object"], made["enabled"], made["tokens_per_minute"]) == (201, "project", True, None)
    assert {name: made[name] for name in given} == given
    assert AuditEntry.objects.get(action="project.created").actor == "admin"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"slug": ""}, "slug"),
        ({"slug": 5}, "slug"),
        ({"slug": "default"}, "slug"),
        ({"slug": "new"}, "slug"),
        ({"name": 5}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"time_zone": None}, "time_zone"),
        ({"requests_per_minute": "60"}, "requests_per_minute"),
        ({"concurrent_requests": ""}, "concurrent_requests"),
        ({"time_zone": "localtime"}, "time_zone"),
        ({"enabled": "t"}, "enabled"),
        ({"stores_bodies": 1}, "stores_bodies"),
        ({"bodies_days": 0}, "bodies_days"),
        ({"bodies_days": 91}, "bodies_days"),
        ({"bodies_days": None}, "bodies_days"),
        ({"id": 1}, "id"),
    ],
)
def test_what_is_wrong_is_told_at_its_field(root, ours, fields, field):
    assert root.refused("post", "projects", {"slug": "lab"} | fields)[:2] == (400, field)
    assert Project.objects.count() == 1


def test_lists_are_paged_by_slug(root, theirs):
    projects.create("lab", actor="tests")
    page = root("get", "projects?limit=2")[1]
    assert ([row["slug"] for row in page["data"]], page["last_id"], page["has_more"]) == (
        ["default", "lab"],
        "lab",
        True,
    )
    assert [row["slug"] for row in root("get", "projects?after=lab")[1]["data"]] == ["theirs"]
    assert root.refused("get", "projects?after=%00")[:2] == (400, "after")


def test_its_admin_changes_it(us, ours):
    us("patch", "projects/default", requests_per_minute=5)
    told = us("patch", "projects/default", time_zone="Europe/Berlin")[1]
    assert (told["requests_per_minute"], told["time_zone"]) == (5, "Europe/Berlin")
    assert us("get", "projects/default")[1] == told


def test_its_admin_says_whether_bodies_are_kept_and_how_long(us, them, ours):
    assert us("get", "projects/default")[1]["stores_bodies"] is False
    told = us("patch", "projects/default", stores_bodies=True, bodies_days=30)[1]
    assert (told["stores_bodies"], told["bodies_days"]) == (True, 30)
    entry = AuditEntry.objects.get(action="project.changed")
    assert (entry.before["stores_bodies"], entry.after["stores_bodies"], entry.after["bodies_days"]) == (
        False,
        True,
        30,
    )
    assert them.refused("patch", "projects/default", {"stores_bodies": False})[0] == 404


def test_a_slug_stays(us):
    words = "This stands in the ledger and cannot be changed."
    assert us.refused("patch", "projects/default", slug="other") == (400, "slug", words)


@pytest.mark.parametrize("value", ["", [], {}], ids=repr)
@pytest.mark.parametrize("field", keys.LIMITS)
def test_an_empty_value_is_no_limit_to_set(us, ours, field, value):
    assert us.refused("patch", "projects/default", {field: value}) == (400, field, "Use a whole number.")
    assert getattr(Project.objects.get(), field) is None


def test_a_slug_that_is_taken_says_what_to_do(root, ours):
    words = "A project named 'default' already exists; choose another slug."
    assert root.refused("post", "projects", slug="default") == (400, "slug", words)


def test_an_unknown_one_is_404(root):
    assert root("get", "projects/nowhere")[0] == root("patch", "projects/nowhere")[0] == 404


def test_one_with_keys_is_kept_and_says_why(root, theirs):
    status, _, words = root.refused("delete", "projects/theirs")
    assert (status, words.startswith("The project theirs has API keys (first)")) == (409, True)
    keys.delete(theirs.key, actor="tests")
    assert root("delete", "projects/theirs") == (200, {"slug": "theirs", "object": "project", "deleted": True})


def test_the_default_one_is_kept(root, ours):
    assert root("delete", "projects/default")[0] == 409

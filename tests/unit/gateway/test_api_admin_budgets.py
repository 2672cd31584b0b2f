"""`/v1/admin/budgets` and one of them: made, listed with how they stand, changed, deleted."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from analytics import budget_rows, standing
from analytics.models import AuditEntry, Budget
from analytics.standing import Standing

pytestmark = pytest.mark.django_db


@pytest.fixture
def make(ours):
    def make(**fields):
        return budget_rows.create(
            **{"actor": "tests", "window": "day", "limit_usd": "5", "project": ours.project} | fields
        )

    return make


@pytest.fixture
def stands(monkeypatch):
    """What the counters tell, and how often they were asked."""
    asked = []

    def stands(**fields):
        def of(rows):
            asked.append(len(rows))
            return {row.pk: Standing(**fields) for row in rows}

        monkeypatch.setattr(standing, "of", of)
        return asked

    return stands


class TestMake:
    def test_it_is_of_a_project_or_a_key(self, us, ours):
        status, made = us("post", "budgets", project="default", window="day", limit_usd="5.50")
        assert (status, made["object"], made["scope"], made["limit_usd"]) == (201, "budget", "project", "5.5")
        made = us("post", "budgets", api_key=ours.key.pk, window="day", limit_usd=5)[1]
        assert (made["scope"], made["project"], made["api_key"], made["key"]) == (
            "key", "default", ours.key.pk, "first",
        )  # fmt: skip
        assert AuditEntry.objects.filter(action="budget.created", actor__startswith="key steward (agw_").count() == 2

    def test_the_project_beside_a_key_says_where_it_is(self, us, ours):
        made = us("post", "budgets", project="default", api_key=ours.key.pk, window="day", limit_usd=5)[1]
        assert made["scope"] == "key"

    def test_a_superuser_makes_the_installations(self, root):
        made = root("post", "budgets", installation=True, window="total", limit_usd="5")[1]
        assert (made["scope"], made["project"]) == ("installation", None)
        assert made["starts_at"] is not None

    def test_every_field_is_kept(self, us, layers):
        given = {"project": "default", "window": "month", "limit_usd": "0.5", "action": "degrade", "layer": "L0",
                 "near_edge": "deny", "severity": "critical", "enabled": False,
                 "starts_at": "2040-01-01T00:00:00+00:00", "ends_at": "2041-01-01T00:00:00+00:00"}  # fmt: skip
        made = us("post", "budgets", **given)[1]
        assert {name: made[name] for name in given} == given

    @pytest.mark.parametrize(
        ("text", "kept"),
        [("0.1", "0.1"), ("1e-9", "0.000000001"), ('"0.3"', "0.3"), ("910003.000003168", "910003.000003168")],
    )
    def test_a_number_loses_nothing_on_its_way(self, us, text, kept):
        made = us("post", "budgets", f'{{"project": "default", "window": "day", "limit_usd": {text}}}')[1]
        assert made["limit_usd"] == kept

    @pytest.mark.parametrize(
        "target", [{}, {"project": None}, {"installation": False}, {"installation": True, "project": "default"}]
    )
    def test_it_says_whose_it_is(self, root, target):
        status, field, words = root.refused("post", "budgets", target | {"window": "day", "limit_usd": 5})
        assert (status, field) == (400, "project")
        assert words.startswith("Say whose budget it is")

    @pytest.mark.parametrize(
        ("fields", "field", "says"),
        [
            ({"limit_usd": True}, "limit_usd", "Use an amount in US dollars"),
            ({"limit_usd": None}, "limit_usd", "cannot be null"),
            ({"limit_usd": [0, [5], 0]}, "limit_usd", "Use an amount in US dollars"),
            ({"limit_usd": {"usd": 5}}, "limit_usd", "Use an amount in US dollars"),
            ({"window": 1}, "window", "Use a text."),
            ({"window": ["day"]}, "window", "Use a text."),
            ({"layer": 0}, "layer", "Use a text."),
            ({"action": None}, "action", "Use a text."),
            ({"severity": "a\0b"}, "severity", "Use no control characters"),
            ({"enabled": 1}, "enabled", "Use true or false."),
            ({"installation": 1}, "installation", "Use true or false."),
            ({"starts_at": "soon"}, "starts_at", "with its time zone"),
            ({"ends_at": "2040-01-01"}, "ends_at", "with its time zone"),
            ({"api_key": "1"}, "api_key", "Use a whole number."),
            ({"api_key": 10**30}, "api_key", "There is no key 1000"),
            ({"defined_at": "2040-01-01T00:00:00Z"}, "defined_at", "There is no field 'defined_at'"),
        ],
    )
    def test_what_is_wrong_is_told_at_its_field(self, us, fields, field, says):
        body = {"project": "default", "window": "day", "limit_usd": 5} | fields
        status, param, words = us.refused("post", "budgets", body)
        assert (status, param) == (400, field)
        assert says in words
        assert not Budget.objects.exists()

    @pytest.mark.parametrize("value", ["", [], {}], ids=repr)
    @pytest.mark.parametrize(
        "field", ["window", "limit_usd", "action", "near_edge", "severity", "starts_at", "ends_at", "enabled"]
    )
    def test_an_empty_value_is_refused_at_its_field(self, us, make, field, value):
        body = {"project": "default", "window": "day", "limit_usd": 5, "action": "note"}
        assert us.refused("post", "budgets", body | {field: value})[:2] == (400, field)
        assert us.refused("patch", f"budgets/{make().pk}", {field: value})[:2] == (400, field)

    def test_what_is_missing_is_named(self, us):
        error = us("post", "budgets", project="default")[1]["error"]
        assert set(error["gateway"]["fields"]) == {"window", "limit_usd"}


class TestStanding:
    def test_one_tells_how_it_stands(self, us, make, stands):
        began, ends = datetime(2040, 1, 1, tzinfo=UTC), datetime(2040, 1, 2, tzinfo=UTC)
        stands(spent_usd=Decimal("1.250"), held_usd=Decimal(0), window_starts_at=began, window_ends_at=ends)
        told = us("get", f"budgets/{make().pk}")[1]
        assert (told["spent_usd"], told["held_usd"]) == ("1.25", "0")
        assert (told["window_starts_at"], told["window_ends_at"]) == (began.isoformat(), ends.isoformat())

    def test_the_list_asks_the_counters_once(self, us, make, stands):
        make(), make(window="hour")
        asked = stands()
        rows = us("get", "budgets")[1]["data"]
        assert asked == [2]
        assert [(row["spent_usd"], row["held_usd"]) for row in rows] == [(None, None)] * 2

    def test_counters_that_are_away_are_no_error(self, us, make, settings, tmp_path):
        (tmp_path / "file").write_text("in the way")
        settings.COUNTERS_FILE = tmp_path / "file" / "counters.sqlite3"
        status, told = us("get", f"budgets/{make().pk}")
        assert (status, told["spent_usd"]) == (200, None)
        assert told["window_ends_at"] is not None


class TestList:
    def test_pages_follow_one_another(self, us, make):
        rows = [make(window=window).pk for window in ("hour", "day", "week")]
        page = us("get", "budgets?limit=2")[1]
        assert ([row["id"] for row in page["data"]], page["has_more"]) == (rows[:2], True)
        assert [row["id"] for row in us("get", f"budgets?after={page['last_id']}")[1]["data"]] == rows[2:]

    def test_of_a_project_or_a_key_alone(self, root, make, ours, theirs):
        mine, keys_, other = make(), make(project=None, api_key=ours.key), make(project=theirs.project)

        def found(query):
            return [row["id"] for row in root("get", f"budgets?{query}")[1]["data"]]

        assert found("project=default") == [mine.pk, keys_.pk]
        assert found(f"api_key={ours.key.pk}") == [keys_.pk]
        assert found("project=theirs") == [other.pk]
        assert root.refused("get", "budgets?api_key=x")[:2] == (400, "api_key")


class TestOne:
    def test_a_change_leaves_what_somebody_else_changed(self, us, make):
        row = make()
        us("patch", f"budgets/{row.pk}", severity="critical")
        told = us("patch", f"budgets/{row.pk}", limit_usd="7.5", ends_at="2040-01-01T00:00:00Z")[1]
        assert (told["severity"], told["limit_usd"], told["ends_at"]) == (
            "critical",
            "7.5",
            "2040-01-01T00:00:00+00:00",
        )
        assert us("patch", f"budgets/{row.pk}", ends_at=None)[1]["ends_at"] is None

    def test_a_layer_is_left_with_null(self, us, make, layers):
        row = make(action="degrade", layer="L0")
        assert us("patch", f"budgets/{row.pk}", action="note", layer=None)[1]["layer"] is None

    @pytest.mark.parametrize(("field", "value"), [("window", "hour"), ("project", "default"), ("api_key", 1)])
    def test_whose_it_is_and_its_window_stay(self, us, make, field, value):
        found = us.refused("patch", f"budgets/{make().pk}", {field: value})
        assert found == (400, field, "This cannot be changed: make another budget.")

    def test_one_is_deleted(self, us, make):
        row = make()
        assert us("delete", f"budgets/{row.pk}")[1] == {"id": row.pk, "object": "budget", "deleted": True}
        assert us("get", f"budgets/{row.pk}")[0] == us("delete", f"budgets/{row.pk}")[0] == 404


@pytest.fixture
def refused_command(run):
    """`manage.py budgets` or `projects`; what it says on stderr, one «field: words» after the command's name."""

    def refused_command(*words):
        status, _, err = run(*words)
        assert status != 0
        return err.partition(": ")[2].strip()

    return refused_command


class TestSameWords:
    """Admin, API and command refuse the same value at the same field in the same words; the command names the option
    where it was typed."""

    BUDGETS = [
        ({"limit_usd": "-1"}, "limit_usd"),
        ({"limit_usd": "0"}, "limit_usd"),
        ({"limit_usd": "1e7"}, "limit_usd"),
        ({"limit_usd": "1e400"}, "limit_usd"),
        ({"limit_usd": "NaN"}, "limit_usd"),
        ({"limit_usd": "five"}, "limit_usd"),
        ({"limit_usd": "1.00000000001"}, "limit_usd"),
        ({"window": "fortnight"}, "window"),
        ({"action": "explode"}, "action"),
        ({"near_edge": "jump"}, "near_edge"),
        ({"severity": "loud"}, "severity"),
        ({"action": "degrade", "layer": "l1"}, "layer"),
        ({"action": "degrade"}, "layer"),
        ({"ends_at": "2026-01-01T00:00:00+00:00"}, "ends_at"),
        ({"starts_at": "2041-01-01T00:00:00+00:00", "ends_at": "2040-01-01T00:00:00+00:00"}, "ends_at"),
        ({"starts_at": "1999-01-01T00:00:00+00:00"}, "starts_at"),
        ({"window": "week"}, "starts_at"),
    ]

    def test_of_a_budget(self, us, refused_form, refused_command, make, ours, layers):
        make(window="week")  # the one that the last case overlaps
        for fields, field in self.BUDGETS:
            given = {"limit_usd": "5", "window": "day"} | fields
            status, param, words = us.refused("post", "budgets", given | {"project": "default"})
            assert (status, param) == (400, field), fields
            said = refused_command("budgets", "create", "--project", "default", *options(given))
            shown = refused_form("/admin/analytics/budget/add/", budget_form(given, project=ours.project))
            assert (said, shown) == (f"{typed(field, given)}: {words}", {field: words}), fields
        assert Budget.objects.count() == 1

    def test_of_another_projects_key(self, root, refused_form, refused_command, ours, theirs):
        theirs.key.name = "abroad"
        theirs.key.save()
        given = {"limit_usd": "5", "window": "day"}
        words = "The key abroad belongs to the project theirs, not to default."
        body = given | {"project": "default", "api_key": theirs.key.pk}
        assert root.refused("post", "budgets", body) == (400, "api_key", words)
        found = refused_command("budgets", "create", "--project", "default", "--key", "abroad", *options(given))
        assert found == f"api_key: {words}"
        form = budget_form(given, project=ours.project) | {"api_key": theirs.key.pk}
        assert refused_form("/admin/analytics/budget/add/", form) == {"api_key": words}

    PROJECTS = [
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"slug": "The Lab"}, "slug"),
        ({"slug": "default"}, "slug"),
        ({"requests_per_minute": 0}, "requests_per_minute"),
        ({"tokens_per_minute": -5}, "tokens_per_minute"),
        ({"concurrent_requests": 10**9}, "concurrent_requests"),
        ({"bodies_days": 91}, "bodies_days"),
    ]

    def test_of_a_project(self, root, refused_form, refused_command, ours):
        empty = {f"memberships-{part}_FORMS": 0 for part in ("TOTAL", "INITIAL")}
        for fields, field in self.PROJECTS:
            given = {"slug": "lab", "name": "Lab"} | fields
            status, param, words = root.refused("post", "projects", given)
            assert (status, param) == (400, field), fields
            rest = [part for name, value in given.items() if name != "slug" for part in (option(name), str(value))]
            said = refused_command("projects", "create", given["slug"], *rest)
            form = {"time_zone": "UTC", "enabled": "on", "bodies_days": "7"} | given | empty
            shown = refused_form("/admin/analytics/project/add/", form)
            name = field if field == "slug" else option(field)
            assert (said, shown) == (f"{name}: {words}", {field: words}), fields


SPELT = {"limit_usd": "--limit", "window": "--per", "starts_at": "--starts", "ends_at": "--ends"}


def options(given):
    return [part for name, value in given.items() for part in (SPELT.get(name) or option(name), value)]


def typed(field, given):
    """`action` is also what the command is to do, so that the field keeps its name."""
    return SPELT.get(field) or option(field) if field in given and field != "action" else field


def option(name):
    return f"--{name.replace('_', '-')}"


def budget_form(given, *, project):
    """As the admin's page sends it: a date and a time in two fields."""
    form = {"project": project.pk, "action": "refuse", "near_edge": "shorten", "severity": "warning", "enabled": "on"}
    for name, value in given.items():
        if name.endswith("_at"):
            form[f"{name}_0"], form[f"{name}_1"] = value[:10], value[11:19]
        else:
            form[name] = value
    return form

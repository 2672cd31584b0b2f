"""`budgets` and `projects`, called as the command line calls them."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from analytics import keys, projects, standing
from analytics.models import AuditEntry, Budget, Project
from analytics.standing import Standing

pytestmark = pytest.mark.django_db


@pytest.fixture
def lab(db):
    row = projects.create("lab", actor="tests", time_zone="Asia/Kathmandu")
    projects.create("berlin", actor="tests", time_zone="Europe/Berlin")
    keys.create("ci", actor="tests", project=row)
    return row


ALL = ("budgets", "create", "--installation", "--limit", "5.00", "--per", "day")


class TestCreate:
    @pytest.mark.parametrize(
        ("target", "shown"),
        [
            (("--installation",), "$5 per day for the installation"),
            (("--project", "lab"), "$5 per day for project lab"),
            (("--key", "ci"), "$5 per day for key ci"),
            (("--project", "lab", "--key", "ci"), "$5 per day for key ci"),
        ],
    )
    def test_it_is_of_whom_was_named(self, run, lab, target, shown):
        status, out, _ = run("budgets", "create", *target, "--limit", "5.00", "--per", "day")
        row = Budget.objects.get()
        assert (status, str(row)) == (0, shown)
        assert out == f"Budget {row.pk} ({shown}) is made.\n"
        assert AuditEntry.objects.get(action="budget.created").actor == "command line"

    def test_of_keys_of_one_name_the_project_tells(self, run, lab, ours):
        mine = keys.create("ci", actor="tests", project=ours.project).row
        run("budgets", "create", "--project", "default", "--key", "ci", "--limit", "5", "--per", "day")
        assert Budget.objects.get().api_key == mine

    def test_every_option_is_kept(self, run, lab, layers):
        run("budgets", "create", "--project", "lab", "--limit", "0.5", "--per", "month", "--action", "degrade",
            "--layer", "L0", "--near-edge", "deny", "--severity", "critical", "--starts", "2040-01-01",
            "--ends", "2041-01-01T00:00Z")  # fmt: skip
        row = Budget.objects.get()
        assert (row.action, row.layer, row.near_edge, row.severity) == ("degrade", "L0", "deny", "critical")
        # Midnight in Kathmandu; a time with a zone of its own is in that.
        assert row.starts_at == datetime(2039, 12, 31, 18, 15, tzinfo=UTC)
        assert row.ends_at == datetime(2041, 1, 1, tzinfo=UTC)

    def test_a_day_whose_midnight_the_clock_skips_begins_after_it(self, run):
        projects.create("cairo", actor="tests", time_zone="Africa/Cairo")
        run("budgets", "create", "--project", "cairo", "--limit", "5", "--per", "day", "--starts", "2027-04-30")
        assert Budget.objects.get().starts_at == datetime(2027, 4, 29, 22, tzinfo=UTC)

    def test_a_total_says_from_when_it_counts(self, run, lab):
        out = run("budgets", "create", "--project", "lab", "--limit", "5", "--per", "total")[1]
        assert "is made and counts from 20" in out
        assert "Asia/Kathmandu" in out

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (("--installation", "--limit", "-1"), "--limit: Use more than 0 US dollars."),
            (("--installation", "--limit", "NaN"), "--limit: Use an amount in US dollars, such as 5 or 0.25."),
            (("--installation", "--limit", "0.0000000000001"), "--limit: Use at least 0.000000001 US dollars."),
            (
                ("--project", "berlin", "--limit", "5", "--starts", "2027-03-28T02:30"),
                "--starts '2027-03-28T02:30': the clock of Europe/Berlin skips this time",
            ),
            (("--installation", "--limit", "1e7"), "--limit: Use at most 1,000,000 US dollars."),
            (("--installation", "--limit", ""), "--limit: "),
            (("--installation", "--limit", "5", "--per", "fortnight"), "--per: fortnight is not a window"),
            (("--installation", "--limit", "5", "--action", "explode"), "action: explode is not an action"),
            (("--installation", "--limit", "5", "--action", "degrade"), "layer: Name the layer to degrade to."),
            (("--installation", "--limit", "5", "--action", "degrade", "--layer", "l1"), "Did you mean L1"),
            (("--installation", "--limit", "5", "--ends", "2026-01-01"), "--ends: This lies in the past."),
            (("--installation", "--limit", "5", "--starts", "soon"), "--starts 'soon': write a date or a time"),
            (("--installation", "--limit", "5", "--starts", "0001-01-01"), "--starts: Use a date and time"),
            (("--limit", "5"), "Say whose budget it is: --installation, --project SLUG or --key NAME."),
            (("--installation", "--project", "lab", "--limit", "5"), "--installation goes with neither"),
            (("--project", "nowhere", "--limit", "5"), "There is no project 'nowhere'; there is berlin, default, lab"),
            (("--key", "nobody", "--limit", "5"), "There is no key called 'nobody'"),
            (
                ("--project", "default", "--key", "ci", "--limit", "5"),
                "api_key: The key ci belongs to the project lab, not to default.",
            ),
        ],
    )
    def test_a_mistake_is_one_sentence_and_changes_nothing(self, run, lab, layers, words, says):
        per = () if "--per" in words else ("--per", "day")
        status, _, err = run("budgets", "create", *words, *per)
        assert (status, err.count("\n")) == (1, 1)
        assert err.startswith("budgets: ")
        assert says in err
        assert not Budget.objects.exists()

    def test_one_that_overlaps_names_the_other(self, run):
        run(*ALL)
        status, _, err = run(*ALL)
        assert status == 1
        assert f"starts_at: Budget {Budget.objects.get().pk} (" in err


class TestStanding:
    """What was spent and is held, out of the counters; `?` while they cannot tell."""

    @pytest.fixture
    def stands(self, run, monkeypatch):
        run(*ALL)

        def stands(**fields):
            monkeypatch.setattr(standing, "of", lambda rows: {row.pk: Standing(**fields) for row in rows})

        return stands

    def test_the_list_has_both(self, run, stands):
        stands(spent_usd=Decimal("1.250"), held_usd=Decimal("0.5"))
        out = run("budgets", "list")[1]
        assert out.splitlines()[0].split()[4:6] == ["spent", "held"]
        assert "$1.25" in out
        assert "$0.5 " in out

    def test_one_shows_them_with_its_window(self, run, stands):
        began = datetime(2040, 1, 1, tzinfo=UTC)
        stands(spent_usd=Decimal(2), held_usd=Decimal(0), window_starts_at=began, window_ends_at=None)
        number = str(Budget.objects.get().pk)
        out = run("budgets", "show", number)[1]
        assert ["spent", "$2"] in [line.split() for line in out.splitlines()]
        assert "from 2040-01-01 00:00 UTC" in out
        shown = json.loads(run("budgets", "show", number, "--json")[1])
        assert (shown["spent_usd"], shown["held_usd"], shown["window_ends_at"]) == ("2", "0", None)
        assert shown["window_starts_at"] == "2040-01-01T00:00:00+00:00"

    def test_nothing_is_invented_while_the_counters_are_away(self, run, stands):
        stands()
        assert run("budgets", "list")[1].splitlines()[1].split()[5:7] == ["?", "?"]
        assert json.loads(run("budgets", "list", "--json")[1])[0]["spent_usd"] is None


class TestList:
    def test_it_shows_whose_what_and_until_when_in_the_projects_zone(self, run, lab):
        run("budgets", "create", "--key", "ci", "--limit", "5", "--per", "day", "--ends", "2040-01-01")
        out = run("budgets", "list")[1]
        for text in ("key ci", "$5", "day", "refuse", "2040-01-01 00:00 Asia/Kathmandu", "active"):
            assert text in out

    def test_somebodys_alone(self, run, lab):
        run(*ALL)
        run("budgets", "create", "--key", "ci", "--limit", "1", "--per", "day")
        run("budgets", "create", "--project", "lab", "--limit", "2", "--per", "day")

        def limits(*words):
            return [row["limit_usd"] for row in json.loads(run("budgets", "list", *words, "--json")[1])]

        assert limits() == ["5", "1", "2"]
        assert limits("--project", "lab") == ["1", "2"]
        assert limits("--key", "ci") == ["1"]
        assert limits("--installation") == ["5"]

    def test_without_budgets_it_says_how_to_make_one(self, run):
        assert "budgets create --installation" in run("budgets", "list")[1]

    @pytest.mark.parametrize(
        ("words", "state"),
        [((), "active"), (("--starts", "2040-01-01"), "to come"), (("--ends", "2040-01-01"), "active")],
    )
    def test_it_tells_the_state(self, run, words, state):
        run(*ALL, *words)
        assert json.loads(run("budgets", "list", "--json")[1])[0]["state"] == state


class TestChange:
    @pytest.fixture
    def number(self, run):
        run(*ALL)
        return str(Budget.objects.get().pk)

    def test_set_changes_what_was_named(self, run, number):
        status, out, _ = run("budgets", "set", number, "--limit", "7.50", "--ends", "2040-01-01")
        row = Budget.objects.get()
        assert (status, str(row.limit_usd.normalize()), row.ends_at) == (0, "7.5", datetime(2040, 1, 1, tzinfo=UTC))
        assert out == f"Budget {number} ($7.5 per day for the installation) is set.\n"

    def test_none_clears_a_date(self, run, number):
        run("budgets", "set", number, "--ends", "2040-01-01")
        run("budgets", "set", number, "--ends", "none")
        assert Budget.objects.get().ends_at is None

    def test_one_that_stops_degrading_loses_its_layer(self, run, number, layers):
        run("budgets", "set", number, "--action", "degrade", "--layer", "L0")
        assert Budget.objects.get().layer == "L0"
        run("budgets", "set", number, "--action", "note")
        assert (Budget.objects.get().action, Budget.objects.get().layer) == ("note", "")

    def test_it_is_switched_off_and_on(self, run, number):
        run("budgets", "disable", number)
        assert json.loads(run("budgets", "show", number, "--json")[1])["state"] == "disabled"
        run("budgets", "enable", number)
        assert Budget.objects.get().enabled

    def test_show_says_it_in_words(self, run, number):
        out = run("budgets", "show", number)[1]
        for text in (f"Budget {number}", "the installation", "day, by the clock of UTC", "at once", "for good"):
            assert text in out

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (("set", "{}"), "Say what to change"),
            (("set", "{}", "--limit", ""), "--limit: "),
            (("set", "{}", "--limit", "0"), "--limit: Use more than 0 US dollars."),
            (("show", "99"), "There is no budget 99; `budgets list` shows them."),
            (("delete", "x", "--yes"), "There is no budget x"),
            (("delete", "{}"), "Nothing was deleted: --yes deletes without asking."),
        ],
    )
    def test_a_mistake_is_one_sentence_and_changes_nothing(self, run, number, words, says):
        before = Budget.objects.values().get()
        status, _, err = run("budgets", *(word.format(number) for word in words))
        assert (status, err.count("\n")) == (1, 1)
        assert says in err
        assert Budget.objects.values().get() == before

    def test_delete_takes_yes(self, run, number):
        assert json.loads(run("budgets", "delete", number, "--yes", "--json")[1]) == {
            "id": int(number),
            "deleted": True,
        }
        assert not Budget.objects.exists()

    @pytest.mark.parametrize(("answer", "is_gone"), [("y", True), ("n", False), ("", False)])
    def test_delete_asks_at_a_terminal(self, run, number, monkeypatch, answer, is_gone):
        for stream in ("stdin", "stdout"):
            monkeypatch.setattr(f"sys.{stream}.isatty", lambda: True, raising=False)
        monkeypatch.setattr("gateway.confirming.answer", lambda: answer)
        run("budgets", "delete", number)
        assert Budget.objects.exists() is not is_gone


class TestProjects:
    def test_one_is_made_with_zone_and_limits(self, run):
        status, out, _ = run("projects", "create", "lab", "--name", "The lab", "--time-zone", "Europe/Berlin",
                             "--requests-per-minute", "60")  # fmt: skip
        row = projects.find("lab")
        assert (status, out) == (0, "Project lab is made.\n")
        assert (row.name, row.time_zone, row.requests_per_minute) == ("The lab", "Europe/Berlin", 60)

    def test_none_clears_a_limit(self, run, lab):
        run("projects", "set", "lab", "--tokens-per-minute", "5000", "--concurrent-requests", "2")
        run("projects", "set", "lab", "--tokens-per-minute", "none")
        row = projects.find("lab")
        assert (row.tokens_per_minute, row.concurrent_requests) == (None, 2)

    def test_one_is_switched_off_and_on(self, run, lab):
        run("projects", "set", "lab", "--disable")
        assert "disabled" in run("projects", "show", "lab")[1]
        run("projects", "set", "lab", "--enable")
        assert json.loads(run("projects", "show", "lab", "--json")[1])["enabled"] is True

    def test_bodies_are_stored_for_days_and_no_more(self, run, lab):
        assert "not stored" in run("projects", "show", "lab")[1]
        run("projects", "set", "lab", "--store-bodies", "--bodies-days", "3")
        assert "stored for 3 days" in run("projects", "show", "lab")[1]
        run("projects", "set", "lab", "--no-store-bodies")
        run("projects", "create", "open", "--store-bodies")
        assert (projects.find("open").stores_bodies, projects.find("open").bodies_days) == (True, 7)
        row = projects.find("lab")
        assert (row.stores_bodies, row.bodies_days) == (False, 3)

    def test_one_is_deleted_with_its_budgets(self, run):
        projects.create("old", actor="tests")
        run("budgets", "create", "--project", "old", "--limit", "5", "--per", "day")
        assert run("projects", "delete", "old", "--yes")[:2] == (0, "Project old is deleted.\n")
        assert not Budget.objects.exists()
        assert AuditEntry.objects.get(action="project.deleted").actor == "command line"

    @pytest.mark.parametrize(("words", "says"), [
        (("old",), "Nothing was deleted: --yes"),
        (("lab", "--yes"), "has API keys (ci)"),
        (("default", "--yes"), "The default project cannot be deleted"),
    ])  # fmt: skip
    def test_one_is_kept_and_says_why(self, run, lab, words, says):
        projects.create("old", actor="tests")
        status, _, err = run("projects", "delete", *words)
        assert (status, says in err, Project.objects.count()) == (1, True, 4)

    def test_the_list_shows_zone_keys_and_limits(self, run, lab):
        run("projects", "set", "lab", "--requests-per-minute", "1200")
        out = run("projects", "list")[1]
        for text in ("lab", "Asia/Kathmandu", "1,200", "default"):
            assert text in out
        assert [row["slug"] for row in json.loads(run("projects", "list", "--json")[1])] == ["berlin", "default", "lab"]

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (("create", "default"), "slug: "),
            (("create", "The Lab"), "slug: Use lower-case letters"),
            (("create", "x", "--time-zone", "Mars"), "--time-zone: 'Mars' is not a time zone"),
            (("set", "lab", "--requests-per-minute", "many"), "--requests-per-minute: Use a whole number, or `none`"),
            (("set", "lab", "--requests-per-minute", "0"), "--requests-per-minute: "),
            (("set", "lab", "--bodies-days", "none"), "--bodies-days: Use a whole number."),
            (("set", "lab", "--bodies-days", "91"), "--bodies-days: "),
            (("set", "lab"), "Say what to change"),
            (("set", "nowhere", "--disable"), "There is no project 'nowhere'; there is berlin, default, lab."),
        ],
    )
    def test_a_mistake_is_one_sentence_and_changes_nothing(self, run, lab, words, says):
        before = list(Project.objects.order_by("id").values())
        status, _, err = run("projects", *words)
        assert (status, err.count("\n")) == (1, 1)
        assert says in err
        assert list(Project.objects.order_by("id").values()) == before

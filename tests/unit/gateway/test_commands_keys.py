"""`manage.py keys`, called as the command line calls it: the whole life of a key."""

import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from analytics import ids, keys, partitions
from analytics.models import ApiKey, AuditEntry, Budget, Outcome, Project, UsageRecord
from gateway import key_options

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(run):
    """Runs `keys` with these words."""
    return lambda *words: run("keys", *words)


@pytest.fixture
def told(run):
    """Runs `keys` with these words and --json; gives what it tells."""

    def told(*words):
        status, out, err = run(*words, "--json")
        assert status == 0, err
        return json.loads(out)

    return told


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def at_a_terminal(monkeypatch):
    """Somebody who answers so when asked."""

    def answer(text):
        monkeypatch.setattr("sys.stdin", Terminal(f"{text}\n"))
        monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
        monkeypatch.setattr("gateway.confirming.answer", lambda: text)

    return answer


class TestCreate:
    def test_a_new_key_is_shown_once_and_works(self, run, told):
        made = told("create", "laptop")
        assert ApiKey.objects.get(key_hash=keys.digest(made["key"])).name == "laptop"
        for words in (["list"], ["show", "laptop"]):
            for form in ([], ["--json"]):
                assert made["key"] not in run(*words, *form)[1]

    def test_every_field_may_be_given(self, told, django_user_model):
        django_user_model.objects.create_user("ada")
        made = told(
            "create", "ci", "--layer", "L0", "--model", "openai/*", "--scope", "chat", "--endpoint", "/v1/chat/*",
            "--network", "10.0.0.0/8", "--network", "::1", "--requests-per-minute", "60", "--tokens-per-minute", "1000",
            "--concurrent", "5", "--owner", "ada", "--expires-in", "30d",
        )  # fmt: skip
        row = ApiKey.objects.get()
        assert (row.allowed_layers, row.allowed_models, row.scopes) == (["L0"], ["openai/*"], ["chat"])
        assert (row.allowed_endpoints, row.allowed_networks) == (["/v1/chat/*"], ["10.0.0.0/8", "::1"])
        assert (row.requests_per_minute, row.tokens_per_minute, row.concurrent_requests) == (60, 1000, 5)
        assert row.owner.username == made["owner"] == "ada"
        assert timedelta(days=29) < row.expires_at - datetime.now(UTC) <= timedelta(days=30)

    @pytest.mark.parametrize(
        ("text", "moment"),
        [
            ("2040-01-31", datetime(2040, 1, 31, tzinfo=UTC)),
            ("2040-01-31T12:00", datetime(2040, 1, 31, 12, tzinfo=UTC)),
            ("2040-01-31T12:00+01:00", datetime(2040, 1, 31, 11, tzinfo=UTC)),
            ("2040-01-31 12:00Z", datetime(2040, 1, 31, 12, tzinfo=UTC)),
        ],
    )
    def test_it_may_expire_at_a_date(self, told, text, moment):
        told("create", "ci", "--expires-at", text)
        assert ApiKey.objects.get().expires_at == moment

    def test_a_pattern_that_matches_nothing_is_kept_with_a_warning(self, run, layers):
        status, out, err = run("create", "ci", "--model", "upp/m1", "--model", "m*", "--layer", "l0")
        assert (status, ApiKey.objects.get().allowed_models) == (0, ["upp/m1", "m*"])
        model, layer = err.splitlines()
        assert model.startswith("keys: warning: No model matches 'upp/m1' yet. Did you mean up/m1")
        assert layer.startswith("keys: warning: No layer matches 'l0' yet. Did you mean L0")
        assert "warning" not in out

    def test_in_json_the_warnings_are_a_list(self, run, told, layers):
        _, out, err = run("create", "ci", "--model", "zzz*", "--json")
        assert (json.loads(out)["warnings"], err) == (["No model matches 'zzz*' yet."], "")
        assert told("create", "fine", "--layer", "L0")["warnings"] == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("create", "first"), "name: A key named 'first' already exists in default; choose another name"),
        (("create", "x", "--project", "nowhere"), "no project 'nowhere'; there is default"),
        (("create", "x", "--expires-in", "soon"), "--expires-in 'soon': write a whole number and one of m, h, d, w"),
        (("create", "x", "--expires-at", "soon"), "--expires-at 'soon': write a date"),
        (("create", "x", "--expires-at", "2026-13-01"), "write a date"),
        (("create", "x", "--expires-at", "2026-01-01"), "expires_at: This lies in the past"),
        (("create", "x", "--expires-in", "-5d"), "--expires-in '-5d': write a whole number and one of m, h, d, w"),
        (("create", "x", "--expires-in=-5d"), "--expires-in '-5d': write a whole number and one of m, h, d, w"),
        (("create", "x", "--requests-per-minute", "-5"), "requests_per_minute: Ensure this value is greater than"),
        (("create", "x", "--expires-in", "0h"), "--expires-in '0h': this is no time at all; use 1h or more"),
        (("create", "x", "--expires-in", "99999999d"), "'99999999d': this is too long; use at most 99999d"),
        (("create", "x", "--expires-in", "99999w"), "expires_at: This is too late"),
        (("create", "x" * 101), "name: Ensure this value has at most 100 characters"),
        (("create", ""), "name: This field cannot be blank"),
        (("create", "  "), "name: This field cannot be blank"),
        (("create", "a\x1b[31mb"), "name: Use no control characters"),
        (("create", "x", "--model", ""), "allowed_models: Use a list of patterns"),
        (("create", "x", "--endpoint", "v1"), "allowed_endpoints: 'v1' does not begin with \"/\""),
        (
            ("create", "x", "--network", "10.0.0.1/8"),
            "allowed_networks: '10.0.0.1/8' names an address within a network",
        ),
        (("create", "x", "--owner", "nobody"), "no user 'nobody'"),
        (("create", "x", "--requests-per-minute", "1.5"), "requests_per_minute: Use a whole number"),
        (("create", "x", "--requests-per-minute", "-5"), "requests_per_minute: Ensure this value is greater than or"),
        (("create", "x", "--concurrent", "0"), "concurrent_requests: Ensure this value is greater than or equal to 1"),
        (("create", "x", "--tokens-per-minute", "9223372036854775808"), "tokens_per_minute: Ensure this value is less"),
        (("disable", "nobody"), "no key called 'nobody'; `keys list` shows them"),
        (("show", "first", "--project", "nowhere"), "no project 'nowhere'"),
        (("rename", "first", ""), "name: This field cannot be blank"),
        (("rotate", "first", "--grace", "soon"), "--grace 'soon': write a whole number"),
        (("rotate", "first", "--grace", "31d"), "grace_s: Use a whole number of seconds from 0 to 2592000 (30 days)"),
        (("expire", "first", "--at", "2026-01-01"), "expires_at: This lies in the past"),
        (("set", "first", "--expires-at", "2026-01-01"), "expires_at: This lies in the past; `keys expire` ends a key"),
        (("set", "first"), "Say what to change"),
        (("set", "first", "--concurrent", "5", "--clear", "concurrent"), "it is given a value as well"),
        (("set", "first", "--to-project", "nowhere"), "no project 'nowhere'"),
        (("list", "--project", "nowhere"), "no project 'nowhere'"),
        (("delete", "first"), "without a terminal to ask at, say --yes"),
        (("delete", "first", "--json"), "say --yes"),
    ],
)
def test_a_mistake_is_one_sentence_and_changes_nothing(run, ours, words, says):
    before = list(ApiKey.objects.values())
    status, out, err = run(*words)
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("keys: ")
    assert says in err
    assert list(ApiKey.objects.values()) == before


class TestList:
    def test_it_tells_the_state(self, told, ours):
        for name in ("ended", "active"):
            keys.create(name, actor="tests")
        ApiKey.objects.filter(name="ended").update(expires_at=timezone.now())
        keys.disable(ours.key, actor="tests")
        assert {row["name"]: row["state"] for row in told("list")} == {
            "first": "disabled",
            "ended": "expired",
            "active": "active",
        }
        for state in ("disabled", "expired", "active"):
            assert {row["state"] for row in told("list", "--state", state)} == {state}

    def test_one_projects_alone(self, told, ours, theirs):
        assert [row["id"] for row in told("list", "--project", "theirs")] == [theirs.key.pk]

    def test_without_keys_it_says_how_to_make_one(self, run):
        assert "keys create NAME" in run("list")[1]

    def test_where_none_fit_it_says_so(self, run, ours):
        assert run("list", "--state", "expired")[1] == "No such keys.\n"

    def test_a_table_holds_what_a_key_is_held_to(self, run, ours):
        changes = {"requests_per_minute": 6000, "allowed_networks": ["10.0.0.0/8"]}
        keys.edit(ours.key, actor="tests", changes=changes)
        out = run("list")[1]
        assert "6,000 requests/min" in out
        assert "networks 10.0.0.0/8" in out

    def test_it_takes_as_many_queries_for_many_keys_as_for_one(self, run, ours, django_assert_num_queries):
        for number in range(5):
            keys.create(f"key {number}", actor="tests")
        with django_assert_num_queries(1):
            run("list")


class TestShow:
    def test_it_tells_everything_and_the_last_use(self, run, told, ours):
        partitions.ensure([timezone.now()])
        began = [timezone.now() - timedelta(seconds=ago) for ago in (5, 60)]
        for moment in began:
            UsageRecord.objects.create(
                id=ids.new(), started_at=moment, outcome=Outcome.OK, status=200, project_id=ours.project.pk,
                project="default", key_id=ours.key.pk, key_name="first", requested_model="m", cost_usd=0,
                cost_source="none", duration_ms=1,
            )  # fmt: skip
        Budget.objects.create(api_key=ours.key, window="day", limit_usd=5)
        rotated = keys.rotate(ours.key, actor="tests", grace_s=3600)
        shown = told("show", "first")
        assert shown["last_used_at"] == began[0].isoformat(timespec="seconds")
        assert (shown["prefix"], shown["previous_prefix"]) == (rotated.row.prefix, ours.key.prefix)
        assert shown["budgets"][0].startswith("$5 per day")
        text = run("show", "first")[1]
        for part in (
            f"{ours.key.prefix}... until",
            "$5 per day",
            shown["last_used_at"],
            "all",
            "never",
            rotated.row.prefix,
        ):
            assert part in text

    def test_one_that_was_never_used_says_so(self, told, ours):
        assert told("show", "first")["last_used_at"] is None


class TestNames:
    @pytest.mark.parametrize("by", ["name", "prefix", "pk"])
    def test_a_key_is_disabled_by_name_prefix_or_id(self, told, ours, by):
        assert told("disable", str(getattr(ours.key, by)))["state"] == "disabled"
        ours.key.refresh_from_db()
        assert not ours.key.enabled
        assert AuditEntry.objects.filter(action="api_key.disabled", actor="command line").count() == 1

    def test_where_two_projects_use_one_the_project_tells_which(self, run, told, ours, theirs):
        status, _, err = run("disable", "first")
        assert (status, "say its project or its id" in err) == (1, True)
        assert told("disable", "first", "--project", "theirs")["id"] == theirs.key.pk
        ours.key.refresh_from_db()
        assert ours.key.enabled


class TestRotate:
    def test_the_new_one_is_shown_once_and_the_old_one_lives_a_day(self, run, ours):
        _, out, _ = run("rotate", "first")
        row = ApiKey.objects.get()
        (secret,) = [line for line in out.splitlines() if line.startswith("agw_")]
        assert bytes(row.key_hash) == keys.digest(secret)
        assert timedelta(hours=23) < row.previous_until - timezone.now() <= timedelta(hours=24)
        assert f"The old one ({ours.key.prefix}...) stays valid until" in out

    def test_without_a_grace_period_it_says_that_the_old_one_is_over(self, told, ours):
        made = told("rotate", "first", "--grace", "0")
        assert bytes(ApiKey.objects.get().key_hash) == keys.digest(made["key"])
        assert (made["previous_until"], made["dropped_prefix"]) == (None, None)
        assert made["notes"] == [f"The old one ({ours.key.prefix}...) is no longer valid."]

    def test_once_more_in_the_grace_period_says_what_was_dropped(self, run, told, ours):
        told("rotate", "first")
        status, out, err = run("rotate", "first")
        assert (status, out) == (1, "")
        assert f"previous key ({ours.key.prefix}...) is valid until 20" in err
        assert err.endswith("--end-previous does so.\n")
        made = told("rotate", "first", "--grace", "12h", "--end-previous")
        assert made["dropped_prefix"] == ours.key.prefix
        assert "still in its grace period, and ended at once" in made["notes"][1]

    def test_one_that_is_disabled_stays_so_and_it_is_said(self, told, ours):
        keys.disable(ours.key, actor="tests")
        assert told("rotate", "first")["notes"][-1] == "None of them works: the key is disabled."


class TestChanges:
    @pytest.mark.parametrize("option", ["requests-per-minute", "tokens-per-minute", "concurrent"])
    def test_none_lifts_a_limit(self, told, ours, option):
        field = key_options.LIMITS[option]
        assert told("set", "first", f"--{option}", "5")[field] == 5
        assert told("set", "first", f"--{option}", "none")[field] is None

    def test_a_new_name(self, told, ours):
        assert told("rename", "first", "second")["name"] == ApiKey.objects.get().name == "second"

    def test_on_again(self, run, ours):
        run("disable", "first")
        assert "is enabled." in run("enable", "first")[1]
        assert ApiKey.objects.get().enabled

    def test_on_again_says_why_it_still_does_not_work(self, run, ours):
        run("disable", "first")
        Project.objects.update(enabled=False)
        assert "still disabled: its project default is disabled" in run("enable", "first")[1]

    def test_ended_now_or_later(self, told, ours):
        assert told("expire", "first", "--in", "2h")["state"] == "active"
        assert timedelta(hours=1) < ApiKey.objects.get().expires_at - timezone.now() <= timedelta(hours=2)
        assert told("expire", "first")["state"] == "expired"

    def test_a_list_takes_the_place_of_the_old_one_and_the_rest_stays(self, told, ours):
        told("set", "first", "--layer", "L0", "--requests-per-minute", "60")
        told("set", "first", "--layer", "L1", "--layer", "L2")
        row = ApiKey.objects.get()
        assert (row.allowed_layers, row.requests_per_minute) == (["L1", "L2"], 60)

    def test_what_was_set_can_be_lifted(self, told, ours, django_user_model):
        django_user_model.objects.create_user("ada")
        given = ["--model", "m", "--layer", "L0", "--endpoint", "/v1/*", "--network", "::1",
                 "--requests-per-minute", "1", "--tokens-per-minute", "1", "--concurrent", "1",
                 "--owner", "ada", "--expires-in", "1d"]  # fmt: skip
        told("set", "first", *given)
        cleared = ["model", "layer", "endpoint", "network", "requests-per-minute", "tokens-per-minute", "concurrent",
                   "owner", "expires"]  # fmt: skip
        after = told("set", "first", *(word for what in cleared for word in ("--clear", what)))
        made = told("create", "fresh")
        fields = {"owner", "expires_at", *keys.LISTS, *keys.LIMITS}
        assert {name: after[name] for name in fields} == {name: made[name] for name in fields}

    def test_moving_says_what_it_means(self, told, ours, theirs):
        keys.edit(ours.key, actor="tests", changes={"name": "ours"})
        moved = told("set", "ours", "--to-project", "theirs")
        assert (moved["project"], ApiKey.objects.get(pk=ours.key.pk).project) == ("theirs", theirs.project)
        assert "counts in the budgets and limits of theirs from now on" in moved["notes"][0]


class TestDelete:
    def test_with_yes_it_is_not_asked(self, run, ours):
        Budget.objects.create(api_key=ours.key, window="day", limit_usd=5)
        out = run("delete", "first", "--yes")[1]
        assert "goes for good, its 1 budget with it" in out
        assert not ApiKey.objects.exists()

    def test_in_json_it_tells_what_was_deleted(self, told, ours):
        assert told("delete", "first", "--yes")["deleted"]["id"] == ours.key.pk

    @pytest.mark.parametrize(("said", "is_left"), [("y", False), ("yes", False), ("", True), ("n", True)])
    def test_at_a_terminal_it_asks(self, run, ours, at_a_terminal, said, is_left):
        at_a_terminal(said)
        _, out, _ = run("delete", "first")
        assert "Delete key 'first'" in out
        assert ApiKey.objects.exists() is is_left


def test_the_prefix_is_whole_in_a_narrow_terminal(run, ours, at_a_terminal, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    at_a_terminal("")
    keys.edit(ours.key, actor="tests", changes={"tokens_per_minute": 100_000, "allowed_layers": ["L0", "L1", "L2"]})
    assert ours.key.prefix in run("list")[1]


def test_places_have_the_name_that_projects_give_them_too(told):
    assert told("create", "x", "--concurrent-requests", "3")["concurrent_requests"] == 3

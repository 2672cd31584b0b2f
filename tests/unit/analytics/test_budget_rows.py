"""Budgets as rows: what may stand in them, what a change does to their counting, and what the audit trail keeps."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from analytics import budget_rows
from analytics.budget_rows import BudgetProblem
from analytics.models import AuditEntry, Budget
from providers.models import ConfigVersion
from routing.models import Layer

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def make(**fields):
    return budget_rows.create(**{"actor": "tests", "window": "day", "limit_usd": Decimal(5)} | fields)


def edit(row, **changes):
    return budget_rows.edit(row, actor="tests", changes=changes)


def mistakes(call, *args, **fields):
    """What is refused, by field; nothing is written."""
    before = list(Budget.objects.order_by("id").values())
    with pytest.raises(ValidationError) as refused:
        call(*args, **fields)
    assert list(Budget.objects.order_by("id").values()) == before
    return {field: " ".join(said) for field, said in refused.value.message_dict.items()}


def backdated(row, *, by=DAY):
    """As though it had been made and defined earlier."""
    Budget.objects.filter(pk=row.pk).update(defined_at=row.defined_at - by, created_at=row.created_at - by)
    return budget_rows.find(row.pk)


def audited(action):
    return AuditEntry.objects.filter(action=action)


class TestCreate:
    def test_it_is_the_installations_a_projects_or_a_keys(self, ours):
        assert [str(make()), str(make(project=ours.project)), str(make(api_key=ours.key))] == [
            "$5 per day for the installation",
            "$5 per day for project default",
            "$5 per day for key first",
        ]

    def test_it_refuses_shortens_and_warns_unless_told_otherwise(self):
        row = make()
        row.refresh_from_db()
        assert (row.action, row.near_edge, row.severity, row.enabled) == ("refuse", "shorten", "warning", True)

    def test_every_process_hears_of_it(self):
        before = ConfigVersion.objects.get(group="budgets").version
        make()
        assert ConfigVersion.objects.get(group="budgets").version > before

    def test_a_total_counts_from_now_on(self):
        before = timezone.now()
        assert before <= make(window="total").starts_at <= timezone.now()

    def test_a_total_may_count_from_an_earlier_date(self):
        start = datetime(2026, 1, 1, tzinfo=UTC)
        assert make(window="total", starts_at=start).starts_at == start

    def test_another_window_without_dates_has_none(self):
        assert make().starts_at is None

    def test_it_is_audited_with_what_it_says(self, ours):
        row = make(api_key=ours.key, limit_usd="0.50")
        entry = audited("budget.created").get()
        assert (entry.actor, entry.project_id) == ("tests", ours.project.pk)
        assert entry.target == f"Budget {row.pk}: $0.5 per day for key first"
        assert (entry.after["limit_usd"], entry.after["key"], entry.after["project"]) == ("0.5", "first", "default")

    @pytest.mark.parametrize("limit", ["0.000000001", "1000000", Decimal("0.0000000011"), "1e-9", "5"])
    def test_an_amount_up_to_a_million_is_kept_to_ten_places(self, limit):
        row = make(limit_usd=limit)
        row.refresh_from_db()
        assert row.limit_usd == Decimal(limit)


class TestBadInput:
    @pytest.mark.parametrize(
        ("limit", "says"),
        [
            ("-1", "Use more than 0 US dollars."),
            ("0", "Use more than 0 US dollars."),
            ("0.0000000009", "Use at least 0.000000001 US dollars."),
            ("1000000.01", "Use at most 1,000,000 US dollars."),
            ("1e400", "Use at most 1,000,000 US dollars."),
            ("1e999999999", "Use at most 1,000,000 US dollars."),
            ("1e-11", "ten digits after the point"),
            ("1e-400", "ten digits after the point"),
            ("1.00000000001", "ten digits after the point"),
            ("NaN", "Use an amount in US dollars"),
            ("sNaN", "Use an amount in US dollars"),
            ("Infinity", "Use an amount in US dollars"),
            ("-Infinity", "Use an amount in US dollars"),
            (Decimal("NaN"), "Use an amount in US dollars"),
            ("five", "Use an amount in US dollars"),
            ("", "Use an amount in US dollars"),
            (True, "Use an amount in US dollars"),
            (None, "cannot be null"),
        ],
    )
    def test_an_amount_that_is_none_is_refused_as_such(self, limit, says):
        found = mistakes(make, limit_usd=limit)
        assert list(found) == ["limit_usd"]
        assert says in found["limit_usd"]
        assert found["limit_usd"].count(says) == 1
        assert not ("digits after" in found["limit_usd"] and "at most 1,000,000" in found["limit_usd"])

    @pytest.mark.parametrize(
        ("field", "value", "says"),
        [
            ("window", "fortnight", "fortnight is not a window: use hour, day, week, month or total."),
            ("window", "", "cannot be blank"),
            ("action", "explode", "explode is not an action: use refuse, degrade or note."),
            ("near_edge", "jump", "use shorten or deny"),
            ("severity", "loud", "use info, warning or critical"),
            ("starts_at", datetime(2026, 1, 1), "with its time zone"),
            ("starts_at", datetime(1, 1, 1, tzinfo=UTC), "between 2000 and 2199"),
            ("ends_at", datetime(9999, 12, 31, tzinfo=UTC), "between 2000 and 2199"),
            ("ends_at", datetime(2026, 1, 1, tzinfo=UTC), "lies in the past"),
        ],
    )
    def test_what_is_unknown_or_out_of_reach_is_refused_at_its_field(self, field, value, says):
        found = mistakes(make, **{field: value})
        assert list(found) == [field]
        assert says in found[field]

    def test_several_mistakes_are_told_at_once(self):
        assert set(mistakes(make, window="x", limit_usd="x", action="degrade")) == {"window", "limit_usd", "layer"}

    @pytest.mark.parametrize("later", [timedelta(0), HOUR])
    def test_it_may_not_end_before_it_starts(self, later):
        start = timezone.now() + 2 * DAY
        found = mistakes(make, starts_at=start, ends_at=start - later)
        assert found == {"ends_at": "This must be later than the start."}

    def test_it_is_of_a_project_or_of_a_key(self, ours):
        assert list(mistakes(make, project=ours.project, api_key=ours.key)) == ["project"]

    def test_it_refuses_another_projects_key(self, ours, theirs):
        found = mistakes(make, project=ours.project, api_key=theirs.key)
        assert found == {"api_key": "The key first belongs to the project theirs, not to default."}

    def test_a_key_that_was_deleted_meanwhile_is_named(self, ours):
        type(ours.key).objects.all().delete()
        assert list(mistakes(make, api_key=ours.key)) == ["api_key"]


class TestLayer:
    def test_one_that_degrades_names_a_layer(self, layers):
        assert make(action="degrade", layer="L0").layer == "L0"
        assert mistakes(make, action="degrade", window="hour") == {"layer": "Name the layer to degrade to."}

    @pytest.mark.parametrize("action", ["refuse", "note"])
    def test_no_other_does(self, layers, action):
        assert list(mistakes(make, action=action, layer="L0")) == ["layer"]

    def test_one_that_does_not_exist_is_refused_with_near_names(self, layers):
        said = mistakes(make, action="degrade", layer="l1")["layer"]
        assert said.startswith("There is no layer 'l1'. Did you mean L1")

    def test_one_that_went_away_keeps_nobody_from_other_changes(self, layers):
        row = make(action="degrade", layer="L0")
        Layer.objects.filter(name="L0").delete()
        assert edit(row, limit_usd="9").limit_usd == 9
        assert not edit(row, enabled=False).enabled
        assert list(mistakes(edit, row, enabled=True)) == ["layer"]


class TestOverlap:
    """Two of one target, window and action may not hold at the same time."""

    def test_two_without_dates_are_refused_naming_the_other(self):
        row = make()
        found = mistakes(make, limit_usd=9)
        assert list(found) == ["starts_at"]
        assert f"Budget {row.pk} ($5 per day for the installation) holds at that time already" in found["starts_at"]

    @pytest.mark.parametrize("change", [{"window": "hour"}, {"action": "note"}, {"action": "degrade", "layer": "L0"}])
    def test_another_window_or_action_is_fine(self, layers, change):
        make()
        assert make(**change).pk

    def test_another_target_is_fine(self, ours, theirs):
        for target in ({}, {"project": ours.project}, {"api_key": ours.key}, {"project": theirs.project}):
            make(**target)
        assert Budget.objects.count() == 4

    def test_each_target_is_watched(self, ours):
        for target in ({}, {"project": ours.project}, {"api_key": ours.key}):
            make(**target)
            assert list(mistakes(make, **target)) == ["starts_at"]

    def test_one_may_follow_another_without_a_gap(self):
        change = timezone.now() + DAY
        make(ends_at=change)
        assert make(starts_at=change, ends_at=change + DAY).pk
        assert make(starts_at=change + DAY).pk

    @pytest.mark.parametrize(
        ("begins", "ends", "field"),
        [(0, 3, "starts_at"), (1, 2, "starts_at"), (-2, 1, "ends_at"), (-2, None, "ends_at")],
    )
    def test_the_date_to_change_is_named(self, begins, ends, field):
        noon = timezone.now() + 10 * DAY
        make(starts_at=noon, ends_at=noon + 2 * DAY)
        dates = {"starts_at": noon + begins * DAY, "ends_at": None if ends is None else noon + ends * DAY}
        if (begins, ends) == (1, 2):
            dates["starts_at"] = noon + HOUR
        assert list(mistakes(make, **dates)) == [field]

    def test_one_without_dates_may_come_after_one_that_is_over(self):
        row = make(starts_at=timezone.now() - 2 * DAY)
        edit(row, ends_at=timezone.now() - DAY)
        assert make().pk

    def test_a_disabled_one_is_in_nobodys_way_until_it_is_enabled(self):
        first = make()
        edit(first, enabled=False)
        second = make()
        found = mistakes(edit, first, enabled=True)
        assert f"Budget {second.pk} " in found["starts_at"]

    @pytest.mark.parametrize("changes", [{"ends_at": 5}, {"starts_at": -5, "ends_at": 5}, {"ends_at": None}])
    def test_a_change_of_dates_is_held_to_it(self, changes):
        now = timezone.now()
        first = make(starts_at=now, ends_at=now + DAY)
        make(starts_at=now + 2 * DAY, ends_at=now + 9 * DAY)
        changes = {name: None if days is None else now + days * DAY for name, days in changes.items()}
        assert list(mistakes(edit, first, **changes)) == ["ends_at"]

    def test_a_change_of_action_is_held_to_it(self):
        make()
        other = make(action="note")
        assert list(mistakes(edit, other, action="refuse")) == ["starts_at"]

    def test_other_changes_go_through_beside_an_overlap_written_past_us(self):
        row = make()
        Budget.objects.create(window="day", limit_usd=1)
        assert edit(row, limit_usd="7").limit_usd == 7


class TestEdit:
    def test_it_changes_what_was_named_and_nothing_else(self):
        row = make(near_edge="deny")
        Budget.objects.filter(pk=row.pk).update(severity="critical")  # somebody else, meanwhile
        changed = edit(row, limit_usd="7.5")
        assert (changed.limit_usd, changed.severity, changed.near_edge) == (Decimal("7.5"), "critical", "deny")

    def test_it_is_audited_with_before_and_after(self, ours):
        edit(make(project=ours.project), limit_usd="9", action="note")
        entry = audited("budget.changed").get()
        assert entry.project_id == ours.project.pk
        assert (entry.before["limit_usd"], entry.after["limit_usd"]) == ("5", "9")
        assert (entry.before["action"], entry.after["action"]) == ("refuse", "note")

    @pytest.mark.parametrize("changes", [{}, {"limit_usd": "5.00"}, {"enabled": True, "action": "refuse"}])
    def test_without_a_difference_nothing_happens(self, changes):
        row = make()
        version = ConfigVersion.objects.get(group="budgets").version
        edit(row, **changes)
        assert not audited("budget.changed").exists()
        assert ConfigVersion.objects.get(group="budgets").version == version

    @pytest.mark.parametrize("field", ["window", "project", "api_key", "defined_at", "id", "nonsense"])
    def test_whose_it_is_and_its_window_stay(self, field):
        assert mistakes(edit, make(), **{field: "hour"}) == {field: "This cannot be changed: make another budget."}

    @pytest.mark.parametrize(
        ("field", "value"),
        [("limit_usd", "-1"), ("limit_usd", "NaN"), ("action", "x"), ("layer", "L0"), ("near_edge", "x"),
         ("severity", "x"), ("enabled", "perhaps"), ("enabled", None), ("starts_at", datetime(2026, 1, 1)),
         ("ends_at", "soon")],
    )  # fmt: skip
    def test_it_refuses_what_creation_refuses(self, field, value):
        assert list(mistakes(edit, make(), **{field: value})) == [field]

    def test_a_refused_change_leaves_no_trace(self):
        row = make()
        mistakes(edit, row, limit_usd="-1")
        assert not audited("budget.changed").exists()

    def test_it_may_be_ended_at_once(self):
        row = backdated(make())
        moment = timezone.now() - HOUR
        assert edit(row, ends_at=moment).ends_at == moment

    def test_a_total_keeps_a_start(self):
        assert list(mistakes(edit, make(window="total"), starts_at=None)) == ["starts_at"]

    def test_one_that_was_deleted_meanwhile_is_told(self):
        row = make()
        Budget.objects.all().delete()
        with pytest.raises(BudgetProblem, match=f"Budget {row.pk} was deleted meanwhile"):
            edit(row, limit_usd="9")


class TestDefinedAt:
    """It moves when what was counted no longer holds all that was spent in the window."""

    def moved(self, row, **changes):
        was, before = row.defined_at, timezone.now()
        now = edit(row, **changes).defined_at
        assert now == was or now >= before
        return now != was

    def test_a_new_budget_is_defined_now(self):
        before = timezone.now()
        assert before <= make().defined_at <= timezone.now()

    @pytest.mark.parametrize(
        "changes",
        [{"limit_usd": "9"}, {"action": "note"}, {"near_edge": "deny"}, {"severity": "info"}, {"enabled": False}],
        ids=lambda changes: next(iter(changes)),
    )
    def test_it_stays_when_the_count_stays_right(self, changes):
        assert not self.moved(backdated(make()), **changes)

    @pytest.mark.parametrize("action", ["refuse", "degrade"])
    def test_it_moves_when_one_that_only_noted_is_to_hold(self, layers, action):
        """Requests went on, and past its account, while the counters were away."""
        assert self.moved(backdated(make(action="note")), action=action, layer="L0" if action == "degrade" else "")

    def test_it_stays_while_it_only_notes(self):
        assert not self.moved(backdated(make(action="note")), limit_usd="9")

    def test_it_moves_when_a_disabled_budget_is_enabled_again(self):
        row = edit(backdated(make()), enabled=False)
        assert self.moved(row, enabled=True)

    def test_it_moves_with_the_start(self):
        assert self.moved(backdated(make()), starts_at=timezone.now() - HOUR)

    def test_it_stays_when_the_end_is_moved_in_time(self):
        row = backdated(make(ends_at=timezone.now() + DAY))
        assert not self.moved(row, ends_at=timezone.now() + 2 * DAY)

    def test_it_moves_when_one_that_had_ended_goes_on(self):
        row = edit(backdated(make()), ends_at=timezone.now() - HOUR)
        assert self.moved(row, ends_at=None)


class TestDelete:
    def test_it_is_audited_with_what_it_said(self, ours):
        row = make(project=ours.project)
        budget_rows.delete(row, actor="tests")
        assert not Budget.objects.exists()
        entry = audited("budget.deleted").get()
        assert (entry.before["limit_usd"], entry.project_id) == ("5", ours.project.pk)

    def test_a_second_time_nothing_happens(self):
        row = make()
        budget_rows.delete(row, actor="tests")
        row.pk = row.pk or 1
        budget_rows.delete(row, actor="tests")
        assert audited("budget.deleted").count() == 1


class TestFind:
    @pytest.mark.parametrize("name", ["{}", "#{}"])
    def test_by_its_id(self, name):
        row = make()
        assert budget_rows.find(name.format(row.pk)) == row

    @pytest.mark.parametrize("name", ["0", "-1", "x", "", "9" * 40, "٣"])
    def test_anything_else_is_nobody(self, name):
        with pytest.raises(BudgetProblem, match="`budgets list` shows them"):
            budget_rows.find(name)

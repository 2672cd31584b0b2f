"""What a rule would have done, beside what it does when the same past is looked at tick by tick."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from alerts import evaluating, preview, rule_rows
from alerts.models import Alert, Change, Look, Rule
from analytics import ledger
from tests.unit.alerts.test_evaluating import MINUTE, NOW
from tests.unit.analytics.test_ledger import usage_row

pytestmark = pytest.mark.django_db
SPAN = timedelta(hours=2)


@pytest.fixture
def past():
    """Three hours of three providers: one in order, one that breaks now and then, one that is seldom asked."""
    drawn = random.Random(20261123)  # noqa: S311 - no secret
    rows = []
    for minute in range(180):
        at = NOW.replace(second=0) - minute * MINUTE + timedelta(seconds=drawn.randrange(60))
        share = 0.9 if (minute // 23) % 3 == 1 else 0.02
        for provider, failing in (("acme", 0.01), ("beta", share), ("rare", 0.3)):
            for _ in range(drawn.randrange(4) if provider != "rare" else minute % 19 == 0):
                is_broken = drawn.random() < failing
                fields = {"outcome": "error", "status": 502, "error_kind": "unreachable"} if is_broken else {}
                times = {"duration_ms": drawn.lognormvariate(7, 1), "first_token_ms": drawn.lognormvariate(5, 1)}
                rows.append(usage_row(at, provider=provider, model="large", **times, **fields))
    ledger.insert(rows)


RULES = {
    "error share": {"metric": "error_share", "warning": 0.2, "critical": 0.6},
    "by provider, for a while": {
        "metric": "error_share", "warning": 0.2, "critical": 0.6, "group_by": ["provider"], "for_s": 180,
        "keep_firing_s": 240, "hysteresis": 0.05, "min_samples": 2,
    },
    "latency": {"metric": "latency_p95", "warning": 4000, "window_s": 600, "hysteresis": 300},
    "rate below": {"metric": "request_rate", "comparator": "below", "warning": 2.5, "critical": 1, "window_s": 120},
    "no data": {
        "metric": "first_token_p50", "warning": 150, "filters": {"providers": ["rare"]}, "no_data": "alert",
        "for_s": 120, "window_s": 180,
    },
    "kept": {
        "metric": "error_share", "warning": 0.5, "group_by": ["provider"], "no_data": "keep", "interval_s": 30,
        "for_s": 90, "window_s": 60,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", RULES)
def test_it_agrees_with_the_same_past_tick_by_tick(past, name):
    rule = rule_rows.create(actor="ann", name=name, **RULES[name])
    told = preview.run(rule, now=NOW, span=SPAN)
    wanted, seen = [], []
    tick = NOW - SPAN
    while (tick := evaluating.next_due(rule.interval_s, after=tick)) <= NOW:
        Look.objects.update(due_at=tick)
        evaluating.run(now=tick)
        seen += [(tick, tuple(one.labels.items()), one.state) for one in Alert.objects.exclude(state="normal")]
    for one in Change.objects.order_by("at", "id"):
        wanted.append((one.at, tuple(one.alert.labels.items()), one.to_state, one.to_level, one.is_news))
    found = [(one.at, one.labels, one.now.state.value, one.now.level.value, one.is_news) for one in told.changes]
    assert sorted(found) == sorted(wanted)
    standing = [(one.at, one.labels, one.state.value) for one in told.points if one.state != "normal"]
    assert sorted(standing) == sorted(seen)
    assert len(wanted) > 2


def test_it_writes_nothing_and_needs_no_row(past):
    rule = Rule(name="tried", **RULES["error share"])
    told = preview.run(rule, now=NOW, span=SPAN)
    assert not (Rule.objects.exists() or Alert.objects.exists() or Change.objects.exists())
    assert told == preview.run(rule_rows.create(actor="ann", name="kept", **RULES["error share"]), now=NOW, span=SPAN)
    assert told.changes


def test_every_tick_has_a_point_where_nothing_happened_too():
    told = preview.run(Rule(name="calm", **RULES["error share"]), now=NOW, span=timedelta(hours=1))
    assert (len(told.points), {one.value for one in told.points}, told.changes) == (60, {None}, ())


@pytest.mark.parametrize("metric", ["spool_lag", "circuits_open", "budget_share", "idle"])
def test_what_has_no_past_says_so(metric):
    with pytest.raises(preview.NoPast, match="has no past"):
        preview.run(Rule(name="x", metric=metric, warning=0.5), now=NOW)

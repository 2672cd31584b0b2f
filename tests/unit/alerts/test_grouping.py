"""When a channel hears of alerts, by a clock of the test's own: waits, repeats, ends, silences."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from alerts.grouping import Group, Standing, Timing, looked_at, noted
from alerts.machine import Level

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
TIMING = Timing(group_wait_s=30, group_interval_s=300, repeat_interval_s=3600)
WORDS = {"w": Level.WARNING, "c": Level.CRITICAL}


def at(seconds):
    return START + timedelta(seconds=seconds)


def stands(text):
    """`1w 2c~ 3w!`: alerts by id and level; ~ is muted, ! acknowledged."""
    return [
        Standing(alert_id=int(one[0]), level=WORDS[one[1]], is_muted="~" in one, is_acknowledged="!" in one)
        for one in text.split()
    ]


def heard(*looks):
    """What is told at each look, given as (seconds, what stands then): the group is noted at 0, and looked at only when
    it is due."""
    group, told = noted(None, timing=TIMING, now=at(0)), []
    for seconds, text in looks:
        if group is None:
            group = noted(None, timing=TIMING, now=at(seconds))
        if group.due_at > at(seconds):
            told.append("waits")
            continue
        group, message = looked_at(group, stands(text), timing=TIMING, now=at(seconds))
        told.append("-" if message is None else told_in(message))
    return told, group


def told_in(message):
    parts = [("new", message.began), ("over", message.resolved), ("of", message.firing)]
    words = " ".join(f"{word} {','.join(map(str, ids))}" for word, ids in parts if ids)
    return f"again {words}" if message.is_repeat else words


HEARD = {
    "the first waits for others": ([(10, "1w"), (30, "1w 2w")], ["waits", "new 1,2 of 1,2"]),
    "over before anybody was told": ([(30, "")], ["-"]),
    "one more later": ([(30, "1w"), (100, "1w 2w"), (330, "1w 2w")], ["new 1 of 1", "waits", "new 2 of 1,2"]),
    "nothing new": ([(30, "1w"), (330, "1w"), (630, "1w")], ["new 1 of 1", "-", "-"]),
    "the end": ([(30, "1w"), (330, "")], ["new 1 of 1", "over 1"]),
    "one by one": ([(30, "1w 2w"), (330, "2w"), (630, "")], ["new 1,2 of 1,2", "over 1 of 2", "over 2"]),
    "once more": (
        [(30, "1w"), (330, ""), (400, "1w"), (430, "1w")], ["new 1 of 1", "over 1", "waits", "new 1 of 1"],
    ),
    "worse is news, better is not": ([(30, "1w"), (330, "1c"), (630, "1w")], ["new 1 of 1", "new 1 of 1", "-"]),
    "repeated": (
        [(30, "1w"), (3600, "1w"), (3900, "1w"), (7500, "1w")], ["new 1 of 1", "-", "again of 1", "again of 1"],
    ),
    "not while somebody looks after it": ([(30, "1w"), (4000, "1w!")], ["new 1 of 1", "-"]),
    "but when it gets worse": ([(30, "1w"), (4000, "1c!")], ["new 1 of 1", "new 1 of 1"]),
    "a silence that ends first": ([(30, "1w~"), (330, "1w")], ["-", "new 1 of 1"]),
    "over while nobody was told": ([(30, "1w~"), (330, "")], ["-", "-"]),
    "who was told hears the end in silence": (
        [(30, "1w"), (330, "1w~"), (630, "")], ["new 1 of 1", "-", "over 1"],
    ),
    "the muted stay out": ([(30, "1w 2c~")], ["new 1 of 1"]),
    "one is over, the other muted": (
        [(30, "1w"), (330, "2w~"), (630, "2w")], ["new 1 of 1", "over 1", "new 2 of 2"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("looks", "told"), HEARD.values(), ids=HEARD)
def test_what_is_told_when(looks, told):
    assert heard(*looks)[0] == told


@pytest.mark.parametrize("looks", [[(30, "")], [(30, "1w"), (330, "")], [(30, "1w~"), (330, "")]])
def test_a_group_of_which_nothing_stands_and_nothing_is_owed_is_over(looks):
    assert heard(*looks)[1] is None


def test_a_group_that_is_there_keeps_its_time():
    group = Group(due_at=at(200), sent_at=at(0), told={1: Level.WARNING})
    assert noted(group, timing=TIMING, now=at(100)) is group

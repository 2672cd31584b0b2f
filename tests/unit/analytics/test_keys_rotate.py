"""API keys that are rotated: the new one at once, the old one for a while, never three."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from analytics import callers, keys
from analytics.models import ApiKey, AuditEntry

pytestmark = pytest.mark.django_db


@pytest.fixture
def made(db):
    return keys.create("app", actor="tests")


def rotate(row, **options):
    return keys.rotate(row, actor="somebody", **options)


def known(secret):
    return callers.load_all().by_hash.get(keys.digest(secret))


def test_both_are_recognised_and_the_old_one_ends_with_the_grace_period(made):
    before = timezone.now()
    rotated = rotate(made.row, grace_s=3600)
    new, old = known(rotated.secret), known(made.secret)
    assert (new.key_id, new.expires_at, new.was_rotated) == (made.row.pk, None, False)
    assert (old.key_id, old.key_prefix, old.was_rotated) == (made.row.pk, made.row.prefix, True)
    assert before + timedelta(hours=1) <= old.expires_at <= timezone.now() + timedelta(hours=1)
    assert rotated.dropped_prefix == ""


def test_a_day_is_the_grace_period_unless_said_otherwise(made):
    assert rotate(made.row).row.previous_until > timezone.now() + timedelta(hours=23, minutes=59)


def test_without_a_grace_period_the_old_one_is_unknown_at_once(made):
    rotated = rotate(made.row, grace_s=0)
    assert known(made.secret) is None
    assert known(rotated.secret)
    assert (rotated.row.previous_prefix, rotated.row.previous_hash, rotated.row.previous_until) == ("", None, None)


def test_once_more_within_the_grace_period_is_refused_and_says_since_and_until_when(made):
    second = rotate(made.row, grace_s=3600)
    at = AuditEntry.objects.get(action="api_key.rotated").at
    with pytest.raises(keys.StillInGrace) as refused:
        rotate(made.row, grace_s=60)
    since, until = (moment.isoformat(timespec="seconds") for moment in (at, second.row.previous_until))
    assert str(refused.value) == (
        f"The key app was rotated at {since}, and its previous key ({made.row.prefix}...) is valid until {until}: "
        "another rotation would end that one at once."
    )
    assert known(made.secret) and known(second.secret)


def test_once_more_within_the_grace_period_drops_the_oldest_where_that_is_meant(made):
    second = rotate(made.row, grace_s=3600)
    third = rotate(made.row, grace_s=60, end_previous=True)
    assert third.dropped_prefix == made.row.prefix
    assert known(made.secret) is None
    assert known(second.secret).was_rotated
    assert known(third.secret)
    assert AuditEntry.objects.filter(action="api_key.rotated").first().after["dropped"] == made.row.prefix


def test_a_leak_ends_all_keys_in_one_step(made):
    second = rotate(made.row, grace_s=3600)
    third = rotate(made.row, grace_s=0)
    assert [known(secret) is not None for secret in (made.secret, second.secret, third.secret)] == [False, False, True]


def test_once_more_after_it_drops_nobody(made):
    rotate(made.row, grace_s=3600)
    ApiKey.objects.update(previous_until=timezone.now() - timedelta(seconds=1))
    assert rotate(made.row, grace_s=60).dropped_prefix == ""


def test_a_key_that_expires_sooner_takes_the_old_one_with_it(made):
    until = timezone.now() + timedelta(minutes=5)
    keys.expire(made.row, actor="tests", at=until)
    rotated = rotate(made.row, grace_s=3600)
    old = known(made.secret)
    assert (old.expires_at, old.was_rotated) == (until, False)
    assert known(rotated.secret).expires_at == until


def test_limits_and_rights_stay_as_they_are_for_both(made):
    keys.edit(made.row, actor="tests", changes={"requests_per_minute": 5, "allowed_networks": ["10.0.0.0/8"]})
    rotated = rotate(made.row)
    for secret in (made.secret, rotated.secret):
        assert known(secret).key_limits.requests_per_minute == 5
        assert str(known(secret).allowed_networks[0]) == "10.0.0.0/8"


def test_what_others_changed_meanwhile_stays(made):
    stale = ApiKey.objects.get()
    keys.disable(made.row, actor="tests")
    assert not rotate(stale).row.enabled
    assert not ApiKey.objects.get().enabled


def test_it_is_told_with_prefixes_and_no_secret(made):
    rotated = rotate(made.row, grace_s=60)
    entry = AuditEntry.objects.get(action="api_key.rotated")
    assert (entry.actor, entry.project_id) == ("somebody", made.row.project_id)
    assert entry.before == {"prefix": made.row.prefix, "previous_prefix": None, "previous_until": None}
    assert (entry.after["prefix"], entry.after["previous_prefix"]) == (rotated.row.prefix, made.row.prefix)
    for secret in (made.secret, rotated.secret):
        assert secret not in f"{entry.before} {entry.after} {rotated!r}"


@pytest.mark.parametrize("grace_s", [-1, 30 * 86400 + 1, 2**63, 1.5, True, "60", None])
def test_a_grace_period_that_makes_no_sense_is_refused(made, grace_s):
    with pytest.raises(ValidationError) as refused:
        rotate(made.row, grace_s=grace_s)
    assert list(refused.value.message_dict) == ["grace_s"]
    assert known(made.secret)


def test_thirty_days_are_the_most(made):
    assert rotate(made.row, grace_s=30 * 86400).row.previous_until > timezone.now() + timedelta(days=29)


def test_a_process_that_follows_by_delta_forgets_what_was_dropped(made):
    before = callers.load_all()
    rotated = rotate(made.row, grace_s=0)
    after = callers.load_changed(before, row_ids=[made.row.pk])
    assert set(after.by_hash) == {keys.digest(rotated.secret)}

"""`POST /v1/admin/keys/{id}/rotate`: a new key, shown once; the old one for as long as it was given."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from analytics import keys
from analytics.models import ApiKey
from gateway import key_listing

pytestmark = pytest.mark.django_db
TIME = r"20[\d:T-]+\+00:00"


@pytest.fixture
def path(ours):
    return f"keys/{ours.key.pk}/rotate"


def test_the_new_key_is_shown_once_and_the_old_one_ends_a_day_later(us, ours, path):
    answer = us.answer("post", path)
    told = answer.json()
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert told["key"].startswith(told["prefix"])
    assert told["previous_prefix"] == ours.key.prefix
    left = ApiKey.objects.get(pk=ours.key.pk).previous_until - timezone.now()
    assert timedelta(hours=23) < left <= timedelta(hours=24)


def test_a_grace_of_nothing_ends_the_old_one_at_once(us, path, client, ours):
    told = us("post", path, grace_s=0)[1]
    assert told["previous_until"] is None
    us("get", "keys")
    assert client.get("/v1/models", headers={"Authorization": f"Bearer {ours.secret}"}).status_code == 401
    assert client.get("/v1/models", headers={"Authorization": f"Bearer {told['key']}"}).status_code == 200


def test_one_that_is_sent_again_leaves_the_key_in_use_as_it_is(us, path, ours):
    us("post", path)
    rotated = ApiKey.objects.values().get(pk=ours.key.pk)
    status, error = us("post", path)
    assert (status, error["error"]["code"]) == (409, "rotated_already")
    assert re.fullmatch(
        rf"The key first was rotated at {TIME}, and its previous key \({ours.key.prefix}\.\.\.\) is valid until "
        rf'{TIME}: another rotation would end that one at once\. Send "end_previous": true to do so\.',
        error["error"]["message"],
    )
    assert ApiKey.objects.values().get(pk=ours.key.pk) == rotated


def test_a_second_rotation_that_was_meant_tells_which_key_it_ended(us, path, ours):
    us("post", path)
    assert us.refused("post", path, end_previous="yes")[:2] == (400, "end_previous")
    assert us("post", path, end_previous=True)[1]["dropped_prefix"] == ours.key.prefix


def test_a_leaked_key_is_ended_in_one_step_with_the_one_before_it(us, path, ours):
    us("post", path)
    told = us("post", path, grace_s=0)[1]
    assert (told["dropped_prefix"], told["previous_until"]) == (ours.key.prefix, None)


def test_what_is_told_is_of_the_row_as_it_was_found_when_another_rotation_came_first(ours):
    second = keys.rotate(ApiKey.objects.get(), actor="tests")
    third = keys.rotate(ours.key, actor="tests", end_previous=True)  # it was looked up before the second
    valid, ended = key_listing.rotation_notes(third)
    assert f"({second.row.prefix}...) stays valid until" in valid
    assert f"({ours.key.prefix}...) was still in its grace period, and ended at once" in ended


@pytest.mark.parametrize("grace_s", [-1, "5", True, 1.5, None, 30 * 86400 + 1])
def test_a_wrong_grace_is_refused_at_its_field(us, path, grace_s):
    before = ApiKey.objects.values().first()
    assert us.refused("post", path, {"grace_s": grace_s})[:2] == (400, "grace_s")
    assert ApiKey.objects.values().first() == before


def test_an_unknown_field_is_named(us, path):
    assert us.refused("post", path, grace=0)[:2] == (400, "grace")

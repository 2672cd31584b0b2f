"""Signing in and renewing tokens many times at the same moment, each with its own connection, committed for real.

Nothing is audited in the database here: entries could not be deleted again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.db import connection
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from analytics import audit
from tests.unit.gateway.signing_in import PASSWORD, WRONG, Api, refusal

TRIES = 20


@pytest.fixture
def audited(monkeypatch):
    """The actions that would have been written."""
    actions = []
    monkeypatch.setattr(audit, "record", lambda action, **_: actions.append(action))
    return actions


@pytest.fixture
def ann(django_db_setup, django_db_blocker, audited):
    with django_db_blocker.unblock():
        user = User.objects.create_user("ann-at-once", password=PASSWORD)
        yield user
        OutstandingToken.objects.all().delete()
        AccessAttempt.objects.all().delete()
        user.delete()


def at_once(ask: Callable[[Api], Any], *, times: int) -> list[Any]:
    start = threading.Barrier(times, timeout=10)

    def run(_: int) -> Any:
        try:
            start.wait()
            return ask(Api())
        finally:
            connection.close()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(run, range(times)))


def test_of_many_wrong_passwords_five_are_looked_at(ann, audited):
    answers = at_once(lambda api: api.login(ann.username, WRONG), times=TRIES)
    refusals = sorted(refusal(answer) for answer in answers)
    assert refusals == [(401, "wrong_credentials")] * 5 + [(429, "too_many_attempts")] * (TRIES - 5)
    assert AccessAttempt.objects.get().failures_since_start == 5
    assert audited.count("login.locked") == 1


def test_many_right_ones_are_all_accepted(ann):
    answers = at_once(lambda api: api.login(ann.username), times=TRIES)
    assert {answer.status_code for answer in answers} == {200}
    assert not AccessAttempt.objects.exists()


def test_of_many_uses_of_a_refresh_token_one_gets_a_pair_and_the_family_ends(ann, audited):
    pair = Api().login(ann.username).json()
    answers = at_once(lambda api: api.post("refresh", refresh=pair["refresh"]), times=8)
    (fresh,) = [answer.json() for answer in answers if answer.status_code == 200]
    assert [refusal(answer) for answer in answers if answer.status_code != 200] == [(401, "token_reused")] * 7
    assert refusal(Api().post("refresh", refresh=fresh["refresh"])) == (401, "token_reused")
    assert OutstandingToken.objects.filter(blacklistedtoken__isnull=True).count() == 0
    assert audited.count("login.token_reused") == 1

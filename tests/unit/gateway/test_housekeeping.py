import fcntl
import os
import time
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from axes.models import AccessAttempt
from django.contrib.sessions.models import Session
from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from analytics.models import GaugeSample, ProcessGauges
from gateway import housekeeping
from providers.models import ConfigChange

MONTH_S = 30 * 24 * 3600


def file(path: Path, *, age_s: float = MONTH_S) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"12345")
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def clear(var_dir: Path, *, deadline_s: float = 10.0) -> housekeeping.Cleared:
    return housekeeping.clear_files(var_dir, before=time.time() - MONTH_S / 2, deadline_s=deadline_s)


@pytest.mark.parametrize("name", ["log/server.log.1", "screenshots/a/b.png", "celery/1_2.celery.msg"])
def test_an_old_file_goes(tmp_path, name):
    old = file(tmp_path / name)
    assert clear(tmp_path) == housekeeping.Cleared(files=1, bytes=5)
    assert not old.exists()


@pytest.mark.parametrize(
    "name",
    ["gateway.sqlite3", "secrets.toml", "spool/1.jsonl", "celery/beat-schedule", "celery/control/celery.exchange"],
)
def test_everything_else_stays_however_old(tmp_path, name):
    old = file(tmp_path / name)
    assert clear(tmp_path).files == 0
    assert old.exists()


def test_a_young_file_stays(tmp_path):
    young = file(tmp_path / "log/server.log", age_s=60)
    assert clear(tmp_path).files == 0
    assert young.exists()


def test_a_locked_file_stays(tmp_path):
    used = file(tmp_path / "log/server.log")
    with used.open("ab") as log:
        fcntl.flock(log, fcntl.LOCK_SH)
        assert clear(tmp_path).files == 0
    assert used.exists()


def test_a_link_to_a_file_is_not_followed(tmp_path):
    outside = file(tmp_path / "outside.txt")
    link = tmp_path / "log/link"
    link.parent.mkdir()
    link.symlink_to(outside)
    os.utime(link, (0, 0), follow_symlinks=False)
    assert clear(tmp_path).files == 0
    assert outside.exists()


@pytest.mark.parametrize("name", ["log", "log/inner"])
def test_a_link_to_a_folder_is_not_followed(tmp_path, name):
    outside = file(tmp_path / "outside/a.log")
    link = tmp_path / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(outside.parent, target_is_directory=True)
    assert clear(tmp_path).files == 0
    assert outside.exists()


def test_the_deadline_leaves_the_rest_for_next_time(tmp_path):
    file(tmp_path / "log/a.log")
    assert clear(tmp_path, deadline_s=0).files == 0
    assert clear(tmp_path).files == 1


def test_no_folder_is_no_trouble(tmp_path):
    assert clear(tmp_path / "nowhere").files == 0


@pytest.mark.django_db
def test_change_rows_go_after_a_day(tmp_path):
    ConfigChange.objects.all().delete()
    for hours in (1, 25):
        at = timezone.now() - timedelta(hours=hours)
        ConfigChange.objects.create(group="keys", version=hours, row_id=1, changed_at=at)
    assert housekeeping.clear(tmp_path, days=14).rows == 1
    assert [change.version for change in ConfigChange.objects.all()] == [1]


@pytest.mark.django_db
def test_old_gauges_and_dead_processes_go(tmp_path):
    for age in (timedelta(days=7), timedelta(days=9)):
        at = timezone.now() - age
        GaugeSample.objects.create(at=at, instance=uuid.uuid4(), role="server")
        ProcessGauges.objects.create(
            instance=uuid.uuid4(), role="server", host="h", pid=1, started_at=at, at=at, readings={}
        )
    assert housekeeping.clear(tmp_path, days=14).rows == 3
    assert GaugeSample.objects.count() == 1


@pytest.mark.django_db
def test_old_attempts_to_sign_in_go(tmp_path):
    for hours in (23, 25):
        row = AccessAttempt.objects.create(username=str(hours), ip_address="192.0.2.7", failures_since_start=1)
        AccessAttempt.objects.filter(pk=row.pk).update(attempt_time=timezone.now() - timedelta(hours=hours))
    assert housekeeping.clear(tmp_path, days=14).rows == 1
    assert AccessAttempt.objects.get().username == "23"


@pytest.mark.django_db
def test_tokens_and_sessions_go_that_have_expired(tmp_path):
    for minutes in (-1, 1):
        expires_at = timezone.now() + timedelta(minutes=minutes)
        row = OutstandingToken.objects.create(jti=str(minutes), token="family", expires_at=expires_at)
        BlacklistedToken.objects.create(token=row)
        Session.objects.create(session_key=str(minutes), session_data="", expire_date=expires_at)
    assert housekeeping.clear(tmp_path, days=14).rows == 2
    assert [row.jti for row in OutstandingToken.objects.all()] == ["1"]
    assert BlacklistedToken.objects.get().token.jti == "1"
    assert Session.objects.get().session_key == "1"

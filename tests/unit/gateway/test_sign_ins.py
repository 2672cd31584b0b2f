"""Who signed in, and who could not: without the password that somebody typed as a name, and no flood of entries."""

from datetime import timedelta

import pytest
from django.db import connection

from analytics import sign_ins
from analytics.models import AuditEntry

pytestmark = pytest.mark.django_db
PAGE = "/admin/login/"
TYPED = "hunter2-my-real-password"


@pytest.fixture(autouse=True)
def nothing_counted():
    sign_ins._left_out.clear()
    yield
    sign_ins._left_out.clear()


@pytest.fixture
def ann(django_user_model):
    return django_user_model.objects.create_superuser("ann", password="correct horse battery")


@pytest.fixture
def sign_in(client):
    def sign_in(name, word, address="192.0.2.7"):
        return client.post(PAGE, {"username": name, "password": word}, REMOTE_ADDR=address)

    return sign_in


def refusals():
    entries = AuditEntry.objects.filter(action="login.refused").order_by("id")
    return [(entry.target, entry.address, entry.after) for entry in entries]


def test_who_signs_in_is_told_with_the_address(sign_in, ann):
    assert sign_in("ann", "correct horse battery").status_code == 302
    entry = AuditEntry.objects.get(action="login.accepted")
    assert (entry.actor, entry.target, entry.address, entry.severity) == ("ann", "ann", "192.0.2.7", "info")


def test_a_wrong_password_is_a_warning_at_the_users_name(sign_in, ann):
    sign_in("ann", TYPED)
    entry = AuditEntry.objects.get(action="login.refused")
    assert (entry.actor, entry.target, entry.severity) == ("unknown", "ann", "warning")
    assert (entry.address, entry.after) == ("192.0.2.7", None)


@pytest.mark.parametrize("name", [TYPED, f"ann\0{TYPED}", "A" * 5000])
def test_a_name_nobody_has_may_be_a_password_and_is_not_kept(sign_in, ann, name):
    sign_ins.refused(name)
    sign_in(name, "x")
    assert {target for target, _, _ in refusals()} == {"an unknown user"}
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM analytics_auditentry")
        assert name not in str(cursor.fetchall())


def test_once_a_minute_for_the_same_address_and_name(sign_in, ann, monkeypatch):
    for _ in range(3):
        sign_in("ann", "x")
    sign_in("ann", "x", "198.51.100.4")
    sign_in("bob", "x")
    assert refusals() == [
        ("ann", "192.0.2.7", None),
        ("ann", "198.51.100.4", None),
        ("an unknown user", "192.0.2.7", None),
    ]
    monkeypatch.setattr(sign_ins, "ONCE_IN", timedelta(0))
    sign_in("ann", "x")
    assert refusals()[-1] == ("ann", "192.0.2.7", {"left_out_before": 2})


def test_a_user_whom_the_dashboard_is_not_for_is_refused_too(sign_in, django_user_model):
    django_user_model.objects.create_user("carl", password="correct horse battery")
    sign_in("carl", "correct horse battery")
    assert refusals() == [("carl", "192.0.2.7", {"why": "not for the dashboard"})]
    assert not AuditEntry.objects.filter(action="login.accepted").exists()


def test_leaving_is_no_event(client, ann):
    client.force_login(ann)
    before = AuditEntry.objects.count()
    client.post("/admin/logout/")
    assert AuditEntry.objects.count() == before


def test_what_is_counted_has_an_end(monkeypatch, db):
    monkeypatch.setattr(sign_ins, "MOST_COUNTED", 2)
    for name in "abc":
        sign_ins._count("192.0.2.7", name, is_told=True)
    assert [name for _, name in sign_ins._left_out] == ["b", "c"]

"""The brake on guessing passwords: five wrong ones for a name from an address, then neither door opens for a while."""

import logging
from datetime import timedelta

import pytest
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib.auth import aauthenticate, authenticate
from django.core.management import call_command
from django.db import connection
from django.db.models import F
from django.test import Client

from analytics import guessing
from analytics.models import AuditEntry
from gateway import client_address
from tests.unit.gateway.signing_in import HERE, PASSWORD, WRONG, Api, refusal

pytestmark = pytest.mark.django_db
PAGE = "/admin/login/"
LOCKED = (429, "too_many_attempts")
TYPED = "hunter2-my-real-password"


@pytest.fixture
def ann(ann):
    ann.is_staff = ann.is_superuser = True
    ann.save()
    return ann


def by_form(name, word, address=HERE):
    return Client().post(PAGE, {"username": name, "password": word}, REMOTE_ADDR=address)


def fail(name="ann", *, times=5, address=HERE):
    return [refusal(Api(address=address).login(name, WRONG)) for _ in range(times)]


def pass_time(**span):
    AccessAttempt.objects.update(attempt_time=F("attempt_time") - timedelta(**span))


def locked_entries():
    entries = AuditEntry.objects.filter(action="login.locked").order_by("id")
    return [(entry.target, entry.actor, entry.severity, entry.address, entry.after) for entry in entries]


class TestApi:
    def test_after_five_wrong_passwords_the_right_one_is_turned_away_too(self, api, ann):
        assert fail(times=6) == [(401, "wrong_credentials")] * 5 + [LOCKED]
        answer = api.login()
        assert refusal(answer) == LOCKED
        assert 890 < int(answer.headers["Retry-After"]) <= 900
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.json()["error"] == {
            "message": "Too many wrong passwords: try again in 15 minutes.",
            "type": "rate_limit_error",
            "param": None,
            "code": "too_many_attempts",
        }

    def test_a_name_that_no_user_has_is_locked_out_just_so(self, ann):
        assert fail("bob", times=6) == fail("ann", times=6)
        assert fail("eve", times=1) == [(401, "wrong_credentials")]

    def test_other_names_and_other_addresses_go_on(self, ann, django_user_model):
        django_user_model.objects.create_user("carl", password=PASSWORD)
        fail()
        assert Api().login("carl").status_code == 200
        assert Api(address="198.51.100.4").login().status_code == 200

    def test_a_right_password_forgets_the_wrong_ones(self, api, ann):
        for _ in range(2):
            fail(times=4)
            assert api.login().status_code == 200

    def test_what_has_no_password_counts_for_nothing(self, api, ann):
        for _ in range(6):
            assert api.post("login", username="ann").status_code == 400
        assert api.login().status_code == 200


class TestTime:
    def test_it_ends_by_itself(self, api, ann):
        fail()
        pass_time(minutes=14, seconds=30)
        assert api.login().json()["error"]["message"].endswith("try again in 1 minute.")
        pass_time(seconds=31)
        assert api.login().status_code == 200

    def test_trying_on_does_not_make_it_longer(self, api, ann):
        fail()
        pass_time(minutes=14)
        fail(times=3)
        pass_time(minutes=1, seconds=1)
        assert api.login().status_code == 200

    def test_after_a_pause_it_begins_anew(self, api, ann):
        fail(times=4)
        pass_time(minutes=15, seconds=1)
        assert fail(times=6) == [(401, "wrong_credentials")] * 5 + [LOCKED]


class TestPage:
    def test_the_dashboard_counts_with_the_api_and_says_it_on_a_page(self, ann):
        fail(times=3)
        assert [by_form("ann", WRONG).status_code for _ in range(3)] == [200, 200, 429]
        answer = by_form("ann", PASSWORD)
        text = answer.content.decode()
        assert (answer.status_code, answer.headers["Content-Type"]) == (429, "text/html; charset=utf-8")
        assert 0 < int(answer.headers["Retry-After"]) <= 900
        for words in ("AI MCP Gateway", "Too many wrong passwords", "in 15 minutes", "manage.py axes_reset"):
            assert words in text
        assert refusal(Api().login()) == LOCKED

    def test_who_is_signed_in_stays_so(self, ann):
        client = Client()
        client.post(PAGE, {"username": "ann", "password": PASSWORD}, REMOTE_ADDR=HERE)
        fail()
        assert client.get("/admin/tables/", REMOTE_ADDR=HERE).status_code == 200

    def test_the_form_itself_is_still_shown(self, ann):
        fail()
        assert Client().get(PAGE, REMOTE_ADDR=HERE).status_code == 200


class TestAddress:
    def test_many_wrong_ones_from_an_address_lock_it_for_every_name(self, api, ann, settings):
        settings.ADDRESS_FAILURE_LIMIT = 6
        tried = [fail(name, times=1)[0] for name in ("a", "b", "c", "d", "e", "f", "g")]
        assert tried == [(401, "wrong_credentials")] * 6 + [LOCKED]
        assert refusal(api.login()) == LOCKED
        assert Api(address="198.51.100.4").login().status_code == 200
        assert [entry[0] for entry in locked_entries()] == [f"everybody at {HERE}"]

    def test_it_is_free_again_when_the_first_of_them_is_forgotten(self, api, ann, settings):
        settings.ADDRESS_FAILURE_LIMIT = 3
        fail("a", times=1)
        pass_time(minutes=10)
        fail("b", times=2)
        assert 290 < int(api.login().headers["Retry-After"]) <= 300
        pass_time(minutes=5)
        assert api.login().status_code == 200

    def test_that_of_a_client_behind_a_trusted_proxy_is_the_clients(self, ann, settings):
        settings.TRUSTED_PROXIES = client_address.trusted(["127.0.0.1"])

        def tried(forwarded):
            body = {"username": "ann", "password": WRONG}
            headers = {"X-Forwarded-For": forwarded}
            kind = "application/json"
            return Client().post("/v1/auth/login", body, kind, headers=headers, REMOTE_ADDR="127.0.0.1").status_code

        assert [tried("192.0.2.1") for _ in range(6)][-1] == 429
        assert tried("192.0.2.2") == 401

    def test_one_that_nobody_vouches_for_is_not_believed(self, ann):
        body = {"username": "ann", "password": WRONG}
        for number in range(6):
            headers = {"X-Forwarded-For": f"192.0.2.{number}"}
            answer = Client().post("/v1/auth/login", body, "application/json", headers=headers)
        assert answer.status_code == 429

    def test_of_ipv6_a_whole_network_counts_as_one(self, ann):
        fail(times=5, address="2001:db8:1:2::1")
        assert fail(times=1, address="2001:db8:1:2:ffff::7") == [LOCKED]
        assert fail(times=1, address="2001:db8:1:3::1") == [(401, "wrong_credentials")]

    def test_requests_without_one_count_as_one(self, ann):
        assert fail(times=6, address="")[-1] == LOCKED


class TestAudit:
    def test_a_lock_out_is_a_warning_once(self, ann):
        fail(times=8)
        after = {"failures": 5, "for_s": 900}
        assert locked_entries() == [("ann", "unknown", "warning", HERE, after)]

    def test_a_name_nobody_has_is_not_written_down(self, ann):
        fail(TYPED)
        assert [entry[0] for entry in locked_entries()] == ["an unknown user"]

    def test_another_lock_out_is_another_entry(self, ann):
        fail()
        pass_time(minutes=16)
        fail()
        assert len(locked_entries()) == 2


class TestSecrets:
    def test_nothing_that_was_typed_is_logged_or_kept(self, ann, caplog):
        caplog.set_level(logging.DEBUG)
        for name in ("axes", "rest_framework_simplejwt", "django", "analytics", "gateway"):
            caplog.set_level(logging.DEBUG, logger=name)
        for _ in range(6):
            Api().post(f"login?password={WRONG}", username=TYPED, password=WRONG)
            Client().post(f"{PAGE}?pw={WRONG}", {"username": TYPED, "password": WRONG, "passwd": WRONG})
        pair = Api().login().json()
        Api().post("refresh", refresh=pair["refresh"])
        Api().post("refresh", refresh=pair["refresh"])
        Api().status(pair["access"])
        assert caplog.records
        signature = pair["refresh"].rpartition(".")[2]
        secrets = (TYPED, WRONG, PASSWORD, pair["access"], pair["refresh"], signature)
        said = "\n".join(f"{record.getMessage()} {record.args}" for record in caplog.records)
        kept = "\n".join(self.tables())
        assert [secret for secret in secrets if secret in said or secret in kept] == []
        assert AccessAttempt.objects.filter(username__startswith="?").exists()
        assert not AccessLog.objects.exists() and not AccessFailureLog.objects.exists()

    def tables(self):
        with connection.cursor() as cursor:
            for table in connection.introspection.table_names(cursor):
                if table.startswith(("axes_", "token_blacklist_", "analytics_audit", "auth_user")):
                    cursor.execute(f'SELECT * FROM "{table}"')
                    yield str(cursor.fetchall())


class TestUnlocking:
    @pytest.mark.parametrize(
        "words",
        [("axes_reset",), ("axes_reset_username", "ann"), ("axes_reset_ip", HERE)],
    )
    def test_the_command_lets_them_try_again_at_once(self, api, ann, words):
        fail()
        call_command(*words, verbosity=0)
        assert api.login().status_code == 200

    def test_who_is_locked_out_can_be_listed(self, ann, capsys):
        fail()
        call_command("axes_list_attempts")
        assert f"{HERE}\tann\t5" in capsys.readouterr().out


class TestOtherCallers:
    def test_signing_in_needs_a_request(self, ann):
        with pytest.raises(Exception, match="its address is counted for"):
            authenticate(username="ann", password=PASSWORD)

    def test_what_has_other_credentials_is_not_for_this_backend(self, rf, ann):
        assert authenticate(rf.post("/"), token="x") is None

    async def test_the_asynchronous_way_counts_as_well(self, rf, monkeypatch):
        seen = []
        monkeypatch.setattr(guessing.CountingBackend, "authenticate", lambda self, request, **words: seen.append(words))
        monkeypatch.setattr("django.contrib.auth.user_login_failed.asend", _nothing)
        await aauthenticate(rf.post("/"), username="ann", password=WRONG)
        assert seen == [{"username": "ann", "password": WRONG}]


async def _nothing(*_, **__):
    pass

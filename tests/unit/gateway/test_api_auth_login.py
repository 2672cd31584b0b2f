"""`POST /v1/auth/login`: a pair of tokens for a user name and its password, and nothing to learn without both."""

import base64
import json

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection

from analytics.models import AuditEntry, Membership
from tests.unit.gateway.signing_in import HERE, PASSWORD, WRONG, Api, refusal

pytestmark = pytest.mark.django_db
QUERIES_OF_A_REFUSAL = 15


def claims(token):
    head, payload, _ = token.split(".")
    return [json.loads(base64.urlsafe_b64decode(part + "==")) for part in (head, payload)]


class TestTokens:
    def test_both_come_with_how_long_they_are_valid_and_who_it_is(self, api, ann, ours):
        Membership.objects.create(user=ann, project=ours.project, role="operator")
        answer = api.login()
        told = answer.json()
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
        assert told.pop("access").count(".") == told.pop("refresh").count(".") == 2
        assert told == {
            "token_type": "Bearer",
            "expires_in": 900,
            "refresh_expires_in": 86400,
            "user": {
                "name": "ann",
                "is_superuser": False,
                "projects": [{"project": "default", "role": "operator"}],
            },
        }

    def test_no_cookie_is_set(self, api, ann):
        assert not api.login().cookies

    def test_they_are_signed_by_a_key_of_their_own_and_one_algorithm(self, api, ann):
        head, payload = claims(api.login().json()["access"])
        assert head["alg"] == "HS256"
        assert payload["token_type"] == "access"
        assert payload["exp"] - payload["iat"] == 900
        assert settings.SIMPLE_JWT["SIGNING_KEY"] != settings.SECRET_KEY
        assert len(settings.SIMPLE_JWT["SIGNING_KEY"]) == 64

    def test_the_database_holds_no_token(self, api, ann):
        told = api.login().json()
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM token_blacklist_outstandingtoken")
            kept = str(cursor.fetchall())
        assert kept.count("'") and told["refresh"] not in kept and told["refresh"].split(".")[2] not in kept

    def test_a_name_is_the_same_however_it_was_composed(self, api, django_user_model):
        django_user_model.objects.create_user("ﬁnn", password=PASSWORD)
        assert {api.login(name).status_code for name in ("ﬁnn", "finn")} == {200}


class TestAudit:
    def test_who_signs_in_is_told_with_the_address(self, api, ann):
        api.login()
        entry = AuditEntry.objects.get(action="login.accepted")
        assert (entry.actor, entry.target, entry.address) == ("ann", "ann", HERE)
        ann.refresh_from_db()
        assert ann.last_login is not None

    def test_who_cannot_is_too(self, api, ann):
        api.login(word=WRONG)
        entry = AuditEntry.objects.get(action="login.refused")
        assert (entry.actor, entry.target, entry.address, entry.severity) == ("unknown", "ann", HERE, "warning")


class TestRefused:
    @pytest.fixture
    def switched_off(self, ann):
        User.objects.update(is_active=False)

    def test_a_wrong_name_is_told_as_a_wrong_password_is(self, api, ann):
        wrong = [api.login(*words) for words in (("ann", WRONG), ("bob", PASSWORD), ("Ann", PASSWORD), ("ann", ""))]
        assert {(answer.status_code, answer.content) for answer in wrong} == {(401, wrong[0].content)}
        assert wrong[0].json()["error"] == {
            "message": "The user name or the password is wrong.",
            "type": "authentication_error",
            "param": None,
            "code": "wrong_credentials",
        }
        assert wrong[0].headers["Cache-Control"] == "no-store"

    def test_and_asks_as_much_of_the_hasher_and_the_database(self, api, ann, monkeypatch, django_assert_num_queries):
        hashed = []
        encode = "django.contrib.auth.hashers.MD5PasswordHasher.encode"
        monkeypatch.setattr(encode, lambda self, password, salt: hashed.append(password) or f"md5${salt}$")
        with django_assert_num_queries(QUERIES_OF_A_REFUSAL):
            api.login("ann", WRONG)
        with django_assert_num_queries(QUERIES_OF_A_REFUSAL):
            api.login("bob", WRONG)
        assert hashed == [WRONG] * 2

    def test_so_is_a_user_who_was_switched_off(self, api, switched_off):
        assert refusal(api.login()) == (401, "wrong_credentials")

    @pytest.mark.parametrize(
        ("body", "param", "words"),
        [
            ({"username": "ann"}, "password", "This is missing."),
            ({}, "username", "This is missing."),
            ({"username": "ann", "password": 5}, "password", "Use a text."),
            ({"username": None, "password": "x"}, "username", "Use a text."),
            ({"username": "a\0b", "password": "x"}, "username", "Use no control characters"),
            ({"username": "a" * 151, "password": "x"}, "username", "at most 150 characters"),
            ({"username": "ann", "password": "x" * 4097}, "password", "at most 4096 characters"),
            ({"username": "ann", "password": "x", "otp": 1}, "otp", "There is no field 'otp'"),
        ],
    )
    def test_what_is_no_name_and_password_is_400_at_the_field(self, api, ann, body, param, words):
        answer = api.post("login", body)
        error = answer.json()["error"]
        assert (answer.status_code, error["param"]) == (400, param)
        assert words in error["message"]

    @pytest.mark.parametrize("body", ["[]", "{", "\udcff"])
    def test_so_is_a_body_that_is_no_object(self, api, body):
        raw = body.encode(errors="surrogateescape")
        answer = api.client.post("/v1/auth/login", raw, content_type="application/json")
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")

    def test_a_body_beyond_the_limit_is_413(self, api, settings):
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 50
        assert refusal(api.login(word="x" * 60)) == (413, "request_too_large")

    def test_only_post_signs_in(self, api):
        assert api.get("/v1/auth/login").status_code == 405


def test_a_wrong_token_beside_a_right_password_is_no_hindrance(ann):
    answer = Api().client.post(
        "/v1/auth/login",
        {"username": "ann", "password": PASSWORD},
        content_type="application/json",
        headers={"Authorization": "Bearer eyJ.old.one"},
    )
    assert answer.status_code == 200

"""`POST /v1/auth/refresh`, `logout` and `verify`: a refresh token works once; used again it ends its family."""

from datetime import timedelta

import jwt
import pytest
from django.conf import settings
from django.utils import timezone
from rest_framework_simplejwt.tokens import AccessToken

from analytics.models import AuditEntry
from analytics.refresh_tokens import FamilyToken
from tests.unit.gateway.signing_in import refusal

pytestmark = pytest.mark.django_db


@pytest.fixture
def pair(api, ann):
    return api.login().json()


@pytest.fixture
def refresh(api):
    return lambda token: api.post("refresh", refresh=token)


def expired(kind, user):
    token = kind.for_user(user)
    token.set_exp(from_time=timezone.now() - timedelta(days=2))
    return str(token)


def forged(token, *, algorithm, key):
    payload = jwt.decode(token, options={"verify_signature": False})
    return jwt.encode(payload, key, algorithm=algorithm)


def change_password(ann):
    ann.set_password("another long password")
    ann.save()


def switch_off(ann):
    ann.is_active = False
    ann.save()


class TestRefresh:
    def test_it_gives_another_pair_that_works(self, api, pair, refresh):
        answer = refresh(pair["refresh"])
        fresh = answer.json()
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
        assert fresh.keys() == {"access", "refresh", "token_type", "expires_in", "refresh_expires_in"}
        assert fresh["refresh"] != pair["refresh"]
        assert api.status(fresh["access"]).json()["user"]["name"] == "ann"
        assert refresh(fresh["refresh"]).status_code == 200

    def test_one_that_comes_again_is_refused_and_ends_its_family(self, api, pair, refresh):
        fresh = refresh(pair["refresh"]).json()
        assert refusal(refresh(pair["refresh"])) == (401, "token_reused")
        assert refusal(refresh(fresh["refresh"])) == (401, "token_reused")
        entries = AuditEntry.objects.filter(action="login.token_reused")
        assert [(entry.target, entry.severity) for entry in entries] == [("ann", "warning")]

    def test_another_signing_in_goes_on(self, api, pair, refresh):
        other = api.login().json()
        refresh(pair["refresh"])
        refresh(pair["refresh"])
        assert refresh(other["refresh"]).status_code == 200

    def test_an_access_token_gets_none(self, pair, refresh):
        answer = refresh(pair["access"])
        assert refusal(answer) == (401, "invalid_token")
        assert "wrong one of the two" in answer.json()["error"]["message"]

    def test_one_that_has_expired_says_so(self, ann, refresh):
        assert refusal(refresh(expired(FamilyToken, ann))) == (401, "token_expired")

    @pytest.mark.parametrize("token", ["", "x", "a.b.c", "eyJ", "é.é.é"])
    def test_what_is_no_token_is_401(self, refresh, token):
        answer = refresh(token)
        assert refusal(answer) == (401, "invalid_token")
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="gateway"'

    @pytest.mark.parametrize("algorithm", ["HS512", "none"])
    def test_no_other_algorithm_is_taken(self, pair, refresh, algorithm):
        key = settings.SIMPLE_JWT["SIGNING_KEY"] if algorithm != "none" else None
        assert refusal(refresh(forged(pair["refresh"], algorithm=algorithm, key=key))) == (401, "invalid_token")

    def test_nor_what_the_key_of_sessions_signed(self, pair, refresh):
        token = forged(pair["refresh"], algorithm="HS256", key=settings.SECRET_KEY.ljust(32))
        assert refusal(refresh(token)) == (401, "invalid_token")

    @pytest.mark.parametrize(
        ("body", "param"), [({}, "refresh"), ({"refresh": 1}, "refresh"), ({"token": ""}, "token")]
    )
    def test_fields_are_held_to_their_names_and_types(self, api, body, param):
        answer = api.post("refresh", body)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


class TestTheUser:
    """A changed password, a user who is switched off or gone: no token works any more."""

    @pytest.mark.parametrize("change", [change_password, switch_off, lambda ann: ann.delete()])
    def test_ends_tokens(self, api, ann, pair, refresh, change):
        change(ann)
        answers = [api.status(pair["access"]), refresh(pair["refresh"]), api.post("verify", token=pair["access"])]
        assert {refusal(answer) for answer in answers} == {(401, "invalid_token")}


class TestLogout:
    def test_the_refresh_token_and_its_family_end(self, api, pair, refresh):
        fresh = refresh(pair["refresh"]).json()
        answer = api.post("logout", refresh=fresh["refresh"])
        assert (answer.status_code, answer.json()) == (200, {"signed_out": True})
        assert answer.headers["Cache-Control"] == "no-store"
        assert refusal(refresh(fresh["refresh"])) == (401, "token_reused")
        assert not AuditEntry.objects.filter(action="login.token_reused").exists()

    def test_twice_is_no_mistake(self, api, pair):
        assert {api.post("logout", refresh=pair["refresh"]).status_code for _ in range(2)} == {200}

    @pytest.mark.parametrize("token", ["x", "a.b.c"])
    def test_what_is_no_token_is_401(self, api, token):
        assert refusal(api.post("logout", refresh=token)) == (401, "invalid_token")

    def test_an_access_token_signs_nobody_out(self, api, pair, refresh):
        assert refusal(api.post("logout", refresh=pair["access"])) == (401, "invalid_token")
        assert refresh(pair["refresh"]).status_code == 200


class TestVerify:
    @pytest.mark.parametrize(("kind", "seconds"), [("access", 900), ("refresh", 86400)])
    def test_a_token_that_works_is_valid_until_it_says(self, api, pair, kind, seconds):
        answer = api.post("verify", token=pair[kind])
        told = answer.json()
        until = timezone.datetime.fromisoformat(told.pop("expires_at")) - timezone.now()
        assert (answer.status_code, told) == (200, {"valid": True, "kind": kind})
        assert seconds - 60 < until.total_seconds() <= seconds
        assert answer.headers["Cache-Control"] == "no-store"

    def test_looking_uses_nothing_up(self, api, pair, refresh):
        api.post("verify", token=pair["refresh"])
        assert refresh(pair["refresh"]).status_code == 200

    def test_one_that_was_used_or_signed_out_is_not(self, api, pair, refresh):
        fresh = refresh(pair["refresh"]).json()
        api.post("logout", refresh=fresh["refresh"])
        for token in (pair["refresh"], fresh["refresh"]):
            assert refusal(api.post("verify", token=token)) == (401, "token_reused")

    def test_one_that_has_expired_is_not(self, api, ann):
        assert refusal(api.post("verify", token=expired(AccessToken, ann))) == (401, "token_expired")

    def test_an_api_key_is_none(self, api, ours):
        assert refusal(api.post("verify", token=ours.secret)) == (401, "invalid_token")

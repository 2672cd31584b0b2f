"""Every failure as OpenAI's error object, with the status its kind asks for."""

import json
import logging
from dataclasses import replace
from types import SimpleNamespace

import msgspec
import pytest
from django.db import DataError, IntegrityError, InterfaceError, OperationalError, ProgrammingError, connection
from django.http import Http404
from django.test import RequestFactory
from rest_framework import exceptions

from analytics import ids
from analytics.limits import LimitReached, Quota, Whose
from analytics.types import Window
from gateway.api import errors
from gateway.api.bodies import BadBody
from providers.types import FailureKind, ProviderError
from routing import snapshot
from routing.attempts import AttemptsError
from routing.chat import MoneyUnknown, NobodyAnswered, NothingToTry, NotRecordable, OverBudget
from routing.decision import UnknownModel
from routing.need import UnknownLayer
from routing.snapshot import NotLoaded, Stale
from routing.trails import Step
from routing.types import Dropped, DropReason, Plan
from tests.unit.gateway.test_over_limit import reached
from tests.unit.routing.test_decision import make
from tests.unit.routing.test_plan import ANYONE, candidate
from tests.unit.routing.use_case import budget

STEP = Step("acme", "m", "L0", "server_error", 503, "busy", 0.0, 5.0)


def handled(error, *, caller=ANYONE, **context):
    """Status, error object and headers of the answer."""
    response = errors.handle(error, {"request": SimpleNamespace(auth=caller), **context})
    assert response["Content-Type"] == "application/json"
    body = json.loads(response.content)
    assert set(body) == {"error"}
    assert {"message", "type", "param", "code"} <= set(body["error"])
    return response.status_code, body["error"], response.headers


def nothing_to_try(*reasons):
    dropped = tuple(Dropped(candidate(f"m{number}"), reason, "why") for number, reason in enumerate(reasons))
    return NothingToTry(msgspec.structs.replace(make(), plan=Plan((), dropped, "L0", "asked")))


def nobody_answered(error, *, is_deadline=False, trail=(STEP,)):
    wait_s = error.retry_after_s if error else None
    failure = AttemptsError(error, candidate=candidate(), is_deadline=is_deadline, retry_after_s=wait_s)
    return NobodyAnswered(make(), trail=trail, failure=failure)


class TestOurOwn:
    @pytest.mark.parametrize(
        ("error", "status", "kind", "code", "param"),
        [
            (BadBody("messages is empty.", param="messages"), 400, "invalid_request_error", None, "messages"),
            (BadBody("no JSON"), 400, "invalid_request_error", None, None),
            (UnknownLayer("L9", layers=["L0"]), 400, "invalid_request_error", "unknown_layer", "model"),
            (UnknownModel("gpt", near=[]), 404, "invalid_request_error", "model_not_found", "model"),
            (Stale("too long"), 503, "api_error", "snapshot_stale", None),
            (NotLoaded("not yet"), 503, "api_error", "starting", None),
            (NotRecordable(make()), 503, "api_error", "spool_not_writable", None),
            (Http404(), 404, "invalid_request_error", "not_found", None),
            (
                exceptions.AuthenticationFailed("no", code="api_key_expired"),
                401,
                "authentication_error",
                "api_key_expired",
                None,
            ),
            (exceptions.NotAuthenticated("no"), 401, "authentication_error", "not_authenticated", None),
            (exceptions.PermissionDenied("no"), 403, "permission_error", "permission_denied", None),
            (exceptions.MethodNotAllowed("GET"), 405, "invalid_request_error", "method_not_allowed", None),
            (exceptions.UnsupportedMediaType("x"), 415, "invalid_request_error", "unsupported_media_type", None),
            (exceptions.Throttled(), 429, "rate_limit_error", "throttled", None),
            (exceptions.ValidationError({"name": ["bad"]}), 400, "invalid_request_error", None, None),
        ],
        ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
    )
    def test_each_has_its_status_type_and_code(self, error, status, kind, code, param):
        found, body, _ = handled(error)
        assert (found, body["type"], body["code"], body["param"]) == (status, kind, code, param)
        assert body["message"]

    def test_anything_else_is_500_says_nothing_and_is_logged(self, caplog):
        with caplog.at_level(logging.ERROR, logger="gateway.api.errors"):
            status, body, _ = handled(ZeroDivisionError("secret detail"))
        assert (status, body["code"], "secret" in body["message"]) == (500, "internal_error", False)
        assert "secret detail" in caplog.text

    @pytest.mark.parametrize(("error", "wait"), [(Stale("x"), "5"), (NotLoaded("x"), "1")])
    def test_what_passes_says_when_to_come_back(self, error, wait):
        assert handled(error)[2]["Retry-After"] == wait

    def test_a_challenge_goes_with_a_401(self):
        error = exceptions.NotAuthenticated()
        error.auth_header = 'Bearer realm="gateway"'
        assert handled(error)[2]["WWW-Authenticate"] == 'Bearer realm="gateway"'


class TestNothingToTry:
    @pytest.mark.parametrize(
        ("reasons", "status", "code"),
        [
            ([DropReason.LAYER_NOT_ALLOWED], 403, "model_not_allowed"),
            ([DropReason.MODEL_NOT_ALLOWED], 403, "model_not_allowed"),
            ([DropReason.LAYER_NOT_ALLOWED, DropReason.MODEL_NOT_ALLOWED], 403, "model_not_allowed"),
            ([DropReason.BELOW_ENTRY, DropReason.MODEL_NOT_ALLOWED], 403, "model_not_allowed"),
            ([DropReason.CONTEXT_TOO_SMALL], 400, "context_length_exceeded"),
            ([DropReason.OUTPUT_TOO_SMALL], 400, "context_length_exceeded"),
            ([DropReason.CONTEXT_TOO_SMALL, DropReason.OUTPUT_TOO_SMALL], 400, "context_length_exceeded"),
            ([DropReason.CONTEXT_TOO_SMALL, DropReason.MODEL_NOT_ALLOWED], 400, "context_length_exceeded"),
            ([DropReason.TOO_DEAR], 402, "max_cost_exceeded"),
            ([DropReason.TOO_DEAR, DropReason.BELOW_ENTRY, DropReason.OUTSIDE_FENCE], 402, "max_cost_exceeded"),
            ([DropReason.TOO_DEAR, DropReason.LAYER_NOT_ALLOWED], 402, "max_cost_exceeded"),
            ([DropReason.TOO_DEAR, DropReason.NO_CREDENTIAL], 402, "max_cost_exceeded"),
            ([DropReason.OUTPUT_TOO_SMALL, DropReason.NO_CREDENTIAL], 400, "context_length_exceeded"),
            ([DropReason.CONTEXT_TOO_SMALL, DropReason.TOO_DEAR], 400, "context_length_exceeded"),
            ([DropReason.MISSING_CAPABILITY], 400, "unsupported"),
            ([DropReason.MISSING_CAPABILITY, DropReason.NO_CREDENTIAL], 400, "unsupported"),
            ([DropReason.PRICE_UNKNOWN], 503, "no_model_available"),
            ([DropReason.NO_CREDENTIAL], 503, "no_model_available"),
            ([DropReason.BELOW_ENTRY], 503, "no_model_available"),
            ([], 503, "no_model_available"),
        ],
        ids=lambda value: "+".join(value) if isinstance(value, list) else None,
    )
    def test_the_reasons_decide_the_status(self, reasons, status, code):
        found, body, _ = handled(nothing_to_try(*reasons))
        assert (found, body["code"]) == (status, code)

    def test_the_message_counts_the_reasons_that_matter(self):
        error = nothing_to_try(
            DropReason.NO_CREDENTIAL, DropReason.NO_CREDENTIAL, DropReason.BELOW_ENTRY, DropReason.PRICE_UNKNOWN
        )
        message = handled(error)[1]["message"]
        assert "no credential for the provider (2, why)" in message
        assert "price unknown (1, why)" in message
        assert "below" not in message
        assert "`manage.py providers`" in message

    def test_what_only_the_operator_can_mend_is_not_told_to_who_can_mend_the_request(self):
        message = handled(nothing_to_try(DropReason.NO_CREDENTIAL, DropReason.OUTPUT_TOO_SMALL))[1]["message"]
        assert message == "No model is large enough: cannot write that many tokens (1, why)."

    def test_every_dropped_model_is_told(self):
        error = nothing_to_try(DropReason.NO_CREDENTIAL, DropReason.BELOW_ENTRY)
        told = handled(error)[1]["gateway"]
        assert told["request_id"] == str(error.decision.request_id)
        assert told["dropped"] == [
            {"model": "acme/m0", "layer": "L0", "reason": "no credential for the provider", "detail": "why"},
            {"model": "acme/m1", "layer": "L0", "reason": "below the entry layer", "detail": "why"},
        ]

    @pytest.mark.parametrize("reason", [DropReason.MODEL_NOT_ALLOWED, DropReason.LAYER_NOT_ALLOWED])
    @pytest.mark.parametrize("caller", [ANYONE, None])
    def test_models_dropped_because_the_key_may_not_use_them_are_counted_not_named(self, reason, caller):
        _, body, _ = handled(nothing_to_try(DropReason.NO_CREDENTIAL, reason, reason), caller=caller)
        assert [entry["model"] for entry in body["gateway"]["dropped"]] == ["acme/m0"]
        assert body["gateway"]["dropped_not_allowed"] == 2
        assert "m1" not in str(body)

    def test_so_are_those_dropped_before_anyone_asked_whether_the_key_may_use_them(self):
        error = nothing_to_try(DropReason.BELOW_ENTRY, DropReason.OUTSIDE_FENCE, DropReason.TOO_DEAR)
        _, body, _ = handled(error, caller=replace(ANYONE, allowed_models=("m2",)))
        assert [entry["model"] for entry in body["gateway"]["dropped"]] == ["acme/m2"]
        assert body["gateway"]["dropped_not_allowed"] == 2

    def test_the_decision_itself_keeps_them(self):
        error = nothing_to_try(DropReason.MODEL_NOT_ALLOWED)
        handled(error)
        assert len(error.decision.plan.dropped) == 1

    def test_the_ceilings_header_is_named(self):
        assert handled(nothing_to_try(DropReason.TOO_DEAR))[1]["param"] == "X-Gateway-Max-Cost"


class TestNobodyAnswered:
    @pytest.mark.parametrize(
        ("kind", "upstream", "status", "code"),
        [
            (FailureKind.UNREACHABLE, None, 502, "provider_unreachable"),
            (FailureKind.SERVER_ERROR, 503, 502, "provider_server_error"),
            (FailureKind.BAD_ANSWER, 200, 502, "provider_bad_answer"),
            (FailureKind.BROKEN_STREAM, None, 502, "provider_broken_stream"),
            (FailureKind.TIMEOUT, None, 504, "provider_timeout"),
            (FailureKind.RATE_LIMITED, 429, 429, "provider_rate_limited"),
            (FailureKind.CREDENTIALS, 401, 502, "provider_credentials"),
            (FailureKind.NOT_FOUND, 404, 502, "provider_credentials"),
            (FailureKind.CONTEXT_TOO_LONG, 400, 400, "context_length_exceeded"),
            (FailureKind.REJECTED, 400, 400, None),
            (FailureKind.REJECTED, 413, 413, None),
            (FailureKind.REJECTED, 422, 422, None),
        ],
    )
    def test_the_last_failure_decides_the_status(self, kind, upstream, status, code):
        found, body, _ = handled(nobody_answered(ProviderError(kind, "the reason", status=upstream)))
        assert (found, body["code"]) == (status, code)
        assert ("the reason" in body["message"]) is (kind is not FailureKind.CREDENTIALS)

    def test_what_a_provider_says_of_our_credential_is_told_to_nobody_who_calls(self):
        error = ProviderError(FailureKind.CREDENTIALS, "no key sk-...abcd of org-acme", status=401)
        refused = msgspec.structs.replace(STEP, outcome="credentials", message=error.message)
        told = handled(nobody_answered(error, trail=(refused, STEP)))[1]
        assert "abcd" not in str(told)
        assert [step["message"] for step in told["gateway"]["trail"]] == ["", STEP.message]

    def test_nor_in_the_event_that_ends_a_stream(self):
        refused = msgspec.structs.replace(STEP, outcome="credentials", message="no key sk-...abcd of org-acme")
        told = errors.event(
            ProviderError(FailureKind.BROKEN_STREAM, "it broke"), request_id=ids.new(), trail=(refused,)
        )
        assert b"abcd" not in told
        assert b'"credentials"' in told

    def test_a_vendors_sentence_keeps_its_one_full_stop(self):
        _, body, _ = handled(nobody_answered(ProviderError(FailureKind.SERVER_ERROR, "No API.", status=503)))
        assert body["message"] == "The provider failed: No API."

    def test_a_credential_the_provider_refused_is_never_our_callers_401(self):
        for status in (401, 402, 403):
            error = ProviderError(FailureKind.CREDENTIALS, "no", status=status)
            assert handled(nobody_answered(error))[0] == 502

    @pytest.mark.parametrize("error", [None, ProviderError(FailureKind.SERVER_ERROR, "busy", status=503)])
    def test_a_deadline_is_504_whatever_failed_last(self, error):
        status, body, _ = handled(nobody_answered(error, is_deadline=True))
        assert (status, body["code"]) == (504, "deadline_exceeded")

    def test_the_trail_is_shown(self):
        failed = nobody_answered(ProviderError(FailureKind.SERVER_ERROR, "busy", status=503))
        _, body, headers = handled(failed)
        assert body["gateway"]["trail"] == [msgspec.to_builtins(STEP)]
        assert headers["X-Gateway-Attempts"] == "1"
        assert headers["X-Gateway-Request-Id"] == body["gateway"]["request_id"] == str(failed.decision.request_id)

    @pytest.mark.parametrize(("asked", "told"), [(2.0, "2"), (0.2, "1"), (2.1, "3"), (0.0, "1"), (None, "1")])
    def test_a_rate_limit_says_how_long_to_wait(self, asked, told):
        error = ProviderError(FailureKind.RATE_LIMITED, "slow down", status=429, retry_after_s=asked)
        assert handled(nobody_answered(error))[2]["Retry-After"] == told

    @pytest.mark.parametrize(
        ("error", "trail", "attempts"),
        [
            (nothing_to_try(DropReason.TOO_DEAR), (), "0"),
            (NotRecordable(make()), (), "0"),
            (NotRecordable(make()), (STEP, STEP), "2"),
            (MoneyUnknown(make()), (STEP,), "1"),
        ],
    )
    def test_every_way_to_end_says_how_many_attempts_there_were(self, error, trail, attempts):
        error.trail = trail
        _, body, headers = handled(error)
        assert headers["X-Gateway-Attempts"] == attempts
        assert body.get("gateway", {}).get("trail", []) == [msgspec.to_builtins(step) for step in trail]

    def test_what_the_caller_has_to_mend_is_told_in_the_vendors_words(self):
        vendor = {"message": "Bad temperature.", "type": "x_error", "param": "temperature", "code": "bad", "extra": [1]}
        _, body, _ = handled(nobody_answered(ProviderError(FailureKind.REJECTED, "Bad.", status=400, body=vendor)))
        assert {name: body[name] for name in vendor} == vendor
        assert body["gateway"]["trail"]

    def test_a_vendors_words_about_our_credential_are_not_passed_on_as_an_object(self):
        vendor = {"message": "key sk-x", "organization": "ours"}
        _, body, _ = handled(nobody_answered(ProviderError(FailureKind.CREDENTIALS, "no", status=401, body=vendor)))
        assert "organization" not in body


class TestHandlersOfAddresses:
    @pytest.mark.parametrize("path", ["/v1/nothing", "/health/nothing"])
    def test_below_the_api_it_is_json(self, path):
        response = errors.not_found(RequestFactory().get(path), Http404())
        assert (response.status_code, json.loads(response.content)["error"]["code"]) == (404, "not_found")
        response = errors.server_error(RequestFactory().get(path))
        assert (response.status_code, json.loads(response.content)["error"]["code"]) == (500, "internal_error")

    def test_elsewhere_it_is_a_page(self):
        assert errors.not_found(RequestFactory().get("/x"), Http404())["Content-Type"].startswith("text/html")
        assert errors.server_error(RequestFactory().get("/x"))["Content-Type"].startswith("text/html")


class TestMoneyAndLimits:
    def test_a_reached_limit_is_429_with_quotas(self):
        quotas = (Quota("requests", 60, 0, 6200),)
        error = LimitReached(Whose("key", "requests"), limit=60, cost=1, retry_s=6.2, quotas=quotas)
        status, body, headers = handled(error, view=SimpleNamespace(request_id="one"))
        assert (status, body["type"], body["code"]) == (429, "rate_limit_error", "rate_limit_exceeded")
        assert body["gateway"] == {"request_id": "one", "scope": "key", "kind": "requests_per_minute", "limit": 60}
        assert (headers["Retry-After"], headers["X-RateLimit-Limit-Requests"]) == ("7", "60")

    def test_a_reached_budget_is_402_with_the_request_and_the_budget(self):
        found = reached(budget("20", window=Window.DAY), spent="20")
        made = make()
        status, body, headers = handled(OverBudget(made, reached=found))
        assert (status, body["type"], body["code"]) == (402, "insufficient_quota", "budget_spent")
        assert body["gateway"]["request_id"] == headers["X-Gateway-Request-Id"] == str(made.request_id)
        assert (body["gateway"]["budget"], body["gateway"]["limit_usd"]) == (1, "20")
        assert int(headers["Retry-After"]) >= 1

    def test_money_that_nobody_knows_is_503(self):
        status, body, headers = handled(MoneyUnknown(make()))
        assert (status, body["type"], body["code"]) == (503, "api_error", "budget_unavailable")
        assert headers["Retry-After"] == "1"


class TestDatabase:
    @pytest.mark.parametrize(
        "error", [OperationalError("no such table: x"), ProgrammingError("x does not exist"), InterfaceError("closed")]
    )
    def test_one_that_is_gone_is_503_and_says_when_to_come_back(self, error, caplog):
        status, said, headers = handled(error)
        assert (status, said["code"], headers["Retry-After"]) == (503, "database_unavailable", "5")
        assert "database" in said["message"]
        assert str(error) not in said["message"]
        assert str(error) in caplog.text

    @pytest.mark.parametrize("error", [IntegrityError("unique"), DataError("out of range")])
    def test_one_that_refuses_a_row_is_our_own_fault(self, error):
        assert handled(error)[0] == 500

    @pytest.mark.django_db
    @pytest.mark.parametrize(("method", "path"), [("get", "keys"), ("get", "projects/default"), ("post", "budgets")])
    def test_the_management_api_says_so(self, us, method, path):
        def gone(*_):
            raise OperationalError("unable to open database file")

        snapshot.load()
        sent = {} if method == "get" else {"data": {"project": "default"}, "content_type": "application/json"}
        with connection.execute_wrapper(gone):
            answer = getattr(us.client, method)(f"/v1/admin/{path}", headers=us.headers, **sent)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "database_unavailable")

"""`GET /v1/openapi.json` and `/docs`: every operation there is, no other, for anybody."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.views import APIView

from gateway.api.schema import document

DOCUMENT = "/v1/openapi.json"
NOT_DESCRIBED = {"HEAD", "OPTIONS"}


def addresses(found: Any, *, start: str = "/") -> Iterator[tuple[str, URLPattern]]:
    for one in found:
        if isinstance(one, URLResolver):
            yield from addresses(one.url_patterns, start=f"{start}{one.pattern}")
        else:
            yield f"{start}{one.pattern}", one


def there_are() -> set[tuple[str, str]]:
    """Method and address, out of the table that the server goes by."""
    found = set()
    for route, pattern in addresses(get_resolver().url_patterns):
        if route.startswith(("/v1/", "/health")):
            view: type[APIView] = pattern.callback.cls  # type: ignore[attr-defined]  # DRF's `as_view` sets it
            actions = getattr(pattern.callback, "actions", {})  # of a view set, whose methods stand in that table
            methods = {name.upper() for name in view.http_method_names if hasattr(view, name) or name in actions}
            path = re.sub(r"<\w+:(\w+)>", r"{\1}", route)
            found |= {(method, path) for method in methods - NOT_DESCRIBED}
    return found


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(document.as_json())
    return found


def operations(told: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for methods in told["paths"].values() for operation in methods.values()]


def test_every_operation_is_described_and_no_other(told):
    described = {(method.upper(), path) for path, methods in told["paths"].items() for method in methods}
    assert described == there_are()


def test_it_is_valid_and_nothing_is_left_open(tmp_path, capsys):
    """What CONTRIBUTING.md tells to run: a warning is an error."""
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "openapi.yaml"))
    assert (tmp_path / "openapi.yaml").read_text().startswith("openapi: 3.1.0")


def test_an_operation_without_a_description_is_a_warning(monkeypatch, capsys):
    """And so is a description of what is not there."""
    known = {**document._described()}
    known["GET", "/v1/nothing"] = known.pop(("/v1/models", "GET"))
    monkeypatch.setattr(document, "_described", lambda: known)
    document.SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    said = capsys.readouterr().err
    assert "GET /v1/models has no description: give it one in gateway/api/schema/" in said
    assert "is described and has no address" in said


def test_every_operation_says_what_it_does_and_how_it_refuses(told):
    for operation in operations(told):
        assert operation["summary"] and operation["tags"] and operation["responses"], operation["operationId"]
        refusals = {status for status in operation["responses"] if not status.startswith("2")}
        assert "500" in refusals, operation["operationId"]
        assert ("401" in refusals) or operation["security"] == [], operation["operationId"]


def test_no_two_operations_have_one_name(told):
    names = [operation["operationId"] for operation in operations(told)]
    assert len(names) == len(set(names))


def test_each_reference_leads_somewhere(told):
    for kind, name in re.findall(r'"#/components/(\w+)/([\w.]+)"', json.dumps(told)):
        assert name in told["components"][kind]


def test_unknown_fields_are_refused_where_the_description_says_so(told):
    """Of all bodies but those that go on to a provider."""
    bodies = {
        operation["operationId"]: operation["requestBody"]["content"]["application/json"]["schema"]
        for operation in operations(told)
        if "requestBody" in operation
    }
    is_open = {name for name, body in bodies.items() if body.get("additionalProperties") is not False}
    assert is_open == {"post_v1_chat_completions", "post_v1_route"}


@pytest.mark.django_db
@pytest.mark.parametrize("accept", ["*/*", "text/html", "application/yaml"])
def test_anybody_may_have_it_and_it_tells_nothing_of_what_is_configured(accept, django_assert_num_queries):
    document.as_json.cache_clear()
    with django_assert_num_queries(0):
        answer = Client().get(DOCUMENT, headers={"Accept": accept})
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    assert answer.json()["openapi"] == "3.1.0"


def test_it_is_only_read():
    answer = Client().post(DOCUMENT)
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")


class TestPage:
    def test_it_loads_nothing_from_elsewhere_and_holds_no_script_of_its_own(self):
        answer = Client().get("/docs")
        assert answer.status_code == 200
        page = answer.content.decode()
        loaded = re.findall(r'(?:src|href)="([^"]*)"', page)
        assert [address for address in loaded if not address.startswith("/")] == []
        assert re.findall(r"<script[^>]*>(.*?)</script>", page) == ["", "", ""]
        assert "<style" not in page and "style=" not in page
        assert "unsafe" not in answer["Content-Security-Policy"]

    def test_without_scripts_it_lists_every_operation(self):
        page = Client().get("/docs").content.decode()
        listed = set(re.findall(r"<code>(\w+) ([^<]+)</code>", page))
        assert listed == there_are()

"""Holds a live gateway to its own description: Schemathesis sends what it allows and what it does not.

Owns what is made for that beforehand, so that generated requests find something, and how Schemathesis is started. What
stands in a path or names a row is drawn from what was made, and a name that nothing has: `KNOWN` and `NAMED`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from tests.process.gateway_process import Gateway

SEED = 7
FUZZING, ALL_PHASES = "fuzzing", "examples,coverage,fuzzing"
"""Drawn requests; and before them each limit of each value, one at a time."""
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
NOT_THERE = "Schemathesis is not installed: uv sync --group compliance"
WITHIN_S = 1700.0
PASSWORD = "correct-horse-battery"
MAKE_ROOT = f"""
from django.contrib.auth.models import User
User.objects.create_superuser("root", password="{PASSWORD}")
User.objects.create_user("helen")
"""
SOON, LATER = (f"{datetime.now(UTC).year + years}-01-01T00:00:00Z" for years in (1, 2))
OF_PROVIDERS = [f"/v1/{part}providers{rest}" for part in ("admin/", "") for rest in ("", "/{slug}")]
MODELS = ["spare/one", "spare/nothing"]
LAYERS = ["L8", "nowhere"]
LAYERS_THERE_ARE = ["L0", "L1", "L2", "L3", "L8", "L9"]
PROJECTS = ["limited", "nowhere"]
PROVIDERS = ["spare", "nobody"]
ASKED = ["auto", "auto:L3", "free", "cheap", "upstream/premium", "flaky?status=503", "limited?status=429;retry_after=7"]
MESSAGES = [
    [{"role": "user", "content": content}]
    for content in ("Hello", "#!chunks=3\nHello", "#!status=400\nHello", "#!status=422\nHello", "#!error_mid\nHello")
]
Values = Mapping[str, Sequence[Any]]
KNOWN: Mapping[str, Values] = {
    "/v1/admin/keys": {"key_id": [3, 4, 999]},
    "/v1/admin/budgets": {"budget_id": [1, 999]},
    "/v1/admin/audit": {"entry_id": [1, 2, 999_999]},
    "/v1/admin/projects": {"slug": PROJECTS, "user": ["root", "helen", "nobody"]},
    "/v1/admin/providers": {"slug": PROVIDERS},
    "/v1/providers": {"slug": PROVIDERS},
    "/v1/admin/models": {"name": MODELS},
    "/v1/models": {"name": ["cheap", *MODELS]},
    "/v1/admin/prices": {"price_id": [1, 2, 999]},
    "/v1/admin/layers": {"name": LAYERS, "model": [*MODELS, "spare/five"]},
    "/v1/layers": {"name": LAYERS},
}
"""Values of the path's parameters, by how the address begins."""
TO_DELETE: Mapping[str, Values] = {
    "/v1/admin/keys": {"key_id": [7, 8, 9]},
    "/v1/admin/budgets": {"budget_id": [2, 3, 999]},
    "/v1/admin/projects/{slug}/members": {"slug": PROJECTS, "user": ["helen", "nobody"]},
    "/v1/admin/projects": {"slug": ["unused", *PROJECTS]},
    "/v1/admin/providers/{slug}/credential": {"slug": ["spare", "nobody"]},
    "/v1/admin/providers": {"slug": ["unused", "nobody"]},
    "/v1/providers": {"slug": ["unwanted", "nobody"]},
    "/v1/admin/models": {"name": ["spare/two", "spare/three"]},
    "/v1/models": {"name": ["spare/four", "spare/nothing"]},
    "/v1/admin/layers/{name}/candidates": {"name": LAYERS, "model": ["spare/two", "spare/three"]},
    "/v1/admin/layers": {"name": ["L9", "L1", "nowhere"]},
}
"""Where they are deleted: what no other operation needs, and what cannot go."""
NAMED: Values = {
    "project": PROJECTS,
    "provider": PROVIDERS,
    "layer": LAYERS,
    "default_layer": ["L1", "nowhere"],
    "owner": ["root", "nobody", None],
    "api_key": [3, 999],
    "budget": [1, 999],
    "model": MODELS,
    "models": [["spare/one", "spare/two"], ["spare/one"]],
    "name": ["fresh", "fresher", "freshest", "as-good-as-new"],
    "slug": ["fresh", "fresher", "freshest", "as-good-as-new"],
    "title": ["", "Fresh"],
    "time_zone": ["UTC", "Europe/Berlin", "Nowhere/Land"],
    "env_var": ["SPARE_KEY", ""],
    "username": ["root", "nobody"],
    "password": [PASSWORD, "wrong"],
    "expires_at": [LATER, "2001-01-01T00:00:00Z", None],
    "starts_at": [SOON, None],
    "ends_at": [LATER, None],
    "valid_from": [LATER, "2001-01-01T00:00:00Z", None],
    "allowed_models": [[], ["gpt-*"]],
    "allowed_layers": [[], ["L0"]],
    "allowed_endpoints": [[], ["/v1/chat/*"]],
    "allowed_networks": [[], ["192.0.2.0/24"], ["nowhere"]],
    "extra_body": [{}, {"top_k": 40}],
    "limit_usd": [5, "0.25", "0"],
}
"""Values of fields and parameters that name a row, or have a form that no description tells in full."""
FREE = {"name", "title", "env_var", "extra_body", "limit_usd", "layer", "models", "layers"} | {
    f"allowed_{what}" for what in ("models", "layers", "endpoints", "networks")
}
"""Those of them that may well have any other value."""
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
]


@dataclass(frozen=True)
class Described:
    """A gateway with something in it, and its description with the names of that."""

    gateway: Gateway
    file: Path
    token: str
    """An access token of a superuser."""

    def hold(
        self, *tags: str, examples: int, phases: str = FUZZING, by_key: bool = False, without: Sequence[str] = ()
    ) -> str:
        """What Schemathesis tells of the operations with these tags; '' when it found nothing wrong."""
        secret = self.gateway.installation.keys["main"] if by_key else self.token
        words = ["run", str(self.file), "--url", self.gateway.url, "--header", f"Authorization: Bearer {secret}"]
        words += [word for tag in tags for word in ("--include-tag", tag)]
        words += ["--checks", ",".join(one for one in CHECKS if one not in without)]
        words += ["--phases", phases, "--max-examples", str(examples)]
        words += ["--seed", str(SEED), "--generation-database", "none", "--no-color", "--warnings", "off"]
        words += ["--generation-with-security-parameters", "false", "--suppress-health-check", "all"]
        words += ["--continue-on-failure", "--no-shrink"]
        done = subprocess.run(
            [str(SCHEMATHESIS), *words],
            cwd=self.file.parent,
            env={name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ},
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
        print(done.stdout)
        return "" if done.returncode == 0 else done.stdout + done.stderr


def prepared(gateway: Gateway, *, folder: Path) -> Described:
    """Makes what requests may then find."""
    gateway.installation.command("shell", "--verbosity", "0", "-c", MAKE_ROOT)
    with httpx.Client(base_url=f"{gateway.url}/v1/", timeout=30, trust_env=False) as client:
        pairs = [client.post("auth/login", json={"username": "root", "password": PASSWORD}).json() for _ in range(5)]
        token, *tokens = (pair["access"] for pair in pairs)
        refresh = [pair["refresh"] for pair in pairs]
        client.headers["Authorization"] = f"Bearer {token}"
        upstream = client.get("admin/providers/upstream").json()["base_url"]
        price_id = _fill(client, upstream=upstream)
        asked = {"json": {"model": "cheap", "messages": MESSAGES[0]}, "headers": gateway.headers()}
        request_id = client.post("chat/completions", **asked).headers["X-Gateway-Request-Id"]
        told = client.get("openapi.json").json()
    requests = {"request_id": [request_id, "nothing"]}
    known = KNOWN | {"/v1/requests": requests, "/v1/traces": requests}
    to_delete = TO_DELETE | {"/v1/admin/prices": {"price_id": [price_id, 1, 999]}}
    own: dict[str, Values] = {
        **{path: {"base_url": [upstream, "nowhere"]} for path in OF_PROVIDERS},  # it is called: nobody else must be
        "/v1/auth/refresh": {"refresh": [*refresh[:3], token, "nothing"]},
        "/v1/auth/logout": {"refresh": [*refresh[3:], token, "nothing"]},
        "/v1/auth/verify": {"token": [*tokens, *refresh, "nothing"]},
        "/v1/admin/layers": {"layers": [[*reversed(LAYERS_THERE_ARE)], LAYERS_THERE_ARE]},
    }
    file = folder / "openapi.json"
    file.write_text(json.dumps(_with_names(told, known=known, to_delete=to_delete, own=own)))
    return Described(gateway, file, token)


def _fill(client: httpx.Client, *, upstream: str) -> int:
    """Returns the id of a price that holds one day, and can be taken back until then."""
    provider = {"base_url": upstream, "is_local": True, "needs_credential": False}
    price = {"model": "spare/one", "unit": "input", "usd": "1.5"}
    made: list[tuple[str, dict[str, Any]]] = [
        *(("providers", {"slug": slug, **provider}) for slug in ("spare", "unused", "unwanted")),
        *(("models", {"provider": "spare", "name": name}) for name in ("one", "two", "three", "four", "five")),
        *(("layers", {"name": name, "from_score": 1}) for name in ("L8", "L9")),
        *((f"layers/L8/candidates/spare/{name}", {}) for name in ("one", "two")),
        *(("budgets", {"api_key": 3, "window": window, "limit_usd": 5}) for window in ("day", "week")),
        ("projects", {"slug": "unused"}),
        ("prices", price),
        ("prices", price | {"valid_from": LATER}),
    ]
    for path, body in made:
        answer = client.post(f"admin/{path}", json=body)
        assert answer.status_code == httpx.codes.CREATED, answer.text
    return int(answer.json()["id"])


def _with_names(
    told: dict[str, Any], *, known: Mapping[str, Values], to_delete: Mapping[str, Values], own: Mapping[str, Values]
) -> dict[str, Any]:
    """`own`: fields that mean something else in a body than elsewhere, by address. That the gateway fails (500) is
    described, and still is nothing that it may do: without it here, it is a status like any that nobody described."""
    for path, operations in told["paths"].items():
        named = {**NAMED, **own.get(path, {})}
        for method, operation in operations.items():
            operation["responses"].pop("500", None)
            in_path = _below(known, path) | (_below(to_delete, path) if method == "delete" else {})
            for one in operation.get("parameters", []):
                one["schema"] = _with_values(one, in_path=in_path, named=named)
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            _name_fields(body, named)
    for name in ("ChatRequest", "RouteRequest"):
        _name_fields(told["components"]["schemas"][name], {"model": ASKED, "messages": MESSAGES, "models": [ASKED[:2]]})
    return told


def _below(values: Mapping[str, Values], path: str) -> dict[str, Sequence[Any]]:
    return dict(next((names for start, names in values.items() if path.startswith(start)), {}))


def _with_values(one: Mapping[str, Any], *, in_path: Values, named: Values) -> dict[str, Any]:
    """Of a parameter: in a query any text may be asked for, and names a row or none."""
    shape: dict[str, Any] = one["schema"]
    if one["in"] == "path" and one["name"] in in_path:
        return {"enum": list(in_path[one["name"]])}
    if one["in"] == "query" and one["name"] in named and shape.get("type") == "string":
        return {"anyOf": [{"enum": list(named[one["name"]])}, shape]}
    return shape


def _name_fields(shape: dict[str, Any], values: Values) -> None:
    fields = shape.get("properties", {})
    for name in fields.keys() & values.keys():
        drawn = {"enum": list(values[name])}
        fields[name] = {"anyOf": [drawn, fields[name]]} if name in FREE else drawn

"""No secret gets into logs, rows, files and answers, and no header from one side of the gateway to the other.

Distinctive secrets are planted in a real installation, everything that may go wrong goes wrong, and then all that was
written anywhere is searched for them.
"""

from __future__ import annotations

import base64
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field

import httpx
import pytest

from tests.process import gateway_process, telling_vendor
from tests.process.gateway_process import ROOT, Gateway, Installation, eventually
from tests.process.telling_vendor import TellingVendor

pytestmark = pytest.mark.process

FROM_ENV = "sk-planted-in-the-environment-1f9a"
STORED = "sk-planted-and-stored-7c2e0b55"
TYPED_IN = "sk-planted-in-the-admin-93d1aa"
PROXY_PASSWORD = "planted-proxy-password-5e81"
PASSWORD = "planted-password-of-the-admin-40"
COMMANDS = (
    ["check"],
    ["providers"],
    ["providers", "--json"],
    ["models"],
    ["keys", "list"],
    ["catalog", "dump"],
    ["route", "Hello"],
    ["chat", "401", "--model", "sealed"],
    ["nonsense"],
)
IN_TURN = f"""
import sys, manage
for words in {COMMANDS!r}:
    sys.argv = ["manage.py", *words]
    print("$", *words)
    try:
        manage.run()
    except SystemExit as ended:
        print(ended)
"""
"""Every command as if by itself; the first takes longest to come up."""
SET_UP = f"""
import django; django.setup()
from django.contrib.auth.models import User
from providers import credentials
from providers.models import Credential, Model, Price, Provider

def add(slug, **fields):
    provider = Provider.objects.create(slug=slug, name=slug, **fields)
    model = Model.objects.create(provider=provider, name=slug)
    for unit in ("input", "output"):
        Price.objects.create(model=model, unit=unit, usd_per_unit=0)
    return provider

stored = Credential(provider=add("sealed", base_url="http://api.vendor.test/v1"))
credentials.set_value(stored, {STORED!r})
stored.save()
for provider in (Provider.objects.get(slug="upstream"), add("gone", base_url="http://127.0.0.1:1/v1", is_local=True)):
    Credential.objects.create(provider=provider, env_var="PLANTED_API_KEY")
User.objects.create_superuser("root", password={PASSWORD!r})
"""


@dataclass
class Told:
    """Everything that came out, by where it was found."""

    gateway: Gateway
    vendor: TellingVendor
    env: dict[str, str]
    answers: dict[str, httpx.Response] = field(default_factory=dict)
    output: dict[str, str] = field(default_factory=dict)

    def everything(self) -> Iterator[tuple[str, str]]:
        for name, answer in self.answers.items():
            yield name, f"{answer.headers.raw!r} {answer.text}"
        yield from self.output.items()
        var_dir = self.gateway.installation.var_dir
        for path in var_dir.rglob("*"):
            if path.is_file() and path.name != "secrets.toml" and ".sqlite3" not in path.name:
                yield str(path.relative_to(var_dir)), path.read_text(errors="replace")
        for path in var_dir.glob("*.sqlite3"):
            with closing(sqlite3.connect(path)) as database:
                yield path.name, "\n".join(database.iterdump())

    def secrets(self) -> Mapping[str, str]:
        installation = self.gateway.installation
        own = tomllib.loads((installation.var_dir / "secrets.toml").read_text())
        keys = {f"key {name}": secret for name, secret in installation.keys.items()}
        basic = base64.b64encode(f"me:{PROXY_PASSWORD}".encode()).decode()
        planted = {"environment": FROM_ENV, "stored": STORED, "typed in": TYPED_IN, "password": PASSWORD}
        return {**own, **keys, **planted, "proxy": PROXY_PASSWORD, "proxy's header": basic}


@pytest.fixture(scope="module")
def told(template: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    with telling_vendor.running() as vendor:
        installation = template.copy(tmp_path_factory.mktemp("secrets") / "var", upstream=vendor.url)
        env = {
            "LOG_LEVEL": "DEBUG",
            "PLANTED_API_KEY": FROM_ENV,
            "HTTP_PROXY": f"http://me:{PROXY_PASSWORD}@127.0.0.1:{vendor.port}",
        }
        _run([sys.executable, "-c", SET_UP], installation, env)
        with gateway_process.start(installation, env=env) as gateway:
            told = Told(gateway, vendor, env)
            _chat(told)
            _edit(told)
            told.output["commands"] = _run([sys.executable, "-c", IN_TURN], installation, env)
            _crash(told)
            yield told


def _run(command: list[str], installation: Installation, env: dict[str, str]) -> str:
    given = installation.env | {"DJANGO_SETTINGS_MODULE": "gateway.settings"} | env
    done = subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def _chat(told: Told) -> None:
    """Well and badly, whole and streamed, with what a browser or a curious client would send along."""
    headers = told.gateway.headers() | {
        "Cookie": "session=of-the-client",
        "X-Forwarded-For": "192.0.2.7",
        "X-Anything": "of-the-client",
        "Proxy-Authorization": "Basic b2YtdGhlLWNsaWVudA==",
    }
    for model in ("cheap", "sealed", "gone"):
        for what in ("ok", "401", "500", "cut"):
            for stream in (False, True):
                body = {"model": model, "messages": [{"role": "user", "content": what}], "stream": stream}
                answer = httpx.post(told.gateway.chat_url, headers=headers, json=body, timeout=30)
                told.answers[f"{model} {what} {'stream' if stream else 'json'}"] = answer
    wrong = {"Authorization": f"Bearer {told.gateway.installation.keys['main']}x"}
    told.answers["a wrong key"] = httpx.post(told.gateway.chat_url, headers=wrong, json={})
    sent = len(told.answers) - 1
    eventually(lambda: len(told.gateway.installation.rows()) >= sent, what="the rows of all requests", within_s=20)


def _edit(told: Told) -> None:
    """As an administrator: looks, types in another credential, and one that the form refuses."""
    with httpx.Client(base_url=told.gateway.url, follow_redirects=True) as browser:

        def post(path: str, **fields: str) -> httpx.Response:
            browser.get(path)
            return browser.post(path, data=fields | {"csrfmiddlewaretoken": browser.cookies["csrftoken"]})

        told.answers["log in"] = post("/admin/login/", username="root", password=PASSWORD, next="/admin/")
        stored = told.gateway.installation.execute(
            "SELECT id, provider_id FROM providers_credential WHERE encrypted_value <> ''"
        )[0]
        page = f"/admin/providers/credential/{stored['id']}/change/"
        fields = {"provider": str(stored["provider_id"]), "name": "default", "enabled": "on", "value": TYPED_IN}
        told.answers["refused"] = post(page, **fields, env_var="PLANTED_API_KEY")
        told.answers["changed"] = post(page, **fields)
        for path in (page, f"{page.removesuffix('change/')}history/", "/admin/analytics/apikey/", "/admin/"):
            told.answers[path] = browser.get(path)


def _crash(told: Told) -> None:
    """A page's view fails with a traceback, as its table is gone."""
    with httpx.Client(base_url=told.gateway.url, follow_redirects=True) as browser:
        browser.get("/admin/login/")
        token = browser.cookies["csrftoken"]
        fields = {"username": "root", "password": PASSWORD, "csrfmiddlewaretoken": token, "next": "/admin/"}
        browser.post("/admin/login/", data=fields)
        told.gateway.installation.execute("ALTER TABLE providers_credential RENAME TO gone_credential")
        told.answers["crash"] = browser.get("/admin/providers/credential/")
        told.gateway.installation.execute("ALTER TABLE gone_credential RENAME TO providers_credential")


class TestNoSecret:
    def test_is_anywhere_to_be_read(self, told: Told) -> None:
        secrets = told.secrets()
        found = [
            (place, name) for place, text in told.everything() for name, secret in secrets.items() if secret in text
        ]
        assert found == []

    def test_is_missed_because_nothing_happened(self, told: Told) -> None:
        """The search above proves something only if all of this took place."""
        statuses = {name: answer.status_code for name, answer in told.answers.items()}
        assert {statuses[f"{model} ok json"] for model in ("cheap", "sealed")} == {200}
        assert {statuses[f"{model} 401 json"] for model in ("cheap", "sealed", "gone")} == {502}
        assert (statuses["log in"], statuses["changed"], statuses["crash"]) == (200, 200, 500)
        assert "was changed successfully" in told.answers["changed"].text
        assert told.gateway.log_lines("Traceback")
        sent = {headers.get("authorization") for _, headers in told.vendor.requests}
        assert sent >= {f"Bearer {FROM_ENV}", f"Bearer {STORED}"}
        assert any("proxy-authorization" in headers for _, headers in told.vendor.requests)
        for words in ("no issues", "sealed", "main", "[[providers]]", "No model answered", "Unknown command"):
            assert words in told.output["commands"]
        assert any("Bad key ..." in text or "Bad key Bearer ..." in text for _, text in told.everything())


class TestHeaders:
    def test_of_a_client_never_reach_a_provider(self, told: Told) -> None:
        direct = [headers for target, headers in told.vendor.requests if target.startswith("/")]
        assert direct
        for headers in direct:
            expected = {"host", "content-length", "content-type", "authorization"}
            assert headers.keys() <= expected | {"accept", "accept-encoding", "user-agent"}
            assert headers["host"] == f"127.0.0.1:{told.vendor.port}"
            assert headers["authorization"] == f"Bearer {FROM_ENV}"

    def test_nor_through_a_proxy(self, told: Told) -> None:
        basic = base64.b64encode(f"me:{PROXY_PASSWORD}".encode()).decode()
        proxied = [headers for target, headers in told.vendor.requests if target.startswith("http://api.vendor.test/")]
        assert {headers["proxy-authorization"] for headers in proxied} == {f"Basic {basic}"}
        assert all(not headers.keys() & {"cookie", "x-forwarded-for", "x-anything"} for headers in proxied)

    def test_of_a_provider_never_reach_a_client(self, told: Told) -> None:
        for what in ("ok json", "ok stream", "401 json", "500 stream", "cut stream"):
            headers = told.answers[f"cheap {what}"].headers
            assert not headers.keys() & {"set-cookie", "x-vendor-key", "access-control-allow-origin"}
            assert "forged" not in headers.get("x-gateway-layer", "")
            assert "BaseHTTP" not in headers.get("server", "")

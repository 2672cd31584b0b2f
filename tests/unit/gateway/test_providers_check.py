"""`manage.py providers check`, against real servers on loopback that are wrong in every known way."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.core.management import call_command

from gateway import mending
from providers import credentials
from providers.models import Credential, Model, Provider
from providers.types import FailureCause, FailureKind, ProviderError
from tests.unit.gateway.list_server import ListServer, Reply, running

pytestmark = pytest.mark.django_db

ENV_VAR = "TEST_CHECKING_API_KEY"
KEY = "sk-test-1234567890abcdef"


@pytest.fixture
def server() -> Iterator[ListServer]:
    with running() as made:
        made.lists("good-1", "good-2")
        yield made


@pytest.fixture(autouse=True)
def no_provider(monkeypatch) -> None:
    monkeypatch.delenv(ENV_VAR, raising=False)
    Provider.objects.all().delete()


@pytest.fixture
def check(capsys):
    """Runs the check; gives its exit status and what it tells of each provider."""

    def check(*words):
        status = 0
        try:
            call_command("providers", "check", *words, "--json")
        except SystemExit as ended:
            status = int(ended.code or 0)
        written = capsys.readouterr()
        return status, {told["slug"]: told for told in json.loads(written.out)} if written.out else written.err

    return check


def local(slug: str, url: str, *models: str, **columns: object) -> Provider:
    columns = {"is_local": True, "needs_credential": False} | columns
    row = Provider.objects.create(slug=slug, name=slug, base_url=url, **columns)
    Model.objects.bulk_create(Model(provider=row, name=name) for name in models)
    return row


def keyed(slug: str, url: str, *models: str, **columns: object) -> Provider:
    """A provider that needs a key, whose variable is named; tests set it or not. Local, for it is on loopback."""
    row = local(slug, url, *models, needs_credential=True, **columns)
    Credential.objects.create(provider=row, env_var=ENV_VAR)
    return row


def only_problem(told: dict) -> tuple[str, str, str]:
    (problem,) = told["problems"]
    return problem["kind"], problem["says"], problem["mend"]


def test_all_is_well(server, check):
    local("acme", server.url, "good-1")
    status, told = check()
    assert status == 0
    assert told["acme"]["well"]
    assert (told["acme"]["models_listed"], told["acme"]["models_enabled"]) == (2, 1)
    assert told["acme"]["latency_ms"] >= 0


def test_a_missing_key_is_told_with_its_variable_and_nobody_is_asked(server, check):
    row = keyed("acme", server.url)
    status, told = check("acme")
    kind, says, mend = only_problem(told["acme"])
    assert (status, kind, says) == (3, "no key", f"{ENV_VAR} is not set")
    assert f"export {ENV_VAR}=..." in mend
    assert f"/admin/providers/{row.slug}/" in mend
    assert server.seen == []


def test_unless_it_is_named_a_provider_without_a_key_is_only_not_used(server, check):
    keyed("acme", server.url)
    status, told = check()
    assert (status, only_problem(told["acme"])[0]) == (0, "no key")


def test_for_people_those_without_a_key_are_told_in_one_line(server, capsys):
    keyed("acme", server.url)
    keyed("other", server.url)
    call_command("providers", "check")
    out = capsys.readouterr().out
    assert "Not used, as they have no key: acme, other. `check SLUG` says how to add it." in out
    assert "export" not in out


def test_without_a_credential_it_says_where_to_enter_one(server, check):
    local("acme", server.url, needs_credential=True)
    kind, says, mend = only_problem(check()[1]["acme"])
    assert (kind, says, mend.partition(",")[0]) == (
        "no key",
        "it needs a key and has none",
        "enter it at /admin/providers/acme/",
    )


def test_a_key_sealed_with_another_secret_is_told(server, check, settings):
    row = local("acme", server.url, needs_credential=True)
    credential = Credential(provider=row)
    credentials.set_value(credential, KEY)
    credential.save()
    settings.CREDENTIAL_KEY = Fernet.generate_key().decode()
    kind, says, mend = only_problem(check()[1]["acme"])
    assert (kind, "/admin/providers/acme/" in mend) == ("key unreadable", True)
    assert "another CREDENTIAL_KEY" in says


def test_a_variable_with_a_line_break_is_mended_where_it_is_set(server, check, monkeypatch):
    keyed("acme", server.url)
    monkeypatch.setenv(ENV_VAR, "sk-one\nsk-two")
    kind, says, mend = only_problem(check()[1]["acme"])
    assert (kind, "line break" in says) == ("key unreadable", True)
    assert (f"`export {ENV_VAR}=...` (or .env)" in mend, "/admin/" in mend) == (True, False)
    assert server.seen == []


@pytest.mark.parametrize(("status", "kind"), [(401, "key refused"), (403, "key refused"), (402, "key refused")])
def test_a_refused_key_is_told_and_never_shown(server, check, monkeypatch, status, kind):
    server.says("/v1/models", {"error": {"message": f"Incorrect API key: {KEY}"}}, status=status)
    keyed("acme", server.url)
    monkeypatch.setenv(ENV_VAR, KEY)
    found, says, mend = only_problem(check()[1]["acme"])
    assert (found, f"HTTP {status}" in says, f"export {ENV_VAR}=..." in mend) == (kind, True, True)
    assert KEY not in says
    assert server.seen[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_key_that_cannot_be_sent_is_told(server, check, monkeypatch):
    keyed("acme", server.url)
    monkeypatch.setenv(ENV_VAR, "sk-тест")
    assert only_problem(check()[1]["acme"])[0] == "key refused"


def test_openrouter_which_lists_to_anyone_is_asked_about_the_key(server, check, monkeypatch):
    server.says("/v1/key", {"error": {"message": "No cookie auth"}}, status=401)
    keyed("openrouter", server.url)
    monkeypatch.setenv(ENV_VAR, KEY)
    assert only_problem(check()[1]["openrouter"])[0] == "key refused"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(b"nothing here", 404, "text/plain"), "wrong address"),
        (Reply(b"", 301, location="https://example.org/v1/models"), "wrong address"),
        (Reply(b"<html>Welcome</html>", 200, "text/html"), "no list of models"),
        (Reply(b'{"status": "ok"}'), "no list of models"),
        (Reply(b"{" * 5_000_000), "no list of models"),
        (Reply(b'{"error": {"message": "overloaded"}}', 503), "trouble at the provider"),
        (Reply(b'{"error": {"message": "slow down"}}', 429), "limited"),
    ],
)
def test_what_a_wrong_answer_means(server, check, reply, kind):
    server.replies["/v1/models"] = reply
    row = local("acme", server.url)
    status, told = check()
    found, says, mend = only_problem(told["acme"])
    assert (status, found) == (3, kind)
    assert len(says) < 300
    if kind in ("wrong address", "no list of models"):
        assert f"/admin/providers/{row.slug}/" in mend
        assert f"{server.url}/models" in says


def test_a_wrong_model_is_named_with_those_that_are_close(server, check):
    row = local("acme", server.url, "good-3", "good-1")
    kind, says, mend = only_problem(check()[1]["acme"])
    assert (kind, says) == ("wrong model", "good-3 is not in its list; close to it: good-2, good-1")
    assert f"/admin/providers/model/?provider__id__exact={row.pk}" in mend


def test_of_many_wrong_models_some_are_named_and_the_rest_counted(server, check):
    local("acme", server.url, *(f"bad-{number}" for number in range(8)))
    problems = check()[1]["acme"]["problems"]
    assert [problem["says"].split()[0] for problem in problems[:5]] == [f"bad-{number}" for number in range(5)]
    assert problems[5]["says"] == "3 more of ours are not in its list"


def test_a_model_that_is_switched_off_may_be_missing(server, check):
    row = local("acme", server.url)
    Model.objects.create(provider=row, name="old", enabled=False)
    assert check()[0] == 0


def test_nobody_at_the_port_is_told_with_how_to_start_it(check):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    local("ollama", f"http://127.0.0.1:{port}/v1")
    kind, says, mend = only_problem(check()[1]["ollama"])
    assert (kind, "cannot connect" in says, mend.startswith("Start it (`ollama serve`)")) == ("unreachable", True, True)


def test_a_host_without_an_address_is_told(check):
    local("acme", "http://no-such-host.invalid/v1")
    assert only_problem(check()[1]["acme"])[0] == "unreachable"


def test_an_address_that_cannot_be_one_is_told_before_anything_is_sent(check):
    row = local("acme", "http://127.0.0.1:1/v1?key=1")
    kind, _, mend = only_problem(check()[1]["acme"])
    assert (kind, f"/admin/providers/{row.slug}/" in mend) == ("wrong address", True)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_private_address_of_a_provider_that_is_not_local_is_told_before_anything_is_sent(check, host):
    row = local("acme", f"http://{host}:1/v1", is_local=False)
    assert only_problem(check()[1]["acme"]) == (
        "wrong address",
        "its address is private, and it is not marked as local",
        f"Mark it as local at /admin/providers/{row.slug}/, or use its public address there",
    )


def test_a_name_that_turns_out_private_is_mended_the_same_way(check, monkeypatch):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 1))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: found)
    local("acme", "http://inside.test/v1", is_local=False)
    kind, says, mend = only_problem(check()[1]["acme"])
    assert (kind, "private" in says, mend.startswith("Mark it as local at /admin/")) == ("wrong address", True, True)


def test_the_metadata_service_is_an_address_to_correct_even_for_a_local_one(check):
    local("acme", "http://169.254.169.254/v1")
    kind, says, mend = only_problem(check()[1]["acme"])
    assert (kind, "metadata" in says, mend.startswith("Correct the base URL")) == ("wrong address", True, True)


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:1", "http://no-such-host.invalid:3128", "socks5://127.0.0.1:1"])
def test_a_proxy_that_is_not_there_is_named_by_its_variables(check, monkeypatch, proxy):
    for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    local("acme", "https://api.vendor.test/v1", is_local=False)
    kind, says, mend = only_problem(check()[1]["acme"])
    assert (kind, "proxy" in says, mend.startswith("Correct HTTPS_PROXY, HTTP_PROXY")) == ("unreachable", True, True)


def test_a_server_that_says_nothing_is_given_up_and_the_others_are_not_kept_waiting(server, check):
    with running() as quiet:
        quiet.silent.clear()
        local("quiet", quiet.url)
        local("acme", server.url)
        status, told = check("--timeout", "0.2")
    assert (status, told["acme"]["well"]) == (3, True)
    assert only_problem(told["quiet"])[:2] == ("no answer in time", "no answer within 0.2 s")


def test_a_slow_one_is_called_slow(server, check):
    local("acme", server.url)
    status, told = check("--slow", "0.00001")
    assert (status, only_problem(told["acme"])[0]) == (3, "slow")


def test_a_certificate_that_nobody_signed_is_told(check, tmp_path):
    with running(tls=self_signed(tmp_path)) as server:
        local("acme", server.url)
        kind, says, mend = only_problem(check()[1]["acme"])
    assert kind == "unreachable"
    assert "certificate" in says
    assert mend.startswith("Set SSL_CERT_FILE")


def test_a_server_without_tls_behind_an_https_address_is_told_as_an_address_to_correct(server, check):
    local("acme", server.url.replace("http:", "https:"))
    kind, _, mend = only_problem(check()[1]["acme"])
    assert (kind, "http:// where the server speaks no TLS" in mend) == ("wrong address", True)


@pytest.mark.parametrize("cause", FailureCause)
def test_each_cause_has_a_sentence_of_its_own(cause):
    place = mending.Place("acme", "https://acme.test/v1", True, ENV_VAR, "/admin/p/", "/admin/c/", "/admin/m/")
    error = ProviderError(FailureKind.UNREACHABLE, "it failed", cause=cause)
    mend = mending.failed(place, error=error).mend
    assert mend != mending.failed(place, error=ProviderError(FailureKind.UNREACHABLE, "it failed")).mend


def test_a_provider_that_is_switched_off_is_checked_only_by_name(server, check):
    local("off", server.url, enabled=False)
    local("acme", server.url)
    assert list(check()[1]) == ["acme"]
    assert list(check("off")[1]) == ["off"]


def test_an_unknown_name_is_one_sentence(server, check):
    local("acme", server.url)
    assert check("acne") == (1, "providers: There is no provider 'acne'; there is acme.\n")


def test_anthropics_list_is_read_page_by_page_with_its_own_header(server, check, monkeypatch):
    keyed("claude", server.url, "claude-b-1", "claude-a-1", dialect="anthropic")
    monkeypatch.setenv(ENV_VAR, KEY)
    first = {"data": [{"id": "claude-a-1-20260101"}], "has_more": True, "last_id": "claude-a-1-20260101"}
    server.says("/v1/models?limit=1000", first)
    server.says("/v1/models?limit=1000&after_id=claude-a-1-20260101", {"data": [{"id": "claude-b-1"}]})
    assert check()[0] == 0
    assert [seen.headers["x-api-key"] for seen in server.seen] == [KEY, KEY]


def test_a_list_that_goes_on_nowhere_is_told(server, check, monkeypatch):
    keyed("openrouter", server.url)
    monkeypatch.setenv(ENV_VAR, KEY)
    server.says("/v1/models", {"data": [], "links": {"next": "http://[bad"}})
    assert "an address that is none" in only_problem(check()[1]["openrouter"])[1]


def test_a_list_that_goes_on_elsewhere_is_not_followed(server, check, monkeypatch):
    keyed("openrouter", server.url)
    monkeypatch.setenv(ENV_VAR, KEY)
    server.says("/v1/models", {"data": [], "links": {"next": "http://127.0.0.2:1/v1/models"}})
    assert "another host" in only_problem(check()[1]["openrouter"])[1]


def test_for_people_it_is_a_table_and_a_sentence_on_how_to_mend_each_problem(server, capsys):
    local("acme", server.url, "good-3")
    with pytest.raises(SystemExit):
        call_command("providers", "check")
    out = capsys.readouterr().out
    assert "wrong model" in out.splitlines()[1]
    assert "acme: wrong model: good-3 is not in its list" in out
    assert "switch it off at /admin/providers/model/" in out


def test_the_list_is_what_it_was_with_and_without_a_word(server, capsys):
    local("acme", server.url)
    shown = []
    for words in (["--json"], ["list", "--json"], ["--json", "list"]):
        call_command("providers", *words)
        shown.append(json.loads(capsys.readouterr().out))
    assert shown[0] == shown[1] == shown[2]
    assert shown[0][0]["credential"] == "not needed"


def self_signed(folder: Path) -> ssl.SSLContext:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "here")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(1))
    file = folder / "pair.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context

"""`/v1/admin/providers`: made, listed, changed, deleted; their credentials, which no answer shows; a look whether they
answer."""

from __future__ import annotations

import json

import pytest
from cryptography.fernet import Fernet

from analytics.models import AuditEntry
from providers import credentials
from providers.models import Credential, Model, Price, Provider
from routing import snapshot
from routing.models import Candidate
from tests.unit.gateway.list_server import running

pytestmark = pytest.mark.django_db

ENV_VAR = "TEST_INSTALLATION_API_KEY"
SECRET = "sk-live-0123456789abcdef"
NEW = {"slug": "groq", "base_url": "https://api.groq.example/v1"}


@pytest.fixture(autouse=True)
def no_variable(monkeypatch):
    monkeypatch.delenv(ENV_VAR, raising=False)


@pytest.fixture
def server():
    with running() as made:
        made.lists("m0", "m1", "m2", "m3")
        yield made


class TestMake:
    def test_the_rest_has_its_usual_value(self, fitter):
        status, made = fitter("post", "providers", NEW)
        assert (status, made["object"], made["slug"], made["name"]) == (201, "provider", "groq", "groq")
        assert (made["enabled"], made["dialect"], made["models"], made["max_queued"]) == (True, "openai", 0, 100)
        assert made["credential"] == {"state": "missing", "source": None, "env_var": None, "last_four": None}
        assert fitter("get", "providers/groq")[1] == made

    def test_every_field_is_kept(self, fitter):
        given = NEW | {
            "name": "Groq", "dialect": "anthropic", "enabled": False, "is_local": True, "needs_credential": False,
            "max_tokens_field": "max_tokens", "reasoning_field": "reasoning", "text_as_string": True,
            "usage_in_streams": False, "stops_when_left": False, "extra_body": {"top_k": 40, "deep": [0.5, None, "x"]},
            "connect_timeout_s": 1.5, "headers_timeout_s": 2, "first_content_timeout_s": 3.25,
            "between_frames_timeout_s": 4, "max_concurrent": 8, "max_queued": 0,
        }  # fmt: skip
        made = fitter("post", "providers", given)[1]
        assert {name: made[name] for name in given} == given

    def test_it_is_in_force_and_in_the_audit_trail(self, fitter):
        fitter("post", "providers", NEW)
        entry = AuditEntry.objects.get(action="provider.created")
        assert (entry.target, entry.actor[:10]) == ("groq", "key fitter")

    @pytest.mark.parametrize(
        ("fields", "field", "says"),
        [
            ({"slug": "Groq"}, "slug", "lower-case"),
            ({"slug": ""}, "slug", "blank"),
            ({"slug": "up"}, "slug", "already exists"),
            ({"slug": "new"}, "slug", "'new' is an address of its own at /admin/providers/new/"),
            ({"slug": "provider"}, "slug", "an address of its own"),
            ({"slug": "credential"}, "slug", "an address of its own"),
            ({"slug": "model"}, "slug", "an address of its own"),
            ({"slug": "price"}, "slug", "an address of its own"),
            ({"base_url": ""}, "base_url", "blank"),
            ({"base_url": "ftp://x.example"}, "base_url", "http or https"),
            ({"base_url": "https://me:pw@x.example/v1"}, "base_url", "no user name or password"),
            ({"base_url": "http://169.254.169.254/latest", "is_local": True}, "base_url", "metadata"),
            ({"base_url": "http://169.254.169.254/latest"}, "base_url", "metadata"),
            ({"base_url": "http://10.0.0.7/v1"}, "base_url", "private"),
            ({"base_url": "http://localhost:11434/v1"}, "base_url", "private"),
            ({"base_url": "http://[::ffff:127.0.0.1]/v1"}, "base_url", "private"),
            ({"name": " Groq"}, "name", "no space at either end"),
            ({"name": 5}, "name", "Use a text."),
            ({"dialect": "klingon"}, "dialect", "not a valid choice"),
            ({"enabled": 1}, "enabled", "Use true or false."),
            ({"enabled": None}, "enabled", "Use true or false."),
            ({"connect_timeout_s": "5"}, "connect_timeout_s", "Use a number."),
            ({"connect_timeout_s": True}, "connect_timeout_s", "Use a number."),
            ({"connect_timeout_s": None}, "connect_timeout_s", "cannot be null"),
            ({"connect_timeout_s": 0}, "connect_timeout_s", "greater than or equal to"),
            ({"max_concurrent": 0}, "max_concurrent", "greater than or equal to"),
            ({"max_concurrent": 1.5}, "max_concurrent", "Use a whole number."),
            ({"max_queued": 10**30}, "max_queued", "Use 2147483647 or less."),
            ({"extra_body": []}, "extra_body", "Use a JSON object"),
            ({"extra_body": {"model": "x"}}, "extra_body", "cannot be added"),
            ({"extra_body": {"x": "a\0b"}}, "extra_body", "JSON cannot keep"),
            ({"connect_timeout_s": 86_401}, "connect_timeout_s", "less than or equal to 86400"),
            ({"credential": "sk"}, "credential", "There is no field 'credential'"),
            ({"created_at": "2026-01-01T00:00:00Z"}, "created_at", "There is no field 'created_at'"),
        ],
    )
    def test_what_is_wrong_is_told_at_its_field(self, fitter, layers, fields, field, says):
        status, param, words = fitter.refused("post", "providers", NEW | fields)
        assert (status, param) == (400, field)
        assert says in words
        assert list(Provider.objects.values_list("slug", flat=True)) == ["up"]

    @pytest.mark.parametrize("text", ["1e400", "-1e999999", "1" + "0" * 400])
    def test_a_number_beyond_all_is_refused(self, fitter, text):
        body = json.dumps(NEW)[:-1] + f', "connect_timeout_s": {text}}}'
        assert fitter.refused("post", "providers", body) == (400, "connect_timeout_s", "Use a number.")
        body = json.dumps(NEW)[:-1] + f', "extra_body": {{"x": {text}}}}}'
        assert fitter("post", "providers", body)[0] in (201, 400)

    def test_all_that_is_wrong_is_told_at_once(self, fitter):
        error = fitter("post", "providers", slug="Groq", base_url="ftp://x", connect_timeout_s=-1)[1]["error"]
        assert set(error["gateway"]["fields"]) == {"slug", "base_url", "connect_timeout_s"}


class TestList:
    def test_by_slug_in_pages(self, fitter, layers):
        for slug in ("groq", "xai"):
            fitter("post", "providers", NEW | {"slug": slug, "enabled": slug == "xai"})
        page = fitter("get", "providers?limit=2")[1]
        assert ([row["slug"] for row in page["data"]], page["last_id"], page["has_more"]) == (
            ["groq", "up"], "up", True,
        )  # fmt: skip
        assert [row["slug"] for row in fitter("get", "providers?after=up")[1]["data"]] == ["xai"]
        assert [row["slug"] for row in fitter("get", "providers?enabled=false")[1]["data"]] == ["groq"]
        assert fitter.refused("get", "providers?enabled=no") == (400, "enabled", "Use true or false.")
        assert fitter.refused("get", "providers?slug=up")[:2] == (400, "slug")

    def test_it_takes_as_many_queries_for_many(self, fitter, layers, django_assert_max_num_queries):
        for number in range(5):
            row = Provider.objects.create(slug=f"p{number}", name="x", base_url="https://x.example/v1")
            Credential.objects.create(provider=row, env_var=ENV_VAR)
        fitter("get", "providers")
        with django_assert_max_num_queries(4):  # with the versions of the configuration
            assert len(fitter("get", "providers")[1]["data"]) == 6


class TestOne:
    def test_one_that_has_the_slug_of_a_page_is_changed_like_any_other(self, fitter, layers):
        Provider.objects.filter(slug="up").update(slug="model")
        assert fitter("patch", "providers/model", name="Up there")[1]["name"] == "Up there"

    def test_a_change_leaves_what_somebody_else_changed(self, fitter, layers):
        Provider.objects.filter(slug="up").update(max_concurrent=3)
        told = fitter("patch", "providers/up", name="Up there", headers_timeout_s=9.5)[1]
        assert (told["name"], told["headers_timeout_s"], told["max_concurrent"]) == ("Up there", 9.5, 3)
        assert fitter("patch", "providers/up", max_concurrent=None)[1]["max_concurrent"] is None

    def test_it_is_in_force_at_once(self, fitter, layers):
        fitter("patch", "providers/up", enabled=False)
        snapshot.load()
        assert fitter("get", "/v1/models")[1]["data"] == []

    def test_nothing_is_written_where_nothing_differs(self, fitter, layers):
        at = Provider.objects.get().updated_at
        assert fitter("patch", "providers/up", name="Upstream", max_queued=100)[0] == 200
        assert Provider.objects.get().updated_at == at
        assert not AuditEntry.objects.filter(action__startswith="provider.").exists()

    def test_a_slug_stays(self, fitter, layers):
        words = "This stands in the ledger and cannot be changed."
        assert fitter.refused("patch", "providers/up", slug="down") == (400, "slug", words)

    @pytest.mark.parametrize("change", [{"is_local": False}, {"base_url": "http://169.254.169.254/v1"}])
    def test_it_leads_nowhere_it_must_not(self, fitter, layers, change):
        assert fitter.refused("patch", "providers/up", change)[:2] == (400, "base_url")
        assert Provider.objects.get().is_local

    @pytest.mark.parametrize(
        ("method", "path"),
        [("get", "nowhere"), ("patch", "nowhere"), ("delete", "nowhere"), ("put", "nowhere/credential"),
         ("delete", "nowhere/credential"), ("post", "nowhere/test"), ("get", "a%00b")],
    )  # fmt: skip
    def test_an_unknown_one_is_404(self, fitter, method, path):
        assert fitter(method, f"providers/{path}")[0] == 404


class TestDelete:
    def test_while_layers_hold_models_of_it_it_stays(self, fitter, layers):
        status, answer = fitter("delete", "providers/up")
        assert (status, answer["error"]["code"]) == (409, "provider_in_use")
        words = "Layers hold models of up: up/m0 in L0, up/m1 in L1, up/m2 in L2, up/m3 in L3. Take them out first."
        assert answer["error"]["message"] == words
        assert Model.objects.count() == 4

    def test_it_takes_models_prices_and_credentials_along(self, fitter, layers):
        Candidate.objects.all().delete()
        Credential.objects.create(provider=Provider.objects.get(), env_var=ENV_VAR)
        assert fitter("delete", "providers/up") == (200, {"slug": "up", "object": "provider", "deleted": True})
        assert not any(table.objects.exists() for table in (Provider, Model, Price, Credential))

    def test_out_of_the_layers_where_that_is_said(self, fitter, layers):
        assert fitter.refused("delete", "providers/up?with_candidates=1")[:2] == (400, "with_candidates")
        assert fitter("delete", "providers/up?with_candidates=false")[0] == 409
        assert fitter("delete", "providers/up?with_candidates=true")[0] == 200
        assert not Candidate.objects.exists()
        gone = AuditEntry.objects.get(action="provider.deleted").before["went_with_it"]
        assert gone["candidate"][0] == "up/m0 in L0"


class TestCredential:
    PATH = "providers/up/credential"

    def stands(self, **fields):
        return {"state": "set", "source": None, "env_var": None, "last_four": None} | fields

    def test_a_value_is_kept_and_never_shown(self, fitter, layers, caplog):
        answer = fitter.answer("put", self.PATH, {"value": f"  {SECRET} "})
        assert (answer.status_code, answer["Cache-Control"]) == (200, "no-store")
        stands = self.stands(source="stored", last_four="cdef")
        assert answer.json() == {"object": "credential", "provider": "up", **stands}
        assert fitter("get", "providers/up")[1]["credential"] == stands
        assert credentials.opened(Credential.objects.get()) == SECRET
        told = [*AuditEntry.objects.values_list("before", "after", "target"), caplog.text, answer.content.decode()]
        assert SECRET not in str(told)
        assert AuditEntry.objects.get(action="credential.created").actor.startswith("key fitter")

    def test_a_variable_is_named_and_looked_at(self, fitter, layers, monkeypatch):
        Provider.objects.update(needs_credential=True)
        told = fitter("put", self.PATH, env_var=ENV_VAR)[1]
        assert (told["state"], told["source"], told["env_var"]) == ("missing", "environment", ENV_VAR)
        monkeypatch.setenv(ENV_VAR, SECRET)
        stands = self.stands(source="environment", env_var=ENV_VAR)
        assert fitter("get", "providers/up")[1]["credential"] == stands

    def test_it_takes_the_place_of_whatever_there_was(self, fitter, layers):
        for name in ("a", "default", "z"):
            Credential.objects.create(provider=Provider.objects.get(), name=name, env_var=ENV_VAR, enabled=name != "a")
        fitter("put", self.PATH, value=SECRET)
        row = Credential.objects.get()
        assert (credentials.opened(row), row.env_var, row.enabled) == (SECRET, "", True)
        fitter("put", self.PATH, env_var=ENV_VAR)
        row = Credential.objects.get()
        assert (row.env_var, row.encrypted_value, row.last_four) == (ENV_VAR, "", "")

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "value"),
            ({"value": SECRET, "env_var": ENV_VAR}, "value"),
            ({"value": ""}, "value"),
            ({"value": "   "}, "value"),
            ({"value": None}, "value"),
            ({"value": 5}, "value"),
            ({"value": f"{SECRET}\nX-Other: 1"}, "value"),
            ({"value": f"{SECRET}ü"}, "value"),
            ({"value": SECRET * 200}, "value"),
            ({"env_var": ""}, "env_var"),
            ({"env_var": SECRET}, "env_var"),
            ({"env_var": "SECRET_KEY"}, "env_var"),
            ({"env_var": "AWS_SECRET_ACCESS_KEY"}, "env_var"),
            ({"key": SECRET}, "key"),
        ],
    )
    def test_what_is_wrong_is_told_without_what_was_sent(self, fitter, layers, body, field):
        status, param, words = fitter.refused("put", self.PATH, body)
        assert (status, param) == (400, field)
        assert SECRET not in words
        assert not Credential.objects.exists()

    def test_it_is_removed(self, fitter, layers):
        fitter("put", self.PATH, value=SECRET)
        assert fitter("delete", self.PATH)[1]["state"] == "not_needed"
        Provider.objects.update(needs_credential=True)
        assert fitter("delete", self.PATH)[1]["state"] == "missing"
        assert AuditEntry.objects.filter(action="credential.deleted").count() == 1

    def test_one_that_cannot_be_opened_is_unreadable(self, fitter, layers, settings):
        fitter("put", self.PATH, value=SECRET)
        settings.CREDENTIAL_KEY = Fernet.generate_key().decode()
        stands = self.stands(state="unreadable", source="stored", last_four="cdef")
        assert fitter("get", "providers/up")[1]["credential"] == stands


class TestTry:
    def test_a_real_call_of_its_list(self, fitter, layers, server):
        Provider.objects.update(base_url=server.url)
        fitter("put", "providers/up/credential", value=SECRET)
        told = fitter("post", "providers/up/test")[1]
        assert (told["ok"], told["status"], told["models"], told["error"]) == (True, "well", 4, None)
        assert told["latency_ms"] >= 0
        assert [(seen.path, seen.headers["authorization"]) for seen in server.seen] == [
            ("/v1/models", f"Bearer {SECRET}")
        ]

    def test_what_is_wrong_is_told_and_how_to_mend_it(self, fitter, layers, server):
        Provider.objects.update(base_url=server.url)
        server.says("/v1/models", {"error": {"message": f"no such key {SECRET}"}}, status=401)
        fitter("put", "providers/up/credential", value=SECRET)
        told = fitter("post", "providers/up/test")[1]
        assert (told["ok"], told["status"], told["models"], told["latency_ms"]) == (False, "key refused", None, None)
        assert told["problems"][0]["says"] == told["error"]
        assert SECRET not in str(told)

    def test_nobody_listens(self, fitter, layers):
        told = fitter("post", "providers/up/test")[1]
        assert (told["ok"], told["status"]) == (False, "unreachable")

    def test_an_address_that_was_written_past_the_row_is_not_called(self, fitter, layers, server):
        Provider.objects.update(base_url=server.url, is_local=False)
        told = fitter("post", "providers/up/test")[1]
        assert (told["status"], told["error"]) == (
            "wrong address",
            "its address is private, and it is not marked as local",
        )
        Provider.objects.update(base_url="http://169.254.169.254/v1", is_local=True)
        assert "metadata" in fitter("post", "providers/up/test")[1]["error"]
        assert server.seen == []

    def test_it_takes_no_fields(self, fitter, layers):
        assert fitter.refused("post", "providers/up/test", model="m0")[:2] == (400, "model")

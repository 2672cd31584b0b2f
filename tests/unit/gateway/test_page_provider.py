"""`/admin/providers/<slug>/`: settings, key, connection, circuits and end of one provider."""

from __future__ import annotations

import time

import pytest
from django.urls import reverse

from analytics.counters.opening import open_store
from analytics.models import AuditEntry
from providers import credentials
from providers.models import Credential, Model, Price, Provider
from routing import circuits, snapshot, vendor_rows
from routing.circuit import Circuit, State
from routing.circuits import Wanted
from routing.models import Candidate, CircuitTransition
from tests.unit.gateway import page_forms
from tests.unit.gateway.list_server import running
from tests.unit.gateway.pages_seen import done, member, mistakes, queries, refused
from tests.unit.gateway.test_page_providers import SETTINGS

pytestmark = pytest.mark.django_db
PAGE = "/admin/providers/up/"
SECRET = "sk-live-0123456789abcdef-9Zq7"
LOCAL = SETTINGS | {"name": "Upstream", "base_url": "http://127.0.0.1:1/v1", "is_local": "on", "needs_credential": ""}


@pytest.fixture(autouse=True)
def loaded(layers):
    snapshot.load()


@pytest.fixture
def up(layers):
    return Provider.objects.get(slug="up")


class TestSettings:
    def test_what_is_changed_is_saved(self, admin_client, up):
        opened = page_forms.filled(admin_client, PAGE, "save") | {"name": "Up there", "max_concurrent": "3"}
        assert opened.pop("enabled") == "on"
        said = done(admin_client, PAGE, "save", **opened)
        up.refresh_from_db()
        assert said == "The settings of up are saved."
        assert (up.name, up.max_concurrent, up.enabled, up.is_local) == ("Up there", 3, False, True)
        assert AuditEntry.objects.get(action="provider.changed").actor == "admin"

    def test_what_is_not_changed_is_not_saved(self, admin_client, up):
        Provider.objects.filter(pk=up.pk).update(extra_body={"b": [0.5, None], "a": "x"})
        opened = page_forms.filled(admin_client, PAGE, "save")
        assert done(admin_client, PAGE, "save", **opened) == "Nothing of up was changed."
        assert not AuditEntry.objects.filter(action="provider.changed").exists()

    def test_what_nobody_touched_stays_as_others_set_it(self, admin_client, up):
        opened = page_forms.filled(admin_client, PAGE, "save")
        theirs = {"enabled": False, "max_concurrent": 3, "headers_timeout_s": 9.5, "extra_body": {"top_k": 40}}
        Provider.objects.filter(pk=up.pk).update(**theirs)
        wrong = admin_client.post(PAGE, {"do": "save", **opened, "name": "Up there", "max_queued": "x"})
        again = page_forms.read(wrong, "save") | {"max_queued": "7"}
        assert done(admin_client, PAGE, "save", **again) == "The settings of up are saved."
        expected = theirs | {"name": "Up there", "max_queued": 7}
        assert Provider.objects.filter(pk=up.pk).values(*expected).get() == expected

    def test_its_forms_are_sent_to_it_whatever_it_is_called(self, admin_client, up):
        Provider.objects.filter(pk=up.pk).update(slug="50%2F#?")
        forms = page_forms.found(admin_client, reverse("admin:provider", args=["50%2F#?"]))
        sent = [form.address for form in forms if form.address]
        assert len(sent) == 3
        assert all(admin_client.get(address).context_data["row"] == up for address in sent)

    @pytest.mark.parametrize(
        ("fields", "field", "says"),
        [
            ({"base_url": "http://169.254.169.254/latest"}, "base_url", "metadata"),
            ({"is_local": ""}, "base_url", "private"),
            ({"max_concurrent": "0"}, "max_concurrent", "greater than or equal to 1"),
            ({"headers_timeout_s": "soon"}, "headers_timeout_s", "Enter a number"),
            ({"extra_body": '{"model": "x"}'}, "extra_body", "cannot be added"),
        ],
    )
    def test_what_is_wrong_is_told_at_its_field(self, admin_client, up, fields, field, says):
        answer = admin_client.post(PAGE, {"do": "save"} | LOCAL | fields)
        assert (answer.status_code, list(mistakes(answer))) == (400, [field])
        assert says in mistakes(answer)[field][0]
        assert f"<h1>{up.name}</h1>" in answer.content.decode()
        assert Provider.objects.filter(pk=up.pk, is_local=True, max_concurrent=None, base_url=up.base_url).exists()

    def test_one_that_is_gone_is_not_there(self, admin_client):
        assert admin_client.get("/admin/providers/gone/").status_code == 404
        assert admin_client.post("/admin/providers/gone/", {"do": "save"}).status_code == 404
        assert admin_client.get("/admin/providers/%00/").status_code == 404

    def test_one_with_a_slug_past_our_checks_has_a_page_too(self, admin_client, up):
        Provider.objects.filter(pk=up.pk).update(slug="Üp there")
        assert "/admin/providers/%C3%9Cp%20there/" in admin_client.get("/admin/providers/").content.decode()
        assert admin_client.get("/admin/providers/%C3%9Cp%20there/").context_data["row"] == up


class TestKey:
    def held(self):
        return credentials.opened(Credential.objects.get())

    def test_a_value_is_kept_and_never_shown(self, admin_client):
        assert done(admin_client, PAGE, "key", value=SECRET, env_var="") == "up has a new key."
        page = admin_client.get(PAGE).content.decode()
        assert (self.held(), SECRET in page, "key set, ends in 9Zq7" in page) == (SECRET, False, True)
        assert SECRET not in str(list(AuditEntry.objects.values()))

    def test_a_variable_takes_its_place(self, admin_client, monkeypatch):
        monkeypatch.setenv("TEST_PAGE_API_KEY", "from the environment")
        done(admin_client, PAGE, "key", value=SECRET, env_var="")
        done(admin_client, PAGE, "key", value="", env_var="TEST_PAGE_API_KEY")
        assert self.held() == "from the environment"
        assert "from TEST_PAGE_API_KEY" in admin_client.get(PAGE).content.decode()

    @pytest.mark.parametrize(
        ("fields", "says"),
        [
            ({"value": "", "env_var": ""}, "one of them"),
            ({"value": SECRET, "env_var": "TEST_PAGE_API_KEY"}, "one of them"),
            ({"value": f"{SECRET}\nmore", "env_var": ""}, "on one line"),
            ({"value": "", "env_var": SECRET}, "name"),
        ],
    )
    def test_a_refusal_does_not_say_it_again(self, admin_client, fields, says):
        answer = admin_client.post(PAGE, {"do": "key"} | fields)
        assert (answer.status_code, says in answer.context_data["mistake"]) == (400, True)
        assert "0123456789abcdef" not in answer.content.decode()
        assert not Credential.objects.exists()

    def test_it_is_removed(self, admin_client):
        done(admin_client, PAGE, "key", value=SECRET, env_var="")
        assert done(admin_client, PAGE, "no-key") == "up has no key any more."
        assert not Credential.objects.exists()


class TestConnection:
    def test_the_answer_is_shown_in_place(self, admin_client, up):
        with running() as server:
            server.lists("m0", "m1", "m2", "m3", "more")
            Provider.objects.filter(pk=up.pk).update(base_url=server.url)
            answer = admin_client.post(PAGE, {"do": "test"})
        check = answer.context_data["check"]
        assert (answer.status_code, check.is_well, check.listed) == (200, True, 5)
        assert "5 models listed" in answer.content.decode()

    def test_what_is_wrong_says_how_to_mend_it(self, admin_client):
        page = admin_client.post(PAGE, {"do": "test"}).content.decode()
        assert "unreachable" in page
        assert f"Start the server, or correct the base URL at {PAGE}" in page


class TestCircuits:
    @pytest.fixture
    def broken(self, layers, settings, tmp_path):
        settings.COUNTERS_FILE = tmp_path / "counters.sqlite3"
        found = next(one.model for one in snapshot.current().served["m1"])
        now = time.time()
        circuit = Circuit(
            circuits.fingerprint(found), state=State.OPEN, cause="timeout", opened_at=now - 60, until=now + 60
        )
        store = open_store()
        circuits.write(store, {found.id: Wanted(None, circuit)}, now=now)
        store.close()
        return found

    def test_one_that_is_open_says_why_and_until_when(self, admin_client, broken):
        page = admin_client.get(PAGE).content.decode()
        assert "timeout, until" in page
        (line,) = admin_client.get("/admin/providers/").context_data["lines"]
        assert line.out == ("m1",)

    def test_it_is_reset(self, admin_client, broken):
        assert done(admin_client, PAGE, "reset", model="up/m1") == "up/m1 is called again at once."
        assert (CircuitTransition.objects.get().cause, AuditEntry.objects.get(action="circuit.reset").actor) == (
            "reset by hand", "admin",
        )  # fmt: skip
        assert "there is nothing to reset" in done(admin_client, PAGE, "reset", model="up/m1")

    def test_not_of_another_provider_or_one_that_is_off(self, admin_client, broken):
        other = Provider.objects.create(slug="other", name="x", base_url="https://x.example/v1")
        Model.objects.create(provider=other, name="m1")
        Model.objects.create(provider=Provider.objects.get(slug="up"), name="off", enabled=False)
        for name, says in (("other/m1", "no such model"), ("", "no such model"), ("up/off", "called by nobody")):
            assert says in refused(admin_client, PAGE, "reset", model=name)


class TestDelete:
    def test_it_goes_with_all_that_hangs_on_it(self, admin_client):
        page = admin_client.get(PAGE).content.decode()
        assert "its models m0, m1, m2, m3, and their prices; out of the layers: m0 in L0" in page
        assert done(admin_client, PAGE, "delete", to="/admin/providers/", slug="up") == "The provider up is deleted."
        assert not any(table.objects.exists() for table in (Provider, Model, Price, Candidate))

    def test_only_when_it_is_confirmed(self, admin_client):
        assert "write up to confirm" in refused(admin_client, PAGE, "delete", slug="")
        assert Provider.objects.exists()

    def test_models_in_layers_ask_for_a_permission_of_their_own(self, client, ours):
        member(client, ours.project, "providers.view_provider", "providers.delete_provider")
        assert "“Can delete candidate”" in refused(client, PAGE, "delete", slug="up")
        assert Provider.objects.exists()


class TestWhoMay:
    DOING = {"save": LOCAL, "key": {"value": SECRET}, "no-key": {}, "test": {}, "reset": {}, "delete": {"slug": "up"}}

    def test_a_projects_admin_does_not_see_it(self, client, ours):
        member(client, ours.project)
        assert client.get(PAGE).status_code == 403

    def test_who_may_see_changes_nothing(self, client, ours):
        member(client, ours.project, "providers.view_provider")
        assert "<button" not in client.get(PAGE).content.decode().partition('id="provider"')[2]
        for do, fields in self.DOING.items():
            assert "You lack the permission" in refused(client, PAGE, do, 403, **fields)
        assert (Provider.objects.get().name, Credential.objects.exists()) == ("Upstream", False)

    def test_who_may_change_settings_gives_no_key(self, client, ours):
        member(client, ours.project, "providers.view_provider", "providers.change_provider")
        assert done(client, PAGE, "save", **LOCAL | {"name": "Up"})
        assert "“Can change credential”" in refused(client, PAGE, "key", 403, value=SECRET)


class TestWhereItsKeyIsSent:
    ELSEWHERE = "https://elsewhere.example/v1"

    @pytest.fixture(autouse=True)
    def key(self, up):
        vendor_rows.set_credential(up, actor="tests", value=SECRET)

    def test_who_may_not_change_keys_does_not_choose(self, client, ours, up):
        member(client, ours.project, "providers.change_provider")
        for address in (self.ELSEWHERE, "http://127.0.0.1:2/v1"):
            opened = page_forms.filled(client, PAGE, "save") | {"base_url": address}
            answer = client.post(PAGE, {"do": "save", **opened})
            assert (answer.status_code, mistakes(answer)) == (400, {"base_url": [vendor_rows.KEY_WOULD_GO]})
        assert Provider.objects.get(pk=up.pk).base_url == up.base_url

    def test_but_may_change_the_path_there(self, client, ours, up):
        member(client, ours.project, "providers.change_provider")
        done(client, PAGE, "save", **page_forms.filled(client, PAGE, "save") | {"base_url": f"{up.base_url}/v2"})
        assert Provider.objects.get(pk=up.pk).base_url == f"{up.base_url}/v2"

    def test_who_may_change_keys_does(self, client, ours, up):
        member(client, ours.project, "providers.change_provider", "providers.change_credential")
        done(client, PAGE, "save", **page_forms.filled(client, PAGE, "save") | {"base_url": self.ELSEWHERE})
        assert Provider.objects.get(pk=up.pk).base_url == self.ELSEWHERE

    def test_nor_by_djangos_own_page(self, client, ours, up):
        member(client, ours.project, "providers.change_provider")
        page = client.get(f"/admin/providers/provider/{up.pk}/change/")
        assert "base_url" in page.context_data["adminform"].readonly_fields


def test_by_htmx_it_is_said_on_the_spot(admin_client):
    answer = admin_client.post(PAGE, {"do": "save"} | LOCAL | {"name": "Up"}, headers={"HX-Request": "true"})
    assert (answer.status_code, answer.context_data["said"]) == (200, "The settings of up are saved.")
    assert "<h1>Up</h1>" in answer.content.decode()


def test_its_questions_do_not_grow_with_models(admin_client, up):
    before = queries(admin_client, PAGE)
    Model.objects.bulk_create(Model(provider=up, name=f"more-{number}") for number in range(20))
    snapshot.load()
    assert queries(admin_client, PAGE) == before

"""`/admin/models/<provider/name>/`: one model's facts, prices, layers, health, last month; and who may ask it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from asgiref.sync import async_to_sync
from django.urls import reverse
from django.utils import timezone

from analytics import ledger
from analytics.models import AuditEntry
from providers.models import Model, Price, Provider
from routing import snapshot
from routing.models import Candidate
from tests.unit.analytics.test_ledger import usage_row
from tests.unit.gateway import page_forms
from tests.unit.gateway.pages_seen import done, member, mistakes, queries, refused

pytestmark = pytest.mark.django_db
PAGE = "/admin/models/up/m1/"
FACTS = {
    "title": "", "kind": "chat", "enabled": "on", "context_tokens": "", "max_output_tokens": "",
    "max_input_tokens_per_file": "2000", "tools": "on", "json_schema": "on", "reasoning_control": "effort",
    "inline_system": "on",
}  # fmt: skip
SOON = timedelta(days=3)


@pytest.fixture(autouse=True)
def loaded(layers):
    snapshot.load()


def upcoming(row, *, usd="0.000005"):
    return Price.objects.create(model=row, unit="input", usd_per_unit=usd, valid_from=timezone.now() + SOON)


def told(client):
    """Its prices, as the page has them."""
    return [(one.what, one.usd, one.holds, one.is_upcoming) for one in client.get(PAGE).context_data["prices"]]


class TestPage:
    def test_a_name_with_slashes_and_colons_is_an_address(self, admin_client, layers):
        row = Model.objects.create(provider=Provider.objects.get(slug="up"), name="org/large:free?#1")
        assert "up/org/large:free?#1" in admin_client.get("/admin/models/").content.decode()
        page = admin_client.get("/admin/models/up/org/large:free%3F%231/")
        assert (page.status_code, page.context_data["row"]) == (200, row)
        for nobody in ("up/gone", "gone/m1", "up", "up/%00"):
            assert admin_client.get(f"/admin/models/{nobody}/").status_code == 404

    @pytest.mark.parametrize("name", ["flaky?status=503", "c#d", "a%2Fb"])
    def test_its_forms_are_sent_to_it_whatever_it_is_called(self, admin_client, layers, name):
        row = Model.objects.create(provider=Provider.objects.get(slug="up"), name=name)
        Candidate.objects.create(layer=Candidate.objects.get(model=layers["L1"]).layer, model=row)
        upcoming(row)
        forms = page_forms.found(admin_client, reverse("admin:model", args=[row]))
        sent = {form.fields["do"]: form.address for form in forms if form.address}
        assert sent.keys() == {"ask", "take-back", "add-price", "save"}
        for address in sent.values():
            assert admin_client.get(address).context_data["row"] == row

    def test_the_last_month_is_of_this_model_and_the_readers_projects(self, admin_client, client, ours, theirs):
        at = datetime.now(UTC) - timedelta(days=2)
        our = {"project_id": ours.project.pk, "provider": "up", "model": "m1", "cost_usd": Decimal("0.5")}
        ledger.insert(
            [
                usage_row(at, **our),
                usage_row(at, **our | {"project_id": theirs.project.pk, "outcome": "error", "status": 502}),
                usage_row(at, **our | {"model": "m2"}),
                usage_row(at - timedelta(days=31), **our),
            ]
        )
        found = admin_client.get(PAGE).context_data["figures"]
        assert (found.totals.requests, found.totals.errors, found.totals.cost_usd) == (2, 1, Decimal(1))
        assert [part.requests for part in found.parts if part.requests] == [2]
        member(client, ours.project, "providers.view_model")
        page = client.get(PAGE)
        assert page.context_data["figures"].totals.requests == 1
        assert 'id="prices"' not in page.content.decode()

    def test_its_questions_do_not_grow_with_prices_and_layers(self, admin_client, layers):
        before = queries(admin_client, PAGE)
        for number in range(5):
            upcoming(layers["L1"], usd=f"0.00000{number + 1}")
        Candidate.objects.create(layer=Candidate.objects.get(model=layers["L2"]).layer, model=layers["L1"])
        assert queries(admin_client, PAGE) == before


class TestFacts:
    def test_capabilities_are_changed(self, admin_client, layers):
        opened = page_forms.filled(admin_client, PAGE, "save")
        assert opened.pop("tools") == "on"
        assert done(admin_client, PAGE, "save", **opened | {"vision": "on", "context_tokens": "9000"})
        row = Model.objects.get(pk=layers["L1"].pk)
        assert (row.vision, row.tools, row.json_schema, row.context_tokens) == (True, False, True, 9000)
        assert AuditEntry.objects.get(action="model.changed").actor == "admin"

    def test_what_nobody_touched_stays_as_others_set_it(self, admin_client, layers):
        opened = page_forms.filled(admin_client, PAGE, "save")
        Model.objects.filter(pk=layers["L1"].pk).update(enabled=False, context_tokens=9000, kind="embeddings")
        assert done(admin_client, PAGE, "save", **opened) == "Nothing of up/m1 was changed."
        wrong = admin_client.post(PAGE, {"do": "save", **opened, "title": "One", "max_output_tokens": "many"})
        again = page_forms.read(wrong, "save") | {"max_output_tokens": "700"}
        assert done(admin_client, PAGE, "save", **again) == "up/m1 is saved."
        row = Model.objects.get(pk=layers["L1"].pk)
        assert (row.title, row.max_output_tokens) == ("One", 700)
        assert (row.enabled, row.context_tokens, row.kind) == (False, 9000, "embeddings")

    @pytest.mark.parametrize(
        ("field", "value", "says"),
        [
            ("context_tokens", "0", "Use 1 or more"),
            ("max_output_tokens", "many", "whole number"),
            ("kind", "image", "not one of the available choices"),
        ],
    )
    def test_what_is_wrong_is_told_at_its_field(self, admin_client, field, value, says):
        answer = admin_client.post(PAGE, {"do": "save"} | FACTS | {field: value})
        errors = mistakes(answer, "facts")
        assert (answer.status_code, list(errors)) == (400, [field])
        assert says in errors[field][0]


class TestPrices:
    def test_those_in_force_come_first_then_those_to_come(self, admin_client, layers):
        Price.objects.create(model=layers["L1"], unit="input", usd_per_unit="0.000002", valid_from=timezone.now())
        upcoming(layers["L1"])
        assert told(admin_client) == [
            ("input", "2", True, False),
            ("output", "1", True, False),
            ("input", "5", False, True),
            ("input", "1", False, False),
        ]

    def test_one_holds_from_now_on(self, admin_client):
        said = done(admin_client, PAGE, "add-price", unit="input", usd="3.5", from_tokens="0", valid_from="")
        assert said == "The price of up/m1 for input is 3.5 USD per million from now on."
        assert told(admin_client)[0] == ("input", "3.5", True, False)
        assert "already" in done(admin_client, PAGE, "add-price", unit="input", usd="3.5")

    def test_one_is_announced_and_taken_back(self, admin_client, layers):
        at = timezone.localtime(timezone.now() + SOON)
        said = done(admin_client, PAGE, "add-price", unit="input", usd="4", valid_from=f"{at:%Y-%m-%dT%H:%M}")
        assert f"from {at:%Y-%m-%d %H:%M} on" in said
        row = Price.objects.get(usd_per_unit=Decimal("0.000004"))
        assert row.valid_from == at.replace(second=0, microsecond=0)
        assert done(admin_client, PAGE, "take-back", price=row.pk).startswith(
            "Taken back before it held: up/m1 input: 4"
        )
        assert not Price.objects.filter(pk=row.pk).exists()

    def test_one_that_holds_stays(self, admin_client, layers):
        row = Price.objects.filter(model=layers["L1"]).first()
        assert "history" in refused(admin_client, PAGE, "take-back", price=row.pk)
        other = upcoming(layers["L2"])
        for number in (other.pk, "x", "", "9" * 30):
            assert "no such price" in refused(admin_client, PAGE, "take-back", price=number)
        assert Price.objects.filter(pk__in=(row.pk, other.pk)).count() == 2

    @pytest.mark.parametrize(
        ("fields", "field", "says"),
        [
            ({"usd": ""}, "usd", "required"),
            ({"usd": "-1"}, "usd", "greater than or equal to 0"),
            ({"usd": "0.123456789"}, "usd", "cannot be kept exactly"),
            ({"unit": "mile"}, "unit", "not one of the available choices"),
            ({"unit": "image", "from_tokens": "5"}, "from_tokens", "without"),
            ({"valid_from": "2021-01-01T00:00"}, "valid_from", "charged at other prices"),
            ({"valid_from": "tomorrow"}, "valid_from", "valid date"),
        ],
    )
    def test_what_is_wrong_is_told_at_its_field(self, admin_client, fields, field, says):
        answer = admin_client.post(PAGE, {"do": "add-price", "unit": "input", "usd": "3"} | fields)
        errors = mistakes(answer, "price_form")
        assert (answer.status_code, list(errors)) == (400, [field])
        assert says in errors[field][0]


class TestDelete:
    def test_it_goes_when_it_is_confirmed(self, admin_client, layers):
        assert "write up/m1 to confirm" in refused(admin_client, PAGE, "delete", name="m1")
        assert done(admin_client, PAGE, "delete", to="/admin/models/", name="up/m1") == "The model up/m1 is deleted."
        assert not Model.objects.filter(pk=layers["L1"].pk).exists()

    def test_one_in_a_layer_asks_for_a_permission_of_its_own(self, client, ours, layers):
        member(client, ours.project, "providers.view_model", "providers.delete_model")
        assert "“Can delete candidate”" in refused(client, PAGE, "delete", name="up/m1")
        assert Candidate.objects.filter(model=layers["L1"]).exists()


class TestAsk:
    def test_only_a_process_that_answers_requests_asks(self, admin_client):
        assert "answers no requests" in refused(admin_client, PAGE, "ask", 503, prompt="Hello")

    def test_what_cannot_be_asked_is_said_before(self, admin_client):
        for prompt in ("", "  ", "x" * 4_001):
            assert "Write what to ask" in refused(admin_client, PAGE, "ask", prompt=prompt)
        Provider.objects.update(enabled=False)
        answer = admin_client.post(PAGE, {"do": "ask", "prompt": "Hello <b>"})
        assert (answer.status_code, answer.context_data["trial"].problem.says) == (200, "it is switched off")
        assert "Hello &lt;b&gt;</textarea>" in answer.content.decode()

    def test_a_model_without_its_key_is_not_asked(self, admin_client):
        Provider.objects.update(needs_credential=True)
        trial = admin_client.post(PAGE, {"do": "ask", "prompt": "Hello"}).context_data["trial"]
        assert trial.problem.trouble == "no key"

    @pytest.mark.parametrize(
        ("prompt", "status", "says"), [("Hello", 503, "answers no requests"), ("", 400, "Write what")]
    )
    def test_what_cannot_be_asked_live_is_said_in_a_line(self, admin_client, prompt, status, says):
        answer = admin_client.post("/admin/ask/up/m1/", {"prompt": prompt})
        assert (answer.status_code, says in json.loads(answer.content)["mistake"]) == (status, True)

    def test_what_is_known_before_is_the_whole_answer(self, admin_client):
        Provider.objects.update(enabled=False)
        answer = admin_client.post("/admin/ask/up/m1/", {"prompt": "Hello"})

        async def lines():
            return [line async for line in answer.streaming_content]

        (line,) = async_to_sync(lines)()
        assert "it is switched off" in json.loads(line)["html"]

    def test_who_may_only_look_does_not_ask(self, client, ours):
        member(client, ours.project, "providers.view_model")
        assert client.post("/admin/ask/up/m1/", {"prompt": "Hello"}).status_code == 403

    def test_a_prompt_is_as_long_as_browsers_count_it(self, admin_client):
        long = "a\r\n" * 1_900
        assert "answers no requests" in refused(admin_client, PAGE, "ask", 503, prompt=long)

    def test_a_model_of_embeddings_is_not_asked(self, admin_client):
        Model.objects.update(kind="embeddings")
        for at in ("/admin/ask/up/m1/", PAGE):
            answer = admin_client.post(at, {"prompt": "Hello", "do": "ask"})
            assert (answer.status_code, "makes embeddings" in answer.content.decode()) == (400, True)

    def test_who_opens_the_address_sees_the_model(self, admin_client):
        assert admin_client.get("/admin/ask/up/m1/").headers["Location"] == PAGE


class TestWhoMay:
    DOING = ("save", "add-price", "take-back", "reset", "ask", "delete")

    def test_a_projects_admin_does_not_see_it(self, client, ours):
        member(client, ours.project)
        assert client.get(PAGE).status_code == 403

    def test_who_may_see_changes_nothing(self, client, ours):
        member(client, ours.project, "providers.view_model", "providers.view_price")
        assert "<button" not in client.get(PAGE).content.decode().partition('id="model"')[2]
        for do in self.DOING:
            assert "You lack the permission" in refused(client, PAGE, do, 403, prompt="x", name="up/m1", usd="1")
        assert Model.objects.filter(name="m1", tools=True).exists()


def test_by_htmx_a_form_with_a_mistake_is_told_on_the_spot(admin_client):
    answer = admin_client.post(PAGE, {"do": "add-price", "unit": "input"}, headers={"HX-Request": "true"})
    assert (answer.status_code, list(mistakes(answer, "price_form"))) == (400, ["usd"])

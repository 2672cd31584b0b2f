"""API keys in the plain admin: made and rotated, shown once, changed, switched, ended, deleted."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from analytics import keys
from analytics.admin_keys import ApiKeyAdmin
from analytics.models import ApiKey, AuditEntry, Budget, Project

pytestmark = pytest.mark.django_db
LIST = "/admin/analytics/apikey/"


def key_form(**fields):
    return {"name": "new", "project": Project.objects.get(slug="default").pk, "scopes": '["chat", "usage:own"]',
            "allowed_models": "[]", "allowed_layers": "[]", "enabled": "on"} | fields  # fmt: skip


def test_a_new_key_is_shown_once(admin_client, ours):
    answer = admin_client.post(f"{LIST}add/", key_form())
    page = answer.content.decode()
    (secret,) = re.findall(r"agw_[\w-]{43}", page)
    assert answer.status_code == 200
    assert "no-store" in answer.headers["Cache-Control"]
    assert "shown this once" in page
    assert 'href="/admin/analytics/apikey/"' in page
    assert f'href="{LIST}add/"' in page
    assert secret not in str(answer.headers) + str(answer.cookies)
    assert secret not in admin_client.get("/admin/analytics/apikey/").content.decode()
    row = ApiKey.objects.get(key_hash=keys.digest(secret))
    assert row.name == "new"
    again = admin_client.get(f"/admin/analytics/apikey/{row.pk}/change/").content.decode()
    assert secret not in again
    assert AuditEntry.objects.filter(action="api_key.created", actor="admin", target=str(row)).exists()


class TestKeyForm:
    def form(self, client):
        return client.get(f"{LIST}add/").context["adminform"].form

    def test_the_only_project_is_chosen(self, admin_client, ours):
        assert self.form(admin_client)["project"].value() == str(ours.project.pk)

    def test_nothing_is_chosen_among_several(self, admin_client, ours, theirs):
        assert not self.form(admin_client)["project"].value()

    def test_a_list_gets_a_few_rows_and_an_example(self, admin_client, ours):
        form = self.form(admin_client)
        for name in keys.LISTS:
            assert 'rows="3"' in str(form[name]), name
            assert "Example: [" in form[name].help_text, name


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("name", "first", "A key named 'first' already exists in default; choose another name."),
        ("name", "  ", "This field is required."),
        ("name", "a\u202eb", "Use no control characters"),
        ("scopes", '["everything"]', "Scopes are a list out of"),
        ("allowed_models", '"gpt"', "Use a list of patterns"),
        ("allowed_endpoints", '["v1"]', "does not begin with"),
        ("allowed_networks", '["10.0.0.1/8"]', "write 10.0.0.0/8 for the network"),
        ("requests_per_minute", "1.5", "Enter a whole number."),
        ("requests_per_minute", "-1", "greater than or equal to 1"),
        ("tokens_per_minute", "9223372036854775808", "less than or equal to"),
        ("expires_at_0", "2026-01-01", "This lies in the past."),
        ("expires_at_0", "2999-01-01", "This is too late"),
    ],
)
def test_a_wrong_field_is_refused_beside_it(refused_form, ours, field, value, says):
    form = key_form(**{"expires_at_1": "12:00:00"} if field == "expires_at_0" else {}, **{field: value})
    found = refused_form(f"{LIST}add/", form)
    assert list(found) == [field.removesuffix("_0")]
    assert says in found[field.removesuffix("_0")]
    assert ApiKey.objects.count() == 1


def test_the_page_shows_what_was_refused(admin_client, ours):
    page = admin_client.post(f"{LIST}add/", key_form(name="first")).content.decode()
    assert "A key named &#x27;first&#x27; already exists in default; choose another name." in page


def test_changing_a_key_is_audited(admin_client, ours):
    form = shown(admin_client, ours.key) | {"scopes": '["admin"]', "allowed_models": "", "enabled": ""}
    answer = admin_client.post(f"/admin/analytics/apikey/{ours.key.pk}/change/", form)
    assert answer.status_code == 302
    entry = AuditEntry.objects.get(action="api_key.changed")
    assert (entry.actor, entry.target) == ("admin", str(ours.key))
    assert (entry.before, entry.after) == (
        {"scopes": ["chat", "usage:own"], "enabled": True},
        {"scopes": ["admin"], "enabled": False},
    )
    assert ApiKey.objects.get(pk=ours.key.pk).allowed_models == []


def test_deleting_a_key_is_audited(admin_client, ours):
    admin_client.post(f"/admin/analytics/apikey/{ours.key.pk}/delete/", {"post": "yes"})
    assert not ApiKey.objects.exists()
    entry = AuditEntry.objects.get(action="api_key.deleted")
    assert (entry.actor, entry.target, entry.before["name"]) == ("admin", str(ours.key), "first")


def test_deleting_several_keys_is_audited_for_each(admin_client, ours, theirs):
    chosen = {"action": "delete_selected", "_selected_action": [ours.key.pk, theirs.key.pk], "post": "yes"}
    admin_client.post("/admin/analytics/apikey/", chosen)
    assert not ApiKey.objects.exists()
    entries = AuditEntry.objects.filter(action="api_key.deleted", actor="admin")
    assert {entry.project_id for entry in entries} == {ours.project.pk, theirs.project.pk}


def shown(client, row):
    """What the page of a key would send if nobody touched it."""
    form = client.get(f"{LIST}{row.pk}/change/").context["adminform"].form
    values = {name: form[name].value() or "" for name in form.fields}
    fields = {name: "on" if value is True else value for name, value in values.items() if name != "expires_at"}
    return fields | {form[name].html_initial_name: value for name, value in values.items()}


def test_a_change_leaves_what_somebody_else_changed_meanwhile(admin_client, ours):
    form = shown(admin_client, ours.key)
    keys.edit(ours.key, actor="tests", changes={"name": "renamed", "allowed_networks": ["::1"], "enabled": False})
    admin_client.post(f"{LIST}{ours.key.pk}/change/", form | {"requests_per_minute": "60"})
    row = ApiKey.objects.get()
    assert (row.name, row.requests_per_minute, row.allowed_networks, row.enabled) == ("renamed", 60, ["::1"], False)
    assert AuditEntry.objects.get(actor="admin", action="api_key.changed").after == {"requests_per_minute": 60}


def test_saving_a_key_as_it_was_shown_is_no_change(admin_client, ours):
    changes = {"expires_at": timezone.now() + timedelta(days=1), "allowed_networks": ["::1"], "tokens_per_minute": 5}
    row = keys.edit(ours.key, actor="tests", changes=changes)
    until = timezone.localtime(row.expires_at)
    day, hour = until.strftime("%Y-%m-%d %H:%M:%S").split()
    dates = {f"{prefix}expires_at_{part}": text for prefix in ("", "initial-") for part, text in enumerate((day, hour))}
    answer = admin_client.post(f"{LIST}{row.pk}/change/", shown(admin_client, row) | dates)
    assert answer.status_code == 302
    assert ApiKey.objects.get().updated_at == row.updated_at
    assert not AuditEntry.objects.filter(actor="admin", action__startswith="api_key.").exists()


def test_a_time_that_has_passed_is_refused_beside_it(refused_form, ours):
    form = key_form(name="first", project=ours.project.pk, expires_at_0="2026-01-01", expires_at_1="12:00:00")
    words = "This lies in the past; `keys expire` ends a key now."
    assert refused_form(f"{LIST}{ours.key.pk}/change/", form) == {"expires_at": words}
    assert ApiKey.objects.get().expires_at is None


def test_moving_a_key_says_what_it_means(admin_client, ours, theirs):
    form = key_form(name="moved", project=theirs.project.pk)
    page = admin_client.post(f"{LIST}{ours.key.pk}/change/", form, follow=True).content.decode()
    assert "The key moved counts in the budgets and limits of theirs from now on" in page


def test_a_name_that_is_taken_in_between_is_told_and_nothing_is_made(admin_client, ours, monkeypatch):
    monkeypatch.setattr(ApiKey, "clean", lambda row: None)
    monkeypatch.setattr(ApiKey, "validate_constraints", lambda row, exclude=None: None)
    page = admin_client.post(f"{LIST}add/", key_form(name="first"), follow=True).content.decode()
    assert "already exists in default" in page
    assert ApiKey.objects.count() == 1


def test_deleting_a_key_shows_the_budgets_that_go_with_it(admin_client, ours):
    Budget.objects.create(api_key=ours.key, window="day", limit_usd=5)
    assert "$5 per day" in admin_client.get(f"{LIST}{ours.key.pk}/delete/").content.decode()


class TestRotate:
    @pytest.fixture
    def page(self, ours):
        return f"{LIST}{ours.key.pk}/rotate/"

    def secret_in(self, answer):
        (secret,) = re.findall(r"agw_[\w-]{43}", answer.content.decode())
        return secret

    def post(self, client, page, ours, **fields):
        return client.post(page, {"grace_hours": "24", "replaces": ours.key.prefix} | fields)

    def test_the_keys_page_leads_there(self, admin_client, ours, page):
        assert f'href="{page}"' in admin_client.get(f"{LIST}{ours.key.pk}/change/").content.decode()
        assert admin_client.get(page).context["form"]["grace_hours"].value() == 24

    def test_the_new_key_is_shown_in_that_answer_alone(self, admin_client, ours, page):
        answer = self.post(admin_client, page, ours)
        secret = self.secret_in(answer)
        assert answer.status_code == 200
        assert "no-store" in answer.headers["Cache-Control"]
        assert secret not in str(answer.headers) + str(answer.cookies) + str(dict(admin_client.session))
        row = ApiKey.objects.get(key_hash=keys.digest(secret))
        assert row.pk == ours.key.pk
        for path in (LIST, page, f"{LIST}{row.pk}/change/", f"{LIST}{row.pk}/history/"):
            assert secret not in admin_client.get(path).content.decode()
        assert AuditEntry.objects.get(action="api_key.rotated").actor == "admin"

    def test_the_old_one_stays_valid_as_long_as_was_asked(self, admin_client, ours, page):
        answer = self.post(admin_client, page, ours, grace_hours="2")
        until = ApiKey.objects.get().previous_until
        assert timedelta(hours=1, minutes=59) < until - timezone.now() <= timedelta(hours=2)
        assert f"{ours.key.prefix}...) stays valid until" in answer.content.decode()

    def test_without_hours_it_ends_at_once(self, admin_client, ours, page):
        answer = self.post(admin_client, page, ours, grace_hours="0")
        assert "is no longer valid" in answer.content.decode()
        assert ApiKey.objects.get().previous_hash is None

    def test_a_form_that_is_sent_again_changes_nothing(self, admin_client, ours, page):
        secret = self.secret_in(self.post(admin_client, page, ours))
        again = self.post(admin_client, page, ours).content.decode()
        assert "This key was rotated meanwhile" in again
        assert not re.search(r"agw_[\w-]{43}", again)
        assert bytes(ApiKey.objects.get().key_hash) == keys.digest(secret)

    def test_once_more_in_the_grace_period_takes_a_tick_and_says_it_after(self, admin_client, ours, page):
        first = keys.rotate(ours.key, actor="tests").row
        assert "would end at once" in admin_client.get(page).content.decode()
        refused = self.post(admin_client, page, ours, replaces=first.prefix)
        assert list(refused.context["form"].errors) == ["end_previous"]
        assert "Tick this" in refused.content.decode()
        assert ApiKey.objects.get().prefix == first.prefix
        answer = self.post(admin_client, page, ours, replaces=first.prefix, end_previous="on")
        assert f"({ours.key.prefix}...) was still in its grace period, and ended at once" in answer.content.decode()

    def test_a_leaked_one_takes_no_tick(self, admin_client, ours, page):
        first = keys.rotate(ours.key, actor="tests").row
        self.post(admin_client, page, ours, replaces=first.prefix, grace_hours="0")
        assert ApiKey.objects.get().previous_hash is None

    def test_one_that_was_rotated_between_look_and_lock_keeps_its_key(self, admin_client, ours, page, monkeypatch):
        first = keys.rotate(ours.key, actor="tests").row
        monkeypatch.setattr(ApiKeyAdmin, "get_object", lambda *_: ours.key)  # as it was before
        answer = self.post(admin_client, page, ours)
        assert f"previous key ({ours.key.prefix}...) is valid until" in answer.content.decode()
        assert ApiKey.objects.get().prefix == first.prefix

    @pytest.mark.parametrize("hours", ["", "-1", "721", "1.5", "soon"])
    def test_a_grace_period_that_makes_no_sense_is_refused_beside_it(self, admin_client, ours, page, hours):
        answer = self.post(admin_client, page, ours, grace_hours=hours)
        assert list(answer.context["form"].errors) == ["grace_hours"]
        assert ApiKey.objects.get().prefix == ours.key.prefix

    def test_looking_changes_nothing(self, admin_client, ours, page):
        admin_client.get(page, {"grace_hours": "0", "replaces": ours.key.prefix})
        assert ApiKey.objects.get().prefix == ours.key.prefix

    def test_another_sites_form_is_refused(self, admin_user, ours, page):
        client = Client(enforce_csrf_checks=True)
        client.force_login(admin_user)
        assert self.post(client, page, ours).status_code == 403
        assert ApiKey.objects.get().prefix == ours.key.prefix

    def test_it_is_for_superusers(self, client, django_user_model, ours, page):
        assert client.get(page).status_code == 302
        staff = django_user_model.objects.create_user("staff", is_staff=True)
        staff.user_permissions.set(Permission.objects.all())
        client.force_login(staff)
        assert client.get(page).status_code == self.post(client, page, ours).status_code == 403
        assert ApiKey.objects.get().prefix == ours.key.prefix

    def test_a_key_that_is_gone_is_not_found(self, admin_client, ours, page):
        ours.key.delete()
        assert admin_client.get(page).status_code == 404


class TestList:
    def act(self, client, action, *rows):
        chosen = {"action": action, "_selected_action": [row.pk for row in rows]}
        return client.post(LIST, chosen, follow=True).content.decode()

    def test_several_are_switched_off_and_on_again(self, admin_client, ours, theirs):
        assert "2 API keys are disabled." in self.act(admin_client, "disable_selected", ours.key, theirs.key)
        assert not ApiKey.objects.filter(enabled=True).exists()
        assert "1 API key is enabled." in self.act(admin_client, "enable_selected", ours.key)
        assert ApiKey.objects.get(enabled=True) == ours.key
        assert AuditEntry.objects.filter(action="api_key.disabled", actor="admin").count() == 2

    def test_several_are_ended(self, admin_client, ours, theirs):
        self.act(admin_client, "expire_selected", ours.key)
        assert ApiKey.objects.get(expires_at__isnull=False) == ours.key
        assert AuditEntry.objects.filter(action="api_key.expired", actor="admin").count() == 1

    def test_it_tells_state_owner_and_limits(self, admin_client, ours, django_user_model):
        owner = django_user_model.objects.create_user("ada")
        keys.edit(ours.key, actor="tests", changes={"owner": owner, "requests_per_minute": 6000})
        page = admin_client.get(LIST).content.decode()
        for part in ("active", "ada", "6,000 requests/min"):
            assert part in page

    @pytest.mark.parametrize(("state", "name"), [("active", "ours"), ("disabled", "off"), ("expired", "over")])
    def test_one_state_can_be_asked_for(self, admin_client, ours, state, name):
        keys.edit(ours.key, actor="tests", changes={"name": "ours"})
        keys.disable(keys.create("off", actor="tests").row, actor="tests")
        keys.expire(keys.create("over", actor="tests").row, actor="tests")
        assert [row.name for row in admin_client.get(LIST, {"state": state}).context["cl"].result_list] == [name]

    @pytest.mark.parametrize("words", ["first", "ada", "prefix", "default"])
    def test_a_key_is_found_by_its_name_owner_prefix_and_project(self, admin_client, ours, django_user_model, words):
        owner = django_user_model.objects.create_user("ada")
        keys.edit(ours.key, actor="tests", changes={"owner": owner})
        query = ours.key.prefix if words == "prefix" else words
        assert list(admin_client.get(LIST, {"q": query}).context["cl"].result_list) == [ours.key]

    def test_it_takes_as_many_queries_for_many_keys_as_for_one(
        self, admin_client, ours, django_assert_max_num_queries, django_assert_num_queries
    ):
        with django_assert_max_num_queries(12) as few:
            admin_client.get(LIST)
        for number in range(5):
            keys.create(f"key {number}", actor="tests")
        with django_assert_num_queries(len(few)):
            admin_client.get(LIST)

"""Who may what at every address there is, and at every table of the admin: each stands in `permission_table`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, get_resolver

from analytics import budget_rows, ids, keys, ledger
from analytics.models import AuditEntry, Membership, ProcessGauges, RequestBody
from providers.models import Credential, Price, Provider
from routing import snapshot
from routing.models import CircuitTransition
from tests.unit.analytics.test_ledger import usage_row
from tests.unit.gateway import permission_table as table

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]
SCOPES = {
    "chat key": ["chat"],
    "own usage key": ["usage:own"],
    "project usage key": ["usage:project"],
    "admin key": ["admin"],
    "installation key": ["installation"],
}


def addresses(patterns: Any = None, before: str = "") -> Iterator[tuple[str, URLPattern]]:
    for one in get_resolver().url_patterns if patterns is None else patterns:
        at = before + str(one.pattern)
        if isinstance(one, URLPattern):
            yield at, one
        else:
            yield from addresses(one.url_patterns, at)


def of_tables() -> dict[str, str]:
    """The beginning of the addresses of each table's pages."""
    return {
        f"admin/{one._meta.app_label}/{one._meta.model_name}/": f"{one._meta.app_label}.{one._meta.model_name}"
        for one in admin.site._registry
    }


def table_of(at: str) -> tuple[str, str] | None:
    """Of a page of Django's: the table, and which page of it."""
    return next(((name, at.removeprefix(start)) for start, name in of_tables().items() if at.startswith(start)), None)


def methods(one: URLPattern) -> set[str]:
    """What a class of views answers. Pages of functions say nothing of it: GET is what all of them answer."""
    view = getattr(one.callback, "cls", None) or getattr(one.callback, "view_class", None)
    if view is None or not hasattr(view, "http_method_names") or one.callback.__module__.startswith("django."):
        return {"GET"}
    actions = getattr(one.callback, "actions", {})  # of a view set, whose methods stand in the URL table
    known = {name.upper() for name in view.http_method_names if hasattr(view, name) or name in actions}
    return known - {"HEAD", "OPTIONS", "TRACE"}


@pytest.fixture
def personas(client, layers, ours):
    made = {"nobody": Client()}
    for name, scopes in SCOPES.items():
        secret = keys.create(name, actor="tests", project=ours.project, scopes=scopes).secret
        made[name] = Client(headers={"Authorization": f"Bearer {secret}"})
    group = Group.objects.create(name="fitters")
    shared = ("providers", "routing")
    group.permissions.set(Permission.objects.filter(content_type__app_label__in=shared))
    for name in table.USERS:
        user = User.objects.create_user(name, is_staff=name in ("staff", "fitter"), is_superuser=name == "superuser")
        if name in ("viewer", "operator", "admin"):
            Membership.objects.create(user=user, project=ours.project, role=name)
        if name == "fitter":
            user.groups.add(group)
        made[name] = Client()
        made[name].force_login(user)
    for one in made.values():
        one.raise_request_exception = False
    snapshot.load()
    return made


@pytest.fixture
def rows(ours, theirs, layers):
    """What stands in addresses, for a project each."""
    return {"ours": parts(ours), "theirs": parts(theirs)}


def parts(tenant):
    budget = budget_rows.create(actor="tests", window="day", limit_usd="5", project=tenant.project)
    record = usage_row(
        datetime.now(UTC) - timedelta(hours=1),
        project_id=tenant.project.pk,
        project=tenant.project.slug,
        key_id=tenant.key.pk,
    )
    ledger.insert([record])
    RequestBody.objects.create(pk=record.id, project=tenant.project, at=datetime.now(UTC), request="{}", answer="Hi.")
    user = User.objects.create_user(f"member of {tenant.project.slug}")
    Membership.objects.create(user=user, project=tenant.project, role="admin")
    return {
        "key_id": tenant.key.pk,
        "budget_id": budget.pk,
        "entry_id": AuditEntry.objects.filter(project_id=tenant.project.pk).latest("pk").pk,
        "request_id": record.id,
        "project": tenant.project.slug,
        "price_id": Price.objects.order_by("pk")[0].pk,
        "slug": "up",
        "layer": "L1",
        "name": "up/m1",
        "model": "up/m1",
        "content_type_id": 1,
        "object_id": 1,
        "id": 1,
        "user": user.get_username(),
        "app_label": "analytics",
        "url": "nowhere/",
    }


PART = re.compile(r"<(?:\w+:)?(\w+)>|\(\?P<(\w+)>[^)]*\)")


def filled(at: str, given: dict[str, object]) -> str:
    """The address with its parts. Which slug or name is meant its beginning says."""
    if "/projects/<slug" in at:
        given = given | {"slug": given["project"]}
    if "layers/<" in at:
        given = given | {"name": given["layer"]}
    if (found := table_of(at)) is not None:
        row = apps.get_model(found[0]).objects.order_by("pk").first()
        given = given | {"object_id": row.pk, "id": row.pk}
    return "/" + PART.sub(lambda part: str(given[part[1] or part[2]]), at.replace("^", "").removesuffix("$"))


def ask(client: Client, method: str, path: str, *, form: dict[str, str]) -> Any:
    """The answer; what it changed is taken back, and who was signed out is in again."""
    cookies = client.cookies.copy()
    is_page = path.startswith("/admin/")
    kind: dict[str, Any] = {"data": form} if is_page else {"content_type": "application/json", "data": "{}"}
    kind = {} if method == "GET" else kind
    with transaction.atomic():
        answer = getattr(client, method.lower())(path, **kind)
        transaction.set_rollback(True)
    client.cookies = cookies
    return answer


def is_refused(answer: Any, *, at: str) -> bool:
    led = answer.headers.get("Location", "") if answer.status_code == 302 else ""
    is_hidden = answer.status_code == 404 and at not in table.MAY_BE_NOWHERE
    return is_hidden or answer.status_code in (401, 403) or led.startswith("/admin/login/")


def mistakes(personas, tries, *, given):
    """Who was let through and should not have been, or the other way round; and what failed."""
    wrong: dict[tuple[str, str, str], int] = {}
    for at, method, allowed in tries:
        path = filled(at, given)
        for name, client in personas.items():
            answer = ask(client, method, path, form=table.FORMS.get(at, {}))
            if is_refused(answer, at=at) is (name in allowed) or answer.status_code == 500:
                wrong[method, at, name] = answer.status_code
    return wrong


def test_every_address_has_its_line():
    known = {at: methods(one) for at, one in addresses() if table_of(at) is None}
    told = {at: set(by_method) for at, by_method in table.MATRIX.items()}
    assert known.keys() == told.keys()
    assert {at: (wanted, told[at]) for at, wanted in known.items() if not wanted <= told[at]} == {}


def test_every_table_has_its_line():
    assert {*of_tables().values()} == table.TABLES.keys()
    pages = {found[1] for at, _ in addresses() if (found := table_of(at))}
    assert pages == table.TABLE_PAGES.keys() | table.NOT_PAGES


def test_what_changes_configuration_knows_these_methods_and_no_other(admin_client):
    found, told = {}, {}
    for at in table.MATRIX:
        if at.startswith(("v1/admin/", "v1/models", "v1/layers", "v1/providers")):
            answer = admin_client.trace("/" + PART.sub("1", at))
            found[at] = (answer.status_code, {*answer["Allow"].split(", ")})
            told[at] = (405, table.MATRIX[at].keys() | {"OPTIONS"} | ({"HEAD"} if "GET" in table.MATRIX[at] else set()))
    assert found == told


PARTS = ("v1/admin/", "v1/", "admin/", "")


@pytest.mark.parametrize("start", PARTS)
def test_each_lets_through_whom_it_should(personas, rows, start):
    mine = [at for at in table.MATRIX if start == next(part for part in PARTS if at.startswith(part))]
    tries = [(at, method, table.RULES[rule]) for at in mine for method, rule in table.MATRIX[at].items()]
    assert tries
    assert mistakes(personas, tries, given=rows["ours"]) == {}


def test_nobody_learns_of_another_projects_rows(personas, rows):
    theirs = [at for at in table.MATRIX if any(part in at for part in table.OF_A_PROJECT)]
    tries = [(at, method, ("superuser",)) for at in theirs for method in table.MATRIX[at]]
    assert mistakes(personas, tries, given=rows["theirs"]) == {}


def test_pages_of_tables_let_through_whom_they_should(personas, rows):
    now = datetime.now(UTC)
    ProcessGauges.objects.create(instance=ids.new(), role="server", host="h", pid=1, started_at=now, at=now)
    CircuitTransition.objects.create(at=now, model_id=1, from_state="closed", to_state="open", cause="tests")
    Credential.objects.create(provider=Provider.objects.get(slug="up"), name="default", env_var="UP_KEY")
    few = {name: personas[name] for name in ("nobody", "admin", "staff", "fitter", "superuser")}
    tries = []
    for at, _ in addresses():
        found = table_of(at)
        if found is None or found[1] in table.NOT_PAGES:
            continue
        looks, changes = table.TABLES[found[0]]
        is_look = table.TABLE_PAGES[found[1]] == "look"
        allowed = table.RULES[table.EXCEPTIONS.get(found, looks if is_look else changes)]
        tries += [(at, method, allowed) for method in (("GET",) if is_look else ("GET", "POST"))]
    assert mistakes(few, tries, given=rows["ours"]) == {}

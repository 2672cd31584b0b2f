"""Who asks the management API (keys, users by session), and other ways in: the command line, forms of the admin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client, RequestFactory
from django.urls import resolve

from analytics import keys
from providers.models import ConfigVersion
from routing import snapshot
from tests.conftest import Tenant
from tests.unit.gateway.signing_in import PASSWORD, Api


@dataclass(frozen=True)
class Asker:
    """Sends JSON; gives status and body."""

    client: Client
    headers: dict[str, str] = field(default_factory=dict)
    _seen: dict[str, int] = field(default_factory=dict)
    """The versions of the configuration when it was last loaded for this one: it is again once they have moved."""

    def __call__(self, method: str, path: str, body: object = None, **fields: object) -> tuple[int, Any]:
        answer = self.answer(method, path, fields if body is None else body)
        return answer.status_code, answer.json()

    def answer(self, method: str, path: str, body: object = None) -> Any:
        versions = dict(ConfigVersion.objects.values_list("group", "version"))
        if versions != self._seen:
            snapshot.load()
            self._seen.update(versions)
        sent = {} if method == "get" else {"data": body or "", "content_type": "application/json"}
        address = path if path.startswith("/") else f"/v1/admin/{path}"
        return getattr(self.client, method)(address, headers=self.headers, **sent)

    def refused(self, method: str, path: str, body: object = None, **fields: object) -> tuple[int, str | None, str]:
        """Status, field and words of a refusal."""
        status, answer = self(method, path, body, **fields)
        return status, answer["error"]["param"], answer["error"]["message"]


def bearing(secret: str) -> Asker:
    return Asker(Client(), {"Authorization": f"Bearer {secret}"})


def made_admin(tenant: Tenant) -> Asker:
    return bearing(keys.create("steward", actor="tests", project=tenant.project, scopes=["admin"]).secret)


@pytest.fixture
def us(ours: Tenant) -> Asker:
    """A key with the scope `admin` in our project."""
    return made_admin(ours)


@pytest.fixture
def them(theirs: Tenant) -> Asker:
    return made_admin(theirs)


@pytest.fixture
def fitter(ours: Tenant) -> Asker:
    """A key with the scope `installation`, and no other."""
    made = keys.create("fitter", actor="tests", project=ours.project, scopes=["installation"])
    return bearing(made.secret)


@pytest.fixture
def root(admin_client: Client) -> Asker:
    """A superuser by session."""
    return Asker(admin_client)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs a command; gives its exit status and what it wrote."""

    def run(*words: str) -> tuple[int, str, str]:
        status = 0
        try:
            call_command(*words)
        except SystemExit as ended:
            status = int(ended.code or 0)
        written = capsys.readouterr()
        return status, written.out, written.err

    return run


@pytest.fixture
def refused_form(rf: RequestFactory, admin_user: User) -> Callable[..., dict[str, str]]:
    """Sends a form to a page of the admin as a superuser; gives what is said beside its fields, by field.

    The page is not rendered: that takes most of the time. Every page with a form has a test that reads it.
    """

    def refused_form(path: str, form: dict[str, object]) -> dict[str, str]:
        request = rf.post(path, form)
        request.user = admin_user
        request._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]
        view, args, kwargs = resolve(path)
        answer = view(request, *args, **kwargs)
        assert answer.status_code == 200
        errors = answer.context_data["adminform"].form.errors
        return {field: " ".join(said) for field, said in errors.items()}

    return refused_form


@pytest.fixture
def api() -> Api:
    """A client of `/v1/auth/*` that holds no cookie."""
    return Api()


@pytest.fixture
def ann(django_user_model: type[User]) -> User:
    return django_user_model.objects.create_user("ann", password=PASSWORD)

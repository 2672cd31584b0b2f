"""What the tests of the dashboard's pages share: forms sent, and what the page says then."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from analytics.models import Membership, Project


def done(client: Client, page: str, do: str, *, to: str = "", **fields: Any) -> str:
    """What is said on the page that one is led to."""
    answer = client.post(page, {"do": do, **fields}, follow=True)
    assert answer.redirect_chain == [(to or page, 302)], answer.context_data["mistake"]
    return " ".join(str(message) for message in answer.context["messages"])


def refused(client: Client, page: str, do: str, status: int = 400, **fields: Any) -> str:
    answer = client.post(page, {"do": do, **fields})
    assert answer.status_code == status
    return str(answer.context_data["mistake"])


def mistakes(answer: Any, form: str = "form") -> dict[str, list[str]]:
    """Of a form that was refused, by field."""
    return dict(answer.context_data[form].errors)


def member(client: Client, project: Project, *permissions: str, role: str = "admin") -> User:
    """Signs in somebody of a project with these of Django's permissions."""
    user = User.objects.create_user("vera", is_staff=True)
    Membership.objects.create(user=user, project=project, role=role)
    for name in permissions:
        app, codename = name.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    client.force_login(user)
    return user


def queries(client: Client, page: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(page).status_code == 200
    return len(captured)

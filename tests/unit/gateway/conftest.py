"""Who asks the management API: our project's admin key and theirs, a superuser and others by session."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from django.test import Client

from analytics import keys
from routing import snapshot
from tests.conftest import Tenant


@dataclass(frozen=True)
class Asker:
    """Sends JSON; gives status and body."""

    client: Client
    headers: dict[str, str] = field(default_factory=dict)

    def __call__(self, method: str, path: str, body: object = None, **fields: object) -> tuple[int, Any]:
        answer = self.answer(method, path, fields if body is None else body)
        return answer.status_code, answer.json()

    def answer(self, method: str, path: str, body: object = None) -> Any:
        snapshot.load()
        sent = {} if method == "get" else {"data": body or "", "content_type": "application/json"}
        return getattr(self.client, method)(f"/v1/admin/{path}", headers=self.headers, **sent)

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
def root(admin_client: Client) -> Asker:
    """A superuser by session."""
    return Asker(admin_client)

"""What the tests of `/v1/auth/*` share: a client of the API, and users to sign in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.test import Client

PASSWORD = "correct horse battery"
WRONG = "hunter2-my-other-password"
HERE = "192.0.2.7"


@dataclass(frozen=True)
class Api:
    """Sends JSON from an address; gives the whole answer."""

    client: Client = field(default_factory=lambda: Client(enforce_csrf_checks=True))
    address: str = HERE

    def post(self, path: str, body: object = None, /, **fields: object) -> Any:
        sent = fields if body is None else body
        return self.client.post(f"/v1/auth/{path}", sent, content_type="application/json", REMOTE_ADDR=self.address)

    def login(self, name: str = "ann", word: str = PASSWORD) -> Any:
        return self.post("login", username=name, password=word)

    def status(self, secret: str | None = None) -> Any:
        return self.get("/v1/auth/status", secret)

    def get(self, path: str, secret: str | None = None) -> Any:
        headers = {} if secret is None else {"Authorization": f"Bearer {secret}"}
        return self.client.get(path, headers=headers, REMOTE_ADDR=self.address)


def refusal(answer: Any) -> tuple[int, str | None]:
    """Status and code."""
    return answer.status_code, answer.json()["error"]["code"]

"""How a client uses a token, ready to paste: by the shell, by OpenAI's libraries, by the environment. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection

import msgspec

from analytics.types import Scope

_LOOK = {
    Scope.ADMIN: "/admin/keys",
    Scope.INSTALLATION: "/admin/providers",
    Scope.USAGE_PROJECT: "/analytics/usage",
    Scope.USAGE_OWN: "/analytics/usage",
}
"""What a key that asks no models may look at, below the base address."""


class Snippet(msgspec.Struct, frozen=True):
    name: str
    title: str
    code: str


def of(scopes: Collection[str], *, base: str, secret: str) -> list[Snippet]:
    """`base` is the address that clients are given, such as https://gateway.example/v1."""
    if Scope.CHAT.value not in scopes:
        return [Snippet("curl", "curl", _look(scopes, base=base, secret=secret))]
    return [
        Snippet("curl", "curl", _CURL.format(base=base, secret=secret)),
        Snippet("python", "Python", _PYTHON.format(base=json.dumps(base), secret=json.dumps(secret))),
        Snippet("javascript", "JavaScript", _JAVASCRIPT.format(base=json.dumps(base), secret=json.dumps(secret))),
        Snippet("environment", "Environment", _ENVIRONMENT.format(base=base, secret=secret)),
    ]


def _look(scopes: Collection[str], *, base: str, secret: str) -> str:
    path = next((path for scope, path in _LOOK.items() if scope.value in scopes), "/models")
    return f'curl {base}{path} \\\n  -H "Authorization: Bearer {secret}"'


_CURL = """\
curl {base}/chat/completions \\
  -H "Authorization: Bearer {secret}" \\
  -H "Content-Type: application/json" \\
  -d '{{"model": "auto", "messages": [{{"role": "user", "content": "Hello"}}]}}'"""
_PYTHON = """\
from openai import OpenAI  # pip install openai

client = OpenAI(base_url={base}, api_key={secret})
answer = client.chat.completions.create(
    model="auto", messages=[{{"role": "user", "content": "Hello"}}]
)
print(answer.choices[0].message.content)"""
_JAVASCRIPT = """\
import OpenAI from "openai";  // npm install openai

const client = new OpenAI({{baseURL: {base}, apiKey: {secret}}});
const answer = await client.chat.completions.create({{
  model: "auto",
  messages: [{{role: "user", content: "Hello"}}],
}});
console.log(answer.choices[0].message.content);"""
_ENVIRONMENT = """\
export OPENAI_BASE_URL="{base}"
export OPENAI_API_KEY="{secret}\""""

"""A gateway in front of the replayer, with every OpenAI-compatible provider and every recorded model.

Providers are the shipped catalog's rows, at another address; of those it does not ship, rows such as an operator makes.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import tomli_w
from msgspec import Raw

from tests.process import gateway_process
from tests.process.gateway_process import Gateway, Installation
from tests.wire import replay
from tests.wire.recordings import Recording
from tests.wire.replay import Received, Replayer, Reply

SHIPPED = gateway_process.ROOT / "routing" / "catalog.toml"
FREE = {"input": "0", "output": "0"}
CAPABILITIES = ["tools", "vision", "json_schema", "audio", "reasoning"]
TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request through the gateway: what was sent, what the provider got, what came back."""

    sent: bytes
    received: tuple[Received, ...]
    """By the provider; more than one where the gateway tried again."""
    answer: httpx.Response

    @property
    def body(self) -> bytes:
        return self.answer.content


@dataclass(slots=True)
class Recorded:
    """The gateway and the replayer behind it. An exchange that was had is not had again."""

    gateway: Gateway
    replayer: Replayer
    paths: Mapping[str, str]
    """Where each provider's requests arrive, by vendor."""
    client: httpx.Client
    _had: dict[tuple[str, int | None], Exchange] = field(default_factory=dict)

    def exchange(self, recording: Recording, *, piece: int | None = None) -> Exchange:
        """The recorded request, answered with the recorded answer in pieces of so many bytes."""
        key = (recording.id, piece)
        if key not in self._had:
            self._had[key] = self.send(request_of(recording), reply=reply_of(recording, piece=piece))
        return self._had[key]

    def send(self, body: bytes, *, reply: Reply) -> Exchange:
        self.replayer.reply = reply
        before = len(self.replayer.received)
        answer = self.client.post(self.gateway.chat_url, content=body)
        if reply.status == HTTPStatus.TOO_MANY_REQUESTS:
            self._call_again(msgspec.json.decode(body)["model"])
        return Exchange(body, tuple(self.replayer.received[before:]), answer)

    def _call_again(self, model: str) -> None:
        """Ends the pause of a rate limited model: the next recording may ask for it, and must not get another."""
        reset = partial(self.gateway.installation.command, "health", "reset", model)
        gateway_process.eventually(lambda: "Called again" in reset(), what=f"circuit of {model}")


def request_of(recording: Recording, **replaced: Raw | None) -> bytes:
    """The recorded request for the model at the recorded provider; fields `replaced` by None are left out."""
    asked = msgspec.json.decode(recording.request, type=dict[str, Raw])
    asked["model"] = Raw(msgspec.json.encode(f"{recording.vendor}/{recording.model}"))
    kept = {name: value for name, value in (asked | replaced).items() if value is not None}
    return msgspec.json.encode(kept)


def reply_of(recording: Recording, *, body: bytes | None = None, piece: int | None = None) -> Reply:
    return Reply(
        body=recording.answer if body is None else body,
        content_type=recording.content_type,
        status=recording.status,
        headers=recording.headers,
        piece=piece,
    )


def credential(vendor: str) -> str:
    return f"sk-recorded-{vendor}"


@contextmanager
def running(
    recordings: Iterable[Recording], *, folder: Path, prices: Mapping[str, Mapping[str, str]] | None = None
) -> Iterator[Recorded]:
    """A gateway with the models of `recordings`; `prices` are OpenRouter's, by model, all others are free."""
    found = list(recordings)
    with replay.running() as replayer:
        providers = [_provider(vendor, found, prices=prices or {}) for vendor in dict.fromkeys(r.vendor for r in found)]
        paths = {row["slug"]: f"/{row['slug']}{urlsplit(row['base_url']).path}/chat/completions" for row in providers}
        for row in providers:
            row["base_url"] = f"{replayer.url}/{row['slug']}{urlsplit(row['base_url']).path}"
        catalog = folder / "catalog.toml"
        catalog.write_text(tomli_w.dumps(_catalog(providers)))
        installation = Installation(var_dir=folder / "var").set_up(catalog=catalog)
        env = {row["credential_env"]: credential(row["slug"]) for row in providers if "credential_env" in row}
        with (
            gateway_process.start(installation, env=env) as gateway,
            httpx.Client(headers=gateway.headers(), timeout=TIMEOUT_S, trust_env=False) as client,
        ):
            yield Recorded(gateway, replayer, paths, client)


def _catalog(providers: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "version": 1,
        "policy": {"default_layer": "L0"},
        "layers": [{"name": "L0", "from_score": 0.0}],
        "providers": providers,
    }


def _provider(vendor: str, found: list[Recording], *, prices: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    asked = [recording.asked for recording in found if recording.vendor == vendor]
    names = dict.fromkeys(name for request in asked for name in (request["model"], *request.get("models", ())))
    models = [
        {"name": name, "layer": "L0", "capabilities": CAPABILITIES, "prices": dict(prices.get(name, FREE))}
        for name in names
    ]
    return _row(vendor) | {"is_local": True, "enabled": True, "models": models}


def _row(vendor: str) -> dict[str, Any]:
    """The provider as the shipped catalog has it; where it has it not, as the vendor's own pages say."""
    shipped = tomllib.loads(SHIPPED.read_text())["providers"]
    own = {
        "slug": vendor,
        "name": vendor.title(),
        "dialect": "openai",
        "base_url": f"https://{vendor}.example/v1",
        "credential_env": f"{vendor.upper()}_API_KEY",
        "needs_credential": True,
    }
    return next((row for row in shipped if row["slug"] == vendor), own)

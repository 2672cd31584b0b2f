"""System checks: settings that cannot work, said before anything starts. Each has an id and a hint."""

from __future__ import annotations

import os
import resource
import ssl
from collections.abc import Sequence
from typing import Any

from cryptography.fernet import Fernet
from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from rapidfuzz import process

from gateway import env
from providers import proxies

COMPOSE_NAMES = frozenset({"POSTGRES_PASSWORD", "GATEWAY_WORKERS"})
"""What docker-compose.yml reads from the same file."""
NETWORK_NAMES = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"})
"""Everybody's names, not settings of ours: `providers.proxies` and OpenSSL read them."""
DESCRIPTORS_WANTED = 10_000
"""5,000 relayed streams take two each."""


@register()
def check_secrets(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    if settings.MISSING_SECRETS:
        return [
            Error(
                f"Missing secrets: {', '.join(settings.MISSING_SECRETS)}.",
                hint="Set them, or NAME_FILE for each, or put a secrets.toml into VAR_DIR. .env.example says how.",
                id="gateway.E001",
            )
        ]
    try:
        for key in settings.CREDENTIAL_KEY.split(","):
            Fernet(key.strip())
    except ValueError:
        hint = 'Make one: python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
        return [Error("CREDENTIAL_KEY is not a Fernet key.", hint=hint, id="gateway.E003")]
    return []


@register()
def check_unknown_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """A misspelt name in `.env` must not pass unseen. Provider keys are anybody's names: they end in KEY or TOKEN."""
    keys = frozenset(name for name in settings.DOTENV_NAMES if name.endswith(("_KEY", "_TOKEN")))
    elsewhere = COMPOSE_NAMES | NETWORK_NAMES | {name.lower() for name in NETWORK_NAMES} | keys
    return [
        Error(f"Unknown setting {name} in .env.", hint=_near(name), id="gateway.E002")
        for name in env.unknown_names(settings.DOTENV_NAMES, also_known=elsewhere)
    ]


@register()
def check_persistent_connections(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("postgresql") and database.get("CONN_MAX_AGE", 0) != 0:
        return [
            Error(
                "PostgreSQL with persistent connections under ASGI leaks one per request thread.",
                hint="Remove conn_max_age from DATABASE_URL; the pool keeps connections open.",
                id="gateway.E004",
            )
        ]
    return []


@register()
def check_descriptors(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS_WANTED:
        return [
            Warning(
                f"At most {hard} open files: fewer than {hard // 2} streams at once.",
                hint="Raise the hard limit, as with `ulimit -Hn 65536`, or LimitNOFILE= in a systemd unit.",
                id="gateway.W001",
            )
        ]
    return []


@register()
def check_way_out(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """What the environment says of proxies and of whom to trust: a mistake there makes every provider unreachable."""
    found: list[CheckMessage] = [
        Error(
            f"HTTP_PROXY, HTTPS_PROXY or ALL_PROXY: {mistake}.",
            hint="SOCKS proxies are not supported. NO_PROXY names hosts that are called directly.",
            id="gateway.E005",
        )
        for mistake in proxies.from_environment().mistakes()
    ]
    for name, mistake_of in (("SSL_CERT_FILE", _file_mistake), ("SSL_CERT_DIR", _folder_mistake)):
        path = os.environ.get(name)
        if path and (mistake := mistake_of(path)):
            hint = "Give the path of a PEM file, or of a folder made by `openssl rehash`."
            found.append(Error(f"{name} names {mistake}: {path}.", hint=hint, id="gateway.E006"))
    return found


@register()
def check_proxies_are_named(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Behind a proxy that nobody named all clients have its address: wrong passwords of one lock out all."""
    if settings.SECURE_PROXY_SSL_HEADER and not settings.TRUSTED_PROXIES:
        return [
            Warning(
                "TRUST_X_FORWARDED_PROTO says there is a proxy in front, and TRUSTED_PROXIES does not name it.",
                hint="Name its address: else one client's wrong passwords lock out everybody (docs/signing-in.md).",
                id="gateway.W002",
            )
        ]
    return []


def _file_mistake(path: str) -> str | None:
    """OpenSSL passes over a file it cannot use and says nothing, and then trusts nobody."""
    if not os.path.exists(path):
        return "nothing that is there"
    if os.path.isdir(path):
        return "a folder, which is for SSL_CERT_DIR"
    try:
        held = ssl.create_default_context(cafile=path).cert_store_stats()
    except ssl.SSLError:
        return "a file that holds no certificate in PEM"
    except OSError as error:
        return f"a file that cannot be read ({error.strerror})"
    return None if held["x509"] else "a file that holds no certificate in PEM"


def _folder_mistake(path: str) -> str | None:
    if not os.path.exists(path):
        return "nothing that is there"
    return None if os.path.isdir(path) else "no folder"


def _near(name: str) -> str:
    found = process.extractOne(name, sorted(env.env.asked), score_cutoff=70)
    return f"Did you mean {found[0]}?" if found else "The settings are listed in .env.example."

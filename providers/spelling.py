"""How a provider's slug and address, the name of a credential's variable and the fields added to requests must be
written.

Pure: the admin's validators and the catalog file refuse by the same rules. Does not look whether the address is one
that may be called (`providers.door`) or the variable is set (`providers.credentials`).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

ENV_VAR = re.compile(r"[A-Z][A-Z0-9_]*_(API_)?(KEY|TOKEN)")
ENV_VARS_OF_OTHERS = frozenset({"SECRET_KEY", "CREDENTIAL_KEY", "KEY_HASH_KEY", "AWS_SECRET_ACCESS_KEY"})
"""The gateway's own secrets, and one that is no bearer token: whoever edits providers must not have them sent out."""

RESERVED_SLUGS = frozenset({"new", "provider", "credential", "model", "price"})
"""Other pages below `/admin/providers/`."""

HOST = re.compile(r"[\w-]+(\.[\w-]+)*")
DIGITS_AND_DOTS = re.compile(r"[0-9.]+")
AFTER_BRACKET = re.compile(r"(:\d+)?")

NEVER_ADDED: Mapping[str, str] = {
    "model": "the gateway sets it",
    "messages": "each request brings its own",
    "stream": "each request says for itself whether it wants a stream",
    "stream_options": "it belongs to streams alone, where the gateway sets it",
    "n": "each further choice is paid for, and a request's cost is judged without knowing of it",
}
"""Fields that no provider's row may add to requests, and why."""


def may_be_read(env_var: str) -> bool:
    """Whether a credential may name this environment variable. Its value goes to an address chosen by the namer."""
    return ENV_VAR.fullmatch(env_var) is not None and env_var not in ENV_VARS_OF_OTHERS


def slug_mistake(slug: str) -> str | None:
    """What is wrong with the slug of a new provider beside its form; None when nothing is."""
    if slug not in RESERVED_SLUGS:
        return None
    return f"{slug!r} is an address of its own at /admin/providers/{slug}/: choose another."


def env_var_mistake(name: str) -> str | None:
    """What is wrong with the name of a credential's variable; None when nothing is."""
    if may_be_read(name):
        return None
    # The name stays out of the message: it may be the secret itself.
    return (
        "Use the name of a variable, not its value: capitals that end in _KEY or _TOKEN, such as OPENAI_API_KEY. "
        "The gateway's own secrets and AWS_SECRET_ACCESS_KEY cannot be used."
    )


def extra_body_mistake(fields: Mapping[str, object]) -> str | None:
    """What is wrong with the fields that a provider's row adds to requests; None when nothing is."""
    found = next((name for name in NEVER_ADDED if name in fields), None)
    return f'"{found}" cannot be added to requests: {NEVER_ADDED[found]}.' if found else None


def is_same_server(one: str, other: str) -> bool:
    """Whether two base URLs that are spelt right lead to one scheme, host and port."""
    first, second = urlsplit(one), urlsplit(other)
    usual = {"https": 443, "http": 80}
    told = [(part.scheme, part.hostname, part.port or usual.get(part.scheme)) for part in (first, second)]
    return told[0] == told[1]


def base_url_mistake(url: str) -> str | None:
    """What is wrong with a provider's address; None when nothing is. The address stays out of the message: it may carry
    a password.

    Like Django's URLValidator, but host names without a dot (compose services) are fine, and extras are not.
    """
    if re.search(r"[\s\x00-\x1f\x7f]", url):
        return "An address holds no spaces or control characters."
    try:
        address = urlsplit(url)
        port = address.port
    except ValueError:
        return "This is not an address, or its port is not one from 1 to 65535."
    mistakes = (
        (address.scheme not in ("http", "https"), "Use an http or https address, such as https://api.openai.com/v1."),
        ("@" in address.netloc, "An address carries no user name or password; add a credential instead."),
        ("?" in url or "#" in url, "An address has no query and no fragment."),
        (port == 0 or address.netloc.endswith(":"), "A port is a number from 1 to 65535."),
        (not _has_a_host(address), "The host is not a name or an IP address."),
    )
    return next((says for is_there, says in mistakes if is_there), None)


def _has_a_host(address: SplitResult) -> bool:
    host = address.hostname or ""
    try:
        if DIGITS_AND_DOTS.fullmatch(host):
            ipaddress.IPv4Address(host)  # resolvers take 2130706433 and 127.1 too, the HTTP client does not
        if address.netloc.startswith("["):
            ipaddress.IPv6Address(host)
            return AFTER_BRACKET.fullmatch(address.netloc.partition("]")[2]) is not None
        host.encode("idna")  # refuses labels of more than 63 characters, as the HTTP client would on each request
    except ValueError:
        return False
    return HOST.fullmatch(host) is not None

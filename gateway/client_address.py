"""Whose request it is, by address: the connection's, or what a trusted proxy says of it. Resolves no names.

`X-Forwarded-For` is believed only as far as trusted proxies have written it: from the right, up to the first address
that is none of theirs. What stands left of that anyone may have made up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from django.conf import settings

from analytics import networks
from analytics.networks import Address, Network
from gateway.env import EnvError

if TYPE_CHECKING:  # the settings import this module
    from django.http import HttpRequest

NOWHERE = "0.0.0.0"  # noqa: S104 - nobody's address, and nothing is bound to it


def of(meta: Mapping[str, Any]) -> Address | None:
    """The client's address; None where there is none (a unix socket) or a proxy wrote what is none."""
    trusted: tuple[Network, ...] = settings.TRUSTED_PROXIES
    found = networks.address(meta.get("REMOTE_ADDR", ""))
    forwarded: str = meta.get("HTTP_X_FORWARDED_FOR", "")
    if not forwarded or not trusted:
        return found
    for entry in reversed(forwarded.split(",")):
        if found is None or not is_within(found, trusted):
            return found
        found = networks.address(_without_port(entry.strip()))
    return found


def counted(request: HttpRequest) -> str:
    """What failures to sign in are counted for: the address, of IPv6 its /64, as whoever has one has all of that. Those
    without an address count as one."""
    found = of(request.META)
    if found is None:
        return NOWHERE
    text = str(found).partition("%")[0]
    return text if found.version == 4 else str(ip_network(f"{text}/64", strict=False).network_address)


def is_within(address: Address, among: Iterable[Network]) -> bool:
    return any(address in network for network in among)


def trusted(texts: Iterable[str]) -> tuple[Network, ...]:
    """The setting TRUSTED_PROXIES. Raises: EnvError."""
    found = []
    for text in texts:
        try:
            found.append(networks.network(text.strip()))
        except ValueError as error:
            raise EnvError(f'Environment variable "TRUSTED_PROXIES" invalid: {error}.') from None
        if found[-1].prefixlen == 0:
            raise EnvError(f'Environment variable "TRUSTED_PROXIES" invalid: {text.strip()!r} would trust everybody.')
    return tuple(found)


def _without_port(entry: str) -> str:
    """As some proxies write it: `192.0.2.7:4711`, `[2001:db8::1]:4711`."""
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry

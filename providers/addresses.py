"""Which network addresses a provider may be called at. Pure: neither resolves nor connects.

A provider that is not marked local is called at public addresses alone: its base URL must not lead into the network
the gateway stands in. No provider is called at the metadata service of a cloud, which hands out the machine's keys.
`providers.door` asks about each address at the moment it dials it.

The lists follow IANA's special-purpose address registries (RFC 6890), spelt out: what the standard library counts as
private differs between releases of Python.
"""

from __future__ import annotations

import socket
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from yarl import URL

Address = IPv4Address | IPv6Address


class Refusal(StrEnum):
    """Why an address is called for no provider, or not for this one; the value says it."""

    PRIVATE = "its address is private: mark the provider as local to allow it"
    METADATA = "its address is a cloud's metadata service, which no provider may be"


_NOT_PUBLIC_V4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this host
            "10.0.0.0/8",
            "100.64.0.0/10",  # carrier-grade NAT
            "127.0.0.0/8",
            "169.254.0.0/16",  # link-local
            "172.16.0.0/12",
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation, as the two others below
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, broadcast
        ),
    )
)
_PUBLIC_V6 = IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments, Teredo among them
            "2001:db8::/32",  # documentation, as the next
            "3fff::/20",
        ),
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
_METADATA = frozenset(
    map(
        ip_address,
        (
            "169.254.169.254",  # nearly everybody's
            "169.254.170.2",  # AWS, for containers
            "169.254.170.23",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",  # Google
            "100.100.100.200",  # Alibaba
            "168.63.129.16",  # Azure
            "192.0.0.192",  # Oracle
        ),
    )
)


def mistake(address: str, *, is_local: bool) -> Refusal | None:
    """Why a provider may not be called at this address; None when it may. `is_local`: the provider is marked local."""
    try:
        meant = _meant(ip_address(address.partition("%")[0]))
    except ValueError:
        return Refusal.PRIVATE  # no address at all: nothing we could judge
    if meant in _METADATA:
        return Refusal.METADATA
    return None if is_local or _is_public(meant) else Refusal.PRIVATE


def mistake_of_host(host: str, *, is_local: bool = False) -> Refusal | None:
    """The same for the host in a provider's base URL, when it is not resolved or by somebody else: only what can be
    told without looking it up."""
    if host.rstrip(".").lower().rpartition(".")[2] == "localhost":
        return None if is_local else Refusal.PRIVATE
    spelt = _spelt(host)
    return mistake(str(spelt), is_local=is_local) if spelt else None


def mistake_of_url(url: str, *, is_local: bool) -> Refusal | None:
    """The same for a base URL, its host read as the HTTP client reads it (１２７.0.0.1 is 127.0.0.1)."""  # noqa: RUF002
    try:
        host = URL(url).raw_host
    except ValueError:
        return None  # no address: `providers.spelling` says so
    return mistake_of_host(host, is_local=is_local) if host else None


def _spelt(host: str) -> Address | None:
    """The address that a host spells in any way resolvers take (2130706433, 0x7f.1, 127.0.0.1.); None for a name."""
    host = host.rstrip(".")
    try:
        return ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def _meant(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, else itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_V4)
    return address in _PUBLIC_V6 and not any(address in network for network in _NOT_PUBLIC_V6)

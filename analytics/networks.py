"""Networks and addresses as people write them, and as they are compared. Pure; asks no resolver."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_MAPPED = IPv6Network("::ffff:0:0/96")
_LONGEST = 64


def network(text: str) -> Network:
    """An address or a network; IPv4 written as IPv6 (`::ffff:192.0.2.1`) is IPv4.

    Raises: ValueError saying what is wrong, and which network was probably meant.
    """
    if len(text) > _LONGEST or "%" in text:
        raise ValueError(f"{text[:_LONGEST]!r} is not an address or network")
    try:
        found = ip_network(text)
    except ValueError:
        raise ValueError(_mistake(text)) from None
    if isinstance(found, IPv6Network) and found.subnet_of(_MAPPED):
        return IPv4Network((int(found.network_address) & 0xFFFF_FFFF, found.prefixlen - 96))
    return found


def address(text: str) -> Address | None:
    """The address alone, as IPv4 where it is one in IPv6's clothes; None when it is none."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def _mistake(text: str) -> str:
    try:
        meant = ip_network(text, strict=False)
    except ValueError:
        return f"{text!r} is not an address or network"
    alone = text.partition("/")[0]
    return f"{text!r} names an address within a network: write {meant} for the network, or {alone} for the address"

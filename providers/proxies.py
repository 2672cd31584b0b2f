"""Which proxy of the environment stands before an address: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in either
case. Opens no connection.

The HTTP client would read them itself, but then also `~/.netrc`, and send on what it finds there.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib import request

from yarl import URL

from providers import addresses
from providers.addresses import Refusal

_is_bypassed = request.proxy_bypass_environment  # type: ignore[attr-defined]  # NO_PROXY's rules; not in typeshed


class ProxyProblem(Exception):
    """A proxy of the environment cannot be used, or may not be for this address. The message holds no password.

    `refusal` says why no proxy may be asked for the address; None where the proxy is to blame.
    """

    def __init__(self, message: str, *, refusal: Refusal | None = None) -> None:
        super().__init__(message)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Proxy:
    url: URL
    """Without user name and password."""
    headers: Mapping[str, str] = field(repr=False)
    """What the proxy is told besides: its user name and password, if it wants any."""


class Proxies:
    """The proxies of one environment, as it was when this was made."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = dict(given)
        self.before = lru_cache(maxsize=256)(self._before)

    def __bool__(self) -> bool:
        return any(scheme != "no" for scheme in self._given)

    def mistakes(self) -> list[str]:
        """What is wrong with each that cannot be used."""
        return [mistake for scheme in self._given if scheme != "no" and (mistake := _mistake(self._given[scheme]))]

    def _before(self, address: str) -> Proxy | None:
        """The proxy before this URL; None when it is called directly. `before` remembers the answers.

        Raises: ProxyProblem.
        """
        url = URL(address)
        host = url.raw_host or ""
        given = self._given.get(url.scheme) or self._given.get("all")
        if not given or _is_bypassed(f"{host}:{url.port}", self._given):
            return None
        if refusal := addresses.mistake_of_host(host):
            raise ProxyProblem(refusal.value, refusal=refusal)
        if mistake := _mistake(given):
            raise ProxyProblem(mistake)
        return _proxy(given)


def from_environment() -> Proxies:
    return Proxies(request.getproxies_environment())


def _mistake(given: str) -> str | None:
    advice = "the environment's proxy cannot be used: give it as http://host:port"
    try:
        url = _url(given)
    except ValueError:
        return advice
    return None if url.scheme in ("http", "https") and url.host else advice


def _proxy(given: str) -> Proxy:
    url = _url(given)
    if not url.raw_user:
        return Proxy(url.with_user(None), {})
    who = b64encode(f"{url.user or ''}:{url.password or ''}".encode())
    return Proxy(url.with_user(None), {"Proxy-Authorization": f"Basic {who.decode()}"})


def _url(given: str) -> URL:
    """Many write it as `host:port`. Raises: ValueError."""
    return URL(given if "://" in given else f"http://{given}")

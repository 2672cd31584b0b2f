"""The environment's proxies: for providers outside, never for local ones, and nobody reads their passwords."""

import asyncio
import base64
import logging
import socket
import ssl
from contextlib import asynccontextmanager, suppress

import pytest
import trustme
from aiohttp import connector

from providers import door, proxies
from providers.types import FailureCause, FailureKind, ProviderError
from tests.unit.providers.peer import TIMEOUTS, running, says, whole
from tests.unit.providers.tls_peer import ANSWER, server

PASSWORD = "planted-proxy-password"
NAMES = [name for scheme in ("HTTP", "HTTPS", "ALL", "NO") for name in (f"{scheme}_PROXY", f"{scheme}_proxy".lower())]


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Sets the proxies given, and no others."""

    def set_to(**given):
        for name in NAMES:
            monkeypatch.delenv(name, raising=False)
        for name, value in given.items():
            monkeypatch.setenv(name, value)

    set_to()
    return set_to


@pytest.fixture(autouse=True)
def nobody_is_asked_for_names(monkeypatch):
    """Under `.test` there is none."""
    really = socket.getaddrinfo

    def look_up(host, *rest, **options):
        if str(host).endswith(".test"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return really(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


async def ask(url, *, is_local=False):
    async with door.opened():
        headers = {"Authorization": "Bearer sk-1"}
        return await door.get(url, headers=headers, timeouts=TIMEOUTS, is_local=is_local)


def at(proxy, *, user=""):
    return f"http://{user}127.0.0.1:{proxy.port}"


@asynccontextmanager
async def tunnel(port, *, seen):
    """A proxy that leads every CONNECT to one server, whatever host was asked for; its own port."""
    writers, ended = [], asyncio.Event()

    async def serve(reader, writer):
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        writers.extend((writer, there_writer))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))
        ended.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        for writer in writers:
            writer.transport.abort()
        await ended.wait()


async def _pump(reader, writer):
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()


async def test_a_provider_outside_is_called_through_it_by_name(environment):
    async with running(says(whole(b'"by the proxy"'))) as proxy:
        environment(HTTP_PROXY=at(proxy))
        assert (await ask("http://api.vendor.test/v1/models")).body == b'"by the proxy"'
    assert proxy.requests[0].startswith(b"GET http://api.vendor.test/v1/models HTTP/1.1\r\n")
    assert proxy.heads[0] == {"host": "api.vendor.test", "authorization": "Bearer sk-1"}


@pytest.mark.parametrize("name", ["http_proxy", "ALL_PROXY", "all_proxy"])
async def test_any_of_its_names_will_do(environment, name):
    async with running(says(whole())) as proxy:
        environment(**{name: at(proxy).removeprefix("http://")})
        assert (await ask("http://api.vendor.test/v1")).status == 200
    assert len(proxy.requests) == 1


async def test_its_user_name_and_password_are_sent_to_it_alone(environment):
    async with running(says(whole())) as proxy:
        environment(HTTP_PROXY=at(proxy, user=f"me:{PASSWORD}%21@"))
        await ask("http://api.vendor.test/v1")
    known = base64.b64encode(f"me:{PASSWORD}!".encode()).decode()
    assert proxy.heads[0]["proxy-authorization"] == f"Basic {known}"


async def test_a_provider_with_tls_is_reached_by_a_tunnel_that_does_not_see_its_credential(environment, monkeypatch):
    authority, seen = trustme.CA(), []
    trusted(authority, monkeypatch)
    with server(authority, "api.vendor.test") as url:
        async with tunnel(int(url.rpartition(":")[2].partition("/")[0]), seen=seen) as port:
            environment(HTTPS_PROXY=f"http://me:{PASSWORD}@127.0.0.1:{port}")
            assert (await ask("https://api.vendor.test/v1")).body == ANSWER
    assert seen[0].startswith(b"CONNECT api.vendor.test:443 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic " in seen[0]
    assert b"sk-1" not in seen[0]


async def test_a_local_provider_is_never_called_through_it(environment):
    async with running(says(whole())) as proxy, running(says(whole(b'"directly"'))) as local:
        environment(HTTP_PROXY=at(proxy), ALL_PROXY=at(proxy))
        assert (await ask(local.url, is_local=True)).body == b'"directly"'
    assert proxy.connections == 0


async def test_no_proxy_names_those_that_are_called_directly(environment):
    async with running(says(whole())) as proxy:
        environment(HTTP_PROXY=at(proxy), NO_PROXY="127.0.0.1,vendor.test")
        with pytest.raises(ProviderError, match="private: mark the provider as local"):
            await ask("http://127.0.0.1:9/v1")
        with pytest.raises(ProviderError, match="its host name cannot be resolved"):
            await ask("http://api.vendor.test/v1")
    assert proxy.connections == 0


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1.", "localhost", "2130706433", "0x7f.1", "[::1]", "10.0.0.1", "127。0。0。1"]
)
async def test_it_is_not_asked_for_a_private_address_either(environment, host):
    async with running(says(whole())) as proxy:
        environment(HTTP_PROXY=at(proxy))
        with pytest.raises(ProviderError, match="private") as refused:
            await ask(f"http://{host}/v1")
        assert refused.value.cause is FailureCause.PRIVATE_ADDRESS
        with pytest.raises(ProviderError, match="metadata"):
            await ask("http://169.254.169.254/latest")
    assert proxy.connections == 0


async def test_a_proxy_that_refuses_us_is_told_from_the_provider(environment):
    async with running(says(whole(status="407 Proxy Authentication Required"))) as proxy:
        environment(HTTP_PROXY=at(proxy, user=f"me:{PASSWORD}@"), HTTPS_PROXY=at(proxy, user=f"me:{PASSWORD}@"))
        for url in ("http://api.vendor.test/v1", "https://api.vendor.test/v1"):
            with pytest.raises(ProviderError, match="the proxy answered HTTP 407") as refused:
                await ask(url)
            assert (refused.value.kind, refused.value.cause) == (FailureKind.UNREACHABLE, FailureCause.PROXY)


@pytest.mark.parametrize("given", ["socks5://127.0.0.1:1080", "http://", "http://me:PASSWORD@[", "::", "ftp://a.test"])
async def test_a_proxy_that_cannot_be_used_stops_the_call_and_its_password_stays_untold(environment, given):
    environment(HTTP_PROXY=given.replace("PASSWORD", PASSWORD))
    with pytest.raises(ProviderError, match="proxy cannot be used: give it as http://host:port") as refused:
        await ask("http://api.vendor.test/v1")
    assert PASSWORD not in told(refused.value)
    assert len(proxies.from_environment().mistakes()) == 1


async def test_no_failure_tells_its_password(environment, caplog):
    async with running(says(b"nonsense\r\n\r\n")) as proxy:
        where = at(proxy, user=f"me:{PASSWORD}@")
        for given in (where, "http://me:" + PASSWORD + "@127.0.0.1:1", f"http://me:{PASSWORD}@nobody.test:80"):
            environment(HTTP_PROXY=given, HTTPS_PROXY=given)
            for url in ("http://api.vendor.test/v1", "https://api.vendor.test/v1"):
                with caplog.at_level(logging.DEBUG), pytest.raises(ProviderError) as refused:
                    await ask(url)
                assert PASSWORD not in told(refused.value)
    assert PASSWORD not in caplog.text


async def test_nobody_at_the_proxys_address(environment):
    for proxy, told_as in (
        ("http://127.0.0.1:1", "cannot connect to the proxy: "),
        ("http://nobody.test:80", "the proxy's host name cannot be resolved"),
    ):
        environment(HTTP_PROXY=proxy)
        with pytest.raises(ProviderError, match=told_as) as refused:
            await ask("http://api.vendor.test/v1")
        assert refused.value.cause is FailureCause.PROXY


async def test_a_proxy_that_lets_nobody_through_in_time_is_told_from_the_provider(environment):
    async with running(says(b"")) as proxy:
        environment(HTTPS_PROXY=at(proxy))
        soon = type(TIMEOUTS)(0.05, 2.0, 2.0, 2.0)
        with pytest.raises(ProviderError, match="timed out connecting through the proxy") as refused:
            async with door.opened():
                await door.get("https://api.vendor.test/v1", headers={}, timeouts=soon, is_local=False)
    assert (refused.value.kind, refused.value.cause) == (FailureKind.TIMEOUT, FailureCause.PROXY)


def told(error):
    """Everything a log could show of an error and of what it came from."""
    chain = []
    while error is not None:
        chain.append(f"{error} {error!r} {error.args}")
        error = error.__cause__ or error.__context__
    return "\n".join(chain)


def trusted(authority, monkeypatch):
    """Into the client's context, for what takes place in this process; the environment's way is in test_door_tls."""
    made = ssl.create_default_context()
    authority.configure_trust(made)
    monkeypatch.setattr(connector, "_SSL_CONTEXT_VERIFIED", made)

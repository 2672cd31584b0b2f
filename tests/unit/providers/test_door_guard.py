"""No provider but a local one leads into the network the gateway stands in, whatever its name resolves to.

Here 127.0.0.2 counts as public: loopback is all a test may dial.
"""

import asyncio
import socket
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import IPv4Network

import pytest

from providers import addresses, door
from providers.types import FailureCause, FailureKind, ProviderError
from tests.unit.providers.peer import TIMEOUTS, running, says, whole

pytestmark = [pytest.mark.usefixtures("no_proxies", "open_door"), pytest.mark.allow_hosts(["127.0.0.1", "127.0.0.2"])]

PRIVATE, PUBLIC = "127.0.0.1", "127.0.0.2"


@pytest.fixture
def no_proxies(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def public(monkeypatch):
    monkeypatch.setattr(addresses, "_NOT_PUBLIC_V4", (IPv4Network("127.0.0.1/32"),))


@pytest.fixture
def resolves(monkeypatch):
    """`resolves(["10.0.0.1"], ...)`: what every name resolves to, look-up for look-up; the last holds on."""

    def to(*answers):
        left = list(answers)

        def look_up(host, port, *_args, **_options):
            found = left.pop(0) if len(left) > 1 else left[0]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)

    return to


async def ask(url, *, is_local=False):
    return await door.get(url, headers={}, timeouts=TIMEOUTS, is_local=is_local)


@asynccontextmanager
async def both():
    """A server at the private and one at the public address, at the same port."""
    async with AsyncExitStack() as stack:
        private = await stack.enter_async_context(running(says(whole(b'"private"')), host=PRIVATE))
        public = await stack.enter_async_context(running(says(whole(b'"public"')), host=PUBLIC, port=private.port))
        yield private, public


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "localhost.",
        "LocalHost",
        "0.0.0.0",
        "0",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "127.0.0.1.",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::]",
        "１２７.0.0.1",  # noqa: RUF001
        "127。0。0。1",  # noqa: RUF001
    ],
)
async def test_no_spelling_of_a_private_address_gets_out(host):
    async with running(says(whole())) as peer:
        with pytest.raises(ProviderError) as refused:
            await ask(f"http://{host}:{peer.port}/v1")
        assert peer.connections == 0
    assert refused.value.kind is FailureKind.UNREACHABLE


async def test_the_refusal_says_what_to_do():
    with pytest.raises(ProviderError, match="private: mark the provider as local") as refused:
        await ask("http://127.0.0.1:9/v1")
    assert refused.value.cause is FailureCause.PRIVATE_ADDRESS
    with pytest.raises(ProviderError, match="private: mark the provider as local"):
        await door.post("http://[::1]:9/v1", body=b"", headers={}, timeouts=TIMEOUTS, is_local=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_local_provider_is_called_at_the_same_address(host):
    async with running(says(whole())) as peer:
        assert (await ask(f"http://{host}:{peer.port}/v1", is_local=True)).status == 200


@pytest.mark.parametrize("address", ["169.254.169.254", "[fd00:ec2::254]", "[::ffff:169.254.169.254]"])
@pytest.mark.parametrize("is_local", [True, False])
async def test_the_metadata_service_is_called_for_nobody(address, is_local):
    with pytest.raises(ProviderError, match="metadata service") as refused:
        await ask(f"http://{address}/latest/meta-data", is_local=is_local)
    assert refused.value.cause is FailureCause.METADATA_ADDRESS


async def test_a_name_is_judged_by_what_it_resolves_to(resolves, public):
    async with both() as (private_peer, public_peer):
        resolves([PUBLIC])
        assert (await ask(f"http://a.test:{private_peer.port}/v1")).body == b'"public"'
        resolves([PRIVATE])
        with pytest.raises(ProviderError, match="its address is private"):
            await ask(f"http://b.test:{private_peer.port}/v1")
        assert (private_peer.connections, public_peer.connections) == (0, 1)


async def test_a_name_that_turns_private_between_two_look_ups_is_refused(resolves, public):
    async with both() as (private_peer, _):
        resolves([PUBLIC], [PRIVATE])
        for expected in (None, "private"):
            async with door.opened():  # without what was looked up before
                if expected is None:
                    assert (await ask(f"http://rebinding.test:{private_peer.port}/v1")).body == b'"public"'
                else:
                    with pytest.raises(ProviderError, match="its address is private"):
                        await ask(f"http://rebinding.test:{private_peer.port}/v1")
        assert private_peer.connections == 0


@pytest.mark.parametrize("found", [[PRIVATE, PUBLIC], [PUBLIC, PRIVATE], [PRIVATE, PRIVATE, PUBLIC]])
async def test_of_several_addresses_a_private_one_is_never_dialled(resolves, public, found):
    async with both() as (private_peer, public_peer):
        resolves(found)
        url = f"http://several.test:{private_peer.port}/v1"
        bodies = {answer.body for answer in await asyncio.gather(*(ask(url) for _ in range(8)))}
        assert bodies == {b'"public"'}
        assert (private_peer.connections, public_peer.connections > 0) == (0, True)


async def test_nor_when_the_public_one_does_not_answer(resolves, public):
    async with running(says(whole()), host=PRIVATE) as private_peer:
        resolves([PUBLIC, PRIVATE])
        with pytest.raises(ProviderError) as refused:
            await ask(f"http://several.test:{private_peer.port}/v1")
        assert private_peer.connections == 0
    assert refused.value.kind is FailureKind.UNREACHABLE


async def test_a_local_providers_open_connection_is_no_way_in_for_another(resolves):
    """Both name the same address; the one marked local keeps a connection there."""
    async with running(says(whole())) as peer:
        assert (await ask(peer.url, is_local=True)).status == 200
        with pytest.raises(ProviderError, match="its address is private"):
            await ask(peer.url)
        assert len(peer.requests) == 1

"""What goes out to a provider, what is taken back, and what becomes of failures."""

import asyncio
import gzip
import logging
import socket
import zlib

import pytest

from providers import door
from providers.deadlines import within
from providers.types import FailureCause, FailureKind, ProviderError
from tests.unit.providers.peer import TIMEOUTS, running, says, whole

pytestmark = pytest.mark.usefixtures("open_door")


async def post(peer, *, body=b"{}", headers=None, timeouts=TIMEOUTS):
    return await door.post(peer.url, body=body, headers=headers or {}, timeouts=timeouts, is_local=True)


async def posted(peer, **options):
    response = await post(peer, **options)
    try:
        return await door.read(response)
    finally:
        response.release()


async def get(peer, **headers):
    return await door.get(peer.url, headers=headers, timeouts=TIMEOUTS, is_local=True)


class TestWhatGoesOut:
    async def test_the_headers_given_and_what_http_needs_are_all(self):
        async with running(says(whole())) as peer:
            await posted(peer, headers={"Authorization": "Bearer sk-1", "Content-Type": "application/json"})
            await get(peer)
        assert peer.heads[0] == {
            "host": f"127.0.0.1:{peer.port}",
            "authorization": "Bearer sk-1",
            "content-type": "application/json",
            "content-length": "2",
        }
        assert peer.heads[1] == {"host": f"127.0.0.1:{peer.port}"}

    async def test_cookies_are_not_kept(self):
        async with running(says(whole(headers="Set-Cookie: session=1; Path=/\r\n"))) as peer:
            await posted(peer)
            await posted(peer)
        assert [set(head) & {"cookie"} for head in peer.heads] == [set(), set()]

    async def test_nothing_is_read_from_netrc(self, tmp_path, monkeypatch):
        (tmp_path / ".netrc").write_text(
            "machine 127.0.0.1 login me password from-netrc\ndefault login me password no\n"
        )
        monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
        monkeypatch.setenv("HOME", str(tmp_path))
        async with running(says(whole())) as peer:
            await posted(peer)
        assert "authorization" not in peer.heads[0]

    async def test_one_connection_serves_one_request_after_the_other(self):
        async with running(says(whole())) as peer:
            for _ in range(3):
                await posted(peer)
            assert (peer.connections, len(peer.requests)) == (1, 3)


class TestGet:
    async def test_it_fetches_a_whole_answer(self):
        async with running(says(whole(b'{"data": []}', status="404 Not Found"))) as peer:
            assert await get(peer, Authorization="Bearer sk-1") == door.Fetched(
                404, b'{"data": []}', "application/json"
            )
        assert peer.requests[0].startswith(b"GET /v1 HTTP/1.1\r\n")

    async def test_it_does_not_follow_a_redirect(self):
        async with running(says(whole())) as elsewhere:
            moved = whole(status="302 Found", headers=f"Location: {elsewhere.url}\r\n")
            async with running(says(moved)) as peer:
                assert (await get(peer, Authorization="Bearer sk-1")).status == 302
            assert elsewhere.requests == []

    async def test_it_takes_less_than_an_answer_may_have(self, monkeypatch):
        monkeypatch.setattr(door, "MAX_LIST_BYTES", door.MIB)
        async with running(says(whole(b" " * (door.MIB + 1)))) as peer:
            with pytest.raises(ProviderError, match="larger than 1 MiB") as refused:
                await get(peer)
        assert refused.value.kind is FailureKind.BAD_ANSWER


MOST_SENT = 500
"""MiB that a peer sends to whoever does not stop it."""


class TestLimits:
    async def test_an_answer_may_have_as_much_as_the_limit(self, monkeypatch):
        async with running(says(whole(b" " * door.MIB))) as peer:
            response = await post(peer)
            assert len(await door.read(response, most=door.MIB)) == door.MIB
            response.release()

    async def test_a_larger_one_is_cut(self):
        async with running(says(whole(b" " * (2 * door.MIB)))) as peer:
            response = await post(peer)
            with pytest.raises(ProviderError, match="larger than 1 MiB") as refused:
                await door.read(response, most=door.MIB)
            await peer.closed.wait()
        assert (refused.value.kind, refused.value.status) == (FailureKind.BAD_ANSWER, 200)

    async def test_a_compressed_one_is_unpacked(self):
        packed = gzip.compress(b'{"a": 1}')
        async with running(says(whole(packed, headers="Content-Encoding: gzip\r\n"))) as peer:
            assert await posted(peer) == b'{"a": 1}'

    async def test_one_that_grows_when_unpacked_is_cut_long_before_its_end(self):
        sent = 0

        async def bomb(peer, writer):
            nonlocal sent
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n")
            packer = zlib.compressobj(9, zlib.DEFLATED, 31)
            while not writer.is_closing() and sent < MOST_SENT:
                data = packer.compress(bytes(door.MIB))
                sent += 1
                writer.write(data)
                await writer.drain()
                await asyncio.sleep(0)
            writer.close()  # an end, for whoever would take it all

        async with running(bomb) as peer:
            response = await post(peer)
            with pytest.raises(ProviderError, match="larger than 4 MiB"):
                await door.read(response, most=4 * door.MIB)
            await peer.closed.wait()
        assert sent < MOST_SENT

    @pytest.mark.parametrize(
        "head",
        [
            f"HTTP/1.1 200 OK\r\nX-Long: {'x' * 20_000}\r\n\r\n",
            "HTTP/1.1 200 OK\r\n" + "".join(f"X-{n}: 1\r\n" for n in range(1000)) + "\r\n",
            f"HTTP/1.1 200 {'O' * 20_000}\r\n\r\n",
        ],
        ids=["long header", "many headers", "long status line"],
    )
    async def test_headers_that_are_too_large_are_a_bad_answer(self, head):
        async with running(says(head.encode())) as peer:
            with pytest.raises(ProviderError, match="headers are too large") as refused:
                await post(peer)
        assert refused.value.kind is FailureKind.BAD_ANSWER

    async def test_headers_without_end_are_cut(self):
        async def endless(peer, writer):
            writer.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
            while not writer.is_closing():
                writer.write(b"x" * 1000)
                await writer.drain()
                await asyncio.sleep(0)

        async with running(endless) as peer:
            with pytest.raises(ProviderError) as refused:
                await post(peer)
            await peer.closed.wait()
        assert refused.value.kind is FailureKind.BAD_ANSWER

    async def test_what_is_no_http_is_a_bad_answer(self):
        async with running(says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")) as peer:
            with pytest.raises(ProviderError) as refused:
                await post(peer)
        assert refused.value.kind is FailureKind.BAD_ANSWER


class TestFailures:
    async def test_nobody_there(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
            with pytest.raises(ProviderError, match="cannot connect: ") as refused:
                await door.post(url, body=b"", headers={}, timeouts=TIMEOUTS, is_local=True)
        assert refused.value.kind is FailureKind.UNREACHABLE

    async def test_a_name_nobody_knows(self, monkeypatch):
        def unknown(*_args, **_options):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        with pytest.raises(ProviderError, match="its host name cannot be resolved"):
            await door.post("http://nobody.test/v1", body=b"", headers={}, timeouts=TIMEOUTS, is_local=False)

    @pytest.mark.parametrize("headers", [{"Authorization": "Bearer sk\r\nX-Other: 1"}, {"X": "sk\0secret"}])
    async def test_a_credential_that_cannot_be_sent(self, headers):
        async with running(says(whole())) as peer:
            with pytest.raises(ProviderError) as refused:
                await post(peer, headers=headers)
        assert str(refused.value) == "its credential cannot be used"
        assert refused.value.cause is FailureCause.UNUSABLE_CREDENTIAL
        assert peer.requests == []

    @pytest.mark.parametrize("url", ["http://2130706433/v1", "http://a..b/v1", "http://[::1/v1", "ftp://a.test/v1"])
    async def test_an_address_that_cannot_be_called(self, url):
        with pytest.raises(ProviderError, match="^its address cannot be used$") as refused:
            await door.post(url, body=b"", headers={"A": "Bearer sk"}, timeouts=TIMEOUTS, is_local=True)
        assert refused.value.kind is FailureKind.UNREACHABLE
        assert refused.value.cause is FailureCause.UNUSABLE_ADDRESS

    async def test_a_caller_may_stop_waiting_for_headers(self):
        async with running(says(b"")) as peer:
            with pytest.raises(TimeoutError), within(0.05):
                await post(peer)
            await peer.closed.wait()

    async def test_a_handshake_that_does_not_end_times_out(self):
        """Somebody accepts and says nothing: TLS never starts. The limit on connecting spans that too."""
        async with running(says(b"")) as peer:
            url = peer.url.replace("http:", "https:")
            with pytest.raises(ProviderError, match="timed out connecting") as refused:
                soon = type(TIMEOUTS)(0.05, 2.0, 2.0, 2.0)
                await door.post(url, body=b"", headers={}, timeouts=soon, is_local=True)
        assert refused.value.kind is FailureKind.TIMEOUT

    async def test_a_look_up_that_does_not_end_times_out(self, monkeypatch):
        async def never(*_args, **_options):
            await asyncio.Event().wait()

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", never)
        soon = type(TIMEOUTS)(0.05, 2.0, 2.0, 2.0)
        with pytest.raises(ProviderError, match="timed out connecting"):
            await door.post("http://slow.test/v1", body=b"", headers={}, timeouts=soon, is_local=True)

    async def test_no_failure_logs_or_tells_a_credential(self, caplog):
        async with running(says(b"nonsense\r\n\r\n")) as peer:
            with caplog.at_level(logging.DEBUG), pytest.raises(ProviderError) as refused:
                await post(peer, headers={"Authorization": "Bearer sk-planted"})
        chain = [refused.value, refused.value.__cause__]
        assert "sk-planted" not in caplog.text + "".join(map(str, chain))


async def test_outside_its_block_the_door_is_closed():
    async with door.opened():
        pass
    async with running(says(whole())) as peer:
        assert await posted(peer) == b"{}"  # the one around it is open again


async def test_a_command_in_another_thread_has_a_door_of_its_own():
    def command():
        async def look(url):
            async with door.opened():
                return await door.get(url, headers={}, timeouts=TIMEOUTS, is_local=True)

        return asyncio.run(look(peer.url))

    async with running(says(whole())) as peer:
        assert (await asyncio.to_thread(command)).status == 200
        assert await posted(peer) == b"{}"


class TestKeeping:
    """Overrides nothing of the open door above: these have one of their own."""

    async def test_connections_that_nobody_uses_are_closed_after_the_time_given(self):
        async with running(says(whole())) as peer, door.opened(keep_alive_s=0.05):
            await posted(peer)
            await asyncio.wait_for(peer.closed.wait(), 2)
            await posted(peer)
        assert peer.connections == 2

    async def test_none_is_kept_for_no_time(self):
        async with running(says(whole())) as peer, door.opened(keep_alive_s=0):
            for _ in range(3):
                await posted(peer)
        assert peer.connections == 3

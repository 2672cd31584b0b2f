"""A kept connection that the provider closed meanwhile: sent once more, on a new one, and nothing else ever is."""

import asyncio
import socket
import struct

import pytest

from providers import door
from providers.deadlines import within
from providers.types import FailureKind, ProviderError
from tests.unit.providers.peer import TIMEOUTS, running, whole

pytestmark = pytest.mark.usefixtures("open_door", "unhurried")


@pytest.fixture
def unhurried(monkeypatch):
    """A busy machine may take long over what is at once elsewhere."""
    monkeypatch.setattr(door, "STALE_WITHIN_S", 10.0)


async def post(peer, *, body=b"{}"):
    response = await door.post(peer.url, body=body, headers={}, timeouts=TIMEOUTS, is_local=True)
    try:
        return await door.read(response)
    finally:
        response.release()


def reset(writer):
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


async def close(writer):
    writer.close()


async def close_by_reset(writer):
    reset(writer)


async def close_after_a_byte(writer):
    writer.write(b"H")
    writer.close()


async def reset_after_a_byte(writer):
    writer.write(b"H")
    await writer.drain()
    reset(writer)


async def close_after_headers(writer):
    writer.write(whole(b"{}" * 50)[:-90])
    writer.close()


async def close_after_an_interim_answer(writer):
    writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
    writer.close()


async def reset_after_an_interim_answer(writer):
    writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
    await writer.drain()
    reset(writer)


def answers_then(end, *, at=2):
    """Answers each request but those from number `at` on that come over the connection of the first."""
    first = []

    async def answer(peer, writer):
        if not first:
            first.append(writer)
        if writer is first[0] and len(peer.requests) >= at:
            await end(writer)
        else:
            writer.write(whole())

    return answer


@pytest.mark.parametrize("end", [close, close_by_reset])
async def test_a_kept_connection_that_was_closed_is_replaced_and_the_request_sent_once_more(end):
    async with running(answers_then(end)) as peer:
        await post(peer)
        assert await post(peer, body=b'{"n": 2}') == b"{}"
        assert (peer.connections, len(peer.requests)) == (2, 3)
        assert peer.requests[1].endswith(b'{"n": 2}')
        assert peer.requests[2].endswith(b'{"n": 2}')


async def test_a_large_request_is_sent_once_more_as_well():
    async with running(answers_then(close_by_reset)) as peer:
        await post(peer)
        assert await post(peer, body=b"x" * 900_000) == b"{}"
        assert peer.requests[-1].endswith(b"\r\n\r\n" + b"x" * 900_000)


async def test_a_connection_closed_while_it_was_idle_costs_no_request():
    async def answer(peer, writer):
        writer.write(whole())
        await writer.drain()
        writer.close()

    async with running(answer) as peer:
        for _ in range(20):
            assert await post(peer) == b"{}"
        assert len(peer.requests) in range(20, 41)  # one more each at the very most: it may close just as we send


@pytest.mark.parametrize("end", [close, close_by_reset])
async def test_a_new_connection_that_is_closed_is_not_tried_again(end):
    async def answer(peer, writer):
        await end(writer)

    async with running(answer) as peer:
        with pytest.raises(ProviderError, match="the connection broke") as broken:
            await post(peer)
        assert (peer.connections, len(peer.requests)) == (1, 1)
    assert broken.value.kind is FailureKind.UNREACHABLE


async def test_it_is_sent_once_more_and_not_twice():
    async def answer(peer, writer):
        if len(peer.requests) == 1:
            writer.write(whole())
        else:
            writer.close()

    async with running(answer) as peer:
        await post(peer)
        with pytest.raises(ProviderError, match="the connection broke"):
            await post(peer)
        assert len(peer.requests) == 3


async def test_the_second_try_takes_no_other_kept_connection():
    """All that were kept may be stale: they were closed together."""
    kept, together = [], asyncio.Barrier(3)

    async def answer(peer, writer):
        if len(kept) < 3:
            kept.append(writer)
            await together.wait()
            writer.write(whole())
        elif writer in kept:
            writer.close()
        else:
            writer.write(whole(b'{"is": "new"}'))

    async with running(answer) as peer:
        await asyncio.gather(*(post(peer) for _ in range(3)))
        assert await post(peer) == b'{"is": "new"}'
        assert (peer.connections, len(peer.requests)) == (4, 5)


ENDS_AFTER_A_BYTE = [
    close_after_a_byte,
    reset_after_a_byte,
    close_after_headers,
    close_after_an_interim_answer,
    reset_after_an_interim_answer,
]


@pytest.mark.parametrize("end", ENDS_AFTER_A_BYTE)
async def test_after_any_byte_of_the_answer_it_is_not_sent_again(end):
    async with running(answers_then(end)) as peer:
        await post(peer)
        with pytest.raises(ProviderError, match="the connection broke"):
            await post(peer)
        assert len(peer.requests) == 2


async def test_an_interim_answer_to_an_earlier_request_is_held_against_the_connection():
    """It is not known any more whose it was; not sending twice is the safe side."""
    asked = []

    async def answer(peer, writer):
        asked.append(writer)
        if len(asked) == 1:
            writer.write(b"HTTP/1.1 102 Processing\r\n\r\n" + whole())
        else:
            writer.close()

    async with running(answer) as peer:
        assert await post(peer) == b"{}"
        with pytest.raises(ProviderError, match="the connection broke"):
            await post(peer)
        assert len(peer.requests) == 2


@pytest.mark.parametrize("end", [close, close_by_reset])
async def test_a_provider_that_may_have_been_at_work_is_not_sent_it_again(end, monkeypatch):
    monkeypatch.setattr(door, "STALE_WITHIN_S", 0.0)
    async with running(answers_then(end)) as peer:
        await post(peer)
        with pytest.raises(ProviderError, match="the connection broke") as broken:
            await post(peer)
        assert (peer.connections, len(peer.requests)) == (1, 2)
    assert broken.value.kind is FailureKind.UNREACHABLE


async def test_a_kept_connection_that_stays_silent_is_not_tried_again():
    async def silence(writer):
        pass

    async with running(answers_then(silence)) as peer:
        await post(peer)
        with pytest.raises(TimeoutError), within(0.05):
            await post(peer)
        assert len(peer.requests) == 2


async def test_a_list_is_fetched_once_more_as_well():
    async with running(answers_then(close)) as peer:
        for _ in range(2):
            assert (await door.get(peer.url, headers={}, timeouts=TIMEOUTS, is_local=True)).body == b"{}"

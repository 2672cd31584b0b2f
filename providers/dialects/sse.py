"""Cuts a stream of server-sent events, split anywhere, into complete events. Knows framing, not what events say."""

from __future__ import annotations

from providers.types import FailureKind, ProviderError

MAX_FRAME_BYTES = 16 * 1024 * 1024
END = b"\n\n"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Frames:
    """Fed with bytes as they arrive; gives back complete events, their lines ended by LF alone."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        """What came since the last complete event; joined only when an event ends, so that a large one costs no more
        than its size."""
        self._size = 0

    def feed(self, chunk: bytes, *, has_content: bool) -> bytes:
        """Takes the next bytes; returns the events that they complete, each with its blank line.

        Raises: ProviderError on an event of absurd size; what it breaks depends on whether content came before.
        """
        self._size += len(chunk)
        self._parts.append(chunk)
        if self._size <= MAX_FRAME_BYTES and not _may_end(chunk):
            return b""
        data = b"".join(self._parts)
        if b"\r" in data:  # no payload holds a bare CR or LF: JSON escapes them
            data = data.replace(b"\r\n", b"\n")
        end = data.rfind(END) + len(END) if END in data else 0
        events, rest = data[:end], data[end:]
        self._parts, self._size = [rest], len(rest)
        if len(rest) > MAX_FRAME_BYTES:
            kind = FailureKind.BROKEN_STREAM if has_content else FailureKind.BAD_ANSWER
            raise ProviderError(kind, "sent an event of more than 16 MiB")
        return events

    def rest(self) -> bytes:
        """The stream is over: its last event, where the blank line never came."""
        last, self._parts = b"".join(self._parts).replace(b"\r\n", b"\n").rstrip(b"\r\n"), []
        return last


def _may_end(chunk: bytes) -> bool:
    """Whether an event may end in these bytes: they hold a line's end right behind another, or begin with one."""
    return b"\n\n" in chunk or b"\n\r\n" in chunk or chunk[:3].lstrip(b"\r")[:1] == b"\n" or chunk[:1] == b"\r"


def data_lines_only(event: bytes) -> bytes:
    """An event without its comments, names and ids; empty when it has no data."""
    lines = event.removeprefix(_BYTE_ORDER_MARK).split(b"\n")  # one may open a stream, and is no part of it
    return b"\n".join(line for line in lines if line.startswith(b"data:"))


def payload_of(event: bytes) -> bytes:
    """What the event's data lines say together; empty when it has none."""
    return b"\n".join(line[5:].strip() for line in data_lines_only(event).split(b"\n"))

"""Cuts a stream of server-sent events, split anywhere, into complete events. Knows framing, not what events say."""

from __future__ import annotations

from providers.types import FailureKind, ProviderError

MAX_FRAME_BYTES = 16 * 1024 * 1024
END = b"\n\n"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Frames:
    """Fed with bytes as they arrive; gives back complete events, their lines ended by LF alone."""

    def __init__(self) -> None:
        self._held = bytearray()
        """What came since the last complete event, its lines ended by LF alone."""
        self._has_ended_one = False
        self._last_cr = b""
        """A CR that came last: whether it ends a line alone is not known yet."""
        self._lone_cr: bytes | None = None
        """What a CR without LF becomes, once there was one. It ends the lines of a stream whose first line it ends. In
        any other it may stand between the tokens of JSON, where a client would take it for a line's end."""

    def feed(self, chunk: bytes, *, has_content: bool) -> bytes:
        """Takes the next bytes; returns the events that they complete, each with its blank line.

        Raises: ProviderError on an event of absurd size.
        """
        if self._last_cr or b"\r" in chunk:
            chunk = self._with_lf(chunk)
        held = self._held
        # What is held has no end in it: one may be in the new bytes or at the seam, so nothing is looked at twice.
        if END in chunk or (chunk.startswith(b"\n") and held.endswith(b"\n")):
            data = bytes(held) + chunk if held else chunk
            end = data.rfind(END) + len(END)
            events, chunk = data[:end], data[end:]
            held = self._held = bytearray()
            self._has_ended_one = True
        else:
            events = b""
        if len(held) + len(chunk) > MAX_FRAME_BYTES:
            raise too_much("an event of more than 16 MiB", has_content=has_content)
        held += chunk
        return events

    def rest(self) -> bytes:
        """The stream is over: its last event, where the blank line never came."""
        last, self._held = bytes(self._held).rstrip(b"\n"), bytearray()
        return last

    def _with_lf(self, chunk: bytes) -> bytes:
        """Line ends as LF. A last CR waits for what follows it."""
        chunk = self._last_cr + chunk
        self._last_cr = b"\r" if chunk.endswith(b"\r") else b""
        chunk = chunk.removesuffix(b"\r").replace(b"\r\n", b"\n")
        if b"\r" not in chunk:
            return chunk
        if self._lone_cr is None:
            before = bytes(self._held) + chunk[: chunk.index(b"\r")]
            self._lone_cr = b" " if self._has_ended_one or b"\n" in before else b"\n"
        return chunk.replace(b"\r", self._lone_cr)


def too_much(what: str, *, has_content: bool) -> ProviderError:
    """A stream that sends more than any answer holds. What that breaks depends on whether content came before."""
    return ProviderError(FailureKind.BROKEN_STREAM if has_content else FailureKind.BAD_ANSWER, f"sent {what}")


def data_lines_only(event: bytes) -> bytes:
    """An event without its comments, names and ids; empty when it has no data."""
    lines = event.removeprefix(_BYTE_ORDER_MARK).split(b"\n")  # one may open a stream, and is no part of it
    return b"\n".join(line for line in lines if line.startswith(b"data:"))


def payload_of(event: bytes) -> bytes:
    """What the event's data lines say together; empty when it has none."""
    return b"\n".join(line[5:].strip() for line in data_lines_only(event).split(b"\n"))

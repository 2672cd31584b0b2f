"""What an answer says, as text: what is counted where its provider told no usage.

Of a stream the beginning is kept and the rest only measured, so that a long one takes no more memory than a short one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from providers.dialects import unusual_json
from providers.tokens import Text

MOST_KEPT = 256 * 1024
"""Characters of an answer that are kept."""
FOLD_BYTES = 64 * 1024
"""How much of a stream is read before its pieces are put together, and measured against what is kept."""
_UNSAID = frozenset({"id", "type"})


class Said:
    """The text of one stream. Its reader appends to `pieces`, and calls `fold` each time it has read `FOLD_BYTES`."""

    __slots__ = ("_beginning", "_chars", "pieces")

    def __init__(self) -> None:
        self.pieces: list[str] = []
        """Those that came since they were last put together; always the same list."""
        self._beginning = ""
        self._chars = 0

    @property
    def chars(self) -> int:
        """Of all that was said."""
        return self._chars + sum(map(len, self.pieces))

    def fold(self) -> None:
        text = "".join(self.pieces)
        self.pieces.clear()
        self._chars += len(text)
        self._beginning += text[: MOST_KEPT - len(self._beginning)]

    def text(self) -> Text:
        self.fold()
        return Text(self._beginning, chars=self._chars)


def of_answer(body: bytes) -> Text:
    """The text of a whole answer in OpenAI's dialect, read before."""
    return Text("".join(parts_of_answer(body)))


def parts_of_answer(body: bytes) -> Iterator[str]:
    """Its texts one by one: those of a message, its reasoning, the names and arguments of its tool calls."""
    for choice in unusual_json.decode(body)["choices"]:
        yield from _of_message(choice.get("message"))


def _of_message(message: object) -> Iterator[str]:
    if isinstance(message, dict):
        yield from texts(message.get("content"))
        # Vendors that send reasoning under two names send it twice: the first one found is counted.
        yield from texts(message.get("reasoning") or message.get("reasoning_content") or message.get("refusal"))
        yield from texts(message.get("tool_calls"))
        yield from texts(message.get("function_call"))


def texts(part: Any) -> Iterator[str]:
    """Text somewhere in a part: of a list of texts, of a tool call's name and arguments."""
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict):
        for name, value in part.items():
            if name not in _UNSAID:
                yield from texts(value)
    elif isinstance(part, list):
        for one in part:
            yield from texts(one)

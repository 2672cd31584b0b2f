"""What is kept of a request and its answer, as text: masked, then cut. Pure.

Masked first, as half a secret would be known by nothing. Of a conversation that is too long the latest turns stay.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from analytics import masking
from analytics.types import storable
from providers.dialects import said, unusual_json
from providers.tokens import Text

MOST_BYTES = 64 * 1024
"""Of a request, and of an answer, as they are stored; names, marks of what was cut and the like may add a little."""
OF_MESSAGES_BYTES = 48 * 1024
"""Of a request's; the rest is left for its other fields."""
MOST_READ = 256 * 1024
"""Characters of one text in which files are looked for, and of all texts of one room that are masked."""
LONGEST_SECRET = 4 * 1024
"""A text that is read no further ends before a space within so much, so that nothing is halved."""
_OF_SECRETS = "".join(map(chr, range(33, 127)))
_OF_NUMBERS = "0123456789 +-./()"
"""Cards and telephones are written in groups."""
DEEPEST = 32
MOST_KEY = 200
CUT = "[cut]"
LONG_NUMBER = 10**12
"""From here on a number may be a card's."""

Pause = Callable[[], None]


class Kept(msgspec.Struct, frozen=True):
    text: str
    is_cut: bool


def of_request(fields: Mapping[str, msgspec.Raw], *, pause: Pause) -> Kept:
    """A JSON object of the fields, in their order; the shortest find room first. Raises: what decoding raises."""
    messages, others = _Room(OF_MESSAGES_BYTES, pause), _Room(MOST_BYTES - OF_MESSAGES_BYTES, pause)
    kept: dict[str, Any] = {}
    for name in sorted(fields, key=lambda name: len(bytes(fields[name]))):
        if name == "messages":
            kept[name] = messages.turns(_read(fields[name]))
        elif not others.is_full():
            kept[name] = others.named(name, _read(fields[name]), depth=0)
    told = {masking.mask(name[:MOST_KEY]): kept[name] for name in fields if name in kept}
    if len(kept) < len(fields):
        told[CUT] = True
    return Kept(msgspec.json.encode(told).decode(), messages.is_cut or others.is_cut)


def of_answer(answer: bytes | Text, *, pause: Pause) -> Kept:
    """Of a whole answer's body its texts, each on a line; of a stream what was read of it. Raises: what decoding
    raises."""
    if isinstance(answer, bytes):
        answer = Text("\n".join(said.parts_of_answer(answer)))
    room = _Room(MOST_BYTES, pause, size=lambda text: len(text.encode("utf-8", "replace")))
    text = room.text(answer.beginning)
    return Kept(storable(text, most=len(text)), room.is_cut or answer.chars > len(answer.beginning))


def _read(raw: msgspec.Raw) -> Any:
    return unusual_json.decode(bytes(raw))


def _in_json(value: str | float | None) -> int:
    return len(msgspec.json.encode(value))


class _Room:
    """How much may still be kept, as it is written (`size`), and masked for that. What finds none left is cut."""

    def __init__(self, left: int, pause: Pause, *, size: Callable[[str], int] = _in_json) -> None:
        self._left = left
        self._unread = MOST_READ
        self._pause = pause
        self._size = size
        self.is_cut = False

    def turns(self, messages: Any) -> Any:
        """The latest ones, as many as there is room for, in their order."""
        if not isinstance(messages, Sequence) or isinstance(messages, str):
            return self.value(messages)
        kept = list(self._each(reversed(messages)))
        if len(kept) < len(messages):
            kept.append(f"[{len(messages) - len(kept)} earlier messages cut]")
        return kept[::-1]

    def named(self, name: str, value: Any, *, depth: int) -> Any:
        """A value under its name in an object; the name takes room as well."""
        self._left -= self._size(name[:MOST_KEY]) + len(":,")
        return self.value(value, name=name, depth=depth)

    def value(self, value: Any, *, name: str = "", depth: int = 0) -> Any:
        """A JSON value, as much of it as there is room for; `name` is its own in an object."""
        if isinstance(value, str):
            return self.text(value, name=name)
        if not isinstance(value, dict | list):
            return self._number(value, name=name)
        self._left -= len("[]")
        if depth >= DEEPEST:
            self.is_cut = True
            return self._charged(CUT)
        if isinstance(value, dict):
            return self._object(value, depth=depth)
        return list(self._each(value, name=name, depth=depth))

    def text(self, text: str, *, name: str = "") -> str:
        if (label := masking.blob(text)) is not None:
            return self._charged(label)
        read = self._begun(text, most=MOST_READ)
        told = masking.without_files(read)
        begun = self._begun(told, most=self._most_masked())
        self._unread -= len(begun)
        masked = masking.mask_value(name, begun, between=self._pause).encode("utf-8", "replace").decode()
        fitting = self._fitting(masked)
        if (read, begun, fitting) == (text, told, masked):
            return self._charged(masked)
        self.is_cut = True
        return self._charged(fitting + CUT)

    def is_full(self) -> bool:
        is_full = self._left <= 0 or self._unread <= 0
        self.is_cut = self.is_cut or is_full
        return is_full

    def _most_masked(self) -> int:
        """Beyond what there is room for nothing is masked but what may have begun before."""
        return max(min(self._left, self._unread), 0) + LONGEST_SECRET

    def _begun(self, text: str, *, most: int) -> str:
        if len(text) <= most:
            return text
        end = most - LONGEST_SECRET
        return text[:end] + text[end:most].rstrip(_OF_SECRETS).rstrip(_OF_NUMBERS)

    def _fitting(self, text: str) -> str:
        """As much of its beginning as there is room for."""
        if self._size(text) <= self._left:
            return text
        left = max(self._left, 0)
        lengths = range(min(len(text), left) + 1)
        return text[: bisect_right(lengths, left, key=lambda length: self._size(text[:length])) - 1] if left else ""

    def _charged(self, text: str) -> str:
        self._left -= self._size(text)
        return text

    def _number(self, value: Any, *, name: str) -> Any:
        kept = self._masked_number(value, name=name)
        self._left -= _in_json(kept)
        return kept

    def _masked_number(self, value: Any, *, name: str) -> Any:
        if value is None or isinstance(value, bool):
            return value
        is_long = isinstance(value, int) and abs(value) >= LONG_NUMBER
        written = CUT if is_long and abs(value) >= LONG_NUMBER**3 else str(value)
        masked = masking.mask_value(name, written) if is_long else masking.named(name, written)
        return value if masked == written != CUT else masked

    def _object(self, value: dict[str, Any], *, depth: int) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for name, one in value.items():
            if self.is_full():
                kept[CUT] = True
                break
            kept[masking.mask(name[:MOST_KEY])] = self.named(name, one, depth=depth + 1)
        return kept

    def _each(self, values: Iterator[Any] | list[Any], *, name: str = "", depth: int = 0) -> Iterator[Any]:
        for one in values:
            if self.is_full():
                return
            self._left -= len(",")
            yield self.value(one, name=name, depth=depth + 1)

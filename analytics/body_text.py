"""What is kept of a request and its answer, as text: masked, then cut. Pure.

Masked first, as half a secret would be known by nothing. Of a conversation that is too long the latest turns stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from analytics import masking
from analytics.types import storable
from providers.dialects import said, unusual_json
from providers.tokens import Text

MOST_BYTES = 64 * 1024
"""Of a request, and of an answer."""
OF_MESSAGES_BYTES = 48 * 1024
"""Of a request's; the rest is left for its other fields."""
MOST_READ = 256 * 1024
"""Characters of one text that are masked. What is longer ends before a space, so that nothing is halved."""
LONGEST_SECRET = 4 * 1024
_OF_SECRETS = "".join(map(chr, range(33, 127)))
DEEPEST = 32
MOST_KEY = 200
CUT = "[cut]"
LONG_NUMBER = 10**12
"""From here on a number may be a card's."""
_LEAST_BYTES = 4
"""That anything takes, so that a great many of nearly nothing end as well."""

Pause = Callable[[], None]


class Kept(msgspec.Struct, frozen=True):
    text: str
    is_cut: bool


def of_request(fields: Mapping[str, msgspec.Raw], *, pause: Pause) -> Kept:
    """A JSON object of the fields. Raises: what decoding raises."""
    messages, others = _Room(OF_MESSAGES_BYTES, pause), _Room(MOST_BYTES - OF_MESSAGES_BYTES, pause)
    kept = {
        name: messages.turns(_read(raw)) if name == "messages" else others.value(_read(raw), name=name)
        for name, raw in fields.items()
    }
    return Kept(msgspec.json.encode(kept).decode(), messages.is_cut or others.is_cut)


def of_answer(answer: bytes | Text, *, pause: Pause) -> Kept:
    """Of a whole answer's body its texts, each on a line; of a stream what was read of it. Raises: what decoding
    raises."""
    if isinstance(answer, bytes):
        answer = Text("\n".join(said.parts_of_answer(answer)))
    room = _Room(MOST_BYTES, pause)
    text = room.text(answer.beginning)
    return Kept(storable(text, most=len(text)), room.is_cut or answer.chars > len(answer.beginning))


def _read(raw: msgspec.Raw) -> Any:
    return unusual_json.decode(bytes(raw))


class _Room:
    """How much may still be kept. What finds none left is cut."""

    def __init__(self, left: int, pause: Pause) -> None:
        self._left = left
        self._pause = pause
        self.is_cut = False

    def turns(self, messages: Any) -> Any:
        """The latest ones, as many as there is room for, in their order."""
        if not isinstance(messages, Sequence) or isinstance(messages, str):
            return self.value(messages)
        kept = list(self._each(reversed(messages)))
        if len(kept) < len(messages):
            kept.append(f"[{len(messages) - len(kept)} earlier messages cut]")
        return kept[::-1]

    def value(self, value: Any, *, name: str = "", depth: int = 0) -> Any:
        """A JSON value, as much of it as there is room for; `name` is its own in an object."""
        self._left -= _LEAST_BYTES
        if isinstance(value, str):
            return self.text(value, name=name)
        if isinstance(value, dict | list) and depth >= DEEPEST:
            self.is_cut = True
            return CUT
        if isinstance(value, dict):
            return self._object(value, depth=depth)
        if isinstance(value, list):
            return list(self._each(value, name=name, depth=depth))
        return self._number(value)

    def text(self, text: str, *, name: str = "") -> str:
        if (label := masking.blob(text)) is not None:
            return label
        masked = masking.mask_value(name, self._read(text), between=self._pause)
        encoded = masked.encode("utf-8", "replace")
        left, self._left = max(self._left, 0), self._left - len(encoded)
        if len(encoded) <= left:
            return masked
        self.is_cut = True
        return encoded[:left].decode("utf-8", "ignore") + CUT

    def _read(self, text: str) -> str:
        if len(text) <= MOST_READ:
            return text
        self.is_cut = True
        end = MOST_READ - LONGEST_SECRET
        return text[:end] + text[end:MOST_READ].rstrip(_OF_SECRETS)

    def _number(self, value: Any) -> Any:
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) < LONG_NUMBER:
            return value
        written = str(value) if abs(value) < LONG_NUMBER**3 else CUT
        masked = masking.mask(written)
        return value if masked == str(value) else masked

    def _object(self, value: dict[str, Any], *, depth: int) -> dict[str, Any]:
        kept = {}
        for name, one in value.items():
            if self._is_full():
                kept[CUT] = True
                break
            kept[masking.mask(name[:MOST_KEY])] = self.value(one, name=name, depth=depth + 1)
            self._left -= min(len(name), MOST_KEY)
        return kept

    def _each(self, values: Iterator[Any] | list[Any], *, name: str = "", depth: int = 0) -> Iterator[Any]:
        for one in values:
            if self._is_full():
                return
            yield self.value(one, name=name, depth=depth + 1)

    def _is_full(self) -> bool:
        if self._left <= 0:
            self.is_cut = True
        return self._left <= 0

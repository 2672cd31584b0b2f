"""Where a page of a report ended, as text that whoever reads on gives back (`after`): the place, the span it was of
(`7d` is another one a minute later) and a hash of the question, as the place means nothing in another one's rows.
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from hashlib import blake2b

import msgspec
from django.core.exceptions import ValidationError

from analytics.queries.spans import Span
from analytics.types import Window

_LAST = int(datetime(2200, 1, 2, tzinfo=UTC).timestamp())


class Mark(msgspec.Struct, frozen=True, array_like=True):
    question: str
    since: str
    """As it was said; empty where nothing was."""
    until: str
    start: int
    end: int
    window: str
    number: int
    tie: str

    def span(self, asked: Span) -> Span:
        start, end = (datetime.fromtimestamp(edge, UTC) for edge in (self.start, self.end))
        calendar = Window(self.window) if self.window else None
        return msgspec.structs.replace(asked, start=start, end=end, calendar=calendar)


def hashed(question: object) -> str:
    """What tells one question from another, of anything msgspec can write; sets are written in order."""
    return blake2b(msgspec.json.encode(question, order="deterministic"), digest_size=6).hexdigest()


def written(question: str, span: Span, *, said: tuple[str | None, str | None], end: tuple[int, str]) -> str:
    since, until = (word or "" for word in said)
    window = span.calendar.value if span.calendar else ""
    mark = Mark(question, since, until, int(span.start.timestamp()), int(span.end.timestamp()), window, *end)
    return base64.urlsafe_b64encode(msgspec.json.encode(mark)).decode().rstrip("=")


def read(text: str, question: str, *, said: tuple[str | None, str | None]) -> Mark:
    """The mark of a page of this question. What is said of the span again must be what was said then.

    Raises: ValidationError.
    """
    found = _decoded(text)
    if found is None:
        raise ValidationError({"after": ["Use the `after` of the page before."]})
    again = all(word in (None, then) for word, then in zip(said, (found.since, found.until), strict=True))
    if found.question != question or not again:
        raise ValidationError(
            {"after": ["This is the `after` of another question: ask what you asked for the page before."]}
        )
    return found


def _decoded(text: str) -> Mark | None:
    try:
        found = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=Mark)
    except (ValueError, binascii.Error, msgspec.DecodeError):
        return None
    is_span = 0 < found.start < found.end < _LAST
    windows = {"", *(window.value for window in Window if window is not Window.TOTAL)}
    return found if is_span and found.window in windows else None

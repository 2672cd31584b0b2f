"""Which of the recordings are Messages traffic, and of what sort."""

from __future__ import annotations

from tests.wire import recordings
from tests.wire.recordings import MISSING, Recording

KIND = "anthropic_messages"
COUNTS = {"answers": 155, "streams": 10, "errors": 2}


class Missing(Exception):
    """The recordings are not there; says which setting names them."""


def load() -> tuple[Recording, ...]:
    """All of them, in the file's order. Raises: Missing."""
    if not (found := recordings.load(KIND)):
        raise Missing(MISSING)
    return found


def answers() -> list[Recording]:
    return [recording for recording in load() if not recording.is_error and not recording.is_stream]


def streams() -> list[Recording]:
    return [recording for recording in load() if recording.is_stream]


def errors() -> list[Recording]:
    return [recording for recording in load() if recording.is_error]

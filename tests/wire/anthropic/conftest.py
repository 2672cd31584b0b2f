"""Fixtures of the replayed Messages traffic. Tests ask for one recording at a time: each is a test of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from tests.wire.anthropic import exchanges, recordings
from tests.wire.anthropic.exchanges import STEPS, Wire
from tests.wire.anthropic.recordings import Missing
from tests.wire.recordings import Recording

KINDS: dict[str, Callable[[], list[Recording]]] = {
    "recording": lambda: list(recordings.load()),
    "answered": recordings.answers,
    "streamed": recordings.streams,
    "refused": recordings.errors,
}
"""Names a test asks by, with what it gets."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name in KINDS.keys() & set(metafunc.fixturenames):
        metafunc.parametrize(name, _found(name))
    if "step" in metafunc.fixturenames:
        metafunc.parametrize("step", STEPS)


def _found(name: str) -> list[object]:
    try:
        return [pytest.param(recording, id=recording.id) for recording in KINDS[name]()]
    except Missing as missing:
        return [pytest.param(None, id="missing", marks=pytest.mark.skip(reason=str(missing)))]


@pytest.fixture(scope="session")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    try:
        found = recordings.load()
    except Missing as missing:
        pytest.skip(str(missing))
    with exchanges.running(found, var_dir=tmp_path_factory.mktemp("replayed") / "var") as running:
        yield running


@pytest.fixture
def specification() -> None:
    if not os.environ.get("OPENAI_SPEC"):
        pytest.skip("OPENAI_SPEC is unset: it names a file with OpenAI's OpenAPI specification, as JSON")

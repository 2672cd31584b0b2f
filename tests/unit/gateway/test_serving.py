"""What `serve` and the commands beside it say and start; the server itself is a matter of the process tests."""

import logging

import pytest

from gateway import adoption, children, serving
from providers import embedded

SAID = "The embedded model answers already on port 3009; another gateway runs it."


@pytest.fixture
def elsewhere(monkeypatch):
    """The embedded model, run by another gateway."""
    monkeypatch.setattr(adoption, "embedded_port", lambda: 3009)
    monkeypatch.setattr(embedded, "is_installed", lambda: True)
    monkeypatch.setattr(embedded, "answers", lambda port: port == 3009)
    monkeypatch.setattr(children.Crew, "start", lambda *_: pytest.fail("nothing is to be started"))


def test_a_command_uses_a_model_that_runs_without_a_word(elsewhere, caplog):
    with caplog.at_level(logging.INFO), serving.embedded_model():
        pass
    assert caplog.messages == []


def test_a_server_says_that_it_uses_one(elsewhere, caplog):
    with caplog.at_level(logging.INFO), serving.crew(grace_s=0) as helpers:
        serving._start_model(helpers, port=3009)
    assert caplog.messages == [SAID]

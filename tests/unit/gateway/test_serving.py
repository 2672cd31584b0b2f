"""What `serve` and the commands beside it say and start; the server itself is a matter of the process tests."""

import logging
import socket

import pytest

from gateway import adoption, children, serving
from providers import embedded, places

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


def test_of_two_that_took_a_port_before_either_listened_the_second_is_told_that_it_is_taken():
    with serving.bind("127.0.0.1", 0) as first, socket.socket() as second:
        port = first.getsockname()[1]
        second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        second.bind(("127.0.0.1", port))
        first.listen()
        with pytest.raises(serving.StartError, match=f"Port {port} is taken: stop the program that listens there"):
            serving._run_server(serving.Options(port=port), listener=second)


def test_a_worker_takes_its_share_of_what_providers_take_at_once(monkeypatch):
    monkeypatch.setattr(places, "_workers", 1)
    monkeypatch.setattr("uvicorn.Config.load", lambda config: None)
    serving._WorkerConfig("nothing:at_all", workers=4).load()
    assert places._workers == 4

"""The thread that writes what became of circuits: at its end it has tried all there is, and in order."""

import threading
import time

import pytest
from django.db import OperationalError

from routing import transitions
from routing.circuit import Circuit, State
from routing.models import CircuitTransition
from tests.unit.routing.processes import M


def row(at):
    return transitions.row(M, None, Circuit("p", State.OPEN, since=at, until=at + 5, cause="timeout"), at=at)


class Connection:
    """Closing waits for `may_close`."""

    def __init__(self):
        self.is_closing, self.may_close = threading.Event(), threading.Event()
        self.may_close.set()

    def close(self):
        self.is_closing.set()
        self.may_close.wait(5)


@pytest.fixture
def connection(monkeypatch):
    connection = Connection()
    monkeypatch.setattr(transitions, "connection", connection)
    return connection


@pytest.fixture
def database(monkeypatch):
    """What was written; refuses while `is_away`."""

    class Database(list):
        is_away, tried = False, 0

        def bulk_create(self, rows):
            self.tried += 1
            if self.is_away:
                raise OperationalError("gone")
            self.extend(rows)

    database = Database()
    monkeypatch.setattr(CircuitTransition.objects, "bulk_create", database.bulk_create)
    return database


def wait_for(what):
    deadline = time.monotonic() + 5
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_stopped_between_two_tries_it_tries_once_more(database, connection):
    writer = transitions.Writer(again_s=60.0)
    database.is_away = True
    writer.start()
    writer.add(row(1e9))
    wait_for(lambda: database.tried)
    database.is_away = False
    assert writer.stop(timeout_s=5)
    assert (len(database), database.tried) == (1, 2)


def test_with_the_database_away_it_does_not_try_twice_at_its_end(database, connection):
    writer = transitions.Writer(again_s=60.0)
    writer.start()
    wait_for(lambda: not writer._is_wanted.is_set())
    database.is_away = True
    writer._stopping.set()  # as `stop` does, before the thread is told of a row
    writer.add(row(1e9))
    assert not writer.stop(timeout_s=5)
    assert database.tried == 1


def test_a_row_that_comes_while_others_are_written_is_written_too(database, connection):
    writer = transitions.Writer()
    connection.may_close.clear()
    writer.start()
    writer.add(row(1e9))
    assert connection.is_closing.wait(5)
    writer.add(row(1e9 + 1))
    threading.Timer(0.05, connection.may_close.set).start()
    assert writer.stop(timeout_s=5)
    assert len(database) == 2


def test_what_could_not_be_written_stays_in_order(database, connection):
    writer = transitions.Writer()
    database.is_away = True
    for second in range(3):
        writer.add(row(1e9 + second))
    assert not writer.write()
    writer.add(row(1e9 + 3))
    database.is_away = False
    assert writer.write()
    assert [one.at.timestamp() for one in database] == [1e9, 1e9 + 1, 1e9 + 2, 1e9 + 3]

"""SQLite's file, deleted, moved or replaced while it is open."""

import pytest
from django.db import OperationalError
from django.db.utils import ConnectionHandler

from providers import sqlite_file

pytestmark = pytest.mark.django_db  # for the connections made here


@pytest.fixture
def path(tmp_path):
    return tmp_path / "db.sqlite3"


@pytest.fixture
def database(path):
    """A connection that is open."""
    opened = ConnectionHandler({"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": path}})["default"]
    opened.ensure_connection()
    opened.cursor().execute("CREATE TABLE there (is_here)")
    yield opened
    opened.close()


def test_one_that_is_there_passes(database):
    sqlite_file.require(database)


def test_a_deleted_one_does_not(database, path):
    path.unlink()
    with pytest.raises(OperationalError, match="was deleted, moved or replaced"):
        sqlite_file.require(database)


def test_nor_does_one_that_was_replaced(database, path, tmp_path):
    (tmp_path / "other").write_bytes(path.read_bytes())
    (tmp_path / "other").rename(path)
    with pytest.raises(OperationalError):
        sqlite_file.require(database)


def test_opened_anew_the_one_in_its_place_passes(database, path, tmp_path):
    (tmp_path / "other").write_bytes(path.read_bytes())
    (tmp_path / "other").rename(path)
    database.close()
    sqlite_file.require(database)
    database.ensure_connection()
    sqlite_file.require(database)


def test_a_missing_one_is_not_made(database, path):
    database.close()
    path.unlink()
    with pytest.raises(OperationalError):
        sqlite_file.require(database)
    assert not path.exists()


def test_of_one_that_was_never_there_it_is_said_how_to_make_it(path):
    never = ConnectionHandler({"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": path.with_name("never")}})
    with pytest.raises(OperationalError, match="there is no database at .*never: run"):
        sqlite_file.require(never["default"])


def test_one_in_memory_passes():
    handler = ConnectionHandler({"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})
    sqlite_file.require(handler["default"])

"""Fixtures every test may use: two projects with their keys, a configuration, a spool, a scripted upstream."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import DEFAULT_DB_ALIAS, transaction
from django.test.utils import setup_databases, teardown_databases
from hypothesis import HealthCheck, settings
from pytest_django import DjangoDbBlocker

from analytics import keys
from analytics.counters.sqlite_store import SqliteStore
from analytics.models import ApiKey, Project
from analytics.spool import Spool
from providers import door
from providers.models import Model, Price, Provider
from providers.types import Unit
from routing import snapshot
from routing.models import Candidate, Layer, Policy
from tests.upstream import process
from tests.upstream.process import RunningUpstream

# Without bytecode every worker, and every process that a test starts, compiles all it imports: a quarter of the suite's
# time. Who wants none beside the sources (PYTHONDONTWRITEBYTECODE) has it in pytest's cache.
if sys.dont_write_bytecode:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.pycache_prefix = str(Path(__file__).parents[1] / ".pytest_cache" / "bytecode")
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix
    sys.dont_write_bytecode = False

# What lives long here, thousands of tests and all modules, lives to the end: looking through it for garbage took a
# tenth of the workers' time. It is done at every hundredth occasion, not every tenth, and by pytest at the end.
gc.set_threshold(*gc.get_threshold()[:2], 100)

# How fast inputs are drawn is the machine's business: on a busy one this check failed tests that had found nothing.
settings.register_profile("any machine", suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


WrittenOnce = Callable[[Callable[[], Any]], Any]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On PostgreSQL runs what touches a database, unless it says that any will do. All else says there what it says on
    SQLite."""
    if os.environ.get("TEST_DATABASE") == "postgres":
        config.hook.pytest_deselected(items=[item for item in items if not _touches_a_database(item)])
        items[:] = [item for item in items if _touches_a_database(item)]


def _touches_a_database(item: pytest.Item) -> bool:
    fixtures = set(getattr(item, "fixturenames", ()))
    touches = item.get_closest_marker("django_db") is not None or "django_db_setup" in fixtures
    return touches and item.get_closest_marker("any_database") is None


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None,
    django_db_modify_db_settings: None,
    django_db_blocker: DjangoDbBlocker,
    django_db_keepdb: bool,
    django_db_createdb: bool,
) -> Iterator[None]:
    """The test database, for whoever asks for it: pytest-django's own makes it only where a test is marked as one that
    uses it, and those that commit for real, through connections of their own, are not."""
    with django_db_blocker.unblock():
        made = setup_databases(
            verbosity=0,
            interactive=False,
            aliases={DEFAULT_DB_ALIAS},
            serialized_aliases=(),
            keepdb=django_db_keepdb and not django_db_createdb,
        )
    yield
    if not django_db_keepdb:
        with django_db_blocker.unblock():
            teardown_databases(made, verbosity=0)


_opened: list[SqliteStore] = []
_opens = SqliteStore.__init__


def _open_and_note(store: SqliteStore, *args: Any, **fields: Any) -> None:
    _opens(store, *args, **fields)
    _opened.append(store)


SqliteStore.__init__ = _open_and_note  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def _counters_closed() -> Iterator[None]:
    """Files of counters that a test opened are closed behind it: three descriptors each, in thousands of tests, are
    more than many systems let a process have."""
    yield
    while _opened:
        _opened.pop().close()


@dataclass(frozen=True)
class Tenant:
    """A project with one key."""

    project: Project
    key: ApiKey
    secret: str


@pytest.fixture
def ours(db: None) -> Tenant:
    return _tenant(Project.objects.get(slug="default"))


@pytest.fixture
def theirs(db: None) -> Tenant:
    """A second tenant, always there to be kept out."""
    return _tenant(Project.objects.create(slug="theirs", name="Theirs"))


def _tenant(project: Project) -> Tenant:
    made = keys.create("first", actor="tests", project=project)
    return Tenant(project, made.row, made.secret)


@pytest.fixture
def layers(db: None) -> dict[str, Model]:
    """Four layers with one model each, `m0` (free) to `m3`, at one local provider; by layer name.

    Made in bulk, which the audit trail does not follow: row by row they took ten times as long, in hundreds
    of tests.
    """
    [provider] = Provider.objects.bulk_create(
        [Provider(slug="up", name="Upstream", base_url="http://127.0.0.1:1/v1", is_local=True, needs_credential=False)]
    )
    rows = Layer.objects.bulk_create(
        Layer(name=f"L{position}", position=position, from_score=position / 4) for position in range(4)
    )
    models = Model.objects.bulk_create(
        Model(provider=provider, name=f"m{row.position}", tools=True, json_schema=True) for row in rows
    )
    Price.objects.bulk_create(
        Price(model=model, unit=unit, usd_per_unit=Decimal("0.000001") * position)
        for position, model in enumerate(models)
        for unit in (Unit.INPUT, Unit.OUTPUT)
    )
    Candidate.objects.bulk_create(
        Candidate(layer=layer, model=model) for layer, model in zip(rows, models, strict=True)
    )
    Policy.objects.bulk_create([Policy(default_layer=rows[1])])
    return {layer.name: model for layer, model in zip(rows, models, strict=True)}


@pytest.fixture(scope="module")
def written_once(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[WrittenOnce]:
    """For a module's own fixtures: `written_once(make)` gives what `make` gives, and keeps the rows it wrote until the
    module's last test. Each test finds them as they were written, as its own transaction becomes a savepoint.

    A test that asks for no such rows finds them nevertheless once another has; one that writes through a second
    connection waits for them in vain: neither belongs into the module.
    """

    def write(make: Callable[[], Any]) -> Any:
        with django_db_blocker.unblock():
            return make()

    around = transaction.atomic()
    with django_db_blocker.unblock():
        around.__enter__()
    yield write
    with django_db_blocker.unblock():
        transaction.set_rollback(True)
        around.__exit__(None, None, None)


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningUpstream]:
    """A scripted upstream in a process of its own."""
    with process.running(log=tmp_path_factory.mktemp("vendor") / "log.jsonl") as running:
        yield running


@pytest.fixture
async def open_door() -> AsyncIterator[None]:
    """The way out to providers, open for one test."""
    async with door.opened():
        yield


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """A spool of its own for one test; nobody drains it."""
    spool = Spool(tmp_path)
    yield spool
    spool.close()


@pytest.fixture(autouse=True)
def no_snapshot_left() -> Iterator[None]:
    yield
    snapshot.forget()

"""Fixtures of the process tests: an installation to copy, a scripted upstream, a running gateway.

A module that wants its gateway with other settings overrides `gateway_env`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process import gateway_process
from tests.process.gateway_process import Gateway, Installation
from tests.process.postgres_process import shared_database
from tests.upstream import process as upstream_process
from tests.upstream.process import RunningUpstream


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Set up once; tests get copies."""
    return Installation(var_dir=tmp_path_factory.mktemp("template") / "var").set_up()


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningUpstream]:
    with upstream_process.running(log=tmp_path_factory.mktemp("upstream") / "upstream.jsonl") as running:
        yield running


@pytest.fixture(scope="module")
def gateway_env() -> dict[str, str]:
    return {}


@pytest.fixture(scope="module")
def gateway(
    template: Installation,
    upstream: RunningUpstream,
    gateway_env: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gateway]:
    """One server for all tests of a module."""
    installation = template.copy(tmp_path_factory.mktemp("gateway") / "var", upstream=upstream.url)
    with gateway_process.start(installation, env=gateway_env) as running:
        yield running


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def installed(
    request: pytest.FixtureRequest,
    template: Installation,
    upstream: RunningUpstream,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Installation]:
    """An installation over SQLite, and one over PostgreSQL: every test runs with both."""
    var_dir = tmp_path_factory.mktemp("installed") / "var"
    if request.param == "sqlite":
        yield template.copy(var_dir, upstream=upstream.url)
        return
    with shared_database() as url:
        yield Installation(var_dir=var_dir, database_url=url).set_up().pointed_at(upstream.url)


@pytest.fixture
def installation(template: Installation, upstream: RunningUpstream, tmp_path: Path) -> Installation:
    """One of its own for a test that starts its servers itself."""
    return template.copy(tmp_path / "var", upstream=upstream.url)


@pytest.fixture(autouse=True)
def log_of_the_shared_gateway(request: pytest.FixtureRequest) -> Iterator[None]:
    """pytest shows what is printed here with a test that failed."""
    running = request.getfixturevalue("gateway") if "gateway" in request.fixturenames else None
    yield
    if running is not None:
        print(f"--- {running.log.name} ---\n{running.log_tail()}")

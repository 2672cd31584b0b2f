"""Fixtures of the client tests: a gateway with both dialects in front of one strict scripted upstream."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process import gateway_process
from tests.process.clients.rows import CREDENTIAL_ENV, PROVIDERS
from tests.process.gateway_process import Gateway, Installation
from tests.upstream import process as upstream_process
from tests.upstream.process import RunningUpstream

CATALOG = Path(__file__).with_name("catalog.toml")


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    var_dir = tmp_path_factory.mktemp("clients_template") / "var"
    return Installation(var_dir=var_dir).set_up(catalog=CATALOG)


@pytest.fixture(scope="session")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningUpstream]:
    log = tmp_path_factory.mktemp("upstream") / "upstream.jsonl"
    with upstream_process.running(log=log, strict=True) as running:
        yield running


@pytest.fixture(scope="session")
def gateway(
    template: Installation, upstream: RunningUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """One server for all these modules: none of them changes what another would see."""
    installation = template.copy(tmp_path_factory.mktemp("clients") / "var", upstream=upstream.url)
    with gateway_process.start(installation, env={CREDENTIAL_ENV: "scripted"}) as running:
        yield running


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> str:
    """Slug of the provider to ask: a test runs once for each dialect."""
    return str(request.param)

"""What the gateway stands on goes away while it runs: the database, the disk, or the gateway's own time."""

from __future__ import annotations

import resource
import shutil
import signal
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Protocol

import httpx
import pytest

from tests.process import gateway_process
from tests.process.gateway_process import NO_TLS, Gateway, Installation, eventually
from tests.process.postgres_process import OwnPostgres, own_postgres
from tests.upstream.answers import words
from tests.upstream.process import RunningUpstream

pytestmark = pytest.mark.process

BACK_S = 20.0
"""How long rows may take after an outage, at most: tests/process/test_restored.py has how long they do."""


def new_nonce() -> str:
    return uuid.uuid4().hex


def chat(gateway: Gateway, nonce: str, *, script: str = "ok", **fields: Any) -> httpx.Response:
    body = {"model": "cheap", "messages": [{"role": "user", "content": f"#!{script}\n{nonce}"}], **fields}
    return httpx.post(
        gateway.chat_url, headers=gateway.headers() | {"X-Session-Id": nonce}, json=body, timeout=30, verify=NO_TLS
    )


@contextmanager
def streamed(gateway: Gateway, nonce: str, *, script: str) -> Iterator[Iterator[str]]:
    """A streamed answer as its pieces come."""
    body = {"model": "cheap", "messages": [{"role": "user", "content": f"#!{script}\n{nonce}"}], "stream": True}
    headers = gateway.headers() | {"X-Session-Id": nonce}
    with httpx.stream("POST", gateway.chat_url, headers=headers, json=body, timeout=30) as response:
        assert response.status_code == 200
        yield response.iter_text()


def assert_not_called(upstream: RunningUpstream, nonce: str) -> None:
    assert [request for request in upstream.requests() if nonce in (request.body or "")] == []


def status_of(gateway: Gateway) -> tuple[int, str]:
    answer = gateway.readiness()
    return answer.status_code, answer.json()["status"]


class Database(Protocol):
    """A database that can be taken away."""

    installation: Installation

    def take_away(self) -> None: ...

    def bring_back(self) -> None: ...


class Sqlite:
    """Its tables get other names, so that every query fails: root may read any file, whatever its mode says."""

    TABLES = ("providers_configversion", "analytics_usagerecord")

    def __init__(self, installation: Installation) -> None:
        self.installation = installation

    def take_away(self) -> None:
        self.installation.execute_all(*(f"ALTER TABLE {name} RENAME TO {name}_away" for name in self.TABLES))

    def bring_back(self) -> None:
        if self.installation.execute("SELECT 1 FROM sqlite_master WHERE name LIKE '%_away'"):
            self.installation.execute_all(*(f"ALTER TABLE {name}_away RENAME TO {name}" for name in self.TABLES))


class Postgres:
    """Its server is stopped."""

    def __init__(self, installation: Installation, server: OwnPostgres) -> None:
        self.installation = installation
        self._server = server

    def take_away(self) -> None:
        self._server.stop()

    def bring_back(self) -> None:
        self._server.start()


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def one_database(
    request: pytest.FixtureRequest,
    template: Installation,
    upstream: RunningUpstream,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Database]:
    var_dir = tmp_path_factory.mktemp("outages") / "var"
    if request.param == "sqlite":
        yield Sqlite(template.copy(var_dir, upstream=upstream.url))
        return
    with own_postgres() as server:
        installation = Installation(var_dir=var_dir, database_url=server.url).set_up().pointed_at(upstream.url)
        yield Postgres(installation, server)


@pytest.fixture
def database(one_database: Database) -> Iterator[Database]:
    yield one_database
    one_database.bring_back()


class TestTheDatabaseGoesAway:
    def test_requests_go_on_and_their_rows_arrive_once_it_is_back(self, database: Database) -> None:
        with gateway_process.start(database.installation) as gateway:
            database.take_away()
            eventually(lambda: status_of(gateway) == (200, "degraded"), what="degraded", within_s=BACK_S)
            nonces = [new_nonce() for _ in range(4)]
            answers = [chat(gateway, nonce, stream=number % 2 == 1) for number, nonce in enumerate(nonces)]
            assert [answer.status_code for answer in answers] == [200] * 4
            assert_knows_its_callers(gateway)
            assert status_of(gateway) == (200, "degraded")
            database.bring_back()
            rows = [database.installation.row_of(nonce, within_s=BACK_S) for nonce in nonces]
            assert {row.outcome for row in rows} == {"ok"}
            eventually(lambda: status_of(gateway) == (200, "ready"), what="ready again", within_s=BACK_S)

    def test_a_configuration_that_is_too_old_serves_nobody(self, database: Database, upstream: RunningUpstream) -> None:
        with gateway_process.start(database.installation, env={"SNAPSHOT_MAX_AGE_S": "1"}) as gateway:
            database.take_away()
            eventually(lambda: gateway.readiness().status_code == 503, what="not ready", within_s=BACK_S)
            refused = chat(gateway, nonce := new_nonce())
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "snapshot_stale")
            assert int(refused.headers["Retry-After"]) > 0
            assert_not_called(upstream, nonce)
            database.bring_back()
            eventually(lambda: chat(gateway, new_nonce()).status_code == 200, what="an answer", within_s=BACK_S)

    def test_a_server_that_stops_meanwhile_leaves_its_rows_to_the_next(self, database: Database) -> None:
        nonce = new_nonce()
        with gateway_process.start(database.installation) as gateway:
            database.take_away()
            assert chat(gateway, nonce).status_code == 200
            assert gateway.stop() == 0
        database.bring_back()
        with gateway_process.start(database.installation):
            assert database.installation.row_of(nonce, within_s=BACK_S).outcome == "ok"
        assert database.installation.spool_folders == []


def assert_knows_its_callers(gateway: Gateway) -> None:
    stranger = httpx.get(f"{gateway.url}/v1/models", headers={"Authorization": "Bearer agw_unknown"})
    assert stranger.status_code == 401
    assert httpx.get(f"{gateway.url}/v1/models", headers=gateway.headers()).status_code == 200


class TestTheSqliteFile:
    def test_it_may_be_moved_away_and_back(self, gateway: Gateway) -> None:
        installation, nonce = gateway.installation, new_nonce()
        elsewhere = installation.var_dir / "elsewhere"
        elsewhere.mkdir()
        files = list(installation.var_dir.glob("gateway.sqlite3*"))
        for file in files:
            file.rename(elsewhere / file.name)
        assert chat(gateway, nonce).status_code == 200
        assert status_of(gateway)[0] == 200
        for file in files:
            (elsewhere / file.name).rename(file)
        assert installation.row_of(nonce).outcome == "ok"

    def test_rows_wait_for_a_deleted_one_until_there_is_one_again(self, installation: Installation) -> None:
        nonce, file = new_nonce(), installation.database_file
        with gateway_process.start(installation) as gateway:
            assert chat(gateway, before := new_nonce()).status_code == 200
            assert installation.row_of(before).outcome == "ok"
            with closing(sqlite3.connect(file)) as live, closing(sqlite3.connect(file.with_name("backup"))) as backup:
                live.backup(backup)
            for part in installation.var_dir.glob("gateway.sqlite3*"):
                part.unlink()
            assert chat(gateway, nonce).status_code == 200
            eventually(lambda: status_of(gateway)[1] == "degraded", what="degraded", within_s=BACK_S)
            assert gateway.stop() == 0
        file.with_name("backup").replace(file)
        with gateway_process.start(installation):
            assert installation.row_of(nonce, within_s=BACK_S).outcome == "ok"
        assert installation.spool_folders == []

    def test_another_program_may_hold_its_lock(self, gateway: Gateway) -> None:
        nonces = [new_nonce() for _ in range(3)]
        with closing(sqlite3.connect(gateway.installation.database_file, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            assert [chat(gateway, nonce).status_code for nonce in nonces] == [200] * 3
            assert {row.session for row in gateway.installation.rows()}.isdisjoint(nonces)
            other.execute("ROLLBACK")
        assert {gateway.installation.row_of(nonce, within_s=BACK_S).outcome for nonce in nonces} == {"ok"}


class TestTheDisk:
    def test_a_deleted_spool_folder_loses_nothing(self, gateway: Gateway) -> None:
        nonce = new_nonce()
        with streamed(gateway, nonce, script="chunks=20;delay_ms=50") as pieces:
            next(pieces)
            shutil.rmtree(gateway.installation.var_dir / "spool")
            "".join(pieces)
        assert chat(gateway, after := new_nonce()).status_code == 200
        rows = [gateway.installation.row_of(one, within_s=BACK_S) for one in (nonce, after)]
        assert [row.outcome for row in rows] == ["ok", "ok"]
        assert gateway.readiness().status_code == 200

    def test_where_no_spool_folder_can_be_made_no_model_is_called(
        self, installation: Installation, upstream: RunningUpstream
    ) -> None:
        with gateway_process.start(installation) as gateway:
            shutil.rmtree(installation.var_dir / "spool")
            (installation.var_dir / "spool").write_text("in the way")
            eventually(lambda: gateway.readiness().status_code == 503, what="not ready", within_s=BACK_S)
            assert_refused_unspent(gateway, upstream)

    @pytest.mark.parametrize("room", [0, 100], ids=["no_room", "room_for_half_a_line"])
    def test_on_a_full_disk_no_model_is_called_and_afterwards_all_is_well(
        self, gateway: Gateway, upstream: RunningUpstream, room: int
    ) -> None:
        assert chat(gateway, before := new_nonce()).status_code == 200
        with full_disk(gateway, room=room):
            assert_refused_unspent(gateway, upstream)
            assert_refused_unspent(gateway, upstream)
        assert chat(gateway, after := new_nonce()).status_code == 200
        rows = [gateway.installation.row_of(nonce, within_s=BACK_S) for nonce in (before, after)]
        assert [row.outcome for row in rows] == ["ok", "ok"]
        assert not (gateway.installation.var_dir / "spool" / "rejected.jsonl").exists()

    def test_a_full_disk_makes_the_server_not_ready(self, gateway: Gateway) -> None:
        with full_disk(gateway, room=0):
            assert gateway.readiness().status_code == 503
            assert "spool not writable" in gateway.readiness().json()["reasons"]
        assert gateway.readiness().status_code == 200

    def test_a_stream_under_way_when_it_fills_is_accounted_for(self, gateway: Gateway) -> None:
        nonce = new_nonce()
        with streamed(gateway, nonce, script="chunks=20;delay_ms=10") as pieces:
            text = next(pieces)
            with full_disk(gateway, room=0):
                text += "".join(pieces)
        assert text.endswith("data: [DONE]\n\n")
        assert gateway.installation.row_of(nonce, within_s=BACK_S).outcome == "ok"


def assert_refused_unspent(gateway: Gateway, upstream: RunningUpstream) -> None:
    for stream in (False, True):
        refused = chat(gateway, nonce := new_nonce(), stream=stream)
        assert refused.status_code == 503, refused.text
        assert refused.json()["error"]["code"] == "spool_not_writable"
        assert_not_called(upstream, nonce)


@contextmanager
def full_disk(gateway: Gateway, *, room: int) -> Iterator[None]:
    """The kernel lets no file of that process grow beyond its spool's size and `room` bytes: as a full disk would."""
    size = max(path.stat().st_size for path in gateway.installation.var_dir.glob("spool/*/*.jsonl"))
    _, hard = resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (size + room, hard))
    try:
        yield
    finally:
        resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (hard, hard))


class TestTheServerIsStopped:
    def test_a_stream_under_way_is_finished(self, installation: Installation) -> None:
        nonce = new_nonce()
        with gateway_process.start(installation) as gateway:
            with streamed(gateway, nonce, script="chunks=20;delay_ms=50") as pieces:
                text = next(pieces)
                gateway.process.send_signal(signal.SIGTERM)
                text += "".join(pieces)
            assert gateway.process.wait(gateway_process.STOP_S) == 0
        assert all(f'"content":"{word}' in text or f'"content":" {word}' in text for word in words(20).split())
        assert text.endswith("data: [DONE]\n\n")
        assert installation.row_of(nonce).outcome == "ok"
        assert installation.spool_folders == []

    def test_a_stream_that_does_not_end_is_cut_and_settled(
        self, installation: Installation, upstream: RunningUpstream
    ) -> None:
        nonce = new_nonce()
        with gateway_process.start(installation, env={"STOP_GRACE_S": "0.5"}) as gateway:
            with streamed(gateway, nonce, script="chunks=1000;delay_ms=50") as pieces:
                next(pieces)
                gateway.process.send_signal(signal.SIGTERM)
                rest = "".join(pieces)
            assert '"code":"stopping"' in rest
            assert "[DONE]" not in rest
            assert gateway.process.wait(gateway_process.STOP_S) == 0
            assert "Open requests: 1 took longer than STOP_GRACE_S and are cut off" in gateway.log_tail()
            assert " ERROR " not in gateway.log_tail()
        assert installation.row_of(nonce).outcome == "interrupted"
        assert installation.spool_folders == []
        [seen] = [request for request in upstream.requests() if nonce in (request.body or "")]
        assert upstream.end_of(seen).how == "client_left"

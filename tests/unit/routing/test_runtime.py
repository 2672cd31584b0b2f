"""The end of a process: its spool goes when everything reached the ledger, and stays for the next one when not."""

import logging
import time
from types import SimpleNamespace

import pytest

from analytics import drainer
from analytics.drainer import Drainer
from analytics.models import UsageRecord
from analytics.spool import Spool
from routing import runtime, snapshot
from tests.unit.analytics.test_ledger import opened_line, usage_row

pytestmark = pytest.mark.django_db


@pytest.fixture
def own(tmp_path):
    return Spool(tmp_path)


@pytest.fixture
def stop(own, tmp_path, settings, monkeypatch, caplog):
    """Stops the ledger of a process with that spool as `running` does."""
    caplog.set_level(logging.CRITICAL, logger="routing.runtime")
    # The transaction of the test is open on the connection that the drainer would close.
    monkeypatch.setattr(drainer, "connection", SimpleNamespace(close=lambda: None))
    settings.SPOOL_DIR, settings.COUNTERS_FILE = tmp_path, tmp_path.with_name("counters.sqlite3")
    made = runtime._made()
    made.spool.remove()
    made.spool, made.drainer = own, Drainer(own, root=tmp_path, every_s=60)
    made.drainer.start()
    return lambda: runtime._stop_ledger(made)


def test_with_everything_in_the_ledger_the_folder_goes(own, stop, tmp_path):
    row = usage_row()
    own.opened(opened_line(id=row.id))
    own.settled(row)
    stop()
    assert (list(tmp_path.iterdir()), UsageRecord.objects.get().id) == ([], row.id)


def test_with_a_request_still_open_it_stays_and_the_next_process_settles_it(own, stop, tmp_path):
    line = opened_line()
    own.opened(line)
    stop()
    assert UsageRecord.objects.count() == 0
    assert drainer.replay_abandoned(tmp_path) == 1
    assert UsageRecord.objects.values_list("id", "outcome").get() == (line.id, "interrupted")


async def test_it_runs_once_the_configuration_was_looked_at(tmp_path, settings, monkeypatch):
    settings.SPOOL_DIR, settings.DRAIN_EVERY_S = tmp_path, 60.0
    looked = []

    def look(poller):
        time.sleep(0.05)
        looked.append(poller)

    monkeypatch.setattr(snapshot.Poller, "_poll", look)
    async with runtime.running() as process:
        assert looked[:1] == [process.poller]


async def test_what_the_drainer_replays_last_is_settled_by_the_keeper():
    order = []

    def stopping(name):
        return lambda **_: order.append(name) or True

    made = SimpleNamespace(
        poller=SimpleNamespace(stop=stopping("poller")),
        drainer=SimpleNamespace(stop=stopping("drainer")),
        keeper=SimpleNamespace(stop=stopping("keeper"), is_alive=lambda: True),
        health=SimpleNamespace(stop=stopping("health"), is_alive=lambda: True),
        bodies=SimpleNamespace(stop=stopping("bodies")),
        recorder=SimpleNamespace(stop=stopping("recorder")),
        guard=SimpleNamespace(close=stopping("guard")),
        spool=SimpleNamespace(remove=stopping("spool")),
    )
    await runtime._stop(made)
    assert sorted(order) == ["bodies", "drainer", "guard", "health", "keeper", "poller", "recorder", "spool"]
    assert [one for one in order if one in ("drainer", "keeper", "spool")] == ["drainer", "keeper", "spool"]
    assert order[-1] == "guard"  # it closes the counters, which the others want

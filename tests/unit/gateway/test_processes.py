"""The processes that live, as the command and the admin show them."""

from datetime import UTC, datetime, timedelta

import pytest

from analytics.gauges import Recorder
from analytics.models import ProcessGauges

pytestmark = pytest.mark.django_db


def test_the_command_shows_what_lives(run):
    assert run("processes")[1] == "No server or worker is running.\n"
    Recorder("server", sources={"in_flight": lambda: 3}).look()
    status, out, _ = run("processes")
    assert (status, "in_flight 3" in out, "server" in out) == (0, True, True)
    assert '"in_flight": 3' in run("processes", "--json")[1]


def test_the_page_shows_what_lives_and_changes_nothing(admin_client):
    Recorder("server", sources={"in_flight": lambda: 3}).look()
    dead = Recorder("worker", sources={}, now=lambda: datetime.now(UTC) - timedelta(minutes=2))
    dead.look()
    page = admin_client.get("/admin/analytics/processgauges/").content.decode()
    assert "in_flight 3" in page
    assert "1 process" in page
    (row,) = ProcessGauges.objects.filter(role="server")
    assert admin_client.get(f"/admin/analytics/processgauges/{row.pk}/change/").status_code == 200
    assert admin_client.get("/admin/analytics/processgauges/add/").status_code == 403
    assert admin_client.post(f"/admin/analytics/processgauges/{row.pk}/delete/", {"post": "yes"}).status_code == 403

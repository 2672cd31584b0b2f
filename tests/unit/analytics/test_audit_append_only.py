"""The audit trail under other programs than ours: what somebody writes with a plain SQL client."""

import pytest
from django.db import DatabaseError, connection, transaction

from analytics.models import AuditEntry

pytestmark = pytest.mark.django_db

COLUMNS = "(id, at, severity, actor, action, target) VALUES ({id}, CURRENT_TIMESTAMP, 'info', 'nobody', 'x', '')"
EVERYWHERE = {
    "update": "UPDATE analytics_auditentry SET actor = 'nobody'",
    "delete": "DELETE FROM analytics_auditentry",
    "delete one": "DELETE FROM analytics_auditentry WHERE id = {id}",
}
SQLITE = {
    "insert or replace": f"INSERT OR REPLACE INTO analytics_auditentry {COLUMNS}",
    "replace": f"REPLACE INTO analytics_auditentry {COLUMNS}",
    "update or replace": "UPDATE OR REPLACE analytics_auditentry SET actor = 'nobody'",
    "upsert": f"INSERT INTO analytics_auditentry {COLUMNS} ON CONFLICT (id) DO UPDATE SET actor = 'nobody'",
}
POSTGRES = {
    "truncate": "TRUNCATE analytics_auditentry",
    "truncate cascade": "TRUNCATE analytics_auditentry RESTART IDENTITY CASCADE",
    "upsert": f"INSERT INTO analytics_auditentry {COLUMNS} ON CONFLICT (id) DO UPDATE SET actor = 'nobody'",
}


@pytest.fixture
def entry():
    return AuditEntry.objects.create(actor="tests", action="tried")


@pytest.fixture
def plainly(entry):
    """Runs a statement as a client does that knows nothing of our settings."""

    def plainly(statement):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement.format(id=entry.pk))

    if connection.vendor == "postgresql":
        yield plainly
        return
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA recursive_triggers=OFF")
        yield plainly
        cursor.execute("PRAGMA recursive_triggers=ON")


@pytest.mark.parametrize("way", sorted(EVERYWHERE.keys() | SQLITE.keys() | POSTGRES.keys()))
def test_nothing_but_new_entries_is_taken(plainly, entry, way):
    ways = EVERYWHERE | (SQLITE if connection.vendor == "sqlite" else POSTGRES)
    if way not in ways:
        return  # the other database's
    with pytest.raises(DatabaseError, match="append-only"):
        plainly(ways[way])
    assert AuditEntry.objects.get(pk=entry.pk).actor == "tests"
    assert AuditEntry.objects.filter(action="tried").count() == 1


def test_a_new_entry_is_taken(plainly, entry):
    plainly(f"INSERT INTO analytics_auditentry {COLUMNS}".replace("{id}", str(entry.pk + 1000)))
    assert AuditEntry.objects.get(pk=entry.pk + 1000).actor == "nobody"

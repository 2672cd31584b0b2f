"""Triggers that move `ConfigVersion` when a configuration table changes, and those that keep a table append-only.

Whoever writes is seen: the admin, the API, `queryset.update`, psql, another process. PostgreSQL fires once per
statement, and looks whether it touched a row; SQLite fires once per row because it has nothing else. Called from
migrations.

A later migration that alters one of these tables must call `install` again: SQLite rebuilds a table to alter it and
drops its triggers with the old one. `tests/unit/providers/test_triggers.py` fails when that is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

VERSION = "providers_configversion"
CHANGE = "providers_configchange"
EVENTS = ("INSERT", "UPDATE", "DELETE")


def watch(table: str, *, group: str, by_row: bool = False) -> migrations.RunPython:
    """Migration operation: changes of `table` move `group`; with `by_row` each changed row is named as well."""

    def install(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
        statements = _postgres if editor.connection.vendor == "postgresql" else _sqlite
        for statement in statements(table, group=group, by_row=by_row):
            editor.execute(statement)

    return migrations.RunPython(install, _uninstall(table, prefix="config"))


def append_only(table: str) -> migrations.RunPython:
    """Migration operation: rows of `table` can be added, never changed or removed."""

    def install(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
        if editor.connection.vendor == "postgresql":
            editor.execute(_refusing_function(table))
            editor.execute(
                f"CREATE OR REPLACE TRIGGER append_only_{table} BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
                f"FOR EACH STATEMENT EXECUTE FUNCTION append_only_{table}()"
            )
            return
        for event in ("UPDATE", "DELETE"):
            editor.execute(
                f"CREATE TRIGGER IF NOT EXISTS append_only_{table}_{event.lower()} BEFORE {event} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        # INSERT OR REPLACE removes the old row without a word to the others, unless `recursive_triggers` is on.
        editor.execute(
            f"CREATE TRIGGER IF NOT EXISTS append_only_{table}_insert BEFORE INSERT ON {table} "
            f"WHEN EXISTS (SELECT 1 FROM {table} WHERE id = NEW.id) "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )

    return migrations.RunPython(install, _uninstall(table, prefix="append_only"))


def names(table: str, *, vendor: str) -> set[str]:
    """The triggers `watch` makes on `table`."""
    return {f"config_{table}_{event.lower()}" for event in EVENTS}


def _sqlite(table: str, *, group: str, by_row: bool) -> list[str]:
    statements = [_first_version(group)]
    for event in EVENTS:
        row = "OLD" if event == "DELETE" else "NEW"
        change = (
            f'INSERT INTO {CHANGE} ("group", version, row_id, changed_at) '
            f"SELECT '{group}', version, {row}.id, strftime('%Y-%m-%d %H:%M:%f', 'now') "
            f"FROM {VERSION} WHERE \"group\" = '{group}'; "
        )
        statements.append(
            f"CREATE TRIGGER IF NOT EXISTS config_{table}_{event.lower()} AFTER {event} ON {table} "
            f"BEGIN UPDATE {VERSION} SET version = version + 1 WHERE \"group\" = '{group}'; "
            f"{change if by_row else ''}END"
        )
    return statements


def _postgres(table: str, *, group: str, by_row: bool) -> list[str]:
    statements = [_first_version(group)]
    for event in EVENTS:
        name = f"config_{table}_{event.lower()}"
        row = "gone" if event == "DELETE" else "written"
        transition = "OLD TABLE AS gone" if event == "DELETE" else "NEW TABLE AS written"
        change = (
            f'INSERT INTO {CHANGE} ("group", version, row_id, changed_at) '
            f"SELECT '{group}', moved, {row}.id, clock_timestamp() FROM {row};"
        )
        statements += [
            f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ "
            f"DECLARE moved bigint; BEGIN "
            # A version that moved without a named row would have every reader load the whole group.
            f"IF NOT EXISTS (SELECT FROM {row}) THEN RETURN NULL; END IF; "
            f"UPDATE {VERSION} SET version = version + 1 WHERE \"group\" = '{group}' RETURNING version INTO moved; "
            f"{change if by_row else ''} RETURN NULL; END $$",
            f"CREATE OR REPLACE TRIGGER {name} AFTER {event} ON {table} REFERENCING {transition} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {name}()",
        ]
    # TRUNCATE has no transition tables: the version moves by itself and, with no change rows for it, readers load all.
    statements += [
        f"CREATE OR REPLACE FUNCTION config_{table}_truncate() RETURNS trigger LANGUAGE plpgsql AS $$ "
        f"BEGIN UPDATE {VERSION} SET version = version + 1 WHERE \"group\" = '{group}'; RETURN NULL; END $$",
        f"CREATE OR REPLACE TRIGGER config_{table}_truncate AFTER TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION config_{table}_truncate()",
    ]
    return statements


def _first_version(group: str) -> str:
    return f"INSERT INTO {VERSION} (\"group\", version) VALUES ('{group}', 1) ON CONFLICT DO NOTHING"


def _refusing_function(table: str) -> str:
    return (
        f"CREATE OR REPLACE FUNCTION append_only_{table}() RETURNS trigger LANGUAGE plpgsql AS $$ "
        f"BEGIN RAISE EXCEPTION '{table} is append-only'; END $$"
    )


def _uninstall(table: str, *, prefix: str) -> Callable[[Apps, BaseDatabaseSchemaEditor], None]:
    def uninstall(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
        postgres = editor.connection.vendor == "postgresql"
        for suffix in ("", "_insert", "_update", "_delete", "_truncate"):
            name = f"{prefix}_{table}{suffix}"
            editor.execute(f"DROP TRIGGER IF EXISTS {name}" + (f" ON {table}" if postgres else ""))
            if postgres:
                editor.execute(f"DROP FUNCTION IF EXISTS {name}()")

    return uninstall

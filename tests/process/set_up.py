"""Makes an installation ready: migrations, catalog, keys. `python -m tests.process.set_up CATALOG`, in its environment.

Prints the keys as one JSON object, by name. One process does it all: starting Python and Django takes longer than the
rest.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

KEYS: dict[str, dict[str, Any]] = {
    "main": {},
    "colleague": {},
    "auditor": {"scopes": ["usage:project"]},
    "blind": {"scopes": ["chat"]},
    "fenced": {"allowed_layers": ["L0", "L1"]},
    "to_revoke": {},
    "to_delete": {},
    "to_rotate": {},
    "spare": {},
    "to_confine": {},
}
"""What is made in the default project, with the arguments of `analytics.keys.create`."""
LIMITED = tuple(f"limited{number}" for number in range(10))
"""Keys of the project `limited`; tests give them limits."""
BUDGETS: dict[str, dict[str, Any]] = {
    "default": {"window": "total", "limit_usd": 1},
    "budgeted": {"window": "total", "limit_usd": 1000},
}
"""Disabled ones, of a project or of the only key in a project of the same name: tests switch on what they need."""


def main() -> None:
    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = "gateway.settings"
    django.setup()
    from django.core.management import call_command

    with open(os.devnull, "w") as nowhere:
        call_command("migrate", stdout=nowhere)
        call_command("catalog", "load", sys.argv[1], stdout=nowhere)
    print(json.dumps(_make_keys()))


def _make_keys() -> dict[str, str]:
    from analytics import keys
    from analytics.models import Project

    made = {name: keys.create(name, actor="tests", **arguments).secret for name, arguments in KEYS.items()}
    theirs = Project.objects.create(slug="theirs", name="Theirs")
    scopes = ["chat", "usage:own", "usage:project"]
    made["theirs"] = keys.create("theirs", actor="tests", project=theirs, scopes=scopes).secret
    return made | _make_money()


def _make_money() -> dict[str, str]:
    """Keys in projects of their own, so that what they are held to holds nobody else."""
    from analytics import keys
    from analytics.models import Budget, Project

    projects = {slug: Project.objects.create(slug=slug, name=slug.title()) for slug in ("limited", "budgeted")}
    made = [keys.create(name, actor="tests", project=projects["limited"]) for name in LIMITED]
    budgeted = keys.create("budgeted", actor="tests", project=projects["budgeted"])
    Budget.objects.create(project=Project.objects.get(slug="default"), enabled=False, **BUDGETS["default"])
    Budget.objects.create(api_key=budgeted.row, enabled=False, **BUDGETS["budgeted"])
    return {new.row.name: new.secret for new in (*made, budgeted)}


if __name__ == "__main__":
    main()

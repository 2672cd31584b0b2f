"""`manage.py providers`: who can be called, and whether a credential is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser
from django.db.models import Count

from gateway.console import ConsoleCommand
from providers import credentials
from providers.models import Provider


class Command(ConsoleCommand):
    help = "Lists the providers with their state and credential (never its value)."
    EXAMPLES = """\
examples:
  manage.py providers
  manage.py providers --json
"""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--json", action="store_true", help="JSON instead of a table.")

    def run(self, options: Mapping[str, Any]) -> None:
        rows = [_shown(row) for row in Provider.objects.annotate(model_count=Count("models"))]
        if options["json"]:
            self.print_json(rows)
            return
        headings = ["provider", "name", "dialect", "enabled", "credential", "models", "base URL"]
        shown = [
            (row["slug"], row["name"], row["dialect"], "yes" if row["enabled"] else "no", row["credential"],
             row["models"], row["base_url"])
            for row in rows
        ]  # fmt: skip
        self.print_table(headings, shown, empty="No providers yet. Load some: manage.py catalog load")


def _shown(row: Any) -> dict[str, Any]:
    return {
        "slug": row.slug,
        "name": row.name,
        "dialect": row.dialect,
        "enabled": row.enabled,
        "credential": _credential(row),
        "models": row.model_count,
        "base_url": row.base_url,
    }


def _credential(row: Provider) -> str:
    """Where the credential comes from and whether it is there."""
    if not row.needs_credential:
        return "not needed"
    for credential in row.credentials.filter(enabled=True):
        source = credential.env_var or f"stored, ends in {credential.last_four or '...'}"
        try:
            is_there = credentials.opened(credential) is not None
        except credentials.CredentialProblem:
            return f"{source} (cannot be used; the log says why)"
        return source if is_there else f"{source} is not set"
    return "missing"

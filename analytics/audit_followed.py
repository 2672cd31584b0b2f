"""Which tables of vendors, of who asks and of Django's users the audit trail follows. Those of routing are its own."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group

from analytics.audit_following import follow
from analytics.models import ApiKey, Budget, Membership, Project, Severity
from providers.models import Credential, Model, Price, Provider


def begin() -> None:
    """Called once, when every app is there."""
    _vendors()
    _who_asks()
    _users()


def _vendors() -> None:
    follow(Provider, named="provider", target=lambda row: row.slug)
    follow(
        Credential,
        named="credential",
        target=lambda row: f"{row.provider.slug}: {row.name}",
        masked={"encrypted_value"},
    )
    follow(Model, named="model")
    follow(Price, named="price", severity=Severity.WARNING)


def _who_asks() -> None:
    """The services of keys, budgets and projects tell what they do themselves; other ways to these rows are seen."""
    follow(Project, named="project", target=lambda row: row.slug, project_id=lambda row: row.pk)
    follow(
        Membership,
        named="membership",
        target=lambda row: f"{row.user.get_username()} in {row.project.slug}",
        project_id=lambda row: row.project_id,
    )
    follow(
        ApiKey,
        named="api_key",
        project_id=lambda row: row.project_id,
        masked={"key_hash", "previous_hash"},
        without={"hash_version", "previous_hash_version"},
    )
    follow(
        Budget,
        named="budget",
        target=lambda row: f"Budget {row.pk}: {row}",
        project_id=lambda row: row.api_key.project_id if row.api_key else row.project_id,
        without={"defined_at"},
    )


def _users() -> None:
    follow(
        get_user_model(),
        named="user",
        target=lambda row: str(row.get_username()),
        without={"last_login", "date_joined"},
    )
    follow(Group, named="group", target=lambda row: row.name)

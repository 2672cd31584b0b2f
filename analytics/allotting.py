"""Budgets as somebody with leave makes, changes and deletes them: admins of the project whose budget it is, and who may
do everything those of the installation.

A key that moves to another project takes its budgets along. So who may is asked of the rows once they are locked: what
a view looked at before may be another project's business by then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from analytics import budget_rows
from analytics.authority import Authority
from analytics.models import ApiKey, Budget, Project, Role


@transaction.atomic
def create(
    *, authority: Authority, project: Project | None = None, api_key: ApiKey | None = None, **fields: Any
) -> Budget:
    """As `budget_rows.create`. Raises: ValidationError; PermissionDenied."""
    held = _held(Budget(project=project, api_key=api_key), authority=authority)
    return budget_rows.create(actor=authority.actor, project=project, api_key=held.api_key, **fields)


@transaction.atomic
def edit(row: Budget, *, authority: Authority, changes: Mapping[str, object]) -> Budget:
    """As `budget_rows.edit`. Raises: ValidationError; BudgetProblem; PermissionDenied."""
    return budget_rows.edit(_held(row, authority=authority), actor=authority.actor, changes=changes)


@transaction.atomic
def delete(row: Budget, *, authority: Authority) -> None:
    """As `budget_rows.delete`. Raises: PermissionDenied."""
    budget_rows.delete(_held(row, authority=authority), actor=authority.actor)


def project_of(row: Budget) -> int | None:
    """Whose admins change it; None for the installation's."""
    return row.api_key.project_id if row.api_key else row.project_id


def _held(row: Budget, *, authority: Authority) -> Budget:
    """The row, whose key and project stay as they are until the transaction ends. Raises: PermissionDenied."""
    budget_rows.lock(row)
    authority.require(Role.ADMIN, project_id=project_of(row))
    return row

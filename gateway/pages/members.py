"""Who looks at the pages of what projects own, and which of their rows are asked for. Decides nothing itself:
`analytics.authority` and `analytics.visibility` do."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest

from analytics import authority, visibility
from analytics.authority import Authority
from analytics.models import ApiKey, Budget, Project, Role

LARGEST_ID = 2**63 - 1
"""Databases know no larger one, and one of them fails at it."""


def authority_of(request: HttpRequest, *, least: Role = Role.VIEWER) -> Authority:
    """Raises: PermissionDenied for who has this role, or a higher one, in no project."""
    found = authority.of_user(request.user)
    if found is None or found.within(least) == frozenset():
        raise PermissionDenied(f"This is for {authority.IN_WORDS[least]} of a project.")
    return found


def key(key_id: int, *, found: Authority) -> ApiKey:
    """Raises: Http404, for one that the user may not see as well."""
    row = visibility.keys_of(found).filter(pk=key_id).first() if key_id <= LARGEST_ID else None
    if row is None:
        raise Http404("There is no such token, or it is not yours to see.")
    return row


def budget(budget_id: str, *, found: Authority) -> Budget:
    """Raises: Http404, for one that the user may not see as well."""
    is_id = budget_id.isascii() and budget_id.isdecimal() and len(budget_id) < 19
    row = visibility.budgets_of(found).filter(pk=int(budget_id)).first() if is_id else None
    if row is None:
        raise Http404("There is no such budget, or it is not yours to see.")
    return row


def project_of(row: Budget) -> int | None:
    """Whose admins change it; None for the installation's."""
    return row.api_key.project_id if row.api_key else row.project_id


def project(slug: str, *, found: Authority) -> Project:
    """Raises: Http404, for one that the user may not see as well."""
    row = visibility.projects_of(found).filter(slug=slug).first() if "\0" not in slug else None
    if row is None:
        raise Http404("There is no such project, or it is not yours to see.")
    return row

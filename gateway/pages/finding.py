"""Who looks at the pages of what projects own, and which of their rows are asked for. Decides nothing itself:
`analytics.authority` and `analytics.visibility` do."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest

from analytics import authority, visibility
from analytics.authority import Authority
from analytics.models import ApiKey, Budget, Project, Role
from gateway.pages import form_fields


def authority_of(request: HttpRequest, *, least: Role = Role.VIEWER) -> Authority:
    """Raises: PermissionDenied for who has this role, or a higher one, in no project."""
    found = authority.of_user(request.user)
    if found is None or found.within(least) == frozenset():
        raise PermissionDenied(f"This is for {authority.IN_WORDS[least]} of a project.")
    return found


def key(key_id: int, *, found: Authority) -> ApiKey:
    """Raises: Http404, for one that the user may not see as well."""
    row = key_numbered(str(key_id), found=found)
    if row is None:
        raise Http404("There is no such token, or it is not yours to see.")
    return row


def key_numbered(key_id: str, *, found: Authority) -> ApiKey | None:
    """None for one that the user may not see as well."""
    number = form_fields.row_id(key_id)
    return None if number is None else visibility.keys_of(found).filter(pk=number).first()


def budget(budget_id: str, *, found: Authority) -> Budget:
    """Raises: Http404, for one that the user may not see as well."""
    number = form_fields.row_id(budget_id)
    row = None if number is None else visibility.budgets_of(found).filter(pk=number).first()
    if row is None:
        raise Http404("There is no such budget, or it is not yours to see.")
    return row


def project(slug: str, *, found: Authority) -> Project:
    """Raises: Http404, for one that the user may not see as well."""
    row = project_called(slug, found=found)
    if row is None:
        raise Http404("There is no such project, or it is not yours to see.")
    return row


def project_called(slug: str, *, found: Authority) -> Project | None:
    """None for one that the user may not see as well."""
    return visibility.projects_of(found).filter(slug=slug).first() if "\0" not in slug else None

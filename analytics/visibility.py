"""Who may see which rows of the ledger, and change which of the configuration: the one place that filters, for every
list, page, API and tool."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Q, QuerySet

from analytics.authority import Authority
from analytics.models import ApiKey, AuditEntry, Budget, Membership, Project, RequestBody, Role, UsageRecord
from analytics.queries.filters import Filters
from analytics.types import Caller, Scope


def may_use_dashboard(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Django's staff, and every member of a project. What each of them sees there is each page's to say."""
    if isinstance(user, AnonymousUser) or not user.is_active:
        return False
    is_staff = getattr(user, "is_staff", False) or getattr(user, "is_superuser", False)
    return is_staff or Membership.objects.filter(user=user.pk).exists()


def records_of_caller(caller: Caller) -> QuerySet[UsageRecord]:
    """Usage records an API key may see: its project's, its own, or none, by its scopes. The owner sees all."""
    records = UsageRecord.objects.all()
    if caller.key_id is None:
        return records
    if Scope.USAGE_PROJECT in caller.scopes:
        return records.filter(project_id=caller.project_id)
    if Scope.USAGE_OWN in caller.scopes:
        return records.filter(key_id=caller.key_id)
    return records.none()


def records_of_user(user: AbstractBaseUser | AnonymousUser) -> QuerySet[UsageRecord]:
    """Usage records a signed-in user may see: those of the projects they belong to; superusers see all."""
    records = UsageRecord.objects.all()
    if isinstance(user, AnonymousUser):
        return records.none()
    if getattr(user, "is_superuser", False):
        return records
    projects = Membership.objects.filter(user=user.pk).values("project_id")
    return records.filter(project_id__in=projects)


def reach_of_caller(caller: Caller) -> Filters:
    """What reports may tell an API key of, as `records_of_caller` has it for rows."""
    if caller.key_id is None:
        return Filters()
    if Scope.USAGE_PROJECT in caller.scopes:
        return Filters(projects=frozenset({caller.project_id}))
    if Scope.USAGE_OWN in caller.scopes:
        return Filters(keys=frozenset({caller.key_id}))
    return Filters(projects=frozenset())


def reach_of_user(user: AbstractBaseUser | AnonymousUser) -> Filters:
    """What reports may tell a signed-in user of, as `records_of_user` has it for rows."""
    if isinstance(user, AnonymousUser):
        return Filters(projects=frozenset())
    if getattr(user, "is_superuser", False):
        return Filters()
    return Filters(projects=frozenset(Membership.objects.filter(user=user.pk).values_list("project_id", flat=True)))


def projects_of(authority: Authority, *, least: Role = Role.VIEWER) -> QuerySet[Project]:
    """Projects in which it has this role or a higher one."""
    projects = authority.within(least)
    return Project.objects.all() if projects is None else Project.objects.filter(pk__in=projects)


def keys_of(authority: Authority, *, least: Role = Role.VIEWER) -> QuerySet[ApiKey]:
    """API keys of projects in which it has this role or a higher one."""
    rows, projects = ApiKey.objects.select_related("project", "owner"), authority.within(least)
    return rows if projects is None else rows.filter(project__in=projects)


def budgets_of(authority: Authority) -> QuerySet[Budget]:
    """Budgets it may see: of its projects and their keys; the installation's only for who may do all."""
    rows, projects = Budget.objects.select_related("project", "api_key__project"), authority.within(Role.VIEWER)
    return rows if projects is None else rows.filter(Q(project__in=projects) | Q(api_key__project__in=projects))


def bodies_of(authority: Authority, *, least: Role = Role.OPERATOR) -> QuerySet[RequestBody]:
    """Bodies of requests of projects in which it has this role or a higher one: to look is for operators."""
    rows, projects = RequestBody.objects.all(), authority.within(least)
    return rows if projects is None else rows.filter(project__in=projects)


def entries_of(authority: Authority) -> QuerySet[AuditEntry]:
    """Entries of the audit trail it may read: those about projects it is an admin of; what is about none is for who may
    do all."""
    rows, projects = AuditEntry.objects.all(), authority.within(Role.ADMIN)
    return rows if projects is None else rows.filter(project_id__in=projects)


def users_of(authority: Authority, *, least: Role = Role.OPERATOR) -> QuerySet[Any]:
    """Users it may name: members of projects in which it has this role or a higher one."""
    rows, projects = get_user_model().objects.all(), authority.within(least)
    if projects is None:
        return rows
    return rows.filter(pk__in=Membership.objects.filter(project__in=projects).values("user_id"))

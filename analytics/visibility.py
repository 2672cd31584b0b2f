"""Who may see which rows of the ledger: the one place that filters, for every list, page, API and tool."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import QuerySet

from analytics.models import Membership, UsageRecord
from analytics.types import Caller, Scope


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

"""What the records tell of an API key: when it was last used, when it was rotated. Writes nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from django.db.models import Max, OuterRef, Subquery
from django.utils import timezone

from analytics.models import ApiKey, AuditEntry, UsageRecord


def last_used_at(row: ApiKey) -> datetime | None:
    """When its last request in the ledger began. Nothing in the key's own row moves with a request."""
    found: datetime | None = UsageRecord.objects.filter(key_id=row.pk).aggregate(last=Max("started_at"))["last"]
    return found


def last_used(rows: Collection[ApiKey]) -> Mapping[int, datetime]:
    """The same of several keys, by id, in one query: a look into an index for each. Those never used are left out."""
    newest = UsageRecord.objects.filter(key_id=OuterRef("pk")).order_by("-started_at").values("started_at")[:1]
    found = ApiKey.objects.filter(pk__in=[row.pk for row in rows]).order_by().annotate(last=Subquery(newest))
    return {key_id: moment for key_id, moment in found.values_list("pk", "last") if moment is not None}


def rotated_at(row: ApiKey, *, within: timedelta) -> datetime | None:
    """When it got the key that it has, as the audit trail has it; None where that was longer ago than `within`."""
    after = timezone.now() - within
    rotations = AuditEntry.objects.filter(action="api_key.rotated", at__gt=after, after__prefix=row.prefix)
    return rotations.values_list("at", flat=True).first()

"""What the records tell of an API key: when it was last used, when it was rotated. Writes nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Max
from django.utils import timezone

from analytics.models import ApiKey, AuditEntry, UsageRecord


def last_used_at(row: ApiKey) -> datetime | None:
    """When its last request in the ledger began. Nothing in the key's own row moves with a request."""
    found: datetime | None = UsageRecord.objects.filter(key_id=row.pk).aggregate(last=Max("started_at"))["last"]
    return found


def rotated_at(row: ApiKey, *, within: timedelta) -> datetime | None:
    """When it got the key that it has, as the audit trail has it; None where that was longer ago than `within`."""
    after = timezone.now() - within
    rotations = AuditEntry.objects.filter(action="api_key.rotated", at__gt=after, after__prefix=row.prefix)
    return rotations.values_list("at", flat=True).first()

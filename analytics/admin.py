"""The plain admin: which page is whose, and that of processes. The other tables' pages have modules of their own."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from analytics import gauges
from analytics.admin_access import ReadOnlyAdmin, as_json
from analytics.admin_audit import AuditEntryAdmin
from analytics.admin_budgets import BudgetAdmin, ProjectAdmin
from analytics.admin_keys import ApiKeyAdmin
from analytics.admin_usage import UsageRecordAdmin
from analytics.models import ApiKey, AuditEntry, Budget, ProcessGauges, Project, UsageRecord

admin.site.register(Budget, BudgetAdmin)
admin.site.register(Project, ProjectAdmin)
admin.site.register(ApiKey, ApiKeyAdmin)
admin.site.register(AuditEntry, AuditEntryAdmin)
admin.site.register(UsageRecord, UsageRecordAdmin)


@admin.register(ProcessGauges)
class ProcessGaugesAdmin(ReadOnlyAdmin):
    """Those that live; of one that died the rest goes with the next housekeeping."""

    list_display = ["role", "host", "pid", "started_at", "at", "in_short"]
    list_filter = ["role"]
    search_fields = ["host"]
    fieldsets = [(None, {"fields": ["role", "host", "pid", "instance", "started_at", "at", "readings_json"]})]

    @admin.display(description="readings")
    def in_short(self, row: ProcessGauges) -> str:
        return gauges.in_words(row.readings)

    @admin.display(description="readings")
    def readings_json(self, row: ProcessGauges) -> str:
        return as_json(row.readings)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProcessGauges]:
        return super().get_queryset(request).filter(at__gte=timezone.now() - gauges.DEAD_AFTER)

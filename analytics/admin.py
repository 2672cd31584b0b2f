"""The plain admin of the ledger and of processes, which can only be read. The other tables' pages have modules of their
own."""

from __future__ import annotations

import json
from decimal import Decimal

from django.contrib import admin
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html

from analytics import gauges
from analytics.admin_access import ReadOnlyAdmin
from analytics.admin_audit import AuditEntryAdmin
from analytics.admin_budgets import BudgetAdmin, ProjectAdmin
from analytics.admin_keys import ApiKeyAdmin
from analytics.models import ApiKey, AuditEntry, Budget, ProcessGauges, Project, UsageRecord

admin.site.register(Budget, BudgetAdmin)
admin.site.register(Project, ProjectAdmin)
admin.site.register(ApiKey, ApiKeyAdmin)
admin.site.register(AuditEntry, AuditEntryAdmin)


def as_usd(usd: Decimal | None) -> str:
    return "-" if usd is None else f"{usd.normalize():f}"


def as_ms(ms: float | None) -> str:
    return "-" if ms is None else f"{ms:,.0f} ms"


def yes_or_no(value: bool) -> str:
    """In words: Django's red cross says that something is wrong."""
    return "yes" if value else "no"


def as_json(value: object) -> str:
    style = "margin: 0; max-height: 30em; overflow: auto; white-space: pre-wrap; overflow-wrap: anywhere"
    return format_html('<pre style="{}">{}</pre>', style, json.dumps(value, indent=2))


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


class UsageRecordForm(ModelForm):
    class Meta:
        model = UsageRecord
        fields = ["project_id", "key_id", "model_id"]
        labels = {"id": "ID", "project_id": "Project ID", "key_id": "Key ID", "model_id": "Model ID"}


@admin.register(UsageRecord)
class UsageRecordAdmin(ReadOnlyAdmin):
    form = UsageRecordForm
    list_display = [
        "started_at",
        "project",
        "model",
        "layer",
        "outcome",
        "status",
        "tokens",
        "cost",
        "duration",
        "key_name",
        "short_id",
    ]
    list_display_links = ["started_at", "short_id"]
    list_filter = ["outcome", "layer"]
    date_hierarchy = None
    show_full_result_count = False
    fieldsets = [
        (None, {"fields": ["id", "started_at", "duration", "first_token", "project", "key_name", "kind", "session"]}),
        ("Result", {"fields": ["outcome", "status", "finish_reason", "error_kind", "error_message"]}),
        (
            "Route",
            {
                "fields": [
                    "requested_model",
                    "provider",
                    "model",
                    "layer",
                    "score",
                    "attempts",
                    "another_answered",
                    "streamed",
                    "decision_json",
                    "trail_json",
                ]
            },
        ),
        (
            "Usage and cost",
            {
                "fields": [
                    "input_tokens",
                    "cached_input_tokens",
                    "cache_write_5m_tokens",
                    "cache_write_1h_tokens",
                    "output_tokens",
                    "reasoning_tokens",
                    "web_searches",
                    "images",
                    "cost",
                    "cost_source",
                    "computed_cost",
                    "reported_cost",
                    "disputed",
                    "counted",
                    "capped",
                    "prices_json",
                ]
            },
        ),
        ("Rows this was about", {"fields": ["project_id", "key_id", "model_id"]}),
    ]

    @admin.display(description="ID")
    def short_id(self, row: UsageRecord) -> str:
        return f"...{str(row.id)[-8:]}"

    @admin.display(description="tokens in, out")
    def tokens(self, row: UsageRecord) -> str:
        written = row.cache_write_5m_tokens + row.cache_write_1h_tokens
        return f"{row.input_tokens + row.cached_input_tokens + written:,}, {row.output_tokens:,}"

    @admin.display(description="cost (USD)", ordering="cost_usd")
    def cost(self, row: UsageRecord) -> str:
        return as_usd(row.cost_usd)

    @admin.display(description="computed cost (USD)")
    def computed_cost(self, row: UsageRecord) -> str:
        return as_usd(row.computed_cost_usd)

    @admin.display(description="reported cost (USD)")
    def reported_cost(self, row: UsageRecord) -> str:
        return as_usd(row.reported_cost_usd)

    @admin.display(description="duration", ordering="duration_ms")
    def duration(self, row: UsageRecord) -> str:
        return as_ms(row.duration_ms)

    @admin.display(description="first token after")
    def first_token(self, row: UsageRecord) -> str:
        return as_ms(row.first_token_ms)

    @admin.display(description="streamed")
    def streamed(self, row: UsageRecord) -> str:
        return yes_or_no(row.is_stream)

    @admin.display(description="answered by another than the first model tried")
    def another_answered(self, row: UsageRecord) -> str:
        return yes_or_no(row.fell_back)

    @admin.display(description="reported at less than half of what we compute")
    def disputed(self, row: UsageRecord) -> str:
        return yes_or_no(row.is_disputed)

    @admin.display(description="counted by budgets (USD)")
    def counted(self, row: UsageRecord) -> str:
        return as_usd(row.budget_usd)

    @admin.display(description="ended at what its budget had left")
    def capped(self, row: UsageRecord) -> str:
        return yes_or_no(row.is_capped)

    @admin.display(description="decision")
    def decision_json(self, row: UsageRecord) -> str:
        return as_json(row.decision)

    @admin.display(description="trail")
    def trail_json(self, row: UsageRecord) -> str:
        return as_json(row.trail)

    @admin.display(description="prices (USD per unit)")
    def prices_json(self, row: UsageRecord) -> str:
        return as_json(row.prices)

    def get_queryset(self, request: HttpRequest) -> QuerySet[UsageRecord]:
        return super().get_queryset(request).defer("decision", "trail", "prices")

"""The plain admin of projects, keys, the ledger and the audit trail. The last two can only be read.

The pages show every project's rows, so that they are for superusers until roles are enforced.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import cast

from django.contrib import admin
from django.contrib.admin.widgets import AdminTextareaWidget
from django.db import transaction
from django.db.models import JSONField, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html

from analytics import keys
from analytics.admin_access import ForSuperusers, ReadOnlyAdmin
from analytics.admin_budgets import BudgetAdmin, ProjectAdmin
from analytics.models import ApiKey, AuditEntry, Budget, Project, UsageRecord

admin.site.register(Budget, BudgetAdmin)
admin.site.register(Project, ProjectAdmin)


class IssuingRequest(HttpRequest):
    """A request that made a key: it hangs here between `save_model` and `response_add`, and is stored nowhere."""

    new_key: str


@admin.register(ApiKey)
class ApiKeyAdmin(ForSuperusers, admin.ModelAdmin):
    """A new key is shown once, in the answer to saving it: a redirect would carry it through a cookie."""

    list_display = ["name", "prefix", "project", "enabled", "expires_at"]
    list_filter = ["enabled", "project"]
    list_select_related = ["project"]
    search_fields = ["name", "prefix"]
    fields = [
        "name",
        "project",
        "owner",
        "prefix",
        "scopes",
        "allowed_models",
        "allowed_layers",
        "expires_at",
        "enabled",
    ]
    readonly_fields = ["prefix"]
    formfield_overrides = {JSONField: {"widget": AdminTextareaWidget(attrs={"rows": 3})}}

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, str | list[str]]:
        only = list(Project.objects.values_list("pk", flat=True)[:2])
        chosen: dict[str, str | list[str]] = {"project": str(only[0])} if len(only) == 1 else {}
        return chosen | super().get_changeform_initial_data(request)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: ModelForm, change: bool) -> None:
        actor = request.user.get_username()
        if change:
            keys.change(obj, actor=actor)
        else:
            cast(IssuingRequest, request).new_key = keys.issue(obj, actor=actor)

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        context = self.admin_site.each_context(request) | {
            "title": "The new API key",
            "opts": self.opts,
            "row": obj,
            "new_key": cast(IssuingRequest, request).new_key,
        }
        return TemplateResponse(request, "analytics/api_key_shown.html", context, headers={"Cache-Control": "no-store"})

    def delete_model(self, request: HttpRequest, obj: ApiKey) -> None:
        keys.delete(obj, actor=request.user.get_username())

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for row in queryset:
            keys.delete(row, actor=request.user.get_username())


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


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ["at", "severity", "actor", "action", "target"]
    list_filter = ["severity", "action"]

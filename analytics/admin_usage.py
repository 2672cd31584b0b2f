"""The ledger in the admin, to be read alone: found by time and by id, with numbers as people read them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property

from analytics import ids
from analytics.admin_access import ReadOnlyAdmin, as_json, with_seconds
from analytics.models import Outcome, UsageRecord, UsageSeries
from analytics.record_models import NOT_KNOWN_OF_INTERRUPTED
from analytics.series import Cut


def as_usd(usd: Decimal | None) -> str:
    return "-" if usd is None else f"{usd.normalize():f}"


def as_ms(ms: float | None) -> str:
    return "-" if ms is None else f"{ms:,.0f} ms"


def yes_or_no(value: bool) -> str:
    """In words: Django's red cross says that something is wrong."""
    return "yes" if value else "no"


class UsageRecordForm(ModelForm):
    class Meta:
        model = UsageRecord
        fields = ["project_id", "key_id", "model_id"]
        labels = {"id": "ID", "project_id": "Project ID", "key_id": "Key ID", "model_id": "Model ID"}


class Lately(admin.SimpleListFilter):
    """Spans up to now, which an index leads to."""

    title = "started"
    parameter_name = "started"
    SPANS: ClassVar[dict[str, tuple[str, timedelta]]] = {
        "1h": ("in the last hour", timedelta(hours=1)),
        "24h": ("in the last 24 hours", timedelta(hours=24)),
        "7d": ("in the last 7 days", timedelta(days=7)),
        "31d": ("in the last 31 days", timedelta(days=31)),
    }

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [(value, words) for value, (words, _) in self.SPANS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageRecord]) -> QuerySet[UsageRecord]:
        _, length = self.SPANS.get(self.value() or "", ("", None))
        return queryset if length is None else queryset.filter(started_at__gte=timezone.now() - length)


class OfLayer(admin.SimpleListFilter):
    """By the layers that roll-ups know: looking for them among millions of rows takes seconds."""

    title = parameter_name = "layer"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        rows = UsageSeries.objects.filter(cut=Cut.ALL).exclude(layer="")
        return [(name, name) for name in rows.order_by("layer").values_list("layer", flat=True).distinct()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageRecord]) -> QuerySet[UsageRecord]:
        return queryset.filter(layer=self.value()) if self.value() else queryset


class NewestPages(Paginator):
    """Counts no further than anybody pages: the time and the id lead to what is older."""

    MOST = 10_000

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows[: self.MOST].count())


class UsageRecordAdmin(ReadOnlyAdmin):
    form = UsageRecordForm
    paginator = NewestPages
    sortable_by = ("started",)
    list_display = [
        "started",
        "project",
        "key_name",
        "model",
        "layer",
        "outcome",
        "status",
        "tokens",
        "cost",
        "duration",
        "short_id",
    ]
    list_display_links = ["started", "short_id"]
    list_filter = [Lately, "outcome", OfLayer]
    search_fields = ["id"]
    search_help_text = "By the whole id of a request, as answers carry it in X-Gateway-Request-Id."
    show_full_result_count = False
    fieldsets = [
        (None, {"fields": ["id", "started", "duration", "first_token", "project", "key_name", "kind", "session"]}),
        ("Result", {"fields": ["ended", "status", "finish_reason", "error_kind", "error_message"]}),
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

    @admin.display(description="started at", ordering="started_at")
    def started(self, row: UsageRecord) -> str:
        return with_seconds(row.started_at)

    @admin.display(description="outcome")
    def ended(self, row: UsageRecord) -> str:
        label = row.get_outcome_display()
        return f"{label}: {NOT_KNOWN_OF_INTERRUPTED}" if _is_interrupted(row) else label

    @admin.display(description="ID")
    def short_id(self, row: UsageRecord) -> str:
        return f"...{str(row.id)[-8:]}"

    @admin.display(description="tokens in, out")
    def tokens(self, row: UsageRecord) -> str:
        written = row.cache_write_5m_tokens + row.cache_write_1h_tokens
        return f"{row.input_tokens + row.cached_input_tokens + written:,}, {row.output_tokens:,}"

    @admin.display(description="cost (USD)")
    def cost(self, row: UsageRecord) -> str:
        return as_usd(row.cost_usd)

    @admin.display(description="computed cost (USD)")
    def computed_cost(self, row: UsageRecord) -> str:
        return as_usd(row.computed_cost_usd)

    @admin.display(description="reported cost (USD)")
    def reported_cost(self, row: UsageRecord) -> str:
        return as_usd(row.reported_cost_usd)

    @admin.display(description="duration")
    def duration(self, row: UsageRecord) -> str:
        return as_ms(None if _is_interrupted(row) else row.duration_ms)

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

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[UsageRecord], search_term: str
    ) -> tuple[QuerySet[UsageRecord], bool]:
        """Its time is in the id, and leads to its partition."""
        if not search_term.strip():
            return queryset, False
        try:
            wanted = UUID(search_term.strip())
        except ValueError:
            return queryset.none(), False
        if wanted.version != 7:
            return queryset.none(), False
        return queryset.filter(id=wanted, started_at=ids.started_at(wanted)), False


def _is_interrupted(row: UsageRecord) -> bool:
    return row.outcome == Outcome.INTERRUPTED

"""Tables of what happened: the ledger and the audit trail.

Rows of the ledger carry plain values instead of foreign keys: deleting a key never rewrites history.
"""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models import Q


class Severity(models.TextChoices):
    INFO = "info", "Info"
    WARNING = "warning", "Warning"
    CRITICAL = "critical", "Critical"


class UsageKind(models.TextChoices):
    CHAT = "chat"
    EMBEDDINGS = "embeddings"
    TOOL = "tool"
    PROBE = "probe"


class Outcome(models.TextChoices):
    OK = "ok"
    ERROR = "error"
    CANCELLED = "cancelled", "Cancelled by the client"
    INTERRUPTED = "interrupted", "The gateway stopped or was killed"


NOT_KNOWN_OF_INTERRUPTED = "how long it took and what it had answered is not known; budgets count its cap"
"""Columns of a row say 0 or nothing then."""


class CostSource(models.TextChoices):
    """Where a cost comes from, most trusted first."""

    PROVIDER = "provider", "Reported by the provider"
    PRICE = "price", "Usage at our price"
    COUNTED = "counted", "Tokens counted by us at our price"
    ESTIMATE = "estimate", "Estimated"
    NONE = "none", "Nothing was consumed"


class UsageRecord(models.Model):
    """One request: what was asked, decided, tried, used and paid.

    In PostgreSQL the table is partitioned by month of `started_at` with the primary key (started_at, id); look-ups by
    id add the time that the id carries (`analytics.ids`).
    """

    id = models.UUIDField(primary_key=True, editable=False, help_text="The request id, a UUIDv7.")
    started_at = models.DateTimeField(help_text="Derived from the id.")
    kind = models.CharField(max_length=16, choices=UsageKind, default=UsageKind.CHAT)
    outcome = models.CharField(max_length=16, choices=Outcome)
    status = models.PositiveSmallIntegerField(
        help_text="HTTP status the client got; 499: it left, 503: the gateway stopped, 0: its process died."
    )

    project_id = models.BigIntegerField()
    project = models.CharField(max_length=64)
    key_id = models.BigIntegerField(null=True)
    key_name = models.CharField(max_length=100)

    requested_model = models.CharField(max_length=200)
    provider = models.CharField(max_length=64, blank=True)
    model_id = models.BigIntegerField(null=True)
    model = models.CharField(max_length=200, blank=True)
    layer = models.CharField(max_length=64, blank=True)
    is_stream = models.BooleanField(default=False)
    session = models.CharField(max_length=200, blank=True)

    score = models.FloatField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    fell_back = models.BooleanField(default=False, help_text="Answered by another than the first model tried.")
    decision = models.JSONField(default=dict, help_text="What the plan was made from, and the plan, for back-tests.")
    trail = models.JSONField(default=list, help_text="What the attempts did, in order.")

    input_tokens = models.BigIntegerField(default=0)
    cached_input_tokens = models.BigIntegerField(default=0)
    cache_write_5m_tokens = models.BigIntegerField(default=0)
    cache_write_1h_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    reasoning_tokens = models.BigIntegerField(default=0, help_text="Part of the output tokens.")
    web_searches = models.PositiveIntegerField(default=0)
    images = models.PositiveIntegerField(default=0)

    cost_usd = models.DecimalField(max_digits=20, decimal_places=10)
    cost_source = models.CharField(max_length=16, choices=CostSource)
    budget_usd = models.DecimalField(
        max_digits=20,
        decimal_places=10,
        default=Decimal(0),
        help_text="What budgets count: the cost, the higher figure where disputed, the cap where nobody knows.",
    )
    computed_cost_usd = models.DecimalField(
        max_digits=20, decimal_places=10, null=True, help_text="Usage at our price."
    )
    reported_cost_usd = models.DecimalField(
        max_digits=20, decimal_places=10, null=True, help_text="What the provider said."
    )
    is_disputed = models.BooleanField(default=False, help_text="Reported at less than half of what we compute.")
    is_capped = models.BooleanField(default=False, help_text="Ended at the length its budget had left for it.")
    prices = models.JSONField(default=dict, help_text="USD per unit that the computed cost used.")

    duration_ms = models.FloatField()
    first_token_ms = models.FloatField(null=True)
    finish_reason = models.CharField(max_length=64, blank=True)
    error_kind = models.CharField(max_length=64, blank=True)
    error_message = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-started_at", "-id"]
        indexes = [
            models.Index(fields=["started_at"], name="usage_started"),
            models.Index(fields=["project_id", "started_at"], name="usage_project_started"),
            models.Index(fields=["key_id", "started_at"], name="usage_key_started"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(cost_usd__gte=0, budget_usd__gte=0), name="usage_cost_not_negative"),
            models.CheckConstraint(
                condition=Q(
                    input_tokens__gte=0,
                    cached_input_tokens__gte=0,
                    cache_write_5m_tokens__gte=0,
                    cache_write_1h_tokens__gte=0,
                    output_tokens__gte=0,
                    reasoning_tokens__gte=0,
                ),
                name="usage_tokens_not_negative",
            ),
            models.CheckConstraint(condition=Q(outcome__in=Outcome.values), name="usage_outcome_known"),
            models.CheckConstraint(condition=Q(cost_source__in=CostSource.values), name="usage_cost_source_known"),
            models.CheckConstraint(condition=Q(kind__in=UsageKind.values), name="usage_kind_known"),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def read_tokens(self) -> int:
        """All of the input: fresh, from a cache, and written to one."""
        cached = self.cached_input_tokens + self.cache_write_5m_tokens + self.cache_write_1h_tokens
        return self.input_tokens + cached


class LedgerSpan(models.Model):
    """One row: since when the ledger has every row, and since when every row of it stands in the roll-ups.

    Written by `analytics.horizon` alone.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    rows_from = models.DateTimeField(null=True, help_text="Rows before this were dropped. Empty: none were.")
    counted_from = models.DateTimeField(
        null=True, help_text="Roll-ups of days before this may lack rows, until a rebuild. Empty: none do."
    )

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="ledger_span_is_one")]

    def __str__(self) -> str:
        return f"rows from {self.rows_from}, counted from {self.counted_from}"


class AuditEntry(models.Model):
    """Who changed what, from what to what. Triggers keep it append-only; secrets are masked before they get here."""

    at = models.DateTimeField(auto_now_add=True)
    severity = models.CharField(max_length=16, choices=Severity, default=Severity.INFO)
    actor = models.CharField(max_length=200, help_text="A user, an API key, the command line, or the system.")
    action = models.CharField(max_length=100, help_text="Such as api_key.created.")
    target = models.CharField(max_length=300, blank=True)
    project_id = models.BigIntegerField(null=True, blank=True)
    before = models.JSONField(null=True, blank=True)
    after = models.JSONField(null=True, blank=True)
    address = models.GenericIPAddressField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "audit entries"
        ordering = ["-at", "-id"]
        indexes = [
            models.Index(fields=["at"], name="audit_at"),
            models.Index(fields=["severity", "at"], name="audit_severity_at"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(severity__in=Severity.values), name="audit_severity_known"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.target}"

"""Tables of who asks, and of what it did: projects, members, API keys, the ledger, the audit trail.

Rows of the ledger carry plain values instead of foreign keys: deleting a key never rewrites history.
"""

from __future__ import annotations

import zoneinfo

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from analytics.types import Scope
from providers.models import slug_validator


def validate_time_zone(name: str) -> None:
    if name not in zoneinfo.available_timezones():
        raise ValidationError(f"{name!r} is not a time zone; use an IANA name such as Europe/Berlin.")


def validate_scopes(scopes: object) -> None:
    known = {scope.value for scope in Scope}
    if not isinstance(scopes, list) or not all(isinstance(scope, str) and scope in known for scope in scopes):
        raise ValidationError(f"Scopes are a list out of: {', '.join(sorted(known))}.")


def validate_patterns(patterns: object) -> None:
    if not isinstance(patterns, list) or not all(isinstance(pattern, str) and pattern for pattern in patterns):
        raise ValidationError('Use a list of patterns, such as ["gpt-*", "openrouter/*"]; an empty list allows all.')


def default_scopes() -> list[str]:
    return [Scope.CHAT.value, Scope.USAGE_OWN.value]


class Role(models.TextChoices):
    VIEWER = "viewer", "Viewer"
    OPERATOR = "operator", "Operator"
    ADMIN = "admin", "Admin"


class Project(models.Model):
    slug = models.CharField(max_length=64, unique=True, validators=[slug_validator])
    name = models.CharField(max_length=200)
    time_zone = models.CharField(max_length=64, default="UTC", validators=[validate_time_zone])
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A user's role in a project."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role, default=Role.VIEWER)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "project"], name="membership_unique"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="membership_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.project}: {self.role}"


class ApiKey(models.Model):
    """What a client holds. The key itself is never stored: `analytics.keys` makes, hashes and shows it once."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="api_keys")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="api_keys"
    )
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=16, editable=False, help_text="The key's first characters, to recognise it.")
    key_hash = models.BinaryField(max_length=32, editable=False)
    hash_version = models.PositiveSmallIntegerField(default=1, editable=False)
    scopes = models.JSONField(
        default=default_scopes,
        validators=[validate_scopes],
        help_text='What it may do, a list of chat, usage:own, usage:project, admin. Example: ["chat", "usage:own"]',
    )
    allowed_models = models.JSONField(
        default=list,
        blank=True,
        validators=[validate_patterns],
        help_text='Patterns of model ids; an empty list allows all. Example: ["gpt-*", "openrouter/*"]',
    )
    allowed_layers = models.JSONField(
        default=list,
        blank=True,
        validators=[validate_patterns],
        help_text='Patterns of layer names; an empty list allows all. Example: ["L0", "L1"]',
    )
    expires_at = models.DateTimeField(null=True, blank=True)
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "API key"
        ordering = ["project", "name"]
        constraints = [
            models.UniqueConstraint(fields=["hash_version", "key_hash"], name="apikey_unique_hash"),
            models.UniqueConstraint(fields=["project", "name"], name="apikey_unique_name"),
            models.CheckConstraint(condition=~Q(name=""), name="apikey_has_a_name"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}...)"

    def clean(self) -> None:
        # An emptied form field arrives as None, and Django runs no validators on the empty {}: both mean no patterns.
        self.allowed_models = self.allowed_models or []
        self.allowed_layers = self.allowed_layers or []


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
    computed_cost_usd = models.DecimalField(
        max_digits=20, decimal_places=10, null=True, help_text="Usage at our price."
    )
    reported_cost_usd = models.DecimalField(
        max_digits=20, decimal_places=10, null=True, help_text="What the provider said."
    )
    is_disputed = models.BooleanField(default=False, help_text="Reported at less than half of what we compute.")
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
            models.CheckConstraint(condition=Q(cost_usd__gte=0), name="usage_cost_not_negative"),
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


class Severity(models.TextChoices):
    INFO = "info", "Info"
    WARNING = "warning", "Warning"
    CRITICAL = "critical", "Critical"


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

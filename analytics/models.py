"""Tables of who asks, and what it may cost: projects, members, API keys, budgets. Those of what happened, which Django
looks for here as well, are `analytics.record_models`, `rollup_models`, `gauge_models` and `body_models`."""

from __future__ import annotations

import zoneinfo
from collections.abc import Collection, Sequence
from decimal import Decimal
from functools import cache

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from analytics import budget_rules, key_rules
from analytics.body_models import RequestBody
from analytics.gauge_models import GaugeSample, ProcessGauges
from analytics.key_rules import (
    WholeNumberField,
    validate_endpoints,
    validate_networks,
    validate_patterns,
    validate_scopes,
)
from analytics.record_models import AuditEntry, CostSource, LedgerSpan, Outcome, Severity, UsageKind, UsageRecord
from analytics.rollup_models import UsageRollup, UsageSeries
from analytics.types import BudgetAction, NearEdge, Scope, Window
from providers.models import slug_validator

__all__ = [
    "ApiKey",
    "AuditEntry",
    "Budget",
    "CostSource",
    "GaugeSample",
    "LedgerSpan",
    "Membership",
    "Outcome",
    "ProcessGauges",
    "Project",
    "RequestBody",
    "Role",
    "Severity",
    "UsageKind",
    "UsageRecord",
    "UsageRollup",
    "UsageSeries",
]


NOT_THE_SAME_EVERYWHERE = {"localtime", "Factory"}
"""A machine's own time zone, and the one of a machine that was told none."""


@cache
def time_zones() -> frozenset[str]:
    """The IANA names this machine knows and others do; asked for once, as it opens each of some 600 files."""
    return frozenset(zoneinfo.available_timezones() - NOT_THE_SAME_EVERYWHERE)


def validate_time_zone(name: str) -> None:
    if name not in time_zones():
        raise ValidationError(f"{name!r} is not a time zone; use an IANA name such as Europe/Berlin.")


MOST_REQUESTS = 10_000_000
MOST_TOKENS = 10_000_000_000
MOST_BUDGET_USD = Decimal(1_000_000)
"""Counters keep billionths of a dollar in what a double holds exactly (2^53): nine times this."""
USUAL_BODIES_DAYS, MOST_BODIES_DAYS = 7, 90


def limit_field(most: int, *, help_text: str) -> WholeNumberField:
    return WholeNumberField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(most)],
        help_text=f"{help_text} Empty: no limit.",
    )


def is_limit(name: str, *, most: int) -> Q:
    return Q(**{f"{name}__isnull": True}) | Q(**{f"{name}__gte": 1, f"{name}__lte": most})


LIMITS_HOLD = (
    is_limit("requests_per_minute", most=MOST_REQUESTS)
    & is_limit("tokens_per_minute", most=MOST_TOKENS)
    & is_limit("concurrent_requests", most=MOST_REQUESTS)
)


def default_scopes() -> list[str]:
    return [Scope.CHAT.value, Scope.USAGE_OWN.value]


class Role(models.TextChoices):
    VIEWER = "viewer", "Viewer"
    OPERATOR = "operator", "Operator"
    ADMIN = "admin", "Admin"


NEW = "new"
"""No project's slug: the page that makes them is at `/admin/projects/new/`."""


class Project(models.Model):
    slug = models.CharField(max_length=64, unique=True, validators=[slug_validator])
    name = models.CharField(max_length=200)
    time_zone = models.CharField(max_length=64, default="UTC", validators=[validate_time_zone])
    requests_per_minute = limit_field(MOST_REQUESTS, help_text="Requests in any sliding minute.")
    tokens_per_minute = limit_field(MOST_TOKENS, help_text="Tokens, input and output, in any sliding minute.")
    concurrent_requests = limit_field(MOST_REQUESTS, help_text="Requests under way at once.")
    enabled = models.BooleanField(default=True)
    stores_bodies = models.BooleanField(
        "store bodies",
        default=False,
        help_text="Keep what is asked and answered, masked, for the project's operators and admins to read.",
    )
    bodies_days = WholeNumberField(
        "days bodies are kept",
        default=USUAL_BODIES_DAYS,
        validators=[MinValueValidator(1), MaxValueValidator(MOST_BODIES_DAYS)],
        help_text=f"From 1 to {MOST_BODIES_DAYS}, the day they came in counted.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["slug"]
        constraints = [
            models.CheckConstraint(condition=LIMITS_HOLD, name="project_limits_positive"),
            models.CheckConstraint(
                condition=Q(bodies_days__gte=1, bodies_days__lte=MOST_BODIES_DAYS), name="project_bodies_days"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self._state.adding and self.slug == NEW:
            raise ValidationError({"slug": f"{NEW!r} is where projects are made; choose another slug."})

    def unique_error_message(self, model_class: type[models.Model], unique_check: Sequence[str]) -> ValidationError:
        """As other names that are taken: it says what to do."""
        return ValidationError(f"A project named {self.slug!r} already exists; choose another slug.", code="unique")


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
        help_text="What it may do, a list of chat, usage:own, usage:project, admin, installation. "
        'Example: ["chat", "usage:own"]',
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
    allowed_endpoints = models.JSONField(
        default=list,
        blank=True,
        validators=[validate_endpoints],
        help_text='Patterns of paths; an empty list allows all. Example: ["/v1/chat/*", "/v1/models*"]',
    )
    allowed_networks = models.JSONField(
        default=list,
        blank=True,
        validators=[validate_networks],
        help_text='Addresses it may be used from; an empty list allows all. Example: ["192.0.2.7", "10.0.0.0/8"]',
    )
    requests_per_minute = limit_field(MOST_REQUESTS, help_text="Requests in any sliding minute.")
    tokens_per_minute = limit_field(MOST_TOKENS, help_text="Tokens, input and output, in any sliding minute.")
    concurrent_requests = limit_field(MOST_REQUESTS, help_text="Requests under way at once.")
    expires_at = models.DateTimeField(null=True, blank=True)
    enabled = models.BooleanField(default=True)
    previous_prefix = models.CharField(max_length=16, blank=True, editable=False)
    previous_hash = models.BinaryField(max_length=32, null=True, editable=False)
    previous_hash_version = models.PositiveSmallIntegerField(default=1, editable=False)
    previous_until = models.DateTimeField(
        null=True, editable=False, help_text="Until when the key from before the last rotation is valid."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "API key"
        ordering = ["project", "name"]
        constraints = [
            models.UniqueConstraint(fields=["hash_version", "key_hash"], name="apikey_unique_hash"),
            models.UniqueConstraint(fields=["project", "name"], name="apikey_unique_name"),
            models.UniqueConstraint(fields=["previous_hash_version", "previous_hash"], name="apikey_unique_previous"),
            models.CheckConstraint(condition=~Q(name=""), name="apikey_has_a_name"),
            models.CheckConstraint(condition=LIMITS_HOLD, name="apikey_limits_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}...)"

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        """As Django's, and before it converts: a name is a text, a switch true or false, an expiry in reach."""
        left_out = set(exclude or ())
        asked = {name: getattr(self, name) for name in ("name", "enabled", "expires_at") if name not in left_out}
        found = key_rules.mistakes(asked)
        if self._state.adding and "expires_at" in asked and "expires_at" not in found and self.is_over():
            found["expires_at"] = "This lies in the past."
        errors = {name: [ValidationError(mistake)] for name, mistake in found.items()}
        try:
            super().clean_fields(exclude=left_out | found.keys())
        except ValidationError as error:
            error.update_error_dict(errors)
        if errors:
            raise ValidationError(errors)

    def clean(self) -> None:
        self.scopes = key_rules.each_once(self.scopes)
        for field in ("allowed_models", "allowed_layers", "allowed_endpoints", "allowed_networks"):
            # An emptied form field arrives as None, and Django runs no validators on the empty {}: both mean nothing.
            setattr(self, field, key_rules.each_once(getattr(self, field) or []))
        if not isinstance(self.name, str) or key_rules.has_unseen(self.name):
            return  # refused already, and nothing to ask a database for
        self.name = self.name.strip()
        namesakes = ApiKey.objects.filter(project=self.project_id, name=self.name)
        if self.project_id and namesakes.exclude(pk=self.pk).exists():
            raise ValidationError({"name": self.taken()})

    def taken(self) -> str:
        return f"A key named {self.name!r} already exists in {self.project.slug}; choose another name."

    def is_over(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()


class Budget(models.Model):
    """How much a project or a key, or the whole installation where neither is named, may spend in a window."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, null=True, blank=True, related_name="budgets")
    api_key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, null=True, blank=True, related_name="budgets")
    window = models.CharField(
        max_length=8,
        choices=[(window.value, window.value) for window in Window],
        help_text="Hours, days, weeks (from Monday) and months begin by the clock of the project's time zone.",
    )
    limit_usd = models.DecimalField(
        max_digits=20,
        decimal_places=10,
        validators=[MinValueValidator(Decimal("1e-9")), MaxValueValidator(MOST_BUDGET_USD)],
        help_text="US dollars.",
    )
    action = models.CharField(
        max_length=8,
        choices=[(action.value, action.value) for action in BudgetAction],
        default=BudgetAction.REFUSE.value,
        help_text="When it is reached: refuse (402), degrade to a layer, or only note it in the audit trail.",
    )
    layer = models.CharField(max_length=64, blank=True, help_text="The layer to degrade to.")
    near_edge = models.CharField(
        max_length=8,
        choices=[(edge.value, edge.value) for edge in NearEdge],
        default=NearEdge.SHORTEN.value,
        help_text="When the longest possible answer no longer fits: shorten it to a usual length, or deny it.",
    )
    severity = models.CharField(
        max_length=16,
        choices=Severity,
        default=Severity.WARNING,
        help_text="Of the audit entry when it is reached.",
    )
    starts_at = models.DateTimeField(null=True, blank=True, help_text="Empty: at once.")
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Empty: never.")
    enabled = models.BooleanField(default=True)
    defined_at = models.DateTimeField(default=timezone.now, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=Q(project__isnull=True) | Q(api_key__isnull=True), name="budget_of_one"),
            models.CheckConstraint(condition=Q(window__in=[window.value for window in Window]), name="budget_window"),
            models.CheckConstraint(
                condition=Q(limit_usd__gt=0, limit_usd__lte=MOST_BUDGET_USD), name="budget_limit_positive"
            ),
            models.CheckConstraint(
                condition=(Q(action=BudgetAction.DEGRADE.value) & ~Q(layer=""))
                | Q(action__in=[BudgetAction.REFUSE.value, BudgetAction.NOTE.value], layer=""),
                name="budget_action_known",
            ),
            models.CheckConstraint(
                condition=Q(near_edge__in=[edge.value for edge in NearEdge]), name="budget_near_edge_known"
            ),
            models.CheckConstraint(condition=Q(severity__in=Severity.values), name="budget_severity_known"),
            models.CheckConstraint(
                condition=Q(starts_at__isnull=True) | Q(ends_at__isnull=True) | Q(ends_at__gt=models.F("starts_at")),
                name="budget_ends_after_start",
            ),
        ]

    def __str__(self) -> str:
        per = "in total" if self.window == Window.TOTAL else f"per {self.window}"
        return f"${self.limit_usd.normalize():f} {per} for {self.whose}"

    @property
    def whose(self) -> str:
        if self.api_key:
            return f"key {self.api_key.name}"
        return f"project {self.project.slug}" if self.project else "the installation"

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        """As Django's, in our words."""
        if isinstance(self.limit_usd, bool):
            self.limit_usd = str(self.limit_usd)  # else Django makes a dollar of true
        try:
            super().clean_fields(exclude=exclude)
        except ValidationError as error:
            raise budget_rules.in_our_words(error) from error

    def clean(self) -> None:
        if self._state.adding and self.window == Window.TOTAL and self.starts_at is None:
            self.starts_at = timezone.now()  # else it would count what was spent before anybody thought of it
        budget_rules.check(self)

"""Tables of the vendors' side: who can be called, with what credential, which models they have, what those cost.

Also `ConfigVersion` and `ConfigChange`, which triggers move whenever any configuration table changes, whoever writes
(`providers.triggers`). Rows are read on the hot path only through the snapshot, never by query.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q

from providers import addresses, listed_prices, spelling
from providers.types import Unit

FIRST_DAY = datetime(2020, 1, 1, tzinfo=UTC)
"""`valid_from` of a price that has always held."""

TIME_OUTS = [MinValueValidator(0.01), MaxValueValidator(86_400)]
"""Seconds: up to a day, beyond which nobody waits and clocks overflow."""

slug_validator = RegexValidator(
    r"^[a-z0-9][a-z0-9_-]*\Z", "Use lower-case letters, digits, '-' and '_', starting with a letter or digit."
)


def validate_env_var(name: str) -> None:
    if mistake := spelling.env_var_mistake(name):
        raise ValidationError(mistake)


def validate_base_url(url: str) -> None:
    if mistake := spelling.base_url_mistake(url):
        raise ValidationError(mistake)


def validate_extra_body(value: object) -> None:
    if not isinstance(value, dict):
        raise ValidationError('Use a JSON object, such as {"top_k": 40}; {} adds nothing.')
    if mistake := spelling.extra_body_mistake(value):
        raise ValidationError(mistake)


class Dialect(models.TextChoices):
    OPENAI = "openai", "OpenAI"
    ANTHROPIC = "anthropic", "Anthropic"


class MaxTokensField(models.TextChoices):
    """What a vendor calls the output limit. `AS_SENT` where it knows both names."""

    AS_SENT = "", "as sent"
    MAX_TOKENS = "max_tokens", "max_tokens"
    MAX_COMPLETION_TOKENS = "max_completion_tokens", "max_completion_tokens"


class ReasoningField(models.TextChoices):
    """Under which name a vendor takes back the reasoning of an earlier answer."""

    AS_SENT = "", "as sent"
    REASONING = "reasoning", "reasoning"
    REASONING_CONTENT = "reasoning_content", "reasoning_content"


class ReasoningControl(models.TextChoices):
    """How a model of a dialect with two ways is asked to reason: by words, or by a number of tokens."""

    EFFORT = "effort", "effort"
    BUDGET = "budget", "budget"


class Provider(models.Model):
    """A vendor or a local server: a row of data; only a wire format of its own needs code."""

    slug = models.CharField(max_length=64, unique=True, validators=[slug_validator])
    name = models.CharField(max_length=200)
    dialect = models.CharField(max_length=32, choices=Dialect, default=Dialect.OPENAI)
    base_url = models.CharField(
        "base URL",
        max_length=500,
        validators=[validate_base_url],
        help_text="Up to and including the version, as in .../v1",
    )
    enabled = models.BooleanField(default=True)
    is_local = models.BooleanField(default=False, help_text="May live at a private or loopback address.")
    needs_credential = models.BooleanField(default=True)
    max_tokens_field = models.CharField(
        max_length=32,
        choices=MaxTokensField,
        default=MaxTokensField.AS_SENT,
        blank=True,
        help_text="The only name it knows for the output limit; the other one is renamed.",
    )
    reasoning_field = models.CharField(
        max_length=32,
        choices=ReasoningField,
        default=ReasoningField.AS_SENT,
        blank=True,
        help_text="The only name under which it takes reasoning back; the other one is renamed.",
    )
    text_as_string = models.BooleanField(
        default=False, help_text="Takes text as one string only: lists of text parts are joined."
    )
    usage_in_streams = models.BooleanField(default=True, help_text="Understands stream_options.include_usage.")
    stops_when_left = models.BooleanField(
        default=True,
        help_text="Charges nothing more for a stream that is left. Otherwise budgets count all it may become.",
    )
    extra_body = models.JSONField(
        default=dict,
        blank=True,
        validators=[validate_extra_body],
        help_text="Fields added to each request that lacks them.",
    )
    connect_timeout_s = models.FloatField("connect timeout (s)", default=5.0, validators=TIME_OUTS)
    headers_timeout_s = models.FloatField("headers timeout (s)", default=120.0, validators=TIME_OUTS)
    first_content_timeout_s = models.FloatField("first content timeout (s)", default=120.0, validators=TIME_OUTS)
    between_frames_timeout_s = models.FloatField("between frames timeout (s)", default=30.0, validators=TIME_OUTS)
    max_concurrent = models.PositiveIntegerField(
        "calls at once",
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Calls that may be under way there; more wait. Empty: no limit. Each server process counts its own.",
    )
    max_queued = models.PositiveIntegerField(
        "requests waiting", default=100, help_text="That may wait for a call to end; the next goes to another model."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["slug"]
        constraints = [
            models.CheckConstraint(condition=Q(dialect__in=Dialect.values), name="provider_dialect_known"),
            models.CheckConstraint(
                condition=Q(max_tokens_field__in=MaxTokensField.values), name="provider_max_tokens_field_known"
            ),
            models.CheckConstraint(
                condition=Q(reasoning_field__in=ReasoningField.values), name="provider_reasoning_field_known"
            ),
            models.CheckConstraint(
                condition=Q(connect_timeout_s__gt=0)
                & Q(headers_timeout_s__gt=0)
                & Q(first_content_timeout_s__gt=0)
                & Q(between_frames_timeout_s__gt=0),
                name="provider_timeouts_positive",
            ),
            models.CheckConstraint(
                condition=Q(max_concurrent__isnull=True) | Q(max_concurrent__gt=0),
                name="provider_max_concurrent_positive",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self._state.adding and (mistake := spelling.slug_mistake(self.slug)):
            raise ValidationError({"slug": mistake})
        # Django runs no validators on empty values, and [] is one; an emptied form field arrives as None.
        if self.extra_body is None:
            self.extra_body = {}
        if not self.extra_body:
            try:
                validate_extra_body(self.extra_body)
            except ValidationError as error:
                raise ValidationError({"extra_body": error}) from error
        if refusal := addresses.mistake_of_url(self.base_url, is_local=self.is_local):
            raise ValidationError({"base_url": f"{refusal[:1].upper()}{refusal[1:]}."})


class Credential(models.Model):
    """What we hold for a provider: the name of an environment variable, or an encrypted value; never both."""

    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="credentials")
    name = models.CharField(max_length=100, default="default")
    env_var = models.CharField(
        "environment variable",
        max_length=200,
        blank=True,
        validators=[validate_env_var],
        help_text="Its name, such as OPENAI_API_KEY, not its value.",
    )
    encrypted_value = models.TextField(blank=True, editable=False)
    last_four = models.CharField(max_length=4, blank=True, editable=False)
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["provider", "name"]
        constraints = [
            models.UniqueConstraint(fields=["provider", "name"], name="credential_unique_name"),
            models.CheckConstraint(
                condition=(Q(env_var="") & ~Q(encrypted_value="")) | (~Q(env_var="") & Q(encrypted_value="")),
                name="credential_one_source",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider.slug}: {self.env_var or f'...{self.last_four}'}"


class Kind(models.TextChoices):
    CHAT = "chat", "Chat"
    EMBEDDINGS = "embeddings", "Embeddings"


class Model(models.Model):
    """A model at one provider, by the provider's own id."""

    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="models")
    name = models.CharField(max_length=200, help_text="The provider's own id; slashes and colons are fine.")
    title = models.CharField(max_length=200, blank=True)
    kind = models.CharField(max_length=16, choices=Kind, default=Kind.CHAT)
    enabled = models.BooleanField(default=True)
    context_tokens = models.PositiveIntegerField(null=True, blank=True, help_text="Input and output together.")
    max_output_tokens = models.PositiveIntegerField(null=True, blank=True)
    max_input_tokens_per_file = models.PositiveIntegerField(
        default=2000, help_text="Upper estimate of one image or file, in input tokens."
    )
    tools = models.BooleanField(default=False)
    vision = models.BooleanField(default=False)
    json_schema = models.BooleanField("JSON schema", default=False)
    audio = models.BooleanField(default=False)
    reasoning = models.BooleanField(default=False)
    reasoning_control = models.CharField(
        max_length=16,
        choices=ReasoningControl,
        default=ReasoningControl.EFFORT,
        help_text="Of Anthropic's models: adaptive ones take an effort, those before Opus 4.6 a budget of tokens.",
    )
    inline_system = models.BooleanField(
        default=True,
        help_text="Takes system messages amid a conversation; of Anthropic's models, those before Opus 4.8 do not.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["provider", "name"]
        constraints = [
            models.UniqueConstraint(fields=["provider", "name"], name="model_unique_name"),
            models.CheckConstraint(condition=~Q(name=""), name="model_has_a_name"),
            models.CheckConstraint(condition=Q(kind__in=Kind.values), name="model_kind_known"),
            models.CheckConstraint(
                condition=Q(reasoning_control__in=ReasoningControl.values), name="model_reasoning_control_known"
            ),
            models.CheckConstraint(
                condition=Q(context_tokens__isnull=True) | Q(context_tokens__gt=0), name="model_context_positive"
            ),
            models.CheckConstraint(
                condition=Q(max_output_tokens__isnull=True) | Q(max_output_tokens__gt=0), name="model_output_positive"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider.slug}/{self.name}"


class Price(models.Model):
    """What one unit of a model costs from a day on; a tier when `from_tokens` input tokens are reached."""

    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="prices")
    unit = models.CharField(max_length=16, choices=[(unit.value, unit.value.replace("_", " ")) for unit in Unit])
    usd_per_unit = models.DecimalField(
        "USD per unit",
        max_digits=20,
        decimal_places=14,
        validators=[MinValueValidator(Decimal(0))],
        help_text="USD for one token, request, search or image.",
    )
    from_tokens = models.PositiveIntegerField(default=0, help_text="Holds from this many input tokens on.")
    valid_from = models.DateTimeField(default=FIRST_DAY)

    class Meta:
        ordering = ["model", "unit", "from_tokens", "-valid_from"]
        constraints = [
            models.UniqueConstraint(fields=["model", "unit", "from_tokens", "valid_from"], name="price_unique"),
            models.CheckConstraint(condition=Q(usd_per_unit__gte=0), name="price_not_negative"),
            models.CheckConstraint(condition=Q(unit__in=[unit.value for unit in Unit]), name="price_unit_known"),
        ]

    def __str__(self) -> str:
        return f"{self.model} {self.unit}: {self.listed_usd} USD {self.listed_per}"

    @property
    def listed_usd(self) -> str:
        """What people read: USD for one request, search or image, or per million tokens, without needless zeros."""
        return f"{listed_prices.listed_usd(self.unit, self.usd_per_unit):f}"

    @property
    def listed_per(self) -> str:
        return f"per {self.get_unit_display()}" if self.unit in listed_prices.PRICED_BY_ONE else "per million"


class ConfigVersion(models.Model):
    """One row per group of configuration tables; moved by triggers, so that no writer can forget it."""

    group = models.CharField(max_length=16, primary_key=True)
    version = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.group} {self.version}"


class ConfigChange(models.Model):
    """Which row of a large group changed at which version, so that a reader fetches those rows alone.

    The version comes from the group's `ConfigVersion` row, whose lock the writer holds until it commits: versions
    become visible in order and none is missed. Old rows may be deleted: a reader that misses one loads the whole group.
    """

    group = models.CharField(max_length=16)
    version = models.BigIntegerField()
    row_id = models.BigIntegerField()
    changed_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["group", "version"], name="configchange_group_version")]

    def __str__(self) -> str:
        return f"{self.group} {self.version}: row {self.row_id}"

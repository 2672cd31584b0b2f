"""Tables of the decision: layers, the models in them, and the policy that holds for all."""

from __future__ import annotations

from decimal import Decimal

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q

from providers.models import Model
from routing.circuit import State, said
from routing.types import AUTO, Balancing, UnknownPrice, WhenClientLeaves

layer_name_validator = RegexValidator(
    r"^[A-Za-z][A-Za-z0-9_-]*\Z", "Use letters, digits, '-' and '_', starting with a letter."
)


def not_auto(name: str) -> None:
    if name == AUTO:
        raise ValidationError(f"{AUTO!r} is what requests call the gateway's own choice: use another name.")


class Layer(models.Model):
    """A price class of models. Requests enter at one and move up when it is exhausted."""

    name = models.CharField(max_length=64, unique=True, validators=[layer_name_validator, not_auto])
    title = models.CharField(max_length=200, blank=True)
    position = models.PositiveSmallIntegerField(unique=True, help_text="Cheapest first.")
    from_score = models.FloatField(
        validators=[MinValueValidator(0.0), MaxValueValidator(1.0)],
        help_text="Requests that look at least this hard enter here (0 to 1).",
    )
    max_attempts = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Of a request that enters here, retries and fall-backs included; empty: the policy's.",
    )
    deadline_s = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0.1), MaxValueValidator(3600.0)],
        help_text="Seconds for a whole request that enters here; empty: the policy's.",
    )
    enabled = models.BooleanField(default=True)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.CheckConstraint(condition=Q(from_score__gte=0) & Q(from_score__lte=1), name="layer_score_0_to_1"),
            models.CheckConstraint(
                condition=Q(max_attempts__isnull=True) | Q(max_attempts__gte=1), name="layer_attempts_positive"
            ),
            models.CheckConstraint(
                condition=Q(deadline_s__isnull=True) | Q(deadline_s__gt=0), name="layer_deadline_positive"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.title}".strip()


class Candidate(models.Model):
    """A model in a layer, and its place in the order of trying."""

    layer = models.ForeignKey(Layer, on_delete=models.CASCADE, related_name="candidates")
    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="candidates")
    priority = models.PositiveSmallIntegerField(default=0, help_text="0 is tried first.")
    relative_cost = models.DecimalField(
        max_digits=20,
        decimal_places=10,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal(0))],
        help_text="Orders models of one priority, lowest first; empty: derived from the price.",
    )
    weight = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0.001)],
        help_text="Models of one priority with a weight share its requests in that proportion, whatever they cost. "
        "Empty: 1 among models of the same cost.",
    )
    enabled = models.BooleanField(default=True)

    class Meta:
        ordering = ["layer", "priority", "model"]
        constraints = [
            models.UniqueConstraint(fields=["layer", "model"], name="candidate_unique"),
            models.CheckConstraint(
                condition=Q(weight__isnull=True) | Q(weight__gt=0), name="candidate_weight_positive"
            ),
            models.CheckConstraint(
                condition=Q(relative_cost__isnull=True) | Q(relative_cost__gte=0), name="candidate_cost_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model} in {self.layer.name}"


class Policy(models.Model):
    """What holds for every request. There is one row."""

    id = models.SmallIntegerField(primary_key=True, default=1, editable=False)
    default_layer = models.ForeignKey(
        Layer, on_delete=models.PROTECT, related_name="+", help_text="Entered when a request cannot be judged."
    )
    unknown_price = models.CharField(
        max_length=16, choices=[(choice.value, choice.value) for choice in UnknownPrice], default=UnknownPrice.DENY
    )
    deadline_s = models.FloatField(
        default=600.0,
        validators=[MinValueValidator(0.1), MaxValueValidator(3600.0)],
        help_text="Seconds for a whole request, retries and fall-backs included.",
    )
    max_attempts = models.PositiveSmallIntegerField(default=6, validators=[MinValueValidator(1)])
    when_client_leaves = models.CharField(
        max_length=16,
        choices=[(choice.value, choice.value) for choice in WhenClientLeaves],
        default=WhenClientLeaves.CANCEL,
        help_text="In the middle of a stream: cancel the provider's work, or read it to its end for its own figures.",
    )
    circuit_min_calls = models.PositiveSmallIntegerField(
        default=5,
        validators=[MinValueValidator(1)],
        help_text="A model with fewer calls in half a minute is not judged by its failures.",
    )
    circuit_failure_share = models.FloatField(
        default=0.5,
        validators=[MinValueValidator(0.01), MaxValueValidator(1.0)],
        help_text="Of its calls in half a minute that fail: from here on it is not called for a while (0.01 to 1).",
    )
    circuit_open_s = models.FloatField(
        default=5.0,
        validators=[MinValueValidator(0.1), MaxValueValidator(3600.0)],
        help_text="Seconds until such a model is tried again; doubled by each try that fails, up to two minutes.",
    )

    balancing = models.CharField(
        max_length=32,
        choices=[(choice.value, choice.value) for choice in Balancing],
        default=Balancing.WEIGHTED,
        help_text="Which of several equals is tried first, where the request names no session.",
    )

    class Meta:
        verbose_name_plural = "policy"
        constraints = [
            models.CheckConstraint(condition=Q(id=1), name="policy_single_row"),
            models.CheckConstraint(condition=Q(deadline_s__gt=0), name="policy_deadline_positive"),
            models.CheckConstraint(condition=Q(max_attempts__gte=1), name="policy_attempts_positive"),
            models.CheckConstraint(condition=Q(unknown_price__in=list(UnknownPrice)), name="policy_price_known"),
            models.CheckConstraint(
                condition=Q(when_client_leaves__in=list(WhenClientLeaves)), name="policy_leaving_known"
            ),
            models.CheckConstraint(condition=Q(balancing__in=list(Balancing)), name="policy_balancing_known"),
            models.CheckConstraint(
                condition=Q(circuit_min_calls__gte=1)
                & Q(circuit_failure_share__gt=0)
                & Q(circuit_failure_share__lte=1)
                & Q(circuit_open_s__gt=0),
                name="policy_circuits_sensible",
            ),
        ]

    def __str__(self) -> str:
        return "Policy"


class CircuitTransition(models.Model):
    """A model went out of order, was tried again, or came back. Plain values: it outlives what it names."""

    at = models.DateTimeField()
    model_id = models.BigIntegerField()
    provider = models.CharField(max_length=64)
    model = models.CharField(max_length=200)
    from_state = models.CharField("from", max_length=16, choices=[(state.value, said(state)) for state in State])
    to_state = models.CharField("to", max_length=16, choices=[(state.value, said(state)) for state in State])
    cause = models.CharField(max_length=64, help_text="What it came of.")
    until = models.DateTimeField(null=True, help_text="Open: when it is tried again; half open: when that is given up.")

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["model_id", "id"], name="transition_by_model"),
            models.Index(fields=["at"], name="transition_at"),
        ]

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}: {self.from_state} to {self.to_state}, {said(self.cause)}"

"""Tables of alerting: rules, when each was looked at, the alerts they made, and what became of those.

A rule's row changes when a person changes it. What looking at it changes stands beside it (`Look`, `Alert`, `Change`),
by conditional updates alone: of two workers that look at once one wins, and the other writes nothing.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from alerts.machine import Comparator, Level, Missing, State
from alerts.metrics import Metric
from analytics.models import Project, Severity

SEVERITIES = [Severity.WARNING.value, Severity.CRITICAL.value]
_STATES = [state.value for state in State]
_LEVELS = [level.value for level in Level]


class Rule(models.Model):
    """When people want to be told. Of a project it looks at that alone, of none at the whole installation."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, null=True, blank=True, related_name="alert_rules")
    name = models.CharField(max_length=100)
    metric = models.CharField(max_length=32, choices=[(metric.value, metric.value) for metric in Metric])
    filters = models.JSONField(
        default=dict, blank=True, help_text="What is looked at; what is left out is not narrowed."
    )
    group_by = models.JSONField(default=list, blank=True, help_text="Each of these has an alert of its own.")
    window_s = models.PositiveIntegerField("window (s)", default=300, help_text="Whole minutes.")
    comparator = models.CharField(
        max_length=8, choices=[(one.value, one.value) for one in Comparator], default=Comparator.ABOVE.value
    )
    warning = models.FloatField(null=True, blank=True, help_text="In the metric's unit.")
    critical = models.FloatField(null=True, blank=True, help_text="In the metric's unit.")
    hysteresis = models.FloatField(default=0.0, help_text="How far within the threshold a value counts as back.")
    for_s = models.PositiveIntegerField("for (s)", default=0, help_text="How long it must last before anybody is told.")
    keep_firing_s = models.PositiveIntegerField("keep firing for (s)", default=0)
    min_samples = models.PositiveIntegerField(default=0, help_text="With fewer there is no value.")
    interval_s = models.PositiveIntegerField("interval (s)", default=60)
    severity = models.CharField(
        max_length=16,
        choices=[(value, value) for value in SEVERITIES],
        default=Severity.WARNING.value,
        help_text="Of an alert that there is no data, or that looking fails.",
    )
    no_data = models.CharField(
        max_length=8, choices=[(one.value, one.value) for one in Missing], default=Missing.NORMAL.value
    )
    on_error = models.CharField(
        max_length=8, choices=[(one.value, one.value) for one in Missing], default=Missing.KEEP.value
    )
    labels = models.JSONField(default=dict, blank=True, help_text="Added to each alert's own.")
    summary = models.CharField(
        max_length=500, blank=True, help_text="What is told; $value and the like stand for them."
    )
    runbook_url = models.CharField("runbook", max_length=500, blank=True)
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="rule_unique_name"),
            models.UniqueConstraint(
                fields=["name"], condition=Q(project__isnull=True), name="rule_unique_name_of_none"
            ),
            models.CheckConstraint(condition=~Q(name=""), name="rule_has_a_name"),
            models.CheckConstraint(
                condition=Q(metric__in=[metric.value for metric in Metric]), name="rule_metric_known"
            ),
            models.CheckConstraint(
                condition=Q(comparator__in=[one.value for one in Comparator])
                & Q(no_data__in=[one.value for one in Missing])
                & Q(on_error__in=[one.value for one in Missing])
                & Q(severity__in=SEVERITIES),
                name="rule_words_known",
            ),
            models.CheckConstraint(
                condition=Q(warning__isnull=False) | Q(critical__isnull=False), name="rule_has_a_threshold"
            ),
            models.CheckConstraint(
                condition=Q(hysteresis__gte=0) & Q(window_s__gte=60) & Q(interval_s__gte=10), name="rule_times_sensible"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Look(models.Model):
    """When a rule is looked at next, by whom just now, and how it went last."""

    rule = models.OneToOneField(Rule, on_delete=models.CASCADE, primary_key=True, related_name="look")
    due_at = models.DateTimeField()
    claim = models.UUIDField(null=True, help_text="Whose look it is.")
    claimed_until = models.DateTimeField(null=True, help_text="Then somebody else may look.")
    looked_at = models.DateTimeField(null=True)
    looked_for_at = models.DateTimeField(null=True, help_text="When that look was due: it was late by the rest.")
    problem = models.CharField(max_length=500, blank=True, help_text="Why it could not be evaluated.")

    class Meta:
        indexes = [models.Index(fields=["due_at"], name="look_due")]

    def __str__(self) -> str:
        return f"rule {self.rule_id}, due {self.due_at:%Y-%m-%d %H:%M:%S}"


class Alert(models.Model):
    """How a rule stands for one set of labels; there is none for those that were never beyond a threshold."""

    rule = models.ForeignKey(Rule, on_delete=models.SET_NULL, null=True, related_name="alerts")
    rule_name = models.CharField(max_length=100)
    project_id = models.BigIntegerField(null=True)
    fingerprint = models.CharField(max_length=32, help_text="Told by rule and labels.")
    labels = models.JSONField(default=dict)
    state = models.CharField(max_length=16, choices=[(state.value, state.value) for state in State])
    level = models.CharField(max_length=16, blank=True)
    since = models.DateTimeField(null=True, help_text="When this state began.")
    began_at = models.DateTimeField(null=True, help_text="When it fired.")
    value = models.FloatField(null=True, help_text="At the last change of state.")
    reason = models.CharField(max_length=200, blank=True)
    revision = models.PositiveIntegerField(default=1, help_text="How often its state changed.")

    class Meta:
        ordering = ["-since"]
        indexes = [models.Index(fields=["state", "since"], name="alert_state")]
        constraints = [
            models.UniqueConstraint(fields=["fingerprint"], name="alert_unique"),
            models.CheckConstraint(condition=Q(state__in=_STATES) & Q(level__in=_LEVELS), name="alert_state_known"),
        ]

    def __str__(self) -> str:
        return f"{self.rule_name} {self.state}"


class Change(models.Model):
    """One alert's way from a state to the next: its history, and what there is to tell. Rows are never changed but to
    say that they were handed on."""

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="changes")
    revision = models.PositiveIntegerField(help_text="Of the alert, after it.")
    at = models.DateTimeField()
    from_state = models.CharField("from", max_length=16)
    to_state = models.CharField("to", max_length=16)
    from_level = models.CharField(max_length=16, blank=True)
    to_level = models.CharField(max_length=16, blank=True)
    value = models.FloatField(null=True)
    reason = models.CharField(max_length=200, blank=True)
    is_news = models.BooleanField(help_text="Whether people are to be told.")
    handed_on_at = models.DateTimeField(null=True, help_text="When it was taken for telling.")

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["at"], name="alert_change_at")]
        constraints = [
            models.UniqueConstraint(fields=["alert", "revision"], name="alert_change_once"),
            models.CheckConstraint(
                condition=Q(from_state__in=_STATES) & Q(to_state__in=_STATES), name="alert_change_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.from_state} to {self.to_state}"

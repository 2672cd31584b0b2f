"""Tables of the roll-ups: sums of the ledger's rows over minutes, quarters of an hour and UTC days.

Written by `analytics.rollups` alone, in the transaction that inserts the rows; read by the queries.
"""

from __future__ import annotations

from django.db import models

from analytics.histograms import COUNTERS
from analytics.series import Grain, StatusClass

LATENCY = tuple(f"latency_{number}" for number in range(COUNTERS))
FIRST_TOKEN = tuple(f"first_token_{number}" for number in range(COUNTERS))
"""Columns: how many requests took so long (`analytics.histograms`)."""
TOKENS = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
)
SUMS = (
    "requests",
    "answered",
    "cancelled",
    "fell_back",
    "attempts",
    *TOKENS,
    "web_searches",
    "images",
    "cost",
    "budget",
)
COLUMNS = (*SUMS, *LATENCY, *FIRST_TOKEN)
PER_USD = 10**10
"""Money in roll-ups is whole numbers of the ledger's last place, so that both databases add it exactly."""


class UsageSeries(models.Model):
    """What a roll-up is of: one combination of dimensions. Rows are never changed; a key that is renamed has two.

    Dimensions that a cut does not know are empty (`analytics.series`).
    """

    id = models.BigIntegerField(primary_key=True, editable=False, help_text="Told by the other values.")
    cut = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=16)
    status_class = models.CharField(max_length=16, blank=True)
    error_kind = models.CharField(max_length=64, blank=True)
    layer = models.CharField(max_length=64, blank=True)
    project_id = models.BigIntegerField(null=True)
    project = models.CharField(max_length=64, blank=True)
    key_id = models.BigIntegerField(null=True)
    key_name = models.CharField(max_length=100, blank=True)
    provider = models.CharField(max_length=64, blank=True)
    model = models.CharField(max_length=200, blank=True)

    class Meta:
        verbose_name_plural = "usage series"
        indexes = [
            models.Index(fields=["cut", "key_id"], name="series_cut_key"),
            models.Index(fields=["cut", "project_id"], name="series_cut_project"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(status_class__in=["", *(known.value for known in StatusClass)]),
                name="series_status_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.cut}: {self.project} {self.key_name} {self.provider} {self.model} {self.status_class}"


class UsageRollup(models.Model):
    """What one series did from `start` on, for as long as its grain says. NULL is 0, as most counters of most rows are.

    In PostgreSQL the table is partitioned by grain, so that a poorer cut's few rows lie close together.
    """

    pk = models.CompositePrimaryKey("grain", "start", "series_id")
    grain = models.PositiveSmallIntegerField(choices=[(grain.value, grain.name.lower()) for grain in Grain])
    start = models.DateTimeField()
    # No constraint: checking each new roll-up would lock its series' row and take longer than writing it. Both are
    # written in one transaction, no series is ever deleted, and `usage verify` looks.
    series = models.ForeignKey(
        UsageSeries, on_delete=models.PROTECT, db_constraint=False, db_index=False, related_name="+"
    )
    requests = models.BigIntegerField()
    answered = models.BigIntegerField(null=True)
    cancelled = models.BigIntegerField(null=True, help_text="The client left.")
    fell_back = models.BigIntegerField(null=True)
    attempts = models.BigIntegerField(null=True)
    input_tokens = models.BigIntegerField(null=True)
    cached_input_tokens = models.BigIntegerField(null=True)
    cache_write_5m_tokens = models.BigIntegerField(null=True)
    cache_write_1h_tokens = models.BigIntegerField(null=True)
    output_tokens = models.BigIntegerField(null=True)
    reasoning_tokens = models.BigIntegerField(null=True)
    web_searches = models.BigIntegerField(null=True)
    images = models.BigIntegerField(null=True)
    cost = models.BigIntegerField(null=True, help_text="In ten-billionths of a US dollar.")
    budget = models.BigIntegerField(null=True, help_text="What budgets count, in ten-billionths of a US dollar.")

    class Meta:
        indexes = [models.Index(fields=["series", "start"], name="rollup_series_start")]
        constraints = [
            models.CheckConstraint(condition=models.Q(requests__gt=0), name="rollup_counts_something"),
        ]

    def __str__(self) -> str:
        return f"{Grain(self.grain).name.lower()} {self.start} {self.series_id}"


for _column in (*LATENCY, *FIRST_TOKEN):
    UsageRollup.add_to_class(_column, models.IntegerField(null=True))

"""Tables of gauges: how each long-lived process is now, and how it was minute by minute."""

from __future__ import annotations

from django.db import models


class ProcessGauges(models.Model):
    """The latest readings of a process that lives, or died a moment ago."""

    instance = models.UUIDField(primary_key=True, editable=False, help_text="Made when the process began.")
    role = models.CharField(max_length=32, help_text="Such as server or worker.")
    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField("process id")
    started_at = models.DateTimeField()
    at = models.DateTimeField(help_text="When it was read last.")
    readings = models.JSONField(default=dict, help_text="By name; null where one could not be read.")

    class Meta:
        verbose_name = "process"
        verbose_name_plural = "processes"
        ordering = ["role", "host", "pid"]

    def __str__(self) -> str:
        return f"{self.role} {self.pid} on {self.host}"


class GaugeSample(models.Model):
    """The readings of a process in one minute."""

    at = models.DateTimeField()
    instance = models.UUIDField()
    role = models.CharField(max_length=32)
    readings = models.JSONField(default=dict)

    class Meta:
        ordering = ["at"]
        indexes = [models.Index(fields=["at"], name="gauge_sample_at")]

    def __str__(self) -> str:
        return f"{self.role} {self.instance} at {self.at:%Y-%m-%d %H:%M}"

"""The table of bodies: what was asked and answered, masked and cut, for projects that have it kept."""

from __future__ import annotations

from typing import Any

from django.db import models


def with_its_project(collector: Any, field: Any, bodies: Any, using: str) -> None:
    """Deletes a project's bodies in one statement, unread: Django's CASCADE would load each of them for the page on
    which the admin asks whether to delete the project."""
    collector.fast_deletes.append(bodies)


with_its_project.lazy_sub_objs = True  # type: ignore[attr-defined]


class RequestBody(models.Model):
    """Of one request. Nothing in it was ever on a disk unmasked."""

    id = models.UUIDField(primary_key=True, editable=False, help_text="The request's.")
    project = models.ForeignKey("analytics.Project", on_delete=with_its_project, db_index=False, related_name="+")
    at = models.DateTimeField(help_text="When the request began.")
    request = models.TextField(help_text="JSON: what was asked, by field.")
    answer = models.TextField(blank=True, help_text="What was said; empty where nobody answered.")
    request_is_cut = models.BooleanField(default=False)
    answer_is_cut = models.BooleanField(default=False)

    class Meta:
        verbose_name_plural = "request bodies"
        indexes = [models.Index(fields=["project", "at"], name="request_body_age")]

    def __str__(self) -> str:
        return f"body of {self.id}"

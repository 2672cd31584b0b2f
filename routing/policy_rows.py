"""The policy as its one row: changed, and made where there is none yet."""

from __future__ import annotations

from collections.abc import Mapping

from routing import configuring
from routing.catalog_rows import POLICY_CHOICES
from routing.models import Policy

EDITABLE = ("default_layer", *POLICY_CHOICES)


def find() -> Policy | None:
    return Policy.objects.select_related("default_layer").first()


def edit(*, actor: str, changes: Mapping[str, object]) -> Policy:
    """The policy with `changes`, as it is then. Raises: ValidationError naming the fields."""
    with configuring.changing(actor):
        row = find() or Policy()
        configuring.put(row, changes, allowed=EDITABLE, fixed={})
    return row

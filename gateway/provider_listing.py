"""How the API shows a provider: every column, how its credential stands, how many models it has. Never a secret."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Count, QuerySet

from gateway import mending
from gateway.checking import Check
from providers import credentials
from providers.models import Credential, Provider
from routing import vendor_rows


def rows() -> QuerySet[Provider]:
    """With what `as_json` reads: two queries for any number of them."""
    return Provider.objects.annotate(model_count=Count("models")).prefetch_related("credentials__provider")


def one(row: Provider) -> dict[str, Any]:
    return as_json(rows().get(pk=row.pk))


def as_json(row: Provider) -> dict[str, Any]:
    """A row out of `rows`."""
    return {
        "object": "provider",
        "slug": row.slug,
        **{name: getattr(row, name) for name in vendor_rows.EDITABLE},
        "credential": credential_json(row),
        "models": row.model_count,  # type: ignore[attr-defined]  # annotated
        "created_at": _moment(row.created_at),
        "updated_at": _moment(row.updated_at),
    }


def credential_json(row: Provider) -> dict[str, Any]:
    """Of several enabled ones the one that is used: the first by name that opens; else the first."""
    held = sorted((one for one in row.credentials.all() if one.enabled), key=lambda one: one.name)
    stands = [(_state(one), one) for one in held]
    found = next((pair for pair in stands if pair[0] == "set"), None) or next(iter(stands), None)
    if found is None:
        state = "missing" if row.needs_credential else "not_needed"
        return {"state": state, "source": None, "env_var": None, "last_four": None}
    state, one = found
    return {
        "state": state if row.needs_credential or state != "missing" else "not_needed",
        "source": "environment" if one.env_var else "stored",
        "env_var": one.env_var or None,
        "last_four": one.last_four or None,
    }


def check_json(check: Check) -> dict[str, Any]:
    """What a look at the provider's own list of models came to."""
    first = check.problems[0] if check.problems else None
    return {
        "object": "provider.test",
        "provider": check.slug,
        "ok": check.is_well,
        "status": first.trouble.value if first else "well",
        "models": check.listed,
        "latency_ms": None if check.took_s is None else round(check.took_s * 1000),
        "error": first.says if first else None,
        "problems": [mending.as_json(problem) for problem in check.problems],
    }


def _state(one: Credential) -> str:
    try:
        return "set" if credentials.opened(one) else "missing"
    except credentials.CredentialProblem:
        return "unreadable"


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="seconds")

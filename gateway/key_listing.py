"""How `manage.py keys` and the API show a key: as JSON, as a row of a table, as a page of its own. Never its secret."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from analytics import key_history, keys
from analytics.keys import NewKey, State
from analytics.models import ApiKey
from routing import patterns

HEADINGS = ["id", "name", "prefix", "project", "owner", "state", "scopes", "only for", "limits", "expires"]
_LIMITS = {
    "requests_per_minute": "{:,} requests/min",
    "tokens_per_minute": "{:,} tokens/min",
    "concurrent_requests": "{:,} at once",
}
_NARROWED = {
    "allowed_models": "models",
    "allowed_layers": "layers",
    "allowed_endpoints": "endpoints",
    "allowed_networks": "networks",
}


def as_json(row: ApiKey) -> dict[str, Any]:
    return {
        "id": row.pk,
        "name": row.name,
        "prefix": row.prefix,
        "project": row.project.slug,
        "owner": row.owner.get_username() if row.owner else None,
        "state": keys.state(row).value,
        **{name: getattr(row, name) for name in (*keys.LISTS, *keys.LIMITS)},
        "expires_at": _moment(row.expires_at),
        "previous_prefix": row.previous_prefix or None,
        "previous_until": _moment(row.previous_until),
        "created_at": _moment(row.created_at),
        "updated_at": _moment(row.updated_at),
    }


def in_full(row: ApiKey) -> dict[str, Any]:
    """With what takes a look at other tables."""
    return as_json(row) | {
        "last_used_at": _moment(key_history.last_used_at(row)),
        "budgets": [str(budget) for budget in row.budgets.all()],
    }


def as_row(row: ApiKey) -> list[object]:
    return [
        row.pk,
        row.name,
        row.prefix,
        row.project.slug,
        row.owner.get_username() if row.owner else "",
        keys.state(row).value,
        ", ".join(map(str, row.scopes)),
        narrowed(row),
        limits(row),
        _moment(row.expires_at) or "never",
    ]


def as_pairs(row: ApiKey) -> list[list[object]]:
    """What `show` prints: each thing with its value, in words."""
    shown = in_full(row)
    previous = f"{row.previous_prefix}... until {shown['previous_until']}" if keys.is_in_grace(row) else None
    named = [
        ("id", row.pk),
        ("name", row.name),
        ("prefix", row.prefix),
        ("previous key", previous),
        ("project", row.project.slug),
        ("owner", shown["owner"]),
        ("state", shown["state"]),
        ("scopes", ", ".join(map(str, row.scopes))),
        *((words, ", ".join(map(str, getattr(row, name))) or "all") for name, words in _NARROWED.items()),
        ("limits", limits(row) or "none"),
        ("budgets", "; ".join(shown["budgets"]) or "none of its own"),
        ("expires", shown["expires_at"] or "never"),
        ("last used", shown["last_used_at"] or "never"),
        ("created", shown["created_at"]),
        ("changed", shown["updated_at"]),
    ]
    return [[name, value] for name, value in named if value is not None]


def rotation_notes(made: NewKey) -> list[str]:
    """What became of its older keys, and whether the new one works."""
    row, old_prefix = made.row, made.replaced_prefix
    if keys.is_in_grace(row):
        notes = [f"The old one ({old_prefix}...) stays valid until {_moment(row.previous_until)}."]
    else:
        notes = [f"The old one ({old_prefix}...) is no longer valid."]
    if made.dropped_prefix:
        notes.append(f"The one before it ({made.dropped_prefix}...) was still in its grace period, and ended at once.")
    if keys.state(row) is not State.ACTIVE:
        notes.append(f"None of them works: {reason(row)}.")
    return notes


def warnings(row: ApiKey, *, about: Collection[str]) -> list[str]:
    """Of patterns just given, in the fields named, that match nothing there is."""
    slips = patterns.unmatched(
        models=row.allowed_models if "allowed_models" in about else (),
        layers=row.allowed_layers if "allowed_layers" in about else (),
    )
    return [str(slip) for slip in slips]


def reason(row: ApiKey) -> str:
    """Why a key does not work."""
    if not row.enabled:
        return "the key is disabled"
    if not row.project.enabled:
        return f"its project {row.project.slug} is disabled"
    return f"the key expired at {_moment(row.expires_at)}"


def limits(row: ApiKey) -> str:
    found = [words.format(getattr(row, name)) for name, words in _LIMITS.items() if getattr(row, name) is not None]
    return ", ".join(found)


def narrowed(row: ApiKey) -> str:
    found = [(words, getattr(row, name)) for name, words in _NARROWED.items() if getattr(row, name)]
    return "; ".join(f"{words} {', '.join(map(str, values))}" for words, values in found)


def _moment(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="seconds") if moment else None

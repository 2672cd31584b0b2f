"""Fields of a request by which a vendor charges more than its list price. Pure; the list prices are the catalog's.

A field stands in the request whoever answers it, and nobody says before the answer which tier will serve it: the factor
is the most that may be charged.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec
from msgspec import Raw

NONE = Decimal(1)
_NULL = Raw(b"null")
FACTORS: Mapping[str, Mapping[str, Decimal]] = {
    # OpenAI's `priority`, which it calls `fast` as well, costs 2 times the standard price, and 2.5 times for GPT-5.5
    # (openai.com/api-fast-mode); `ultrafast` costs 6 times (developers.openai.com/api/docs/guides/ultrafast-mode, and
    # the models' pages). Groq's tiers are at list price or bought beforehand (console.groq.com/docs/service-tiers).
    "service_tier": {
        "auto": NONE,
        "default": NONE,
        "standard": NONE,
        "standard_only": NONE,
        "on_demand": NONE,
        "performance": NONE,
        "scale": NONE,
        "flex": NONE,
        "batch": NONE,
        "priority": Decimal("2.5"),
        "fast": Decimal("2.5"),
        "ultrafast": Decimal(6),
    },
    # Anthropic's fast mode: 6 times for Opus 4.6, 2 times for Opus 4.8 and 5
    # (platform.claude.com/docs/en/build-with-claude/fast-mode).
    "speed": {"standard": NONE, "fast": Decimal(6)},
    # Anthropic's, for models from Opus 4.6 on (platform.claude.com/docs/en/manage-claude/data-residency).
    "inference_geo": {"global": NONE, "us": Decimal("1.1")},
}
"""How often the list price a field's value may cost. A value that is not here is taken for the dearest of its field."""


def factor(fields: Mapping[str, Raw]) -> Decimal:
    """How often its list price a request may cost. Several fields multiply, as Anthropic's do."""
    found = NONE
    for name, factors in FACTORS.items():
        if name in fields:
            found *= _factor(fields[name], factors)
    return found


def _factor(raw: Raw, factors: Mapping[str, Decimal]) -> Decimal:
    if raw == _NULL:
        return NONE
    value = msgspec.json.decode(raw, type=str) if bytes(raw).startswith(b'"') else ""
    return factors.get(value, max(factors.values()))

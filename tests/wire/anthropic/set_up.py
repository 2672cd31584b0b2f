"""Makes an installation ready for replaying: `python -m tests.wire.anthropic.set_up`, in its environment.

Reads a JSON list of `{slug, base_url, model}` from standard input: a provider each, with a credential and that one
model, which can do everything. Prints the secret of a key.
"""

from __future__ import annotations

import os
import sys
from decimal import Decimal

import msgspec

CREDENTIAL_ENV = "REPLAYED_API_KEY"
BUDGETED = frozenset(
    {
        "claude-3-opus-latest",
        "claude-haiku-4-5",
        "claude-sonnet-4-0",
        "claude-sonnet-4-5",
        "claude-sonnet-4-5-20250929",
    }
)
"""Models that know no adaptive thinking, only a budget for it."""


class Row(msgspec.Struct, frozen=True):
    slug: str
    base_url: str
    model: str


def main() -> None:
    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = "gateway.settings"
    django.setup()
    from django.core.management import call_command
    from django.db import transaction

    from analytics import keys

    with open(os.devnull, "w") as nowhere:
        call_command("migrate", stdout=nowhere)
    with transaction.atomic():
        _make(msgspec.json.decode(sys.stdin.buffer.read(), type=list[Row]))
    print(keys.create("main", actor="tests").secret)


def _make(rows: list[Row]) -> None:
    from providers.models import Credential, Model, Price, Provider
    from providers.types import Unit
    from routing.models import Candidate, Layer, Policy

    layer = Layer.objects.create(name="L0", position=0, from_score=0)
    Policy.objects.create(default_layer=layer)
    for row in rows:
        provider = Provider.objects.create(
            slug=row.slug, name=row.slug, dialect="anthropic", base_url=row.base_url, is_local=True
        )
        Credential.objects.create(provider=provider, env_var=CREDENTIAL_ENV)
        model = Model.objects.create(
            provider=provider,
            name=row.model,
            tools=True,
            vision=True,
            json_schema=True,
            audio=True,
            reasoning=True,
            reasoning_control="budget" if row.model in BUDGETED else "effort",
        )
        Candidate.objects.create(layer=layer, model=model)
        for unit in (Unit.INPUT, Unit.OUTPUT):
            Price.objects.create(model=model, unit=unit, usd_per_unit=Decimal("0.000001"))


if __name__ == "__main__":
    main()

"""Loads the vendors' tables into the frozen values of `providers.types`, for the snapshot."""

from __future__ import annotations

import logging

from django.db.models import Prefetch, QuerySet

from providers import credentials
from providers import models as tables
from providers.types import Capability, Model, Price, Provider, Timeouts, Unit

logger = logging.getLogger(__name__)


def models_by_id() -> dict[int, Model]:
    """Every enabled chat model of every enabled provider, by row id. Four queries."""
    providers = providers_by_id(tables.Provider.objects.filter(enabled=True))
    rows = tables.Model.objects.filter(enabled=True, kind=tables.Kind.CHAT, provider__in=providers)
    return {row.pk: _model(row, provider=providers[row.provider_id]) for row in rows.prefetch_related("prices")}


def providers_by_id(rows: QuerySet[tables.Provider]) -> dict[int, Provider]:
    """The providers of `rows` with their credentials opened, by row id. Two queries."""
    credential_rows = tables.Credential.objects.filter(enabled=True).order_by("name").select_related("provider")
    credentials_of = Prefetch("credentials", queryset=credential_rows, to_attr="enabled_credentials")
    return {row.pk: _provider(row) for row in rows.prefetch_related(credentials_of)}


def _provider(row: tables.Provider) -> Provider:
    return Provider(
        id=row.pk,
        slug=row.slug,
        name=row.name,
        dialect=row.dialect,
        base_url=row.base_url.rstrip("/"),
        is_local=row.is_local,
        needs_credential=row.needs_credential,
        credential=_credential(row),
        max_tokens_field=row.max_tokens_field,
        reasoning_field=row.reasoning_field,
        text_as_string=row.text_as_string,
        usage_in_streams=row.usage_in_streams,
        stops_when_left=row.stops_when_left,
        max_concurrent=row.max_concurrent,
        max_queued=row.max_queued,
        extra_body=row.extra_body if isinstance(row.extra_body, dict) else {},
        timeouts=Timeouts(
            connect_s=row.connect_timeout_s,
            headers_s=row.headers_timeout_s,
            first_content_s=row.first_content_timeout_s,
            between_frames_s=row.between_frames_timeout_s,
        ),
    )


def _credential(row: tables.Provider) -> str | None:
    for credential in row.enabled_credentials:  # type: ignore[attr-defined]  # set by Prefetch(to_attr=...)
        try:
            secret = credentials.opened(credential)
        except credentials.CredentialProblem as problem:
            # One unreadable credential must not keep every other provider from being loaded.
            logger.error("%s", problem)
            continue
        if secret:
            return secret
    return None


def _model(row: tables.Model, *, provider: Provider) -> Model:
    return Model(
        id=row.pk,
        provider=provider,
        name=row.name,
        title=row.title or row.name,
        context_tokens=row.context_tokens,
        max_output_tokens=row.max_output_tokens,
        max_input_tokens_per_file=row.max_input_tokens_per_file,
        capabilities=frozenset(capability for capability in Capability if getattr(row, capability.value)),
        prices=prices(row),
        created_at=row.created_at,
        reasoning_control=row.reasoning_control,
        inline_system=row.inline_system,
    )


def prices(row: tables.Model) -> tuple[Price, ...]:
    """All it has had, has and will have."""
    return tuple(
        Price(Unit(price.unit), price.usd_per_unit, price.from_tokens, price.valid_from) for price in row.prices.all()
    )

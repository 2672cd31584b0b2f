"""Providers and their credentials as rows: made, changed, deleted. Calls nobody, and shows no secret.

A provider's address is judged where the row is (`Provider.clean`), so that it leads nowhere it must not whoever writes.
"""

from __future__ import annotations

from collections.abc import Mapping

from django.core.exceptions import ValidationError

from providers import credentials, spelling
from providers.models import Credential, Provider
from routing import configuring
from routing.configuring import InUse
from routing.models import Candidate

EDITABLE = (
    "name",
    "dialect",
    "base_url",
    "enabled",
    "is_local",
    "needs_credential",
    "max_tokens_field",
    "reasoning_field",
    "text_as_string",
    "usage_in_streams",
    "stops_when_left",
    "extra_body",
    "connect_timeout_s",
    "headers_timeout_s",
    "first_content_timeout_s",
    "between_frames_timeout_s",
    "max_concurrent",
    "max_queued",
)
KEY_WOULD_GO = "Its key would be sent to another server: that is for who may change credentials."
FIXED = {"slug": "This stands in the ledger and cannot be changed."}


def create(*, actor: str, slug: str, **fields: object) -> Provider:
    """Makes a provider; without a `name` it is called by its slug. Raises: ValidationError naming the fields."""
    row = Provider()
    with configuring.changing(actor):
        values = {"name": slug, **fields, "slug": slug}
        configuring.put(row, values, allowed=("slug", *EDITABLE), fixed={})
    return row


def edit(row: Provider, *, actor: str, changes: Mapping[str, object], may_send_key: bool) -> Provider:
    """The row with `changes`, as it is then. `may_send_key`: whether who acts may choose where its key is sent, as who
    changes keys may.

    Raises: ValidationError naming the fields; Provider.DoesNotExist.
    """
    with configuring.changing(actor):
        fresh = Provider.objects.get(pk=row.pk)
        was = fresh.base_url
        configuring.put(fresh, changes, allowed=EDITABLE, fixed=FIXED)
        if not (may_send_key or spelling.is_same_server(was, fresh.base_url)) and fresh.credentials.exists():
            raise ValidationError({"base_url": [KEY_WOULD_GO]})
    return fresh


def delete(row: Provider, *, actor: str, with_candidates: bool = False) -> None:
    """Deletes it with its credentials, models and their prices; out of the layers too `with_candidates` alone.

    Raises: InUse while layers hold models of it; Provider.DoesNotExist.
    """
    with configuring.changing(actor):
        fresh = Provider.objects.get(pk=row.pk)
        held = Candidate.objects.filter(model__provider=fresh).select_related("layer", "model__provider")
        if not with_candidates and (names := [str(one) for one in held]):
            words = f"Layers hold models of {fresh.slug}: {configuring.listed(names)}. Take them out first."
            raise InUse(words, code="provider_in_use")
        fresh.delete()


def set_credential(row: Provider, *, actor: str, value: str | None = None, env_var: str | None = None) -> Provider:
    """Gives the provider one credential in place of whatever it had: a value, which is encrypted, or the name of an
    environment variable.

    Raises: ValidationError naming the fields, without what was sent; Provider.DoesNotExist.
    """
    if (value is None) == (env_var is None):
        raise ValidationError(
            {"value": ["Give a value, or the name of an environment variable in env_var: one of them."]}
        )
    if value is not None and (mistake := credentials.mistake(value)):
        raise ValidationError({"value": [mistake]})
    if env_var is not None and (mistake := spelling.env_var_mistake(env_var)):
        raise ValidationError({"env_var": [mistake]})
    with configuring.changing(actor):
        fresh = Provider.objects.get(pk=row.pk)
        kept, *others = [*fresh.credentials.order_by("name"), Credential(provider=fresh)]
        if value is not None:
            credentials.set_value(kept, value)
        else:
            kept.env_var, kept.encrypted_value, kept.last_four = env_var or "", "", ""
        kept.enabled = True
        kept.full_clean()
        kept.save()
        for other in others:
            if other.pk is not None:
                other.delete()
    return fresh


def remove_credential(row: Provider, *, actor: str) -> Provider:
    """Nothing happens where it has none. Raises: Provider.DoesNotExist."""
    with configuring.changing(actor):
        fresh = Provider.objects.get(pk=row.pk)
        for held in fresh.credentials.all():
            held.delete()
    return fresh

"""`/v1/admin/providers`: providers as the management API has them, their credentials (written, never shown), and a look
at whether they answer."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse, JsonResponse
from rest_framework.decorators import action
from rest_framework.request import Request

from gateway import checking, provider_listing
from gateway.api import installation, managing
from gateway.api.installation import InstallationViewSet
from gateway.api.managing import SHOWN_ONCE
from providers.models import Credential, Provider
from routing import vendor_rows

KINDS: dict[str, managing.Kind] = installation.kinds(Provider, ("slug", *vendor_rows.EDITABLE))
_CREDENTIAL: dict[str, managing.Kind] = {"value": managing.text, "env_var": managing.text}


class ProviderViewSet(InstallationViewSet):
    table = Provider
    lookup_url_kwarg, lookup_value_converter = "slug", "slug"

    def list(self, request: Request) -> HttpResponse:
        rows, enabled = provider_listing.rows(), installation.is_asked(managing.asked(request, "enabled"), "enabled")
        if enabled is not None:
            rows = rows.filter(enabled=enabled)
        return managing.page(
            request, rows, by="slug", told=lambda found: [provider_listing.as_json(row) for row in found]
        )

    def create(self, request: Request) -> HttpResponse:
        fields = managing.changes(request, KINDS)
        row = vendor_rows.create(actor=self.authority.actor, **{"slug": "", **fields})
        return JsonResponse(provider_listing.one(row), status=201)

    def retrieve(self, request: Request, slug: str) -> HttpResponse:
        return JsonResponse(provider_listing.one(installation.provider(slug)))

    def partial_update(self, request: Request, slug: str) -> HttpResponse:
        row, changes = installation.provider(slug), managing.changes(request, KINDS)
        may = self.authority.may("providers.change_credential")
        changed = vendor_rows.edit(row, actor=self.authority.actor, changes=changes, may_send_key=may)
        return JsonResponse(provider_listing.one(changed))

    def destroy(self, request: Request, slug: str) -> HttpResponse:
        row, with_candidates = installation.provider(slug), installation.with_candidates(request, found=self.authority)
        vendor_rows.delete(row, actor=self.authority.actor, with_candidates=with_candidates)
        return JsonResponse({"slug": slug, "object": "provider", "deleted": True})

    @action(detail=True, methods=["put"], table=Credential)
    def credential(self, request: Request, slug: str) -> HttpResponse:
        """What is sent is never said again, neither by an answer nor by the audit trail."""
        row, fields = installation.provider(slug), managing.changes(request, _CREDENTIAL)
        return _stands(vendor_rows.set_credential(row, actor=self.authority.actor, **fields))

    @credential.mapping.delete
    def remove_credential(self, request: Request, slug: str) -> HttpResponse:
        row = installation.provider(slug)
        return _stands(vendor_rows.remove_credential(row, actor=self.authority.actor))

    @action(detail=True, methods=["post"], verbs={"POST": "change"})
    def test(self, request: Request, slug: str) -> HttpResponse:
        """Calls the provider for its list of models, which is free."""
        managing.changes(request, {})
        (check,) = checking.run(checking.subjects([installation.provider(slug).slug]))
        return JsonResponse(provider_listing.check_json(check))


def _stands(row: Provider) -> HttpResponse:
    told: dict[str, Any] = {"object": "credential", "provider": row.slug, **provider_listing.credential_json(row)}
    return JsonResponse(told, headers=SHOWN_ONCE)

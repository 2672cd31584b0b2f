"""`/v1/admin/providers`: providers as the management API has them, their credentials (written, never shown), and a look
at whether they answer."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse, JsonResponse
from rest_framework.request import Request

from gateway import checking, provider_listing
from gateway.api import installation, managing
from gateway.api.installation import InstallationView
from gateway.api.managing import SHOWN_ONCE
from providers.models import Credential, Provider
from routing import vendor_rows

KINDS: dict[str, managing.Kind] = installation.kinds(Provider, ("slug", *vendor_rows.EDITABLE))
_CREDENTIAL: dict[str, managing.Kind] = {"value": managing.text, "env_var": managing.text}


class ProvidersView(InstallationView):
    table = Provider

    def get(self, request: Request) -> HttpResponse:
        rows, enabled = provider_listing.rows(), installation.is_asked(managing.asked(request, "enabled"), "enabled")
        if enabled is not None:
            rows = rows.filter(enabled=enabled)
        return managing.page(
            request, rows, by="slug", told=lambda found: [provider_listing.as_json(row) for row in found]
        )

    def post(self, request: Request) -> HttpResponse:
        fields = managing.changes(request, KINDS)
        row = vendor_rows.create(actor=self.authority.actor, **{"slug": "", **fields})
        return JsonResponse(provider_listing.one(row), status=201)


class ProviderView(InstallationView):
    table = Provider

    def get(self, request: Request, slug: str) -> HttpResponse:
        return JsonResponse(provider_listing.one(installation.provider(slug)))

    def patch(self, request: Request, slug: str) -> HttpResponse:
        row, changes = installation.provider(slug), managing.changes(request, KINDS)
        changed = vendor_rows.edit(row, actor=self.authority.actor, changes=changes)
        return JsonResponse(provider_listing.one(changed))

    def delete(self, request: Request, slug: str) -> HttpResponse:
        row, with_candidates = installation.provider(slug), installation.with_candidates(request, found=self.authority)
        vendor_rows.delete(row, actor=self.authority.actor, with_candidates=with_candidates)
        return JsonResponse({"slug": slug, "object": "provider", "deleted": True})


class CredentialView(InstallationView):
    """What is sent is never said again, neither by an answer nor by the audit trail."""

    table = Credential

    def put(self, request: Request, slug: str) -> HttpResponse:
        row, fields = installation.provider(slug), managing.changes(request, _CREDENTIAL)
        return _stands(vendor_rows.set_credential(row, actor=self.authority.actor, **fields))

    def delete(self, request: Request, slug: str) -> HttpResponse:
        row = installation.provider(slug)
        return _stands(vendor_rows.remove_credential(row, actor=self.authority.actor))


class TryView(InstallationView):
    """Calls the provider for its list of models, which is free."""

    table = Provider
    verbs = {"POST": "change"}

    def post(self, request: Request, slug: str) -> HttpResponse:
        managing.changes(request, {})
        (check,) = checking.run(checking.subjects([installation.provider(slug).slug]))
        return JsonResponse(provider_listing.check_json(check))


def _stands(row: Provider) -> HttpResponse:
    told: dict[str, Any] = {"object": "credential", "provider": row.slug, **provider_listing.credential_json(row)}
    return JsonResponse(told, headers=SHOWN_ONCE)

"""`/v1/admin/models` and `/v1/admin/prices`: models by their whole name, `provider/name`, and what they cost."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Q
from django.http import Http404, HttpResponse, JsonResponse
from django.utils import timezone
from rest_framework.request import Request

from gateway import model_listing
from gateway.api import installation, managing
from gateway.api.installation import InstallationViewSet
from providers.models import Model, Price, Provider
from routing import model_rows, price_setting

KINDS: dict[str, managing.Kind] = {
    "provider": managing.text,
    "name": managing.text,
    **installation.kinds(Model, model_rows.EDITABLE),
}
_PRICE: dict[str, managing.Kind] = {
    "model": managing.text,
    "unit": managing.text,
    "usd": installation.amount,
    "from_tokens": managing.row_id,
    "valid_from": managing.moment,
}


class ModelViewSet(InstallationViewSet):
    table = Model
    lookup_url_kwarg, lookup_value_converter = "name", "path"

    def list(self, request: Request) -> HttpResponse:
        asked = managing.asked(request, "provider", "layer", "enabled", "q")
        wanted = {"provider__slug": asked.get("provider"), "candidates__layer__name": asked.get("layer"),
                  "enabled": installation.is_asked(asked, "enabled")}  # fmt: skip
        rows = model_listing.models().filter(**{name: value for name, value in wanted.items() if value is not None})
        if "q" in asked:
            rows = rows.filter(Q(full_name__icontains=asked["q"]) | Q(title__icontains=asked["q"]))
        return managing.page(request, rows, by="full_name", told=_told, told_as="id")

    def create(self, request: Request) -> HttpResponse:
        row = make(self.authority.actor, managing.changes(request, KINDS))
        return JsonResponse(model_listing.one_model(row), status=201)

    def retrieve(self, request: Request, name: str) -> HttpResponse:
        return JsonResponse(model_listing.one_model(installation.model(name)))

    def partial_update(self, request: Request, name: str) -> HttpResponse:
        row, changes = installation.model(name), managing.changes(request, KINDS)
        changed = model_rows.edit(row, actor=self.authority.actor, changes=changes)
        return JsonResponse(model_listing.one_model(changed))

    def destroy(self, request: Request, name: str) -> HttpResponse:
        row, with_candidates = installation.model(name), installation.with_candidates(request, found=self.authority)
        model_rows.delete(row, actor=self.authority.actor, with_candidates=with_candidates)
        return JsonResponse({"id": name, "object": "model", "deleted": True})


class PriceViewSet(InstallationViewSet):
    """The newest rows first; a price is never changed, so there is no PATCH."""

    table = Price
    lookup_url_kwarg, lookup_value_converter = "price_id", "int"

    def list(self, request: Request) -> HttpResponse:
        asked, rows = managing.asked(request, "model"), Price.objects.all()
        if "model" in asked:
            rows = rows.filter(model=_model(asked["model"]))
        return managing.page(
            request,
            rows,
            by="id",
            told=lambda found: model_listing.prices_json(found, at=timezone.now()),
            newest_first=True,
        )

    def create(self, request: Request) -> HttpResponse:
        fields = {"unit": "", "usd": None} | managing.changes(request, _PRICE)  # the service says what is missing
        row = _model(fields.pop("model", ""))
        price, is_new = price_setting.add(row, actor=self.authority.actor, **fields)
        return JsonResponse(_price(price), status=201 if is_new else 200)

    def retrieve(self, request: Request, price_id: int) -> HttpResponse:
        return JsonResponse(_price(_one(price_id)))

    def destroy(self, request: Request, price_id: int) -> HttpResponse:
        price_setting.take_back(_one(price_id), actor=self.authority.actor)
        return JsonResponse({"id": price_id, "object": "price", "deleted": True})


def make(actor: str, fields: dict[str, Any]) -> Model:
    """Raises: ValidationError."""
    slug = fields.pop("provider", None)
    found = Provider.objects.filter(slug=slug).first()
    if slug and found is None:
        raise ValidationError({"provider": [f"There is no provider {slug!r}; GET /v1/admin/providers shows them."]})
    return model_rows.create(actor=actor, provider=found, **{"name": "", **fields})


def _told(rows: list[Model]) -> list[dict[str, Any]]:
    at = timezone.now()
    return [model_listing.model_json(row, at=at) for row in rows]


def _model(full_name: str) -> Model:
    """Named in a body or a parameter. Raises: ValidationError."""
    row = model_rows.find(full_name)
    if row is None:
        raise ValidationError({"model": [f"There is no model {full_name!r}: use provider/name."]})
    return row


def _one(price_id: int) -> Price:
    row = Price.objects.filter(pk=price_id).first() if price_id < 1 << 63 else None
    if row is None:
        raise Http404(f"There is no price {price_id}.")
    return row


def _price(row: Price) -> dict[str, Any]:
    return model_listing.prices_json([row], at=timezone.now())[0]

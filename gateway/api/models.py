"""`GET /v1/models`, one model, and the layers: OpenAI's shape plus what a caller needs to choose."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

from django.http import HttpResponse, JsonResponse
from rest_framework.request import Request
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from analytics.types import Caller
from providers.listed_prices import PRICED_BY_ONE
from routing import listing, snapshot
from routing.listing import ListedModel
from routing.types import Layer


class ModelViewSet(ViewSet):
    def list(self, request: Request) -> HttpResponse:
        listed = listing.models(snapshot.current(), caller=_caller(request))
        return JsonResponse({"object": "list", "data": [model_json(model) for model in listed]})

    def retrieve(self, request: Request, name: str) -> HttpResponse:
        return JsonResponse(model_json(listing.model(name, snapshot=snapshot.current(), caller=_caller(request))))


class LayersView(APIView):
    def get(self, request: Request) -> HttpResponse:
        config = snapshot.current()
        data = [layer_json(layer) for layer in listing.layers(config, caller=_caller(request))]
        default = next((layer["id"] for layer in data if layer["id"] == config.policy.default_layer), None)
        return JsonResponse({"object": "list", "default": default, "data": data})


def model_json(listed: ListedModel) -> dict[str, Any]:
    """OpenAI's four fields, then ours. Prices are strings: USD per million tokens, and for one of what is counted."""
    model = listed.first.model
    per_million = listed.prices(at=time.time())
    return {
        "id": listed.name,
        "object": "model",
        "created": int(model.created_at.timestamp()),
        "owned_by": model.provider.slug,
        "title": model.title,
        "layer": listed.first.layer or None,
        "providers": listed.providers,
        "context_tokens": model.context_tokens,
        "max_output_tokens": model.max_output_tokens,
        "capabilities": sorted(model.capabilities),
        "usd_per_million": {unit: _text(usd) for unit, usd in per_million.items() if unit not in PRICED_BY_ONE},
        "usd_each": {unit: _text(usd / 1_000_000) for unit, usd in per_million.items() if unit in PRICED_BY_ONE},
    }


def _text(usd: Decimal) -> str:
    return f"{usd.normalize():f}"


def layer_json(layer: Layer) -> dict[str, Any]:
    return {
        "id": layer.name,
        "object": "layer",
        "title": layer.title,
        "from_score": layer.from_score,
        "models": [
            {
                "id": candidate.model.name,
                "provider": candidate.model.provider.slug,
                "priority": candidate.priority,
                "weight": candidate.weight,
            }
            for candidate in layer.candidates
        ],
    }


def _caller(request: Request) -> Caller | None:
    return request.auth if isinstance(request.auth, Caller) else None

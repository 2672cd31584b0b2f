"""`GET /v1/health/routes`: which models are well, and which are left alone, why and until when."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpResponse, JsonResponse
from rest_framework.request import Request
from rest_framework.views import APIView

from analytics.types import Caller
from routing import health_listing, snapshot
from routing.circuit import State
from routing.health_listing import ModelHealth
from routing.models import CircuitTransition


class RoutesHealthView(APIView):
    def get(self, request: Request) -> HttpResponse:
        caller = request.auth if isinstance(request.auth, Caller) else None
        found = health_listing.models(snapshot.current(), caller=caller)
        return JsonResponse({"object": "list", "data": [health_json(one) for one in found]})


def health_json(one: ModelHealth) -> dict[str, Any]:
    """A model in one of its layers. Calls are those of the last half minute, or of the half minute in which it went out
    of order; they are counted beside failures alone."""
    candidate, circuit = one.candidate, one.circuit
    return {
        "model": candidate.model.name,
        "provider": candidate.model.provider.slug,
        "layer": candidate.layer or None,
        "priority": candidate.priority,
        "state": circuit.state.value,
        "cause": circuit.cause if circuit.state is not State.CLOSED else None,
        "since": _text(one.since),
        "until": _text(one.until),
        "failed_tries": circuit.reopened,
        "calls": circuit.calls,
        "failures": circuit.failures,
        "failure_share": round(circuit.share, 4),
        "last_transition": None if one.last is None else transition_json(one.last),
    }


def transition_json(row: CircuitTransition) -> dict[str, Any]:
    return {
        "at": _text(row.at),
        "model": row.model,
        "provider": row.provider,
        "from": row.from_state,
        "to": row.to_state,
        "cause": row.cause,
        "until": _text(row.until),
    }


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()

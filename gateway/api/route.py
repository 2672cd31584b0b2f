"""`POST /v1/route`: what would happen to a chat request, without calling anyone."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse, JsonResponse
from rest_framework.request import Request
from rest_framework.views import APIView

from analytics.types import Caller
from gateway.api import bodies, errors
from gateway.api.authentication import ApiKeyAuthentication, MayChat, caller_from
from routing import dry_run, snapshot
from routing.decision import Decision
from routing.plan import worst_cost


class RouteView(APIView):
    """Takes the body and headers of a chat request. `model` may be left out: `auto`."""

    authentication_classes = [ApiKeyAuthentication]
    permission_classes = [MayChat]

    def post(self, request: Request) -> HttpResponse:
        caller = caller_from(request)
        made = dry_run.decide(
            bodies.chat_request(request._request.body, default_model="auto"),
            wishes=bodies.wishes(request.META),
            caller=caller,
            snapshot=snapshot.current(),
        )
        return JsonResponse(decision_json(made, caller=caller))


def decision_json(made: Decision, *, caller: Caller | None = None) -> dict[str, Any]:
    """A decision as the API and `manage.py route --json` show it. Costs are USD, as strings.

    Dropped models that `caller` may not use are counted, not named; None is told of all.
    """
    return {
        "score": made.score.value,
        "reasons": [{"name": reason.name, "points": reason.points} for reason in made.score.reasons],
        "entry": made.plan.entry or None,
        "entry_reason": made.plan.entry_reason,
        "max_attempts": made.bounds.max_attempts,
        "deadline_s": made.bounds.deadline_s,
        "is_last_resort": made.plan.is_last_resort,
        "input_tokens_at_most": made.need.input_tokens,
        "capabilities": sorted(made.need.capabilities),
        "attempts": [
            {
                "model": candidate.model.name,
                "provider": candidate.model.provider.slug,
                "layer": candidate.layer,
                "priority": candidate.priority,
                "cost_usd_at_most": None if worst is None else f"{worst.normalize():f}",
            }
            for candidate in made.plan.attempts
            for worst in [worst_cost(candidate.model, need=made.need, at=made.live.now)]
        ],
        **errors.dropped(made.plan.dropped, caller=caller),
        "warnings": list(made.warnings),
    }

"""Takes the decision for one request: reads its need, scores it, plans it. What a live request and a dry run share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec
from rapidfuzz import fuzz, process

from analytics import ids
from analytics.types import Caller, storable
from providers.types import ChatRequest, Model
from routing import complexity, plan
from routing import need as needs
from routing.circuit import Circuit
from routing.types import ALL_CLOSED, AUTO, Bounds, Candidate, Live, Need, Plan, Score, Snapshot, Wishes

NEAR_NAMES = 3
SHORT_NAME = 6


class DecisionError(Exception):
    """Root of what keeps a request from being planned at all.

    DecisionError
    └── UnknownModel    no provider serves any of the ids asked for; carries near names
    """


class UnknownModel(DecisionError):
    def __init__(self, name: str, *, near: list[str]) -> None:
        hint = f" Did you mean {' or '.join(near)}?" if near else " GET /v1/models lists what there is."
        super().__init__(f"The model {name!r} does not exist or you do not have access to it.{hint}")
        self.name = name
        self.near = near


class Decision(msgspec.Struct, frozen=True):
    """What was decided for a request, and all it was decided from."""

    request_id: UUID
    started_at: datetime
    need: Need
    score: Score
    plan: Plan
    live: Live
    version: str
    """Of the snapshot."""
    warnings: tuple[str, ...]
    bounds: Bounds
    stand_in: Model | None = None
    """Whose price is taken for a model that has none: the dearest there is."""

    @property
    def entry(self) -> str:
        return entered(self.plan)


def lowest(names: Iterable[str], *, snapshot: Snapshot) -> str | None:
    """Of the layers that budgets allow, the one that holds; one that is not there any more lets nothing through."""
    known = [layer.name for layer in snapshot.layers]
    return min(names, key=lambda name: known.index(name) if name in known else -1, default=None)


def read_need(request: ChatRequest, *, wishes: Wishes, caller: Caller, snapshot: Snapshot) -> Need:
    """What `request` needs, of what there is.

    Raises: need.UnknownLayer, UnknownModel.
    """
    need = _need(request, wishes=wishes, caller=caller, snapshot=snapshot)
    if need.models and not any(_is_visible(name, snapshot=snapshot, caller=caller) for name in need.models):
        raise UnknownModel(need.models[0], near=near_names(need.models[0], snapshot=snapshot, caller=caller))
    return need


def decide(
    need: Need,
    *,
    request: ChatRequest,
    wishes: Wishes,
    caller: Caller,
    snapshot: Snapshot,
    request_id: UUID,
    left_usd: Decimal | None = None,
    ceiling: str | None = None,
    outstanding: Mapping[int, int] | None = None,
    circuits: Mapping[int, Circuit] = ALL_CLOSED,
) -> Decision:
    """Scores a need and plans it, within what its budgets have left and up to the layer they allow, around the models
    that are out of order."""
    score = complexity.score(need)
    started_at = ids.started_at(request_id)
    live = Live(
        now=started_at.timestamp(),
        left_usd=left_usd,
        ceiling=ceiling,
        outstanding=outstanding or {},
        circuits=circuits,
    )
    planned = plan.decide(
        need,
        score=score,
        snapshot=snapshot,
        caller=caller,
        live=live,
        policy=snapshot.policy,
        draw=ids.draw(request_id),
    )
    return Decision(
        request_id,
        started_at,
        need,
        score,
        planned,
        live,
        snapshot.version,
        _warnings(request, wishes=wishes, ceiling=ceiling),
        bounds(entered(planned), wishes=wishes, snapshot=snapshot),
        snapshot.dearest,
    )


def entered(planned: Plan) -> str:
    """Name of the layer entered; of exact models that of the first one."""
    return planned.entry or (planned.attempts[0].layer if planned.attempts else "")


def bounds(entry: str, *, wishes: Wishes, snapshot: Snapshot) -> Bounds:
    """What a request that enters there may take: by the layer, else by the policy. The caller may ask for less."""
    layer, policy = snapshot.layer(entry), snapshot.policy
    most = layer.max_attempts if layer and layer.max_attempts is not None else policy.max_attempts
    longest_s = layer.deadline_s if layer and layer.deadline_s is not None else policy.deadline_s
    return Bounds(min(most, wishes.max_attempts or most), min(longest_s, wishes.timeout_s or longest_s))


def longest_s(*, wishes: Wishes, snapshot: Snapshot) -> float:
    """The most that `bounds` may say, wherever the request enters."""
    own = [layer.deadline_s for layer in snapshot.layers if layer.deadline_s is not None]
    most = max(snapshot.policy.deadline_s, *own) if own else snapshot.policy.deadline_s
    return min(most, wishes.timeout_s or most)


def _need(request: ChatRequest, *, wishes: Wishes, caller: Caller, snapshot: Snapshot) -> Need:
    try:
        return needs.read(request, wishes=wishes, layers=[layer.name for layer in snapshot.layers])
    except needs.UnknownLayer as error:
        layers = _layer_names(snapshot, caller=caller)
        raise needs.UnknownLayer(error.name, layers=layers, is_wish=error.is_wish) from None


def _layer_names(snapshot: Snapshot, *, caller: Caller | None) -> list[str]:
    """Of the layers the caller may use (None: all)."""
    names = [layer.name for layer in snapshot.layers]
    return [name for name in names if caller is None or plan.is_layer_allowed(name, caller=caller)]


def stored(decision: Decision) -> msgspec.Raw:
    """The decision as a ledger row keeps it: enough to take it again, without the words of the request."""
    need, score, planned = decision.need, decision.score, decision.plan
    content = {
        "version": decision.version,
        "draw": ids.draw(decision.request_id),
        "entry": planned.entry,
        "entry_reason": planned.entry_reason,
        "left_usd": decision.live.left_usd,
        "ceiling": decision.live.ceiling,
        "max_attempts": decision.bounds.max_attempts,
        "deadline_s": decision.bounds.deadline_s,
        "outstanding": _of_the_plan(decision.live.outstanding, planned=planned),
        "reasons": [(reason.name, round(reason.points, 4)) for reason in score.reasons],
        "need": {
            "turns": need.turns,
            "tools": need.tools,
            "models": [storable(name, most=200) for name in need.models],
            "enter": need.enter,
            "fenced": need.fenced,
            "capabilities": sorted(need.capabilities),
            "files": need.files,
            "input_tokens": need.input_tokens,
            "max_output_tokens": need.max_output_tokens,
            "answers": need.answers,
            "max_cost_usd": need.max_cost_usd,
            "session": need.session,
        },
        "attempts": [_named(candidate) for candidate in planned.attempts],
        "dropped": [(*_named(dropped.candidate), dropped.reason.value, dropped.detail) for dropped in planned.dropped],
    }
    if decision.live.circuits:
        content["circuits"] = _circuits(decision)
        content["is_last_resort"] = planned.is_last_resort
    return msgspec.Raw(msgspec.json.encode(content))


def _of_the_plan(outstanding: Mapping[int, int], *, planned: Plan) -> dict[int, int]:
    """Calls under way at the models that were looked at: those of others say nothing about this decision."""
    if not outstanding:
        return {}
    looked_at = [*planned.attempts, *(dropped.candidate for dropped in planned.dropped)]
    return {one.model.id: outstanding[one.model.id] for one in looked_at if one.model.id in outstanding}


def _circuits(decision: Decision) -> dict[str, tuple[str, float, str]]:
    """State, end and cause of those that the plan could see, by the model's name."""
    planned = decision.plan
    seen = {one.model.id: one.model for one in planned.attempts}
    seen |= {one.candidate.model.id: one.candidate.model for one in planned.dropped}
    given = decision.live.circuits
    return {
        model.qualified_name: (given[number].state.value, given[number].until, given[number].cause)
        for number, model in seen.items()
        if number in given
    }


def _named(candidate: Candidate) -> tuple[str, str]:
    return candidate.model.qualified_name, candidate.layer


def _is_visible(name: str, *, snapshot: Snapshot, caller: Caller | None) -> bool:
    return any(may_use(candidate, caller=caller) for candidate in snapshot.served.get(name, ()))


def near_names(name: str, *, snapshot: Snapshot, caller: Caller | None) -> list[str]:
    """Known ids that look like `name`, best first, out of those the caller may use (None: all)."""
    visible = [known for known in snapshot.served if _is_visible(known, snapshot=snapshot, caller=caller)]
    visible += _layer_names(snapshot, caller=caller)
    # A part of a long name is found in almost any short one.
    scorer = fuzz.WRatio if len(name) >= SHORT_NAME else fuzz.ratio
    found = process.extract(name, visible, scorer=scorer, limit=NEAR_NAMES, score_cutoff=75)
    return [known for known, _, _ in found]


def may_use(candidate: Candidate, *, caller: Caller | None) -> bool:
    """Whether the caller may use a model in its layer, and so may know of it; a user (None) may."""
    if caller is None:
        return True
    layer_allowed = plan.is_layer_allowed(candidate.layer, caller=caller)
    return layer_allowed and plan.is_model_allowed(candidate.model, caller=caller)


def _warnings(request: ChatRequest, *, wishes: Wishes, ceiling: str | None) -> tuple[str, ...]:
    is_named = request.model != AUTO and not request.model.startswith(f"{AUTO}:")
    lowered = (f"a budget is reached: no layer above {ceiling}",) if ceiling is not None else ()
    if wishes.layer is not None and is_named:
        return (f"model {request.model} was not used: X-Gateway-Layer decides", *lowered)
    return lowered

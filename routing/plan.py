"""Decides which models are tried, in which order, and why the others are not. Pure: values in, a plan out.

The same function answers a live request, a dry run, the dashboard and a back-test over stored rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import partial

from analytics import cost, ids
from analytics.types import Caller
from providers.types import Model, Usage
from routing import balancing
from routing.types import Candidate, Dropped, DropReason, Layer, Live, Need, Plan, Policy, Score, Snapshot, UnknownPrice

DEFAULT_OUTPUT_TOKENS = 4096
"""Taken for the output when neither the request nor the model says how long it may get."""


def decide(
    need: Need,
    *,
    score: Score,
    snapshot: Snapshot,
    caller: Caller,
    live: Live,
    policy: Policy,
    draw: float,
) -> Plan:
    """The plan for one request. `draw` in [0, 1) settles the order among equals (`routing.balancing`)."""
    if need.models and live.ceiling is None:
        found = [
            one for name in need.models for one in _serving(name, need=need, snapshot=snapshot, live=live, draw=draw)
        ]
        entry, reason = "", "asked for by name"
        dropped: list[Dropped] = []
    else:
        entry, reason = _entry(need, score=score, layers=snapshot.layers, caller=caller, policy=policy)
        entry, reason = _under(live.ceiling, entry, reason, need=need, layers=snapshot.layers)
        found, dropped = _from_layers(need, entry=entry, layers=snapshot.layers, caller=caller, draw=draw, live=live)
    attempts: dict[int, Candidate] = {}
    refused: dict[int, Dropped] = {}
    for candidate in found:
        if candidate.model.id in attempts:  # a model in two layers is tried once, in the first it may be used in
            continue
        refusal = _refusal(candidate, need=need, caller=caller, live=live, policy=policy)
        if refusal is None:
            attempts[candidate.model.id] = candidate
        else:
            refused.setdefault(candidate.model.id, refusal)
    last_resort = None if attempts else _last_resort(refused.values(), live=live)
    if last_resort is not None:
        attempts[last_resort.model.id] = last_resort
    dropped += [refusal for model_id, refusal in refused.items() if model_id not in attempts]
    return Plan(tuple(attempts.values()), tuple(dropped), entry, reason, is_last_resort=last_resort is not None)


def is_layer_allowed(name: str, *, caller: Caller) -> bool:
    return not caller.allowed_layers or any(fnmatchcase(name, pattern) for pattern in caller.allowed_layers)


def is_model_allowed(model: Model, *, caller: Caller) -> bool:
    return are_names_allowed((model.name, model.qualified_name), caller=caller)


def are_names_allowed(names: Sequence[str], *, caller: Caller) -> bool:
    """Whether one of a model's names matches one of the key's patterns."""
    patterns = caller.allowed_models
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns for name in names)


def worst_cost(model: Model, *, need: Need, at: float, answer_tokens: int | None = None) -> Decimal | None:
    """Upper estimate of what a request costs at this model: estimated input, and answers of `answer_tokens` each, or as
    long as they may get. None: no price is known."""
    each = longest_answer(model, need=need) if answer_tokens is None else answer_tokens
    usage, moment = most_used(model, need=need, output_tokens=each * need.answers), ids.moment(at)
    if may_write_cache(model, need=need):
        usage = cost.at_dearest_input(usage, model.prices, at=moment)
    return cost.most(usage, model.prices, at=moment, factor=need.price_factor)


def most_used(model: Model, *, need: Need, output_tokens: int) -> Usage:
    """What a request uses at most when its answers have so many tokens together: the upper estimate of its input, a
    prediction that is rejected as a whole, and all the web searches that it may have made."""
    return Usage(
        input_tokens=_input_tokens(model, need=need),
        output_tokens=output_tokens + need.prediction_tokens * need.answers,
        web_searches=need.web_searches,
    )


def may_write_cache(model: Model, *, need: Need) -> bool:
    return need.writes_cache or "cache_control" in model.provider.extra_body


def longest_answer(model: Model, *, need: Need) -> int:
    """The tokens of one answer, at most: by the request's word, else by the model's."""
    return need.max_output_tokens or model.max_output_tokens or DEFAULT_OUTPUT_TOKENS


def _least_cost(model: Model, *, need: Need, at: float) -> Decimal:
    """With answers of one token; nothing where no price is known."""
    return worst_cost(model, need=need, at=at, answer_tokens=1) or cost.ZERO


def entered_by(score: float, *, layers: Sequence[Layer]) -> str:
    """Name of the layer that a request which looks so hard enters; '' where it is too easy for all of them."""
    return next((layer.name for layer in reversed(layers) if score >= layer.from_score), "")


def _entry(need: Need, *, score: Score, layers: Sequence[Layer], caller: Caller, policy: Policy) -> tuple[str, str]:
    if need.enter is not None:
        wanted, reason = need.enter, "asked for by the caller"
    elif score.value is None:
        wanted, reason = policy.default_layer, "the default layer: the request could not be judged"
    else:
        wanted = entered_by(score.value, layers=layers)
        reason = f"score {score.value:.2f}"
    names = [layer.name for layer in layers]
    allowed = [name for name in names if is_layer_allowed(name, caller=caller)] if caller.allowed_layers else names
    if wanted not in names:
        return (allowed[0] if allowed else ""), f"{reason}; layer {wanted!r} is not enabled"
    if allowed and names.index(wanted) > names.index(allowed[-1]) and not need.fenced:
        return allowed[-1], f"{reason}, lowered to the key's ceiling"
    return wanted, reason


def _under(ceiling: str | None, entry: str, reason: str, *, need: Need, layers: Sequence[Layer]) -> tuple[str, str]:
    """The entry, no higher than a budget allows. Who asked for a model by name enters right there; who asked for this
    layer and no other is given no other."""
    names = [layer.name for layer in layers]
    if ceiling is None or ceiling not in names or need.fenced:
        return entry, reason
    if need.models or entry not in names or names.index(entry) > names.index(ceiling):
        return ceiling, f"{reason}, lowered to what the budget allows"
    return entry, reason


def _serving(name: str, *, need: Need, snapshot: Snapshot, live: Live, draw: float) -> Sequence[Candidate]:
    """Who serves an id: of several providers those that are equals in the order of equals. `openai/m` is the model `m`
    at the provider `openai` before it is what another provider calls `openai/m`."""
    served = snapshot.served.get(name, ())
    if len(served) < 2:
        return served
    named = [one for one in served if one.model.qualified_name == name]
    others = [one for one in served if one.model.qualified_name != name]
    in_order = partial(balancing.in_order, draw=draw, session=need.session, outstanding=live.outstanding)
    return [*in_order(balancing.ranked(named)), *in_order(balancing.ranked(others))]


def _from_layers(
    need: Need, *, entry: str, layers: Sequence[Layer], caller: Caller, draw: float, live: Live
) -> tuple[list[Candidate], list[Dropped]]:
    found: list[Candidate] = []
    dropped: list[Dropped] = []
    is_reached, ceiling = False, live.ceiling
    is_above = ceiling is not None and all(layer.name != ceiling for layer in layers)
    for layer in layers:
        is_reached = is_reached or layer.name == entry
        reason = None
        if is_above:
            reason = DropReason.DEGRADED
        elif not is_reached:
            reason = DropReason.BELOW_ENTRY
        elif need.fenced and layer.name != entry:
            reason = DropReason.OUTSIDE_FENCE
        elif not is_layer_allowed(layer.name, caller=caller):
            reason = DropReason.LAYER_NOT_ALLOWED
        if reason is None:
            found += balancing.in_order(layer.ranks, draw=draw, session=need.session, outstanding=live.outstanding)
        else:
            dropped += [Dropped(candidate, reason) for candidate in layer.candidates]
        is_above = is_above or layer.name == ceiling
    return found, dropped


def _refusal(candidate: Candidate, *, need: Need, caller: Caller, live: Live, policy: Policy) -> Dropped | None:
    model = candidate.model
    # A model in no layer is not in one that a limited key may use.
    if need.models and not is_layer_allowed(candidate.layer, caller=caller):
        return Dropped(candidate, DropReason.LAYER_NOT_ALLOWED)
    if not is_model_allowed(model, caller=caller):
        return Dropped(candidate, DropReason.MODEL_NOT_ALLOWED)
    if model.provider.needs_credential and not model.provider.credential:
        return Dropped(candidate, DropReason.NO_CREDENTIAL)
    if missing := need.capabilities - model.capabilities:
        return Dropped(candidate, DropReason.MISSING_CAPABILITY, ", ".join(sorted(missing)))
    return (
        _size_refusal(candidate, need=need)
        or _cost_refusal(candidate, need=need, live=live, policy=policy)
        or _circuit_refusal(candidate, live=live)
    )


def _circuit_refusal(candidate: Candidate, *, live: Live) -> Dropped | None:
    """One whose circuit is due stays: the request that claims it finds out."""
    circuit = live.circuits.get(candidate.model.id)
    if circuit is None or not circuit.is_out(at=live.now):
        return None
    return Dropped(candidate, DropReason.CIRCUIT_OPEN, circuit.words())


def _last_resort(dropped: Iterable[Dropped], *, live: Live) -> Candidate | None:
    """Of what was dropped for its circuit alone, which is asked for last, the one that is due first."""
    out = [one.candidate for one in dropped if one.reason is DropReason.CIRCUIT_OPEN]
    return min(out, key=lambda candidate: live.circuits[candidate.model.id].until, default=None)


def _size_refusal(candidate: Candidate, *, need: Need) -> Dropped | None:
    model = candidate.model
    wanted = need.max_output_tokens
    if wanted is not None and model.max_output_tokens is not None and wanted > model.max_output_tokens:
        return Dropped(candidate, DropReason.OUTPUT_TOO_SMALL, f"{wanted} > {model.max_output_tokens}")
    if model.context_tokens is not None:
        # Half the upper estimate is what a text usually has: a model is dropped only when it will hardly fit.
        needed = _input_tokens(model, need=need) // 2 + (wanted or 0)
        if needed > model.context_tokens:
            return Dropped(candidate, DropReason.CONTEXT_TOO_SMALL, f"about {needed} > {model.context_tokens}")
    return None


def _cost_refusal(candidate: Candidate, *, need: Need, live: Live, policy: Policy) -> Dropped | None:
    if live.now < candidate.model.priced_from:
        # Estimated by another model's price it may be, but held to a ceiling it cannot be.
        is_allowed = policy.unknown_price is UnknownPrice.ESTIMATE and need.max_cost_usd is None
        return None if is_allowed else Dropped(candidate, DropReason.PRICE_UNKNOWN)
    if live.left_usd is not None and _least_cost(candidate.model, need=need, at=live.now) > live.left_usd:
        return Dropped(candidate, DropReason.OVER_BUDGET)
    if need.max_cost_usd is None:
        return None
    worst = worst_cost(candidate.model, need=need, at=live.now)
    if worst is not None and worst > need.max_cost_usd:
        return Dropped(candidate, DropReason.TOO_DEAR, f"up to {worst.normalize():f} USD")
    return None


def _input_tokens(model: Model, *, need: Need) -> int:
    return need.input_tokens + need.files * model.max_input_tokens_per_file

"""`/admin/route/`: the route explorer. A prompt's score, layer and plan, and what moves if layers began elsewhere.

Nothing is sent to a model, and the prompt is kept nowhere. Thresholds are tried first and set afterwards, by who may.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse

from analytics import authority, callers, visibility
from analytics.authority import Authority
from analytics.models import Role
from analytics.queries import judged
from analytics.types import Caller
from gateway import exploring
from gateway.api import bodies
from gateway.api.route import decision_json
from gateway.exploring import Explored, Moved, Thresholds
from gateway.pages import acting, finding
from providers.types import ChatRequest
from routing import layer_rows, need, plan, snapshot
from routing.decision import Decision, DecisionError
from routing.models import Layer as LayerRow
from routing.snapshot import SnapshotError
from routing.types import Dropped, Layer, Snapshot, Wishes

USUAL_ANSWER = 500
"""Tokens, for the estimate of what an answer costs that is not as long as it may get."""
MOST_KEYS = 500
"""Tokens to choose from."""
MOST_NAMED = 2_000
"""Models that are suggested while a name is typed."""
TEXTS = ("prompt", "system", "model", "layer", "max_tokens", "max_cost", "key")
NOBODY = "owner"
"""The choice of no token, for who may see all."""


class Attempt(msgspec.Struct, frozen=True):
    model: str
    layer: str
    usual_usd: Decimal | None
    most_usd: Decimal | None


class Path(msgspec.Struct, frozen=True):
    """One decision, as the page has it."""

    title: str
    told: Mapping[str, Any]
    attempts: tuple[Attempt, ...]
    dropped: tuple[Dropped, ...]
    reasons: tuple[tuple[str, int], ...]
    """Why models were dropped, and how many of them, the most first."""


_PLAIN = re.compile(r"[0-9]{1,3}(\.[0-9]{1,30})?|\.[0-9]{1,30}", re.ASCII)
"""How a threshold is written."""


class Threshold(msgspec.Struct, frozen=True):
    layer: str
    title: str
    now: float
    """In force."""
    was: str
    """When the form was opened."""
    tried: str
    mistake: str = ""


class Asked(msgspec.Struct, frozen=True):
    """What the form says, and what is wrong with it."""

    texts: Mapping[str, str]
    is_fenced: bool
    thresholds: tuple[Threshold, ...]
    choices: tuple[tuple[str, str], ...]
    """Tokens to decide for: value and words."""

    @property
    def is_wrong(self) -> bool:
        return any(one.mistake for one in self.thresholds)

    @property
    def tried(self) -> Thresholds:
        return {one.layer: float(one.tried) for one in self.thresholds}

    @property
    def changed(self) -> Thresholds:
        """Those that were not so when the form was opened: the others stay as somebody else may have set them."""
        return {one.layer: float(one.tried) for one in self.thresholds if one.tried != one.was}


def page(request: HttpRequest, context: Mapping[str, Any]) -> HttpResponse:
    try:
        config = _in_force()
    except SnapshotError as error:
        told = {**context, "title": "Route explorer", "message": str(error)}
        return TemplateResponse(request, "gateway/away.html", told, status=503, headers={"Retry-After": "5"})
    found = authority.of_user(request.user)
    asked, said = _asked(request.POST, config=config, found=found), ""
    answer: dict[str, Any] = {"mistakes": {}}
    if request.method == "POST" and not asked.is_wrong:
        if is_set := request.POST.get("do") == "set":
            said, answer["mistakes"] = _set(asked, found=found)
            config = _in_force()
            asked = _asked(request.POST, config=config, found=found, is_opened_anew=True)
        if not is_set or (said and _has_prompt(asked)):
            answer = _answer(request, asked, config=config, found=found)
    told = {
        **context,
        "title": "Route explorer",
        "asked": asked,
        "said": said,
        "may_set": found is not None and found.may("routing.change_layer"),
        "answer_tokens": USUAL_ANSWER,
        "names": ["auto", *(layer.name for layer in config.layers), *sorted(config.served)[:MOST_NAMED]],
        **answer,
    }
    is_wrong = asked.is_wrong or bool(answer["mistakes"])
    return TemplateResponse(request, "gateway/explorer.html", told, status=400 if is_wrong else 200)


def _in_force() -> Snapshot:
    """With the thresholds of the rows, which this process may learn of a moment later. Raises: SnapshotError."""
    return exploring.with_thresholds(snapshot.current(), dict(LayerRow.objects.values_list("name", "from_score")))


def _answer(request: HttpRequest, asked: Asked, *, config: Snapshot, found: Authority | None) -> dict[str, Any]:
    try:
        return {"mistakes": {}, **_look(request, asked, config=config, found=found)}
    except bodies.BadBody as error:
        return {"mistakes": {_field(error.param): error.message}}
    except (need.NeedError, DecisionError) as error:
        return {"mistakes": {"model": str(error)}}


def _look(request: HttpRequest, asked: Asked, *, config: Snapshot, found: Authority | None) -> dict[str, Any]:
    """Raises: bodies.BadBody, need.NeedError, DecisionError."""
    caller = _caller(asked, config=config, found=found)
    explored = exploring.decide(
        _request(asked), wishes=_wishes(asked), caller=caller, snapshot=config, thresholds=asked.tried
    )
    return {
        "score": decision_json(explored.now),
        "is_body": _is_body(asked.texts["prompt"]),
        "paths": _paths(explored),
        "is_same": explored.then is not None and explored.then.plan == explored.now.plan,
        **_moved(request, asked, config=config),
    }


def _moved(request: HttpRequest, asked: Asked, *, config: Snapshot) -> dict[str, Any]:
    """What the thresholds that are tried would have done to the latest requests that the user may see."""
    if all(float(one.tried) == one.now for one in asked.thresholds):
        return {}
    latest = judged.latest(visibility.records_of_user(request.user))
    moved: list[Moved] = exploring.moved(latest, layers=config.layers, thresholds=asked.tried)
    return {"moved": moved, "looked_at": len(latest), "stay": len(latest) - sum(one.requests for one in moved)}


def _set(asked: Asked, *, found: Authority | None) -> tuple[str, dict[str, str]]:
    """What was done, or what is wrong. Raises: PermissionDenied."""
    if found is None or not found.may("routing.change_layer"):
        raise acting.lacking("routing.change_layer")
    try:
        changed = layer_rows.set_thresholds(asked.changed, actor=found.actor)
    except ValidationError as error:
        return "", {"": " ".join(error.messages)}
    told = ", ".join(f"{row.name} from {row.from_score:g}" for row in changed)
    if not told:
        return "These are the thresholds in force.", {}
    return f"Set: {told}. In force in every process within two seconds.", {}


def _asked(sent: QueryDict, *, config: Snapshot, found: Authority | None, is_opened_anew: bool = False) -> Asked:
    opened: dict[str, Any] = {} if is_opened_anew else sent.dict()
    texts = {name: sent.get(name, "") if name in ("prompt", "system") else sent.get(name, "").strip() for name in TEXTS}
    thresholds = tuple(
        _threshold(layer, was=opened.get(f"was-{layer.name}", ""), tried=sent.get(f"from-{layer.name}", "").strip())
        for layer in config.layers
    )
    return Asked(texts, "fenced" in sent, thresholds, tuple(_choices(found)))


def _threshold(layer: Layer, *, was: str, tried: str) -> Threshold:
    now = f"{Decimal(repr(layer.from_score)).normalize():f}"
    is_fine = _PLAIN.fullmatch(tried or now) is not None and float(tried or now) <= 1
    mistake = "" if is_fine else "Use a number from 0 to 1, such as 0.25."
    return Threshold(layer.name, layer.title, layer.from_score, was or now, tried or now, mistake)


def _choices(found: Authority | None) -> list[tuple[str, str]]:
    """Whom a decision can be asked for: tokens one may see, and nobody in particular for who may see all."""
    if found is None:
        return []
    keys = visibility.keys_of(found, least=Role.VIEWER).filter(enabled=True).order_by("project__slug", "name")
    told = [(str(row.pk), f"{row.name} of {row.project.slug}") for row in keys[:MOST_KEYS]]
    return [(NOBODY, "none: all models"), *told] if _sees_all(found) else told


def _sees_all(found: Authority) -> bool:
    return found.may("providers.view_model")


def _caller(asked: Asked, *, config: Snapshot, found: Authority | None) -> Caller:
    """For whom to decide. Raises: BadBody."""
    wanted = asked.texts["key"] or next((value for value, _ in asked.choices), "")
    if found is not None and wanted == NOBODY and _sees_all(found):
        return callers.owner()
    row = None if found is None else finding.key_numbered(wanted, found=found)
    caller = None if row is None else config.callers.get(bytes(row.key_hash))
    if found is None or caller is None:
        raise bodies.BadBody("Choose one of your tokens; make one first where there is none.", param="key")
    return caller


def _request(asked: Asked) -> ChatRequest:
    """A prompt, or a whole body where that is what was pasted. Raises: BadBody."""
    prompt, texts = asked.texts["prompt"], asked.texts
    if not _has_prompt(asked):
        raise bodies.BadBody("Write a prompt, or paste one.", param="prompt")
    if _is_body(prompt):
        return bodies.chat_request(prompt.encode(), default_model=texts["model"] or "auto")
    body: dict[str, Any] = {
        "model": texts["model"] or "auto",
        "messages": [{"role": "user", "content": prompt}],
    }
    if texts["system"].strip():
        body["messages"].insert(0, {"role": "system", "content": texts["system"]})
    if texts["max_tokens"]:
        body["max_tokens"] = _whole(texts["max_tokens"])
    return bodies.chat_request(msgspec.json.encode(body))


def _is_body(prompt: str) -> bool:
    return prompt.lstrip().startswith("{") and '"messages"' in prompt


def _has_prompt(asked: Asked) -> bool:
    return bool(asked.texts["prompt"].strip())


def _wishes(asked: Asked) -> Wishes:
    """Raises: BadBody."""
    layer = ("=" if asked.is_fenced else "") + asked.texts["layer"]
    sent = {"HTTP_X_GATEWAY_LAYER": layer if asked.texts["layer"] else ""}
    return bodies.wishes(sent | {"HTTP_X_GATEWAY_MAX_COST": asked.texts["max_cost"]})


def _whole(text: str) -> int:
    """Raises: BadBody."""
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise bodies.BadBody("Use a whole number from 1 on.", param="max_tokens")
    return int(text)


def _field(param: str | None) -> str:
    """Of the form, for what the API calls by its own names."""
    named = {"X-Gateway-Layer": "layer", "X-Gateway-Max-Cost": "max_cost"}
    found = named.get(param or "", param or "")
    return found if found in TEXTS else "prompt"


def _paths(explored: Explored) -> list[Path]:
    found = [_path("Now" if explored.then else "Plan", explored.now)]
    if explored.then is not None:
        found.append(_path("With your thresholds", explored.then))
    return found


def _path(title: str, made: Decision) -> Path:
    attempts = tuple(
        Attempt(
            one.model.qualified_name,
            one.layer,
            plan.worst_cost(one.model, need=made.need, at=made.live.now, answer_tokens=USUAL_ANSWER),
            plan.worst_cost(one.model, need=made.need, at=made.live.now),
        )
        for one in made.plan.attempts
    )
    reasons = tuple(Counter(one.reason.value for one in made.plan.dropped).most_common())
    return Path(title, decision_json(made), attempts, made.plan.dropped, reasons)

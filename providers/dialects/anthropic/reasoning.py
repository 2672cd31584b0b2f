"""Translates how much the model is to think before it answers, and when it must not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import Raw

from providers.dialects.anthropic import options, reading, tools
from providers.dialects.anthropic.reading import INVALID_VALUE, mistake, refusal, wrong_type
from providers.dialects.anthropic.unsupported import leave_out, left_out
from providers.types import Model

LEAST_BUDGET = 1024
"""Tokens: the vendor refuses less."""
_SHARES = {"minimal": 0.1, "low": 0.2, "medium": 0.5, "high": 0.8, "xhigh": 0.95, "max": 0.95}
"""What part of `max_tokens` an effort is, for models that take a budget."""
_IN_REASONING = ("effort", "max_tokens", "enabled")
_LEAST_TOP_P = 0.95
_THOUGHTS = ("thinking", "redacted_thinking")
_OFF = "thinking is switched off"


@dataclass(frozen=True, slots=True)
class Wish:
    """That the model should think, in OpenAI's words or OpenRouter's."""

    field: str
    effort: str | None
    max_tokens: int | None


def apply(body: dict[str, Any], *, model: Model, warnings: list[str]) -> None:
    """Sets `thinking` and `output_config.effort`, once `messages`, `max_tokens` and `tool_choice` stand.

    Raises: ProviderError(UNSUPPORTED or REJECTED)."""
    wish = _wish(body.pop("reasoning_effort", None), body.pop("reasoning", None), warnings=warnings)
    is_derived = False
    if wish is not None and "thinking" in body:
        warnings.append(f"{left_out(wish.field)}: thinking says it")
    elif wish is not None:
        is_derived = _derive(body, wish=wish, model=model, warnings=warnings)
    if _kind(body.get("thinking")) == "enabled" and _lacks_thoughts(body["messages"]):
        del body["thinking"]
        warnings.append(f"{_OFF}: the conversation's last tool call came without its reasoning_details")
    elif is_derived:
        _leave_sampling_out(body, warnings=warnings)


def _wish(effort: Raw | None, reasoning: Raw | None, *, warnings: list[str]) -> Wish | None:
    """None where nothing is said, or that it should not think."""
    asked = reading.sent_members(reasoning, at="reasoning") if reasoning is not None else {}
    for name in [name for name in asked if name not in _IN_REASONING]:
        leave_out(f"reasoning.{name}", warnings=warnings)
    said = {name: reading.value(asked[name], at=f"reasoning.{name}") for name in _IN_REASONING if name in asked}
    level = _effort(said.get("effort"), at="reasoning.effort")
    if effort is not None:
        level = level or _effort(reading.value(effort, at="reasoning_effort"), at="reasoning_effort")
    budget = _budget(said.get("max_tokens"))
    if level == "none" or said.get("enabled") is False or not (level or budget or said.get("enabled")):
        return None
    return Wish("reasoning" if said else "reasoning_effort", level, budget)


def _effort(level: object, *, at: str) -> str | None:
    if level is None or level == "none":
        return level
    message = f"{at} must be none, {', '.join(_SHARES)}."
    if not isinstance(level, str):
        raise wrong_type(at, message, found=level)
    if level not in _SHARES:  # other vendors have words of their own
        raise refusal(at, message)
    return level


def _budget(tokens: object) -> int | None:
    if tokens is None:
        return None
    at = "reasoning.max_tokens"
    message = f"{at} must be a whole number of at least 1."
    if not isinstance(tokens, int) or isinstance(tokens, bool):
        raise wrong_type(at, message, found=tokens)
    if tokens < 1:
        raise mistake(at, message, code=INVALID_VALUE)
    return tokens


def _derive(body: dict[str, Any], *, wish: Wish, model: Model, warnings: list[str]) -> bool:
    """Whether the wish has become `thinking`."""
    by_effort = model.reasoning_control != "budget"
    if by_effort and wish.effort:
        options.set_output(body, "effort", "low" if wish.effort == "minimal" else wish.effort)
    if tools.is_forced(body):
        warnings.append(f"{_OFF}: tool_choice forces a tool call")
        return False
    thinking = {"type": "adaptive"} if by_effort and not wish.max_tokens else _budgeted(wish, limit=body["max_tokens"])
    if thinking is None:
        warnings.append(f"{_OFF}: it needs max_tokens above {LEAST_BUDGET}")
        return False
    body["thinking"] = thinking
    return True


def _budgeted(wish: Wish, *, limit: int) -> dict[str, Any] | None:
    if limit <= LEAST_BUDGET:
        return None
    wanted = wish.max_tokens or int(limit * _SHARES[wish.effort or "medium"])
    return {"type": "enabled", "budget_tokens": min(max(wanted, LEAST_BUDGET), limit - 1)}


def fit(body: dict[str, Any], *, before: int, warnings: list[str]) -> None:
    """Makes a budget of thinking smaller than a `max_tokens` that was lowered and was `before`: the vendor wants it so.

    A budget that was not smaller before stays: with thinking between tool calls the vendor takes it, and otherwise the
    mistake is the client's."""
    limit = body["max_tokens"]
    budget = _budget_of(body.get("thinking"))
    if budget is None or not limit <= budget < before:
        return
    if limit <= LEAST_BUDGET:
        del body["thinking"]
        warnings.append(f"{_OFF}: it needs more than the {limit} tokens that the budget leaves for the answer")
    else:
        raw = body["thinking"]
        thinking = reading.members(raw, at="thinking") if isinstance(raw, Raw) else raw
        body["thinking"] = thinking | {"budget_tokens": limit - 1}
        warnings.append(f"thinking.budget_tokens is lowered to {limit - 1}: the budget leaves {limit} for the answer")


def _leave_sampling_out(body: dict[str, Any], *, warnings: list[str]) -> None:
    """While it thinks, the vendor refuses any temperature but 1 and a small `top_p`."""
    for name, least in (("temperature", 1), ("top_p", _LEAST_TOP_P)):
        found = body.get(name)
        if isinstance(found, Raw):
            found = reading.value(found, at=name)
        if isinstance(found, int | float) and found < least:
            del body[name]
            warnings.append(f"{left_out(name)}: the model is to think")


def _kind(thinking: Any) -> object:
    return _said(thinking).get("type")


def _budget_of(thinking: Any) -> int | None:
    said = _said(thinking)
    budget = said.get("budget_tokens")
    return budget if said.get("type") == "enabled" and isinstance(budget, int) else None


def _said(thinking: Any) -> Mapping[str, Any]:
    found = reading.value(thinking, at="thinking") if isinstance(thinking, Raw) else thinking
    return found if isinstance(found, dict) else {}


def _lacks_thoughts(turns: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the model is to go on after its tools' results, without what it thought when it called them: the vendor
    refuses to think then."""
    last = next((index for index in range(len(turns) - 1, -1, -1) if turns[index]["role"] == "assistant"), None)
    if last is None:
        return False
    kinds = [block.get("type") for block in turns[last]["content"]]
    if "tool_use" not in kinds or any(kind in _THOUGHTS for kind in kinds):
        return False
    since = (block for turn in turns[last + 1 :] if turn["role"] == "user" for block in turn["content"])
    return all(block["type"] == "tool_result" for block in since)

"""What OpenAI's dialect can say and Anthropic's cannot: the table of such fields, and how a request is refused.

Fields that can be translated are none of this module's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from providers.dialects.anthropic import reading
from providers.dialects.anthropic.reading import refusal


@dataclass(frozen=True, slots=True)
class Rule:
    """What becomes of a top-level field that Anthropic does not have."""

    defaults: tuple[Any, ...] = ()
    """Values that ask for nothing: the field is left out, and nobody need know."""
    refusal: str = ""
    """Why a request that asks for it is refused; '' where the field is a hint, and left out."""
    is_told: bool = True
    """Whether leaving it out is worth a warning."""


RULES: dict[str, Rule] = {
    "n": Rule((1,), "Anthropic's models give one answer a request: leave n out."),
    "logprobs": Rule((False,), "Anthropic's models cannot return logprobs: leave logprobs out."),
    "top_logprobs": Rule((0,), "Anthropic's models cannot return logprobs: leave top_logprobs out."),
    "logit_bias": Rule(({},), "Anthropic's models know no bias of tokens: leave logit_bias out."),
    "modalities": Rule((["text"], []), "Anthropic's models answer in text alone: leave modalities out."),
    "audio": Rule((), "Anthropic's models cannot speak: leave audio out."),
    "functions": Rule(([],), "Anthropic's models take functions as tools: send tools instead of functions."),
    "function_call": Rule(
        ("auto", "none"), "Anthropic's models take functions as tools: send tool_choice instead of function_call."
    ),
    "moderation": Rule((), "Anthropic's models have no moderation to set: leave moderation out."),
    "frequency_penalty": Rule((0,)),
    "presence_penalty": Rule((0,)),
    "seed": Rule(),
    "store": Rule((False,)),
    "verbosity": Rule(("medium",)),
    "prediction": Rule(),
    "prompt_cache_key": Rule(is_told=False),
    "prompt_cache_options": Rule(is_told=False),
    "prompt_cache_retention": Rule(is_told=False),
}

MOST_TOLD = 50
"""Warnings after which names that the client made up are told no more."""


def settle(body: dict[str, Any], *, warnings: list[str]) -> None:
    """Takes the table's fields out of `body`.

    Raises: ProviderError(UNSUPPORTED) where one asks for what cannot be had.
    """
    for name in [name for name in body if name in RULES]:
        rule, raw = RULES[name], body.pop(name)
        if rule.is_told and reading.value(raw, at=name) not in rule.defaults:
            if rule.refusal:
                raise refusal(name, rule.refusal)
            warnings.append(left_out(name))


def left_out(name: str) -> str:
    return f"{name} is not sent to Anthropic"


def leave_out(name: str, *, warnings: list[str]) -> None:
    """Tells once that `name` is not sent: of what a client may repeat without end."""
    told = left_out(name[:60]) if len(warnings) < MOST_TOLD else left_out("more")
    if told not in warnings:
        warnings.append(told)

"""What the model says: text, thoughts, tool calls, a refusal, and why it stops. Pure, and of no dialect.

Decides by the script's words first, then by the request; `script` has the order. Tests and both dialects ask here.
The request's limit, or the model's own where that is lower, shortens thoughts and text word by word; calls that no
longer fit are left out whole. Usage counts what is left.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import Enum, auto

from tests.upstream import lengths
from tests.upstream.exchange import Asked, Bill, Json, count_tokens, pieces, words
from tests.upstream.schemas import TEXT, instance
from tests.upstream.script import Script, without_script
from tests.upstream.tool_calls import Call, calls_for, quoted

MOST = 4096
"""Tokens that a model may write at most where its answer's length is drawn and the script has no other limit."""
THOUGHT = "Let me think."
"""What is thought where the request switches thinking on and the script has no words for it."""


class Why(Enum):
    """Why the model stops."""

    END = auto()
    LENGTH = auto()
    STOP_SEQUENCE = auto()
    CALLS = auto()
    REFUSAL = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An answer's meaning."""

    text: str = ""
    reasoning: str = ""
    refusal: str | None = None
    calls: tuple[Call, ...] = ()
    why: Why = Why.END
    stop_sequence: str | None = None
    """The one that was met."""

    @property
    def reasoning_tokens(self) -> int:
        return count_tokens(self.reasoning)

    @property
    def tokens(self) -> int:
        """Everything that was written, thoughts included."""
        return self.reasoning_tokens + count_tokens(self.text + (self.refusal or "")) + sum(map(cost, self.calls))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """The prompt's tokens, which a script may have cached: three disjoint parts."""

    fresh: int
    cached: int
    cache_write: int

    @property
    def total(self) -> int:
        return self.fresh + self.cached + self.cache_write


def say(asked: Asked, script: Script) -> Said:
    """What is said to this request."""
    if script.empty:
        return Said()
    return _shortened(_stopped(_whole(asked, script), asked.stop), limit(asked, script))


def limit(asked: Asked, script: Script) -> int | None:
    """Tokens that the answer may have: by the request, and by the model."""
    own = MOST if script.tail is not None and script.most is None else script.most
    return min((limit for limit in (asked.max_tokens, own) if limit is not None), default=None)


def prompt(asked: Asked, script: Script) -> Prompt:
    """The prompt's parts; a script that caches more than the prompt holds makes the prompt that long."""
    kept = script.cached + script.cache_write
    return Prompt(fresh=max(asked.prompt_tokens - kept, 0), cached=script.cached, cache_write=script.cache_write)


def bill(found: Said, *, asked: Asked, script: Script) -> Bill:
    """What is billed for saying it."""
    return Bill(model=asked.model, prompt_tokens=prompt(asked, script).total, completion_tokens=found.tokens)


def cost(call: Call) -> int:
    """A call's tokens: one for its name, and its arguments' words."""
    return 1 + count_tokens(as_json(call.arguments))


def as_json(value: Json) -> str:
    """JSON as models write it, with blanks: a stream has several fragments of it."""
    return json.dumps(value, ensure_ascii=False)


def _whole(asked: Asked, script: Script) -> Said:
    reasoning = script.reasoning or (THOUGHT if asked.thinking else "")
    if script.refusal is not None:
        return Said(reasoning=reasoning, refusal=script.refusal, why=Why.REFUSAL)
    text = _scripted(asked, script)
    calls = calls_for(asked, tool=script.tool) if script.tool is not None or text is None else ()
    if calls:
        return Said(reasoning=reasoning, text=text or "", calls=calls, why=Why.CALLS)
    return Said(reasoning=reasoning, text=_text(asked) if text is None else text)


def _scripted(asked: Asked, script: Script) -> str | None:
    """The text that the script has words for."""
    if script.chunks is not None:
        return words(script.chunks)
    if script.tail is None:
        return script.content
    most = limit(asked, script) or MOST
    drawn = lengths.drawn(script.seed, without_script(asked.message), median=script.tail)
    return words(most + 1 if drawn is None else min(drawn, most + 1))


def _text(asked: Asked) -> str:
    message = without_script(asked.message)
    if asked.schema is not None:
        return as_json(instance(asked.schema))
    if asked.json_object:
        return as_json(dict.fromkeys(quoted(message), TEXT) or {"answer": f"You said: {message}"})
    if asked.tool_results:
        return f"The result is: {', '.join(asked.tool_results)}"
    return f"You said: {message}"


def _stopped(said: Said, stops: tuple[str, ...]) -> Said:
    """The text up to the first stop sequence in it."""
    met = [(said.text.index(stop), stop) for stop in stops if stop and stop in said.text]
    if not met:
        return said
    at, stop = min(met)
    return replace(said, text=said.text[:at], calls=(), why=Why.STOP_SEQUENCE, stop_sequence=stop)


def _shortened(said: Said, limit: int | None) -> Said:
    if limit is None or said.tokens <= limit:
        return said
    reasoning = "".join(pieces(said.reasoning)[:limit])
    left = limit - count_tokens(reasoning)
    refusal = None if said.refusal is None else "".join(pieces(said.refusal)[:left])
    text = "".join(pieces(said.text)[:left])
    return replace(said, reasoning=reasoning, refusal=refusal, text=text, calls=(), why=Why.LENGTH, stop_sequence=None)

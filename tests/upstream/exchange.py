"""What both dialects share: what was read from a request, what an answer consists of, and how tokens are counted. Pure.

One token is one word. Owns no dialect's shape: `answers` has OpenAI's, `anthropic` has Anthropic's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from math import ceil
from typing import Any

from tests.upstream.script import REDIRECT_STATUSES, Script

JSON_TYPE, SSE_TYPE, HTML_TYPE = "application/json", "text/event-stream; charset=utf-8", "text/html; charset=utf-8"
HTML = b"<!DOCTYPE html><html><head><title>Please wait</title></head><body><h1>Just a moment...</h1></body></html>\n"
CACHEABLE_BYTES = 64 * 1024
"""Equal requests up to this size are answered from memory: the load test depends on that."""
_WORD = re.compile(r"\s*\S+|\s+$")

Json = Any
"""A decoded JSON value whose shape the other side chose."""


class Refused(Exception):
    """A request the vendor would refuse with 400, in its words. `param` and `code` are OpenAI's only."""

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param, self.code = param, code


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool the request offers."""

    name: str
    schema: Mapping[str, Json] = field(default_factory=dict)
    """JSON Schema of its arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the upstream reads from a request body."""

    model: str
    message: str = ""
    """Text of the last user message, its `#!` line included."""
    prompt_tokens: int = 0
    max_tokens: int | None = None
    stream: bool = False
    include_usage: bool = False
    """OpenAI's only; Anthropic's streams always tell usage."""
    stop: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    """Those that may be called: none where the request forbids calls."""
    must_call: bool = False
    parallel_calls: bool = True
    user_asks: bool = True
    """Whether the request ends with the user's words, not with tool results or the beginning of an answer."""
    tool_results: tuple[str, ...] = ()
    """Of the tools that were called last, when the request ends with their results."""
    schema: Mapping[str, Json] | None = None
    """JSON Schema the content must follow."""
    json_object: bool = False
    thinking: bool = False
    """Anthropic's only: extended thinking is switched on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What the vendor takes money for in a whole answer, whether it tells usage or not: nothing for an error."""

    model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0


NO_BILL = Bill()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A composed answer: `opening + content + closing` is its body."""

    script: Script
    status: int = 200
    content_type: str = JSON_TYPE
    headers: tuple[tuple[str, str], ...] = ()
    """Those besides what the script brings."""
    opening: bytes = b""
    content: tuple[bytes, ...] = ()
    """One frame per content chunk of a stream; a JSON body in two halves. What `mid` means is half of these."""
    closing: bytes = b""
    bill: Bill = NO_BILL
    body: bytes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "body", self.opening + b"".join(self.content) + self.closing)

    @property
    def is_stream(self) -> bool:
        return self.content_type == SSE_TYPE

    def billed_tokens(self, frames: int) -> int:
        """Completion tokens of a stream of which so many frames of content were written: nearly all hold one."""
        return ceil(self.bill.completion_tokens * frames / len(self.content)) if self.content else 0


def count_tokens(text: str) -> int:
    return len(text.split())


def pieces(text: str) -> list[str]:
    """The text as a stream's fragments: one for each word, with the blanks before it."""
    return _WORD.findall(text)


def words(count: int) -> str:
    """The content `chunks=<count>` asks for."""
    return " ".join(f"w{n}" for n in range(count))


def halves(body: bytes) -> tuple[bytes, bytes]:
    return body[: len(body) // 2], body[len(body) // 2 :]


def digest(*seed: object) -> str:
    """24 hex digits that depend on the seed alone: ids can be predicted."""
    return blake2b("\n".join(map(str, seed)).encode(errors="replace"), digest_size=12).hexdigest()


def spoiled(answer: Answer, *, broken: bytes, error: bytes, end: bytes) -> Answer:
    """A stream with what the script wants to go wrong in it: `broken` is a line that cannot be read, `error` the event
    of an error, `end` the last one of a stream."""
    script, half = answer.script, (len(answer.content) + 1) // 2
    if script.only_done:
        return replace(answer, opening=b"", content=(), closing=end)
    if script.error_mid:
        return replace(answer, content=(*answer.content[:half], error), closing=b"")
    if script.bad_line:
        return replace(answer, content=(*answer.content[:half], broken, *answer.content[half:]))
    return answer


def of_no_dialect(script: Script, *, stream: bool) -> Answer | None:
    """The answer of what stands before a vendor: an HTML page, a redirect, nothing at all. None when the vendor itself
    answers."""
    if script.nothing:
        return Answer(script=script, status=script.status, content_type=SSE_TYPE if stream else JSON_TYPE)
    if script.html:
        return Answer(script=script, status=script.status, content_type=HTML_TYPE, content=halves(HTML))
    if script.status in REDIRECT_STATUSES:
        return Answer(script=script, status=script.status)
    return None

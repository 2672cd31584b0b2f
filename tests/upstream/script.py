"""What a request asks the scripted upstream to do. Pure: text in, `Script` out; knows neither HTTP nor JSON.

The same words work in both dialects, OpenAI's chat completions and Anthropic's Messages.

Grammar: a script is words joined by `;`, each a flag or `key=value`, in any order; every key is a field of `Script`.

    ok                           a plain answer, "You said: <the last user message>"
    content=Hello%20you          this text instead (percent-encoded)
    chunks=62                    62 words, `w0 w1 ... w61`: one content chunk each in a stream
    tail=60                      words again, but as many as are drawn from the user's words: a median of 60, and two
                                 answers in a hundred that only a limit ends; `seed=7` draws otherwise
    most=4096                    the model's own limit on its output; with `tail` it is 4096 unless this says another
    delay_ms=100                 so long before each content chunk; before a JSON answer once
    status=429;retry_after=2     an error with this status, and a Retry-After header
    status=400;code=too_long     an error whose object has this `code` (OpenAI's dialect alone)
    status=302;location=%2Fv1    a redirect to this address (percent-encoded), without a body
    error_first                  the error comes as a 200: as the JSON body, or as a stream's first event
    status=429;error_first       the same, the error object carrying 429 as its `code`
    error_mid                    an error amid a stream's content, which then ends; `status=503;error_mid` as above
    html                         an HTML page, with 200 or the given status
    whole                        JSON, though a stream was asked for
    bad_json                     JSON cut in half, its Content-Length right; in a stream one broken line before content
    bad_line                     one broken line amid a stream's content
    nothing                      no body at all, with 200 or the given status: not one event of a stream
    empty                        a finish reason, but no content and no completion tokens
    no_choices                   an empty list of choices, in every chunk as well (OpenAI's dialect alone)
    only_done                    a stream of `data: [DONE]` (`message_stop`) alone
    no_finish                    no finish reason: no finish chunk (`message_delta`) in a stream, null in JSON
    no_done                      a stream without its `data: [DONE]` (`message_stop`)
    no_usage                     never any usage, whether asked for or not
    tool=get_weather             calls this tool, after the text where `content` or `chunks` give one
    reasoning=First%20I%20think  thinks this first: `reasoning_content`, or a thinking block with a signature
    refusal=I%20cannot           refuses: the message's `refusal`, or `stop_reason: refusal` with this explanation
    finish=content_filter        this finish reason (stop reason), as it stands
    cached=12;cache_write=5      so many tokens of the prompt were read from a cache, and written to it
    stall=headers|head|first|mid goes silent there and holds the connection until the client leaves
    cut=headers|head|first|mid   closes the connection there
    reset=headers|head|first|mid resets it there: whatever it had not read yet is lost to the client
    flood=first|mid              an event without an end there: 17 MiB of it, then silence
    crlf                         the lines of a stream end with CR LF
    head_ms=20                   status line and headers go out line by line, so long apart
    drip=1                       the body goes out in pieces of so many bytes, each in a write of its own
    drip_ms=5                    so long between two of them

`headers` is before the status line, `head` amid the headers, `first` after headers and role chunk but before any
content, `mid` after half of the content. A body goes out in one write unless one of `delay_ms`, `drip` and these says
otherwise.

What is said when no word says it, first match wins (`said` and `tool_calls` have the rules):

1. a tool call, where a tool must be called, or where the last message is a user's and asks for a tool. It does when it
   holds a tool's name as a word (`get_weather`), else when it holds every telling word of a name (`weather`; words that
   any name may hold, such as `get` or `tool`, do not tell) or two of a tool's argument names of more
   than a letter, outside of quotes. Several tools asked for are called in parallel. Arguments follow the tool's schema;
   the message's numbers and quoted strings fill them in order, beginning behind the tool's name;
2. after a tool's result: text that holds it;
3. an instance of the JSON schema that the content must follow; of a mere JSON object, the words that the message quotes
   as its keys, else `answer`;
4. "You said: <the last user message>".

Where a script is found, first match wins:

1. in the model's name: after its first `?` (`gpt-4o?status=503`), or all of it when it holds a `=` or begins with a
   flag (`stall=first`, `ok;chunks=3`, `empty`);
2. in the last user message, when that begins with a line `#!chunks=3`;
3. the server's own default (`--default-script`, else `ok`).

To add a behaviour: a field here with a line above, then `said.py` if it changes what is said, `answers.py` and
`anthropic.py` if it changes bytes, `server.py` if timing, `connection.py` if it needs the bare connection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any
from urllib.parse import unquote

MESSAGE_MARK = "#!"
REDIRECT_STATUSES = range(300, 400)
ERROR_STATUSES = range(400, 600)


class ScriptError(ValueError):
    """A script with an unknown word or an unusable value: a mistake in the test, answered with 400 so that it shows."""


class Point(StrEnum):
    """Where in an answer a stall or a cut happens."""

    HEADERS = "headers"
    HEAD = "head"
    FIRST = "first"
    MID = "mid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One answer's behaviour; the defaults are a healthy vendor. Each field is a word of the grammar."""

    content: str | None = None
    chunks: int | None = None
    tail: int | None = None
    seed: int = 0
    most: int | None = None
    delay_ms: float = 0
    status: int = 200
    retry_after: int | None = None
    code: str | None = None
    location: str | None = None
    error_first: bool = False
    error_mid: bool = False
    html: bool = False
    whole: bool = False
    bad_json: bool = False
    bad_line: bool = False
    nothing: bool = False
    empty: bool = False
    no_choices: bool = False
    only_done: bool = False
    no_finish: bool = False
    no_done: bool = False
    no_usage: bool = False
    tool: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    finish: str | None = None
    cached: int = 0
    cache_write: int = 0
    stall: Point | None = None
    cut: Point | None = None
    reset: Point | None = None
    flood: Point | None = None
    crlf: bool = False
    head_ms: float = 0
    drip: int = 0
    drip_ms: float = 0

    @property
    def is_error(self) -> bool:
        return self.error_first or (self.status in ERROR_STATUSES and not self.error_mid)

    @property
    def told_status(self) -> int | None:
        """What an error object says of itself in a 200."""
        return self.status if self.status in ERROR_STATUSES else None

    @property
    def in_steps(self) -> bool:
        """Whether the body goes out in several writes."""
        return bool(self.delay_ms or self.drip or self.stall or self.cut or self.reset or self.flood)


_VALUES: Mapping[str, Callable[[str], Any]] = {
    "content": unquote,
    "chunks": int,
    "tail": int,
    "seed": int,
    "most": int,
    "delay_ms": float,
    "status": int,
    "retry_after": int,
    "code": unquote,
    "location": unquote,
    "tool": unquote,
    "reasoning": unquote,
    "refusal": unquote,
    "finish": unquote,
    "cached": int,
    "cache_write": int,
    "stall": Point,
    "cut": Point,
    "reset": Point,
    "flood": Point,
    "head_ms": float,
    "drip": int,
    "drip_ms": float,
}
_FLAGS = frozenset(field.name for field in fields(Script)).difference(_VALUES)
_TEXTS = frozenset({"content", "chunks", "tail"})
_NOTHING = "ok"


def parse(text: str) -> Script:
    """Reads a script. Raises: ScriptError, naming the word."""
    settings: dict[str, Any] = {}
    for word in filter(None, (part.strip() for part in text.split(";"))):
        if word != _NOTHING:
            key, value = _read_word(word)
            settings[key] = value
    if len(settings.keys() & _TEXTS) > 1:
        raise ScriptError(f"{', '.join(sorted(_TEXTS))} exclude each other")
    return Script(**settings)


def find(*, model: str, message: str, default: str) -> Script:
    """The script of a request with this model and last user message. Raises: ScriptError."""
    _, asked, in_model = model.partition("?")
    if asked:
        return parse(in_model)
    if _is_a_script(model):
        return parse(model)
    if message.startswith(MESSAGE_MARK):
        return parse(message.removeprefix(MESSAGE_MARK).partition("\n")[0])
    return parse(default)


def without_script(message: str) -> str:
    """The message as a person meant it: without its `#!` line."""
    return message.partition("\n")[2] if message.startswith(MESSAGE_MARK) else message


def _read_word(word: str) -> tuple[str, Any]:
    key, has_value, value = word.partition("=")
    if not has_value and key in _FLAGS:
        return key, True
    if not has_value or key not in _VALUES:
        raise ScriptError(f"unknown word {word!r}")
    try:
        return key, _VALUES[key](value)
    except ValueError as error:
        raise ScriptError(f"{key} cannot be {value!r}") from error


def _is_a_script(model: str) -> bool:
    return "=" in model or model.partition(";")[0].strip() in _FLAGS | {_NOTHING}

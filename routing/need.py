"""Reads what a request needs out of its body and headers. Pure; knows the names of layers, not what is in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Raw, json

from analytics.types import storable
from providers.dialects import caps
from providers.types import Capability, ChatRequest
from routing import price_factors
from routing.types import AUTO, Need, Wishes

MESSAGE_TOKENS = 8
"""What a message costs beside its text: its role and the marks around it."""
LONGEST_SESSION = 200
"""Characters of a session's name that the ledger keeps, and that a request is told apart by."""
MOST_MESSAGES = 10_000
MOST_PARTS = 20_000
"""Beyond these, reading one request would keep all others of the process waiting."""
UNDECLARED_SEARCHES = 10
"""Web searches of a request that switches them on and does not say how many at most. An assumption: no vendor of
OpenAI's dialect is told a limit."""
_WEB_SEARCH = "web_search"
_CACHE_CONTROL = "cache_control"
_MAY_CACHE = ("messages", "tools", "system")
_ESCAPED_LETTER = re.compile(rb"\\u00(?:5[fF]|[67])")
"""Of those that `cache_control` is made of: they hide the word, and hardly anybody else writes them."""
_READ_AS_WELL = ("system", "response_format", "output_config", "functions")
"""Top-level fields beside messages and tools that the model reads, and is paid for reading."""
_MEDIA = ("data:image/", "data:application/", "data:audio/", "data:video/", "data:font/")
_BASE64 = ";base64,"
_MOST_OF_A_MEDIA_TYPE = 200
_ROLE_AND_CONTENT = 2
_NULL = Raw(b"null")
_HOLDS_MEDIA = {"image_url": "url", "file": "file_data", "input_audio": "data", "source": "data"}
"""Where a part has the bytes of its image, file or sound."""
_FILE_PARTS = {
    "image_url": Capability.VISION,
    "input_audio": Capability.AUDIO,
    "file": None,
    # Anthropic's own.
    "image": Capability.VISION,
    "document": None,
    "container_upload": None,
}


class NeedError(Exception):
    """Root of what can be wrong with what a request asks of the router.

    NeedError
    ├── UnknownLayer    names the layer asked for and those there are
    ├── TooMany         messages, or parts in them, beyond what one request may hold up
    └── TooDeep         tools or calls nested beyond reading
    """


class UnknownLayer(NeedError):
    """`is_wish`: asked for beside the body, not as its model."""

    def __init__(self, name: str, *, layers: Sequence[str], is_wish: bool = False) -> None:
        super().__init__(f"There is no layer {name!r}; the layers are {', '.join(layers) or 'not set up yet'}.")
        self.name = name
        self.is_wish = is_wish


class TooMany(NeedError):
    def __init__(self, noun: str, *, most: int) -> None:
        super().__init__(f"A request holds at most {most:,} {noun}.")


class TooDeep(NeedError):
    def __init__(self) -> None:
        super().__init__("The JSON body is nested too deeply.")


def read(request: ChatRequest, *, wishes: Wishes, layers: Sequence[str]) -> Need:
    """What `request` needs. The header's layer wins over the body's; exact models win over the score.

    Raises: UnknownLayer, TooMany, TooDeep.
    """
    if len(request.messages) > MOST_MESSAGES:
        raise TooMany("messages", most=MOST_MESSAGES)
    enter, fenced, models = _wanted(request, wishes=wishes, layers=layers)
    other_limits = caps.other_limits(request.fields)
    parts = [part for message in request.messages for part in _all_parts(message)]
    if len(parts) > MOST_PARTS:
        raise TooMany("parts in its messages", most=MOST_PARTS)
    return Need(
        prompt=_last_user_text(request.messages),
        system="\n".join(
            _text(message) for message in request.messages if message.get("role") in ("system", "developer")
        ),
        turns=len(request.messages),
        tools=len(request.tools),
        models=models,
        enter=enter,
        fenced=fenced,
        capabilities=_capabilities(request, parts=parts),
        files=sum(str(part.get("type")) in _FILE_PARTS for part in parts),
        input_tokens=_input_tokens(request),
        max_output_tokens=_longest(request, other_limits),
        has_other_limits=bool(other_limits),
        answers=request.answers,
        prediction_tokens=_field_tokens(request, "prediction"),
        web_searches=_web_searches(request),
        writes_cache=_writes_cache(request),
        price_factor=price_factors.factor(request.fields),
        max_cost_usd=wishes.max_cost_usd,
        session=storable(wishes.session or request.session, most=LONGEST_SESSION),
    )


def texts(request: ChatRequest) -> Iterator[str]:
    """All that the model is given to read, media left out: what `input_tokens` estimates, for those who count."""
    for message in request.messages:
        yield from _texts([value for name, value in message.items() if name not in ("role", "tool_calls")])
        if calls := message.get("tool_calls"):
            yield json.encode(calls).decode()
    if request.tools:
        yield json.encode(request.tools).decode()
    for name in _READ_AS_WELL:
        raw = request.fields.get(name)
        if raw is not None and raw != _NULL:
            yield bytes(raw).decode()


def upper_tokens(text: str) -> int:
    """More tokens than `text` has, without a tokenizer: half a token a byte, one a byte beyond ASCII."""
    if text.isascii():
        return len(text) // 2 + 1
    ascii_bytes = len(text.encode("ascii", "ignore"))
    return ascii_bytes // 2 + (len(text.encode("utf-8", "surrogatepass")) - ascii_bytes) + 1


def _wanted(request: ChatRequest, *, wishes: Wishes, layers: Sequence[str]) -> tuple[str | None, bool, tuple[str, ...]]:
    if wishes.layer is not None:
        return _known(wishes.layer, layers=layers, is_wish=True), wishes.fenced, ()
    kind, _, layer = request.model.partition(":")
    if kind == AUTO and layer:
        return _known(layer, layers=layers), False, ()
    if request.model in layers:
        return request.model, False, ()
    named = () if request.model == AUTO else (request.model,)
    return None, False, tuple(dict.fromkeys(named + request.models))


def _known(name: str, *, layers: Sequence[str], is_wish: bool = False) -> str:
    if name not in layers:
        raise UnknownLayer(name, layers=layers, is_wish=is_wish)
    return name


def _capabilities(request: ChatRequest, *, parts: Sequence[Mapping[str, Any]]) -> frozenset[Capability]:
    needed = {capability for part in parts if (capability := _FILE_PARTS.get(str(part.get("type"))))}
    if request.tools:
        needed.add(Capability.TOOLS)
    if request.response_format == "json_schema":
        needed.add(Capability.JSON_SCHEMA)
    if request.wants_reasoning:
        needed.add(Capability.REASONING)
    if request.wants_audio:
        needed.add(Capability.AUDIO)
    return frozenset(needed)


def _last_user_text(messages: Sequence[Mapping[str, Any]]) -> str:
    return next((_text(message) for message in reversed(messages) if message.get("role") == "user"), "")


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "\n".join(text for part in _parts(message) if isinstance(text := part.get("text"), str))


def _parts(message: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    content = message.get("content")
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else ()


def _all_parts(message: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """With those inside Anthropic's tool results, at any depth."""
    parts = list(_parts(message))
    for part in parts:  # grows while it is walked
        if part.get("type") == "tool_result":
            parts += _parts(part)
    return parts


def _input_tokens(request: ChatRequest) -> int:
    beside = sum(_field_tokens(request, name) for name in _READ_AS_WELL if name in request.fields)
    tools = _json_tokens(request.tools) if request.tools else 0
    return sum(map(_message_tokens, request.messages)) + tools + beside


def _longest(request: ChatRequest, other_limits: Sequence[int | None]) -> int | None:
    known = [limit for limit in other_limits if limit is not None]
    return max(request.max_output_tokens or 0, *known, 0) or None if len(known) == len(other_limits) else None


def _field_tokens(request: ChatRequest, name: str) -> int:
    raw = request.fields.get(name)
    return 0 if raw is None or raw == _NULL else upper_tokens(bytes(raw).decode())


def _web_searches(request: ChatRequest) -> int:
    options = request.fields.get("web_search_options")
    found = 0 if options is None or options == _NULL else UNDECLARED_SEARCHES
    for tool in request.tools:
        if isinstance(tool, dict) and _WEB_SEARCH in str(tool.get("type")):
            most = tool.get("max_uses")
            found += most if type(most) is int and most > 0 else UNDECLARED_SEARCHES
    return found


def _writes_cache(request: ChatRequest) -> bool:
    fields = request.fields
    if _CACHE_CONTROL in fields:
        return True
    if "tools" not in fields and "system" not in fields and all(map(_is_plain, request.messages)):
        return False  # as most: nothing that could hold it
    return any(_names_cache(bytes(fields[name])) for name in _MAY_CACHE if name in fields)


def _names_cache(raw: bytes) -> bool:
    if _CACHE_CONTROL.encode() in raw:
        return True
    return b"\\u00" in raw and _ESCAPED_LETTER.search(raw) is not None


def _is_plain(message: Mapping[str, Any]) -> bool:
    """Whether it is a role and a text."""
    return len(message) == _ROLE_AND_CONTENT and isinstance(message.get("content"), str)


def _message_tokens(message: Mapping[str, Any]) -> int:
    if _is_plain(message):  # as almost always
        return upper_tokens(message["content"]) + MESSAGE_TOKENS
    calls = message.get("tool_calls")
    told = [value for name, value in message.items() if name not in ("role", "tool_calls")]
    return upper_tokens("\n".join(_texts(told))) + MESSAGE_TOKENS + (_json_tokens(calls) if calls else 0)


def _texts(value: object) -> Iterator[str]:
    """Every text in a message, wherever it stands: in parts, in tools' results, in what a vendor wrote earlier. Media
    in base64 are no text where vendors look for media, and only there: what they cost goes by the file."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, list):
            left += one
        elif isinstance(one, dict):
            left += [
                _without_media(name, inner) if name in _HOLDS_MEDIA else inner
                for name, inner in one.items()
                if name != "type"
            ]


def _without_media(name: str, value: object) -> object:
    """What stands under a name that may hold media, but for their bytes."""
    if not isinstance(value, dict):
        return "" if name == "image_url" and _is_media(value) else value
    holds = _HOLDS_MEDIA[name]
    data = value.get(holds)
    if holds == "data":  # bare base64: of a sound always, of a source where it says so
        is_media = isinstance(data, str) and (name == "input_audio" or value.get("type") == "base64")
    else:
        is_media = _is_media(data)
    return {inner: found for inner, found in value.items() if inner != holds} if is_media else value


def _is_media(value: object) -> bool:
    return isinstance(value, str) and value.startswith(_MEDIA) and _BASE64 in value[:_MOST_OF_A_MEDIA_TYPE]


def _json_tokens(value: object) -> int:
    """Raises: TooDeep."""
    try:
        return upper_tokens(json.encode(value).decode())
    except RecursionError:  # the encoder goes less deep than the decoder that let it in
        raise TooDeep from None

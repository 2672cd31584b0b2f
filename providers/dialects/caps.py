"""A budget's cap on how long an answer may be, said to a vendor of OpenAI's dialect.

Owns which fields say it and what number stands there; who sets the cap and why is none of its business. A limit of the
client's own is lowered to the cap and never raised; one that is within the cap keeps its bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Raw

from providers.dialects.counts import MOST_TOKENS, NUMBER
from providers.types import Provider

LIMITS = ("max_tokens", "max_completion_tokens")
"""Fields that say it: all that a request has are held to the cap."""
_BY_ANY_NAME = frozenset(LIMITS) | {
    "n_predict",  # llama.cpp's server takes it before max_tokens
    "max_length",  # so does KoboldCpp; TabbyAPI knows it beside the other two
    # Of APIs that such servers have beside this dialect (Transformers, Ollama, Responses): read in case one lets it in.
    "max_new_tokens",
    "num_predict",
    "max_output_tokens",
}
"""With the names that single servers of this dialect obey, some of them before the usual two."""
_DEFAULT = "max_tokens"
"""The name that every vendor knows whose row declares none."""
_NULL = Raw(b"null")

_encode = msgspec.json.encode
_decode = msgspec.json.decode


def apply(fields: dict[str, Raw], *, cap_tokens: int, provider: Provider) -> None:
    """Edits `fields`, which have the vendor's names by now, so that each answer has at most `cap_tokens`."""
    said = [name for name in named(fields) if fields[name] != _NULL]
    for name in said:
        if not _is_within(fields[name], cap_tokens):
            fields[name] = Raw(_encode(cap_tokens))
    if not any(name in LIMITS for name in said):
        fields[provider.max_tokens_field or _DEFAULT] = Raw(_encode(cap_tokens))


def named(names: Iterable[str]) -> list[str]:
    """Those of `names` that are a limit's, in any case: servers written in Go read all cases of a name as one."""
    return [name for name in names if name.casefold() in _BY_ANY_NAME]


def other_limits(fields: Mapping[str, Raw]) -> list[int | None]:
    """The limits that a request states by other names than `LIMITS`; None for one that is no number of tokens, as -1,
    which is no limit for some."""
    return [_tokens(fields[name]) for name in named(fields) if name not in LIMITS and fields[name] != _NULL]


def _tokens(limit: Raw) -> int | None:
    try:
        found = _decode(limit)
    except (msgspec.DecodeError, RecursionError):  # beyond any number, or nested beyond reading
        return None
    return int(found) if isinstance(found, NUMBER) and 1 <= found <= MOST_TOKENS else None


def _is_within(limit: Raw, cap_tokens: int) -> bool:
    found = _tokens(limit)  # what the provider's row adds may be anything
    return found is not None and found <= cap_tokens

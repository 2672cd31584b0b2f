"""A budget's cap on how long an answer may be, said to a vendor of OpenAI's dialect.

Owns which field says it and what number stands there; who sets the cap and why is none of its business. A limit of the
client's own is lowered to the cap and never raised; one that is within the cap keeps its bytes.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from providers.dialects.counts import NUMBER
from providers.types import Provider

LIMITS = ("max_tokens", "max_completion_tokens")
"""Fields that say it: all that a request has are held to the cap."""
_DEFAULT = "max_tokens"
"""The name that every vendor knows whose row declares none."""
_NULL = Raw(b"null")

_encode = msgspec.json.encode
_decode = msgspec.json.decode


def apply(fields: dict[str, Raw], *, cap_tokens: int, provider: Provider) -> None:
    """Edits `fields`, which have the vendor's names by now, so that each answer has at most `cap_tokens`."""
    said = [name for name in LIMITS if fields.get(name, _NULL) != _NULL]
    for name in said:
        if not _is_within(fields[name], cap_tokens):
            fields[name] = Raw(_encode(cap_tokens))
    if not said:
        fields[provider.max_tokens_field or _DEFAULT] = Raw(_encode(cap_tokens))


def _is_within(limit: Raw, cap_tokens: int) -> bool:
    found = _decode(limit)  # what the provider's row adds may be anything; -1 is no limit for some
    return isinstance(found, NUMBER) and 1 <= found <= cap_tokens

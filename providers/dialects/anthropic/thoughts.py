"""What the assistant thought before, as blocks: out of `reasoning_details`, whole or in the pieces of a stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from providers.dialects.anthropic.message import FORMAT
from providers.dialects.anthropic.parts import Block
from providers.dialects.anthropic.unsupported import left_out

_UNUSABLE = f"{left_out('a part of reasoning_details')}: its text, signature or format is missing"
_CONSTANT = ("type", "format", "id")
"""Words that a piece says once more rather than going on with them."""


def blocks(details: object, *, warnings: list[str]) -> list[Block]:
    items = [item for item in details if isinstance(item, dict)] if isinstance(details, list) else []
    found: list[Block] = []
    for item in _whole(items):
        block = _block(item)
        if block is not None:
            found.append(block)
        elif _is_told(item) and _UNUSABLE not in warnings:
            warnings.append(_UNUSABLE)
    return found


def _whole(items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The items, each put together from the pieces that have the same `index`."""
    found: list[dict[str, Any]] = []
    begun: dict[int, dict[str, Any]] = {}
    for item in items:
        index = item.get("index")
        known = begun.get(index) if isinstance(index, int) else None
        if known is not None and _goes_on(known, item):
            _add(known, item)
            continue
        found.append(dict(item))
        if isinstance(index, int):
            begun[index] = found[-1]
    return found


def _goes_on(known: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    """A signature ends what is signed, and nothing goes on as another type: some clients give every item index 0."""
    is_other = any(known.get(name) and item.get(name) and known[name] != item[name] for name in _CONSTANT)
    return not is_other and not (known.get("signature") and item.get("text"))


def _add(known: dict[str, Any], piece: Mapping[str, Any]) -> None:
    for name, value in piece.items():
        before = known.get(name)
        if isinstance(before, str) and isinstance(value, str) and before and name not in _CONSTANT:
            known[name] = before + value
        elif value is not None:
            known[name] = value


def _block(item: Mapping[str, Any]) -> Block | None:
    """None for what another vendor thought, and for text without the signature that the vendor asks back."""
    if item.get("format") != FORMAT:
        return None
    if item.get("type") == "reasoning.text":
        text, signature = item.get("text") or "", item.get("signature")
        is_signed = isinstance(text, str) and isinstance(signature, str) and signature
        return {"type": "thinking", "thinking": text, "signature": signature} if is_signed else None
    data = item.get("data")
    is_hidden = item.get("type") == "reasoning.encrypted" and isinstance(data, str)
    return {"type": "redacted_thinking", "data": data} if is_hidden else None


def _is_told(item: Mapping[str, Any]) -> bool:
    """Whether it may be Anthropic's: another vendor's own says so, and is left out in silence."""
    return item.get("format") == FORMAT or (not item.get("format") and bool(item.get("signature")))

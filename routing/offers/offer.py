"""A model as its provider describes it, and how a list is read: strictly, or refused as a whole in one sentence.

Owns what all lists have in common. What a vendor calls a thing is said in the vendor's module.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from providers.types import Capability
from routing.catalog import Model

LARGEST_BYTES = 4 * 1024 * 1024
"""OpenRouter's list of some five hundred models takes about one."""
MOST_MODELS = 20_000
LONGEST_NAME = 200
LONGEST_TITLE = 200

Tokens = Annotated[int, Meta(le=2_147_483_647)]
"""A number of tokens; zero and less say nothing."""

BY_MODALITY = {"image": Capability.VISION, "audio": Capability.AUDIO}
"""What OpenRouter and llama.cpp call what goes in."""

T = TypeVar("T")

_AT = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?$", re.DOTALL)


class OfferError(Exception):
    """A list that cannot be used, none of it; the message is one sentence that begins with what was wrong."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One entry of a list."""

    model: Model
    """What the list says; None in a field: it does not say. Its capabilities are those it names."""
    tells: frozenset[Capability] = frozenset()
    """Capabilities on which the list has a word: missing among the model's, they are not there."""
    is_usable: bool = True
    """Whether it answers chats or embeds text; a model that only draws or listens is nothing we could call."""


def decode(body: bytes, *, form: type[T]) -> T:
    """The list in `body`. Raises: OfferError."""
    if len(body) > LARGEST_BYTES:
        raise OfferError(f"its list of models is larger than {LARGEST_BYTES // 1024**2} MiB")
    try:
        return msgspec.json.decode(body, type=form)
    except msgspec.ValidationError as error:
        match = _AT.match(str(error))
        what, path = (match["what"], match["path"]) if match else (str(error), None)
        at = f" at {path}" if path else ""
        raise OfferError(f"its list of models has another form than known: {what[:1].lower()}{what[1:]}{at}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise OfferError("its list of models is not JSON") from error


def checked(offers: Iterable[Offer]) -> tuple[Offer, ...]:
    """The offers with proper names, each once. Raises: OfferError."""
    found: dict[str, Offer] = {}
    for offer in offers:
        name = offer.model.name
        if not name or len(name) > LONGEST_NAME or not name.isprintable():
            raise OfferError(f"its list has a model with an impossible name: {_shown(name)}")
        if found.setdefault(name, offer) != offer:
            raise OfferError(f"its list has {_shown(name)} twice, and differently")
        if len(found) > MOST_MODELS:
            raise OfferError(f"its list has more than {MOST_MODELS} models")
    return tuple(found.values())


def tokens(number: int | None) -> int | None:
    return number if number is not None and number > 0 else None


def title(text: str | None) -> str | None:
    """A title as far as there is room for it."""
    return text[:LONGEST_TITLE] if text else None


def capabilities(named: Iterable[str], *, words: dict[str, Capability]) -> frozenset[Capability]:
    """Those of `words` that are among the names."""
    return frozenset(words[name] for name in named if name in words)


def _shown(name: str) -> str:
    return repr(name if len(name) <= 40 else f"{name[:40]}...")

"""A model as its provider describes it, and how a list is read: entry by entry, those that cannot be read named and
left out; what is no list is refused as a whole in one sentence.

Owns what all lists have in common. What a vendor calls a thing is said in the vendor's module.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Raw

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


@dataclass(frozen=True, slots=True)
class Skipped:
    """An entry of a list that could not be read, and why."""

    name: str
    """'' where it has none."""
    number: int
    """Its place in the list, from 1."""
    why: str

    def __str__(self) -> str:
        return f"{shown(self.name) if self.name else f'entry {self.number}'}: {self.why}"


@dataclass(frozen=True, slots=True)
class Offers:
    """A list as far as it could be read."""

    models: tuple[Offer, ...]
    skipped: tuple[Skipped, ...] = ()


T = TypeVar("T")

_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
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
        raise OfferError(f"its list of models has another form than known: {_explained(error)}") from error
    except _NOT_JSON as error:
        raise OfferError("its list of models is not JSON") from error


def each(entries: Iterable[Raw], *, form: type[T], read: Callable[[T], Offer]) -> Iterator[Offer | Skipped]:
    """What each entry of a list says; one that cannot be read is no reason to refuse the others."""
    for number, entry in enumerate(entries, start=1):
        try:
            yield read(_converted(entry, form=form))
        except OfferError as error:
            yield Skipped(name_of(entry), number, str(error))


def checked(found: Iterable[Offer | Skipped]) -> Offers:
    """The offers with proper names, each once; of two that differ neither. Raises: OfferError."""
    offers: dict[str, Offer] = {}
    skipped: dict[str, Skipped] = {}
    for number, one in enumerate(found, start=1):
        if number > MOST_MODELS:
            raise OfferError(f"its list has more than {MOST_MODELS} models")
        if isinstance(one, Skipped):
            skipped.setdefault(one.name or str(one), one)
            continue
        name = one.model.name
        if not name or len(name) > LONGEST_NAME or not name.isprintable():
            skipped.setdefault(name, Skipped(name, number, "no model is called that"))
        elif offers.setdefault(name, one) != one:
            skipped.setdefault(name, Skipped(name, number, "it is there twice, and differently"))
    if not offers and skipped and not any(one.name for one in skipped.values()):
        raise OfferError(f"its list has no entry with the name of a model ({next(iter(skipped.values()))})")
    return Offers(tuple(offer for name, offer in offers.items() if name not in skipped), tuple(skipped.values()))


def names(entries: Iterable[Raw]) -> tuple[str, ...]:
    """The names alone. Raises: OfferError where there are entries and no name."""
    told = (name_of(entry) for entry in entries)
    found = (
        Offer(Model(name=name)) if name else Skipped("", number, "it has no id")
        for number, name in enumerate(told, start=1)
    )
    return tuple(offer.model.name for offer in checked(found).models)


def _converted(entry: Raw, *, form: type[T]) -> T:
    """Raises: OfferError."""
    try:
        return msgspec.json.decode(entry, type=form)
    except msgspec.ValidationError as error:
        raise OfferError(_explained(error)) from error
    except _NOT_JSON as error:
        raise OfferError("it is not JSON") from error


def name_of(entry: Raw) -> str:
    """What an entry calls its model, however odd the rest; '' where it does not."""
    try:
        told = msgspec.json.decode(entry)
    except _NOT_JSON:
        return ""
    name = told.get("id") if isinstance(told, dict) else None
    return name if isinstance(name, str) else ""


def _explained(error: msgspec.ValidationError) -> str:
    match = _AT.match(str(error))
    what, path = (match["what"], match["path"]) if match else (str(error), None)
    return f"{what[:1].lower()}{what[1:]}" + (f" at {path}" if path else "")


def tokens(number: int | None) -> int | None:
    return number if number is not None and number > 0 else None


def title(text: str | None) -> str | None:
    """A title as far as there is room for it."""
    return text[:LONGEST_TITLE] if text else None


def capabilities(named: Iterable[str], *, words: dict[str, Capability]) -> frozenset[Capability]:
    """Those of `words` that are among the names."""
    return frozenset(words[name] for name in named if name in words)


def shown(name: str) -> str:
    """As it may stand in a sentence."""
    short = name if len(name) <= 40 else f"{name[:40]}..."
    return short if short.isprintable() and short else repr(short)

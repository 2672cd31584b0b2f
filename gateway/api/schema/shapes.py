"""JSON Schema in few words: what the descriptions of parameters, bodies and answers are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Shape = dict[str, Any]
Fields = dict[str, Shape]


def text(about: str = "", **limits: Any) -> Shape:
    return _told({"type": "string", **limits}, about)


def whole(about: str = "", *, least: int | None = None, most: int | None = None) -> Shape:
    return _told(_bounded({"type": "integer"}, least, most), about)


def number(about: str = "", *, least: float | None = None, most: float | None = None) -> Shape:
    return _told(_bounded({"type": "number"}, least, most), about)


def flag(about: str = "") -> Shape:
    return _told({"type": "boolean"}, about)


def moment(about: str = "") -> Shape:
    return text(about, format="date-time")


def money(about: str = "") -> Shape:
    """As answers have it."""
    return text(about or "US dollars in plain digits.", pattern=r"^-?[0-9]+(\.[0-9]+)?$", examples=["0.25"])


def amount(about: str = "") -> Shape:
    """As requests may write it."""
    plain = text(pattern=r"^[0-9]{1,9}(\.[0-9]{1,9})?$", examples=["0.25"])
    return _told({"anyOf": [plain, number(least=0)]}, about or "A number, or its digits as a text; exactly.")


def one_of(values: Iterable[str], about: str = "") -> Shape:
    return _told({"type": "string", "enum": [str(value) for value in values]}, about)


def always(value: str | bool) -> Shape:
    return {"const": value}


def maybe(shape: Shape) -> Shape:
    """Or null."""
    about = shape.get("description", "")
    bare = {name: value for name, value in shape.items() if name != "description"}
    return _told({"anyOf": [bare, {"type": "null"}]}, about)


def many(shape: Shape, about: str = "", **limits: Any) -> Shape:
    return _told({"type": "array", "items": shape, **limits}, about)


def texts(about: str = "", **limits: Any) -> Shape:
    return many(text(), about, **limits)


def closed(fields: Mapping[str, Shape], *, required: Iterable[str] | None = None) -> Shape:
    """An object with these fields and no others; all of them are there unless those that are get named."""
    found = list(fields if required is None else required)
    shape: Shape = {"type": "object", "properties": dict(fields), "additionalProperties": False}
    return shape | {"required": found} if found else shape


def by_name(shape: Shape, about: str = "") -> Shape:
    return _told({"type": "object", "additionalProperties": shape}, about)


def ref(name: str) -> Shape:
    """One of the component schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def listed(name: str) -> Shape:
    """A list without pages, in OpenAI's form."""
    return closed({"object": always("list"), "data": many(ref(name))})


def page_of(name: str, *, last: Shape) -> Shape:
    """A page of a list, in OpenAI's form; `last` is what its rows are told by."""
    ends = {"first_id": maybe(last), "last_id": maybe(last)}
    return closed({"object": always("list"), "data": many(ref(name)), **ends, "has_more": flag()})


def deleted(object_name: str, **told: Shape) -> Shape:
    return closed({**told, "object": always(object_name), "deleted": always(True)})


def _bounded(shape: Shape, least: float | None, most: float | None) -> Shape:
    bounds = {"minimum": least, "maximum": most}
    return shape | {name: bound for name, bound in bounds.items() if bound is not None}


def _told(shape: Shape, about: str) -> Shape:
    return {**shape, "description": about} if about else shape

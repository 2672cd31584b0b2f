"""An instance of a JSON schema: what a model that follows the schema would write. Pure, and the same every time.

Objects have all their properties, arrays `minItems` items or one, strings are "text" where nothing better is told
(`const`, `enum`, `format`), numbers the smallest allowed from 1 up. Given `values` fill strings and numbers in order.
Does not judge schemas and does not know `pattern`, `not` and conditions: it is for the schemas that SDKs make of types.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.upstream.exchange import Json

TEXT = "text"
_FORMATS: Mapping[str, str] = {
    "date-time": "2025-06-15T15:06:40Z",
    "date": "2025-06-15",
    "time": "15:06:40Z",
    "duration": "PT1M",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "5c41b7ed-0000-4000-8000-000000000001",
}
_MISSING = object()


@dataclass(slots=True, kw_only=True)
class Values:
    """What the user gave for arguments, each used once."""

    numbers: list[float] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def take_number(self, schema: Mapping[str, Json], *, whole: bool) -> float | None:
        """The first number the schema allows, if there is one."""
        for number in self.numbers:
            if (number == int(number) or not whole) and _is_within(number, schema):
                self.numbers.remove(number)
                return int(number) if number == int(number) else number
        return None

    def take_text(self) -> str | None:
        return self.texts.pop(0) if self.texts else None


def instance(schema: Mapping[str, Json], *, values: Values | None = None) -> Json:
    """A value that follows the schema, which must be a sound one; a reference to nowhere is null."""
    built = _Instance(root=schema, values=values or Values()).of(schema, inside=frozenset())
    return None if built is _MISSING else built


@dataclass(frozen=True, slots=True, kw_only=True)
class _Instance:
    """Walks one schema. `inside` names the references being followed: a second visit is a recursion, and ends there."""

    root: Mapping[str, Json]
    values: Values

    def of(self, schema: Json, *, inside: frozenset[str]) -> Json:
        if not isinstance(schema, Mapping):
            return TEXT
        if "$ref" in schema:
            return self._referred(schema["$ref"], inside)
        if fixed := [schema["const"]] if "const" in schema else schema.get("enum"):
            return next((value for value in fixed if value is not None), None)
        if word := next((word for word in ("anyOf", "oneOf") if schema.get(word)), None):
            rest = {key: value for key, value in schema.items() if key != word}
            return self._first_of([rest | dict(option) for option in schema[word]], inside)
        if schema.get("allOf"):
            return self.of(_merged(schema), inside=inside)
        return self._typed(schema, inside)

    def _referred(self, reference: str, inside: frozenset[str]) -> Json:
        if reference in inside:
            return _MISSING
        return self.of(_resolve(self.root, reference), inside=inside | {reference})

    def _first_of(self, options: Sequence[Mapping[str, Json]], inside: frozenset[str]) -> Json:
        """The first option that is not null and does not recur."""
        some = [option for option in options if option.get("type") != "null"]
        for option in some:
            if (found := self.of(option, inside=inside)) is not _MISSING:
                return found
        return None if len(some) < len(options) else _MISSING

    def _typed(self, schema: Mapping[str, Json], inside: frozenset[str]) -> Json:
        match kind := _type(schema):
            case "object":
                return self._object(schema, inside)
            case "array":
                return self._array(schema, inside)
            case "integer" | "number":
                return self._number(schema, whole=kind == "integer")
            case "boolean" | "null":
                return True if kind == "boolean" else None
        return self._string(schema)

    def _object(self, schema: Mapping[str, Json], inside: frozenset[str]) -> Json:
        inside = inside | {"#"} if schema is self.root else inside
        found = {name: self.of(child, inside=inside) for name, child in schema.get("properties", {}).items()}
        required = schema.get("required", ())
        if any(found.get(name) is _MISSING for name in required):
            return _MISSING
        return {name: value for name, value in found.items() if value is not _MISSING}

    def _array(self, schema: Mapping[str, Json], inside: frozenset[str]) -> Json:
        leading = schema.get("prefixItems", [])
        count = max(schema.get("minItems", 1), len(leading))
        items = [*leading, *[schema.get("items", {})] * (count - len(leading))]
        found = [self.of(item, inside=inside) for item in items[: schema.get("maxItems", count)]]
        return [value for value in found if value is not _MISSING]

    def _number(self, schema: Mapping[str, Json], *, whole: bool) -> float:
        given = self.values.take_number(schema, whole=whole)
        return _smallest(schema, whole=whole) if given is None else given

    def _string(self, schema: Mapping[str, Json]) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        text = self.values.take_text() or TEXT
        while len(text) < schema.get("minLength", 0):
            text += f" {TEXT}"
        return text[: max(schema.get("maxLength", len(text)), schema.get("minLength", 0))]


def _type(schema: Mapping[str, Json]) -> str | None:
    kind = schema.get("type")
    if isinstance(kind, list):
        return next((name for name in kind if name != "null"), "null")
    return kind or ("object" if "properties" in schema else None)


def _resolve(root: Mapping[str, Json], reference: str) -> Json:
    """Follows a reference within the document, `#` or `#/$defs/Name`."""
    found: Json = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        if part:
            found = found.get(part.replace("~1", "/").replace("~0", "~"), {}) if isinstance(found, Mapping) else {}
    return found or {"type": "null"}


def _merged(schema: Mapping[str, Json]) -> dict[str, Json]:
    merged = {key: value for key, value in schema.items() if key != "allOf"}
    for part in schema["allOf"]:
        for key, value in part.items():
            known = merged.get(key)
            both = isinstance(known, dict) and isinstance(value, dict)
            merged[key] = known | value if both else value
    return merged


def _is_within(number: float, schema: Mapping[str, Json]) -> bool:
    step = schema.get("multipleOf")
    return (
        schema.get("minimum", -math.inf) <= number <= schema.get("maximum", math.inf)
        and schema.get("exclusiveMinimum", -math.inf) < number < schema.get("exclusiveMaximum", math.inf)
        and (not step or math.isclose(number / step, round(number / step), abs_tol=1e-9))
    )


def _smallest(schema: Mapping[str, Json], *, whole: bool) -> float:
    """1 where that is allowed, else the nearest bound, or halfway between two bounds that exclude themselves."""
    step = schema.get("multipleOf")
    low = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
    high = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
    candidates = [1, low, math.floor(low) + 1 if math.isfinite(low) else low, (low + high) / 2, high, high - 1]
    if step:
        candidates = [step, *(math.ceil(low / step) * step + n * step for n in (0, 1) if math.isfinite(low)), 0, -step]
    for number in candidates:
        if math.isfinite(number) and (number == int(number) or not whole) and _is_within(number, schema):
            return int(number) if number == int(number) else number
    return 0

"""Writes a catalog as TOML: the way back of `routing.catalog.parse`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import tomli_w

from routing.catalog_mistakes import CatalogError, join

if TYPE_CHECKING:
    from routing.catalog import Catalog


def render(catalog: Catalog) -> str:
    """The same catalog as TOML; what it does not say is left out.

    Raises: CatalogError for a null within an `extra_body`, which TOML has no word for.
    """
    for provider in catalog.providers:
        if (path := _null_in(provider.extra_body or {}, path="extra_body")) is not None:
            says = f'provider "{provider.slug}": {path} is null, which TOML cannot say; take it out in the admin first'
            raise CatalogError(says, source="dump")
    return tomli_w.dumps(_table(catalog))


def _table(value: Any) -> Any:
    if is_dataclass(value):
        return dict(_said((part.name, getattr(value, part.name)) for part in fields(value)))
    if isinstance(value, Mapping):
        return {str(key): _table(inner) for key, inner in value.items()}
    if isinstance(value, frozenset):
        return sorted(str(member) for member in value)
    if isinstance(value, tuple | list):
        return [_table(inner) for inner in value]
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value


def _null_in(value: Any, *, path: str) -> str | None:
    """The path of the first null; None where there is none."""
    if value is None:
        return path
    if isinstance(value, Mapping):
        found = (_null_in(inner, path=join(path, key)) for key, inner in value.items())
    elif isinstance(value, list):
        found = (_null_in(inner, path=f"{path}[{index}]") for index, inner in enumerate(value))
    else:
        return None
    return next(filter(None, found), None)


def _said(pairs: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """The catalog's own keys that say something. What stands within `extra_body` is another's: empty, it still says."""
    for key, value in pairs:
        if value is not None and value not in ({}, ()):
            yield key, _table(value)

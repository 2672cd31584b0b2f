"""Says what is wrong with a catalog file, and on which line.

TOML parsers throw the line numbers away, so a mistake names its place by a path (`providers[2].models[0].prices`) and
the line is looked up in a small index of the file's headers and keys. Knows nothing of what a catalog may contain.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from typing import Any

from rapidfuzz import fuzz, process


class CatalogError(Exception):
    """The file cannot be used: says where and why. `line` is None when no line is to blame."""

    def __init__(self, message: str, *, source: str, line: int | None = None) -> None:
        super().__init__(f"{source}, line {line}: {message}" if line else f"{source}: {message}")
        self.source = source
        self.line = line


class Mistake(Exception):
    """What is wrong, and the path of the place; the parser turns it into a CatalogError."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


def refuse_unknown(name: str, known: Collection[str], *, noun: str, path: str) -> None:
    """Raises: Mistake, with the nearest known name or all of them, unless `name` is known."""
    if name in known:
        return
    near = process.extractOne(name, [str(word) for word in known], scorer=fuzz.ratio, score_cutoff=65)
    hint = f'did you mean "{near[0]}"?' if near else f"known: {', '.join(known) or 'none'}"
    raise Mistake(path, f'unknown {noun} "{name}"; {hint}')


def located(mistake: Mistake, *, document: dict[str, Any], text: str, source: str) -> CatalogError:
    where = _around(mistake.path, document=document)
    message = f"{where}: {mistake.message}" if where else mistake.message
    return CatalogError(message, source=source, line=_line_of(mistake.path, lines=_lines(text)))


def in_syntax(error: tomllib.TOMLDecodeError, *, text: str, source: str) -> CatalogError:
    """Python before 3.14 gives the line in the message only."""
    found = re.search(r"^(?P<what>.*) \(at (?:line (?P<line>\d+), column \d+|end of document)\)$", str(error))
    if found is None:
        return CatalogError(f"not TOML: {error}", source=source)
    line = int(found["line"]) if found["line"] else text.rstrip("\n").count("\n") + 1
    return CatalogError(f"not TOML: {found['what']}", source=source, line=line)


def join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


HEADER = re.compile(r"^\s*(?P<open>\[\[?)(?P<name>[^\[\]]+)\]\]?\s*(?:#.*)?$")
KEY = re.compile(r"^\s*(?P<key>[\w.\"' -]+?)\s*=")
NAMED_BY = {"providers": ("provider", "slug"), "models": ("model", "name"), "layers": ("layer", "name")}


def _lines(text: str) -> dict[str, int]:
    """The line of every table and key, by path. An approximation: multi-line strings are read as if they were TOML."""
    lines: dict[str, int] = {}
    last: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.split("\n"), start=1):
        if header := HEADER.match(line):
            table = _opened(header["name"], is_array=header["open"] == "[[", last=last)
            lines[table] = number
            lines.setdefault(table.removesuffix("[0]"), number)
        elif key := KEY.match(line):
            lines.setdefault(join(table, _unquoted(key["key"])), number)
    return lines


def _opened(name: str, *, is_array: bool, last: dict[str, int]) -> str:
    """The path of the table that a header opens; `last` holds the last index of every array so far."""
    path = ""
    *parents, own = _unquoted(name).split(".")
    for parent in parents:
        path = join(path, parent)
        path += f"[{last[path]}]" if path in last else ""
    path = join(path, own)
    if is_array:
        last[path] = last.get(path, -1) + 1
        path += f"[{last[path]}]"
    return path


def _unquoted(name: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in name.split("."))


def _line_of(path: str, *, lines: Mapping[str, int]) -> int | None:
    """The line of `path`, or of the nearest thing around it."""
    while path and path not in lines:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return lines.get(path)


def _around(path: str, *, document: dict[str, Any]) -> str:
    """The things around `path` by name: `provider "openai", model "gpt-x"`; by number where the name is missing."""
    words: list[str] = []
    node: Any = document
    for table, index in re.findall(r"\b(providers|models|layers)\[(\d+)\]", path):
        node = node[table][int(index)]
        noun, key = NAMED_BY[table]
        name = node.get(key) if isinstance(node, dict) else None
        words.append(f'{noun} "{name}"' if isinstance(name, str) and name else f"{table}[{index}]")
    return ", ".join(words)

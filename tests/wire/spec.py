"""OpenAI's published schema, to judge what the gateway composes itself: `spec.errors("ErrorResponse", answer)`.

Reads the file that `OPENAI_SPEC` names. Fields that the schema does not know are allowed, as OpenAI adds some itself.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator


class Missing(Exception):
    """The specification is not there; says which setting names it."""


def errors(schema_name: str, value: Any) -> list[str]:
    """What in `value` is against the schema, each with its path; empty when nothing is. Raises: Missing."""
    found = sorted(_validator(schema_name).iter_errors(value), key=lambda error: error.json_path)
    return [f"{error.json_path}: {error.message[:300]}" for error in found]


@cache
def _validator(schema_name: str) -> Draft202012Validator:
    components = _components()
    assert schema_name in components["schemas"], f"the specification has no {schema_name}"
    return Draft202012Validator({"$ref": f"#/components/schemas/{schema_name}", "components": components})


@cache
def _components() -> dict[str, Any]:
    path = os.environ.get("OPENAI_SPEC")
    if not path:
        raise Missing("OPENAI_SPEC is unset: it names a file with OpenAI's OpenAPI specification, as JSON")
    if not Path(path).is_file():
        raise Missing(f"OPENAI_SPEC names {path}, which is no file")
    components: dict[str, Any] = _as_json_schema(json.loads(Path(path).read_bytes())["components"])
    return components


def _as_json_schema(node: Any) -> Any:
    """`nullable` is OpenAPI 3.0's word for a union with null; JSON Schema would pass over it, and refuse the null."""
    if isinstance(node, list):
        return [_as_json_schema(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    plain = {name: _as_json_schema(entry) for name, entry in node.items()}
    if plain.get("nullable") is not True:  # a property may have this name too
        return plain
    del plain["nullable"]
    return {"anyOf": [plain, {"type": "null"}]}

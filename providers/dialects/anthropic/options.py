"""Translates how the answer is to be made: stops, sampling, form, service tier, and for whom it is."""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from providers.dialects.anthropic import reading, schemas
from providers.dialects.anthropic.reading import refusal, with_others, wrong_type
from providers.dialects.anthropic.unsupported import left_out

HOTTEST = 1
"""Anthropic's highest temperature; OpenAI's is 2."""
_TIERS = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}
_FORM = "response_format"
_TRUE = Raw(b"true")
_IN_SCHEMA = frozenset({"name", "description", "strict", "schema"})


def apply(body: dict[str, Any], *, warnings: list[str]) -> None:
    """Raises: ProviderError(UNSUPPORTED or REJECTED)."""
    _stops(body)
    _temperature(body, warnings=warnings)
    _user(body, warnings=warnings)
    _service_tier(body, warnings=warnings)
    _form(body, warnings=warnings)


def set_output(body: dict[str, Any], name: str, value: Any) -> bool:
    """Sets a member of `output_config`; False where the client has set it itself, in Anthropic's own words."""
    config = body.get("output_config", {})
    if isinstance(config, Raw):
        config = reading.sent_members(config, at="output_config")
    if name in config:
        return False
    body["output_config"] = config | {name: value}
    return True


def _stops(body: dict[str, Any]) -> None:
    if (raw := body.pop("stop", None)) is None:
        return
    found = reading.value(raw, at="stop")
    stops = [found] if isinstance(found, str) else found
    if not isinstance(stops, list):
        raise wrong_type("stop", "stop must be a string or a list of strings.", found=stops)
    for index, stop in enumerate(stops):
        at = "stop" if stops is not found else f"stop[{index}]"
        if not isinstance(stop, str):
            raise wrong_type(at, f"{at} must be a string.", found=stop)
        if not stop or stop.isspace():
            raise refusal(at, f"Anthropic's models stop only at text that is not blank: change {at}.")
    if own := body.get("stop_sequences"):
        body["stop_sequences"] = [*reading.entries(own, at="stop_sequences"), *stops]
    elif stops:
        body["stop_sequences"] = stops


def _temperature(body: dict[str, Any], *, warnings: list[str]) -> None:
    if "temperature" not in body:
        return
    found = reading.value(body["temperature"], at="temperature")
    if isinstance(found, int | float) and found > HOTTEST:
        body["temperature"] = HOTTEST
        warnings.append(f"temperature is lowered to {HOTTEST}, Anthropic's highest")


def _user(body: dict[str, Any], *, warnings: list[str]) -> None:
    """One name for the user, the vendor's own first."""
    names = {name: body.pop(name) for name in ("user", "safety_identifier") if name in body}
    metadata = reading.sent_members(body.pop("metadata"), at="metadata") if "metadata" in body else {}
    user = metadata.pop("user_id", None) or next(iter(names.values()), None)
    if user is not None:
        body["metadata"] = {"user_id": user}
    warnings += [left_out(name) for name, other in names.items() if other != user]
    if metadata:
        warnings.append(left_out("metadata other than user_id"))


def _service_tier(body: dict[str, Any], *, warnings: list[str]) -> None:
    if (raw := body.pop("service_tier", None)) is None:
        return
    tier = reading.text(raw, at="service_tier")
    if tier in _TIERS:
        body["service_tier"] = _TIERS[tier]
    else:
        warnings.append(left_out(f"service_tier {tier}"[:60]))


def _form(body: dict[str, Any], *, warnings: list[str]) -> None:
    if (raw := body.pop(_FORM, None)) is None:
        return
    form = reading.sent_members(raw, at=_FORM)
    kind = reading.text(form["type"], at=f"{_FORM}.type") if "type" in form else "text"
    if kind == "json_object":
        raise refusal(_FORM, f"Anthropic's models need a schema to answer in JSON: send a json_schema as {_FORM}.")
    if kind not in ("text", "json_schema"):
        raise refusal(_FORM, f"Anthropic's models answer in text or by a json_schema: change {_FORM}.")
    if kind == "json_schema" and not set_output(body, "format", _schema_form(form, warnings=warnings)):
        warnings.append(f"{left_out(_FORM)}: output_config has a format")


def _schema_form(form: dict[str, Raw], *, warnings: list[str]) -> dict[str, Any]:
    at = f"{_FORM}.json_schema"
    wanted = reading.sent_members(form.get("json_schema", reading.NULL), at=at)
    if "schema" not in wanted:
        raise refusal(f"{at}.schema", f"{at}.schema is missing: Anthropic's models need it to answer in JSON.")
    reading.members(wanted["schema"], at=f"{at}.schema")
    if "description" in wanted:
        warnings.append(left_out(f"{at}.description"))
    # Whoever asks for `strict` has closed it: OpenAI refuses it otherwise, and so may Anthropic.
    schema = wanted["schema"] if wanted.get("strict") == _TRUE else schemas.closed(wanted["schema"])
    return with_others({"type": "json_schema", "schema": schema}, wanted, named=_IN_SCHEMA)

"""What the options of `manage.py keys` mean: the fields of an API key, and moments. Checks no value: `ApiKey` does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandParser
from django.db.models import Model
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from analytics.models import Project
from analytics.types import Scope

LISTS = {
    "scope": "scopes",
    "model": "allowed_models",
    "layer": "allowed_layers",
    "endpoint": "allowed_endpoints",
    "network": "allowed_networks",
}
LIMITS = {
    "requests-per-minute": "requests_per_minute",
    "tokens-per-minute": "tokens_per_minute",
    "concurrent": "concurrent_requests",
}
CLEARABLE = {
    **{option: field for option, field in LISTS.items() if option != "scope"},
    **LIMITS,
    "owner": "owner",
    "expires": "expires_at",
}
"""What `--clear` takes, and the field it empties."""
MOST_UNITS = 99_999
_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


class BadOption(Exception):
    """An option's value cannot be understood; the message says what to write."""


def add_fields(parser: CommandParser) -> None:
    """The options that `create` and `set` share."""
    scopes = [scope.value for scope in Scope]
    parser.add_argument("--scope", action="append", choices=scopes, help="What it may do; repeatable.")
    parser.add_argument("--model", action="append", metavar="PATTERN", help="Allow only these models; repeatable.")
    parser.add_argument("--layer", action="append", metavar="PATTERN", help="Allow only these layers; repeatable.")
    parser.add_argument(
        "--endpoint",
        action="append",
        metavar="PATTERN",
        help="Allow only these paths, such as '/v1/chat/*'; repeatable.",
    )
    parser.add_argument(
        "--network", action="append", metavar="NETWORK", help="Allow only from there, such as 10.0.0.0/8; repeatable."
    )
    parser.add_argument("--requests-per-minute", metavar="N", help="In any sliding minute; `none`: no limit.")
    parser.add_argument("--tokens-per-minute", metavar="N", help="Input and output together; `none`: no limit.")
    parser.add_argument(
        "--concurrent",
        "--concurrent-requests",
        dest="concurrent",
        metavar="N",
        help="Requests under way at once; `none`: no limit.",
    )
    parser.add_argument("--owner", metavar="USERNAME", help="Whose key it is.")
    add_moment(parser, after="--expires-in", at="--expires-at")


def add_moment(parser: CommandParser, *, after: str, at: str) -> None:
    moments = parser.add_mutually_exclusive_group()
    moments.add_argument(after, metavar="TIME", help="Such as 12h, 30d or 8w.")
    moments.add_argument(at, metavar="WHEN", help="Such as 2027-01-31 or 2027-01-31T12:00+01:00; UTC unless it says.")


def changes(options: Mapping[str, Any]) -> dict[str, object]:
    """The fields that the options speak of, with their values. Raises: BadOption."""
    found: dict[str, object] = {}
    for option, field in LISTS.items():
        if options[option] is not None:
            found[field] = options[option]
    for option, field in LIMITS.items():
        if (text := options[option.replace("-", "_")]) is not None:
            found[field] = _number(text)
    if options["owner"] is not None:
        found["owner"] = user(options["owner"])
    expires_at = moment(options, after="expires_in", at="expires_at")
    if expires_at is not None:
        found["expires_at"] = expires_at
    for option in options.get("clear") or ():
        field = CLEARABLE[option]
        if field in found:
            raise BadOption(f"--clear {option}: it is given a value as well.")
        found[field] = [] if option in LISTS else None
    return found


def moment(options: Mapping[str, Any], *, after: str, at: str) -> datetime | None:
    """What one of two options says, if one is given. Raises: BadOption."""
    if options[after] is not None:
        return datetime.now(UTC) + timedelta(seconds=duration_s(options[after], option=after))
    return None if options[at] is None else _date(options[at], option=at)


def duration_s(text: str, *, option: str) -> int:
    """Seconds. Raises: BadOption."""
    found = re.fullmatch(r"0*([0-9]+)([mhdw])", text, re.ASCII)
    if found is None:
        raise BadOption(f"{_spelt(option)} {text!r}: write a whole number and one of m, h, d, w, such as 30d.")
    if len(found[1]) > len(str(MOST_UNITS)):
        raise BadOption(f"{_spelt(option)} {text!r}: this is too long; use at most {MOST_UNITS}{found[2]}.")
    if found[1] == "0":
        raise BadOption(f"{_spelt(option)} {text!r}: this is no time at all; use 1{found[2]} or more.")
    return int(found[1]) * _UNITS[found[2]]


def project(slug: str) -> Project:
    """Raises: BadOption."""
    found = Project.objects.filter(slug=slug).first() if "\0" not in slug else None
    if found is None:
        known = ", ".join(Project.objects.values_list("slug", flat=True))
        raise BadOption(f"There is no project {slug!r}; there is {known}.")
    return found


def user(name: str) -> Model:
    """Raises: BadOption."""
    users = get_user_model().objects
    found: Model | None = users.filter(username=name).first() if "\0" not in name else None
    if found is None:
        raise BadOption(f"There is no user {name!r}.")
    return found


def _number(text: str) -> int | str | None:
    """None for `none`. Anything else stays a text, which the field refuses in its own words."""
    if text == "none":
        return None
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,30}", text, re.ASCII) else text


def _date(text: str, *, option: str) -> datetime:
    try:
        day = parse_date(text)
        found = datetime.combine(day, time()) if day else parse_datetime(text)
        if found is not None:
            return timezone.make_aware(found, UTC) if timezone.is_naive(found) else found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise BadOption(f"{_spelt(option)} {text!r}: write a date, such as 2027-01-31 or 2027-01-31T12:00+01:00.")


def _spelt(option: str) -> str:
    return f"--{option.replace('_', '-')}"

"""The fields of forms as texts: what was typed, what it stands for, what is wrong with it. Pure.

Values are read no further than needed: what is no number or no date stays the text it is, and the row refuses it in
the words that the API and the commands use too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

import msgspec
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.http import QueryDict
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from analytics import key_rules

WAS = "was-"
"""Begins the name of a hidden field that carries what its namesake showed: one that nobody touched is not written,
whoever changed it since."""


class Option(msgspec.Struct, frozen=True):
    value: str
    title: str
    is_chosen: bool = False


class Field(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    title: str
    value: str
    kind: str = "text"
    """text, whole, money, moment, lines (a text of several), choice, boxes."""
    mistake: str = ""
    help: str = ""
    hint: str = ""
    options: tuple[Option, ...] = ()
    """Of a choice or boxes; of a text what is offered while one types."""
    is_required: bool = False
    was: str | None = None
    """What the row holds; None on a form for a new one."""

    within: str = ""
    """Tells fields of one name apart, where a page has several forms."""

    @property
    def id(self) -> str:
        return f"{self.name}-{self.within}" if self.within else self.name

    @property
    def described_by(self) -> str:
        """Ids of what is said about it."""
        said = (("wrong", self.mistake), ("about", self.help))
        return " ".join(f"{word}-{self.id}" for word, text in said if text)


def sent(form: QueryDict, name: str) -> str:
    """What was sent under a name, each value and each line of it on a line of its own; without spaces at the ends."""
    lines = (line.strip() for value in form.getlist(name) for line in str(value).splitlines())
    return "\n".join(line for line in lines if line)


def touched(form: QueryDict, names: Mapping[str, object]) -> dict[str, str]:
    """Of a form that says what it showed: the fields that differ from it."""
    found = {name: sent(form, name) for name in names}
    return {name: text for name, text in found.items() if text != sent(form, WAS + name)}


def refuse_unseen(values: Mapping[str, object]) -> None:
    """Raises: ValidationError naming the fields with a text that no row keeps: what would look for one fails at it."""
    texts = {name: value for name, value in values.items() if isinstance(value, str)}
    if wrong := {name: [key_rules.UNSEEN] for name, text in texts.items() if key_rules.has_unseen(text)}:
        raise ValidationError(wrong)


def lines(text: str) -> list[str]:
    return text.split("\n") if text else []


def whole(text: str) -> int | str | None:
    """None for an empty field; what is no whole number stays a text."""
    if not text:
        return None
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,30}", text, re.ASCII) else text


def row_id(text: str) -> int | None:
    """None for what is none: databases know no number of more digits, and one of them fails at it."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


def moment(text: str) -> datetime | str | None:
    """By the clock of the installation where no zone is named; None for an empty field, else the text it is."""
    if not text:
        return None
    try:
        found = parse_datetime(text)
    except ValueError:
        return text
    if found is None:
        return text
    return timezone.make_aware(found) if timezone.is_naive(found) else found


def shown_moment(at: datetime | None) -> str:
    """As a field for dates and times takes it."""
    if at is None:
        return ""
    local = timezone.localtime(at)
    return f"{local:%Y-%m-%dT%H:%M:%S}" if local.second else f"{local:%Y-%m-%dT%H:%M}"


def mistakes(error: ValidationError) -> dict[str, str]:
    """Words by field; what is about none of them stands under ''."""
    if not hasattr(error, "error_dict"):
        return {"": " ".join(error.messages)}
    told = {name: " ".join(words) for name, words in error.message_dict.items()}
    return {"" if name == NON_FIELD_ERRORS else name: words for name, words in told.items()}

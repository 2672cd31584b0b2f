"""What is asked of the ledger's reports, from the words of a query string or of options: a span and filters.

One reading for API and commands. Raises ValidationError naming the parameter everywhere; a name that the asker may not
know of is as unknown as one that is not there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

import msgspec
from django.conf import settings
from django.core.exceptions import ValidationError

from analytics import key_rules
from analytics.models import Project, UsageKind, validate_time_zone
from analytics.queries import moments
from analytics.queries.filters import Dimension, Filters
from analytics.queries.spans import Span, SpanProblem, Step
from analytics.series import StatusClass
from analytics.types import Caller
from gateway import usage_names

FILTERS = ("project", "key", "provider", "model", "layer", "status", "error_kind", "kind")
"""Parameters that may be given more than once, or as several names with commas between."""
MOST_NAMES = 100
LONGEST_NAME = 200
NO_LAYER = "none"
"""Stands for requests that no layer's model was tried for."""


class Asker(msgspec.Struct, frozen=True):
    """Who asks, and what they may be told of."""

    reach: Filters
    caller: Caller | None = None
    """The API key that asks, if it is one."""

    @property
    def project_ids(self) -> frozenset[int] | None:
        """Projects whose names they may know. None: all."""
        if self.caller is not None and self.caller.key_id is not None:
            return frozenset({self.caller.project_id})
        return self.reach.projects


class Parameters(msgspec.Struct, frozen=True):
    """What was said, by parameter of a query string or by option of a command."""

    lists: Mapping[str, list[str]]
    """Of those that may be given more than once."""
    single: Mapping[str, str]

    def one(self, name: str) -> str | None:
        return self.single.get(name)

    def switch(self, name: str, *, usual: bool) -> bool:
        given = self.single.get(name)
        return usual if given is None else one_of(given, ["true", "false"], about=name) == "true"

    def whole(self, name: str, *, usual: int, most: int) -> int:
        given = self.single.get(name)
        if given is None:
            return usual
        if not (given.isascii() and given.isdecimal() and len(given) < 9 and 1 <= int(given) <= most):
            raise ValidationError({name: [f"Use a whole number from 1 to {most:,}."]})
        return int(given)


def filters(given: Mapping[str, Sequence[str]], *, asker: Asker) -> Filters:
    """What was asked for, within the asker's reach."""
    names = {name: _names(values, about=name) for name, values in given.items() if name in FILTERS and values}
    projects = usage_names.projects(names["project"], asker=asker) if "project" in names else None
    return Filters(
        projects=projects,
        keys=usage_names.keys(names["key"], projects=projects, asker=asker) if "key" in names else None,
        providers=usage_names.configured(Dimension.PROVIDER, names.get("provider"), asker=asker),
        models=usage_names.configured(Dimension.MODEL, names.get("model"), asker=asker),
        layers=_layers(names.get("layer"), asker=asker),
        statuses=_of(names.get("status"), [known.value for known in StatusClass], about="status"),
        error_kinds=frozenset(names["error_kind"]) if "error_kind" in names else None,
        kinds=_of(names.get("kind"), UsageKind.values, about="kind"),
    ).within(asker.reach)


def span(
    since: str | None, until: str | None, *, zone: str, now: datetime | None = None, usual: str = moments.USUAL_SINCE
) -> Span:
    try:
        return moments.span(since, until, zone=zone, now=now or datetime.now(UTC), usual=usual)
    except SpanProblem as problem:
        raise refused(problem) from problem


def zone(given: str | None, *, asked: Filters, asker: Asker) -> str:
    """The zone that was named, else the one of the only project that is asked of or seen, else the installation's."""
    if given is not None:
        try:
            validate_time_zone(given)
        except ValidationError as error:
            raise ValidationError({"zone": error.messages}) from error
        return given
    known = asker.project_ids if asked.projects is None else asked.projects
    if known is not None and len(known) == 1:
        found = Project.objects.filter(pk__in=known).values_list("time_zone", flat=True).first()
        return found or settings.TIME_ZONE
    return settings.TIME_ZONE


def dimensions(given: Sequence[str]) -> tuple[Dimension, ...]:
    if not given:
        return ()
    found = _of(_names(given, about="by"), [known.value for known in Dimension], about="by") or frozenset()
    if len(found) > 3:
        raise ValidationError({"by": ["Use three at most."]})
    return tuple(dimension for dimension in Dimension if dimension in found)


def step(given: str | None) -> Step | None:
    if given is None:
        return None
    return Step(one_of(given, [known.value for known in Step], about="step"))


def one_of(given: str, known: Collection[str], *, about: str) -> str:
    if given not in known:
        raise ValidationError({about: [f"Use {', '.join(known)}, not {given[:LONGEST_NAME]!r}."]})
    return given


def refused(problem: SpanProblem) -> ValidationError:
    return ValidationError({problem.about: [str(problem)]})


def _names(values: Sequence[str], *, about: str) -> list[str]:
    found = [name.strip() for value in values for name in value.split(",") if name.strip()]
    if not found or len(found) > MOST_NAMES or any(len(name) > LONGEST_NAME for name in found):
        raise ValidationError({about: [f"Use 1 to {MOST_NAMES} names, with commas between."]})
    if any(key_rules.has_unseen(name) for name in found):
        raise ValidationError({about: [key_rules.UNSEEN]})
    return found


def _of(names: list[str] | None, known: Collection[str], *, about: str) -> frozenset[str] | None:
    return None if names is None else frozenset(one_of(name, known, about=about) for name in names)


def _layers(names: list[str] | None, *, asker: Asker) -> frozenset[str] | None:
    if names is None:
        return None
    named = [name for name in names if name != NO_LAYER]
    found = usage_names.configured(Dimension.LAYER, named, asker=asker) or frozenset()
    return found | {""} if len(named) < len(names) else found

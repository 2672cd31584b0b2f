"""What a rule's row may say, and what it stands for. One home for pages, API, commands and admin.

A rule that cannot be evaluated is refused when it is saved, with what is wrong beside the field.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from string import Template
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError

from alerts.machine import Comparator, Level, Missing, Terms
from alerts.metrics import KINDS, Kind, Metric, Source
from alerts.models import Rule
from alerts.readings import Question
from analytics import key_rules
from analytics.models import Severity
from analytics.queries.filters import Dimension, Filters

MINUTE_S = 60
LONGEST_WINDOW_S = 7 * 86_400
LONGEST_S = 86_400
SHORTEST_INTERVAL_S, LONGEST_INTERVAL_S = 10, 3_600
MOST_NAMED = 100
LONGEST_NAME = 200
PLACEHOLDERS = (
    *("rule", "state", "level", "value", "threshold", "unit", "window", "labels"),
    *("project", "key", "provider", "model", "layer", "budget", "runbook"),
)
"""What a summary's `$name` may stand for."""
FILTERS = {
    "projects": Dimension.PROJECT,
    "keys": Dimension.KEY,
    "providers": Dimension.PROVIDER,
    "models": Dimension.MODEL,
    "layers": Dimension.LAYER,
    "severities": None,
}
Mistake = tuple[str, str]
"""The field's name, and what is wrong with it."""


def terms(rule: Rule) -> Terms:
    return Terms(
        comparator=Comparator(rule.comparator),
        warning=rule.warning,
        critical=rule.critical,
        hysteresis=rule.hysteresis,
        for_s=rule.for_s,
        keep_firing_s=rule.keep_firing_s,
        min_samples=rule.min_samples,
        no_data=Missing(rule.no_data),
        on_error=Missing(rule.on_error),
        severity=Level(rule.severity),
    )


def question(rule: Rule, *, ids: Mapping[str, int]) -> Question:
    """`ids` are projects', by slug; one that is gone lets nothing through. A rule of a project sees that alone."""
    told: Mapping[str, Any] = rule.filters
    projects = frozenset(ids.get(slug, -1) for slug in told["projects"]) if "projects" in told else None
    if rule.project_id is not None:
        projects = frozenset({rule.project_id})
    names = {
        name: frozenset(told[name]) if name in told else None for name in ("keys", "providers", "models", "layers")
    }
    return Question(
        metric=Metric(rule.metric),
        filters=Filters(projects=projects, **names),
        by=tuple(Dimension(name) for name in rule.group_by),
        window_s=rule.window_s,
        severities=frozenset(told.get("severities", ())),
    )


def check(rule: Rule) -> None:
    """Raises: ValidationError that names the fields."""
    found: dict[str, list[str]] = {}
    kind = KINDS.get(Metric(rule.metric)) if rule.metric in list(Metric) else None
    for field, mistake in (*_name(rule), *_times(rule), *_texts(rule), *(_looked_at(rule, kind) if kind else ())):
        found.setdefault(field, []).append(mistake)
    if found:
        raise ValidationError({field: list(mistakes) for field, mistakes in found.items()})


def _name(rule: Rule) -> Iterator[Mistake]:
    namesakes = Rule.objects.filter(project=rule.project_id, name=rule.name).exclude(pk=rule.pk)
    if rule.name and namesakes.exists():
        yield "name", f"A rule named {rule.name!r} already exists there; choose another name."


def _looked_at(rule: Rule, kind: Kind) -> Iterator[Mistake]:
    if rule.project_id is not None and kind.source is Source.GAUGES:
        yield "metric", f"{kind.title} is the installation's, and belongs to no project."
    yield from _thresholds(rule, kind)
    yield from _groups(rule, kind)
    yield from _filters(rule, kind)


def _thresholds(rule: Rule, kind: Kind) -> Iterator[Mistake]:
    if rule.warning is None and rule.critical is None:
        yield "warning", "Give a threshold: for a warning, for critical, or for both."
    for field in ("warning", "critical"):
        threshold = getattr(rule, field)
        if threshold is not None and (mistake := kind.mistake(threshold)):
            yield field, mistake
    if rule.warning is not None and rule.critical is not None:
        is_above = rule.comparator == Comparator.ABOVE
        if rule.warning == rule.critical or (rule.critical > rule.warning) is not is_above:
            yield "critical", f"Critical lies {'above' if is_above else 'below'} the warning."
    if rule.hysteresis < 0 or (rule.hysteresis and kind.mistake(rule.hysteresis)):
        yield "hysteresis", f"Use what a value of {kind.title} may be: how far within the threshold it must come."


def _groups(rule: Rule, kind: Kind) -> Iterator[Mistake]:
    known = [dimension.value for dimension in kind.dimensions]
    if not isinstance(rule.group_by, list) or any(not isinstance(name, str) for name in rule.group_by):
        yield "group_by", f"Use a list of names, such as {known[:1]}."
        return
    for name in rule.group_by:
        if name not in known:
            told = f"use {', '.join(known)}" if known else "it is told as a whole"
            yield "group_by", f"{kind.title} cannot be told apart by {name!r}: {told}."
    if len(set(rule.group_by)) < len(rule.group_by):
        yield "group_by", "Name each once."


def _filters(rule: Rule, kind: Kind) -> Iterator[Mistake]:
    if not isinstance(rule.filters, dict):
        yield "filters", 'Use an object of lists, such as {"providers": ["openai"]}.'
        return
    for name, wanted in rule.filters.items():
        dimension = FILTERS.get(name)
        is_meant = kind.source is Source.AUDIT if name == "severities" else dimension in kind.dimensions
        if not is_meant:
            known = [one for one, of in FILTERS.items() if of in kind.dimensions]
            known += ["severities"] if kind.source is Source.AUDIT else []
            yield "filters", f"{kind.title} cannot be narrowed by {name!r}: use {', '.join(known) or 'nothing'}."
        elif mistake := _names_mistake(name, wanted):
            yield "filters", mistake
    if rule.project_id is not None and "projects" in rule.filters:
        yield "filters", "The rule is its project's already: leave projects out."


def _names_mistake(name: str, wanted: object) -> str | None:
    if not isinstance(wanted, list) or not 0 < len(wanted) <= MOST_NAMED:
        return f"{name}: use a list of 1 to {MOST_NAMED}; left out it narrows nothing."
    if name == "keys":
        is_fine = all(type(one) is int or one is None for one in wanted)
        return None if is_fine else "keys: use numbers of keys, as `keys list` shows them; null is the local owner."
    if name == "severities":
        is_fine = all(one in Severity.values for one in wanted)
        return None if is_fine else f"severities: use {', '.join(Severity.values)}."
    if any(not isinstance(one, str) or len(one) > LONGEST_NAME or key_rules.has_unseen(one) for one in wanted):
        return f"{name}: use names."
    return None


def _times(rule: Rule) -> Iterator[Mistake]:
    if not (MINUTE_S <= rule.window_s <= LONGEST_WINDOW_S) or rule.window_s % MINUTE_S:
        yield "window_s", "Use whole minutes, from 60 seconds to 604800 (a week)."
    if rule.metric == Metric.IDLE and rule.window_s > LONGEST_S:
        yield "window_s", "No traffic is looked for within a day: use at most 86400."
    if not SHORTEST_INTERVAL_S <= rule.interval_s <= LONGEST_INTERVAL_S:
        yield "interval_s", f"Use {SHORTEST_INTERVAL_S} to {LONGEST_INTERVAL_S} seconds."
    for field in ("for_s", "keep_firing_s"):
        if not 0 <= getattr(rule, field) <= LONGEST_S:
            yield field, f"Use 0 to {LONGEST_S} seconds."


def _texts(rule: Rule) -> Iterator[Mistake]:
    if mistake := summary_mistake(rule.summary):
        yield "summary", mistake
    if rule.runbook_url:
        parts = urlsplit(rule.runbook_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            yield "runbook_url", "Use an address that begins with https:// or http://."
    if not isinstance(rule.labels, dict) or any(not isinstance(value, str) for value in rule.labels.values()):
        yield "labels", 'Use an object of texts, such as {"team": "search"}.'
    elif taken := sorted(rule.labels.keys() & set(PLACEHOLDERS)):
        yield "labels", f"{', '.join(taken)}: alerts have these themselves; choose other names."


def summary_mistake(text: str) -> str | None:
    """What is wrong with a summary's text; None when nothing is."""
    template = Template(text)
    if not template.is_valid():
        return "A $ stands before a name, as in $value; write $$ for a dollar."
    if unknown := [name for name in template.get_identifiers() if name not in PLACEHOLDERS]:
        return f"There is no ${unknown[0]}: use {', '.join('$' + name for name in PLACEHOLDERS)}."
    return None

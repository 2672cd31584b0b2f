"""The forms of budgets and of projects' limits: their fields, and what these stand for. What may stand in them is the
rows' to say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import QueryDict

from analytics import keys, visibility
from analytics.authority import Authority
from analytics.models import ApiKey, Budget, Project, Role, Severity
from analytics.types import BudgetAction, NearEdge, Window
from gateway.pages import finding, form_fields
from gateway.pages.form_fields import Field, Option
from routing.models import Layer

INSTALLATION = "installation"
MOST_OFFERED = 1_000
WHOSE = "Say whose budget it is: a project's, a token's, or the whole installation's."
_WINDOWS = {Window.TOTAL: "in total"}
_ACTIONS = {
    BudgetAction.REFUSE: "refuse requests (402)",
    BudgetAction.DEGRADE: "go on in a cheaper layer",
    BudgetAction.NOTE: "only note it in the audit trail",
}
_EDGES = {NearEdge.SHORTEN: "shorten answers to a usual length", NearEdge.DENY: "refuse them"}
_READ: dict[str, Callable[[str], object]] = {
    "limit_usd": str,
    "window": str,
    "action": str,
    "layer": str,
    "near_edge": str,
    "severity": str,
    "starts_at": form_fields.moment,
    "ends_at": form_fields.moment,
}
_FIXED = {"window"}
"""What cannot be changed once a budget is made."""
_BLANK = {
    "window": Window.MONTH.value,
    "action": BudgetAction.REFUSE.value,
    "near_edge": NearEdge.SHORTEN.value,
    "severity": Severity.WARNING.value,
}
_LIMITS = {
    "requests_per_minute": "Requests a minute",
    "tokens_per_minute": "Tokens a minute",
    "concurrent_requests": "Requests at once",
}


def blank(whose: str) -> dict[str, str]:
    return dict.fromkeys(_READ, "") | _BLANK | {"whose": whose}


def of(row: Budget) -> dict[str, str]:
    """As the form shows a budget."""
    plain = {name: str(getattr(row, name)) for name in ("action", "layer", "near_edge", "severity")}
    moments = {name: form_fields.shown_moment(getattr(row, name)) for name in ("starts_at", "ends_at")}
    return {"limit_usd": f"{row.limit_usd.normalize():f}", **plain, **moments}


def sent(form: QueryDict, *, is_new: bool) -> dict[str, str]:
    names = ("whose", *_READ) if is_new else [name for name in _READ if name not in _FIXED]
    return {name: form_fields.sent(form, name) for name in names}


def shown(form: QueryDict) -> dict[str, str]:
    """What the form of a budget began with, as it says itself."""
    return {name: form_fields.sent(form, form_fields.WAS + name) for name in _READ if name not in _FIXED}


def values(texts: Mapping[str, str]) -> dict[str, Any]:
    """What the texts stand for, but for whose it is. Raises: ValidationError."""
    found = {name: _READ[name](text) for name, text in texts.items() if name in _READ}
    form_fields.refuse_unseen(found)
    return found


def changes(form: QueryDict) -> dict[str, Any]:
    return values(form_fields.touched(form, {name: None for name in _READ if name not in _FIXED}))


def target(whose: str, *, found: Authority) -> tuple[Project | None, ApiKey | None]:
    """The project or the key that a budget is for; neither for the installation. Raises: ValidationError;
    PermissionDenied for who is no admin there."""
    if whose == INSTALLATION:
        if not found.is_everything:
            raise PermissionDenied("Only superusers make budgets of the installation.")
        return None, None
    kind, _, name = whose.partition(":")
    project = finding.project_called(name, found=found) if kind == "project" else None
    key = finding.key_numbered(name, found=found) if kind == "key" else None
    if project is None and key is None:
        raise ValidationError({"whose": [WHOSE]})
    found.require(Role.ADMIN, project_id=key.project_id if key else project.pk if project else None)
    return project, key


def groups(
    texts: Mapping[str, str],
    *,
    found: Authority,
    mistakes: Mapping[str, str],
    was: Mapping[str, str] | None = None,
) -> list[tuple[str, list[Field]]]:
    """The form's fields as they are filled in, by heading. `was` is what it began with, None for a new one."""

    def field(name: str, title: str, **more: Any) -> Field:
        before = was[name] if was is not None else None
        return Field(name=name, title=title, value=texts[name], mistake=mistakes.get(name, ""), was=before, **more)

    def choose(name: str, title: str, among: Iterable[tuple[str, str]], **more: Any) -> Field:
        options = tuple(Option(value, said, is_chosen=value == texts[name]) for value, said in among)
        return field(name, title, kind="choice", options=options, **more)

    zone = settings.TIME_ZONE
    layers = tuple(Option(name, name) for name in Layer.objects.order_by("position").values_list("name", flat=True))
    windows = [(window.value, _WINDOWS.get(window, f"per {window.value}")) for window in Window]
    amount = field("limit_usd", "Limit (US dollars)", kind="money", is_required=True, hint="5 or 0.25")
    whose = [choose("whose", "Whose", _targets(texts["whose"], found), is_required=True)] if was is None else []
    per = [choose("window", "Per", windows, help="By the clock of the project.")] if was is None else []
    return [
        ("How much", [*whose, amount, *per]),
        (
            "When it is reached",
            [
                choose("action", "Then", [(action.value, said) for action, said in _ACTIONS.items()]),
                field("layer", "Layer to go on in", options=layers, help="Where it goes on in a cheaper one."),
                choose("near_edge", "Answers that may not fit", [(edge.value, said) for edge, said in _EDGES.items()]),
                choose("severity", "Severity of its audit entry", Severity.choices),
            ],
        ),
        (
            "When it holds",
            [
                field("starts_at", f"From ({zone})", kind="moment", help="Empty: at once."),
                field("ends_at", f"Until ({zone})", kind="moment", help="Empty: for good."),
            ],
        ),
    ]


def _targets(chosen: str, found: Authority) -> list[tuple[str, str]]:
    """What one may make budgets for; of tokens the one that is chosen."""
    rows = visibility.projects_of(found, least=Role.ADMIN).order_by("slug")[:MOST_OFFERED]
    offered = [(f"project:{row.slug}", f"project {row.slug}") for row in rows]
    if found.is_everything:
        offered.insert(0, (INSTALLATION, "the whole installation"))
    kind, _, number = chosen.partition(":")
    if kind == "key" and (key := finding.key_numbered(number, found=found)):
        offered.append((chosen, f"token {key.name} of {key.project.slug}"))
    return offered if chosen in dict(offered) else [("", "Choose one"), *offered]


# Limits of a project, beside its budgets.


def limits_of(row: Project) -> dict[str, str]:
    return {name: "" if (limit := getattr(row, name)) is None else str(limit) for name in keys.LIMITS}


def limits_sent(form: QueryDict) -> dict[str, str]:
    return {name: form_fields.sent(form, name) for name in keys.LIMITS}


def limits_shown(form: QueryDict) -> dict[str, str]:
    return {name: form_fields.sent(form, form_fields.WAS + name) for name in keys.LIMITS}


def limit_changes(form: QueryDict) -> dict[str, object]:
    """Those that were touched, with what they stand for."""
    return {
        name: form_fields.whole(text) for name, text in form_fields.touched(form, dict.fromkeys(keys.LIMITS)).items()
    }


def limit_fields(
    texts: Mapping[str, str], *, was: Mapping[str, str], of: Project, mistakes: Mapping[str, str]
) -> list[Field]:
    return [
        Field(
            name=name,
            title=title,
            value=texts[name],
            was=was[name],
            mistake=mistakes.get(name, ""),
            kind="whole",
            hint="no limit",
            within=str(of.pk),
        )
        for name, title in _LIMITS.items()
    ]

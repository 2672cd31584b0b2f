"""The form of a token: its fields for who fills it in, and what they stand for. What may stand in them is the key's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import QueryDict

from analytics import handing_on, keys, visibility
from analytics.authority import Authority
from analytics.models import ApiKey, Project, Role, default_scopes
from analytics.types import Scope
from gateway.api import managing
from gateway.pages import form_fields
from gateway.pages.form_fields import Field, Option

MOST_OFFERED = 1_000
"""Projects to choose from, and users offered while a name is typed."""
NARROWING = ("allowed_models", "allowed_layers", "allowed_endpoints", "allowed_networks")
_SCOPES = {
    Scope.CHAT: "Ask models",
    Scope.USAGE_OWN: "Read its own usage",
    Scope.USAGE_PROJECT: "Read the usage of its project",
    Scope.ADMIN: "Change keys, budgets and limits of its project",
    Scope.INSTALLATION: "Change what all projects share: providers, models, prices, layers, the policy",
}
_READ: dict[str, Callable[[str], object]] = {
    "name": str,
    "project": str,
    "owner": str,
    "scopes": form_fields.lines,
    "expires_at": form_fields.moment,
    **dict.fromkeys(NARROWING, form_fields.lines),
    **dict.fromkeys(keys.LIMITS, form_fields.whole),
}
"""Every field of the form, and what its text stands for."""


def blank(found: Authority, *, project: str = "") -> dict[str, str]:
    """Of a new key: the usual scopes, and the project that is asked for, or the only one there is."""
    slugs = _slugs(found)
    chosen = project if project in slugs else slugs[0] if len(slugs) == 1 else ""
    return dict.fromkeys(_READ, "") | {"scopes": "\n".join(default_scopes()), "project": chosen}


def of(row: ApiKey) -> dict[str, str]:
    """As the form shows a key."""
    held = [str(scope) for scope in row.scopes]
    in_order = [scope.value for scope in Scope if scope.value in held]
    return {
        "name": row.name,
        "project": row.project.slug,
        "owner": row.owner.get_username() if row.owner else "",
        "scopes": "\n".join([*in_order, *(scope for scope in held if scope not in in_order)]),
        "expires_at": form_fields.shown_moment(row.expires_at),
        **{name: "\n".join(map(str, getattr(row, name))) for name in NARROWING},
        **{name: "" if (limit := getattr(row, name)) is None else str(limit) for name in keys.LIMITS},
    }


def sent(form: QueryDict) -> dict[str, str]:
    return {name: form_fields.sent(form, name) for name in _READ}


def shown(form: QueryDict) -> dict[str, str]:
    """What the form began with, as it says itself."""
    return {name: form_fields.sent(form, form_fields.WAS + name) for name in _READ}


def touched(form: QueryDict) -> dict[str, str]:
    return form_fields.touched(form, _READ)


def values(texts: Mapping[str, str], *, found: Authority) -> dict[str, Any]:
    """What the texts stand for, with the project and the owner that are named. Raises: ValidationError naming the
    fields; PermissionDenied for a project in which one looks alone."""
    read: dict[str, Any] = {name: _READ[name](text) for name, text in texts.items()}
    wrong: dict[str, list[str]] = {}
    for name, look_up in (("project", _project), ("owner", _owner)):
        try:
            if name in read:
                read[name] = look_up(read[name], found)
        except ValidationError as error:
            wrong |= error.message_dict
    if wrong:
        raise ValidationError(wrong)
    return read


def _project(slug: str, found: Authority) -> Project:
    if not slug or "\0" in slug:
        raise ValidationError({"project": ["Choose the project whose budgets and limits it counts in."]})
    return managing.project(slug, found=found, least=Role.OPERATOR)


def _owner(name: str, found: Authority) -> Any:
    if not name:
        return None
    row = visibility.users_of(found).filter(username=name).first() if "\0" not in name else None
    if row is None:
        raise ValidationError({"owner": [f"There is no user {name!r}."]})
    return row


def groups(
    texts: Mapping[str, str],
    *,
    found: Authority,
    mistakes: Mapping[str, str],
    was: Mapping[str, str] | None = None,
) -> list[tuple[str, list[Field]]]:
    """The form's fields as they are filled in, under their headings. `was` is what the form began with."""

    def field(name: str, title: str, **more: Any) -> Field:
        before = was[name] if was is not None else None
        return Field(name=name, title=title, value=texts[name], mistake=mistakes.get(name, ""), was=before, **more)

    users = visibility.users_of(found).order_by("username").values_list("username", flat=True)[:MOST_OFFERED]
    return [
        (
            "Whose it is",
            [
                field("name", "Name", is_required=True, help="Unique in its project."),
                field(
                    "project", "Project", kind="choice", is_required=True, options=_projects(found, texts["project"])
                ),
                field("owner", "Owner", options=tuple(Option(name, name) for name in users), help="A user's name."),
                field(
                    "expires_at", f"Expires ({settings.TIME_ZONE})", kind="moment", help="From then on it is refused."
                ),
            ],
        ),
        ("What it may do", [field("scopes", "Scopes", kind="boxes", options=_scopes(found, texts["scopes"]))]),
        (
            "What it is held to",
            [
                field("allowed_models", "Models", kind="lines", hint="gpt-*", help="Patterns. Empty: all."),
                field("allowed_layers", "Layers", kind="lines", hint="L0", help="Patterns. Empty: all."),
                field("allowed_endpoints", "Endpoints", kind="lines", hint="/v1/chat/*", help="Paths. Empty: all."),
                field("allowed_networks", "Networks", kind="lines", hint="10.0.0.0/8", help="Empty: from everywhere."),
            ],
        ),
        (
            "Limits",
            [
                field("requests_per_minute", "Requests a minute", kind="whole", help="Empty: no limit."),
                field("tokens_per_minute", "Tokens a minute", kind="whole", help="Input and output. Empty: no limit."),
                field("concurrent_requests", "Requests at once", kind="whole", help="Empty: no limit."),
            ],
        ),
    ]


def _slugs(found: Authority) -> list[str]:
    rows = visibility.projects_of(found, least=Role.OPERATOR).order_by("slug")
    return list(rows.values_list("slug", flat=True)[:MOST_OFFERED])


def _projects(found: Authority, chosen: str) -> tuple[Option, ...]:
    slugs = _slugs(found)
    first = () if chosen in slugs else (Option("", "Choose one", is_chosen=True),)
    return (*first, *(Option(slug, slug, is_chosen=slug == chosen) for slug in slugs))


def _scopes(found: Authority, chosen: str) -> tuple[Option, ...]:
    """Those that the user may give, and those that are chosen already."""
    held = form_fields.lines(chosen)
    offered = [scope for scope in Scope if scope in handing_on.scopes_to_give(found) or scope.value in held]
    return tuple(Option(scope.value, _SCOPES[scope], is_chosen=scope.value in held) for scope in offered)

"""`/admin/budgets/`: budgets with how they stand, and limits; of the installation, of projects, of their tokens.

Budgets are switched and projects' limits changed in place; `gateway.pages.budget` has the other forms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse

from analytics import allotting, budget_rows, projects, visibility
from analytics.authority import Authority
from analytics.models import Project, Role
from gateway import budget_shelves
from gateway.budget_shelves import Shelf
from gateway.pages import budget_fields, finding, form_fields
from gateway.pages.form_fields import Field

MOST_SHOWN = 20
"""Projects on a page."""
MOST_OFFERED = 1_000
LONGEST = 64


class Refused(msgspec.Struct, frozen=True):
    """A form that was sent and not done."""

    mistake: str = ""
    """What is about no field."""
    project_id: int | None = None
    texts: Mapping[str, str] = {}
    was: Mapping[str, str] = {}
    mistakes: Mapping[str, str] = {}


NOTHING = Refused()


def page(request: HttpRequest, context: Mapping[str, Any]) -> HttpResponse:
    """Raises: PermissionDenied."""
    found = finding.authority_of(request)
    said, refused = _sent(request.POST, found) if request.method == "POST" else ("", NOTHING)
    if said and not request.headers.get("HX-Request"):
        messages.success(request, said)
        return HttpResponseRedirect(request.get_full_path())
    rows, project, mistake = _projects(request, found)
    shown = rows[:MOST_SHOWN]
    shelves = budget_shelves.of(shown, found=found)
    told = {
        **context,
        "title": "Budgets and limits",
        "shelves": shelves,
        "projects": [(shelf, _limits(shelf, refused)) for shelf in shelves.projects],
        "slugs": _slugs(found),
        "project": project,
        "older": "?" + urlencode({"after": shown[-1].slug}) if len(rows) > MOST_SHOWN else "",
        "is_everything": found.is_everything,
        "may_make": found.within(Role.ADMIN) != frozenset(),
        "said": said,
        "mistake": refused.mistake or mistake,
        "open_project": refused.project_id,
    }
    is_wrong = refused is not NOTHING or bool(mistake)
    return TemplateResponse(request, "gateway/budgets.html", told, status=400 if is_wrong else 200)


def _projects(request: HttpRequest, found: Authority) -> tuple[list[Project], str, str]:
    """Those of the page and one more where there are more; the one asked for; what is wrong with the question."""
    rows = visibility.projects_of(found).order_by("slug")
    slug, after = (str(request.GET.get(name, "")).replace("\0", "")[:LONGEST] for name in ("project", "after"))
    if slug:
        row = finding.project_called(slug, found=found)
        return ([row], slug, "") if row else ([], "", f"There is no project {slug!r}.")
    return list(rows.filter(slug__gt=after)[: MOST_SHOWN + 1]), "", ""


def _slugs(found: Authority) -> list[str]:
    """To choose from; none where there is but one."""
    slugs = list(visibility.projects_of(found).order_by("slug").values_list("slug", flat=True)[:MOST_OFFERED])
    return slugs if len(slugs) > 1 else []


def _limits(shelf: Shelf, refused: Refused) -> list[Field]:
    """As they are, or as they were filled in where that was refused."""
    row = shelf.project
    if refused.project_id == row.pk:
        return budget_fields.limit_fields(refused.texts, was=refused.was, of=row, mistakes=refused.mistakes)
    texts = budget_fields.limits_of(row)
    return budget_fields.limit_fields(texts, was=texts, of=row, mistakes={})


# What the forms do: each returns what was done, in words, or what was refused.


def _sent(form: QueryDict, found: Authority) -> tuple[str, Refused]:
    """Raises: PermissionDenied, Http404."""
    act = {"switch": _switch, "limits": _change_limits}.get(form.get("do", ""))
    return act(form, found) if act else ("", Refused("This form is not known here: load the page anew."))


def _switch(form: QueryDict, found: Authority) -> tuple[str, Refused]:
    row = finding.budget(form.get("budget", ""), found=found)
    is_on = form.get("enabled") == "true"
    try:
        allotting.edit(row, authority=found, changes={"enabled": is_on})
    except ValidationError as error:
        return "", Refused(" ".join(form_fields.mistakes(error).values()))
    except budget_rows.BudgetProblem as error:
        return "", Refused(str(error))
    return f"{row} is {'on' if is_on else 'off'}.", NOTHING


def _change_limits(form: QueryDict, found: Authority) -> tuple[str, Refused]:
    row = finding.project(form.get("project", ""), found=found)
    found.require(Role.ADMIN, project_id=row.pk)
    try:
        edited = projects.edit(row, actor=found.actor, changes=budget_fields.limit_changes(form))
    except ValidationError as error:
        texts, was = budget_fields.limits_sent(form), budget_fields.limits_shown(form)
        mistakes = form_fields.mistakes(error)
        return "", Refused(mistakes.get("", ""), row.pk, texts, was, mistakes)
    except projects.ProjectProblem as error:
        return "", Refused(str(error))
    return f"The limits of {edited.slug} are changed: in every process within two seconds.", NOTHING

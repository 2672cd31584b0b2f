"""`/admin/projects/`: projects with who belongs to them, as far as the user sees them; and the page of each.

Each change is one call into `analytics.projects` or `members`, and one form that works without scripts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse

from analytics import authority, members, projects, visibility
from analytics.authority import Authority
from analytics.members import MembersProblem
from analytics.models import Project, Role
from analytics.projects import ProjectProblem
from gateway import project_listing
from gateway.pages import finding, project_fields

MOST_SHOWN = 100
MOST_NAMED = 500
"""Users offered while a name is typed."""
_PROBLEMS = (ValidationError, PermissionDenied, ProjectProblem, MembersProblem)


def list_page(request: HttpRequest, context: Mapping[str, Any]) -> HttpResponse:
    """Raises: PermissionDenied."""
    found = finding.authority_of(request)
    part, after = (_clean(request.GET.get(name, "")) for name in ("q", "after"))
    rows = project_listing.among(found, part=part)
    lines = project_listing.lines(rows.filter(slug__gt=after), found=found, most=MOST_SHOWN + 1)
    last = lines[MOST_SHOWN - 1].project.slug if len(lines) > MOST_SHOWN else ""
    told = {
        **context,
        "title": "Projects and members",
        "lines": lines[:MOST_SHOWN],
        "part": part,
        "is_paged": bool(after),
        "next": "?" + urlencode({"q": part, "after": last}) if last else "",
        "may_make": found.is_everything,
    }
    return TemplateResponse(request, "gateway/projects.html", told)


def new_page(request: HttpRequest, context: Mapping[str, Any]) -> HttpResponse:
    """Raises: PermissionDenied."""
    found = finding.authority_of(request)
    if not found.is_everything:
        raise PermissionDenied("Only superusers make projects.")
    given, mistakes = project_fields.USUAL, {}
    if request.method == "POST":
        given = {**project_fields.USUAL, **project_fields.read(request.POST)}
        try:
            row = projects.create(actor=found.actor, **project_fields.new(request.POST))
        except ValidationError as error:
            mistakes = project_fields.mistakes(error)
        else:
            messages.success(request, f"The project {row.slug} is there: put its members into it, and make its keys.")
            return HttpResponseRedirect(reverse("admin:project", args=[row.slug]))
    fields = project_fields.fields(given, mistakes)
    told = {**context, "title": "A new project", "fields": fields}
    return TemplateResponse(request, "gateway/project_new.html", told, status=400 if mistakes else 200)


def page(request: HttpRequest, context: Mapping[str, Any], slug: str) -> HttpResponse:
    """Raises: PermissionDenied; Http404, for one that the user may not see as well."""
    found = finding.authority_of(request)
    row = finding.project(slug, found=found)
    if request.method != "POST":
        return _shown(request, context, row, found=found)
    try:
        said = _act(request.POST, row, found)
    except _PROBLEMS as error:
        return _shown(request, context, row, found=found, error=error)
    return _done(request, context, slug, said=said)


def _done(request: HttpRequest, context: Mapping[str, Any], slug: str, *, said: str) -> HttpResponse:
    """What they see now: the list where the project is gone, or is theirs to see no more."""
    found = authority.of_user(request.user)
    row = visibility.projects_of(found).filter(slug=slug).first() if found else None
    if row and found and request.headers.get("HX-Request"):
        return _shown(request, context, row, found=found, said=said)
    messages.success(request, said)
    to = reverse("admin:project", args=[slug]) if row else reverse("admin:projects")
    if request.headers.get("HX-Request"):
        return HttpResponse(headers={"HX-Redirect": to})
    return HttpResponseRedirect(to)


def _shown(
    request: HttpRequest,
    context: Mapping[str, Any],
    row: Project,
    *,
    found: Authority,
    said: str = "",
    error: Exception | None = None,
) -> HttpResponse:
    sent = request.POST if error and request.POST.get("do") == "settings" else None
    mistakes = project_fields.mistakes(error) if sent is not None and isinstance(error, ValidationError) else {}
    texts = was = project_fields.of(row)
    if sent is not None:
        texts, was = project_fields.read(sent), project_fields.shown(sent)
    fields = project_fields.fields(texts, mistakes, was=was)
    is_admin = found.has(Role.ADMIN, project_id=row.pk)
    told = {
        **context,
        "title": row.name,
        "line": project_listing.lines(Project.objects.filter(pk=row.pk), found=found, most=1)[0],
        "project": row,
        "facts": [(field.title, field.value or "no limit") for field in fields],
        "fields": fields,
        "members": members.of(row),
        "names": members.may_be_added(row, authority=found)[:MOST_NAMED] if is_admin else (),
        "roles": Role.choices,
        "is_admin": is_admin,
        "is_superuser": found.is_everything,
        "is_default": row.slug == projects.DEFAULT,
        "said": said,
        "typed": request.POST.get("user", "") if error and request.POST.get("do") == "add" else "",
        "mistake": "" if error is None or mistakes else _words(error),
    }
    status = 200 if error is None else 403 if isinstance(error, PermissionDenied) else 400
    return TemplateResponse(request, "gateway/project.html", told, status=status)


# What the forms do: each returns what was done, in words.


def _act(sent: QueryDict, row: Project, found: Authority) -> str:
    """Raises: `_PROBLEMS`."""
    act = _ACTIONS.get(sent.get("do", ""))
    if act is None:
        raise ValidationError("This form is not known here: load the page anew.")
    found.require(Role.ADMIN, project_id=row.pk)
    return act(sent, row, found)


def _settings(sent: QueryDict, row: Project, found: Authority) -> str:
    projects.edit(row, actor=found.actor, changes=project_fields.touched(sent))
    return "The settings are saved, and hold within two seconds."


def _switch(sent: QueryDict, row: Project, found: Authority) -> str:
    is_on = sent.get("enabled") == "true"
    projects.edit(row, actor=found.actor, changes={"enabled": is_on})
    return f"The project is {'on' if is_on else 'off: its keys are refused'}."


def _bodies(sent: QueryDict, row: Project, found: Authority) -> str:
    edited = projects.edit(row, actor=found.actor, changes=project_fields.bodies(sent))
    if not edited.stores_bodies:
        return "Bodies of requests to come are not kept. Those that are go when their days are over."
    return f"Bodies of requests to come are kept, masked, for {edited.bodies_days} days."


def _put(sent: QueryDict, row: Project, found: Authority) -> str:
    name = sent.get("user", "").strip()
    put = members.put(row, name, role=sent.get("role", ""), authority=found)
    role = Role(put.row.role).label.lower()
    return f"{name} is {'now' if put.is_new else 'in the project as'} {role}{' of the project' if put.is_new else ''}."


def _add(sent: QueryDict, row: Project, found: Authority) -> str:
    name = sent.get("user", "").strip()
    if not name:
        raise ValidationError("Say who: write the name of a user.")
    if (member := members.find(row, name)) is not None:
        role = member.get_role_display().lower()
        raise ValidationError(f"{name} is in the project already, as {role}: another role is chosen beside the name.")
    return _put(sent, row, found)


def _take_out(sent: QueryDict, row: Project, found: Authority) -> str:
    name = sent.get("user", "")
    members.take_out(row, name, authority=found)
    return f"{name} is no longer in {row.slug}."


def _delete(sent: QueryDict, row: Project, found: Authority) -> str:
    if not found.is_everything:
        raise PermissionDenied("Only superusers delete projects.")
    if sent.get("confirm", "").strip() != row.slug:
        raise ValidationError(f"Nothing was deleted: write {row.slug} into the field to say that you mean it.")
    projects.delete(row, actor=found.actor)
    return f"The project {row.slug} is deleted, its budgets with it. What it used stays in the ledger."


_ACTIONS: Mapping[str, Callable[[QueryDict, Project, Authority], str]] = {
    "settings": _settings,
    "switch": _switch,
    "bodies": _bodies,
    "put": _put,
    "add": _add,
    "take-out": _take_out,
    "delete": _delete,
}
"""By the form's name. All of them are for the project's admins; `members` and `_delete` ask for more."""


def _clean(text: str) -> str:
    return text.strip()[:200].replace("\0", "")


def _words(error: Exception) -> str:
    return " ".join(error.messages) if isinstance(error, ValidationError) else str(error)

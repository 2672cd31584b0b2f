"""`/admin/budgets/new/`, `/admin/budgets/<id>/` and the page that asks before one is deleted: each change is one call
into `analytics.allotting`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from analytics import allotting, budget_rows
from analytics.authority import Authority
from analytics.models import Budget, Role
from gateway import budget_bars
from gateway.pages import budget_fields, finding, form_fields

LONGEST = 100


def new_page(request: HttpRequest, context: Mapping[str, Any]) -> HttpResponse:
    """Raises: PermissionDenied."""
    found = finding.authority_of(request, least=Role.ADMIN)
    mistakes: Mapping[str, str] = {}
    texts = budget_fields.blank(request.GET.get("whose", "")[:LONGEST])
    if request.method == "POST":
        texts = budget_fields.sent(request.POST, is_new=True)
        try:
            row = _made(texts, found)
            messages.success(request, f"{row} holds: in every process within two seconds.")
            return HttpResponseRedirect(_back(row))
        except ValidationError as error:
            mistakes = form_fields.mistakes(error)
    told = {
        **context,
        "title": "New budget",
        "bar": None,
        "back": reverse("admin:budgets"),
        "groups": budget_fields.groups(texts, found=found, mistakes=mistakes),
        "mistakes": mistakes,
        "mistake": mistakes.get(""),
    }
    return TemplateResponse(request, "gateway/budget_form.html", told, status=400 if mistakes else 200)


def _made(texts: Mapping[str, str], found: Authority) -> Budget:
    """Raises: ValidationError, PermissionDenied."""
    project, key = budget_fields.target(texts["whose"], found=found)
    return allotting.create(authority=found, project=project, api_key=key, **budget_fields.values(texts))


def change_page(request: HttpRequest, context: Mapping[str, Any], budget_id: int) -> HttpResponse:
    """Raises: Http404, PermissionDenied."""
    found, row = _held(request, budget_id)
    was, mistakes = budget_fields.of(row), {}
    texts = was
    if request.method == "POST":
        texts, was = budget_fields.sent(request.POST, is_new=False), budget_fields.shown(request.POST)
        try:
            return _changed(request, row, found)
        except ValidationError as error:
            mistakes = form_fields.mistakes(error)
    told = {
        **context,
        "title": "Change a budget",
        "bar": budget_bars.of([row])[0],
        "back": _back(row),
        "groups": budget_fields.groups(texts, found=found, mistakes=mistakes, was=was),
        "mistakes": mistakes,
        "mistake": mistakes.get(""),
    }
    return TemplateResponse(request, "gateway/budget_form.html", told, status=400 if mistakes else 200)


def _changed(request: HttpRequest, row: Budget, found: Authority) -> HttpResponse:
    """Raises: ValidationError, Http404, PermissionDenied."""
    try:
        edited = allotting.edit(row, authority=found, changes=budget_fields.changes(request.POST))
    except budget_rows.BudgetProblem as error:
        raise Http404(str(error)) from error
    messages.success(request, f"{edited}: changed, in every process within two seconds.")
    return HttpResponseRedirect(_back(edited))


def delete_page(request: HttpRequest, context: Mapping[str, Any], budget_id: int) -> HttpResponse:
    """Asks; the answer deletes. Raises: Http404, PermissionDenied."""
    found, row = _held(request, budget_id)
    if request.method == "POST":
        allotting.delete(row, authority=found)
        messages.success(request, f"{row} is deleted; what was spent stays in the ledger.")
        return HttpResponseRedirect(_back(row))
    told = {**context, "title": "Delete a budget?", "bar": budget_bars.of([row])[0], "back": _back(row)}
    return TemplateResponse(request, "gateway/budget_delete.html", told)


def _held(request: HttpRequest, budget_id: int) -> tuple[Authority, Budget]:
    """Raises: Http404, for one that the user may not see as well; PermissionDenied for who may look alone."""
    found = finding.authority_of(request)
    row = finding.budget(str(budget_id), found=found)
    found.require(Role.ADMIN, project_id=allotting.project_of(row))
    return found, row


def _back(row: Budget) -> str:
    """Where it stands among others."""
    project = row.api_key.project if row.api_key else row.project
    return reverse("admin:budgets") + (f"?project={project.slug}" if project else "")

"""The pages of budgets and projects. Every write goes through `budget_rows` and `projects`, which check and audit it.

Forms leave checking to the tables' own fields, so that a mistake is told here in the words of the API and the commands.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, time
from decimal import Decimal
from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from analytics import audit, budget_rows, budget_rules, projects, standing
from analytics.admin_access import ForSuperusers
from analytics.models import Budget, Membership, Project, time_zones
from analytics.standing import Standing
from analytics.types import Window

WHOSE = "Say whose budget it is: a project's, an API key's, or the whole installation's."
BOTH = "The whole installation is ticked and a project or an API key is chosen as well: a budget is for one of them."


class BudgetForm(forms.ModelForm):
    installation = forms.BooleanField(
        label="For the whole installation", required=False, help_text="All projects and keys together."
    )
    """Asked for, as by the API and the command: two fields left empty are no wish to hold back everybody."""
    limit_usd = forms.CharField(
        label="Limit (USD)", max_length=40, widget=forms.TextInput(attrs={"inputmode": "decimal", "size": 12})
    )

    class Meta:
        model = Budget
        fields = ["project", "api_key", "window", "limit_usd", *budget_rows.EDITABLE[1:]]
        labels = {"api_key": "API key", "near_edge": "Near the edge", "starts_at": "From", "ends_at": "Until"}
        help_texts = {
            "project": "Leave it empty for a budget of a key.",
            "api_key": "Leave it empty for a budget of a project.",
            "starts_at": "Empty: at once; a total budget counts from the moment it is made.",
        }
        error_messages = {name: words for name, words in budget_rules.WORDS.items() if name != "limit_usd"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.fields.pop("installation", None)
        if self.instance.pk and "limit_usd" in self.fields:
            self.initial["limit_usd"] = f"{self.instance.limit_usd.normalize():f}"

    def clean_limit_usd(self) -> Decimal:
        """As the table's own field has it, so that no half of a number gets into the row that the page shows."""
        try:
            return cast(
                Decimal, Budget._meta.get_field("limit_usd").clean(self.cleaned_data["limit_usd"], self.instance)
            )
        except ValidationError as error:
            told = budget_rules.in_our_words(ValidationError({"limit_usd": error}))
            raise ValidationError(told.error_dict["limit_usd"]) from error

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        self._ask_whose(cleaned)
        # The page is one transaction: what is checked now still holds when it is saved.
        budget_rows.lock(
            self.instance
            if self.instance.pk
            else Budget(project=cleaned.get("project"), api_key=cleaned.get("api_key"))
        )
        return cleaned

    def _ask_whose(self, cleaned: Mapping[str, Any]) -> None:
        """A project or key that was not understood has its own mistake already."""
        if "installation" not in cleaned or {"project", "api_key"} & self.errors.keys():
            return
        is_all, is_named = cleaned["installation"], bool(cleaned.get("project") or cleaned.get("api_key"))
        if is_all == is_named:
            self.add_error("project", BOTH if is_all else WHOSE)


STANDING = ("spent", "held", "window_ends")
"""What the page of a budget shows of the window it is in."""


class BudgetAdmin(ForSuperusers, admin.ModelAdmin):
    form = BudgetForm
    list_display = ["id", "whose", "limit", "spent", "held", "does", "state", "dates"]
    list_display_links = ["id", "whose"]
    list_filter = ["enabled", "window", "action"]
    list_select_related = ["project", "api_key__project"]
    search_fields = ["project__slug", "api_key__name"]
    autocomplete_fields = ["api_key"]

    def get_fieldsets(self, request: HttpRequest, obj: Budget | None = None) -> Any:
        return [
            ("Whose", {"fields": ["project", "api_key", *([] if obj else ["installation"])]}),
            ("How much", {"fields": ["limit_usd", "window", *(STANDING if obj else ())]}),
            ("When it is reached", {"fields": ["action", "layer", "near_edge", "severity"]}),
            (
                "When it holds",
                {
                    "fields": ["starts_at", "ends_at", "enabled"],
                    "description": f"Dates on this page are in the time zone {settings.TIME_ZONE}.",
                },
            ),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Budget | None = None) -> list[str]:
        return ["project", "api_key", "window", *STANDING] if obj else []

    @admin.display(description="whose")
    def whose(self, row: Budget) -> str:
        return row.whose

    @admin.display(description="limit (USD)", ordering="limit_usd")
    def limit(self, row: Budget) -> str:
        per = "in total" if row.window == Window.TOTAL else f"per {row.window}"
        return f"{_plain(row.limit_usd)} {per}"

    @admin.display(description="action", ordering="action")
    def does(self, row: Budget) -> str:
        return f"{row.action} to {row.layer}" if row.layer else row.action

    @admin.display(description="state", ordering="enabled")
    def state(self, row: Budget) -> str:
        return budget_rows.state(row)

    @admin.display(description="dates", ordering="starts_at", empty_value="-")
    def dates(self, row: Budget) -> str | None:
        edges = (("from", row.starts_at), ("until", row.ends_at))
        return " ".join(f"{word} {_in_one_line(edge)}" for word, edge in edges if edge) or None

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """With how the budgets of this page stand: the counters are asked once for all of them."""
        changelist = super().get_changelist_instance(request)
        standings = standing.of(changelist.result_list)
        for row in changelist.result_list:
            row.standing = standings[row.pk]
        return changelist

    @admin.display(description="spent (USD)", empty_value="-")
    def spent(self, row: Budget) -> str | None:
        return _plain(_standing(row).spent_usd)

    @admin.display(description="held (USD)", empty_value="-")
    def held(self, row: Budget) -> str | None:
        return _plain(_standing(row).held_usd)

    @admin.display(description="window ends", empty_value="-")
    def window_ends(self, row: Budget) -> str | None:
        ends_at = _standing(row).window_ends_at
        return f"{timezone.localtime(ends_at):%d %B %Y, %H:%M %Z}" if ends_at else None

    def save_model(self, request: HttpRequest, obj: Budget, form: forms.ModelForm, change: bool) -> None:
        actor = request.user.get_username()
        if change:
            changes = {name: form.cleaned_data[name] for name in form.changed_data}
            budget_rows.edit(obj, actor=actor, changes=changes)
        else:
            budget_rows.add(obj, actor=actor)

    def delete_model(self, request: HttpRequest, obj: Budget) -> None:
        budget_rows.delete(obj, actor=request.user.get_username())

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Budget]) -> None:
        for row in queryset:
            budget_rows.delete(row, actor=request.user.get_username())


def _standing(row: Any) -> Standing:
    """The list has asked for all of its rows; a page asks for its own, once."""
    if not hasattr(row, "standing"):
        row.standing = standing.of([row])[row.pk]
    return cast(Standing, row.standing)


def _in_one_line(moment: datetime) -> str:
    local = timezone.localtime(moment)
    text = f"{local.day} {local:%b %Y}" if local.time() == time() else f"{local.day} {local:%b %Y, %H:%M}"
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _plain(usd: Decimal | None) -> str | None:
    return None if usd is None else f"{usd.normalize():f}"


class ProjectForm(forms.ModelForm):
    time_zone = forms.CharField(
        initial="UTC", widget=forms.Select, help_text="Hours, days, weeks and months of budgets begin by it."
    )

    class Meta:
        model = Project
        fields = ["slug", *projects.EDITABLE]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = sorted(time_zones() | {self.instance.time_zone})
        self.fields["time_zone"].widget.choices = [(name, name) for name in names]


class MembershipInline(ForSuperusers, admin.TabularInline):
    model = Membership
    extra = 0


class ProjectAdmin(ForSuperusers, admin.ModelAdmin):
    form = ProjectForm
    list_display = ["slug", "name", "time_zone", *projects.EDITABLE[2:]]
    list_filter = ["enabled"]
    search_fields = ["slug", "name"]
    inlines = [MembershipInline]

    def get_readonly_fields(self, request: HttpRequest, obj: Project | None = None) -> list[str]:
        return ["slug"] if obj else []

    def save_model(self, request: HttpRequest, obj: Project, form: forms.ModelForm, change: bool) -> None:
        actor = request.user.get_username()
        if change:
            changes = {name: form.cleaned_data[name] for name in form.changed_data}
            projects.edit(obj, actor=actor, changes=changes)
        else:
            projects.add(obj, actor=actor)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        before = projects.members(form.instance)
        with audit.told_here():
            super().save_related(request, form, formsets, change)
        projects.record_members(form.instance, actor=request.user.get_username(), before=before)

    def get_deleted_objects(
        self, objs: QuerySet[Project] | Iterable[Project], request: HttpRequest
    ) -> tuple[list[Any], dict[str, Any], set[Any], list[Any]]:
        """What goes with them, and what keeps them: Django looks for keys, and says which."""
        to_delete, counts, missing, kept = super().get_deleted_objects(objs, request)  # type: ignore[arg-type]
        return to_delete, counts, missing, [*kept, *_default_among(objs)]

    def delete_model(self, request: HttpRequest, obj: Project) -> None:
        projects.delete(obj, actor=request.user.get_username())

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Project]) -> None:
        for row in queryset:
            projects.delete(row, actor=request.user.get_username())


def _default_among(rows: Iterable[Model]) -> Collection[str]:
    is_there = any(isinstance(row, Project) and row.slug == projects.DEFAULT for row in rows)
    return ["The default project: keys that name no project belong to it"] if is_there else []

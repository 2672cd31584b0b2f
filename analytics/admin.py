"""The plain admin of projects, keys, the ledger and the audit trail. The last two can only be read.

The pages show every project's rows, so that they are for superusers until roles are enforced.
"""

from __future__ import annotations

from typing import cast

from django.contrib import admin
from django.db import transaction
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from analytics import keys
from analytics.models import ApiKey, AuditEntry, Membership, Project, UsageRecord


class ForSuperusers:
    """Shuts a page or an inline to everyone else, whatever permissions they were given."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.is_superuser

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.is_superuser

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.is_superuser


class ReadOnlyAdmin(ForSuperusers, admin.ModelAdmin):
    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class MembershipInline(ForSuperusers, admin.TabularInline):
    model = Membership
    extra = 0


@admin.register(Project)
class ProjectAdmin(ForSuperusers, admin.ModelAdmin):
    list_display = ["slug", "name", "time_zone", "enabled"]
    inlines = [MembershipInline]


class IssuingRequest(HttpRequest):
    """A request that made a key: it hangs here between `save_model` and `response_add`, and is stored nowhere."""

    new_key: str


@admin.register(ApiKey)
class ApiKeyAdmin(ForSuperusers, admin.ModelAdmin):
    """A new key is shown once, in the answer to saving it: a redirect would carry it through a cookie."""

    list_display = ["name", "prefix", "project", "enabled", "expires_at"]
    list_filter = ["enabled", "project"]
    list_select_related = ["project"]
    search_fields = ["name", "prefix"]
    fields = [
        "name",
        "project",
        "owner",
        "prefix",
        "scopes",
        "allowed_models",
        "allowed_layers",
        "expires_at",
        "enabled",
    ]
    readonly_fields = ["prefix"]

    def save_model(self, request: HttpRequest, obj: ApiKey, form: ModelForm, change: bool) -> None:
        actor = request.user.get_username()
        if change:
            keys.change(obj, actor=actor)
        else:
            cast(IssuingRequest, request).new_key = keys.issue(obj, actor=actor)

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        context = self.admin_site.each_context(request) | {
            "title": "The new API key",
            "opts": self.opts,
            "row": obj,
            "new_key": cast(IssuingRequest, request).new_key,
        }
        return TemplateResponse(request, "analytics/api_key_shown.html", context, headers={"Cache-Control": "no-store"})

    def delete_model(self, request: HttpRequest, obj: ApiKey) -> None:
        keys.delete(obj, actor=request.user.get_username())

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for row in queryset:
            keys.delete(row, actor=request.user.get_username())


@admin.register(UsageRecord)
class UsageRecordAdmin(ReadOnlyAdmin):
    list_display = ["id", "started_at", "project", "key_name", "model", "layer", "outcome", "cost_usd"]
    list_filter = ["outcome", "layer"]
    date_hierarchy = None
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[UsageRecord]:
        return super().get_queryset(request).defer("decision", "trail", "prices")


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ["at", "severity", "actor", "action", "target"]
    list_filter = ["severity", "action"]

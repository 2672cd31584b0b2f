"""The plain admin of projects, keys, the ledger and the audit trail. The last two can only be read."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest

from analytics import keys
from analytics.models import ApiKey, AuditEntry, Membership, Project, UsageRecord


class ReadOnlyAdmin(admin.ModelAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class MembershipInline(admin.TabularInline):
    model = Membership
    extra = 0


@admin.register(Project)
class ProjectAdmin(admin.ModelAdmin):
    list_display = ["slug", "name", "time_zone", "enabled"]
    inlines = [MembershipInline]


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):
    """A new key is shown once, in the message after saving."""

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
        if change:
            super().save_model(request, obj, form, change)
            return
        secret = keys.issue(obj, actor=request.user.get_username())
        self.message_user(request, f"The key, shown this once: {secret}", messages.WARNING)


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

"""The audit trail in the admin: found, filtered, read. Nobody adds, changes or deletes an entry here, or anywhere."""

from __future__ import annotations

from typing import ClassVar

from django.contrib import admin
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from analytics import audit_listing
from analytics.admin_access import ReadOnlyAdmin, with_seconds
from analytics.models import AuditEntry, Project


class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ["when", "severity", "actor", "action", "about", "changed", "address"]
    list_display_links = ["when", "action"]
    list_filter = ["severity", "action"]
    search_fields = ["actor", "action", "target", "address"]
    search_help_text = "By who did it, what was done, to what, or from which address."
    date_hierarchy = "at"
    ordering = ["-id"]
    show_full_result_count = False
    fieldsets = [
        (None, {"fields": ["when", "severity", "actor", "address", "action", "target", "project"]}),
        ("What it tells", {"fields": ["differences"]}),
    ]

    class Media:
        css: ClassVar = {"all": ["analytics/audit_list.css"]}

    @admin.display(description="at", ordering="at")
    def when(self, row: AuditEntry) -> str:
        return with_seconds(row.at)

    @admin.display(description="target", ordering="target")
    def about(self, row: AuditEntry) -> str:
        return audit_listing.about(row)

    @admin.display(description="from what to what")
    def changed(self, row: AuditEntry) -> str:
        return audit_listing.in_short(row)

    @admin.display(description="project", empty_value="-")
    def project(self, row: AuditEntry) -> str | None:
        if row.project_id is None:
            return None
        slug = Project.objects.filter(pk=row.project_id).values_list("slug", flat=True).first()
        return slug or f"{row.project_id} (deleted)"

    @admin.display(description="field, before, after")
    def differences(self, row: AuditEntry) -> SafeString | str:
        told = audit_listing.differences(row)
        if not told:
            return "-"
        lines = format_html_join(
            "\n",
            "<tr><th>{}</th><td>{}</td><td>{}</td></tr>",
            ((one.field, _or_dash(one.before), _or_dash(one.after)) for one in told),
        )
        return format_html(
            '<table class="differences"><thead><tr><th>Field</th><th>Before</th><th>After</th></tr></thead>{}</table>',
            lines,
        )


def _or_dash(text: str | None) -> str:
    return "-" if text is None else text

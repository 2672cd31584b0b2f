"""What Django's pages of analytics' tables share. They show every project's rows, so that they are for superusers: the
dashboard's own pages (`gateway.pages`) are for members, by their role, and these are what is left to fall back to."""

from __future__ import annotations

import json
from datetime import datetime

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html


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


def with_seconds(at: datetime) -> str:
    """In the installation's time zone, as other pages have it without them."""
    return f"{timezone.localtime(at):%Y-%m-%d %H:%M:%S}"


def as_json(value: object) -> str:
    return format_html('<pre class="scroll-json">{}</pre>', json.dumps(value, indent=2))


class ReadOnlyAdmin(ForSuperusers, admin.ModelAdmin):
    change_form_template = "analytics/read_only_form.html"

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

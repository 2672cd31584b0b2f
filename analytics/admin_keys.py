"""The admin of API keys: made and rotated (the key is shown in that one answer), changed, switched, ended, deleted.

Owns the pages; what a change means and what it writes is `analytics.keys`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AdminTextareaWidget
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import JSONField, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from analytics import key_history, keys
from analytics.admin_access import ForSuperusers
from analytics.models import ApiKey, Project

HOUR_S = 3600
KEY_SHOWN = "analytics/api_key_shown.html"
ROTATE = "analytics_apikey_rotate"


class IssuingRequest(HttpRequest):
    """A request that made a key: it hangs here between `save_model` and `response_add`, and is stored nowhere."""

    new_key: str


class ApiKeyForm(forms.ModelForm):
    """Carries what it showed: a field that nobody touched is not written, whoever changed it since."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.show_hidden_initial = self.instance.pk is not None

    class Meta:
        model = ApiKey
        fields = ["name", "project"]
        help_texts = {
            "name": "Unique in its project.",
            "project": "Whose budgets and limits it counts in, beside its own. A key that moves takes its own budgets "
            "along; what it used so far stays with the project it was used in.",
            "owner": "Whose key it is; empty: nobody's in particular.",
            "expires_at": "From then on it is refused. Empty: never. To end it now, choose so in the list of keys.",
            "enabled": "A key that is switched off is refused within two seconds, in every process.",
        }

    def clean_expires_at(self) -> datetime | None:
        """As `keys.edit` has it, told beside the field. A new key's is the row's own to check."""
        moment: datetime | None = self.cleaned_data["expires_at"]
        is_changed = self.instance.pk is not None and "expires_at" in self.changed_data
        if is_changed and keys.ends_now({"expires_at": moment}, unless_at=self.instance.expires_at):
            raise ValidationError(keys.IN_THE_PAST)
        return moment


class RotationForm(forms.Form):
    grace_hours = forms.IntegerField(
        label="Hours the old key stays valid",
        min_value=0,
        max_value=keys.MOST_GRACE_S // HOUR_S,
        initial=keys.GRACE_S // HOUR_S,
        help_text="0 ends it at once, as for a key that leaked; 720 (30 days) is the most.",
    )
    replaces = forms.CharField(
        widget=forms.HiddenInput,
        error_messages={"required": "Open this page again: it does not say which key it was opened for."},
    )
    """Prefix of the key to be replaced: a form that is sent again finds another one and changes nothing."""
    end_previous = forms.BooleanField(label="End the key from before the last rotation at once", required=False)

    def __init__(self, data: Any, *, row: ApiKey) -> None:
        super().__init__(data, initial={"replaces": row.prefix})
        self._row = row
        if not keys.is_in_grace(row):
            del self.fields["end_previous"]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("replaces") not in (None, self._row.prefix):
            raise ValidationError("This key was rotated meanwhile. To rotate it once more, open this page again.")
        if "end_previous" in self.fields and cleaned.get("grace_hours") and not cleaned.get("end_previous"):
            self.add_error("end_previous", "Tick this: it is still valid, and a key has room for one from before.")
        return cleaned


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, state.value) for state in keys.State]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
        asked = self.value()
        return keys.in_state(queryset, keys.State(asked)) if asked in set(keys.State) else queryset


class ApiKeyAdmin(ForSuperusers, admin.ModelAdmin):
    """A new key is shown once, in the answer to what made it: a redirect would carry it through a cookie."""

    form = ApiKeyForm
    change_form_template = "analytics/api_key_form.html"
    list_display = ["name", "prefix", "state", "project", "owner", "limits", "expires_at"]
    list_filter = [StateFilter, "project"]
    list_select_related = ["project", "owner"]
    search_fields = ["name", "prefix", "previous_prefix", "owner__username", "project__slug", "project__name"]
    search_help_text = "By name, first characters of the key, owner or project."
    actions = ["enable_selected", "disable_selected", "expire_selected"]
    fieldsets = [
        (None, {"fields": ["name", "project", "owner", "enabled", "expires_at"]}),
        (
            "What it may do",
            {"fields": ["scopes", "allowed_models", "allowed_layers", "allowed_endpoints", "allowed_networks"]},
        ),
        ("Limits", {"fields": ["requests_per_minute", "tokens_per_minute", "concurrent_requests"]}),
        ("The key", {"fields": ["prefix", "previous_key", "last_used", "created_at"]}),
    ]
    readonly_fields = ["prefix", "previous_key", "last_used", "created_at"]
    formfield_overrides = {JSONField: {"widget": AdminTextareaWidget(attrs={"rows": 3})}}

    @admin.display(description="state", ordering="enabled")
    def state(self, row: ApiKey) -> str:
        return keys.state(row).value

    @admin.display(description="limits", empty_value="none")
    def limits(self, row: ApiKey) -> str | None:
        words = {
            "requests_per_minute": "requests/min",
            "tokens_per_minute": "tokens/min",
            "concurrent_requests": "at once",
        }
        found = [(getattr(row, name), said) for name, said in words.items()]
        return ", ".join(f"{limit:,} {said}" for limit, said in found if limit is not None) or None

    @admin.display(description="key from before the last rotation")
    def previous_key(self, row: ApiKey) -> str:
        if row.previous_until is None:
            return "-"
        verb = "valid until" if row.previous_until > timezone.now() else "ended"
        return f"{row.previous_prefix}... {verb} {timezone.localtime(row.previous_until):%d %B %Y, %H:%M %Z}"

    @admin.display(description="last used")
    def last_used(self, row: ApiKey) -> str:
        moment = key_history.last_used_at(row)
        return f"{timezone.localtime(moment):%d %B %Y, %H:%M:%S %Z}" if moment else "never"

    def get_fieldsets(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        """A key that is not made yet has nothing to tell of itself."""
        return super().get_fieldsets(request, obj) if obj else self.fieldsets[:-1]

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, str | list[str]]:
        only = list(Project.objects.values_list("pk", flat=True)[:2])
        chosen: dict[str, str | list[str]] = {"project": str(only[0])} if len(only) == 1 else {}
        return chosen | super().get_changeform_initial_data(request)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except (ValidationError, ApiKey.DoesNotExist) as error:
            # Between the form's look and ours somebody else took the name, or deleted the key.
            said = error.messages if isinstance(error, ValidationError) else ["This key was deleted meanwhile."]
            self.message_user(request, " ".join(said), messages.ERROR)
            return HttpResponseRedirect(reverse("admin:analytics_apikey_changelist"))

    def save_model(self, request: HttpRequest, obj: ApiKey, form: forms.ModelForm, change: bool) -> None:
        if not change:
            cast(IssuingRequest, request).new_key = keys.issue(obj, actor=_actor(request))
            return
        changes = {name: form.cleaned_data[name] for name in form.changed_data}
        edited = keys.edit(obj, actor=_actor(request), changes=changes)
        if "project" in changes:
            self.message_user(request, keys.told_of_move(edited, to=edited.project))

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        return self._key_shown(request, obj, secret=cast(IssuingRequest, request).new_key, title="The new API key")

    def get_urls(self) -> list[URLPattern]:
        rotation = self.admin_site.admin_view(self.rotate_view)
        return [path("<path:object_id>/rotate/", rotation, name=ROTATE), *super().get_urls()]

    def rotate_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Asks how long the old key stays valid; the answer to that shows the new one."""
        row = self.get_object(request, object_id)
        if not self.has_change_permission(request, row):
            raise PermissionDenied
        if row is None:
            raise Http404("This key was deleted.")
        form = RotationForm(request.POST if request.method == "POST" else None, row=row)
        if form.is_valid():
            try:
                return self._rotated(request, row, form=form)
            except keys.StillInGrace as error:  # somebody else was faster
                form.add_error(None, f"{error} To do so, open this page again.")
        context = self._context(request, row, title=f"Rotate {row.name}") | {"form": form, "now": timezone.now()}
        return TemplateResponse(request, "analytics/api_key_rotate.html", context)

    def _rotated(self, request: HttpRequest, row: ApiKey, *, form: RotationForm) -> HttpResponse:
        grace_s, ends = form.cleaned_data["grace_hours"] * HOUR_S, form.cleaned_data.get("end_previous", False)
        made = keys.rotate(row, actor=_actor(request), grace_s=grace_s, end_previous=ends)
        self.log_change(request, made.row, f"Rotated: {made.replaced_prefix}... became {made.row.prefix}...")
        told = {"old_prefix": made.replaced_prefix, "dropped_prefix": made.dropped_prefix}
        return self._key_shown(request, made.row, secret=made.secret, title="The key after its rotation", told=told)

    def _key_shown(
        self, request: HttpRequest, row: ApiKey, *, secret: str, title: str, told: dict[str, str] | None = None
    ) -> HttpResponse:
        context = self._context(request, row, title=title) | {"new_key": secret, **(told or {})}
        return TemplateResponse(request, KEY_SHOWN, context, headers={"Cache-Control": "no-store"})

    def _context(self, request: HttpRequest, row: ApiKey, *, title: str) -> dict[str, Any]:
        return self.admin_site.each_context(request) | {"title": title, "opts": self.opts, "row": row}

    def delete_model(self, request: HttpRequest, obj: ApiKey) -> None:
        keys.delete(obj, actor=_actor(request))

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for row in queryset:
            keys.delete(row, actor=_actor(request))

    @admin.action(description="Enable selected API keys")
    def enable_selected(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for row in queryset:
            keys.enable(row, actor=_actor(request))
        self._say_done(request, queryset, done="enabled")

    @admin.action(description="Disable selected API keys")
    def disable_selected(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for row in queryset:
            keys.disable(row, actor=_actor(request))
        self._say_done(request, queryset, done="disabled")

    @admin.action(description="Expire selected API keys now")
    def expire_selected(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for row in queryset:
            keys.expire(row, actor=_actor(request))
        self._say_done(request, queryset, done="expired")

    def _say_done(self, request: HttpRequest, queryset: QuerySet[ApiKey], *, done: str) -> None:
        number = len(queryset)
        self.message_user(request, f"{number} API key{' is' if number == 1 else 's are'} {done}.", messages.SUCCESS)


def _actor(request: HttpRequest) -> str:
    return request.user.get_username()

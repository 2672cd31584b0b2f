"""The plain admin of the vendors' tables. Credentials are write-only: a value goes in, its last four come out."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin

from providers import credentials
from providers.models import Credential, Model, Price, Provider


class CredentialForm(forms.ModelForm):
    value = forms.CharField(
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Stored encrypted and never shown again. Leave empty to keep what is there.",
    )

    class Meta:
        model = Credential
        fields = ["provider", "name", "env_var", "value", "enabled"]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        env_var, value = cleaned.get("env_var"), cleaned.get("value")
        if env_var and value:
            raise forms.ValidationError("Give the name of an environment variable or a value, not both.")
        if value:
            credentials.set_value(self.instance, value)
        elif env_var:
            self.instance.encrypted_value = self.instance.last_four = ""
        elif not self.instance.encrypted_value:
            raise forms.ValidationError("Give the name of an environment variable, or a value.")
        return cleaned


class CredentialInline(admin.TabularInline):
    model = Credential
    form = CredentialForm
    fields = ["name", "env_var", "value", "last_four", "enabled"]
    readonly_fields = ["last_four"]
    extra = 0


class PriceInline(admin.TabularInline):
    model = Price
    extra = 0


@admin.register(Provider)
class ProviderAdmin(admin.ModelAdmin):
    list_display = ["slug", "name", "dialect", "base_url", "enabled", "is_local"]
    list_filter = ["enabled", "dialect"]
    search_fields = ["slug", "name"]
    inlines = [CredentialInline]


@admin.register(Credential)
class CredentialAdmin(admin.ModelAdmin):
    form = CredentialForm
    list_display = ["provider", "name", "env_var", "last_four", "enabled"]
    list_select_related = ["provider"]


@admin.register(Model)
class ModelAdmin(admin.ModelAdmin):
    list_display = ["name", "provider", "enabled", "context_tokens", "max_output_tokens"]
    list_filter = ["enabled", "provider"]
    list_select_related = ["provider"]
    search_fields = ["name", "title"]
    inlines = [PriceInline]


@admin.register(Price)
class PriceAdmin(admin.ModelAdmin):
    list_display = ["model", "unit", "usd_per_unit", "from_tokens", "valid_from"]
    list_filter = ["unit"]
    list_select_related = ["model__provider"]
    search_fields = ["model__name"]
    autocomplete_fields = ["model"]

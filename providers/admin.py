"""The plain admin of the vendors' tables. Credentials are write-only: a value goes in, its last four come out.

Prices are typed and shown as people speak of them, and are history: one can be added, none can be changed, and only one
that does not hold yet can be taken back.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.options import BaseModelAdmin
from django.db import models
from django.http import HttpRequest
from django.utils import timezone

from providers import credentials
from providers.listed_prices import price_mistake, usd_per_unit
from providers.models import Credential, Model, Price, Provider

USD_IS = "Per million tokens; per one request, search or image."
UNCHANGEABLE = "A price is history and cannot be changed: add another price with the date from which it holds."


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


class PriceForm(forms.ModelForm):
    usd = forms.DecimalField(
        label="USD",
        min_value=Decimal(0),
        max_digits=20,  # fewer than `Decimal` computes with, so that the conversion is exact
        help_text=USD_IS,
    )

    class Meta:
        model = Price
        fields = ["model", "unit", "from_tokens", "valid_from"]
        help_texts = {"usd": USD_IS}  # for the heads of tables, which do not ask the field

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        usd, unit = cleaned.get("usd"), cleaned.get("unit")
        if usd is not None and unit is not None:
            if mistake := price_mistake(unit, usd):
                self.add_error("usd", mistake)
            self.instance.usd_per_unit = usd_per_unit(unit, usd)
        return cleaned


class PricesAreHistory(BaseModelAdmin):
    """What the price pages share. A bill can be retraced only while the prices it used stay as they were."""

    formfield_overrides = {models.DateTimeField: {"initial": timezone.now, "show_hidden_initial": True}}

    @admin.display(description="USD", ordering="usd_per_unit")
    def usd(self, price: Price) -> str:
        return f"{price.listed_usd} {price.listed_per}"

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False


class PriceInline(PricesAreHistory, admin.TabularInline):
    model = Price
    form = PriceForm
    can_delete = False
    fields = ["unit", "usd", "from_tokens", "valid_from"]
    verbose_name_plural = "Prices: to change one, add another with the date from which it holds"
    extra = 0


class GoesWithItsPrices(admin.ModelAdmin):
    """A row that a superuser deletes takes its prices along, those too that nobody may delete alone."""

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        found, counts, needed, protected = super().get_deleted_objects(objs, request)
        granted = {Price._meta.verbose_name} if request.user.is_superuser else set()
        return found, counts, set(needed) - granted, protected


@admin.register(Provider)
class ProviderAdmin(GoesWithItsPrices):
    list_display = ["slug", "name", "dialect", "base_url", "enabled", "is_local"]
    list_filter = ["enabled", "dialect"]
    search_fields = ["slug", "name"]
    inlines = [CredentialInline]

    def get_readonly_fields(self, request: HttpRequest, obj: Provider | None = None) -> Any:
        """Where a provider's key is sent is chosen by who may change keys."""
        if obj is None or request.user.has_perm("providers.change_credential"):
            return ()
        return ("base_url",) if obj.credentials.exists() else ()


@admin.register(Credential)
class CredentialAdmin(admin.ModelAdmin):
    form = CredentialForm
    list_display = ["provider", "name", "env_var", "last_four", "enabled"]
    list_select_related = ["provider"]


@admin.register(Model)
class ModelAdmin(GoesWithItsPrices):
    list_display = ["name", "provider", "enabled", "context_tokens", "max_output_tokens"]
    list_filter = ["enabled", "provider"]
    list_select_related = ["provider"]
    search_fields = ["name", "title"]
    inlines = [PriceInline]


@admin.register(Price)
class PriceAdmin(PricesAreHistory, admin.ModelAdmin):
    form = PriceForm
    list_display = ["model", "unit", "usd", "from_tokens", "valid_from"]
    list_filter = ["unit"]
    list_select_related = ["model__provider"]
    search_fields = ["model__name"]
    autocomplete_fields = ["model"]

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        is_ahead = not isinstance(obj, Price) or obj.valid_from > timezone.now()
        return request.user.is_superuser and is_ahead

    def get_fieldsets(self, request: HttpRequest, obj: Price | None = None) -> Any:
        fields = ["model", "unit", "usd", "from_tokens", "valid_from"]
        return [(None, {"fields": fields, "description": obj and UNCHANGEABLE})]

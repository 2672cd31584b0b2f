"""The plain admin of layers, candidates and the policy."""

from __future__ import annotations

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from routing.models import Candidate, Layer, Policy


class CandidateInline(admin.TabularInline):
    model = Candidate
    autocomplete_fields = ["model"]
    extra = 0


@admin.register(Layer)
class LayerAdmin(admin.ModelAdmin):
    list_display = ["name", "title", "position", "from_score", "enabled"]
    inlines = [CandidateInline]


@admin.register(Candidate)
class CandidateAdmin(admin.ModelAdmin):
    list_display = ["model", "layer", "priority", "relative_cost", "weight", "enabled"]
    list_filter = ["layer", "enabled"]
    list_select_related = ["layer", "model__provider"]
    autocomplete_fields = ["model"]


class PolicyForm(forms.ModelForm):
    class Meta:
        model = Policy
        fields = ["default_layer", "unknown_price", "deadline_s", "max_attempts", "when_client_leaves"]
        labels = {"deadline_s": "Deadline (s)"}


@admin.register(Policy)
class PolicyAdmin(admin.ModelAdmin):
    form = PolicyForm
    list_display = ["__str__", "default_layer", "unknown_price", "deadline", "max_attempts", "when_client_leaves"]

    @admin.display(description="deadline (s)", ordering="deadline_s")
    def deadline(self, policy: Policy) -> float:
        return policy.deadline_s

    def has_add_permission(self, request: HttpRequest) -> bool:
        return not Policy.objects.exists()

    def has_delete_permission(self, request: HttpRequest, obj: Policy | None = None) -> bool:
        return False

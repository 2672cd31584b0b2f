"""The plain admin of layers, candidates and the policy."""

from __future__ import annotations

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from analytics.admin_access import ReadOnlyAdmin, with_seconds
from routing.circuit import said
from routing.models import Candidate, CircuitTransition, Layer, Policy


class CandidateInline(admin.TabularInline):
    model = Candidate
    autocomplete_fields = ["model"]
    extra = 0


class LayerForm(forms.ModelForm):
    class Meta:
        model = Layer
        fields = ["name", "title", "position", "from_score", "max_attempts", "deadline_s", "enabled"]
        labels = {"deadline_s": "Deadline (s)"}


@admin.register(Layer)
class LayerAdmin(admin.ModelAdmin):
    list_display = ["name", "title", "position", "from_score", "max_attempts", "deadline", "enabled"]
    inlines = [CandidateInline]
    form = LayerForm

    @admin.display(description="deadline (s)", ordering="deadline_s")
    def deadline(self, layer: Layer) -> float | None:
        return layer.deadline_s


@admin.register(Candidate)
class CandidateAdmin(admin.ModelAdmin):
    list_display = ["model", "layer", "priority", "relative_cost", "weight", "enabled"]
    list_filter = ["layer", "enabled"]
    list_select_related = ["layer", "model__provider"]
    autocomplete_fields = ["model"]


class PolicyForm(forms.ModelForm):
    class Meta:
        model = Policy
        fields = [
            "default_layer",
            "unknown_price",
            "deadline_s",
            "max_attempts",
            "when_client_leaves",
            "balancing",
            "circuit_min_calls",
            "circuit_failure_share",
            "circuit_open_s",
        ]
        labels = {"deadline_s": "Deadline (s)", "circuit_open_s": "Circuit open (s)"}


@admin.register(Policy)
class PolicyAdmin(admin.ModelAdmin):
    form = PolicyForm
    list_display = [
        "__str__",
        "default_layer",
        "unknown_price",
        "deadline",
        "max_attempts",
        "when_client_leaves",
        "balancing",
    ]

    @admin.display(description="deadline (s)", ordering="deadline_s")
    def deadline(self, policy: Policy) -> float:
        return policy.deadline_s

    def has_add_permission(self, request: HttpRequest) -> bool:
        return not Policy.objects.exists()

    def has_delete_permission(self, request: HttpRequest, obj: Policy | None = None) -> bool:
        return False


@admin.register(CircuitTransition)
class CircuitTransitionAdmin(ReadOnlyAdmin):
    list_display = ["when", "provider", "model", "from_state", "to_state", "why", "until_when"]
    list_display_links = ["when", "model"]
    list_filter = ["to_state", "provider", "cause"]
    search_fields = ["provider", "model"]
    search_help_text = "By the provider or the model."
    date_hierarchy = "at"
    ordering = ["-id"]
    show_full_result_count = False
    fieldsets = [
        (None, {"fields": ["when", "provider", "model", "model_id", "from_state", "to_state", "why", "until_when"]})
    ]

    @admin.display(description="at", ordering="at")
    def when(self, row: CircuitTransition) -> str:
        return with_seconds(row.at)

    @admin.display(description="cause", ordering="cause")
    def why(self, row: CircuitTransition) -> str:
        return said(row.cause)

    @admin.display(description="until", ordering="until", empty_value="-")
    def until_when(self, row: CircuitTransition) -> str | None:
        return None if row.until is None else with_seconds(row.until)

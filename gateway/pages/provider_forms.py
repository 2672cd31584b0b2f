"""Forms of a provider's settings: which fields, in which groups, with which words. What may stand in them is the row's
and `routing.vendor_rows`' to say; nothing is saved here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django import forms

from gateway.pages import acting
from providers.models import Provider
from routing import vendor_rows

_GROUPS = {
    "": ("slug", "name", "base_url", "dialect", "enabled", "is_local", "needs_credential"),
    "How long, how many": (
        "connect_timeout_s",
        "headers_timeout_s",
        "first_content_timeout_s",
        "between_frames_timeout_s",
        "max_concurrent",
        "max_queued",
    ),
    "What it takes only one way": (
        "max_tokens_field",
        "reasoning_field",
        "text_as_string",
        "usage_in_streams",
        "stops_when_left",
        "extra_body",
    ),
}


class SettingsForm(forms.ModelForm):  # type: ignore[type-arg]  # it takes none at run time
    class Meta:
        model = Provider
        fields: tuple[str, ...] = vendor_rows.EDITABLE
        labels = {"is_local": "Local", "enabled": "On", "needs_credential": "Needs a key"}
        widgets = {"extra_body": forms.Textarea(attrs={"rows": 3, "spellcheck": "false"})}

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        acting.carry_what_is_shown(self)

    def groups(self) -> Iterator[tuple[str, list[forms.BoundField]]]:
        """Fields with the heading above them; '' for the first ones."""
        for heading, names in _GROUPS.items():
            yield heading, [self[name] for name in names if name in self.fields]

    @property
    def changes(self) -> dict[str, object]:
        return {name: self.cleaned_data[name] for name in self.changed_data}


class NewForm(SettingsForm):
    class Meta(SettingsForm.Meta):
        fields = ("slug", *vendor_rows.EDITABLE)
        help_texts = {"slug": "Its short name, which stands in the ledger and stays: groq, my-ollama."}

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.fields["name"].required = False
        self.fields["name"].help_text = "Empty: its slug."

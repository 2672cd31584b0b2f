"""Fills in forms of the admin as a browser does: with what they show, and what somebody changed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.test import Client
from django.utils import timezone


def send(client: Client, path: str, **changes: object) -> None:
    """Opens a page with a form, changes fields by their names in it, and saves. None takes a field out, as an unticked
    box is."""
    page = client.get(path)
    shown = _of_form(page.context["adminform"].form)
    for inline in page.context["inline_admin_formsets"]:
        shown |= _of_form(inline.formset.management_form)
        for form in inline.formset.forms:
            shown |= _of_form(form)
    sent = {name: value for name, value in (shown | changes).items() if value is not None}
    answer = client.post(path, sent)
    errors = answer.context and [answer.context["adminform"].form.errors, answer.context["errors"]]
    assert answer.status_code == 302, errors


def _of_form(form: Any) -> dict[str, object]:
    found: dict[str, object] = {}
    for bound in form:
        value, name = bound.value(), bound.html_name
        if isinstance(value, datetime) and hasattr(bound.field.widget, "widgets"):
            local = timezone.localtime(value)
            found |= {f"{name}_0": f"{local:%Y-%m-%d}", f"{name}_1": f"{local:%H:%M:%S}"}
        elif value is True:
            found[name] = "on"
        elif value is not None and value is not False:
            found[name] = value
        if bound.field.show_hidden_initial and isinstance(value, datetime):
            local = timezone.localtime(value)
            found |= {f"initial-{name}_0": f"{local:%Y-%m-%d}", f"initial-{name}_1": f"{local:%H:%M:%S}"}
    return found

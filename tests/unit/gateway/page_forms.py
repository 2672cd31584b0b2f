"""The forms of a page as a browser finds them: where each is sent, and what with, where nobody touches it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from django.test import Client


@dataclass(slots=True)
class Form:
    address: str = ""
    """Where scripts send it."""
    fields: dict[str, str] = field(default_factory=dict)


def found(client: Client, page: str) -> list[Form]:
    return _forms(client.get(page))


def filled(client: Client, page: str, do: str) -> dict[str, str]:
    """What the form of this name sends."""
    return read(client.get(page), do)


def read(answer: Any, do: str) -> dict[str, str]:
    """The same of a page that is there already, as after a refusal."""
    (fields,) = (one.fields for one in _forms(answer) if one.fields.get("do") == do)
    return {name: value for name, value in fields.items() if name not in ("do", "csrfmiddlewaretoken")}


def _forms(answer: Any) -> list[Form]:
    reader = _Reader()
    reader.feed(answer.content.decode())
    return reader.forms


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.choice = self.text = ""
        """The names of the list and of the text area that are open."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(told.get("hx-post", "")))
        elif tag == "select":
            self.choice = told["name"]
        elif tag == "textarea":
            self.text = told["name"]
            self.forms[-1].fields[self.text] = ""
        elif tag == "option" and self.choice:
            if "selected" in told or self.choice not in self.forms[-1].fields:
                self.forms[-1].fields[self.choice] = told["value"]
        elif tag == "input" and "name" in told and (told.get("type") != "checkbox" or "checked" in told):
            self.forms[-1].fields[told["name"]] = told.get("value", "on" if told.get("type") == "checkbox" else "")

    def handle_data(self, data: str) -> None:
        if self.text:
            self.forms[-1].fields[self.text] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self.choice = ""
        elif tag == "textarea":
            self.text = ""

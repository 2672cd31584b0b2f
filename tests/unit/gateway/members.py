"""Members of projects, signed in, and how their pages are read."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.test import Client

from analytics.models import Membership, Project


def signed_in(name: str, **roles: str) -> Client:
    """A user with these roles, by the slugs of projects."""
    user = User.objects.create_user(name)
    for slug, role in roles.items():
        Membership.objects.create(user=user, project=Project.objects.get(slug=slug), role=role)
    client = Client()
    client.force_login(user)
    return client


def form_of(answer: Any) -> dict[str, Any]:
    """What the form of a token or a budget would send if nobody touched it, with what it says it showed."""
    found: dict[str, Any] = {}
    for _, fields in answer.context_data["groups"]:
        for field in fields:
            found[field.name] = field.value.split("\n") if field.kind == "boxes" else field.value
            if field.was is not None:
                found[f"was-{field.name}"] = field.was
    return found


def mistakes(answer: Any) -> dict[str, str]:
    """Beside the fields of a form, by field."""
    return {
        field.name: field.mistake for _, fields in answer.context_data["groups"] for field in fields if field.mistake
    }


def said(answer: Any) -> str:
    """The messages of the page that one was led to."""
    assert answer.redirect_chain, answer.context_data
    return " ".join(str(message) for message in answer.context["messages"])

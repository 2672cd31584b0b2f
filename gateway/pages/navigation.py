"""The dashboard's navigation: where a user may go, in groups. Pages of tables show to those who may see the rows, pages
of projects to those who have a role in one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from django.apps import apps
from django.http import HttpRequest
from django.urls import reverse

from analytics import authority
from analytics.authority import Authority
from analytics.models import Role

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite


class Entry(msgspec.Struct, frozen=True):
    title: str
    name: str
    """Of its address."""
    table: str = ""
    """Whose rows one must be allowed to see, as `app.model`; '' for a page that every user of the dashboard has."""
    least: Role | None = None
    """The role that one must have in some project, or a higher one."""
    is_for_staff: bool = False
    """Whether to who may have Django's permissions alone; a project's members find nothing there."""
    within: str = "admin:"
    """The namespace of its address."""


class Link(msgspec.Struct, frozen=True):
    title: str
    url: str
    is_current: bool


class Group(msgspec.Struct, frozen=True):
    title: str
    links: tuple[Link, ...]


def _table(title: str, table: str) -> Entry:
    return Entry(title, f"{table.replace('.', '_')}_changelist", table)


_GROUPS: dict[str, tuple[Entry, ...]] = {
    "Watch": (
        Entry("Overview", "index"),
        Entry("Requests", "requests"),
        _table("Circuits", "routing.circuittransition"),
        Entry("Alerts", "alerts"),
    ),
    "Route": (
        Entry("Models", "models", "providers.model"),
        Entry("Providers", "providers", "providers.provider"),
        Entry("Prices", "prices", "providers.price"),
        Entry("Explorer", "route"),
        _table("Policy", "routing.policy"),
    ),
    "Allow": (
        Entry("Tokens", "tokens", least=Role.VIEWER),
        Entry("Budgets and limits", "budgets", least=Role.VIEWER),
        Entry("Projects and members", "projects", least=Role.VIEWER),
        _table("Users", "auth.user"),
    ),
    "Run": (
        Entry("Terminal", "terminal"),
        Entry("Audit", "audit", least=Role.ADMIN),
        Entry("All tables", "tables", is_for_staff=True),
        Entry("HTTP API", "docs", within=""),
    ),
}


def of(request: HttpRequest, site: AdminSite) -> list[Group]:
    """The groups in which there is somewhere to go; none for who has not signed in."""
    if not site.has_permission(request):
        return []
    found = authority.of_user(request.user)
    groups = [
        Group(title, tuple(_link(entry, request) for entry in entries if _is_open(entry, request, site, found)))
        for title, entries in _GROUPS.items()
    ]
    return [group for group in groups if group.links]


def _is_open(entry: Entry, request: HttpRequest, site: AdminSite, found: Authority | None) -> bool:
    if entry.is_for_staff and not request.user.is_staff:
        return False
    if entry.least is not None:
        return found is not None and found.within(entry.least) != frozenset()
    if not entry.table:
        return True
    return site.get_model_admin(apps.get_model(entry.table)).has_view_permission(request)


def _link(entry: Entry, request: HttpRequest) -> Link:
    url = reverse(f"{entry.within}{entry.name}")
    is_below = entry.name != "index" and request.path.startswith(url)
    return Link(entry.title, url, is_current=is_below or request.path == url)

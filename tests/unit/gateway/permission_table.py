"""Who may what, address by address: read by `test_permission_matrix`. Data alone.

A rule names those it lets through; everybody else is refused. Who is let through may still hear that the body is wrong.
"""

from __future__ import annotations

EVERYBODY = (
    "nobody", "chat key", "own usage key", "project usage key", "admin key", "installation key",
    "stranger", "viewer", "operator", "admin", "staff", "fitter", "superuser",
)  # fmt: skip
"""Keys and members are of our project; `stranger` is a user without anything, `staff` may enter the dashboard and has
no permission, `fitter` is staff with every permission on what all projects share."""

USERS = ("stranger", "viewer", "operator", "admin", "staff", "fitter", "superuser")
KEYS = ("chat key", "own usage key", "project usage key", "admin key", "installation key")

RULES: dict[str, tuple[str, ...]] = {
    "open": EVERYBODY,
    "key or user": KEYS + USERS,
    "key or member": (*KEYS, "viewer", "operator", "admin", "superuser"),
    "chat": ("chat key",),
    "usage": ("own usage key", "project usage key", *USERS),
    "usage of another key": ("project usage key", "viewer", "operator", "admin", "superuser"),
    "viewer": ("admin key", "viewer", "operator", "admin", "superuser"),
    "operator": ("admin key", "operator", "admin", "superuser"),
    "admin": ("admin key", "admin", "superuser"),
    "superuser": ("superuser",),
    "installation": ("installation key", "fitter", "superuser"),
    "dashboard": ("viewer", "operator", "admin", "staff", "fitter", "superuser"),
    "dashboard, members": ("viewer", "operator", "admin", "superuser"),
    "dashboard, operators": ("operator", "admin", "superuser"),
    "dashboard, admins": ("admin", "superuser"),
    "dashboard, installation": ("fitter", "superuser"),
    "dashboard, superuser": ("superuser",),
    "no one": (),
}

MATRIX: dict[str, dict[str, str]] = {
    "": {"GET": "open"},
    "favicon.ico": {"GET": "open"},
    "health": {"GET": "open"},
    "health/ready": {"GET": "open"},
    "v1/chat/completions": {"POST": "chat"},
    "v1/route": {"POST": "chat"},
    "v1/models": {"GET": "key or user", "POST": "installation"},
    "v1/models/layers": {"GET": "key or user"},
    "v1/models/<path:name>": {"GET": "key or user", "PUT": "installation", "DELETE": "installation"},
    "v1/health/routes": {"GET": "key or user"},
    "v1/analytics/usage": {"GET": "usage"},
    "v1/analytics/cost": {"GET": "usage"},
    "v1/analytics/latency": {"GET": "usage"},
    "v1/analytics/errors": {"GET": "usage"},
    "v1/analytics/top": {"GET": "usage"},
    "v1/analytics/savings": {"GET": "usage"},
    "v1/requests": {"GET": "usage"},
    "v1/requests/<str:request_id>": {"GET": "usage of another key"},
    "v1/requests/<str:request_id>/body": {"GET": "operator"},
    "v1/auth/login": {"POST": "open"},
    "v1/auth/refresh": {"POST": "open"},
    "v1/auth/verify": {"POST": "open"},
    "v1/auth/logout": {"POST": "open"},
    "v1/auth/status": {"GET": "open"},
    "v1/admin/keys": {"GET": "viewer", "POST": "operator"},
    "v1/admin/keys/<int:key_id>": {"GET": "viewer", "PATCH": "operator", "DELETE": "admin"},
    "v1/admin/keys/<int:key_id>/rotate": {"POST": "operator"},
    "v1/admin/budgets": {"GET": "viewer", "POST": "admin"},
    "v1/admin/budgets/<int:budget_id>": {"GET": "viewer", "PATCH": "admin", "DELETE": "admin"},
    "v1/admin/projects": {"GET": "viewer", "POST": "superuser"},
    "v1/admin/projects/<slug:slug>": {"GET": "viewer", "PATCH": "admin", "DELETE": "superuser"},
    "v1/admin/projects/<slug:slug>/members": {"GET": "viewer"},
    "v1/admin/projects/<slug:slug>/members/<str:user>": {"GET": "viewer", "PUT": "admin", "DELETE": "admin"},
    "v1/admin/audit": {"GET": "admin"},
    "v1/admin/audit/<int:entry_id>": {"GET": "admin"},
    "v1/admin/providers": {"GET": "installation", "POST": "installation"},
    "v1/admin/providers/<slug:slug>": {"GET": "installation", "PATCH": "installation", "DELETE": "installation"},
    "v1/admin/providers/<slug:slug>/credential": {"PUT": "installation", "DELETE": "installation"},
    "v1/admin/providers/<slug:slug>/test": {"POST": "installation"},
    "v1/admin/models": {"GET": "installation", "POST": "installation"},
    "v1/admin/models/<path:name>": {"GET": "installation", "PATCH": "installation", "DELETE": "installation"},
    "v1/admin/prices": {"GET": "installation", "POST": "installation"},
    "v1/admin/prices/<int:price_id>": {"GET": "installation", "DELETE": "installation"},
    "v1/admin/layers": {"GET": "installation", "POST": "installation", "PUT": "installation"},
    "v1/admin/layers/<slug:name>": {"GET": "installation", "PATCH": "installation", "DELETE": "installation"},
    "v1/admin/layers/<slug:name>/candidates": {"GET": "installation", "PUT": "installation"},
    "v1/admin/layers/<slug:name>/candidates/<path:model>": {
        "GET": "installation", "POST": "installation", "PATCH": "installation", "DELETE": "installation",
    },
    "v1/admin/policy": {"GET": "installation", "PATCH": "installation"},
    "v1/stats": {"GET": "usage"},
    "v1/quota/status": {"GET": "key or member"},
    "v1/quota/update": {"POST": "operator"},
    "v1/traces/<str:request_id>": {"GET": "usage of another key"},
    "v1/layers/<slug:name>/reorder": {"PUT": "installation"},
    "v1/layers/<slug:name>/toggle": {"PUT": "installation"},
    "v1/providers": {"GET": "installation", "POST": "installation"},
    "v1/providers/<slug:slug>": {"GET": "installation", "PUT": "installation", "DELETE": "installation"},
    "v1/openapi.json": {"GET": "open"},
    "docs": {"GET": "open"},
    "admin/": {"GET": "dashboard"},
    "admin/requests/": {"GET": "dashboard"},
    "admin/requests/<uuid:request_id>/": {"GET": "dashboard, members"},
    "admin/models/": {"GET": "dashboard, installation", "POST": "dashboard, installation"},
    "admin/models/add/": {"GET": "dashboard, installation", "POST": "dashboard, installation"},
    "admin/ask/<path:name>/": {"GET": "dashboard, installation", "POST": "dashboard, installation"},
    "admin/models/<path:name>/": {"GET": "dashboard, installation", "POST": "dashboard, installation"},
    "admin/providers/": {"GET": "dashboard, installation", "POST": "dashboard, installation"},
    "admin/providers/new/": {"GET": "dashboard, installation", "POST": "dashboard, installation"},
    "admin/providers/<str:slug>/": {"GET": "dashboard, installation", "POST": "dashboard, installation"},
    "admin/prices/": {"GET": "dashboard, installation", "POST": "dashboard, installation"},
    "admin/prices/sync/": {"GET": "dashboard, installation", "POST": "dashboard, installation"},
    "admin/route/": {"GET": "dashboard", "POST": "dashboard"},
    "admin/tokens/": {"GET": "dashboard, members"},
    "admin/tokens/new/": {"GET": "dashboard, operators", "POST": "dashboard, operators"},
    "admin/tokens/<int:key_id>/": {"GET": "dashboard, members", "POST": "dashboard, operators"},
    "admin/tokens/<int:key_id>/change/": {"GET": "dashboard, operators", "POST": "dashboard, operators"},
    "admin/tokens/<int:key_id>/rotate/": {"GET": "dashboard, operators", "POST": "dashboard, operators"},
    "admin/tokens/<int:key_id>/delete/": {"GET": "dashboard, admins", "POST": "dashboard, admins"},
    "admin/budgets/": {"GET": "dashboard, members", "POST": "dashboard, admins"},
    "admin/budgets/new/": {"GET": "dashboard, admins", "POST": "dashboard, admins"},
    "admin/budgets/<int:budget_id>/": {"GET": "dashboard, admins", "POST": "dashboard, admins"},
    "admin/budgets/<int:budget_id>/delete/": {"GET": "dashboard, admins", "POST": "dashboard, admins"},
    "admin/projects/": {"GET": "dashboard, members"},
    "admin/projects/new/": {"GET": "dashboard, superuser", "POST": "dashboard, superuser"},
    "admin/projects/<slug:slug>/": {"GET": "dashboard, members", "POST": "dashboard, admins"},
    "admin/audit/": {"GET": "dashboard, admins"},
    "admin/audit/csv/": {"GET": "dashboard, admins"},
    "admin/audit/<int:entry_id>/": {"GET": "dashboard, admins"},
    "admin/alerts/": {"GET": "dashboard"},
    "admin/terminal/": {"GET": "dashboard"},
    "admin/tables/": {"GET": "dashboard"},
    "admin/login/": {"GET": "open", "POST": "open"},
    "admin/logout/": {"GET": "open", "POST": "open"},
    "admin/password_change/": {"GET": "dashboard", "POST": "dashboard"},
    "admin/password_change/done/": {"GET": "dashboard"},
    "admin/autocomplete/": {"GET": "no one"},
    "admin/jsi18n/": {"GET": "dashboard"},
    "admin/r/<path:content_type_id>/<path:object_id>/": {"GET": "dashboard"},
    "admin/^(?P<app_label>auth|providers|analytics|routing)/$": {"GET": "dashboard, superuser"},
    "admin/(?P<url>.*)$": {"GET": "dashboard"},
}  # fmt: skip
"""By the pattern of its address: each method and the rule of who may. Django's pages of tables stand in `TABLES`."""

SHARED, OURS_ALONE, READ_ONLY = (
    ("dashboard, installation", "dashboard, installation"),
    ("dashboard, superuser", "dashboard, superuser"),
    ("dashboard, superuser", "no one"),
)
TABLES: dict[str, tuple[str, str]] = {
    "auth.group": OURS_ALONE,
    "auth.user": OURS_ALONE,
    "analytics.apikey": OURS_ALONE,
    "analytics.auditentry": READ_ONLY,
    "analytics.budget": OURS_ALONE,
    "analytics.processgauges": READ_ONLY,
    "analytics.project": OURS_ALONE,
    "analytics.usagerecord": READ_ONLY,
    "providers.credential": SHARED,
    "providers.model": SHARED,
    "providers.price": SHARED,
    "providers.provider": SHARED,
    "routing.candidate": SHARED,
    "routing.circuittransition": READ_ONLY,
    "routing.layer": SHARED,
    "routing.policy": SHARED,
}
"""By table in Django's admin: who looks at its pages, and who changes what is there."""
MAY_BE_NOWHERE = {"admin/(?P<url>.*)$", "admin/r/<path:content_type_id>/<path:object_id>/"}
"""Where 404 is no refusal: there is nothing at the address that the test asks for."""
TABLE_PAGES = {
    "": "look",
    "add/": "change",
    "<path:object_id>/history/": "look",
    "<path:object_id>/delete/": "change",
    "<path:object_id>/change/": "look",
    "<path:object_id>/rotate/": "change",
    "<id>/password/": "change",
}
"""Its pages, and what each is for. To change a row is checked by sending its form; to look at it is to be shown it."""
EXCEPTIONS = {
    ("providers.price", "<path:object_id>/delete/"): "no one",
    ("routing.policy", "add/"): "no one",
    ("routing.policy", "<path:object_id>/delete/"): "no one",
}
"""Pages that are for others: prices in force are history, and there is one policy."""
NOT_PAGES = {"<path:object_id>/"}
"""Leads on to where a row is changed, whoever asks."""

FORMS = {
    "admin/budgets/": {"do": "limits", "project": "default"},
    "admin/projects/<slug:slug>/": {"do": "settings"},
    "admin/tokens/<int:key_id>/": {"do": "disable"},
}
"""What is sent where a page takes several forms and an empty one is none of them."""

OF_A_PROJECT = ("<int:key_id>", "<int:budget_id>", "<int:entry_id>", "request_id>", "projects/<slug:slug>")
"""Parts of addresses of what belongs to a project: of another project's nobody but superusers learns anything."""

"""`/v1/admin/keys`, `budgets`, `projects` with their members, and `audit`: what belongs to a project."""

from __future__ import annotations

from analytics import budget_rows, keys, projects
from analytics.models import ApiKey, AuditEntry, Budget, Membership, Project, Role, Severity
from analytics.types import BudgetScope, Scope
from gateway import audit_asking
from gateway.api import admin_budgets, admin_keys, admin_members, admin_projects
from gateway.api.schema import columns, shapes
from gateway.api.schema.operations import ROW_ID, Operation, Operations, Parameter, answer, found, made, of_pages
from gateway.api.schema.shapes import Fields

TAG = "Projects"
_SCOPES = shapes.many(shapes.one_of(Scope), "What it may do.")
_KEY: Fields = {
    "object": shapes.always("api_key"),
    "id": shapes.whole(),
    "name": shapes.text(),
    "prefix": shapes.text("Its first characters, to recognise it."),
    "project": shapes.text(),
    "owner": shapes.maybe(shapes.text("A user name.")),
    "state": shapes.one_of(keys.State),
    **columns.answers(ApiKey, (*keys.LISTS, *keys.LIMITS)),
    "expires_at": shapes.maybe(shapes.moment()),
    "previous_prefix": shapes.maybe(shapes.text("Of the key from before the last rotation.")),
    "previous_until": shapes.maybe(shapes.moment()),
    "created_at": shapes.moment(),
    "updated_at": shapes.moment(),
}
_SECRET = {"key": shapes.text("The key itself: it is in this answer and nowhere else.")}
_WARNINGS = {"warnings": shapes.texts("Patterns that match nothing there is.")}
_IN_FULL = {"last_used_at": shapes.maybe(shapes.moment()), "budgets": shapes.texts("In words.")}
_ROTATED = {"dropped_prefix": shapes.maybe(shapes.text()), "notes": shapes.texts()}
BUDGET: Fields = {
    "object": shapes.always("budget"),
    "id": shapes.whole(),
    "scope": shapes.one_of(BudgetScope),
    "project": shapes.maybe(shapes.text()),
    "api_key": shapes.maybe(shapes.whole()),
    "key": shapes.maybe(shapes.text("The key's name.")),
    **columns.answers(Budget, ["window", "limit_usd"]),
    "spent_usd": shapes.maybe(shapes.money("Null while it cannot be told.")),
    "held_usd": shapes.maybe(shapes.money("By requests under way.")),
    "window_starts_at": shapes.maybe(shapes.moment()),
    "window_ends_at": shapes.maybe(shapes.moment()),
    "action": columns.answers(Budget, ["action"])["action"],
    "layer": shapes.maybe(shapes.text("The layer to degrade to.")),
    **columns.answers(Budget, ["near_edge", "severity"]),
    "time_zone": shapes.text(),
    **columns.answers(Budget, ["starts_at", "ends_at", "enabled"]),
    "state": shapes.one_of(["active", "disabled", "over", "to come"]),
}
_PROJECT: Fields = {
    "object": shapes.always("project"),
    **columns.answers(Project, ("slug", *projects.EDITABLE)),
    "created_at": shapes.moment(),
}
_MEMBER: Fields = {
    "object": shapes.always("member"),
    "user": shapes.text("A user name."),
    "project": shapes.text(),
    **columns.answers(Membership, ["role"]),
    "active": shapes.flag("Whether they may sign in."),
}
_STATE = shapes.maybe({"type": "object", "description": "By field; secrets are masked."})
_ENTRY: Fields = {
    "object": shapes.always("audit_entry"),
    "id": shapes.whole(),
    **columns.answers(AuditEntry, ["at", "severity", "actor"]),
    "address": shapes.maybe(shapes.text()),
    **columns.answers(AuditEntry, ["action", "target"]),
    "project": shapes.maybe(shapes.text()),
    "before": _STATE,
    "after": _STATE,
}

SCHEMAS = {
    "ApiKey": shapes.closed(_KEY),
    "Budget": shapes.closed(BUDGET),
    "Project": shapes.closed(_PROJECT),
    "Member": shapes.closed(_MEMBER),
    "AuditEntry": shapes.closed(_ENTRY),
}

_OF_KEYS = {"scopes": _SCOPES}
_KEY_CHANGES = columns.body(admin_keys._KINDS, table=ApiKey, besides=_OF_KEYS)
_ROTATION = columns.body(
    admin_keys._ROTATION,
    besides={"grace_s": shapes.number("Seconds that the old key goes on for. Else 24 hours.", least=0)},
)
_BY_ID = of_pages(ROW_ID)
_PROJECT_WANTED = Parameter("project", shapes.text(), "Its slug.")
_DELETED = shapes.deleted("api_key", id=shapes.whole())
_ONE_MEANT = "Of a project, of a key, or with `installation: true` of the installation."
_AUDIT: Fields = dict.fromkeys(audit_asking.FILTERS, shapes.text()) | {"severity": shapes.one_of(Severity.values)}

OPERATIONS: Operations = {
    "/v1/admin/keys": {
        "GET": Operation(
            summary="List API keys",
            parameters=(*_BY_ID, _PROJECT_WANTED, Parameter("state", shapes.one_of(keys.State))),
            answers=found(shapes.page_of("ApiKey", last=shapes.whole())),
        ),
        "POST": Operation(
            summary="Make an API key",
            body=columns.body(admin_keys._KINDS, table=ApiKey, required=("name",), besides=_OF_KEYS),
            answers=made(shapes.closed(_KEY | _SECRET | _WARNINGS)),
        ),
    },
    "/v1/admin/keys/{key_id}": {
        "GET": Operation(summary="One API key", answers=found(shapes.closed(_KEY | _IN_FULL))),
        "PATCH": Operation(
            summary="Change an API key", body=_KEY_CHANGES, answers=found(shapes.closed(_KEY | _WARNINGS))
        ),
        "DELETE": Operation(summary="Delete an API key and its budgets", answers=found(_DELETED, "Deleted.")),
    },
    "/v1/admin/keys/{key_id}/rotate": {
        "POST": Operation(
            summary="Give an API key a new secret",
            body=_ROTATION,
            answers={200: answer(shapes.closed(_KEY | _SECRET | _ROTATED), "The new key.")},
            refusals=frozenset({409}),
        )
    },
    "/v1/admin/budgets": {
        "GET": Operation(
            summary="List budgets",
            parameters=(*_BY_ID, _PROJECT_WANTED, Parameter("api_key", ROW_ID)),
            answers=found(shapes.page_of("Budget", last=shapes.whole())),
        ),
        "POST": Operation(
            summary="Make a budget",
            about=_ONE_MEANT,
            body=columns.body(admin_budgets._KINDS, table=Budget, required=("window", "limit_usd")),
            answers=made(shapes.ref("Budget")),
        ),
    },
    "/v1/admin/budgets/{budget_id}": {
        "GET": Operation(summary="One budget", answers=found(shapes.ref("Budget"))),
        "PATCH": Operation(
            summary="Change a budget",
            body=columns.body(
                admin_budgets._KINDS, table=Budget, fixed={*admin_budgets._KINDS} - {*budget_rows.EDITABLE}
            ),
            answers=found(shapes.ref("Budget")),
        ),
        "DELETE": Operation(
            summary="Delete a budget", answers=found(shapes.deleted("budget", id=shapes.whole()), "Deleted.")
        ),
    },
    "/v1/admin/projects": {
        "GET": Operation(
            summary="List projects",
            parameters=of_pages(shapes.text()),
            answers=found(shapes.page_of("Project", last=shapes.text())),
        ),
        "POST": Operation(
            summary="Make a project",
            about="For superusers.",
            body=columns.body(admin_projects._KINDS, table=Project, required=("slug",)),
            answers=made(shapes.ref("Project")),
        ),
    },
    "/v1/admin/projects/{slug}": {
        "GET": Operation(summary="One project", answers=found(shapes.ref("Project"))),
        "PATCH": Operation(
            summary="Change a project",
            body=columns.body(admin_projects._KINDS, table=Project, fixed=["slug"]),
            answers=found(shapes.ref("Project")),
        ),
        "DELETE": Operation(
            summary="Delete a project",
            about="For superusers, once it has no keys.",
            answers=found(shapes.deleted("project", slug=shapes.text()), "Deleted."),
            refusals=frozenset({409}),
        ),
    },
    "/v1/admin/projects/{slug}/members": {
        "GET": Operation(
            summary="Who belongs to a project",
            parameters=of_pages(shapes.text()),
            answers=found(shapes.page_of("Member", last=shapes.text())),
        )
    },
    "/v1/admin/projects/{slug}/members/{user}": {
        "GET": Operation(summary="One member", answers=found(shapes.ref("Member"))),
        "PUT": Operation(
            summary="Add a member, or give one another role",
            about="Admins add who is in another project of theirs, superusers anybody.",
            body=columns.body(admin_members._KINDS, required=("role",), besides={"role": shapes.one_of(Role.values)}),
            answers={**found(shapes.ref("Member")), **made(shapes.ref("Member"), "Added.")},
            refusals=frozenset({409}),
        ),
        "DELETE": Operation(
            summary="Take a member out",
            answers=found(shapes.deleted("member", user=shapes.text(), project=shapes.text()), "Taken out."),
            refusals=frozenset({409}),
        ),
    },
    "/v1/admin/audit": {
        "GET": Operation(
            summary="The audit trail, newest first",
            parameters=(*_BY_ID, *(Parameter(name, shape) for name, shape in _AUDIT.items())),
            answers=found(shapes.page_of("AuditEntry", last=shapes.whole())),
        )
    },
    "/v1/admin/audit/{entry_id}": {
        "GET": Operation(summary="One entry of the audit trail", answers=found(shapes.ref("AuditEntry")))
    },
}

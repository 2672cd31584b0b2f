"""Each way to a budget, while its key is moved to another project between a view's first look and the lock."""

from __future__ import annotations

import pytest
from django.test import Client

from analytics import budget_rows
from analytics.models import ApiKey, Budget
from tests.unit.gateway.members import signed_in

pytestmark = pytest.mark.django_db
FORM = {"limit_usd": "9", "action": "refuse", "layer": "", "near_edge": "shorten", "severity": "warning"}


@pytest.fixture
def row(ours):
    return budget_rows.create(actor="tests", api_key=ours.key, window="day", limit_usd="5")


@pytest.fixture
def moved_meanwhile(ours, theirs, monkeypatch):
    lock = budget_rows.lock

    def moved(row: Budget) -> None:
        ApiKey.objects.filter(pk=ours.key.pk).update(project=theirs.project, name="moved")
        lock(row)

    monkeypatch.setattr(budget_rows, "lock", moved)


def sent(client: Client, method: str, path: str, body: dict[str, object]) -> int:
    kind = {"content_type": "application/json"} if path.startswith("/v1/") else {}
    return int(getattr(client, method)(path, body, **kind).status_code)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("post", "/admin/budgets/{budget}/", FORM),
        ("post", "/admin/budgets/{budget}/delete/", {}),
        ("post", "/admin/budgets/", {"do": "switch", "budget": "{budget}", "enabled": "false"}),
        ("post", "/admin/budgets/new/", FORM | {"whose": "key:{key}", "window": "hour"}),
        ("patch", "/v1/admin/budgets/{budget}", {"limit_usd": "9"}),
        ("delete", "/v1/admin/budgets/{budget}", {}),
        ("post", "/v1/admin/budgets", {"api_key": 0, "window": "hour", "limit_usd": "9"}),
        ("post", "/v1/quota/update", {"budget": 0, "limit_usd": "9"}),
    ],
)
def test_the_old_projects_admin_is_refused(ours, row, moved_meanwhile, method, path, body):
    names, numbers = {"budget": row.pk, "key": ours.key.pk}, {"budget": row.pk, "api_key": ours.key.pk}
    said = {name: value.format(**names) if isinstance(value, str) else numbers[name] for name, value in body.items()}
    adam = signed_in("adam", default="admin")
    assert sent(adam, method, path.format(**names), said) == 403
    assert list(Budget.objects.values_list("pk", "limit_usd", "enabled")) == [(row.pk, 5, True)]

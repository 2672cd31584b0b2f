"""What keys and projects are called in a report: by their names now, the last ones of what is gone."""

from __future__ import annotations

import pytest

from analytics import ledger
from analytics.models import ApiKey, Project
from analytics.queries import reports
from analytics.queries.filters import Dimension
from tests.unit.analytics.queries.rows import NOW, days_ago, span
from tests.unit.analytics.test_ledger import usage_row

pytestmark = pytest.mark.django_db


def test_keys_and_projects_go_by_the_name_they_have_now(ours):
    ledger.insert([usage_row(days_ago(1), project_id=ours.project.pk, key_id=ours.key.pk, key_name="old")])
    ApiKey.objects.update(name="new")
    Project.objects.filter(pk=ours.project.pk).update(slug="renamed")
    found = reports.ranked([Dimension.KEY, Dimension.PROJECT], span(days_ago(2), NOW)).rows[0].group.fields
    assert (found["key"], found["project"]) == ("new", "renamed")


def test_two_names_of_one_key_are_one_group(ours):
    row = {"project_id": ours.project.pk, "key_id": ours.key.pk}
    ledger.insert([usage_row(days_ago(1), key_name=name, **row) for name in ("old", "new")])
    assert [r.totals.requests for r in reports.ranked([Dimension.KEY], span(days_ago(2), NOW)).rows] == [2]


def test_what_was_deleted_goes_by_its_last_name():
    for days, name in ((5, "first"), (2, "last"), (3, "middle")):
        ledger.insert([usage_row(days_ago(days), project_id=77, project=name, key_id=78, key_name=name)])
    found = reports.ranked([Dimension.KEY, Dimension.PROJECT], span(days_ago(9), NOW)).rows[0].group.fields
    assert (found["key"], found["project"]) == ("last", "last")


def test_the_owner_has_a_name_and_no_id():
    ledger.insert([usage_row(days_ago(1), key_id=None, key_name="local owner")])
    found = reports.ranked([Dimension.KEY], span(days_ago(9), NOW)).rows[0].group
    assert (found.fields["key"], found.fields["key_id"], found.label) == ("local owner", None, "local owner")

"""Rows that a module's tests share: as they were written for each of them, and gone after the last."""

from __future__ import annotations

import pytest

from analytics.models import Project

pytestmark = pytest.mark.django_db
SHARED = Project.objects.filter(slug__startswith="shared")


@pytest.fixture(scope="module")
def gone_afterwards(django_db_setup, django_db_blocker):
    """Looks when what was set up after it is torn down."""
    yield
    with django_db_blocker.unblock():
        assert not SHARED.all().exists()


@pytest.fixture(scope="module")
def shared(gone_afterwards, written_once):
    return written_once(lambda: Project.objects.create(slug="shared", name="Shared"))


@pytest.mark.parametrize("time", ["once", "again"])
def test_what_a_test_does_to_them_the_next_does_not_see(shared, time):
    assert list(SHARED.values_list("pk", "name")) == [(shared.pk, "Shared")]
    Project.objects.create(slug="shared too", name="Shared")
    SHARED.update(name=time)

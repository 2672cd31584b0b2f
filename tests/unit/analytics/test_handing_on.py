"""Keys that are moved to another project, by who has leave in both."""

import pytest
from django.core.exceptions import PermissionDenied, ValidationError

from analytics import handing_on, keys
from analytics.authority import Authority
from analytics.models import AuditEntry, Project, Role

pytestmark = pytest.mark.django_db


@pytest.fixture
def to(db):
    return Project.objects.create(slug="other", name="Other")


def made(**fields):
    return keys.create("app", actor="tests", **fields).row


def move(row, to, *, here, there):
    """By somebody with this role in the key's project, and with that one in the other."""
    roles = {row.project_id: here} | ({to.pk: there} if there else {})
    return handing_on.edit(row, authority=Authority("somebody", roles), changes={"project": to})


@pytest.mark.parametrize(
    ("here", "there"),
    [(Role.ADMIN, None), (Role.ADMIN, Role.VIEWER), (Role.VIEWER, Role.ADMIN), (Role.OPERATOR, None)],
)
def test_who_may_not_look_after_keys_in_both_projects_moves_none(to, here, there):
    row = made()
    with pytest.raises(PermissionDenied):
        move(row, to, here=here, there=there)
    row.refresh_from_db()
    assert row.project_id != to.pk
    assert not AuditEntry.objects.filter(action="api_key.changed").exists()


def test_operators_of_both_move_a_key(to):
    assert move(made(), to, here=Role.OPERATOR, there=Role.OPERATOR).project == to


def test_a_key_that_changes_configuration_is_moved_by_admins_of_both_alone(to):
    row = made(scopes=["chat", "admin"])
    with pytest.raises(ValidationError) as refused:
        move(row, to, here=Role.ADMIN, there=Role.OPERATOR)
    assert refused.value.message_dict == {"scopes": [handing_on.NO_ADMIN]}
    assert move(row, to, here=Role.ADMIN, there=Role.ADMIN).project == to

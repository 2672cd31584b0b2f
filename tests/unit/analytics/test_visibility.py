"""Who may see which rows of the ledger. The second project is always there, to be kept out."""

from dataclasses import replace

import pytest
from django.contrib.auth.models import AnonymousUser, User

from analytics import callers, keys, ledger, visibility
from analytics.models import Membership, Role
from analytics.types import Scope
from tests.unit.analytics.test_ledger import usage_row


def caller_of(tenant, *scopes):
    caller = callers.load_all().by_hash[keys.digest(tenant.secret)]
    return replace(caller, scopes=frozenset(scopes))


@pytest.fixture
def rows(ours, theirs):
    """One row of our key, one of our project's other key, one of theirs; by name."""
    made = {
        "mine": usage_row(project_id=ours.project.pk, key_id=ours.key.pk),
        "colleague's": usage_row(project_id=ours.project.pk, key_id=ours.key.pk + 1000),
        "owner's": usage_row(project_id=ours.project.pk, key_id=None),
        "theirs": usage_row(project_id=theirs.project.pk, key_id=theirs.key.pk),
    }
    ledger.insert(list(made.values()))
    return made


def seen(records, rows):
    ids = set(records.values_list("id", flat=True))
    return {name for name, row in rows.items() if row.id in ids}


class TestKeys:
    @pytest.mark.parametrize(
        ("scopes", "sees"),
        [
            ([Scope.USAGE_PROJECT], {"mine", "colleague's", "owner's"}),
            ([Scope.USAGE_OWN], {"mine"}),
            ([Scope.USAGE_OWN, Scope.USAGE_PROJECT], {"mine", "colleague's", "owner's"}),
            ([Scope.CHAT], set()),
            ([Scope.ADMIN], set()),
            ([], set()),
        ],
    )
    def test_a_key_sees_what_its_scopes_say_and_never_another_project(self, ours, rows, scopes, sees):
        assert seen(visibility.records_of_caller(caller_of(ours, *scopes)), rows) == sees

    def test_their_key_sees_their_row_alone(self, theirs, rows):
        assert seen(visibility.records_of_caller(caller_of(theirs, Scope.USAGE_PROJECT)), rows) == {"theirs"}

    def test_the_owner_sees_all(self, rows):
        assert seen(visibility.records_of_caller(callers.owner()), rows) == set(rows)


class TestUsers:
    @pytest.mark.parametrize("role", Role)
    def test_a_member_sees_the_projects_rows_whatever_the_role(self, theirs, rows, role):
        user = User.objects.create_user("ann")
        Membership.objects.create(user=user, project=theirs.project, role=role)
        assert seen(visibility.records_of_user(user), rows) == {"theirs"}

    def test_a_member_of_both_sees_both(self, ours, theirs, rows):
        user = User.objects.create_user("ann")
        for tenant in (ours, theirs):
            Membership.objects.create(user=user, project=tenant.project)
        assert seen(visibility.records_of_user(user), rows) == set(rows)

    def test_a_user_without_a_project_sees_nothing(self, rows):
        assert seen(visibility.records_of_user(User.objects.create_user("ann", is_staff=True)), rows) == set()

    def test_nobody_signed_in_sees_nothing(self, rows):
        assert seen(visibility.records_of_user(AnonymousUser()), rows) == set()

    def test_a_superuser_sees_all(self, rows):
        assert seen(visibility.records_of_user(User.objects.create_superuser("root")), rows) == set(rows)

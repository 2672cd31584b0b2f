"""What a provider's row may say of the calls it takes at once, whoever writes it."""

import pytest
from django.db import IntegrityError

from providers.models import Provider

pytestmark = pytest.mark.django_db


def made(**fields):
    return Provider.objects.create(slug="acme", name="Acme", base_url="https://api.acme.example/v1", **fields)


def test_none_is_asked_for_by_default():
    row = made()
    assert (row.max_concurrent, row.max_queued) == (None, 100)


def test_it_takes_one_at_least():
    with pytest.raises(IntegrityError):
        made(max_concurrent=0)


def test_it_may_have_no_queue():
    assert made(max_concurrent=1, max_queued=0).max_queued == 0

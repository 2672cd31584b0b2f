"""The short way and Django's URL table hold the same view objects: an address is answered the same on either."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.http import HttpResponseBase
from django.urls import URLPattern, URLResolver, get_resolver, resolve

from gateway.api.base import AsyncAPIView
from gateway.urls import short_way_views, urlpatterns

View = Callable[..., HttpResponseBase]


def patterns_below(found: list[Any]) -> Iterator[URLPattern]:
    for one in found:
        if isinstance(one, URLResolver):
            yield from patterns_below(one.url_patterns)
        else:
            yield one


def is_asynchronous(view: View) -> bool:
    return issubclass(getattr(view, "view_class", object), AsyncAPIView)


def test_the_server_answers_what_the_table_says():
    from gateway.asgi import short_way

    assert short_way.views is short_way_views


@pytest.mark.parametrize("path", short_way_views)
def test_the_url_table_has_the_same_view_at_the_same_address(path):
    assert resolve(path).func is short_way_views[path]


def test_every_asynchronous_view_of_the_url_table_is_on_the_short_way():
    """Under Django's handler they would work as well, and cost twice as much without anyone noticing."""
    found = {pattern.callback for pattern in patterns_below(urlpatterns) if is_asynchronous(pattern.callback)}
    assert found == set(short_way_views.values())


@pytest.mark.parametrize("path", short_way_views)
def test_only_asynchronous_views_are_on_the_short_way(path):
    """Anything else would block the event loop."""
    assert is_asynchronous(short_way_views[path])


def test_no_address_stands_twice():
    addresses = [str(pattern.pattern) for pattern in urlpatterns]
    assert len(addresses) == len(set(addresses))


def test_errors_of_unknown_addresses_are_ours():
    resolver = get_resolver()
    assert [resolver.resolve_error_handler(status).__module__ for status in (404, 500)] == ["gateway.api.errors"] * 2

"""Middleware of the pages, and the one that tells the audit trail whose request it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction
from typing import Any

from django.http import HttpRequest, HttpResponseBase, HttpResponsePermanentRedirect
from django.middleware.common import CommonMiddleware
from django.utils.decorators import sync_and_async_middleware

from analytics import audit_context
from gateway import client_address

OPEN_PATHS = ("/v1/", "/health")
"""Where the API's addresses begin, which answer in JSON; everything else is a page."""


class PagesMiddleware(CommonMiddleware):
    """Django's, for pages alone. `ALLOWED_HOSTS` guards cookies; the API is guarded by keys and, like the short way,
    answers under any name: a load balancer's probe and a client that was given an address come with names of their own.
    """

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        return None if request.path.startswith(OPEN_PATHS) else super().process_request(request)


@sync_and_async_middleware
def audit_origin(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Entries of the audit trail written meanwhile carry the client's address, and the user who is signed in."""
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponseBase:
            with audit_context.request_of(lambda: _user(request), address=lambda: _address(request)):
                answering: Awaitable[HttpResponseBase] = get_response(request)
                return await answering

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponseBase:
        with audit_context.request_of(lambda: _user(request), address=lambda: _address(request)):
            answer: HttpResponseBase = get_response(request)
            return answer

    return synchronous


def _user(request: HttpRequest) -> str:
    """'' when nobody is signed in. An API key names itself, once it is known (`gateway.api.managing`)."""
    user = getattr(request, "user", None)
    return user.get_username() if user is not None and user.is_authenticated else ""


def _address(request: HttpRequest) -> str | None:
    found = client_address.of(request.META)
    # A zone (fe80::1%eth0) is this machine's name for a network card, and no column of addresses takes it.
    return None if found is None else str(found).partition("%")[0]

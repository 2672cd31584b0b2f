"""Middleware of the pages."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponsePermanentRedirect
from django.middleware.common import CommonMiddleware

OPEN_PATHS = ("/v1/", "/health")
"""Where the API's addresses begin, which answer in JSON; everything else is a page."""


class PagesMiddleware(CommonMiddleware):
    """Django's, for pages alone. `ALLOWED_HOSTS` guards cookies; the API is guarded by keys and, like the short way,
    answers under any name: a load balancer's probe and a client that was given an address come with names of their own.
    """

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        return None if request.path.startswith(OPEN_PATHS) else super().process_request(request)

"""A DRF view that runs on the event loop, so that the short way can await it directly."""

from __future__ import annotations

import inspect
from typing import Any
from uuid import UUID

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponseBase
from rest_framework.request import Request
from rest_framework.views import APIView

from analytics import ids
from gateway.api.authentication import ApiKeyAuthentication
from gateway.api.opening import Opening


class GatewayRequest(ASGIRequest):
    """A request that came the short way: it has its id from the moment it came in."""

    request_id: UUID
    opening: Opening | None = None
    """Of an answer that may be a stream."""


class AsyncAPIView(APIView):
    """Authentication, permissions and errors as in DRF; all of them must be free of I/O, as they run on the loop."""

    authentication_classes = [ApiKeyAuthentication]
    request_id: UUID

    async def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]  # DRF's is sync
        self.args, self.kwargs, self.headers = args, kwargs, {}
        self.request_id = request.request_id if isinstance(request, GatewayRequest) else ids.new()
        wrapped = self.request = self.initialize_request(request, *args, **kwargs)
        try:
            self.initial(wrapped, *args, **kwargs)
            handler = getattr(self, (request.method or "").lower(), None) if self._is_known(request) else None
            self.headers = self.default_response_headers if handler in (None, self.options) else {}
            response = (handler or self.http_method_not_allowed)(wrapped, *args, **kwargs)
            if inspect.isawaitable(response):
                response = await response
        except Exception as error:
            response = self.handle_exception(error)
        self.response = self.finalize_response(wrapped, response, *args, **kwargs)
        return self.response

    @classmethod
    def refusal(cls, request: HttpRequest) -> HttpResponseBase | None:
        """What who may not ask at all is told, before there is a body; None for who may."""
        view = cls()
        view.args, view.kwargs, view.headers = (), {}, {}
        wrapped = view.request = view.initialize_request(request)
        try:
            view.initial(wrapped)
        except Exception as error:
            return view.finalize_response(wrapped, view.handle_exception(error))
        return None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Who asks and whether they may. These views compose their own bytes: nothing to negotiate, no versions."""
        self.perform_authentication(request)
        self.check_permissions(request)

    def perform_authentication(self, request: Request) -> None:
        """What DRF does on the first look at `request.user`, done at once: the detour costs more than our look-up."""
        for authenticator in request.authenticators or ():
            found = authenticator.authenticate(request)
            if found is not None:
                request.user, request.auth = found  # type: ignore[assignment]  # DRF's own user may be None
                return
        super().perform_authentication(request)

    def get_parsers(self) -> list[Any]:
        return []

    def _is_known(self, request: HttpRequest) -> bool:
        return (request.method or "").lower() in self.http_method_names

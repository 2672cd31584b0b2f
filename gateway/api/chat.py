"""`POST /v1/chat/completions`: translate in, one call, translate out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from rest_framework.request import Request

from gateway.api import bodies, errors, over_limit
from gateway.api.authentication import ApiKeyAuthentication, MayChat, caller_from
from gateway.api.base import AsyncAPIView, GatewayRequest
from gateway.api.opening import Opening
from providers.types import ChatRequest
from routing import chat, runtime, snapshot
from routing.bills import Bill
from routing.decision import Decision
from routing.streaming import Streaming
from routing.types import Candidate

MOST_WARNED = 1_000
"""Characters of `X-Gateway-Warnings`: some clients and proxies refuse an answer whose headers are large."""


EVENT_STREAM = "text/event-stream; charset=utf-8"
UNBUFFERED = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


class ChatCompletionsView(AsyncAPIView):
    authentication_classes = [ApiKeyAuthentication]
    permission_classes = [MayChat]

    async def post(self, request: Request) -> HttpResponseBase:
        meta = request._request.META
        wanted = bodies.chat_request(request._request.body, betas=meta.get("HTTP_ANTHROPIC_BETA", ""))
        asked: dict[str, Any] = {
            "wishes": bodies.wishes(meta),
            "caller": caller_from(request),
            "snapshot": snapshot.current(),
            "request_id": self.request_id,
            "parts": runtime.current(),
        }
        if wanted.is_stream:
            inner = request._request
            opening = inner.opening if isinstance(inner, GatewayRequest) else None
            return await _streamed(wanted, asked, opening=opening)
        result = await chat.complete(wanted, **asked)
        headers = decision_headers(
            result.decision, candidate=result.candidate, attempts=result.attempts, warnings=result.answer.warnings
        )
        headers["X-Gateway-Cost-USD"] = cost_text(result.bill)
        headers.update(over_limit.quota_headers(result.quotas))
        if result.is_capped:
            headers["X-Gateway-Capped"] = "budget"
        return HttpResponse(result.answer.body, content_type="application/json", headers=headers)


async def _streamed(wanted: ChatRequest, asked: dict[str, Any], *, opening: Opening | None) -> EventStream:
    if opening is None:  # it came Django's way, which can begin no answer early
        return _event_stream(await chat.stream(wanted, **asked))
    with opening.patience():
        return _event_stream(await chat.stream(wanted, opening=opening, **asked))


def _event_stream(stream: Streaming) -> EventStream:
    try:
        headers = decision_headers(
            stream.decision, candidate=stream.candidate, attempts=stream.attempts, warnings=stream.warnings
        )
        return EventStream(stream, headers=headers | over_limit.quota_headers(stream.quotas))
    except BaseException:
        stream.close()  # nobody else has it yet
        raise


class EventStream(StreamingHttpResponse):
    """The answer as server-sent events, in `parts`. Whoever sends it calls `abandon` on every way out."""

    def __init__(self, stream: Streaming, *, headers: dict[str, str]) -> None:
        self.stream = stream
        self.has_begun = False
        """Whether its headers are out."""
        super().__init__(self._whole(), content_type=EVENT_STREAM, headers=headers | UNBUFFERED)

    async def parts(self) -> AsyncIterator[tuple[bytes, bool]]:
        """What to send, and whether more follows. What comes with the end is sent with it."""
        last = b""
        async for frames in self.stream.frames():
            if self.stream.is_ending:
                last += frames
            else:
                yield frames, True
        yield last + self._tail(), False

    def _tail(self) -> bytes:
        """What stands after the last frame: the cost and `[DONE]`, or the error that broke the stream."""
        if self.stream.error is not None:
            return errors.event(self.stream.error, request_id=self.stream.decision.request_id, trail=self.stream.trail)
        cost = cost_text(self.stream.bill) if self.stream.bill else "0"
        capped = ": X-Gateway-Capped: budget\n\n" if self.stream.is_capped else ""
        return f"{capped}: X-Gateway-Cost-USD: {cost}\n\ndata: [DONE]\n\n".encode()

    def abandon(self, *, was_cancelled: bool = False) -> None:
        self.stream.close(was_cancelled=was_cancelled)

    async def _whole(self) -> AsyncIterator[bytes]:
        async for body, _ in self.parts():
            yield body


def decision_headers(
    decision: Decision, *, candidate: Candidate, attempts: int, warnings: tuple[str, ...] = ()
) -> dict[str, str]:
    """The answer's `X-Gateway-*` headers that are known before its first byte."""
    headers = {
        "X-Gateway-Request-Id": str(decision.request_id),
        "X-Gateway-Provider": candidate.model.provider.slug,
        "X-Gateway-Model": header_text(candidate.model.name),
        "X-Gateway-Layer": header_text(candidate.layer),
        "X-Gateway-Attempts": str(attempts),
    }
    if decision.score.value is not None:
        headers["X-Gateway-Score"] = f"{decision.score.value:.3f}"
    if warnings := decision.warnings + warnings:
        headers["X-Gateway-Warnings"] = header_text(_together(warnings))
    return headers


def _together(warnings: tuple[str, ...]) -> str:
    """As many as a header may hold, and how many more there were."""
    size, told = len(warnings[0]), 1
    while told < len(warnings) and size + 2 + len(warnings[told]) <= MOST_WARNED:
        size += 2 + len(warnings[told])
        told += 1
    text = "; ".join(warnings[:told])[:MOST_WARNED]
    return f"{text}; and {len(warnings) - told} more" if told < len(warnings) else text


def cost_text(bill: Bill) -> str:
    """A cost as plain decimal digits, no exponent."""
    return f"{bill.usd.normalize():f}"


def header_text(text: str) -> str:
    """Text that may stand in a header: no line breaks, nothing beyond Latin-1."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if char.isprintable() else " " for char in text).encode("latin-1", "replace").decode("latin-1")

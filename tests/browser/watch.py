"""The watch over a visitor's pages: what goes wrong in one fails its test, whether the test looked there or not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Request

REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", event =>
  console.error(`securitypolicyviolation: ${event.violatedDirective} stopped ${event.blockedURI}`))
"""


@dataclass
class Watch:
    """What went wrong in the pages of a context: errors on the console, exceptions nobody caught, violations of the
    content security policy, answers from 400 on, requests that failed, and requests to anyone but the gateway."""

    home: str
    forgiven: tuple[str, ...] = ()
    """How troubles begin that a test brings about itself."""
    troubles: list[str] = field(default_factory=list)

    def over(self, context: BrowserContext) -> None:
        context.add_init_script(REPORT_VIOLATIONS)
        context.on("console", lambda message: self._note(message.type == "error", f"console: {message.text}"))
        context.on("weberror", lambda raised: self._note(True, f"not caught: {raised.error}"))
        context.on("response", lambda answer: self._note(answer.status >= 400, f"{answer.status}: {answer.url}"))
        context.on(
            "requestfailed", lambda request: self._note(not _is_left(request), f"{request.failure}: {request.url}")
        )
        context.on("request", lambda request: self._note(not self._is_ours(request.url), f"elsewhere: {request.url}"))

    def unforgiven(self) -> list[str]:
        return [trouble for trouble in self.troubles if not trouble.startswith(self.forgiven)]

    def _is_ours(self, url: str) -> bool:
        return url.startswith((f"{self.home}/", "data:", "blob:"))

    def _note(self, is_trouble: bool, what: str) -> None:
        if is_trouble:
            self.troubles.append(what)


def _is_left(request: Request) -> bool:
    """A visitor who goes on does not wait for pictures: the browser gives up those that are still on their way."""
    return request.failure == "net::ERR_ABORTED" and request.url.endswith(".svg")

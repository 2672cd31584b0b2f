"""`manage.py chat`: one prompt, one answer, on the same services as the API and without a server."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from analytics import callers, ids
from analytics.limits import LimitReached
from analytics.spool import SpoolError
from analytics.types import Caller
from gateway import serving
from gateway.api import over_limit
from gateway.api.chat import cost_text
from gateway.console import ConsoleCommand, plain
from gateway.prompting import PromptProblem, add_prompt_arguments, chat_request, wishes
from providers.dialects.openai_stream import text_of
from providers.types import ChatRequest
from routing import chat, decision, need, runtime, snapshot
from routing.streaming import Streaming
from routing.types import Snapshot, Wishes


class Command(ConsoleCommand):
    help = "Sends a prompt to the cheapest layer that will do and prints the answer as it comes."
    EXAMPLES = """\
examples:
  manage.py chat "Why is the sky blue?"
  manage.py chat --layer L2 --system "Answer in French" "Good morning"
  git diff | manage.py chat "Write a commit message for this"
  manage.py chat --json "hi" | jq .answer
"""
    _owner: Caller | None = None
    """Who asks, once that is known."""
    PROBLEMS = (
        PromptProblem,
        need.NeedError,
        decision.DecisionError,
        chat.ChatError,
        LimitReached,
        SpoolError,
        serving.StartError,
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add_prompt_arguments(parser)

    def run(self, options: Mapping[str, Any]) -> None:
        request = chat_request(options, is_stream=True)
        try:
            with serving.embedded_model():
                config, self._owner = snapshot.load(), callers.owner()
                asyncio.run(
                    self._answer(
                        request, wanted=wishes(options), owner=self._owner, config=config, json=options["json"]
                    )
                )
        except KeyboardInterrupt:
            sys.exit(130)

    def told_of(self, error: Exception) -> str:
        """Of limits and budgets in the words of the API, with the amounts: who is here owns the installation."""
        if isinstance(error, over_limit.REFUSALS):
            return over_limit.refusal(error, caller=self._owner, at=time.time()).message
        return super().told_of(error)

    async def _answer(
        self, request: ChatRequest, *, wanted: Wishes, owner: Caller, config: Snapshot, json: bool
    ) -> None:
        async with runtime.running() as process:
            stream = await chat.stream(
                request, wishes=wanted, caller=owner, snapshot=config, request_id=ids.new(), parts=process
            )
            text = ""
            try:
                async for frames in stream.frames():
                    piece = text_of(frames)
                    text += piece
                    if not json:
                        self.stdout.write(plain(piece), ending="")
                        self.stdout.flush()
            finally:
                stream.close()
        self._finish(stream, text=text, json=json)

    def _finish(self, stream: Streaming, *, text: str, json: bool) -> None:
        model, cost = stream.candidate.model, cost_text(stream.bill) if stream.bill else "0"
        if json:
            self.print_json(
                {
                    "id": str(stream.decision.request_id),
                    "answer": text,
                    "model": model.name,
                    "provider": model.provider.slug,
                    "layer": stream.candidate.layer or None,
                    "score": stream.decision.score.value,
                    "attempts": stream.attempts,
                    "cost_usd": cost,
                }
            )
        else:
            self.stdout.write("")
            layer = f" in {stream.candidate.layer}" if stream.candidate.layer else ""
            self.stderr.write(f"[{model.qualified_name}{layer}, ${cost}]", self.style.HTTP_INFO)
        if stream.error is not None:
            self.fail(f"The answer broke off: {stream.error.message}.")

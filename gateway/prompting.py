"""How the commands `chat` and `route` take a prompt: from arguments and standard input into a chat request."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import msgspec
from django.core.management.base import CommandParser

from gateway.api import bodies
from providers.types import ChatRequest
from routing.types import Wishes


class PromptProblem(Exception):
    """There is no prompt, or it cannot be read."""


def add_prompt_arguments(parser: CommandParser) -> None:
    parser.add_argument("prompt", nargs="*", help="The prompt; standard input is added below it, or stands for it.")
    parser.add_argument("--model", default="auto", help="A model's id, a layer's name, or auto (%(default)s).")
    parser.add_argument("--layer", metavar="L", help="Enter at this layer; =L stays in it.")
    parser.add_argument("--system", metavar="TEXT", help="Instructions that stand before the prompt.")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="Longest answer, in tokens.")
    parser.add_argument("--json", action="store_true", help="JSON instead of text.")


def chat_request(options: Mapping[str, Any], *, is_stream: bool) -> ChatRequest:
    """The same reading and checking as a body sent to the API gets. Raises: PromptProblem."""
    messages = [{"role": "user", "content": _prompt(options["prompt"])}]
    if options["system"]:
        messages.insert(0, {"role": "system", "content": options["system"]})
    body: dict[str, Any] = {"model": options["model"], "messages": messages, "stream": is_stream}
    if options["max_tokens"] is not None:
        body["max_tokens"] = options["max_tokens"]
    try:
        return bodies.chat_request(msgspec.json.encode(body))
    except bodies.BadBody as error:
        raise PromptProblem(error.message) from error


def wishes(options: Mapping[str, Any]) -> Wishes:
    layer = options["layer"] or ""
    return Wishes(layer=layer.removeprefix("=") or None, fenced=layer.startswith("="))


def _prompt(words: list[str]) -> str:
    parts = [" ".join(words)]
    if not sys.stdin.isatty():
        try:
            parts.append(sys.stdin.read())
        except UnicodeDecodeError as error:
            raise PromptProblem("Standard input is not UTF-8 text.") from error
    prompt = "\n\n".join(part.strip() for part in parts if part.strip())
    if not prompt:
        raise PromptProblem('There is no prompt: write one, as in `manage.py chat "Hello"`, or pipe one in.')
    return prompt

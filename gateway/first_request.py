"""The quick start's one real request, by HTTP like any client's, and its answer and decision in words.

Prints what came back with control characters removed: a model's answer must not drive the terminal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

import httpx
from rich.console import Console

from providers import embedded

QUESTION = "In one sentence: why is the sky blue?"
TIMEOUT_S = 180.0
"""Seconds for the whole answer: a small model on a busy machine takes its time."""

CURL = """\
curl {url}/v1/chat/completions \\
  -H "Authorization: Bearer $GATEWAY_API_KEY" -H "Content-Type: application/json" \\
  -d '{{"model": "auto", "messages": [{{"role": "user", "content": "Hello"}}]}}'
"""
SNIPPET = """\
import os
from openai import OpenAI

client = OpenAI(base_url="{url}/v1", api_key=os.environ["GATEWAY_API_KEY"])
answer = client.chat.completions.create(model="auto", messages=[{{"role": "user", "content": "Hello"}}])
print(answer.choices[0].message.content)
"""
_ORDINALS = {"1": "first", "2": "second", "3": "third"}


def send(url: str, *, key: str, console: Console) -> bool:
    """Sends it and prints what came; returns whether it was answered."""
    body = {"model": "auto", "messages": [{"role": "user", "content": QUESTION}]}
    _say(f'\nAsking "auto": {QUESTION}', console=console)
    try:
        with console.status("Waiting for the answer ...", spinner="line"):
            response = httpx.post(
                f"{url}/v1/chat/completions",
                json=body,
                headers={"Authorization": f"Bearer {key}"},
                timeout=TIMEOUT_S,
                trust_env=False,
            )
        response.raise_for_status()
        text = _text_of(response)
    except httpx.HTTPStatusError as error:
        _say(failure_in_words(error.response), console=console)
        return False
    except (httpx.HTTPError, ValueError) as error:
        _say(f"The request failed ({error or type(error).__name__}); see the server's log.", console=console)
        return False
    _say(f"Answer:   {text}", console=console)
    _say(f"Decision: {decision_in_words(response.headers)}", console=console)
    if response.headers.get("x-gateway-provider") == embedded.SLUG:
        _say("          (a stand-in for every layer: set a provider's key for real models)", console=console)
    _say(f"Cost:     {_cost_in_words(response.headers.get('x-gateway-cost-usd', ''))}", console=console)
    _say(f"\nAsk it yourself:\n\n{CURL.format(url=url)}", console=console)
    _say(f"Or with the OpenAI SDK:\n\n{SNIPPET.format(url=url)}", console=console)
    return True


def decision_in_words(headers: Mapping[str, str]) -> str:
    """What the `X-Gateway-*` headers of an answer say."""
    score = headers.get("x-gateway-score", "")
    attempts = headers.get("x-gateway-attempts", "1")
    judged = f"scored {float(score):.2f} from 0 (trivial) to 1 (hard)" if score else "not scored"
    return (
        f"{judged}, answered in layer {headers.get('x-gateway-layer') or 'none'} "
        f"by {headers.get('x-gateway-model', 'an unnamed model')} at {headers.get('x-gateway-provider', '?')}, "
        f"with the {_ORDINALS.get(attempts, f'{attempts}th')} attempt "
        f"(request {headers.get('x-gateway-request-id', '?')})."
    )


def failure_in_words(response: httpx.Response) -> str:
    """The gateway's own error, and what to do about it."""
    try:
        error = response.json()["error"]
        message = error["message"] if isinstance(error, dict) else str(error)
    except (ValueError, KeyError, TypeError):
        message = response.text[:500] or "no reason given"
    return (
        f"The gateway answered HTTP {response.status_code}: {message}\n"
        f"What helps most often: set a provider's key, such as OPENROUTER_API_KEY, or start Ollama, or add the "
        f"embedded model ({embedded.INSTALL_HINT}); then run it again."
    )


def _text_of(response: httpx.Response) -> str:
    """Raises: ValueError when the answer is no chat completion."""
    try:
        return str(response.json()["choices"][0]["message"]["content"])
    except (json.JSONDecodeError, LookupError, TypeError) as error:
        raise ValueError("the answer is not a chat completion") from error


def _cost_in_words(cost: str) -> str:
    try:
        return f"{Decimal(cost).normalize():f} USD"
    except InvalidOperation:
        return "unknown"


def _say(text: str, *, console: Console) -> None:
    safe = "".join(character for character in text if character.isprintable() or character == "\n")
    readable = safe.encode(console.encoding, "replace").decode(console.encoding)
    console.print(readable, markup=False, highlight=False, soft_wrap=True)

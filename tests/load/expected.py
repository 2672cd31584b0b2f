"""Which bytes a client must get: what the upstream sends, composed by the upstream's own functions. Pure.

A JSON body must be identical. Of a stream the `data:` payloads must be, in order; comment lines are the server's own
affair. The gateway asks for usage where the client did not, so it owes the stream *with* usage less the usage chunk.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from http import HTTPStatus

from tests.load.load import Answer
from tests.upstream import answers
from tests.upstream.answers import Asked
from tests.upstream.script import find

MODELS = ("bench-l0", "bench-l1", "bench-l2", "bench-l3")
"""The catalog's models: any of them may have answered, and an answer says which."""

Payloads = tuple[bytes, ...]


class WrongAnswer(Exception):
    """A client did not get what the upstream sent."""


@dataclass(frozen=True, slots=True)
class Expected:
    """The answers a server may give to one request."""

    name: str
    accepted: frozenset[Payloads]
    stream: bool

    def check(self, found: Iterable[Answer]) -> None:
        """Raises: WrongAnswer for the first that is none of the accepted."""
        for number, answer in enumerate(found, start=1):
            body = bytes(answer.body)
            if answer.status != HTTPStatus.OK or (payloads(body) if self.stream else (body,)) not in self.accepted:
                raise WrongAnswer(
                    f"{self.name}: answer {number} (status {answer.status}) is not what the upstream sent: "
                    f"{body[:300]!r} ... {body[-300:]!r}"
                )


def from_floor(body: bytes, *, script: str) -> Expected:
    """The floor sends the request as it is."""
    asked = answers.read_request(body)
    return Expected("floor", frozenset({_sent(asked, script)}), asked.stream)


def from_gateway(body: bytes, *, script: str) -> Expected:
    """The gateway replaces the model, and asks for a stream's usage."""
    asked = replace(answers.read_request(body), include_usage=True)
    accepted = frozenset(_sent(replace(asked, model=model), script) for model in MODELS)
    if asked.stream:
        accepted = frozenset(tuple(filter(_is_not_usage, sent)) for sent in accepted)
    return Expected("gateway", accepted, asked.stream)


def payloads(stream: bytes) -> Payloads:
    """Every line but blank ones and comments; `data:` payloads without their prefix."""
    lines = (line for line in stream.split(b"\n") if line and not line.startswith(b":"))
    return tuple(line.removeprefix(b"data: ") for line in lines)


def _sent(asked: Asked, script: str) -> Payloads:
    found = find(model=asked.model, message=asked.message, default=script)
    body = answers.compose(asked, found).body
    return payloads(body) if asked.stream else (body,)


def _is_not_usage(payload: bytes) -> bool:
    return b'"choices":[],' not in payload

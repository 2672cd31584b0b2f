"""Translates the conversation: who said what, in which order, and what stands before it all as `system`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Raw

from providers.dialects.anthropic import assistant, calls, reading
from providers.dialects.anthropic.parts import Block, blocks_of, text_blocks
from providers.dialects.anthropic.reading import INVALID_VALUE, mistake, refusal, wrong_type
from providers.dialects.anthropic.unsupported import leave_out, left_out

Turn = dict[str, Any]

_SYSTEM = ("system", "developer")
_NAMED = frozenset({"role", "content", "name"})
_CACHE_CONTROL = "cache_control"
_MOVED = "system messages amid the conversation are moved to its beginning"


class Turns:
    """The conversation as the Messages API wants it: what users and tools say between two answers is one message,
    with the tools' results first."""

    def __init__(self) -> None:
        self._all: list[Turn] = []
        self._answered = 0
        """Where the message behind the last answer stands: the one that all its tools' results belong to."""
        self._results: list[Block] = []
        """Those results; they wait here, as each would move all that stands behind it."""

    def whole(self) -> list[Turn]:
        self._place_results()
        return self._all

    def answer(self, blocks: list[Block]) -> None:
        if blocks:
            self._place_results()
            self._all.append({"role": "assistant", "content": blocks})
            self._answered = len(self._all)

    def ask(self, blocks: list[Block]) -> None:
        for block in blocks:
            if block["type"] == "tool_result":
                self._results.append(block)
            else:
                self._add(block)

    def instruct(self, blocks: list[Block]) -> None:
        if blocks:
            self._all.append({"role": "system", "content": blocks})

    def _add(self, block: Block) -> None:
        if not self._all or self._all[-1]["role"] != "user":
            self._all.append({"role": "user", "content": []})
        self._all[-1]["content"].append(block)

    def _place_results(self) -> None:
        if not self._results:
            return
        if len(self._all) == self._answered or self._all[self._answered]["role"] != "user":
            self._all.insert(self._answered, {"role": "user", "content": []})
        turn = self._all[self._answered]
        turn["content"] = self._results + turn["content"]
        self._results = []


def apply(
    body: dict[str, Any], *, messages: Sequence[Mapping[str, Any]], inline_system: bool, warnings: list[str]
) -> None:
    """Sets `messages` and `system`.

    Raises: ProviderError(UNSUPPORTED or REJECTED) naming the message that cannot be said.
    """
    if any(message.get("name") is not None for message in messages):
        warnings.append(left_out("name of a message"))
    opening = next((index for index, one in enumerate(messages) if one.get("role") not in _SYSTEM), len(messages))
    system = _opening(messages[:opening], warnings=warnings)
    moved: list[Block] = []
    turns = Turns()
    for index, message in enumerate(messages[opening:], opening):
        at = f"messages[{index}]"
        match message.get("role"):
            case "user":
                turns.ask(_blocks(message, at=at, warnings=warnings))
            case "tool":
                turns.ask([calls.result(message, at=at, warnings=warnings)])
            case "assistant":
                answer = assistant.blocks(message, at=at, warnings=warnings)
                turns.answer(_completed(answer, message, named=assistant.NAMED, warnings=warnings))
            case "system" | "developer" if inline_system:
                turns.instruct(_blocks(message, at=at, warnings=warnings))
            case "system" | "developer":
                warnings.append(_MOVED)
                moved += _blocks(message, at=at, warnings=warnings)
            case role:
                raise _unknown(role, at=at)
    if moved:
        system = _as_blocks(system) + moved
    if not (said := turns.whole()):
        raise refusal("messages", "messages holds no word of a user: Anthropic's models need one to answer to.")
    body["messages"] = said
    if system:
        body["system"] = _joined(body.get("system"), system)


def _opening(messages: Sequence[Mapping[str, Any]], *, warnings: list[str]) -> str | list[Block]:
    """What stands before the first other message: a lone string stays one."""
    blocks = [
        block
        for index, message in enumerate(messages)
        for block in _blocks(message, at=f"messages[{index}]", warnings=warnings)
    ]
    is_string = len(messages) == 1 and isinstance(messages[0].get("content"), str)
    return blocks[0]["text"] if is_string and blocks and len(blocks[0]) == 2 else blocks


def _joined(sent: Raw | None, system: str | list[Block]) -> str | list[Any]:
    """What a client sent as `system` in Anthropic's own way stands before its system messages."""
    if sent is None:
        return system
    found = reading.value(sent, at="system")
    before = text_blocks(found) if isinstance(found, str) else reading.entries(sent, at="system")
    return [*before, *_as_blocks(system)]


def _as_blocks(system: str | list[Block]) -> list[Block]:
    return text_blocks(system) if isinstance(system, str) else system


def _blocks(message: Mapping[str, Any], *, at: str, warnings: list[str]) -> list[Block]:
    blocks = blocks_of(message.get("content"), at=f"{at}.content", warnings=warnings)
    return _completed(blocks, message, named=_NAMED, warnings=warnings)


def _completed(
    blocks: list[Block], message: Mapping[str, Any], *, named: frozenset[str], warnings: list[str]
) -> list[Block]:
    """A message's `cache_control` stands on its last block: Anthropic's messages carry nothing themselves, and several
    may become one. What other vendors put beside their answers is left out, as Anthropic would refuse it."""
    for name in sorted(message.keys() - named):
        if name == _CACHE_CONTROL and blocks:
            blocks[-1] = {name: message[name]} | blocks[-1]
        elif message[name] is not None:
            leave_out(f"{name} of a message", warnings=warnings)
    return blocks


def _unknown(role: object, *, at: str) -> Exception:
    at = f"{at}.role"
    if role == "function":
        return refusal(at, f"Anthropic's models take functions as tools: send tool instead of function as {at}.")
    message = f"{at} must be system, developer, user, assistant or tool."
    is_word = isinstance(role, str)
    return mistake(at, message, code=INVALID_VALUE) if is_word else wrong_type(at, message, found=role)

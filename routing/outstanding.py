"""Counts the calls under way at each model, in this process. Who is to be balanced by them is `routing.balancing`'s.

A call begins with its attempt and ends with it; one that answers with a stream ends when the stream does. Used from the
event loop alone; other threads may look.
"""

from __future__ import annotations

from collections.abc import Mapping

from routing.types import Balancing, Policy

_under_way: dict[int, int] = {}
"""By model id; a model without any stands for nothing."""


class Call:
    """One call under way. May be ended more than once, and counts once."""

    __slots__ = ("_is_over", "_model_id")

    def __init__(self, model_id: int) -> None:
        self._model_id = model_id
        self._is_over = False
        _under_way[model_id] = _under_way.get(model_id, 0) + 1

    def end(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        left = _under_way[self._model_id] - 1
        if left:
            _under_way[self._model_id] = left
        else:
            del _under_way[self._model_id]


def calls() -> dict[int, int]:
    """How many there are now, by model id."""
    return _under_way.copy()


def asked_for(policy: Policy) -> Mapping[int, int]:
    """`calls`, where the policy balances by them; else none."""
    return calls() if policy.balancing is Balancing.LEAST_OUTSTANDING else {}

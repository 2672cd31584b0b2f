"""What clients may say and still be answered reaches the ledger, whichever database: none of it is put aside."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.process import gateway_process
from tests.process.gateway_process import Gateway, Installation

pytestmark = pytest.mark.process

ODD: dict[str, dict[str, Any]] = {
    "nul_in_a_model": {"models": ["no\0where"]},
    "nul_in_the_user": {"user": "no\0body"},
    "half_a_surrogate_pair": {"models": ["\ud800"]},
    "many_models": {"models": [f"model-{number}" for number in range(2000)]},
    "long_names": {"models": ["x" * 100_000], "user": "y" * 100_000},
    "much_output": {"max_tokens": 2**63 - 1},
    "more_output_than_a_column_holds": {"max_tokens": 2**64 - 1},
}


@pytest.fixture(scope="module")
def running(installed: Installation) -> Iterator[Gateway]:
    with gateway_process.start(installed) as gateway:
        yield gateway


def chat(gateway: Gateway, nonce: str, *, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
    body = {"model": "cheap", "messages": [{"role": "user", "content": "Hello"}], **fields}
    sent = gateway.headers() | {"X-Session-Id": nonce, "Content-Type": "application/json"} | (headers or {})
    return httpx.post(gateway.chat_url, headers=sent, content=json.dumps(body))


@pytest.mark.parametrize("fields", ODD.values(), ids=ODD)
def test_an_odd_request_that_is_answered_has_its_row(running: Gateway, fields: dict[str, Any]) -> None:
    answer = chat(running, nonce := uuid.uuid4().hex, **fields)
    assert answer.status_code in (200, 400), answer.text
    if answer.status_code == 200:
        assert running.installation.row_of(nonce).outcome == "ok"


@pytest.mark.parametrize("most", ["1e999999", "1" + "0" * 400, "0.5" + "0" * 400], ids=["1e999999", "long", "fine"])
def test_an_odd_ceiling_of_cost_does_not_cost_the_row(running: Gateway, most: str) -> None:
    assert chat(running, nonce := uuid.uuid4().hex, headers={"X-Gateway-Max-Cost": most}).status_code == 200
    assert running.installation.row_of(nonce).outcome == "ok"

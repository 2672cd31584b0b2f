"""Answers of a drawn length: how the lengths are spread, which limits end them, and that usage is what was written."""

from __future__ import annotations

from statistics import median
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.upstream import answers, anthropic, lengths, said
from tests.upstream.answers import DONE
from tests.upstream.exchange import Answer, Asked
from tests.upstream.said import MOST, Why
from tests.upstream.script import Script, ScriptError, parse

DRAWS = 5000
DIALECTS = {"openai": answers, "anthropic": anthropic}


def lengths_of(script: Script, *, count: int = DRAWS, limit: int | None = None) -> list[int]:
    asked = (Asked(model="m", message=f"Question {number}", max_tokens=limit) for number in range(count))
    return [said.say(one, script).tokens for one in asked]


def endless(script: Script) -> str:
    """A message whose answer only a limit ends."""
    messages = (f"Question {number}" for number in range(DRAWS))
    return next(message for message in messages if lengths.drawn(script.seed, message, median=script.tail or 0) is None)


def asked(dialect: str, *, message: str, **options: Any) -> Answer:
    body = {"model": "m?tail=60", "messages": [{"role": "user", "content": message}]} | options
    return DIALECTS[dialect].answer_to(msgspec.json.encode(body))  # type: ignore[attr-defined,no-any-return]


class TestTheSpread:
    def test_half_are_longer_than_the_median_and_two_in_a_hundred_as_long_as_the_model_may_write(self) -> None:
        found = lengths_of(parse("tail=60"))
        assert median(found) == pytest.approx(60, rel=0.1)
        assert found.count(MOST) / DRAWS == pytest.approx(0.02, abs=0.01)
        assert max(length for length in found if length < MOST) > 400

    def test_a_seed_draws_otherwise(self) -> None:
        assert lengths_of(parse("tail=60;seed=1"), count=20) != lengths_of(parse("tail=60"), count=20)

    def test_the_same_question_is_as_long_again_whatever_its_limit(self) -> None:
        free, limited = (lengths_of(parse("tail=60"), count=200, limit=limit) for limit in (None, 100))
        assert limited == [min(length, 100) for length in free]

    def test_no_answer_is_without_a_word(self) -> None:
        assert min(lengths_of(parse("tail=1"), count=500)) == 1

    @pytest.mark.parametrize("text", ["tail=60;chunks=3", "tail=60;content=a", "tail=many"])
    def test_a_mistake_is_an_error(self, text: str) -> None:
        with pytest.raises(ScriptError):
            parse(text)


class TestTheModelsOwnLimit:
    @pytest.mark.parametrize(("limit", "tokens"), [(None, 500), (400, 400), (600, 500)])
    def test_ends_what_has_no_lower_one(self, limit: int | None, tokens: int) -> None:
        script = parse("tail=60;most=500")
        found = said.say(Asked(model="m", message=endless(script), max_tokens=limit), script)
        assert (found.tokens, found.why) == (tokens, Why.LENGTH)

    def test_ends_other_answers_where_a_script_has_it(self) -> None:
        found = said.say(Asked(model="m"), parse("chunks=9;most=5"))
        assert (found.text, found.why) == ("w0 w1 w2 w3 w4", Why.LENGTH)


@pytest.mark.parametrize("dialect", DIALECTS)
class TestInBothDialects:
    @pytest.fixture
    def message(self) -> str:
        return endless(parse("tail=60"))

    def test_an_answer_ends_at_the_requests_limit(self, dialect: str, message: str) -> None:
        answer = asked(dialect, message=message, max_tokens=70)
        content = msgspec.json.decode(answer.body)
        told, reason = (
            (content["usage"]["completion_tokens"], content["choices"][0]["finish_reason"])
            if dialect == "openai"
            else (content["usage"]["output_tokens"], content["stop_reason"])
        )
        assert (told, reason) == (70, "length" if dialect == "openai" else "max_tokens")
        assert answer.bill.completion_tokens == 70
        assert b"w69" in answer.body
        assert b"w70" not in answer.body

    def test_a_stream_ends_at_the_requests_limit(self, dialect: str, message: str) -> None:
        answer = asked(dialect, message=message, max_tokens=70, stream=True)
        assert len(answer.content) == answer.bill.completion_tokens == 70
        assert (b'"length"' if dialect == "openai" else b'"max_tokens"') in answer.closing


def test_both_names_of_openais_limit_are_obeyed() -> None:
    message = endless(parse("tail=60"))
    found = [asked("openai", message=message, **{name: 70}) for name in ("max_tokens", "max_completion_tokens")]
    assert [answer.bill.completion_tokens for answer in found] == [70, 70]


@given(
    script=st.sampled_from(
        ["ok", "chunks=9", "content=a%20b%20c", "tail=5", "reasoning=a%20b;chunks=9", "refusal=a%20b"]
    ),
    limit=st.integers(1, 12),
)
def test_no_answer_is_longer_than_the_requests_limit(script: str, limit: int) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Say it"}], "max_tokens": limit}
    answer = answers.answer_to(msgspec.json.encode(body), default_script=script)
    told = msgspec.json.decode(answer.body)["usage"]["completion_tokens"]
    assert told == answer.bill.completion_tokens <= limit


def test_a_stream_still_ends_with_done() -> None:
    assert asked("openai", message="Hi", stream=True).body.endswith(DONE)

"""What a budget's cap on an answer's length makes of a request in OpenAI's dialect, and that the answer obeys it."""

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api import bodies
from providers import chat
from providers.dialects import openai
from tests.unit.providers.test_openai_dialect import ACME, body, model

NAMES = ("max_tokens", "max_completion_tokens")
OTHERS = ("n_predict", "max_length", "max_new_tokens", "num_predict", "max_output_tokens", "Max_Tokens", "N_PREDICT")


def sent(*fields, cap_tokens, **provider):
    """The top-level fields that go out, each in its bytes."""
    request = bodies.chat_request(body(*fields))
    composed = openai.compose(request, model=model(**provider), cap_tokens=cap_tokens)
    return {name: bytes(raw) for name, raw in msgspec.json.decode(composed.body, type=dict[str, msgspec.Raw]).items()}


def limits(*fields, cap_tokens=60, **provider):
    found = sent(*fields, cap_tokens=cap_tokens, **provider)
    return {name: found[name] for name in NAMES if name in found}


class TestWhatTheClientSent:
    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize(("own", "goes_out"), [(59, b"59"), (60, b"60"), (61, b"60"), (10**30, b"60")])
    def test_is_lowered_under_its_own_name_and_never_raised(self, name, own, goes_out):
        assert limits(b'"%b":%d' % (name.encode(), own)) == {name: goes_out}

    def test_is_lowered_under_both_names_where_both_were_sent(self):
        both = limits(b'"max_tokens":50', b'"max_completion_tokens":70')
        assert both == {"max_tokens": b"50", "max_completion_tokens": b"60"}

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("other", NAMES)
    def test_is_lowered_under_the_only_name_that_the_vendor_knows(self, name, other):
        assert limits(b'"%b":70' % other.encode(), max_tokens_field=name) == {name: b"60"}

    def test_counts_for_each_of_several_answers(self):
        assert sent(b'"n":3', b'"max_tokens":70', cap_tokens=60).items() >= {"n": b"3", "max_tokens": b"60"}.items()


class TestALimitByAnotherName:
    """Some servers obey it, and before the usual names."""

    @pytest.mark.parametrize("name", [*OTHERS, "max_to\u212aens"])
    @pytest.mark.parametrize("own", [b"61", b"-1", b"0", b"1e9", b"1e999", b'"100"', b"[100]", b"{}", b"true", b"1.5"])
    def test_is_lowered_as_well(self, name, own):
        goes_out = own if own in (b"true", b"1.5") else b"60"
        found = sent(b'"%b":%b' % (name.encode(), own), b'"max_tokens":5', cap_tokens=60)
        assert (found[name], found["max_tokens"]) == (goes_out, b"5")

    @pytest.mark.parametrize("name", OTHERS)
    def test_does_not_stand_for_the_usual_one(self, name):
        found = sent(b'"%b":50' % name.encode(), cap_tokens=60)
        assert (found[name], found["max_tokens"]) == (b"50", b"60")

    @pytest.mark.parametrize("name", OTHERS)
    def test_keeps_its_bytes_where_nothing_is_capped(self, name):
        assert sent(b'"%b":-1' % name.encode(), cap_tokens=None)[name] == b"-1"

    def test_null_is_none(self):
        assert sent(b'"n_predict":null', cap_tokens=60)["n_predict"] == b"null"


class TestWhereItSentNone:
    def test_the_cap_stands_under_the_name_that_all_know(self):
        assert limits() == {"max_tokens": b"60"}

    @pytest.mark.parametrize("name", NAMES)
    def test_the_cap_stands_under_the_only_name_that_the_vendor_knows(self, name):
        assert limits(max_tokens_field=name) == {name: b"60"}

    @pytest.mark.parametrize("null", [b'"max_tokens":null', b'"max_tokens": null '])
    def test_null_is_none(self, null):
        assert limits(null) == {"max_tokens": b"60"}

    def test_null_under_another_name_stays(self):
        assert limits(b'"max_completion_tokens":null') == {"max_tokens": b"60", "max_completion_tokens": b"null"}

    @pytest.mark.parametrize(("added", "goes_out"), [(50, b"50"), (70, b"60"), (-1, b"60"), ("all", b"60")])
    def test_what_the_providers_row_adds_is_lowered_as_well(self, added, goes_out):
        assert limits(extra_body={"max_tokens": added}) == {"max_tokens": goes_out}


@given(
    own=st.dictionaries(st.sampled_from(NAMES), st.none() | st.integers(1, 200)),
    cap=st.integers(1, 200),
    field=st.sampled_from(["", *NAMES]),
)
def test_some_limit_always_goes_out_and_none_is_above_the_cap_or_the_clients(own, cap, field):
    fields = [msgspec.json.encode({name: value})[1:-1] for name, value in own.items()]
    numbers = [
        int(value) for value in limits(*fields, cap_tokens=cap, max_tokens_field=field).values() if value != b"null"
    ]
    assert numbers
    assert all(number <= cap for number in numbers)
    assert max(numbers) <= max([value for value in own.values() if value], default=cap)


def test_nothing_else_changes():
    fields = (b'"temperature":1.0', b'"x":{ "a" : 1e2 }', b'"max_tokens":70', b'"seed":null')
    before, after = sent(*fields, cap_tokens=None), sent(*fields, cap_tokens=60)
    assert list(after) == list(before)
    assert after == before | {"max_tokens": b"60"}


@pytest.mark.usefixtures("open_door")
class TestOverASocket:
    OWN = ({}, {"max_tokens": 50}, {"max_completion_tokens": 50}, {"max_tokens": 5})

    def asked(self, fields, *, stream):
        request = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}], "stream": stream} | fields
        if stream:
            request["stream_options"] = {"include_usage": True}
        return bodies.chat_request(msgspec.json.encode(request))

    def called(self, vendor, *, dialect):
        return replace(model("chunks=40"), provider=replace(ACME, base_url=vendor.url, dialect=dialect, is_local=True))

    @pytest.mark.parametrize("dialect", ["openai", "anthropic"])
    @pytest.mark.parametrize("fields", OWN)
    async def test_an_answer_ends_at_the_cap_or_at_the_clients_own_limit(self, vendor, dialect, fields):
        request, called = self.asked(fields, stream=False), self.called(vendor, dialect=dialect)
        answer = await chat.complete(request, model=called, cap_tokens=7)
        assert answer.usage is not None
        assert (answer.finish_reason, answer.usage.output_tokens) == ("length", min(7, *fields.values(), 7))

    @pytest.mark.parametrize("dialect", ["openai", "anthropic"])
    @pytest.mark.parametrize("fields", OWN)
    async def test_a_stream_ends_at_the_cap_or_at_the_clients_own_limit(self, vendor, dialect, fields):
        request, called = self.asked(fields, stream=True), self.called(vendor, dialect=dialect)
        with await chat.stream(request, model=called, cap_tokens=7) as stream:
            frames = [frame async for frame in stream]
        assert frames
        assert stream.reader.usage is not None
        found = (stream.reader.finish_reason, stream.reader.usage.output_tokens)
        assert found == ("length", min(7, *fields.values(), 7))

    @pytest.mark.parametrize("dialect", ["openai", "anthropic"])
    async def test_an_answer_within_the_cap_ends_by_itself(self, vendor, dialect):
        answer = await chat.complete(
            self.asked({}, stream=False), model=self.called(vendor, dialect=dialect), cap_tokens=41
        )
        assert answer.finish_reason == "stop"

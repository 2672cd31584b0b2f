import pytest
from msgspec import Raw, json

from gateway.api import bodies
from providers.dialects import openai
from tests.unit.providers.test_openai_dialect import body, model


def sent(*fields: bytes, messages: bytes = b'[{"role":"user","content":"Hi"}]', **quirks):
    """The fields that reach a vendor with these quirks."""
    request = bodies.chat_request(body(*fields, messages=messages))
    return json.decode(openai.compose(request, model=model(**quirks)).body, type=dict[str, Raw])


def sent_messages(messages: bytes, **quirks) -> list[bytes]:
    return [bytes(raw) for raw in json.decode(sent(messages=messages, **quirks)["messages"], type=list[Raw])]


class TestOutputLimit:
    def test_without_a_quirk_it_stays_as_it_came(self):
        assert sent(b'"max_tokens":7').keys() >= {"max_tokens"}

    @pytest.mark.parametrize(
        ("name", "other"), [("max_tokens", "max_completion_tokens"), ("max_completion_tokens", "max_tokens")]
    )
    def test_it_gets_the_only_name_that_the_vendor_knows(self, name, other):
        fields = sent(b'"%s":7' % other.encode(), max_tokens_field=name)
        assert (bytes(fields[name]), other in fields) == (b"7", False)

    def test_the_vendors_own_name_wins_over_the_other(self):
        fields = sent(b'"max_tokens":7,"max_completion_tokens":9', max_tokens_field="max_tokens")
        assert (bytes(fields["max_tokens"]), "max_completion_tokens" in fields) == (b"7", False)

    @pytest.mark.parametrize(
        "fields", [b'"max_tokens":null,"max_completion_tokens":50', b'"max_completion_tokens":50,"max_tokens": null ']
    )
    def test_null_under_the_vendors_own_name_hides_no_value(self, fields):
        found = sent(fields, max_tokens_field="max_tokens")
        assert (bytes(found["max_tokens"]), "max_completion_tokens" in found) == (b"50", False)

    def test_null_under_both_names_stays_null(self):
        found = sent(b'"max_tokens":null,"max_completion_tokens":null', max_tokens_field="max_tokens")
        assert bytes(found["max_tokens"]) == b"null"

    def test_none_stays_none(self):
        assert not {"max_tokens", "max_completion_tokens"} & sent(max_tokens_field="max_tokens").keys()


class TestReasoning:
    THOUGHT = b'[{"role":"assistant","content":"4","reasoning":"2+2"},{"role":"user" , "content":"Why?","x":1.0}]'

    def test_it_goes_back_under_the_name_that_the_vendor_knows(self):
        first = sent_messages(self.THOUGHT, reasoning_field="reasoning_content")[0]
        assert json.decode(first) == {"role": "assistant", "content": "4", "reasoning_content": "2+2"}

    def test_null_under_the_vendors_own_name_hides_none(self):
        thought = b'[{"role":"assistant","content":"4","reasoning_content":null,"reasoning":"2+2"}]'
        [only] = sent_messages(thought, reasoning_field="reasoning_content")
        assert json.decode(only) == {"role": "assistant", "content": "4", "reasoning_content": "2+2"}

    def test_messages_without_it_keep_their_bytes(self):
        second = sent_messages(self.THOUGHT, reasoning_field="reasoning_content")[1]
        assert second == b'{"role":"user" , "content":"Why?","x":1.0}'

    def test_all_of_them_do_where_nothing_is_renamed(self):
        assert bytes(sent(messages=self.THOUGHT, reasoning_field="reasoning")["messages"]) == self.THOUGHT


class TestText:
    def test_parts_are_joined_for_a_vendor_that_takes_only_a_string(self):
        parts = b'[{"role":"user","content":[{"type":"text","text":"One"},{"type":"text","text":"two"}]}]'
        assert sent_messages(parts, text_as_string=True) == [b'{"role":"user","content":"One\\ntwo"}']

    @pytest.mark.parametrize(
        "content",
        [
            b'[{"type":"text","text":"See"},{"type":"image_url","image_url":{"url":"https://x.test/a.png"}}]',
            b'"already one"',
            b"null",
            b'["odd"]',
        ],
    )
    def test_anything_else_is_the_vendors_to_judge(self, content):
        messages = b'[{"role":"user","content":' + content + b"}]"
        assert bytes(sent(messages=messages, text_as_string=True)["messages"]) == messages

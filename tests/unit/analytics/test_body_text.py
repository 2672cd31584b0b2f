"""What is kept of a request and an answer: JSON stays JSON, secrets go, and so does what is too much."""

import msgspec
import pytest

from analytics import body_text
from analytics.body_text import MOST_BYTES, MOST_READ, OF_MESSAGES_BYTES
from gateway.api import bodies
from providers.dialects.said import Said
from providers.tokens import Text

BLOB = "aB3/" + "".join(chr(97 + place % 26) for place in range(300))
MANY = {
    "labels": ["iVBORw0KGgo" * 100] * 15_000,
    "floats": [0.1234567890123456] * 30_000,
    "escaped": ["\x01" * 10] * 10_000,
    "escaped at length": "\x01\n" * 40_000,
    "names": {"\x01" * 50 + str(number): 0 for number in range(3000)},
    "lists": [[0]] * 100_000,
    "objects": {str(number): {"a": None} for number in range(50_000)},
    "letters": ["a"] * 100_000,
    "numbers": [10**30] * 20_000,
}


def asked(**fields):
    request = bodies.chat_request(msgspec.json.encode({"model": "auto", "messages": [says("Hi")]} | fields))
    kept = body_text.of_request(request.fields, pause=lambda: None)
    return msgspec.json.decode(kept.text), kept.is_cut


def answered(answer):
    kept = body_text.of_answer(answer, pause=lambda: None)
    return kept.text, kept.is_cut


def pauses(**fields):
    """How often others could go between pieces of what was masked."""
    taken = []
    request = bodies.chat_request(msgspec.json.encode({"model": "auto"} | fields))
    body_text.of_request(request.fields, pause=lambda: taken.append(1))
    return len(taken)


def says(text, role="user"):
    return {"role": role, "content": text}


class TestAsked:
    def test_every_field_is_there_as_it_was(self):
        tool = {
            "type": "function",
            "function": {"name": "f", "parameters": {"properties": {"token": {"type": "string"}}}},
        }
        fields = {"messages": [says("Hi, 7 + 1.5?")], "temperature": 0.5, "tools": [tool], "stop": None, "n": 1}
        assert asked(**fields) == ({"model": "auto"} | fields, False)

    def test_texts_are_masked_wherever_they_stand(self):
        parts = [
            {"type": "text", "text": "I am a@b.org"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        ]
        call = {"function": {"name": "login", "arguments": '{"password": "hunter2"}'}}
        told, _ = asked(messages=[says(parts), {"role": "assistant", "tool_calls": [call]}], user="a@b.org")
        assert told["messages"][0]["content"] == [
            {"type": "text", "text": "I am [e-mail]"},
            {"type": "image_url", "image_url": {"url": "[image, 3 bytes]"}},
        ]
        arguments = told["messages"][1]["tool_calls"][0]["function"]["arguments"]
        assert msgspec.json.decode(arguments) == {"password": "[secret]"}
        assert told["user"] == "[e-mail]"

    def test_names_and_numbers_are_looked_at_too(self):
        told, _ = asked(metadata={"api_key": "abc", "a@b.org": 4111111111111111, "at": 1763900000, "big": 10**40})
        assert told["metadata"] == {
            "api_key": "[secret]",
            "[e-mail]": "[card number]",
            "at": 1763900000,
            "big": "[cut]",
        }

    def test_of_a_long_conversation_the_latest_turns_stay(self):
        told, is_cut = asked(messages=[says(f"{number} " + "word " * 2000) for number in range(10)])
        assert is_cut
        assert told["messages"][-1]["content"].startswith("9 word")
        assert told["messages"][0] == "[5 earlier messages cut]"

    def test_one_long_text_is_cut_and_leaves_room_for_the_other_fields(self):
        told, is_cut = asked(messages=[says("word " * 40_000)], temperature=0.5, tools=[{"x": "y" * 30_000 + " z"}])
        assert is_cut
        assert told["messages"][0]["content"].endswith("[cut]")
        assert (told["temperature"], told["tools"][0]["x"][-5:]) == (0.5, "[cut]")
        assert len(msgspec.json.encode(told)) < MOST_BYTES + 1000

    def test_a_secret_across_the_end_of_what_is_read_leaves_no_half(self):
        text = "password=" + "x" * 9
        told, is_cut = asked(
            messages=[says("data:image/png;base64," + "A" * (MOST_READ - 30) + " " + text + "SECRET7")]
        )
        assert (is_cut, "xxx" in str(told), "SECRET7" in str(told)) == (True, False, False)

    def test_a_long_text_without_spaces_is_cut_too(self):
        told, is_cut = asked(messages=[says("語" * 300_000)])
        assert (is_cut, told["messages"][0]["content"][:3], len(told["messages"][0]["content"]) > 10_000) == (
            True,
            "語語語",
            True,
        )

    @pytest.mark.parametrize(
        ("name", "value"), [("password", 87654321), ("api_key", 8.5), ("secret", -1), ("password", 10**40)]
    )
    def test_numbers_under_names_of_secrets_are_masked_as_texts_are(self, name, value):
        call = {"type": "tool_use", "input": {name: value, "codes": {name: [value]}}}
        told, is_cut = asked(messages=[says([call])], metadata={name: value}, **{name: value})
        assert told["messages"][0]["content"][0]["input"] == {name: "[secret]", "codes": {name: ["[secret]"]}}
        assert (told["metadata"], told[name], is_cut) == ({name: "[secret]"}, "[secret]", False)

    def test_what_no_number_is_or_no_secret_stays(self):
        fields = {"metadata": {"password": None, "secret": True, "max_tokens": 5, "key": 7}}
        assert asked(**fields)[0]["metadata"] == fields["metadata"]

    @pytest.mark.parametrize("of", [lambda value: {"messages": [says(value)]}, lambda value: {"x": value}])
    @pytest.mark.parametrize("value", MANY.values(), ids=MANY)
    def test_whatever_is_much_is_stored_within_the_limit(self, of, value):
        request = bodies.chat_request(msgspec.json.encode({"model": "auto", "messages": [says("Hi")]} | of(value)))
        kept = body_text.of_request(request.fields, pause=lambda: None)
        assert kept.is_cut
        assert 13_000 < len(kept.text.encode()) < MOST_BYTES

    def test_a_great_many_fields_are_cut_and_the_messages_stay(self):
        told, is_cut = asked(**{f"field{number}": number for number in range(20_000)})
        assert (is_cut, told["messages"], told["[cut]"]) == (True, [says("Hi")], True)
        assert len(msgspec.json.encode(told)) < MOST_BYTES

    def test_a_long_field_leaves_room_for_the_short_ones_behind_it(self):
        told, _ = asked(tools=[{"x": "y z " * 10_000}], temperature=0.5)
        assert list(told) == ["model", "messages", "tools", "temperature"]

    @pytest.mark.parametrize("line", ["x" * 15 + "\n", BLOB + "\n"])
    def test_of_a_long_text_little_more_is_masked_than_there_is_room_for(self, line):
        assert pauses(messages=[says(line * (MOST_READ // len(line)))]) <= 4

    def test_texts_of_which_labels_are_left_end_as_well(self):
        text = (BLOB + "\n") * (40_000 // len(BLOB))
        assert 10 < pauses(messages=[says(text)] * 100) < 30

    def test_of_what_follows_labels_no_half_is_kept(self):
        text = (BLOB + "\n") * 60_000
        end = OF_MESSAGES_BYTES
        for secret in ("password=SECRET7" * 20, "4111 1111 1111 1111 " * 20):
            for place in range(end + 3700, end + 4040, 67):
                told, is_cut = asked(messages=[says(text[:place] + "\n" + secret + text)])
                assert (is_cut, "SECRET" in str(told), "1111" in str(told)) == (True, False, False)
                assert told["messages"][0]["content"].endswith("[cut]")

    def test_an_image_tells_its_size_and_what_follows_it_is_kept(self):
        told, is_cut = asked(messages=[says("data:image/png;base64," + "A" * 200_000 + " What is it?")])
        assert (told["messages"][0]["content"], is_cut) == ("[image, 150 KB] What is it?", False)

    def test_what_lies_too_deep_is_cut(self):
        value = "deep"
        for _ in range(60):
            value = [value]
        assert asked(x=value)[1]

    def test_zeros_and_great_numbers_are_stored_by_either_database(self):
        body = b'{"model":"auto","messages":[{"role":"user","content":"b\\u0000"}],"x":1e999}'
        kept = body_text.of_request(bodies.chat_request(body).fields, pause=lambda: None)
        assert "\0" not in kept.text
        assert msgspec.json.decode(kept.text)["messages"][0]["content"] == "b\0"


class TestAnswered:
    def test_of_a_whole_answer_its_texts(self):
        call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
        message = {"role": "assistant", "content": "Ask a@b.org", "reasoning": "hm", "tool_calls": [call]}
        body = msgspec.json.encode({"choices": [{"message": message}]})
        assert answered(body) == ('Ask [e-mail]\nhm\nf\n{"a":1}', False)

    def test_of_a_stream_what_was_read(self):
        said = Said()
        said.pieces += ["my password", " is hunt", "er2"]
        assert answered(said.text()) == ("my password is [secret]", False)

    def test_halves_of_pairs_and_zeros_are_stored_by_either_database(self):
        assert answered(b'{"choices":[{"message":{"content":"a\\ud83d b\\u0000"}}]}') == ("a\ufffd b", False)

    def test_nothing(self):
        assert answered(Text("")) == ("", False)

    def test_what_is_too_long_is_cut(self):
        text, is_cut = answered(Text("é " * 100_000))
        assert (is_cut, text[-5:]) == (True, "[cut]")
        assert MOST_BYTES - 10 < len(text.encode()) <= MOST_BYTES + 5

    def test_of_which_only_the_beginning_was_kept_is_cut(self):
        assert answered(Text("beginning", chars=10**6)) == ("beginning", True)

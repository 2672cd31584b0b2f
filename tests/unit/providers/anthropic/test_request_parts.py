"""Images, documents and the rest of what a message may hold beside text, on its way to Anthropic."""

import pytest

from tests.unit.providers.anthropic.sending import HELLO, refused, sent_messages, warnings

CACHE = {"cache_control": {"type": "ephemeral"}}


def sent_part(part):
    (turn,) = sent_messages({"role": "user", "content": [part]})
    (block,) = turn["content"]
    return block


def image(url, **more):
    return {"type": "image_url", "image_url": {"url": url} | more}


def file(**fields):
    return {"type": "file", "file": fields}


def source(**fields):
    return {"source": fields}


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (
            image("data:image/png;base64,AAAA"),
            {"type": "image"} | source(type="base64", media_type="image/png", data="AAAA"),
        ),
        (
            image("DATA:Image/JPEG;name=a.jpg;Base64,AA,A="),
            {"type": "image"} | source(type="base64", media_type="image/jpeg", data="AA,A="),
        ),
        (
            image("https://x.test/a.png?b=data:"),
            {"type": "image"} | source(type="url", url="https://x.test/a.png?b=data:"),
        ),
        (image("HTTP://x.test/a.png"), {"type": "image"} | source(type="url", url="HTTP://x.test/a.png")),
        (
            image("https://x.test/a", detail="auto") | CACHE,
            {"type": "image"} | source(type="url", url="https://x.test/a") | CACHE,
        ),
        (
            file(file_data="data:application/pdf;base64,JVBE", filename="a.pdf"),
            {"type": "document", "title": "a.pdf"} | source(type="base64", media_type="application/pdf", data="JVBE"),
        ),
        (
            file(file_data="data:text/plain;base64,SMOpIQ=="),
            {"type": "document"} | source(type="text", media_type="text/plain", data="Hé!"),
        ),
        (
            file(file_data="data:text/plain;charset=utf-8,H%C3%A9,%20you"),
            {"type": "document"} | source(type="text", media_type="text/plain", data="Hé, you"),
        ),
        (
            file(file_data="https://x.test/a.pdf") | CACHE | {"citations": {"enabled": True}},
            {"type": "document", "citations": {"enabled": True}}
            | source(type="url", url="https://x.test/a.pdf")
            | CACHE,
        ),
        (
            file(file_id="file_1", filename="a.pdf", context="Page 3"),
            {"type": "document", "title": "a.pdf", "context": "Page 3"} | source(type="file", file_id="file_1"),
        ),
        (
            {"type": "text", "text": "Hi", "prompt_cache_breakpoint": {"mode": "explicit"}},
            {"type": "text", "text": "Hi"},
        ),
        ({"type": "text", "text": "Hi"} | CACHE, {"type": "text", "text": "Hi"} | CACHE),
        ({"type": "refusal", "refusal": "No."}, {"type": "text", "text": "No."}),
    ],
)
def test_a_part_of_openais_becomes_a_block(part, block):
    assert sent_part(part) == block


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}, "title": "t"} | CACHE,
        {"type": "container_upload", "file_id": "file_1"},
        {"type": "search_result", "source": "x", "title": "t", "content": [{"type": "text", "text": "a"}]},
        {"type": "something_new", "number": 1.0, "large": 10**30, "none": None},
    ],
)
def test_a_part_of_anthropics_own_passes_as_it_is(part):
    assert sent_part(part) == part


def test_detail_is_a_hint_that_cannot_be_given():
    body = {"messages": [{"role": "user", "content": [image("https://x.test/a", detail="high")] * 2}]}
    assert warnings(body) == ("image_url.detail is not sent to Anthropic",)


@pytest.mark.parametrize(
    ("part", "param", "said"),
    [
        ({"type": "image_url"}, "image_url.url", "is missing: send a data: or http(s) URL."),
        ({"type": "image_url", "image_url": "https://x.test"}, "image_url.url", "is missing"),
        ({"type": "image_url", "image_url": {}}, "image_url.url", "must be a string"),
        (image(""), "image_url.url", "must be a string that is not empty."),
        (image(5), "image_url.url", "must be a string"),
        (image("file:///etc/passwd"), "image_url.url", "must be a data: URL that holds data, or an http(s) URL."),
        (image("data:image/png;base64,"), "image_url.url", "must be a data: URL that holds data"),
        (image("data:image/png;base64"), "image_url.url", "must be a data: URL that holds data"),
        (image("data:image/png,AAAA"), "image_url.url", "with a media type and base64"),
        (image("data:;base64,AAAA"), "image_url.url", "with a media type and base64"),
        ({"type": "file"}, "file", "must be an object with file_data or file_id."),
        (file(), "file.file_data", "must be a string"),
        (file(file_id=5), "file.file_id", "must be a string"),
        (file(file_data=5), "file.file_data", "must be a string"),
        (file(file_data="JVBERi0xLjQ="), "file.file_data", "must be a data: URL"),
        (file(file_data="data:text/plain;base64,!"), "file.file_data", "must hold text in UTF-8."),
        (file(file_data="data:text/plain;base64,/w=="), "file.file_data", "must hold text in UTF-8."),
        (
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            "input_audio",
            "Anthropic's models cannot hear",
        ),
    ],
)
def test_a_part_that_cannot_be_said_is_refused_by_its_path(part, param, said):
    path, told = refused({"messages": [*HELLO, {"role": "user", "content": [{"type": "text", "text": "a"}, part]}]})
    assert path == f"messages[1].content[1].{param}"
    assert said in told


class TestABlankTextWithAMark:
    BLANK = {"type": "text", "text": " \n"} | CACHE
    SAID = {"type": "text", "text": "Hi"}

    def sent(self, *parts):
        body = {"messages": [*HELLO, {"role": "assistant", "content": "Yes?"}, {"role": "user", "content": parts}]}
        return sent_messages(*body["messages"])[2]["content"], warnings(body)

    def test_leaves_it_on_the_block_before(self):
        assert self.sent(self.SAID, self.BLANK, self.SAID) == ([self.SAID | CACHE, self.SAID], ())

    def test_leaves_one_that_stands_there(self):
        marked = self.SAID | {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
        assert self.sent(marked, self.BLANK) == ([marked], ())

    @pytest.mark.parametrize("before", [(), ({"type": "thinking", "thinking": "", "signature": "s"},)])
    def test_leaves_it_on_nothing_where_no_block_can_carry_it_and_that_is_told(self, before):
        told = "cache_control of a blank text is not sent to Anthropic"
        assert self.sent(*before, self.BLANK, self.SAID) == ([*before, self.SAID], (told,))

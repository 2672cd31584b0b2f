"""The scripted upstream over real sockets: what it does to a connection, and what its log says of it."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.upstream import connection, process
from tests.upstream.log import Ending, SeenAnswer, SeenRequest
from tests.upstream.process import RunningUpstream

SHORT_S = 0.2


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningUpstream]:
    with process.running(log=tmp_path_factory.mktemp("upstream") / "log.jsonl", models=["ok", "empty"]) as running:
        yield running


class Client:
    """One connection, for one request; knows the records of it."""

    def __init__(self, server: RunningUpstream) -> None:
        self._server = server
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        self._connection.connect()
        host, port = self._connection.sock.getsockname()
        self._address = f"{host}:{port}"

    def impatient(self) -> Client:
        self._connection.sock.settimeout(SHORT_S)
        return self

    def post(self, model: str, *, stream: bool = False, **fields: Any) -> http.client.HTTPResponse:
        body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "stream": stream} | fields
        headers = {"Authorization": "Bearer secret"}
        self._connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        return self._connection.getresponse()

    def post_message(self, model: str, *, stream: bool = False, left_out: str = "") -> http.client.HTTPResponse:
        body = {"model": model, "max_tokens": 99, "messages": [{"role": "user", "content": "Hello"}], "stream": stream}
        headers = {"x-api-key": "secret", "anthropic-version": "2023-06-01"}
        headers.pop(left_out, None)
        self._connection.request("POST", "/v1/messages", json.dumps(body), headers)
        return self._connection.getresponse()

    def get(self, path: str) -> http.client.HTTPResponse:
        self._connection.request("GET", path)
        return self._connection.getresponse()

    def close(self) -> None:
        self._connection.close()

    @property
    def seen(self) -> SeenRequest:
        return next(request for request in self._server.requests() if request.connection == self._address)

    @property
    def end(self) -> SeenAnswer:
        return self._server.end_of(self.seen)


@pytest.fixture
def client(server: RunningUpstream) -> Iterator[Client]:
    with closing(Client(server)) as client:
        yield client


def test_a_json_answer_and_its_two_records(client: Client) -> None:
    answer = client.post("ok").read()
    assert json.loads(answer)["choices"][0]["message"]["content"] == "You said: Hello"
    assert client.seen.json["model"] == "ok"
    assert (client.end.how, client.end.sent_bytes) == (Ending.FINISHED, len(answer))


def test_the_credential_is_not_in_the_log(client: Client) -> None:
    client.post("ok").read()
    seen = client.seen
    assert (seen.has_authorization, "secret" in repr(seen)) == (True, False)


def test_a_message_in_anthropics_dialect(client: Client) -> None:
    response = client.post_message("content=Hi")
    assert (response.status, response.getheader("Content-Type")) == (200, "application/json")
    answer = response.read()
    assert json.loads(answer)["content"] == [{"type": "text", "text": "Hi"}]
    assert (client.seen.path, client.end.sent_bytes) == ("/v1/messages", len(answer))


def test_an_api_key_is_not_in_the_log(client: Client) -> None:
    client.post_message("ok").read()
    seen = client.seen
    assert (seen.has_api_key, seen.has_authorization, "secret" in repr(seen)) == (True, False, False)


@pytest.mark.parametrize(("left_out", "status"), [("anthropic-version", 400), ("x-api-key", 401)])
def test_a_message_without_its_headers_is_refused(client: Client, left_out: str, status: int) -> None:
    response = client.post_message("ok", left_out=left_out)
    error = json.load(response)
    assert (response.status, error["type"], response.getheader("request-id")) == (status, "error", error["request_id"])


def test_a_slow_message_stream_arrives_whole(client: Client) -> None:
    response = client.post_message("chunks=3;delay_ms=1", stream=True)
    assert response.getheader("Content-Type") == "text/event-stream; charset=utf-8"
    assert response.read().count(b"event: content_block_delta\n") == 3


def test_a_message_cut_in_the_middle_leaves_half_of_its_deltas(client: Client) -> None:
    with pytest.raises(http.client.IncompleteRead) as cut:
        client.post_message("chunks=10;cut=mid", stream=True).read()
    assert cut.value.partial.count(b"event: content_block_delta\n") == 5
    assert client.end.how is Ending.CUT


def test_a_stall_before_a_messages_content_has_begun_its_block(client: Client) -> None:
    response = client.impatient().post_message("stall=first", stream=True)
    lines = [response.readline() for _ in range(9)]  # three events of two lines, and a blank one each
    assert [line for line in lines if line.startswith(b"event")] == [
        b"event: message_start\n",
        b"event: content_block_start\n",
        b"event: ping\n",
    ]
    with pytest.raises(TimeoutError):
        response.readline()
    client.close()
    response.close()
    assert client.end.how is Ending.CLIENT_LEFT


def test_a_strict_server_refuses_what_a_lenient_one_takes(server: RunningUpstream, tmp_path: Path) -> None:
    with process.running(log=tmp_path / "log.jsonl", strict=True) as strict:
        found = []
        for where in (server, strict):
            with closing(Client(where)) as client:
                found.append(client.post("ok", temperature=9).status)
    assert found == [200, 400]


def test_a_slow_stream_arrives_whole(client: Client) -> None:
    response = client.post("chunks=3;delay_ms=1", stream=True)
    assert response.getheader("Content-Type") == "text/event-stream; charset=utf-8"
    assert response.read().endswith(b'"finish_reason":"stop"}],"obfuscation":"obfusc"}\n\ndata: [DONE]\n\n')


def test_an_error_says_when_to_come_back(client: Client) -> None:
    response = client.post("status=429;retry_after=2")
    assert (response.status, response.getheader("Retry-After")) == (429, "2")


@pytest.mark.parametrize("stream", [False, True])
def test_a_redirect_says_where_to(client: Client, stream: bool) -> None:
    response = client.post("status=307;location=http%3A%2F%2F127.0.0.1%2Fv1", stream=stream)
    assert (response.status, response.getheader("Location")) == (307, "http://127.0.0.1/v1")
    assert response.read() == b""


def test_a_stall_before_the_headers_is_on_record_at_once(client: Client) -> None:
    with pytest.raises(TimeoutError):
        client.impatient().post("stall=headers")
    assert client.seen.json["model"] == "stall=headers"
    client.close()
    assert (client.end.how, client.end.sent_bytes) == (Ending.CLIENT_LEFT, 0)


def test_a_stall_before_the_content_has_sent_the_role(client: Client) -> None:
    response = client.impatient().post("stall=first", stream=True)
    assert b'"role":"assistant"' in response.readline()
    response.readline()
    with pytest.raises(TimeoutError):
        response.readline()
    client.close()
    response.close()
    assert client.end.how is Ending.CLIENT_LEFT


@pytest.mark.parametrize("stream", [False, True])
def test_a_cut_in_the_middle_leaves_half(client: Client, stream: bool) -> None:
    response = client.post("chunks=10;cut=mid", stream=stream)
    with pytest.raises(http.client.IncompleteRead) as cut:
        response.read()
    assert (client.end.how, client.end.sent_bytes) == (Ending.CUT, len(cut.value.partial))
    assert client.end.sent_bytes > 0


@pytest.mark.parametrize("point", ["headers", "first"])
def test_a_cut_before_the_content(client: Client, point: str) -> None:
    with pytest.raises((http.client.RemoteDisconnected, http.client.IncompleteRead)):
        client.post(f"cut={point}").read()
    assert client.end.how is Ending.CUT


def test_an_unknown_path_is_404_and_on_record(client: Client) -> None:
    assert client.get("/v2/nothing").status == 404
    assert (client.seen.path, client.end.how) == ("/v2/nothing", Ending.FINISHED)


def test_the_models_it_was_told_to_list(client: Client) -> None:
    assert [row["id"] for row in json.load(client.get("/v1/models"))["data"]] == ["ok", "empty"]


def test_bodies_stay_out_of_the_log_when_told(tmp_path: Path) -> None:
    with process.running(log=tmp_path / "log.jsonl", log_bodies=False) as server:
        with closing(Client(server)) as client:
            client.post("ok").read()
        assert [request.body for request in server.requests(at_least=1)] == [None]


def test_a_stopped_server_says_that_it_was_not_the_client(tmp_path: Path) -> None:
    with process.running(log=tmp_path / "log.jsonl") as server:
        client = Client(server)
        with pytest.raises(TimeoutError):
            client.impatient().post("stall=headers")
    client.close()
    assert [answer.how for answer in server.answers()] == [Ending.SERVER_STOPPED]


def test_it_comes_back_at_the_same_address(tmp_path: Path) -> None:
    with process.running(log=tmp_path / "log.jsonl") as first:
        pass
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", first.port), timeout=1):
        pass
    with process.running(log=tmp_path / "log.jsonl", port=first.port) as second:
        assert second.url == first.url


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_in_small_pieces_arrives_whole(client: Client, stream: bool) -> None:
    assert client.post("chunks=2;drip=1", stream=stream).read().endswith(b"[DONE]\n\n" if stream else b"}")
    assert client.end.how is Ending.FINISHED


def test_headers_line_by_line_arrive_whole(client: Client) -> None:
    response = client.post("chunks=2;head_ms=1")
    assert (response.status, response.getheader("Content-Type")) == (200, "application/json")
    answer = response.read()
    assert json.loads(answer)["choices"][0]["message"]["content"] == "w0 w1"
    assert (client.end.how, client.end.sent_bytes) == (Ending.FINISHED, len(answer))


def test_a_cut_amid_the_headers(client: Client) -> None:
    response = client.post("cut=head")
    assert (response.status, response.getheader("Connection"), response.read()) == (200, None, b"")
    assert client.end.how is Ending.CUT


def test_a_stall_amid_the_headers_has_sent_the_status(client: Client) -> None:
    with pytest.raises(TimeoutError):
        client.impatient().post("stall=head")
    client.close()
    assert client.end.how is Ending.CLIENT_LEFT


@pytest.mark.parametrize("point", ["headers", "head", "first", "mid"])
def test_a_reset_is_no_end(client: Client, point: str) -> None:
    with pytest.raises(ConnectionResetError):
        client.post(f"chunks=4;reset={point}", stream=True).read()
    assert client.end.how is Ending.CUT


@pytest.mark.parametrize(("point", "before"), [("first", b'"role":"assistant"'), ("mid", b'"content":"w0"')])
def test_a_flood_is_one_event_that_does_not_end(client: Client, point: str, before: bytes) -> None:
    response = client.post(f"chunks=2;flood={point}", stream=True)
    told, flood = response.read(connection.FLOOD_BYTES).split(b'data: "x', 1)
    assert before in told.split(b"\n\n")[-2]
    assert len(flood.partition(b"\n")[0]) > 16 * 1024 * 1024
    response.close()
    client.close()
    assert client.end.how is Ending.CLIENT_LEFT


def test_lines_end_with_cr_lf(client: Client) -> None:
    stream = client.post("chunks=2;crlf", stream=True).read()
    assert stream.endswith(b"data: [DONE]\r\n\r\n")
    assert stream.count(b"\n") == stream.count(b"\r\n")


@pytest.mark.parametrize("stream", [False, True])
def test_nothing_is_a_200_without_a_body(client: Client, stream: bool) -> None:
    response = client.post("nothing", stream=stream)
    assert (response.status, response.read()) == (200, b"")
    assert ("event-stream" in response.getheader("Content-Type", "")) == stream

"""A provider that tells too much: it repeats the credential it was sent in messages and headers, and notes all it saw.

What the last message says is what it does: `401`, `500`, `cut`, or an answer. Serves as a proxy as well, since it does
not care what host it is asked for.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USAGE = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}


@dataclass
class TellingVendor:
    port: int = 0
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Target and headers (lower case) of each request."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


@contextmanager
def running() -> Iterator[TellingVendor]:
    vendor = TellingVendor()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            vendor.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            what = asked["messages"][-1]["content"]
            if what in ("401", "500"):
                key = self.headers.get("Authorization", "")
                error = {"message": f"Bad key {key}", "type": "error", "key": key.removeprefix("Bearer ")}
                self._send(int(what), json.dumps({"error": error}))
            elif asked.get("stream"):
                self._send(200, _events(is_cut=what == "cut"), kind="text/event-stream")
            else:
                body = json.dumps(_chunk({"message": {"role": "assistant", "content": "Hi"}}, is_last=True))
                self._send(200, body[: len(body) // 2] if what == "cut" else body)

        def _send(self, status: int, body: str, *, kind: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body.encode())))
            self.send_header("Set-Cookie", "vendor=1; Path=/")
            self.send_header("X-Vendor-Key", self.headers.get("Authorization", ""))
            self.send_header("X-Gateway-Layer", "forged")
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    vendor.port = server.server_port
    try:
        yield vendor
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _chunk(choice: dict[str, Any], *, is_last: bool) -> dict[str, Any]:
    made: dict[str, Any] = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
    made["choices"] = [{"index": 0, "finish_reason": "stop" if is_last else None, **choice}]
    return made | ({"usage": USAGE} if is_last else {})


def _events(*, is_cut: bool) -> str:
    first = _chunk({"delta": {"role": "assistant", "content": "Hi"}}, is_last=False)
    last = _chunk({"delta": {}}, is_last=True)
    rest = "" if is_cut else f"data: {json.dumps(last)}\n\ndata: [DONE]\n\n"
    return f"data: {json.dumps(first)}\n\n{rest}"

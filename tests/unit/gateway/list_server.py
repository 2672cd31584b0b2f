"""A real HTTP server on loopback, in a thread, that answers each address as a test says: a provider's lists."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Reply:
    body: bytes
    status: int = 200
    content_type: str = "application/json"
    location: str = ""


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class ListServer:
    url: str = ""
    """Base URL, with `/v1`."""
    replies: dict[str, Reply] = field(default_factory=dict)
    """By path and query, or by the path and the name of the model that is asked for."""
    seen: list[Seen] = field(default_factory=list)
    silent: threading.Event = field(default_factory=threading.Event)
    """Set: answers at once. Cleared: waits until it is set."""

    def says(self, path: str, value: object, *, status: int = 200) -> None:
        self.replies[path] = Reply(json.dumps(value).encode(), status)

    def lists(self, *entries: dict[str, object] | str, path: str = "/v1/models") -> None:
        data = [entry if isinstance(entry, dict) else {"id": entry} for entry in entries]
        self.says(path, {"object": "list", "data": data})

    def reply(self, path: str, body: bytes) -> Reply:
        name = json.loads(body).get("model", "") if body else ""
        return self.replies.get(f"{path} {name}") or self.replies.get(path) or Reply(b"no such page", 404, "text/plain")


@contextmanager
def running(*, tls: ssl.SSLContext | None = None) -> Iterator[ListServer]:
    made = ListServer()
    made.silent.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            made.seen.append(Seen(self.command, self.path, headers, body))
            made.silent.wait(10)
            reply = made.reply(self.path, body)
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.content_type)
            self.send_header("Content-Length", str(len(reply.body)))
            if reply.location:
                self.send_header("Location", reply.location)
            self.end_headers()
            self.wfile.write(reply.body)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Clients that gave up are part of the tests."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    made.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}/v1"
    try:
        yield made
    finally:
        made.silent.set()
        server.shutdown()
        thread.join()
        server.server_close()

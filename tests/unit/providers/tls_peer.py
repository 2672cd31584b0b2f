"""A TLS server on loopback that answers every GET the same way, with a certificate of a test's own authority."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import trustme

ANSWER = b'"inside"'


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """In a thread, as an event loop leaves sockets behind for a while when a handshake fails."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that do not trust it are part of the tests."""


@contextmanager
def server(authority: trustme.CA, name: str = "127.0.0.1", **options: Any) -> Iterator[str]:
    """Its URL. `options` are those of `trustme.CA.issue_cert`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, **options).configure_cert(context)
    with Server(("127.0.0.1", 0), Handler) as listening:
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"https://127.0.0.1:{listening.server_port}/v1"
        finally:
            listening.shutdown()
            thread.join()

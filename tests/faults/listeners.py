"""Ports of this machine where no HTTP server is: that refuse, that take nobody, that do not speak TLS."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

NO_TLS = b"220 mail.example ready\r\n"
_ENOUGH_TO_FILL = 4


@contextmanager
def refusing() -> Iterator[int]:
    """The port is taken, so that nobody else listens there, and nobody does."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


@contextmanager
def full() -> Iterator[int]:
    """Its queue of connections is full, and nobody takes one from it: a further one is not even refused."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(_ENOUGH_TO_FILL):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield int(listener.getsockname()[1])


@contextmanager
def not_tls() -> Iterator[int]:
    """Whoever connects is greeted in another protocol."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_greet, args=(listener,), daemon=True).start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)


def _greet(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            connection.sendall(NO_TLS)

"""Runs the gateway: the HTTP server in this process, the embedded model and the embedded Celery worker as children.

Owns the order (check, bind, children, server, stop) and the sentences for what keeps it from starting. Changes nothing:
migrations, catalog and discovery belong to other commands.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import multiprocessing
import resource
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from uvicorn.supervisors import multiprocess as workers

from gateway import children
from providers import embedded, places

logger = logging.getLogger(__name__)

APPLICATION = "gateway.asgi:application"
DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 3000
BACKLOG = 2048
CHILDREN_GRACE_S = 8
"""Seconds for the children afterwards; Celery takes about four."""
LEDGER_GRACE_S = 10
"""Seconds the ledger's spool may take to empty afterwards (`routing.runtime`)."""
ANNOUNCE_POLL_S = 0.05

MODEL_STARTS_WITHIN_S = 60.0
MODEL_POLL_S = 0.05

ENOUGH_DESCRIPTORS = 65_536

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def stopping() -> str:
    """What is said when the server stops while requests are open."""
    grace_s = settings.STOP_ANNOUNCE_S + settings.STOP_GRACE_S
    return f"Stopping; open requests may take up to {grace_s:g} s more (Ctrl-C again stops at once) ..."


def stops_within_s() -> float:
    """Who stops this process should wait so long before killing it."""
    return settings.STOP_ANNOUNCE_S + settings.STOP_GRACE_S + LEDGER_GRACE_S + CHILDREN_GRACE_S + 2


class StartError(Exception):
    """The gateway cannot start; the message is a sentence that says what to do."""


@dataclass(frozen=True, slots=True)
class Options:
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    workers: int = 1
    with_worker: bool = True
    """Whether the embedded Celery worker runs beside the server."""
    with_model: bool = True
    """Whether the embedded model runs beside the server, when its provider is enabled."""


class _WorkerConfig(uvicorn.Config):
    """Configuration of one of several worker processes; loaded inside that process."""

    def load(self) -> None:
        supervisor = multiprocessing.parent_process()
        if supervisor is not None and supervisor.pid is not None:
            # uvicorn's workers survive their supervisor's `kill -9` and would keep the port.
            children.die_with_parent(supervisor.pid)
        places.share_among(self.workers)
        super().load()


class _Server(uvicorn.Server):
    """Says that it listens once it does, alone, and what it waits for when it stops. In the end it waits for no client
    that does not read; after a second SIGINT for nobody."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.config.workers == 1:
            for listener in sockets or ():
                logger.info("Listening on %s", url_of(listener))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.server_state.tasks:
            logger.info(stopping())
        await self._announce()
        log = logging.getLogger("uvicorn.error")
        log.addFilter(_in_our_words)
        await super().shutdown(sockets)
        log.removeFilter(_in_our_words)
        if self.force_exit:  # what goes on is cut off: uvicorn would log a traceback for each
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        for open_one in list(self.server_state.connections):
            if open_one.transport is not None:
                open_one.transport.abort()

    async def _announce(self) -> None:
        """Says at `/health/ready` that it stops, while it still takes requests: who shares them out looks there."""
        from routing import runtime  # needs the app registry, which uvicorn's workers fill after this module

        runtime.announce_stop()
        ends_at = time.monotonic() + settings.STOP_ANNOUNCE_S
        while (left_s := ends_at - time.monotonic()) > 0 and not self.force_exit:  # noqa: ASYNC110 - a signal's
            await asyncio.sleep(min(left_s, ANNOUNCE_POLL_S))


def _in_our_words(record: logging.LogRecord) -> bool:
    """A stop with open streams is no error: uvicorn's line for it is told as what it is."""
    if str(record.msg).startswith("Cancel %s running task"):
        record.msg = "Open requests: %s took longer than STOP_GRACE_S and are cut off; each is settled by what was used"
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


# The one way to give uvicorn's workers, which import this module, a server of ours.
workers.Server = _Server  # type: ignore[attr-defined]


def serve(options: Options) -> None:
    """Serves until SIGINT or SIGTERM, then lets open requests end and stops the children.

    Raises: StartError.
    """
    _refuse_what_cannot_work(options)
    listener = bind(options.host, options.port)
    _raise_descriptor_limit()
    with (
        suppress(KeyboardInterrupt),
        children.interruptible(),
        listener,
        in_plain_words(),
        crew(grace_s=CHILDREN_GRACE_S) as helpers,
    ):
        if options.with_model:
            _start_model(helpers, port=_placed_model())
        if options.with_worker:
            _start_worker(helpers)
        _run_server(options, listener=listener)


def _placed_model() -> int | None:
    from gateway import adoption  # needs the app registry, which uvicorn's workers fill after this module

    try:
        return adoption.place_embedded(actor="serve")
    finally:
        connection.close()


def bind(host: str, port: int) -> socket.socket:
    """A bound socket that does not listen yet.

    Raises: StartError.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise StartError(_why_not_bound(error, host=host, port=port)) from error
    return listener


def _listen(listener: socket.socket, *, options: Options) -> None:
    """Before the server does: of two sockets that were bound before either listened only one may, and uvloop would
    close the other without a word.

    Raises: StartError.
    """
    try:
        listener.listen(BACKLOG)
    except OSError as error:
        raise StartError(_why_not_bound(error, host=options.host, port=options.port)) from error


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def crew(*, grace_s: float) -> children.Crew:
    """A crew whose children see the same var folder, wherever they were started from."""
    return children.Crew(
        log_dir=settings.VAR_DIR / "log",
        cwd=settings.BASE_DIR,
        env={"VAR_DIR": str(settings.VAR_DIR), "DJANGO_SETTINGS_MODULE": settings.SETTINGS_MODULE},
        grace_s=grace_s,
    )


@contextmanager
def in_plain_words() -> Iterator[None]:
    """Turns what a disk, a folder or a database does to us into a StartError; lets everything else through."""
    try:
        yield
    except (OSError, DatabaseError) as error:
        sentence = explain(error, var_dir=settings.VAR_DIR)
        if sentence is None:
            raise
        raise StartError(sentence) from error


def explain(error: Exception, *, var_dir: Path) -> str | None:
    """What happened and what to do, or None when it is none of the known troubles of a disk or a database."""
    text = str(error).lower()
    number = error.errno if isinstance(error, OSError) else None
    if number in _DISK_FULL or "disk is full" in text or "disk i/o error" in text:
        return f"The disk of {var_dir} is full: free some space or set VAR_DIR to a folder on another disk."
    if (
        isinstance(error, PermissionError | NotADirectoryError)
        or number == errno.EROFS
        or any(words in text for words in ("unable to open database file", "readonly database"))
    ):
        return f"Cannot write in {var_dir}: make it writable for this user or set VAR_DIR to another folder."
    if isinstance(error, DatabaseError) and "locked" in text:
        return "The database is locked by another process: stop that one, or try again in a moment."
    if isinstance(error, DatabaseError) and settings.DATABASE_URL:
        return f"The database does not answer ({text.splitlines()[0]}): check DATABASE_URL and that the server runs."
    return None


def _refuse_what_cannot_work(options: Options) -> None:
    if options.workers < 1:
        raise StartError("--workers must be at least 1.")
    if options.workers > 1 and not settings.REDIS_URL:
        raise StartError("More than one worker needs shared limits and cache: set REDIS_URL, or run with --workers 1.")
    with in_plain_words():
        try:
            executor = MigrationExecutor(connection)
            pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
        finally:
            connection.close()
    if pending:
        raise StartError(f"{len(pending)} migrations are pending: run `manage.py migrate`, then start again.")


def _raise_descriptor_limit() -> None:
    """5,000 relayed streams need more than 10,000 descriptors; most shells allow 1,024 unless asked for more.

    Not beyond what is useful: where the limit is a thousand million, programs that close all of them take minutes.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= ENOUGH_DESCRIPTORS:
        return
    wanted = ENOUGH_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, ENOUGH_DESCRIPTORS)
    with suppress(OSError, ValueError):  # macOS has a lower limit of its own
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _start_model(helpers: children.Crew, *, port: int | None) -> None:
    """Starts the embedded model where its provider is enabled, and waits until it answers.

    Raises: StartError.
    """
    if port is None:
        return
    if not embedded.is_installed():
        logger.warning("The embedded model is enabled but not installed. Run: %s", embedded.INSTALL_HINT)
        return
    if embedded.answers(port):
        logger.info("The embedded model answers already on port %d; another gateway runs it.", port)
        return
    child = helpers.start("embedded-model", [sys.executable, "-m", "providers.embedded", "--port", str(port)])
    deadline = time.monotonic() + MODEL_STARTS_WITHIN_S
    while not embedded.answers(port):
        if time.monotonic() > deadline or child.starts > 1 or not child.is_running:
            raise StartError(f"The embedded model does not start: {child.last_words(lines=1)} (see {child.log})")
        time.sleep(MODEL_POLL_S)


@contextmanager
def embedded_model() -> Iterator[None]:
    """For a command that answers one request: lends it the embedded model, when that is enabled and not running yet.

    Raises: StartError.
    """
    from gateway import adoption  # needs the app registry, which uvicorn's workers fill after this module

    with in_plain_words(), crew(grace_s=CHILDREN_GRACE_S) as helpers:
        port = adoption.embedded_port()
        if port is not None and not embedded.answers(port):
            _start_model(helpers, port=port)
        yield


def _start_worker(helpers: children.Crew) -> None:
    if not settings.CELERY_IS_EMBEDDED:
        logger.info("Celery has a broker of its own: start its workers with `celery -A gateway.celery worker`.")
        return
    folder = settings.CELERY_QUEUE_DIR
    for path in (folder, folder / "control", folder / "taken"):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = [sys.executable, "-m", "celery", "-A", "gateway.celery", "--quiet", "worker", "--beat"]
    command += ["--pool", "threads", "--concurrency", "4", "--hostname", "embedded@%h", "--loglevel", "INFO"]
    command += ["--schedule", str(folder / "beat-schedule")]
    command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    # The filesystem broker moves each message to the temporary folder before it reads it: keep that under var/.
    helpers.start("worker", ["env", f"TMPDIR={folder / 'taken'}", *command])


def _run_server(options: Options, *, listener: socket.socket) -> None:
    """Raises: StartError."""
    _listen(listener, options=options)
    config = (_WorkerConfig if options.workers > 1 else uvicorn.Config)(
        APPLICATION,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        workers=options.workers,
        backlog=BACKLOG,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=settings.STOP_GRACE_S,  # type: ignore[arg-type]  # it takes parts of a second as well
    )
    if options.workers == 1:
        _Server(config).run(sockets=[listener])
        return
    logger.info("Listening on %s with %d workers", url_of(listener), options.workers)
    supervisor = workers.Multiprocess(config, sockets=[listener])
    supervisor.run()
    if any(worker.exitcode == uvicorn.config.STARTUP_FAILURE for worker in supervisor.processes):
        raise StartError("A worker could not start; the reason is logged above.")


def _why_not_bound(error: OSError | OverflowError, *, host: str, port: int) -> str:
    if isinstance(error, OverflowError):
        return f"{port} is not a port: choose one from 1 to 65535 with --port."
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is taken: stop the program that listens there, or choose another port with --port."
    if error.errno == errno.EACCES:
        return f"Port {port} is not allowed for this user: choose one above 1023 with --port."
    return f"Cannot listen on {host} ({error.strerror or error}): choose an address of this machine with --host."

"""From nothing to an answer: database, catalog, administrator, API key, discovery, server, one real request.

Owns the story and what it prints; each step is somebody else's function. What exists is kept: a second run makes no
user and no key, it only starts. Passwords and keys are printed once, when they are made, and stored only as hashes.
"""

from __future__ import annotations

import fcntl
import logging
import secrets
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connections, transaction
from django.utils import timezone
from rich.console import Console

from analytics import audit, keys
from analytics.models import ApiKey
from gateway import adoption, children, discovery, first_request, serving
from gateway.serving import StartError
from providers import embedded
from providers.models import Provider
from routing import catalog, catalog_rows

ACTOR = "quickstart"
ADMIN_NAME = "admin"
KEY_NAME = "quickstart"
PROBE_KEY_LIVES = timedelta(minutes=5)
READY_WITHIN_S = 60.0
POLL_S = 0.1
LEAST_FREE_BYTES = 64 * 1024 * 1024
_EMBEDDED_IN_WORDS = {
    adoption.Embedded.ENABLED: f"the embedded model {embedded.MODEL} fills in.",
    adoption.Embedded.NOT_INSTALLED: f"the embedded model would fill in; to have it, run: {embedded.INSTALL_HINT}",
    adoption.Embedded.SWITCHED_OFF: "the embedded model would fill in, but its provider is switched off.",
}


@dataclass(frozen=True, slots=True)
class Options:
    port: int = serving.DEFAULT_PORT
    keep_serving: bool = True

    @property
    def url(self) -> str:
        return f"http://{serving.DEFAULT_HOST}:{self.port}"


def run(options: Options, *, console: Console) -> bool:
    """Runs the story; returns whether a request was answered or none was due. Stops everything it started.

    Raises: StartError; KeyboardInterrupt when it is interrupted before it serves.
    """
    logging.getLogger("httpx").setLevel(logging.WARNING)  # its lines would stand between ours
    with children.interruptible(), serving.in_plain_words(), ExitStack() as held:
        _refuse_what_cannot_work(options)
        held.enter_context(_alone())
        _prepare_database(console)
        _make_administrator(console)
        with _key_to_try(options, console=console) as key:
            _discover(console)
            connections.close_all()
            with serving.crew(grace_s=serving.stops_within_s()) as crew:
                server = _start_server(options, crew=crew, console=console)
                answered = key is None or first_request.send(options.url, key=key, console=console)
                _print_addresses(options, console=console)
                if options.keep_serving:
                    _wait_for_interrupt(server, console=console)
    return answered


@contextmanager
def step(doing: str, *, console: Console) -> Iterator[None]:
    """Says what is being done, with a spinner where the output is a terminal, and how long it took."""
    if not console.is_terminal:
        console.print(f"{doing} ...", highlight=False)
        yield
        return
    started_at = time.monotonic()
    with console.status(f"{doing} ...", spinner="line"):
        yield
    console.print(f"{doing} [dim]{time.monotonic() - started_at:.1f} s[/dim]", highlight=False)


def _refuse_what_cannot_work(options: Options) -> None:
    serving.bind(serving.DEFAULT_HOST, options.port).close()
    folder: Path = settings.VAR_DIR
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE_BYTES:
        raise StartError(
            f"Only {free // 2**20} MB are free on the disk of {folder}; the gateway needs {LEAST_FREE_BYTES // 2**20}: "
            f"free some space or set VAR_DIR to a folder on another disk."
        )


@contextmanager
def _alone() -> Iterator[None]:
    """Two quick starts at once would both make the database. Raises: StartError."""
    with (settings.VAR_DIR / "quickstart.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartError(
                f"Another quick start is running in {settings.VAR_DIR}: use that one, or set VAR_DIR to another folder."
            ) from None
        yield


def _prepare_database(console: Console) -> None:
    with step("Preparing the database", console=console):
        call_command("migrate", verbosity=0, interactive=False)
    if not Provider.objects.exists():
        with step("Loading the catalog of providers and models", console=console):
            catalog_rows.load(catalog.read(catalog.SHIPPED), actor=ACTOR)


def _make_administrator(console: Console) -> None:
    users = get_user_model().objects
    if users.filter(is_superuser=True).exists():
        return
    password = secrets.token_urlsafe(18)
    name = f"{ADMIN_NAME}-{secrets.token_hex(2)}" if users.filter(username=ADMIN_NAME).exists() else ADMIN_NAME
    with transaction.atomic(), audit.told_here():
        users.create_superuser(username=name, email="", password=password)
        audit.record("user.created", actor=ACTOR, target=name, after={"is_superuser": True})
    _print_once(f"Administrator of the dashboard: {name}, password: {password}", console=console)


@contextmanager
def _key_to_try(options: Options, *, console: Console) -> Iterator[str | None]:
    """The key of the first request: a new one that stays when there is none yet, else one for this run alone."""
    if not ApiKey.objects.exists():
        key = keys.create(KEY_NAME, actor=ACTOR).secret
        _print_once(f"API key, for the commands below: export GATEWAY_API_KEY={key}", console=console)
        yield key
    elif options.keep_serving:
        yield None
    else:
        name = f"{KEY_NAME}-check-{secrets.token_hex(4)}"
        probe = keys.create(name, actor=ACTOR, expires_at=timezone.now() + PROBE_KEY_LIVES)
        try:
            yield probe.secret
        finally:
            _delete_key(probe.row)


def _delete_key(row: ApiKey) -> None:
    with transaction.atomic(), audit.told_here():
        audit.record("api_key.deleted", actor=ACTOR, target=str(row), project_id=row.project_id)
        row.delete()


def _discover(console: Console) -> None:
    with step("Looking for providers and local models", console=console):
        findings = discovery.look()
    console.print(discovery.table(findings), highlight=False, markup=False)
    if word := _EMBEDDED_IN_WORDS.get(adoption.adopt(findings, actor=ACTOR)):
        console.print(f"Nothing free found: {word}", highlight=False, soft_wrap=True)


def _start_server(options: Options, *, crew: children.Crew, console: Console) -> children.Child:
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "serve"]
    command += ["--host", serving.DEFAULT_HOST, "--port", str(options.port)]
    if not options.keep_serving:
        command.append("--no-worker")
    connections.close_all()
    with step("Starting the server, and the embedded model where it is wanted", console=console):
        server = crew.start("server", command)
        _wait_until_none(lambda: _not_ready(options.url), server=server)
    return server


def _wait_until_none(trouble: Callable[[], str | None], *, server: children.Child) -> None:
    """Asks until there is no trouble any more.

    Raises: StartError when there still is after READY_WITHIN_S, or the server ended.
    """
    deadline = time.monotonic() + READY_WITHIN_S
    while (what := trouble()) is not None:
        if server.starts > 1 or not server.is_running:
            raise StartError(f"The server ended (its log is {server.log}). It said last:\n{server.last_words()}")
        if time.monotonic() > deadline:
            raise StartError(f"After {READY_WITHIN_S:.0f} s still: {what}. The logs are in {server.log.parent}.")
        time.sleep(POLL_S)


def _not_ready(url: str) -> str | None:
    try:
        response = httpx.get(f"{url}/health/ready", timeout=5.0, trust_env=False)
    except httpx.HTTPError as error:
        return f"the server does not answer ({error or type(error).__name__})"
    return None if response.status_code == httpx.codes.OK else f"the server is not ready ({response.text[:300]})"


def _print_addresses(options: Options, *, console: Console) -> None:
    lines = [
        "",
        "Another API key: uv run manage.py keys create NAME",
        "Lost the login?  uv run manage.py changepassword admin",
    ]
    if options.keep_serving:
        lines += [
            f"Dashboard:       {options.url}/admin/",
            f"API:             {options.url}/v1",
            f"Logs:            {settings.VAR_DIR / 'log'}",
        ]
    else:
        lines += ["Start it again:  uv run --extra local manage.py quickstart"]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def _wait_for_interrupt(server: children.Child, *, console: Console) -> None:
    """Returns after the first Ctrl-C; the next ones are the server's, which then stops at once."""
    forever = threading.Event()
    try:
        console.print("\nServing; try it from a second terminal. Ctrl-C stops everything.", highlight=False)
        while not forever.wait(1.0):  # in slices: a signal that comes just before the wait is seen after it
            pass
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, lambda *_: server.process.send_signal(signal.SIGINT))
        console.print(serving.stopping(), highlight=False, soft_wrap=True)


def _print_once(text: str, *, console: Console) -> None:
    shown = f"{text}\n(Shown this once; only its hash is stored.)\n"
    console.print(shown, highlight=False, markup=False, soft_wrap=True)

"""How long the dashboard's pages take on a ledger with millions of rows, from a real server, as an administrator.

DATABASE_URL=postgres://... uv run manage.py migrate
DATABASE_URL=postgres://... uv run manage.py seed_usage
DATABASE_URL=postgres://... uv run python -m tests.load.pages
"""

from __future__ import annotations

import argparse
import logging
import os
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
django.setup()

import httpx  # noqa: E402 - Django is set up between the imports
from django.contrib import admin  # noqa: E402
from django.contrib.auth import get_user_model  # noqa: E402
from django.test import RequestFactory  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from analytics.models import ApiKey, Project, UsageRecord  # noqa: E402
from gateway.pages import navigation  # noqa: E402
from providers.models import Model, Provider  # noqa: E402
from tests.load.servers import ROOT  # noqa: E402
from tests.process.gateway_process import free_port  # noqa: E402

NAME = "page-timer"
START_S = 60.0
PAGE_S = 60.0
KEYS = 500


def main() -> None:
    parser = argparse.ArgumentParser(description="Times the dashboard's pages on the ledger there is.")
    parser.add_argument("--times", type=int, default=7, help="Each so often; the median counts (%(default)s).")
    parser.add_argument("--most-ms", type=float, default=200.0, help="Fails above (%(default)s).")
    asked = parser.parse_args()
    password = secrets.token_urlsafe()
    logging.getLogger("httpx").setLevel(logging.WARNING)
    user, keys = get_user_model().objects.create_superuser(NAME, password=password), _keys()
    try:
        request = RequestFactory().get("/")
        request.user = user
        links = [link.url for group in navigation.of(request, admin.site) for link in group.links]
        with _server() as url, httpx.Client(base_url=url, timeout=PAGE_S, follow_redirects=True) as client:
            _sign_in(client, password)
            slow = _report(client, [*links, *_others()], times=asked.times, most_ms=asked.most_ms)
    finally:
        user.delete()
        ApiKey.objects.filter(pk__in=keys).delete()
    if slow:
        sys.exit(f"Slower than {asked.most_ms:g} ms: {', '.join(slow)}")


def _keys() -> list[int]:
    """As many keys as the seeded usage has; that has ids that no row can have, so theirs is none. Returns their ids."""
    project = Project.objects.get(slug="default")
    made = [
        ApiKey(project=project, name=f"timed {number}", prefix=f"agw_{number:08}", key_hash=secrets.token_bytes(32))
        for number in range(KEYS)
    ]
    return [row.pk for row in ApiKey.objects.bulk_create(made)]


def _others() -> Iterator[str]:
    """Beside what the navigation leads to: windows, searches, and the pages of single rows."""
    busiest = UsageRecord.objects.order_by("-started_at")[0]
    yield from (f"/admin/?window={window}" for window in ("1h", "7d", "30d"))
    yield f"/admin/?window=30d&project={busiest.project}"
    yield from ("/admin/requests/?since=7d&status=5xx", "/admin/requests/?since=24h&error=time")
    yield f"/admin/requests/?since=7d&key={busiest.key_name}"
    yield from ("/admin/requests/?since=24h&cost_over=0.5", "/v1/requests?since=24h&format=csv&limit=1000")
    for back in (0, 5_000_000):
        yield from (f"/admin/requests/{row}/" for row in _ids(back))
    yield from (f"/admin/tokens/{row}/" for row in ApiKey.objects.values_list("pk", flat=True)[:1])
    yield from (f"/admin/projects/{slug}/" for slug in Project.objects.values_list("slug", flat=True)[:1])
    yield from (f"/admin/providers/{slug}/" for slug in Provider.objects.values_list("slug", flat=True)[:1])
    yield from (f"/admin/models/{row}/" for row in Model.objects.select_related("provider")[:1])


def _ids(back: int) -> list[object]:
    return list(UsageRecord.objects.order_by("-started_at").values_list("pk", flat=True)[back : back + 1])


def _report(client: httpx.Client, paths: list[str], *, times: int, most_ms: float) -> list[str]:
    """Prints what each took; returns those that took too long."""
    table = Table("page", "median ms", "worst ms", "KiB", box=None)
    slow = []
    for path in dict.fromkeys(paths):
        took_ms = []
        for _ in range(times):
            began = time.perf_counter()
            answer = client.get(path)
            took_ms.append((time.perf_counter() - began) * 1000)
            answer.raise_for_status()
        median = statistics.median(took_ms)
        table.add_row(path, f"{median:.0f}", f"{max(took_ms):.0f}", f"{len(answer.content) / 1024:.0f}")
        if median > most_ms:
            slow.append(path)
    Console(width=140).print(table)
    return slow


def _sign_in(client: httpx.Client, password: str) -> None:
    client.get("/admin/login/")
    form = {"username": NAME, "password": password, "csrfmiddlewaretoken": client.cookies["csrftoken"]}
    client.post("/admin/login/?next=/admin/", data=form, headers={"Referer": str(client.base_url)}).raise_for_status()
    assert "sessionid" in client.cookies


@contextmanager
def _server() -> Iterator[str]:
    """The gateway as its command starts it, on the database that the environment names."""
    port = free_port()
    command = [sys.executable, "manage.py", "serve", "--port", str(port), "--no-worker", "--no-model"]
    env = os.environ | {"SECURE_COOKIES": "false"}
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url)
        yield url
    finally:
        process.terminate()
        process.wait(START_S)


def _wait(url: str) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        try:
            if httpx.get(f"{url}/health/ready").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    sys.exit("The gateway did not start.")


if __name__ == "__main__":
    main()

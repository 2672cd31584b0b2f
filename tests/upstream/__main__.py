"""`python -m tests.upstream --log FILE [--port 0]`: serves until SIGTERM; says where as one JSON line on stdout."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from pathlib import Path

import uvloop
from aiohttp import web

from tests.upstream.log import Log
from tests.upstream.script import parse
from tests.upstream.server import Upstream

GRACE_S = 0.1


def main() -> None:
    options = _read_options()
    parse(options.default_script)  # a mistake here should stop us now, not answer every request with 400
    uvloop.run(_serve(options))


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.upstream", description="A scripted upstream.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--port-file", type=Path, help="write the JSON line here too")
    parser.add_argument("--log", type=Path, required=True, help="append what was seen to this file")
    parser.add_argument("--no-log-bodies", action="store_true", help="for load tests")
    parser.add_argument("--default-script", default="ok", help="for requests that carry none")
    parser.add_argument("--strict", action="store_true", help="refuse the chat requests that api.openai.com refuses")
    parser.add_argument("--model", action="append", metavar="NAME", help="list this at /v1/models (repeatable)")
    return parser.parse_args()


async def _serve(options: argparse.Namespace) -> None:
    log = Log(options.log)
    upstream = Upstream(
        log=log,
        default_script=options.default_script,
        models=tuple(options.model or ("ok",)),
        log_bodies=not options.no_log_bodies,
        strict=options.strict,
    )
    runner = web.AppRunner(upstream.application(), handler_cancellation=True, access_log=None, shutdown_timeout=GRACE_S)
    await runner.setup()
    site = web.TCPSite(runner, options.host, options.port, backlog=1024)
    await site.start()
    _announce(options, port=runner.addresses[0][1])
    await _until_stopped()
    await runner.cleanup()
    log.close()


def _announce(options: argparse.Namespace, *, port: int) -> None:
    line = json.dumps({"port": port, "url": f"http://{options.host}:{port}/v1"})
    print(line, flush=True)
    if options.port_file is not None:
        options.port_file.write_text(line + "\n")


async def _until_stopped() -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()


if __name__ == "__main__":
    main()

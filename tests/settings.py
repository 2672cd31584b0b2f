"""The project's own settings over an empty var folder; SQLite, or a real PostgreSQL with `TEST_DATABASE=postgres`."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from urllib.parse import quote

VAR = Path(tempfile.mkdtemp(prefix="gateway-tests-"))
atexit.register(shutil.rmtree, VAR, ignore_errors=True)
for name in ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL"):
    os.environ.pop(name, None)
os.environ["VAR_DIR"] = str(VAR)

if os.environ.get("TEST_DATABASE") == "postgres":
    from tests.postgres import server_folder

    os.environ["DATABASE_URL"] = f"postgres://postgres@{quote(str(server_folder()), safe='')}/postgres"
    os.environ["SECRET_KEY"] = "for-the-tests-only-and-nothing-else"
    os.environ["KEY_HASH_KEY"] = "for-the-tests-only-and-nothing-else"
    os.environ["CREDENTIAL_KEY"] = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

from gateway.settings import *

if IS_EMBEDDED:
    # A file, not memory: the snapshot's and the drainer's threads have connections of their own.
    DATABASES["default"]["TEST"] = {"NAME": str(VAR / "test.sqlite3")}
else:
    DATABASES["default"]["OPTIONS"].pop("pool")
# Files of pages are looked up when asked for: each test's client would list all of them first.
WHITENOISE_AUTOREFRESH = True
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

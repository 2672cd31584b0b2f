"""`.env.example`: who removes the `# ` before a setting gets what the file promises, the default."""

import io
import os
import re
import subprocess
import sys

import pytest
from django.conf import settings
from dotenv import dotenv_values

from gateway import checks, env, secrets
from routing import catalog

TEXT = (settings.BASE_DIR / ".env.example").read_text()
LINES = re.findall(r"^# ([A-Z][A-Z0-9_]*=.*)$", TEXT, re.MULTILINE)
VALUES = dotenv_values(stream=io.StringIO("\n".join(LINES)))
PROVIDER_KEYS = {provider.credential_env for provider in catalog.read(catalog.SHIPPED).providers} - {None}


def test_it_sets_nothing_as_it_is():
    assert dotenv_values(stream=io.StringIO(TEXT)) == {}


@pytest.mark.parametrize("line", LINES)
def test_a_line_holds_a_value_and_nothing_else(line):
    name, _, value = line.partition("=")
    assert re.fullmatch(r"[^\s#\"']*", value)
    assert VALUES[name] == value


def test_every_line_is_a_setting_that_is_read_and_every_setting_has_a_line():
    elsewhere = PROVIDER_KEYS | checks.COMPOSE_NAMES | checks.NETWORK_NAMES
    assert env.unknown_names(frozenset(VALUES), also_known=elsewhere) == []
    text = (settings.BASE_DIR / "gateway" / "settings.py").read_text()
    read = set(re.findall(r'env\.\w+\("([A-Z0-9_]+)"', text)) | set(secrets.NAMES)
    assert VALUES.keys() == read | elsewhere


def test_secrets_are_left_empty():
    assert {VALUES[name] for name in (*secrets.NAMES, *PROVIDER_KEYS, "POSTGRES_PASSWORD")} == {""}


def test_with_every_line_in_force_the_settings_are_the_defaults(tmp_path):
    names = "SESSION_COOKIE_SECURE CELERY_BROKER_URL ALLOWED_HOSTS CORS_ALLOWED_ORIGINS LOG_LEVEL"
    show = (
        f"from gateway import settings as s; print([getattr(s, name, None) for name in {names.split()}], s.DATABASES)"
    )
    bare = {name: value for name, value in os.environ.items() if name not in VALUES} | {"VAR_DIR": str(tmp_path)}
    shown = [
        subprocess.run(
            [sys.executable, "-c", show], cwd=settings.BASE_DIR, env=given, capture_output=True, text=True, check=True
        ).stdout
        for given in (bare, VALUES | bare)
    ]
    assert shown[0] == shown[1] != ""

"""The three keys everything else hangs on, and where they come from.

`SECRET_KEY` signs sessions, `CREDENTIAL_KEY` encrypts provider credentials, `KEY_HASH_KEY` keys the hash of API keys:
three independent random values, so that rotating one leaves the others alone. They come from the environment (or
`NAME_FILE`), else from `secrets.toml` in the var folder. An embedded installation makes that file on first use; one
with a database of its own must be given it, because new keys would make stored credentials unreadable.
"""

from __future__ import annotations

import os
import secrets
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import tomli_w
from cryptography.fernet import Fernet

NAMES = ("SECRET_KEY", "CREDENTIAL_KEY", "KEY_HASH_KEY")
LEAST_CHARACTERS = 32


class SecretsError(Exception):
    """The secrets file cannot be made or read, or a secret is no secret; the message says what to do."""


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    secret_key: str
    credential_key: str
    """A Fernet key: 32 random bytes in URL-safe base64."""
    key_hash_key: str

    @property
    def missing(self) -> list[str]:
        values = (self.secret_key, self.credential_key, self.key_hash_key)
        return [name for name, value in zip(NAMES, values, strict=True) if not value]


def load(path: Path, *, given: dict[str, str], create: bool) -> Secrets:
    """Merges what the environment gave with the file; makes the file when allowed and something is missing.

    Raises: SecretsError.
    """
    if path.parent.exists() and not path.parent.is_dir():
        raise SecretsError(f"VAR_DIR ({path.parent}) is not a directory: remove that file, or set VAR_DIR to a folder.")
    values = {name: given.get(name) or "" for name in NAMES}
    if not all(values.values()):
        if create and not path.exists():
            _create(path)
        stored = _read(path) if path.exists() else {}
        values = {name: value or stored.get(name, "") for name, value in values.items()}
    for name, value in values.items():
        _refuse_what_is_no_secret(name, value)
    return Secrets(values["SECRET_KEY"], values["CREDENTIAL_KEY"], values["KEY_HASH_KEY"])


def _refuse_what_is_no_secret(name: str, value: str) -> None:
    """A comment or a command that was left behind the `=`, or a word somebody could guess. Raises: SecretsError."""
    parts = [part.strip() for part in value.split(",")] if name == "CREDENTIAL_KEY" else [value]
    for part in filter(None, parts):
        if len(part.split()) != 1 or part != part.strip():
            raise SecretsError(f"{name} holds white space: give the value alone. .env.example says how to make one.")
        if len(part) < LEAST_CHARACTERS:
            raise SecretsError(
                f"{name} has {len(part)} characters and needs {LEAST_CHARACTERS}: .env.example says how to make one."
            )


def _create(path: Path) -> None:
    content = tomli_w.dumps(
        {
            "SECRET_KEY": secrets.token_urlsafe(48),
            "CREDENTIAL_KEY": Fernet.generate_key().decode(),
            "KEY_HASH_KEY": secrets.token_urlsafe(32),
        }
    )
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    _make_folder(path.parent)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"# Back this file up: without it stored credentials and API keys are useless.\n{content}")
        # Two first starts at once: link() lets one of them win, the other reads what the winner wrote.
        os.link(temporary, path)
    except FileExistsError:
        pass
    except OSError as error:
        raise SecretsError(
            f"Cannot write {path}: {error.strerror}. Free the disk, or set VAR_DIR to a folder you may write."
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SecretsError(
            f"VAR_DIR ({folder}) cannot be made: {error.strerror}. Set VAR_DIR to a folder that this user may make."
        ) from error


def _read(path: Path) -> dict[str, str]:
    try:
        return {name: str(value) for name, value in tomllib.loads(path.read_text()).items()}
    except OSError as error:
        raise SecretsError(f"Cannot read {path}: {error.strerror}. Run as the user who owns it.") from error
    except tomllib.TOMLDecodeError as error:
        raise SecretsError(f"{path} is not valid TOML ({error}). Restore it from a backup.") from error

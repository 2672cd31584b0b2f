"""Reads the environment, typed, and remembers what was asked for.

Every setting may also come from `.env` beside `manage.py`, or, as `NAME_FILE`, from a file (container secrets). The
environment wins over `.env`. An empty value counts as none: the default holds. Wrong values raise `EnvError` naming the
variable. Names in `.env` that no setting reads are reported by the system check `gateway.E002`: a misspelt limit must
not pass unseen.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

from dotenv import dotenv_values, load_dotenv
from environs import EnvError, EnvValidationError, FileAwareEnv

__all__ = ["EnvError", "env", "read_dotenv", "unknown_names"]

NOT_SHOWN = ("KEY", "TOKEN", "PASSWORD", "SECRET", "URL")
"""Ends of the names whose values stay out of messages; a URL may hold a password."""
Reader = TypeVar("Reader", bound=Callable[..., Any])


def _showing_value(read: Reader) -> Reader:
    """The same, but what it says of a wrong value shows it, unless that is a secret."""

    @wraps(read)
    def showing(self: RecordingEnv, name: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return read(self, name, *args, **kwargs)
        except EnvValidationError as error:
            if name.endswith(NOT_SHOWN):
                raise
            text = f"{error} It is {self.str(name)!r}."
            raise EnvValidationError(text, error.error_messages) from error

    return cast(Reader, showing)


class RecordingEnv(FileAwareEnv):
    """A `FileAwareEnv` that knows which names were read."""

    def __init__(self) -> None:
        super().__init__(strip_whitespace=True)
        self.asked: set[str] = set()

    def _get_value(self, env_key: str, default: object) -> object:
        self.asked.update((env_key, f"{env_key}{self.file_suffix}"))
        value = super()._get_value(env_key, default)
        return default if value == "" else value

    int = _showing_value(FileAwareEnv.int)
    float = _showing_value(FileAwareEnv.float)
    bool = _showing_value(FileAwareEnv.bool)
    log_level = _showing_value(FileAwareEnv.log_level)


env = RecordingEnv()


def read_dotenv(path: Path) -> frozenset[str]:
    """Loads `path` into the environment where a name is not set yet; returns the names it holds."""
    if not path.is_file():
        return frozenset()
    load_dotenv(path, override=False)
    return frozenset(dotenv_values(path))


def unknown_names(names: frozenset[str], *, also_known: frozenset[str]) -> list[str]:
    """The names no setting has read. `also_known`: names that are read elsewhere, such as provider keys."""
    return sorted(names - env.asked - also_known)

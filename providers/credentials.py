"""Provider credentials: encrypted at rest with Fernet, opened only on the way into the snapshot.

`CREDENTIAL_KEY` may hold several keys separated by commas: the first encrypts, all decrypt, so a key can be replaced.
"""

from __future__ import annotations

import logging
import os
import re

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from providers.models import Credential
from providers.spelling import may_be_read

logger = logging.getLogger(__name__)

LONGEST = 4096
"""Characters of a secret; tokens of some clouds take 2,000."""
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class CredentialProblem(Exception):
    """A credential cannot be opened with the keys at hand, or cannot be sent as it is."""


def seal(value: str) -> str:
    return _cipher().encrypt(value.encode()).decode()


def mistake(value: str) -> str | None:
    """What is wrong with a secret as it was typed; None when nothing is. It stays out of the message."""
    secret = value.strip()
    if not secret:
        return "This is empty."
    if CONTROL_CHARACTER.search(secret) or not secret.isascii() or len(secret) > LONGEST:
        return "Use the key alone, on one line, as the provider's own site shows it."
    return None


def set_value(credential: Credential, value: str) -> None:
    """Puts `value` into the row in place of whatever source it had. Does not save it."""
    value = value.strip()
    credential.env_var = ""
    credential.encrypted_value = seal(value)
    # Four characters of a short secret would be most of it.
    credential.last_four = value[-4:] if len(value) >= 16 else ""


def opened(credential: Credential) -> str | None:
    """The secret itself without the white space around it (files of secrets end in a newline).

    None when it is empty, and when the environment variable is not set or may not be read.
    Raises: CredentialProblem.
    """
    secret = (_from_environment(credential) if credential.env_var else _decrypted(credential)).strip()
    if CONTROL_CHARACTER.search(secret):
        raise CredentialProblem(f"{_called(credential)} holds a line break or another control character.")
    return secret or None


def _from_environment(credential: Credential) -> str:
    # Checked here again: rows may be written past the form's validator.
    if not may_be_read(credential.env_var):
        logger.error("%s names an environment variable that it may not read.", _called(credential))
        return ""
    return os.environ.get(credential.env_var, "")


def _decrypted(credential: Credential) -> str:
    try:
        return _cipher().decrypt(credential.encrypted_value.encode()).decode()
    except InvalidToken as error:
        raise CredentialProblem(f"{_called(credential)} was encrypted with another CREDENTIAL_KEY.") from error


def _called(credential: Credential) -> str:
    return f"Credential {credential.name!r} of {credential.provider.slug}"


def _cipher() -> MultiFernet:
    return MultiFernet([Fernet(key.strip()) for key in settings.CREDENTIAL_KEY.split(",")])

"""Provider credentials: encrypted at rest with Fernet, opened only on the way into the snapshot.

`CREDENTIAL_KEY` may hold several keys separated by commas: the first encrypts, all decrypt, so a key can be replaced.
"""

from __future__ import annotations

import os

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from providers.models import Credential


class CredentialProblem(Exception):
    """A stored credential cannot be opened with the keys at hand."""


def seal(value: str) -> str:
    return _cipher().encrypt(value.encode()).decode()


def set_value(credential: Credential, value: str) -> None:
    """Puts `value` into the row in place of whatever source it had. Does not save it."""
    credential.env_var = ""
    credential.encrypted_value = seal(value)
    # Four characters of a short secret would be most of it.
    credential.last_four = value[-4:] if len(value) >= 16 else ""


def opened(credential: Credential) -> str | None:
    """The secret itself, or None when the environment variable is not set or empty.

    Raises: CredentialProblem.
    """
    if credential.env_var:
        return os.environ.get(credential.env_var) or None
    try:
        return _cipher().decrypt(credential.encrypted_value.encode()).decode()
    except InvalidToken as error:
        raise CredentialProblem(
            f"Credential {credential.name!r} of {credential.provider.slug} was encrypted with another CREDENTIAL_KEY."
        ) from error


def _cipher() -> MultiFernet:
    return MultiFernet([Fernet(key.strip()) for key in settings.CREDENTIAL_KEY.split(",")])

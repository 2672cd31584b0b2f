"""What the Messages API's errors mean."""

from __future__ import annotations

from providers.types import ProviderError


def read_error(status: int, *, body: bytes, retry_after: str | None) -> ProviderError:
    raise NotImplementedError

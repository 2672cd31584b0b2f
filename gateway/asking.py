"""Asks a provider which models it offers, in the way of its kind, and what it thinks of our key. Spends nothing.

Owns the addresses; what comes back is read by `routing.offers`. Call it within `providers.door.opened()`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from enum import StrEnum
from http import HTTPStatus
from urllib.parse import quote, urljoin, urlsplit

import msgspec

from providers import door
from providers.dialects.spoken import dialect_of
from providers.door import Fetched
from providers.types import Provider, ProviderError
from routing.offers import anthropic, lmstudio, ollama, openai, openrouter
from routing.offers.offer import OfferError, Offers, checked

MOST_PAGES = 40
AT_ONCE = 8
"""Models of one server that are asked after at the same time."""
ANTHROPIC_PAGE = 1000


class Family(StrEnum):
    """Providers with a list of a form or at an address of its own; all others have OpenAI's."""

    ANTHROPIC = "anthropic"
    OPENROUTER = "openrouter"
    OLLAMA = "ollama"
    LM_STUDIO = "lmstudio"
    OPENAI = "openai"


PORTS = {11434: Family.OLLAMA, 1234: Family.LM_STUDIO}
"""Where local servers listen unless told otherwise."""


def family_of(provider: Provider) -> Family:
    """By dialect, then by what the row is called or points at."""
    if provider.dialect == "anthropic":
        return Family.ANTHROPIC
    for family in (Family.OPENROUTER, Family.OLLAMA, Family.LM_STUDIO):
        if provider.slug.replace("-", "").startswith(family.value):
            return family
    address = urlsplit(provider.base_url)
    if address.hostname == "openrouter.ai":
        return Family.OPENROUTER
    return PORTS.get(address.port or 0, Family.OPENAI) if provider.is_local else Family.OPENAI


async def offers_of(provider: Provider, *, within_s: float) -> Offers:
    """Everything the provider tells of its models. Raises: ProviderError, OfferError, TimeoutError."""
    async with asyncio.timeout(within_s):
        match family_of(provider):
            case Family.OLLAMA:
                return await _of_ollama(provider, await names_at_ollama(provider))
            case Family.LM_STUDIO:
                return await _of_lm_studio(provider)
            case Family.ANTHROPIC:
                read = anthropic.read
            case Family.OPENROUTER:
                read = openrouter.read
            case _:
                read = openai.read
        pages = await _pages(provider)
        return checked(found for page in pages for found in read(page))


async def offers_named(provider: Provider, names: Collection[str], *, within_s: float) -> Offers:
    """`offers_of` for a few names, which is quicker where each is asked after by itself."""
    if family_of(provider) is not Family.OLLAMA:
        return await offers_of(provider, within_s=within_s)
    async with asyncio.timeout(within_s):
        return await _of_ollama(provider, names)


async def names_of(provider: Provider, *, within_s: float) -> tuple[str, ...]:
    """The names at the address that chats go to as well. Raises: ProviderError, OfferError, TimeoutError."""
    async with asyncio.timeout(within_s):
        found = dict.fromkeys(name for page in await _pages(provider) for name in openai.read_names(page))
        return tuple(found)


async def check_key(provider: Provider, *, within_s: float) -> None:
    """Asks whether the provider takes the key, where its list of models does not tell.

    Raises: ProviderError, TimeoutError.
    """
    address = address_for_key(provider)
    if provider.credential and address != _list_address(provider):
        async with asyncio.timeout(within_s):
            await _get(provider, address)


def address_for_key(provider: Provider) -> str:
    """Where a key is looked at: at the list of models, but for the vendor that shows it to anyone."""
    return f"{provider.base_url}/key" if family_of(provider) is Family.OPENROUTER else _list_address(provider)


async def names_at_ollama(provider: Provider) -> tuple[str, ...]:
    return ollama.read_names(await _get(provider, f"{_root(provider)}/api/tags"))


async def _of_ollama(provider: Provider, names: Collection[str]) -> Offers:
    places = asyncio.Semaphore(AT_ONCE)

    async def shown(name: str) -> tuple[str, bytes]:
        async with places:
            return name, await _show(provider, name)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(shown(name)) for name in names]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return checked(ollama.read(dict(task.result() for task in tasks)))


async def _show(provider: Provider, name: str) -> bytes:
    response = await door.post(
        f"{_root(provider)}/api/show",
        body=msgspec.json.encode({"model": name}),
        headers=dialect_of(provider).headers(provider),
        timeouts=provider.timeouts,
        is_local=provider.is_local,
    )
    try:
        return _good(provider, Fetched(response.status, await door.read(response), response.content_type))
    finally:
        response.release()


async def _of_lm_studio(provider: Provider) -> Offers:
    try:
        return checked(lmstudio.read(await _get(provider, f"{_root(provider)}/api/v0/models")))
    except ProviderError as error:
        if error.status is None:
            raise
        return checked(openai.read((await _pages(provider))[0]))  # a version without that address


async def _pages(provider: Provider) -> list[bytes]:
    """The bodies of the list at `/models`, one a page."""
    family, first = family_of(provider), _list_address(provider)
    if family is Family.ANTHROPIC:
        first += f"?limit={ANTHROPIC_PAGE}"
    pages: list[bytes] = []
    url: str | None = first
    while url is not None:
        if len(pages) == MOST_PAGES:
            raise OfferError(f"its list has more than {MOST_PAGES} pages")
        pages.append(await _get(provider, url))
        url = _next(family, pages[-1], first=first)
    return pages


def _next(family: Family, page: bytes, *, first: str) -> str | None:
    """The address of the next page. Raises: OfferError."""
    if family is Family.ANTHROPIC:
        cursor = anthropic.cursor(page)
        return f"{first}&after_id={quote(cursor, safe='')}" if cursor else None
    link = openrouter.next_page(page) if family is Family.OPENROUTER else None
    if link is None:
        return None
    try:
        url = urljoin(first, link)
        is_elsewhere = urlsplit(url)[:2] != urlsplit(first)[:2]
    except ValueError as error:
        raise OfferError("its list goes on at an address that is none") from error
    if is_elsewhere:  # our key goes with it
        raise OfferError("its list goes on at another host")
    return url


async def _get(provider: Provider, url: str) -> bytes:
    """The body of a 200. Raises: ProviderError."""
    headers = dialect_of(provider).headers(provider)
    return _good(provider, await door.get(url, headers=headers, timeouts=provider.timeouts, is_local=provider.is_local))


def _good(provider: Provider, answer: Fetched) -> bytes:
    if answer.status == HTTPStatus.OK:
        return answer.body
    error = dialect_of(provider).read_error(answer.status, body=answer.body, retry_after=None)
    if provider.credential:
        error.mask(provider.credential)
    raise error


def _list_address(provider: Provider) -> str:
    return f"{provider.base_url}/models"


def _root(provider: Provider) -> str:
    """Where a local server's own addresses begin."""
    return provider.base_url.removesuffix("/v1")

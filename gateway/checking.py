"""Checks providers without spending anything: key, address, answer, speed, and whether our models are in the list.

Reads rows first, then asks all providers at once. What is wrong becomes `gateway.mending.Problem` values.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from django.urls import reverse

from gateway import asking, mending
from gateway.mending import Place, Problem, Trouble
from providers import addresses, credentials, door, rows, spelling
from providers import models as tables
from providers.types import Provider, ProviderError
from routing.offers import naming
from routing.offers.offer import OfferError

TIMEOUT_S = 10.0
SLOW_S = 2.0
NAMED = 5
"""Models out of the list that are told one by one; the others only counted."""


class UnknownProvider(Exception):
    """There is no provider of that name; the message says which there are."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A provider with what its rows say of it."""

    provider: Provider
    place: Place
    enabled: bool
    models: tuple[str, ...]
    """Names of the enabled ones."""
    key_problem: Problem | None


@dataclass(frozen=True, slots=True)
class Check:
    slug: str
    enabled: bool
    problems: tuple[Problem, ...]
    took_s: float | None = None
    """How long the list took; None without one."""
    listed: int | None = None
    """How many models it lists."""
    models: int = 0
    """How many of ours are enabled."""

    @property
    def is_well(self) -> bool:
        return not self.problems

    @property
    def lacks_its_key(self) -> bool:
        """It was never set up: the plan passes it over, and nothing is broken."""
        return any(problem.trouble is Trouble.NO_KEY for problem in self.problems)


def subjects(slugs: Collection[str] = ()) -> list[Subject]:
    """The named providers, or all enabled ones. Raises: UnknownProvider."""
    found = tables.Provider.objects.filter(slug__in=slugs) if slugs else tables.Provider.objects.filter(enabled=True)
    by_slug = {row.slug: row for row in found.prefetch_related("credentials__provider", "models")}
    for slug in slugs:
        if slug not in by_slug:
            known = ", ".join(tables.Provider.objects.values_list("slug", flat=True))
            raise UnknownProvider(f"There is no provider {slug!r}; there is {known or 'none: manage.py catalog load'}.")
    providers = rows.providers_by_id(found)
    return [_subject(by_slug[slug], provider=providers[by_slug[slug].pk]) for slug in dict.fromkeys(slugs or by_slug)]


def run(
    found: Sequence[Subject],
    *,
    within_s: float = TIMEOUT_S,
    slow_s: float = SLOW_S,
    done: Callable[[str], None] = lambda slug: None,
) -> list[Check]:
    """Checks all at once; `done` is told each slug as it is through."""
    return asyncio.run(_run(found, within_s=within_s, slow_s=slow_s, done=done))


async def _run(found: Sequence[Subject], *, within_s: float, slow_s: float, done: Callable[[str], None]) -> list[Check]:
    async def one(subject: Subject) -> Check:
        checked = await check(subject, within_s=within_s, slow_s=slow_s)
        done(checked.slug)
        return checked

    async with door.opened():
        return await asyncio.gather(*(one(subject) for subject in found))


async def check(subject: Subject, *, within_s: float, slow_s: float) -> Check:
    """Stops at the first problem that makes looking further useless."""
    provider, place = subject.provider, subject.place
    if problem := subject.key_problem or _address_problem(subject):
        return _check(subject, problem)
    started_at = time.monotonic()
    try:
        names = await asking.names_of(provider, within_s=within_s)
        took_s = time.monotonic() - started_at
        await asking.check_key(provider, within_s=within_s)
    except TimeoutError:
        return _check(subject, mending.timed_out(place, within_s=within_s))
    except ProviderError as error:
        return _check(subject, mending.list_failed(place, error=error))
    except OfferError as error:
        return _check(subject, mending.no_list(place, why=str(error)))
    problems = _model_problems(subject, names=names)
    if took_s > slow_s:
        problems.append(mending.slow(place, took_s=took_s))
    return _check(subject, *problems, took_s=took_s, listed=len(names))


def _check(subject: Subject, *problems: Problem, took_s: float | None = None, listed: int | None = None) -> Check:
    return Check(subject.provider.slug, subject.enabled, problems, took_s, listed, len(subject.models))


def _address_problem(subject: Subject) -> Problem | None:
    provider = subject.provider
    if why := spelling.base_url_mistake(provider.base_url):
        return mending.wrong_address(subject.place, why=why)
    if refusal := addresses.mistake_of_url(provider.base_url, is_local=provider.is_local):
        return mending.refused_address(subject.place, refusal=refusal)
    if provider.credential and not provider.credential.isascii():
        return mending.impossible_key(subject.place)
    return None


def _model_problems(subject: Subject, *, names: Sequence[str]) -> list[Problem]:
    listed = frozenset(names)
    missing = [name for name in subject.models if naming.entry_for(name, listed=listed) is None]
    problems = [
        mending.wrong_model(subject.place, model=name, close=naming.close_to(name, listed=listed))
        for name in missing[:NAMED]
    ]
    if len(missing) > NAMED:
        problems.append(mending.more_wrong_models(subject.place, count=len(missing) - NAMED))
    return problems


def _subject(row: tables.Provider, *, provider: Provider) -> Subject:
    held = [credential for credential in row.credentials.all() if credential.enabled]
    page = reverse("admin:provider", args=[row.slug])
    place = Place(
        slug=row.slug,
        base_url=provider.base_url,
        is_local=row.is_local,
        env_var=next((credential.env_var for credential in held if credential.env_var), ""),
        admin_path=page,
        credentials_path=page,
        models_path=f"{reverse('admin:providers_model_changelist')}?provider__id__exact={row.pk}",
    )
    names = tuple(sorted(model.name for model in row.models.all() if model.enabled))
    return Subject(provider, place, row.enabled, names, _key_problem(provider, place=place, held=held))


def _key_problem(provider: Provider, *, place: Place, held: Sequence[tables.Credential]) -> Problem | None:
    if not provider.needs_credential or provider.credential:
        return None
    for credential in held:
        try:
            credentials.opened(credential)
        except credentials.CredentialProblem as problem:
            source = replace(place, env_var=credential.env_var)
            return mending.unreadable_key(source, why=str(problem))
    return mending.no_key(place)

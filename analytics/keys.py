"""API keys: made, shown once, changed, rotated, switched off. The key itself is never stored and cannot be shown again.

A key carries 256 random bits, so a fast hash is enough: there is nothing to guess. The hash is keyed, so that a
stolen database alone does not let anyone test keys, and versioned, so that its key can be replaced one day.

Every change writes its audit entry in its own transaction, and nothing when nothing changed; it is in force in every
process within two seconds. What may stand in a field is `ApiKey`'s business (`analytics.key_rules`).
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Model, Q, QuerySet
from django.utils import timezone

from analytics import audit
from analytics.key_history import rotated_at
from analytics.models import ApiKey, Project, default_scopes
from analytics.types import storable

START = "agw_"
PREFIX_LENGTH = 10
HASH_VERSION = 1
DAY_S = 24 * 3600
GRACE_S = DAY_S
"""For how long the key from before a rotation stays valid, unless said otherwise."""
MOST_GRACE_S = 30 * DAY_S
IN_THE_PAST = "This lies in the past; `keys expire` ends a key now."

LIMITS = ("requests_per_minute", "tokens_per_minute", "concurrent_requests")
LISTS = ("scopes", "allowed_models", "allowed_layers", "allowed_endpoints", "allowed_networks")
FIELDS = ("name", "project", "owner", *LISTS, *LIMITS, "expires_at", "enabled")
"""What `edit` may change."""


class KeyProblem(Exception):
    """An API key cannot be found; the message is for the person who asked."""


class StillInGrace(KeyProblem):
    """A key was rotated, and another rotation would end at once what its clients may still be using."""

    def __init__(self, row: ApiKey, *, since: datetime | None) -> None:
        began = f" at {_second(since)}" if since else ""
        super().__init__(
            f"The key {row.name} was rotated{began}, and its previous key ({row.previous_prefix}...) is valid until "
            f"{_second(row.previous_until)}: another rotation would end that one at once."
        )


class State(StrEnum):
    ACTIVE = "active"
    DISABLED = "disabled"
    """Itself, or its project."""
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class NewKey:
    row: ApiKey
    secret: str = field(repr=False)
    """The key itself: show it once, then forget it."""
    replaced_prefix: str = ""
    """Of the key that this rotation replaced, whatever the caller took it for: another rotation may have come first."""
    dropped_prefix: str = ""
    """Of a still older key that was valid until this rotation ended its grace period."""


def digest(secret: str) -> bytes:
    """The keyed hash under which a key is looked up: BLAKE2b in its keyed mode, 32 bytes."""
    key = settings.KEY_HASH_KEY.encode()[: hashlib.blake2b.MAX_KEY_SIZE]
    return hashlib.blake2b(secret.encode("utf-8", "surrogatepass"), key=key, digest_size=32).digest()


def create(
    name: str,
    *,
    actor: str,
    project: Project | None = None,
    owner: Model | None = None,
    scopes: list[str] | None = None,
    allowed_models: list[str] | None = None,
    allowed_layers: list[str] | None = None,
    allowed_endpoints: list[str] | None = None,
    allowed_networks: list[str] | None = None,
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
    concurrent_requests: int | None = None,
    expires_at: datetime | None = None,
    enabled: bool = True,
) -> NewKey:
    """Makes a key in `project` (the default one unless given).

    Raises: ValidationError naming the fields that are wrong; a name that is taken is one.
    """
    row = ApiKey(
        project=project or Project.objects.get(slug="default"),
        scopes=default_scopes() if scopes is None else scopes,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        concurrent_requests=concurrent_requests,
        expires_at=expires_at,
        enabled=enabled,
    )
    _assign(row, {"name": name, "owner": owner})
    row.allowed_models, row.allowed_layers = allowed_models or [], allowed_layers or []
    row.allowed_endpoints, row.allowed_networks = allowed_endpoints or [], allowed_networks or []
    row.full_clean(exclude=["key_hash", "prefix"], validate_unique=False, validate_constraints=False)
    return NewKey(row, issue(row, actor=actor))


@audit.told_here()
def issue(row: ApiKey, *, actor: str) -> str:
    """Gives an unsaved row that was found valid its key and saves it; returns the key, which nobody can ask for again.

    Raises: ValidationError on `name` when another has taken it meanwhile.
    """
    secret = _new_secret(row)
    try:
        with transaction.atomic():
            row.save(force_insert=True)
            _record("created", row, actor=actor, after=described(row))
    except IntegrityError as error:
        raise _explained(error, row) from error
    return secret


def edit(row: ApiKey, *, actor: str, changes: Mapping[str, object]) -> ApiKey:
    """Gives the named fields new values, and leaves what others changed meanwhile; returns the row as it is now.

    A key that moves to another project takes its budgets with it.
    Raises: ValidationError naming the fields; ApiKey.DoesNotExist when it was deleted meanwhile.
    """
    if unknown := sorted(changes.keys() - set(FIELDS)):
        raise ValidationError({name: [f"A key has no field {name!r} that can be changed."] for name in unknown})
    return _edit(row, actor=actor, changes=changes, action="changed")


@audit.told_here()
def rotate(row: ApiKey, *, actor: str, grace_s: int = GRACE_S, end_previous: bool = False) -> NewKey:
    """Gives it another key; the one until now stays valid for `grace_s`, 0 ends it at once. One from before that, still
    in its own grace period, ends at once, as a row has room for two: that is to be said by `end_previous`, or by a
    `grace_s` of 0. So of several rotations at once, or one that is sent again as its answer was lost, the first alone
    is done.

    Raises: StillInGrace; ValidationError on `grace_s`; ApiKey.DoesNotExist.
    """
    if type(grace_s) is not int or not 0 <= grace_s <= MOST_GRACE_S:
        raise ValidationError({"grace_s": [f"Use a whole number of seconds from 0 to {MOST_GRACE_S} (30 days)."]})
    with transaction.atomic():
        found = _locked(row)
        now = timezone.now()
        if grace_s and not end_previous and is_in_grace(found):
            raise StillInGrace(found, since=rotated_at(found, within=timedelta(seconds=MOST_GRACE_S)))
        dropped = found.previous_prefix if is_in_grace(found) else ""
        before, replaced = _rotation(found), found.prefix
        if grace_s:
            found.previous_prefix, found.previous_hash = found.prefix, bytes(found.key_hash)
            found.previous_hash_version = found.hash_version
            found.previous_until = now + timedelta(seconds=grace_s)
        else:
            found.previous_prefix, found.previous_hash, found.previous_until = "", None, None
        secret = _new_secret(found)
        found.save(update_fields=[*_KEY_COLUMNS, "updated_at"])
        _record("rotated", found, actor=actor, before=before, after=_rotation(found) | {"dropped": dropped or None})
    return NewKey(found, secret, replaced_prefix=replaced, dropped_prefix=dropped)


_KEY_COLUMNS = (
    "prefix", "key_hash", "hash_version",
    "previous_prefix", "previous_hash", "previous_hash_version", "previous_until",
)  # fmt: skip


def enable(row: ApiKey, *, actor: str) -> None:
    """Switches a key on. Nothing happens when it is on already."""
    _switch(row, is_on=True, actor=actor)


def disable(row: ApiKey, *, actor: str) -> None:
    """Switches a key off. Nothing happens when it is off already."""
    _switch(row, is_on=False, actor=actor)


def expire(row: ApiKey, *, actor: str, at: datetime | None = None) -> ApiKey:
    """Ends a key now, or at a time to come. Nothing happens when it has ended and no time is given.

    Raises: ValidationError on `expires_at`; ApiKey.DoesNotExist.
    """
    now = timezone.now()
    if isinstance(at, datetime) and timezone.is_aware(at) and at <= now:
        raise ValidationError({"expires_at": ["This lies in the past; give no time to end it now."]})
    with transaction.atomic():
        found = _locked(row)
        if at is None and found.is_over():
            return found
        return _edit(found, actor=actor, changes={"expires_at": at or now}, action="expired")


@audit.told_here()
def delete(row: ApiKey, *, actor: str) -> None:
    """Deletes a key and its budgets; what it used stays in the ledger. Nothing happens when it is gone already."""
    with transaction.atomic():
        found = ApiKey.objects.select_for_update().filter(pk=row.pk).order_by("pk").first()  # as in budget_rows
        if found is not None:
            before = described(found) | {"budgets": [str(budget) for budget in found.budgets.all()]}
            _record("deleted", found, actor=actor, before=before)
            found.delete()


def find(name: str, *, project: Project | None = None) -> ApiKey:
    """The key of this name, prefix (the one from before a rotation too) or id, within `project` where one is given.

    Raises: KeyProblem when there is none, or more than one.
    """
    rows_of = ApiKey.objects.filter(project=project) if project else ApiKey.objects.all()
    by_id = {"pk": int(name)} if name.isascii() and name.isdecimal() and len(name) < 19 else None
    prefix = name[:PREFIX_LENGTH]
    is_storable = bool(name) and storable(name, most=len(name)) == name
    conditions = ({"name": name}, {"prefix": prefix}, by_id, {"previous_prefix": prefix}) if is_storable else ()
    for condition in conditions:
        rows = list(rows_of.filter(**condition)[:2]) if condition else []
        if len(rows) > 1:
            raise KeyProblem(f"More than one key is called {name!r}; say its project or its id (see `keys list`).")
        if rows:
            return rows[0]
    within = f" in {project.slug}" if project else ""
    raise KeyProblem(f"There is no key called {name!r}{within}; `keys list` shows them.")


def is_in_grace(row: ApiKey) -> bool:
    """Whether its key from before the last rotation is valid as well."""
    return row.previous_until is not None and row.previous_until > timezone.now()


def state(row: ApiKey) -> State:
    if not row.enabled or not row.project.enabled:
        return State.DISABLED
    return State.EXPIRED if row.is_over() else State.ACTIVE


def in_state(rows: QuerySet[ApiKey], wanted: State) -> QuerySet[ApiKey]:
    """Those of `rows` whose `state` is this one."""
    is_on, is_over = Q(enabled=True, project__enabled=True), Q(expires_at__lte=timezone.now())
    if wanted is State.DISABLED:
        return rows.exclude(is_on)
    return rows.filter(is_on, is_over) if wanted is State.EXPIRED else rows.filter(is_on).exclude(is_over)


def told_of_move(row: ApiKey, *, to: Project) -> str:
    """What moving a key means, in a sentence."""
    budgets = row.budgets.count()
    own = f" Its {_count(budgets, 'budget')} {'goes' if budgets == 1 else 'go'} with it." if budgets else ""
    return (
        f"The key {row.name} counts in the budgets and limits of {to.slug} from now on; what it used so far stays with "
        f"the project it was used in.{own}"
    )


def told_of_deletion(row: ApiKey) -> str:
    """What deleting a key means, in a sentence."""
    budgets = row.budgets.count()
    own = f", its {_count(budgets, 'budget')} with it" if budgets else ""
    return f"The key {row.name} goes for good{own}; what it used stays in the ledger."


def described(row: ApiKey) -> dict[str, object]:
    """Every field that can be changed, as the audit trail keeps it: nothing secret."""
    plain: dict[str, object] = {name: getattr(row, name) for name in ("name", *LISTS, *LIMITS, "enabled")}
    return plain | {
        "project": row.project.slug,
        "owner": row.owner.get_username() if row.owner else None,
        "expires_at": row.expires_at.isoformat() if row.expires_at else None,
    }


@audit.told_here()
def _edit(row: ApiKey, *, actor: str, changes: Mapping[str, object], action: str) -> ApiKey:
    try:
        with transaction.atomic():
            found = _locked(row)
            before, zone, ended_at = described(found), found.project.time_zone, found.expires_at
            _assign(found, changes)
            _check(found, changes=changes, is_past=action != "expired" and ends_now(changes, unless_at=ended_at))
            after = described(found)
            moved = [name for name in changes if after[name] != before[name]]
            if not moved:
                return found
            found.save(update_fields=[*moved, "updated_at"])
            _touch_budgets(found, moved=moved, has_other_zone=found.project.time_zone != zone)
            told = {"before": {name: before[name] for name in moved}, "after": {name: after[name] for name in moved}}
            _record(action, found, actor=actor, **told)
    except IntegrityError as error:
        raise _explained(error, found) from error
    return found


def ends_now(changes: Mapping[str, object], *, unless_at: datetime | None) -> bool:
    """Whether a change sets a time that has passed, other than the one a key has. Answers tell whole seconds alone: one
    that is sent back as it was told is no other."""
    moment = changes.get("expires_at")
    if not isinstance(moment, datetime) or timezone.is_naive(moment) or moment > timezone.now():
        return False
    return unless_at is None or moment.replace(microsecond=0) != unless_at.replace(microsecond=0)


def _check(row: ApiKey, *, changes: Mapping[str, object], is_past: bool) -> None:
    """Raises: ValidationError naming the fields."""
    # Other fields may have been written past these checks: that must not keep this one from being mended.
    others = {known.name for known in ApiKey._meta.concrete_fields} - changes.keys()
    errors: dict[str, list[ValidationError]] = {}
    try:
        row.full_clean(exclude=others, validate_unique=False, validate_constraints=False)
    except ValidationError as error:
        errors = error.error_dict
    if is_past:
        errors.setdefault("expires_at", [ValidationError(IN_THE_PAST)])
    if errors:
        raise ValidationError(errors)


def _touch_budgets(row: ApiKey, *, moved: list[str], has_other_zone: bool) -> None:
    """Processes hold a budget with its key's name and its project's time zone, and look again when its row moves. In
    another zone its windows begin at other times: what it counts is another thing from now on."""
    if {"name", "project"} & set(moved):
        now = timezone.now()
        row.budgets.update(updated_at=now, **({"defined_at": now} if has_other_zone else {}))


def _assign(row: ApiKey, changes: Mapping[str, object]) -> None:
    for name, value in changes.items():
        if name == "project" and not isinstance(value, Project):
            raise ValidationError({name: ["Use a project."]})
        if name == "owner" and not isinstance(value, get_user_model() | None):
            raise ValidationError({name: ["Use a user."]})
        setattr(row, name, value)


def _switch(row: ApiKey, *, is_on: bool, actor: str) -> None:
    with transaction.atomic():
        # One statement, unchecked: switching off must work on a row that somebody wrote past our checks.
        changed = ApiKey.objects.filter(pk=row.pk, enabled=not is_on).update(enabled=is_on, updated_at=timezone.now())
        if changed:
            told = {"before": {"enabled": not is_on}, "after": {"enabled": is_on}}
            _record("enabled" if is_on else "disabled", row, actor=actor, **told)
    row.enabled = is_on


def _locked(row: ApiKey) -> ApiKey:
    return ApiKey.objects.select_for_update().get(pk=row.pk)


def _second(moment: datetime | None) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds") if moment else "an unknown time"


def _new_secret(row: ApiKey) -> str:
    secret = START + secrets.token_urlsafe(32)
    row.prefix, row.key_hash, row.hash_version = secret[:PREFIX_LENGTH], digest(secret), HASH_VERSION
    return secret


def _rotation(row: ApiKey) -> dict[str, object]:
    until = row.previous_until.isoformat() if row.previous_until else None
    return {"prefix": row.prefix, "previous_prefix": row.previous_prefix or None, "previous_until": until}


def _record(
    action: str,
    row: ApiKey,
    *,
    actor: str,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> None:
    audit.record(
        f"api_key.{action}", actor=actor, target=str(row), project_id=row.project_id, before=before, after=after
    )


def _explained(error: IntegrityError, row: ApiKey) -> Exception:
    """Two made or renamed at once: what the second is told is what it would have been told a moment later."""
    is_taken = ApiKey.objects.filter(project=row.project_id, name=row.name).exclude(pk=row.pk).exists()
    return ValidationError({"name": [row.taken()]}) if is_taken else error


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"

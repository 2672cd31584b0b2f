"""Between the counters' steps and the words of Redis' scripts. Pure: no connection, no clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from analytics.counters.redis_link import Call, Word
from analytics.counters.redis_scripts import script
from analytics.counters.steps import (
    Account,
    Admit,
    Admitted,
    Balance,
    Change,
    Entry,
    Held,
    Line,
    Pulse,
    RateState,
    Rebuilt,
    Reserve,
    Reserved,
    Settle,
    Settled,
)

LAPSED_AT_ONCE = 500
HOT = tuple(script(name) for name in ("admit", "reserve", "settle", "release"))
_admit, _reserve, _settle, _release = HOT
_lines = msgspec.json.Decoder(list[Line])


class Keys:
    """Names of all keys, with one hash tag: a cluster would hold them together."""

    def __init__(self, prefix: str) -> None:
        tag = f"{{{prefix}}}"
        self.slot = f"{tag}:slot:"
        self.rate = f"{tag}:rate:"
        self.register = f"{tag}:register:"
        self.money = tuple(f"{tag}:{name}" for name in ("money", "held", "open", "lapsed", "late", "told"))


def admit(keys: Keys, step: Admit) -> Call:
    rate = f"{keys.rate}{step.span_ms}:"
    names = [rate + each.name for each in step.rates]
    words: list[Word] = [step.id, step.span_ms, step.ttl_ms, len(names)]
    for each in step.rates:
        words += (each.limit, each.cost)
    for slot in step.slots:
        names.append(keys.slot + slot.name)
        words.append(slot.limit)
    return Call(_admit, names, words)


def admitted(answer: Sequence[int]) -> Admitted:
    refused, retry_ms, bucket = answer[:3]
    states = tuple(RateState(answer[at], answer[at + 1]) for at in range(3, len(answer), 2))
    return Admitted(None if refused < 0 else refused, retry_ms, bucket, states)


def reserve(keys: Keys, step: Reserve) -> Call:
    words: list[Word] = [step.id, step.ttl_ms, step.caps[0], step.caps[1] if len(step.caps) > 1 else ""]
    for account in step.accounts:
        words += _described(account)
    return Call(_reserve, keys.money, words)


def reserved(answer: Sequence[int]) -> Reserved:
    first = answer[0]
    if first == -2:
        return Reserved(None, None, tuple(answer[1:]), ())
    refused = answer[1] if first == -1 else None
    balances = _balances(answer, start=1 if refused is None else 2)
    missing = tuple(place for place, balance in enumerate(balances) if balance.open < 0)
    if missing:
        balances = tuple(Balance(0, 0) if balance.open < 0 else balance for balance in balances)
    return Reserved(first if refused is None else None, refused, missing, balances)


def settle(keys: Keys, step: Settle) -> Call:
    names = [keys.slot + name for name in step.slots]
    words: list[Word] = [step.id, step.span_ms, len(step.slots), len(step.corrections)]
    for each in step.corrections:
        names.append(f"{keys.rate}{step.span_ms}:{each.name}")
        words += (each.bucket, each.by)
    if step.nano_usd is None:
        return Call(_release, names, words)
    words.append(step.nano_usd)
    names += keys.money
    return Call(_settle, names, words)


def settled(answer: Sequence[Any]) -> Settled:
    spent = tuple((answer[at].decode(), answer[at + 1]) for at in range(0, len(answer), 2))
    return Settled(spent)


def pulse(keys: Keys) -> Call:
    return Call(script("pulse"), keys.money, ())


def pulsed(answer: Sequence[Any]) -> Pulse:
    return Pulse(None if answer[0] < 0 else answer[0], answer[1].decode())


def lapse(keys: Keys, *, before_ms: int) -> Call:
    return Call(script("lapse"), keys.money, (LAPSED_AT_ONCE, before_ms))


def balances(keys: Keys, names: Sequence[str]) -> Call:
    return Call(script("balances"), keys.money, names)


def balances_of(names: Sequence[str], answer: Sequence[int]) -> dict[str, Balance]:
    found = zip(names, _balances(answer, start=1), strict=True)
    return {name: balance for name, balance in found if balance.open >= 0}


def missing_of(accounts: Sequence[Account], answer: Sequence[int]) -> list[Account]:
    """From the answer to `balances` of their names."""
    whole_since_ms, held = answer[0], balances_of([account.name for account in accounts], answer)
    return [
        account
        for account in accounts
        if account.name not in held and not (account.may_begin and 0 <= whole_since_ms <= account.starts_ms)
    ]


def first(keys: Keys, name: str) -> Call:
    return Call(script("first"), keys.money, (name,))


def begin(keys: Keys, token: str, *, ttl_ms: int) -> Call:
    return Call(script("begin"), keys.money, (token, ttl_ms))


def renew(keys: Keys, token: str, *, ttl_ms: int) -> Call:
    return Call(script("renew"), keys.money, (token, ttl_ms))


def announce(keys: Keys, token: str, *, source: str, lines: Sequence[Line]) -> Call:
    return Call(script("announce"), keys.money, (token, source, msgspec.json.encode(lines).decode()))


def announced(keys: Keys, token: str) -> Call:
    return Call(script("announced"), keys.money, (token,))


def announced_by(answer: Sequence[bytes]) -> dict[str, list[Line]]:
    return {answer[at].decode(): _lines.decode(answer[at + 1]) for at in range(0, len(answer), 2)}


def finish(keys: Keys, token: str, rebuilt: Rebuilt, *, is_last: bool) -> Call:
    words: list[Word] = [token, rebuilt.ttl_ms, int(is_last), len(rebuilt.spent)]
    for row in rebuilt.spent:
        words += row
    for held in rebuilt.held:
        words += _open(held)
    return Call(script("finish"), keys.money, words)


def unknown(keys: Keys, ids: Sequence[str]) -> Call:
    return Call(script("unknown"), keys.money, ids)


def adopt(keys: Keys, held: Sequence[Held], *, ttl_ms: int) -> Call:
    return Call(script("adopt"), keys.money, [ttl_ms, *(word for one in held for word in _open(one))])


def tidy(keys: Keys, names: Sequence[str], *, before_ms: int) -> Call:
    return Call(script("tidy"), keys.money, (before_ms, *names))


def registered(keys: Keys, kind: str) -> Call:
    return Call(script("registered"), (keys.register + kind,), ())


def entries(answer: Sequence[Any]) -> dict[str, Entry]:
    return {answer[at].decode(): Entry(answer[at + 1], answer[at + 2]) for at in range(0, len(answer), 3)}


def register(keys: Keys, kind: str, changes: Sequence[Change]) -> Call:
    words: list[Word] = []
    for change in changes:
        is_out = change.value is None
        words += (change.name, change.known_version, -1 if is_out else change.ttl_ms, change.value or b"")
    return Call(script("register"), (keys.register + kind,), words)


def _open(held: Held) -> tuple[Word, ...]:
    return (held.id, held.cap, len(held.accounts), *held.accounts)


def _described(account: Account) -> Iterator[Word]:
    yield account.name
    yield "" if account.limit is None else account.limit
    yield int(account.shorten)
    yield int(account.may_begin)
    yield account.starts_ms
    yield account.ends_ms
    yield int(account.may_miss)


def _balances(answer: Sequence[int], *, start: int) -> tuple[Balance, ...]:
    return tuple(Balance(answer[at], answer[at + 1]) for at in range(start, len(answer), 2))

"""The gateway's cost beside the floor's.

Run: `python -m tests.load.bench [--short] [--money] [--redis [URL]] [--json FILE] [--record] [--self-check]`

All servers share one core, taking turns round by round; upstream and clients share another. A run fails, with a
sentence, when an answer is not what the upstream sent, when the ledger or the upstream counted anything but one row
and one call for each request, or when a recorded ratio, a ceiling or the memory bound does not hold (`judge`).

`--money` measures the gateway a second time, with limits of every kind and a budget on its key, none ever reached; its
ratios have records and ceilings of their own. `--redis` measures that a third time, with limits and budget kept in the
Redis at that address, else in one of the bench's own; these ratios are shown, not judged.

`--self-check` measures the floor against itself: how far a ratio of 1 strays on this machine.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

import msgspec
import uvloop
from rich.console import Console

from tests.load import expected, judge, ledger, load, report, servers
from tests.load.expected import Expected, WrongAnswer
from tests.load.judge import Measured, Ratios, Sample
from tests.load.ledger import LedgerError
from tests.load.load import Crowd, LoadError, Volley
from tests.load.servers import Server, ServerError
from tests.upstream.process import RunningUpstream, UpstreamError, running

ROUNDS = 5
SLICES = 10
"""A round's turns for each server."""
CONNECTIONS = 32
SCRIPT = "chunks=62"
PATH = "/v1/chat/completions"
FIRST_CONTENT = b'"delta":{"content":'
PROMPT = (
    "We are moving our small bookshop to a new street next month and would like to tell our regular customers. "
    "Please write a short, friendly letter that says when we close here, when we open there, and that everyone is "
    "invited to a reading with wine on the first evening. Mention that gift cards and open orders stay valid, and "
    "thank them warmly."
)


class Miscount(Exception):
    """The upstream was not called exactly once for each request."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A way to run the gateway that is measured."""

    name: str
    has_money: bool = False
    redis: str | None = None


PLAIN, MONEY = Variant("gateway"), Variant("with money", has_money=True)


@dataclass(frozen=True, slots=True)
class Size:
    json: int
    stream: int


FULL, SHORT = Size(json=3000, stream=800), Size(json=400, stream=150)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of request."""

    name: str
    body: bytes
    marker: bytes
    count: int


@dataclass(slots=True)
class Subject:
    """A server under test, and what was found out about it so far."""

    name: str
    server: Server
    expect: Callable[[bytes], Expected]
    settle: Callable[[int], None] = lambda _sent: None
    """Waits until the server has done all it owes for so many requests."""
    check: Callable[[], None] = lambda: None
    """Whether it was measured under what it was to be, once all is done."""
    sent: int = 0
    samples: dict[str, list[Sample]] = field(default_factory=lambda: {"json": [], "stream": []})


@dataclass(slots=True)
class Turn:
    """One subject's part in a round."""

    subject: Subject
    kind: Kind
    crowd: Crowd
    volleys: list[Volley] = field(default_factory=list)
    used_ms: float = 0.0

    async def warm_up(self) -> None:
        """Every connection has been used once before anything is measured."""
        self._account(await self.crowd.send(self._request, count=CONNECTIONS))

    async def take(self, count: int) -> None:
        """The CPU counted includes what comes after the answers: the rows of the ledger."""
        await self.crowd.open()
        begin_ms = self.subject.server.cpu_ms()
        volley = await self.crowd.send(self._request, count=count)
        self._account(volley)
        self.used_ms += self.subject.server.cpu_ms() - begin_ms
        self.volleys.append(volley)

    def sample(self) -> Sample:
        answers = [answer for volley in self.volleys for answer in volley.answers]
        latencies = [answer.latency_ms for answer in answers]
        return Sample(
            cpu_ms=self.used_ms / len(answers),
            requests_per_s=len(answers) / sum(volley.seconds for volley in self.volleys),
            p50_ms=median(latencies),
            p99_ms=quantiles(latencies, n=100)[98],
            first_p50_ms=median(answer.first_ms for answer in answers),
        )

    @property
    def _request(self) -> load.Request:
        return load.post(PATH, self.kind.body, headers=self.subject.server.headers, marker=self.kind.marker)

    def _account(self, volley: Volley) -> None:
        """Every answer is right, and the server has finished with all of them."""
        self.subject.sent += len(volley.answers)
        self.subject.expect(self.kind.body).check(volley.answers)
        self.subject.settle(self.subject.sent)


def main() -> int:
    options = _read_options()
    console = Console()
    try:
        measured = _run(options, console)
    except (ServerError, LoadError, WrongAnswer, LedgerError, Miscount, UpstreamError) as failure:
        console.print(f"FAILED: {failure}", style="red", markup=False)
        return 1
    base, *others = measured
    found = [judge.ratios(gateway=other, floor=base) for other in others]
    report.show(measured, found, console=console)
    if options.record:
        judge.record(found[0], with_money=found[1] if options.money else None)
    complaints = _complaints(others, found, is_short=options.short)
    if options.json:
        report.write(options.json, measured, found, complaints=complaints)
    for sentence in complaints:
        console.print(f"FAILED: {sentence}", style="red", markup=False)
    return 1 if complaints else 0


def _complaints(measured: Sequence[Measured], found: Sequence[Ratios], *, is_short: bool) -> list[str]:
    recorded = judge.load_recorded()
    judged = {PLAIN.name: recorded, "floor again": recorded, MONEY.name: recorded.with_money()}
    return [
        f"{one.name}: {sentence}"
        for one, ratios in zip(measured, found, strict=True)
        if one.name in judged
        for sentence in judge.complaints(ratios, rss_mb=one.rss_mb, recorded=judged[one.name], is_short=is_short)
    ]


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.load.bench", description="The gateway beside the floor.")
    parser.add_argument("--short", action="store_true", help="an eighth of the requests")
    parser.add_argument("--money", action="store_true", help="with limits and a budget on the key, beside the usual")
    parser.add_argument("--redis", nargs="?", const="", metavar="URL", help="and these kept in Redis")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument("--record", action="store_true", help=f"write the ratios to {judge.RECORDED.name}")
    parser.add_argument("--self-check", action="store_true", help="the floor against itself")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--script", default=SCRIPT, help="what the upstream answers (see tests/upstream/script.py)")
    options = parser.parse_args()
    if options.record and (options.self_check or options.short or options.script != SCRIPT):
        parser.error("--record wants a full run of the gateway with the usual script")
    options.money = options.money or options.redis is not None
    if options.self_check and options.money:
        parser.error("--self-check measures no gateway")
    return options


def _run(options: argparse.Namespace, console: Console) -> tuple[Measured, ...]:
    core, other_core = _cores()
    os.sched_setaffinity(0, {other_core})  # for us, and for the upstream, which inherits it
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        log = folder / "upstream.jsonl"
        vendor = stack.enter_context(running(log=log, default_script=options.script, log_bodies=False))
        bench = _Bench(vendor, options.script, core, folder)
        subjects = [stack.enter_context(bench.floor("floor"))]
        if options.self_check:
            subjects.append(stack.enter_context(bench.floor("floor again")))
        for variant in _variants(options, stack):
            subjects.append(stack.enter_context(bench.gateway(variant)))
        for number in range(1, options.rounds + 1):
            console.print(f"round {number} of {options.rounds}", style="dim")
            for kind in _kinds(SHORT if options.short else FULL):
                uvloop.run(_round(subjects, kind))
        _check_upstream(vendor, sent=sum(subject.sent for subject in subjects))
        if options.record or judge.load_recorded().json_ratio_money is not None:
            for subject in subjects:
                subject.check()
        return tuple(map(_measured, subjects))


def _variants(options: argparse.Namespace, stack: ExitStack) -> Iterator[Variant]:
    if options.self_check:
        return
    yield PLAIN
    if options.money:
        yield MONEY
    if options.redis is not None:
        url = options.redis or stack.enter_context(_redis())
        yield Variant("with money, Redis", has_money=True, redis=url)


@contextmanager
def _redis() -> Iterator[str]:
    """The address of a Redis of the bench's own."""
    from tests import redis_server  # wants a client library and a server that no other run does

    with redis_server.running() as server:
        yield server.url


def _cores() -> tuple[int, int]:
    """The servers' core and everybody else's. Raises: ServerError on a machine with one."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) == 1:
        raise ServerError("The bench needs two cores: one for the server under test, one for the rest.")
    return allowed[0], allowed[1]


@dataclass(frozen=True, slots=True)
class _Bench:
    """Makes the subjects."""

    vendor: RunningUpstream
    script: str
    core: int
    folder: Path

    @contextmanager
    def floor(self, name: str) -> Iterator[Subject]:
        with servers.floor(upstream=self.vendor.url, core=self.core, log=self.folder / f"{name}.log") as server:
            yield Subject(name, server, lambda body: expected.from_floor(body, script=self.script))

    @contextmanager
    def gateway(self, variant: Variant) -> Iterator[Subject]:
        var_dir, log = self.folder / variant.name / "var", self.folder / f"{variant.name}.log"
        var_dir.mkdir(parents=True)
        with servers.gateway(
            upstream=self.vendor.url,
            core=self.core,
            log=log,
            var_dir=var_dir,
            has_money=variant.has_money,
            redis=variant.redis,
        ) as server:
            subject = Subject(
                variant.name,
                server,
                lambda body: expected.from_gateway(body, script=self.script),
                lambda sent: ledger.wait_for(sent, var_dir=var_dir),
            )
            if variant.has_money:
                subject.check = lambda: ledger.check_counted(var_dir)
            yield subject


def _kinds(size: Size) -> tuple[Kind, Kind]:
    request = {"model": "auto", "messages": [{"role": "user", "content": PROMPT}]}
    return (
        Kind("json", msgspec.json.encode(request), b"", size.json),
        Kind("stream", msgspec.json.encode(request | {"stream": True}), FIRST_CONTENT, size.stream),
    )


async def _round(subjects: Sequence[Subject], kind: Kind) -> None:
    """One round, in slices: the subjects take turns so quickly that a busy second of the machine meets all of them."""
    async with AsyncExitStack() as stack:
        turns = [Turn(subject, kind, await _enter(stack, subject)) for subject in subjects]
        for turn in turns:
            await turn.warm_up()
        for number in range(SLICES):
            for turn in turns if number % 2 else reversed(turns):  # neither always goes first
                await turn.take(kind.count // SLICES)
    for turn in turns:
        turn.subject.samples[kind.name].append(turn.sample())


async def _enter(stack: AsyncExitStack, subject: Subject) -> Crowd:
    return await stack.enter_async_context(load.crowd(subject.server.port, size=CONNECTIONS))


def _measured(subject: Subject) -> Measured:
    return Measured(
        name=subject.name,
        started_in_s=subject.server.started_in_s,
        rss_mb=subject.server.rss_mb(),
        json=tuple(subject.samples["json"]),
        stream=tuple(subject.samples["stream"]),
    )


def _check_upstream(vendor: RunningUpstream, *, sent: int) -> None:
    seen = len(vendor.requests(at_least=sent))
    if seen != sent:
        raise Miscount(f"The upstream was called {seen} times for {sent} requests.")


if __name__ == "__main__":
    sys.exit(main())

"""What the tests of the use case share: requests to it, and providers whose answers are written by hand."""

import asyncio
import sqlite3
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from analytics import accounts, ids
from analytics.bodies import Bodies
from analytics.counters.guard import Guard
from analytics.counters.sqlite_store import SqliteStore
from analytics.counters.steps import Balance, Rebuilt, nano
from analytics.lengths import Lengths
from analytics.spool import Reader, Spool
from analytics.types import NO_BOOK, Book, Budget, BudgetAction, BudgetScope, NearEdge, Opened, UsageRow, Window
from gateway.api import bodies
from providers.types import Timeouts
from routing import afterwards, chat
from routing.health import Health
from routing.types import Candidate, Wishes
from tests.unit.routing.test_plan import ACME, ANYONE, LONG_AGO, POLICY, candidate, model, snapshot

STOPS_SOON = Timeouts(connect_s=0.1, headers_s=0.05, first_content_s=0.1, between_frames_s=0.15)


class Heard:
    """What a request's way tells the keeper's thread, in the order it was told."""

    def __init__(self):
        self.unsettled = []
        self.rebuilds_wanted = 0
        self.reached_budgets = []

    def later(self, step):
        self.unsettled.append(step)

    def wants_rebuild(self):
        self.rebuilds_wanted += 1

    def reached(self, account, budget, *, spent):
        self.reached_budgets.append(budget.id)


def budget(usd="100", **fields):
    """A budget of the key, for good, of so many USD; it refuses, and shortens near its edge."""
    usual = {
        "id": 1,
        "scope": BudgetScope.KEY,
        "name": "first",
        "project_id": None,
        "key_id": 1,
        "window": Window.TOTAL,
        "zone": "UTC",
        "action": BudgetAction.REFUSE,
        "layer": "",
        "near_edge": NearEdge.SHORTEN,
        "severity": "warning",
        "starts_at": None,
        "ends_at": None,
        "defined_at": LONG_AGO,
    }
    return Budget(limit_usd=Decimal(usd), **(usual | fields))


@dataclass
class Parts:
    spool: Spool
    guard: Guard
    health: Health
    bodies: Bodies = field(default_factory=Bodies)


def parts_of(spool):
    """What a process holds, around this spool; its counters stand in a file beside it."""
    store = SqliteStore(spool.folder.parent / "counters.sqlite3", deadline_s=5.0)
    return Parts(spool, Guard(store, keeper=Heard(), lengths=Lengths()), Health(store))


async def come_round():
    """What was settled just now, and what is still to be counted for it, is settled, and that is told."""
    await afterwards.over()
    for _ in range(2):
        await asyncio.sleep(0)


def drawing_the_first():
    """A request id whose draw leaves equals in the order given."""
    return next(made for made in iter(ids.new, None) if ids.draw(made) < 0.01)


class Gateway:
    """The use case with everything it needs. Models are named by their scripts and cost 0.001 USD a token."""

    def __init__(self, vendor, spool):
        self.vendor = vendor
        self.spool = spool
        self.counters = spool.folder.parent / "counters.sqlite3"
        self.store = SqliteStore(self.counters, deadline_s=5.0)
        self.store.begin("first", ttl_ms=1000)
        self.store.finish("first", Rebuilt((), (), 1000))
        self.heard = Heard()
        self.guard = Guard(self.store, keeper=self.heard, lengths=Lengths())
        self.health = Health(self.store)
        """Looks when it is told to."""
        self.bodies = Bodies()
        """Writes when it is told to."""
        self.caller = ANYONE
        self.budgets = NO_BOOK
        self.policy = POLICY
        self.bounds = {}
        """What layers say of attempts and deadline, by name."""
        self.dearest = None
        self.spent_before = {}
        """Nano-dollars, by account."""
        self.marker = str(ids.new())
        self._seen_before = len(vendor.requests())

    def ask(self, *scripts, stream=False, url=None, credential=None, timeouts=None, wishes=None, usd="0.001", **fields):
        provider = replace(
            ACME, base_url=url or self.vendor.url, credential=credential, timeouts=timeouts or ACME.timeouts
        )
        candidates = [
            one if isinstance(one, Candidate) else candidate(model(one, provider=provider, usd=usd), "L0")
            for one in scripts
        ]
        config = snapshot(*candidates, policy=self.policy, bounds=self.bounds)
        messages = [{"role": "user", "content": "one two three"}]
        body = {"model": "auto", "messages": messages, "stream": stream, "marker": self.marker} | fields
        return (chat.stream if stream else chat.complete)(
            bodies.chat_request(msgspec.json.encode(body)),
            wishes=wishes or Wishes(layer="L0"),
            caller=self.caller,
            snapshot=replace(config, budgets=self.budgets, dearest=self.dearest),
            request_id=drawing_the_first(),
            parts=Parts(self.spool, self.guard, self.health, self.bodies),
        )

    def candidate(self, script, layer="L0", *, usd="0.001", url=None, timeouts=None, dialect="openai", **fields):
        """A model at the provider, in a layer."""
        url = url or self.vendor.url
        provider = replace(ACME, base_url=url, timeouts=timeouts or ACME.timeouts, dialect=dialect)
        return candidate(model(script, provider=provider, usd=usd, **fields), layer)

    def hold(self, *budgets, spent="0"):
        """Holds everybody to these, of each of which `spent` USD are spent."""
        self.budgets = Book(installation=budgets)
        found = [accounts.account(one, at=datetime.now(UTC)) for one in budgets]
        self.spent_before = {account.name: nano(Decimal(spent)) for account in found}
        rebuilt = Rebuilt(tuple((one.name, one.ends_ms, nano(Decimal(spent))) for one in found), (), 1000)
        self.store.begin("again", ttl_ms=60_000)
        assert self.store.finish("again", rebuilt)

    async def balances(self):
        """Of each budget, in order."""
        await come_round()
        found = self.store.balances(list(self.spent_before))
        return [found[name] for name in self.spent_before]

    async def counted(self):
        """What stands in each rate, by its name."""
        everywhere = "SELECT name, used FROM rates UNION ALL SELECT name, used FROM heads"
        await come_round()
        return dict(self._query(f"SELECT name, sum(used) FROM ({everywhere}) GROUP BY name"))

    async def lapses_ms(self):
        """When each reservation and each place is over by itself, in Unix time."""
        await come_round()
        found = self._query("SELECT ends_ms FROM reservations UNION ALL SELECT ends_ms FROM slots")
        return [ends_ms for (ends_ms,) in found]

    async def places(self):
        """Names of the places that are taken."""
        await come_round()
        return [name for (name,) in self._query("SELECT name FROM slots ORDER BY name")]

    async def assert_settled(self):
        """The one row says what was spent, and nothing is left open."""
        await come_round()
        row = self.row
        assert row.budget_usd >= row.cost_usd
        assert await self.balances() == [Balance(was + nano(row.budget_usd), 0) for was in self.spent_before.values()]
        assert await self.places() == []
        assert self._query("SELECT id FROM reservations") == []
        return row

    def forget(self, budget_id):
        """Somebody empties the account of this budget."""
        with closing(sqlite3.connect(self.counters)) as connection, connection:
            connection.execute("DELETE FROM accounts WHERE name LIKE ?", (f"b{budget_id}.%",))

    @contextmanager
    def counters_away(self):
        """Somebody else has the counters, and does not let go."""
        guard, impatient = self.guard, SqliteStore(self.counters, deadline_s=0.01)
        with closing(sqlite3.connect(self.counters, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            self.guard = Guard(impatient, keeper=self.heard, lengths=guard.lengths)
            try:
                yield
            finally:
                self.guard = guard
                other.execute("ROLLBACK")
        impatient.close()

    def _query(self, query):
        with closing(sqlite3.connect(self.counters)) as connection:
            return connection.execute(query).fetchall()

    async def relay(self, *scripts, **options):
        """A stream read to its end, and everything it relayed."""
        streaming = await self.ask(*scripts, stream=True, **options)
        return streaming, b"".join([frames async for frames in streaming.frames()])

    def seen(self):
        """What the provider saw of this test's requests."""
        return [request for request in self.vendor.requests() if self.marker in (request.body or "")]

    async def arrived(self):
        """Waits until the provider has seen one of them."""
        await asyncio.to_thread(self.vendor.requests, at_least=self._seen_before + 1)

    async def end(self):
        """How the first of them ended, at the provider."""
        return (await asyncio.to_thread(self.vendor.end_of, self.seen()[0])).how

    def lines(self):
        batch = Reader(self.spool.folder).next_batch()
        return batch.lines if batch else ()

    @property
    def row(self):
        (row,) = [line for line in self.lines() if isinstance(line, UsageRow)]
        return row

    @property
    def rows(self):
        return [line for line in self.lines() if isinstance(line, UsageRow)]

    @property
    def noted(self):
        """That budgets were about to be asked."""
        return [line for line in self.lines() if isinstance(line, Opened) and not line.attempts]

    @property
    def opened(self):
        """One for each attempt."""
        return [line for line in self.lines() if isinstance(line, Opened) and line.attempts]


@asynccontextmanager
async def answering(*writes, content_type="text/event-stream"):
    """A provider that answers each request with these writes, each once the event before it is set; its base URL."""

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        for data in writes:
            if isinstance(data, asyncio.Event):
                await data.wait()
            else:
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        finally:
            for gate in writes:
                if isinstance(gate, asyncio.Event):
                    gate.set()


def event(**chunk):
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


def says(text):
    return event(choices=[{"index": 0, "delta": {"content": text}}])

"""The whole service before Khalti's stand-in: requests come in over ASGI, look-ups leave over TCP, rows go to a file
or a server. Khalti's ledger and plain SQL say what is true.

    async with a_world(database, khalti) as world:
        booking = await world.register()
        pidx = (await world.initiate(booking)).json()["data"]["pidx"]
        world.khalti.pay(pidx)
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol, Self, cast
from urllib.parse import urlsplit

import asyncpg
import httpx
from attrs import define, field, frozen
from dependency_injector import providers
from litestar import Litestar

from sewapay.adapters.khalti.simulator import Simulator
from sewapay.adapters.khalti.simulator.ledger import SimulatedPayment
from sewapay.adapters.web.auth import issue_token
from sewapay.application.access import Scope
from sewapay.application.storage import Store
from sewapay.entrypoints.asgi import create_app
from sewapay.entrypoints.container import Container, build_container
from tests.backend.system.promises import AtKhalti, Rows, broken

JWT_SECRET: Final = "the secret of the tests of the whole system, and of nothing else"
KHALTI_KEY: Final = "canary0123456789abcdef0123456789"
PUBLIC_URL: Final = "http://127.0.0.1:8000"
SHOP: Final = "https://shop.example"
SITA: Final = "42"
RAM: Final = "43"
STAFF: Final = "7"
PRICE: Final = 113000
GUIDE: Final = "/api/bookings/payments"

_BOOKINGS: Final = "SELECT id, status, settled_by, amount FROM bookings WHERE id >= $1"
_PAYMENTS: Final = (
    "SELECT id, booking_id, order_reference, amount, created_at, status, gateway_reference, expires_at, said, reason,"
    " outcome_unknown, surplus, review_reason, amount_paid, amount_refunded, transaction_id, paid_at,"
    " next_step IS NOT NULL AS has_link FROM payments WHERE booking_id >= $1"
)
_EVENTS: Final = (
    "SELECT booking_id, sequence, payment_id, kind FROM events WHERE booking_id >= $1 ORDER BY booking_id, sequence"
)
_ANSWERS: Final = (
    "SELECT o.payment_id, count(*) AS kept FROM observations o JOIN payments p ON p.id = o.payment_id"
    " WHERE p.booking_id >= $1 GROUP BY o.payment_id"
)


class Database(Protocol):
    """A migrated database, and a reader of its rows that shares nothing with the code under test."""

    url: str

    async def rows(self, query: str, first: int) -> list[dict[str, Any]]:
        """What a query with one number in it finds."""
        ...

    async def close(self) -> None:
        """Let go of the reader."""
        ...


@define
class SqliteDatabase:
    """A file."""

    url: str
    _connection: sqlite3.Connection | None = field(default=None, init=False, repr=False)

    @property
    def path(self) -> str:
        return self.url.removeprefix("sqlite:///")

    async def rows(self, query: str, first: int) -> list[dict[str, Any]]:
        if self._connection is None:
            self._connection = sqlite3.connect(self.path, isolation_level=None)
            self._connection.row_factory = sqlite3.Row
        return [dict(row) for row in self._connection.execute(query.replace("$1", "?1"), (first,))]

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


@define
class PostgresDatabase:
    """A database of a server."""

    url: str
    _connection: Any = field(default=None, init=False, repr=False)

    async def rows(self, query: str, first: int) -> list[dict[str, Any]]:
        if self._connection is None:
            self._connection = await asyncpg.connect(self.url, timeout=10)
        return [dict(row) for row in await self._connection.fetch(query, first)]

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()
        self._connection = None


def database_at(url: str) -> Database:
    """The reader that this address wants."""
    return SqliteDatabase(url) if url.startswith("sqlite") else PostgresDatabase(url)


async def rows_of(database: Database, first: int) -> Rows:
    """Everything about the bookings from this number on."""
    payments = [_tidy(row) for row in await database.rows(_PAYMENTS, first)]
    return Rows(
        bookings={row["id"]: row for row in await database.rows(_BOOKINGS, first)},
        payments={row["id"]: row for row in payments},
        events=tuple(await database.rows(_EVENTS, first)),
        answers={row["payment_id"]: row["kept"] for row in await database.rows(_ANSWERS, first)},
    )


def _tidy(row: dict[str, Any]) -> dict[str, Any]:
    """SQLite keeps truth as numbers and time as text."""
    for name in ("outcome_unknown", "surplus", "has_link"):
        row[name] = bool(row[name])
    if isinstance(row["expires_at"], str):
        row["expires_at"] = datetime.fromisoformat(row["expires_at"])
    return row


@define
class Khalti:
    """The stand-in, whose state the test holds, and which answers over TCP."""

    simulator: Simulator
    address: str
    http: httpx.Client
    _ever: dict[str, set[str]] = field(factory=dict, init=False, repr=False)

    @property
    def armed(self) -> int:
        """How many faults still wait."""
        return len(self.simulator.armed())

    def at(self, pidx: str) -> SimulatedPayment:
        """One line of its ledger."""
        return self.simulator.find(pidx)

    def status(self, pidx: str) -> str:
        """What an honest look-up would say."""
        return self.at(pidx).status(self.simulator.now()).value

    def ledger(self) -> dict[str, AtKhalti]:
        """Everything that it knows, and the statuses that each payment had whenever this was asked."""
        now = self.simulator.now()
        told = {}
        for payment in self.simulator.payments():
            status = payment.status(now).value
            ever = self._ever.setdefault(payment.pidx, set())
            ever.add(status)
            told[payment.pidx] = AtKhalti(
                order=payment.purchase.purchase_order_id,
                amount=payment.purchase.amount,
                status=status,
                transaction_id=payment.transaction_id,
                ever=frozenset(ever),
            )
        return told

    def control(self, what: str, **body: Any) -> dict[str, Any]:
        """Tell it over HTTP what happens next, as anybody would: `pay`, `cancel`, `faults`, `clock` ..."""
        answer = self.http.post(f"{self.address}/_sim/{what}", json=body)
        assert answer.status_code == 200, answer.text
        self.ledger()
        told: dict[str, Any] = answer.json()
        return told

    def pay(self, pidx: str) -> str:
        """The customer pays; where their browser is sent then."""
        return str(self.control("pay", pidx=pidx)["return_url"])

    def arm(self, on: str, fault: str, **options: Any) -> None:
        """Something goes wrong with the next `initiate` or `lookup`."""
        self.control("faults", on=on, fault=fault, **options)

    def heal(self) -> None:
        """Nothing goes wrong any more: whatever was armed happens to nobody."""
        for fault in self.simulator.armed():
            for _ in range(fault.times or 0):
                self.simulator.take_fault(fault.on, fault.pidx)

    def forget(self) -> None:
        """A new day: no payment, no fault, the time as it is. Pidx that were given out are never given again."""
        self.simulator.reset()
        self._ever.clear()


@define
class MovedClock:
    """The real time and an offset. Who waits for another's checkout looks more often than in production."""

    offset: timedelta = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.01))


@frozen
class Token:
    """Who asks, as an Authorization header."""

    headers: Mapping[str, str] = field(repr=False)

    @classmethod
    def of(cls, subject: str, role: str | None = None) -> Self:
        return cls({"Authorization": f"Bearer {issue_token(JWT_SECRET.encode(), subject=subject, role=role)}"})


AS_SITA: Final = Token.of(SITA).headers
AS_RAM: Final = Token.of(RAM).headers
AS_STAFF: Final = Token.of(STAFF, "staff").headers
HEADERS_OF: Final[Mapping[str, Mapping[str, str]]] = {SITA: AS_SITA, RAM: AS_RAM, STAFF: AS_STAFF}


@define
class World:
    """The service, its database and Khalti."""

    database: Database
    khalti: Khalti
    environ: Mapping[str, str]
    clock: MovedClock = field(factory=MovedClock)
    store: Store | None = None
    first: int = 1
    _http: httpx.AsyncClient | None = field(default=None, init=False, repr=False)
    _life: asyncio.Task[None] | None = field(default=None, init=False, repr=False)
    _ended: asyncio.Event = field(factory=asyncio.Event, init=False, repr=False)
    as_shop: Mapping[str, str] = field(factory=dict, init=False, repr=False)

    @property
    def http(self) -> httpx.AsyncClient:
        """A client of the running service; follows no redirect."""
        if self._http is None:
            raise RuntimeError("the service is not running")
        return self._http

    async def start(self) -> None:
        """Build the application anew, on the same database."""
        container: Container = build_container(self.environ)
        container.clock.override(providers.Object(self.clock))
        if self.store is not None:
            container.store.override(providers.Object(self.store))
        started: asyncio.Future[httpx.AsyncClient] = asyncio.get_running_loop().create_future()
        self._ended = asyncio.Event()
        self._life = asyncio.create_task(_live(create_app(container), started, self._ended))
        self._life.add_done_callback(lambda _: started.done() or started.cancel())
        try:
            self._http = await started
        except asyncio.CancelledError:
            await self._life
            raise
        if not self.as_shop:
            scopes = frozenset({Scope.BOOKINGS, Scope.PAYMENTS, Scope.READ})
            created = await container.create_api_key()("the shop", scopes)
            self.as_shop = {"Authorization": f"Bearer {created.token}"}

    async def stop(self) -> None:
        """Close the application, its client and its store."""
        self._http = None
        self._ended.set()
        if self._life is not None:
            await self._life
        self._life = None

    async def restart(self) -> None:
        """Everything that is not in the database is forgotten."""
        await self.stop()
        await self.start()

    async def rows(self) -> Rows:
        """What the database holds of this test's bookings."""
        return await rows_of(self.database, self.first)

    async def the_promises_hold(self) -> Rows:
        """The rows, after everything that must be true of them was looked at."""
        rows = await self.rows()
        assert broken(rows, self.khalti.ledger(), self.clock.now()) == []
        return rows

    async def register(self, *, owner: str = SITA, amount: int = PRICE) -> int:
        """A new booking's number."""
        answer = await self.http.post("/v1/bookings", json=a_booking(owner, amount), headers=self.as_shop)
        assert answer.status_code == 201, answer.text
        number: int = answer.json()["id"]
        return number

    async def initiate(self, booking: int, *, who: str = SITA, **more: Any) -> httpx.Response:
        """The guide's first call."""
        body = {"booking_id": booking, "return_url": f"{SHOP}/payment/callback", "website_url": SHOP, **more}
        return await self.http.post(f"{GUIDE}/initiate_khalti_payment/", json=body, headers=HEADERS_OF[who])

    async def process(self, booking: int, pidx: str, *, who: str = SITA, **more: Any) -> httpx.Response:
        """The guide's second call."""
        body = {"pidx": pidx, "booking_id": booking, **more}
        return await self.http.post(f"{GUIDE}/process_khalti_callback/", json=body, headers=HEADERS_OF[who])

    async def verify(self, payment_id: str, *, who: str = STAFF) -> httpx.Response:
        """Ask Khalti now, also about what is settled."""
        return await self.http.post(f"/v1/payments/{payment_id}/verification", headers=HEADERS_OF[who])

    async def come_back(self, url: str) -> httpx.Response:
        """The browser follows the gateway's redirect to us."""
        parts = urlsplit(url)
        return await self.http.get(f"{parts.path}?{parts.query}" if parts.query else parts.path)

    async def open_link(self, booking: int | None = None) -> tuple[int, str, dict[str, Any]]:
        """A booking, the pidx of the link that its customer was shown, and the payment's row."""
        booking = await self.register() if booking is None else booking
        answer = await self.initiate(booking)
        assert answer.status_code == 200, answer.text
        pidx: str = answer.json()["data"]["pidx"]
        return booking, pidx, await self.payment(pidx)

    async def payment(self, pidx: str) -> dict[str, Any]:
        """The row of the payment with this pidx."""
        rows = await self.rows()
        return dict(next(row for row in rows.payments.values() if row["gateway_reference"] == pidx))

    async def booking(self, number: int) -> dict[str, Any]:
        """A booking's row."""
        return dict((await self.rows()).bookings[number])

    async def attempts(self, booking: int) -> Sequence[dict[str, Any]]:
        """Every payment of a booking."""
        return [dict(row) for row in (await self.rows()).of_booking(booking)]


async def _live(app: Litestar, started: "asyncio.Future[httpx.AsyncClient]", ended: asyncio.Event) -> None:
    """The application's life, in one task from its beginning to its end, as a server has it."""
    transport = httpx.ASGITransport(app=cast(Any, app), raise_app_exceptions=False)
    async with app.lifespan(), httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
        started.set_result(http)
        await ended.wait()


def a_booking(owner: str, amount: int, **more: Any) -> dict[str, Any]:
    """What the shop registers."""
    return {"customer": {"id": owner, "name": "Sita Sharma"}, "title": "Deep cleaning", "amount": amount, **more}


def environ_for(database_url: str, khalti_url: str, **more: str) -> dict[str, str]:
    """The service's variables."""
    return {
        "SEWAPAY_ENV": "test",
        "SEWAPAY_DATABASE_URL": database_url,
        "SEWAPAY_JWT_SECRET": JWT_SECRET,
        "SEWAPAY_PUBLIC_URL": PUBLIC_URL,
        "SEWAPAY_RETURN_ORIGINS": SHOP,
        "KHALTI_SECRET_KEY": KHALTI_KEY,
        "KHALTI_BASE_URL": f"{khalti_url}/api/v2",
        **more,
    }


@contextlib.asynccontextmanager
async def a_world(
    database_url: str, khalti: Khalti, *, store: Store | None = None, read_from: str | None = None, **more: str
) -> AsyncIterator[World]:
    """A running service on a migrated database. What earlier tests left there is out of its sight.

    `read_from`: the address of the same database for us, where the service has one that gets blocked.
    """
    database = database_at(read_from or database_url)
    world = World(database, khalti, environ_for(database_url, khalti.address, **more), store=store)
    try:
        greatest = await database.rows("SELECT max(id) AS id FROM bookings WHERE id >= $1", 1)
        world.first = (greatest[0]["id"] or 0) + 1
        await world.start()
        yield world
    finally:
        await world.stop()
        await database.close()

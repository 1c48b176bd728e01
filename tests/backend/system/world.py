"""The whole service before Khalti's stand-in: requests come in over ASGI, look-ups leave over TCP, rows go to a file
or a server. Khalti's ledger and plain SQL say what is true.

    async with a_world(database, khalti) as world:
        booking = await world.register()
        pidx = (await world.initiate(booking)).json()["data"]["pidx"]
        world.khalti.pay(pidx)
"""

import asyncio
import contextlib
import json
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol, Self, cast
from urllib.parse import urlsplit

import asyncpg
import httpx
from attrs import define, field, frozen
from dependency_injector import providers
from litestar import Litestar

from sewapay.adapters.khalti.simulator import Simulator
from sewapay.adapters.khalti.simulator.payments import SimulatedPayment
from sewapay.adapters.system import RandomIds
from sewapay.adapters.web.auth import issue_token
from sewapay.application.access import Scope
from sewapay.application.audit import Books, GatewayTruth, truth_from_simulator
from sewapay.application.ports import PaymentGateway
from sewapay.application.reconcile_payments import Reconciled
from sewapay.application.storage import Store
from sewapay.domain.identifiers import PaymentId
from sewapay.entrypoints.asgi import create_app
from sewapay.entrypoints.container import Container, build_container
from sewapay.entrypoints.settings import Settings
from sewapay.entrypoints.worker import Worker
from sewapay.standins.faults import Fault
from tests.backend.system.promises import AtGateway, Rows, broken

JWT_SECRET: Final = "the secret of the tests of the whole system, and of nothing else"
KHALTI_KEY: Final = "canary0123456789abcdef0123456789"
PUBLIC_URL: Final = "http://127.0.0.1:8000"
SHOP: Final = "https://shop.example"
SITA: Final = "42"
RAM: Final = "43"
STAFF: Final = "7"
PRICE: Final = 113000
A_WEEK_SECONDS: Final = 7 * 24 * 3600
GUIDE: Final = "/api/bookings/payments"

_BOOKINGS: Final = "SELECT id, status, settled_by, amount FROM bookings WHERE id >= $1"
_PAYMENTS: Final = (
    "SELECT id, booking_id, gateway, order_reference, amount, created_at, status, gateway_reference, expires_at, said,"
    " reason, outcome_unknown, surplus, review_reason, amount_paid, amount_refunded, transaction_id, paid_at,"
    " next_step IS NOT NULL AS has_link FROM payments WHERE booking_id >= $1"
)
_EVENTS: Final = (
    "SELECT booking_id, sequence, payment_id, kind FROM events WHERE booking_id >= $1 ORDER BY booking_id, sequence"
)
_ANSWERS: Final = (
    "SELECT o.payment_id, count(*) AS kept FROM observations o JOIN payments p ON p.id = o.payment_id"
    " WHERE p.booking_id >= $1 GROUP BY o.payment_id"
)
# Whole rows of everything, for an audit. A key of the machine begins with the first booking's number.
_BOOKS: Final[Mapping[str, str]] = {
    "bookings": "SELECT * FROM bookings WHERE id >= $1 ORDER BY id",
    "payments": "SELECT * FROM payments WHERE booking_id >= $1 ORDER BY booking_id, created_at",
    "events": "SELECT * FROM events WHERE booking_id >= $1 ORDER BY booking_id, sequence",
    "observations": (
        "SELECT o.* FROM observations o JOIN payments p ON p.id = o.payment_id WHERE p.booking_id >= $1 ORDER BY o.id"
    ),
    "refunds": "SELECT * FROM refunds WHERE booking_id >= $1 ORDER BY requested_at",
    "entries": "SELECT * FROM ledger_entries WHERE booking_id >= $1",
    "answers": "SELECT * FROM answers WHERE key LIKE CAST(CAST($1 AS BIGINT) AS TEXT) || '-%'",
}
_TRUTHS: Final = frozenset({"outcome_unknown", "vouched", "surplus", "refund_due", "is_all", "refused", "refunded"})
_WRITTEN: Final = frozenset({"next_step", "data", "headers"})


class Database(Protocol):
    """A migrated database, and a reader of its rows that shares nothing with the code under test."""

    url: str

    async def rows(self, query: str, first: int) -> list[dict[str, Any]]:
        """What a query with one number in it finds."""
        ...

    async def change(self, statement: str) -> None:
        """Change what no request changes: what was due, how long a gateway is left alone."""
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
        return [dict(row) for row in self._connected().execute(query.replace("$1", "?1"), (first,))]

    async def change(self, statement: str) -> None:
        self._connected().execute(statement)

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = sqlite3.connect(self.path, isolation_level=None)
            self._connection.row_factory = sqlite3.Row
        return self._connection

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
        return [dict(row) for row in await (await self._connected()).fetch(query, first)]

    async def change(self, statement: str) -> None:
        await (await self._connected()).execute(statement)

    async def _connected(self) -> Any:
        if self._connection is None:
            self._connection = await asyncpg.connect(self.url, timeout=10)
        return self._connection

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


async def books_of(database: Database, first: int) -> Books:
    """The same as whole rows, as the audit takes them."""

    async def told(name: str) -> list[dict[str, Any]]:
        return [_told(row) for row in await database.rows(_BOOKS[name], first)]

    return Books(
        time=datetime.now(UTC),
        bookings=await told("bookings"),
        payments=await told("payments"),
        events=await told("events"),
        observations=await told("observations"),
        refunds=await told("refunds"),
        entries=await told("entries"),
        answers=await told("answers"),
    )


def rows_in(books: Books) -> Rows:
    """The books as the promises take them."""
    return Rows(
        bookings={row["id"]: row for row in books.bookings},
        payments={row["id"]: {**row, "has_link": row["next_step"] is not None} for row in books.payments},
        events=tuple(books.events),
        answers=Counter(row["payment_id"] for row in books.observations),
        refunds=tuple(books.refunds),
    )


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """SQLite keeps truth as numbers and time as text; both keep JSON as text."""
    for name, value in row.items():
        if value is None:
            continue
        if name in _TRUTHS:
            row[name] = bool(value)
        elif name in _WRITTEN:
            row[name] = json.loads(value)
        elif isinstance(value, str) and (name == "at" or name.endswith("_at")):
            row[name] = datetime.fromisoformat(value)
    return row


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

    def ledger(self) -> dict[str, AtGateway]:
        """Everything that it knows, and the statuses that each payment had whenever this was asked."""
        now = self.simulator.now()
        told = {}
        for payment in self.simulator.payments():
            status = payment.status(now).value
            ever = self._ever.setdefault(payment.pidx, set())
            ever.add(status)
            told[payment.pidx] = AtGateway(
                order=payment.purchase.purchase_order_id,
                amount=payment.purchase.amount,
                status=status,
                transaction_id=payment.transaction_id,
                ever=frozenset(ever),
                given_back=tuple(refund.amount for refund in payment.refunds if refund.by == "api"),
            )
        return told

    def truth(self) -> GatewayTruth:
        """Its ledger as the statement that it gives to anybody."""
        now = self.simulator.now()
        lines = [
            {
                "pidx": payment.pidx,
                "purchase_order_id": payment.purchase.purchase_order_id,
                "amount": payment.purchase.amount,
                "status": payment.status(now).value,
                "transaction_id": payment.transaction_id,
                "refunded_amount": payment.refunded_amount,
                "refunds": [{"amount": refund.amount, "by": refund.by} for refund in payment.refunds],
            }
            for payment in self.simulator.payments()
        ]
        return truth_from_simulator({"payments": lines})

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
        self.disarm(lambda _: True)

    def disarm(self, unwanted: Callable[[Fault], bool]) -> None:
        """Of what was armed, these happen to nobody."""
        armed = self.simulator.armed()
        for fault in armed:
            for _ in range(fault.times or 0):
                self.simulator.take_fault(fault.on, fault.reference)
        for fault in armed:
            if not unwanted(fault):
                self.simulator.arm(fault)

    def forget(self) -> None:
        """A new day: no payment, no fault, the time as it is. Pidx that were given out are never given again."""
        self.simulator.reset()
        self._ever.clear()


@define
class MovedClock:
    """The real time and an offset. Who waits for another's checkout looks more often than in production.

    With `hurries` whoever waits makes the time pass: what takes 15 seconds there is over at once.
    """

    offset: timedelta = timedelta()
    hurries: bool = False

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    async def pause(self, seconds: float) -> None:
        if self.hurries:
            self.offset += timedelta(seconds=seconds)
        await asyncio.sleep(min(seconds, 0.002 if self.hurries else 0.01))


@define
class DailyIds(RandomIds):
    """Random names, but for the beginning of a payment's: that decides when it is looked at, each day the same."""

    made_today: int = 0

    def payment_id(self) -> PaymentId:
        self.made_today += 1
        return PaymentId(f"{self.made_today * 40503 % 65536:04x}{super().payment_id()[4:]}")


@frozen
class Token:
    """Who asks, as an Authorization header."""

    headers: Mapping[str, str] = field(repr=False)

    @classmethod
    def of(cls, subject: str, role: str | None = None) -> Self:
        token = issue_token(JWT_SECRET.encode(), subject=subject, role=role, lifetime_seconds=A_WEEK_SECONDS)
        return cls({"Authorization": f"Bearer {token}"})


AS_SITA: Final = Token.of(SITA).headers
AS_RAM: Final = Token.of(RAM).headers
AS_STAFF: Final = Token.of(STAFF, "staff").headers
HEADERS_OF: Final[Mapping[str, Mapping[str, str]]] = {SITA: AS_SITA, RAM: AS_RAM, STAFF: AS_STAFF}


@define
class World:
    """The service, its database and Khalti.

    `first`: the number of this test's first booking. `cursor`: how far somebody has followed the events.
    `beside_khalti`: more gateways that are enabled.
    """

    database: Database
    khalti: Khalti
    environ: Mapping[str, str]
    clock: MovedClock = field(factory=MovedClock)
    ids: DailyIds = field(factory=DailyIds)
    beside_khalti: Sequence[PaymentGateway] = ()
    store: Store | None = None
    first: int = 1
    cursor: str | None = None
    _container: Container | None = field(default=None, init=False, repr=False)
    _beside: Container | None = field(default=None, init=False, repr=False)
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
        container = self._container = build_container(self.environ)
        container.clock.override(providers.Object(self.clock))
        container.ids.override(providers.Object(self.ids))
        self._enable_more(container)
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
        if self._beside is not None:
            await self._beside.http_client().aclose()
            await self._beside.store().close()
        self._container = self._beside = None

    async def restart(self) -> None:
        """Everything that is not in the database is forgotten."""
        await self.stop()
        await self.start()

    async def reconcile(self, workers: int = 1) -> list[Reconciled]:
        """A run of the reconciler; of a second one at once, which has a process of its own but for the loop."""
        containers = [self._running(), *[await self._second() for _ in range(workers - 1)]]
        return await asyncio.gather(*(Worker(container).once() for container in containers))

    async def reconcile_all(self) -> Reconciled:
        """Runs of the reconciler until nothing is due."""
        return await Worker(self._running()).until_nothing_is_due()

    def decide_by(self, **policies: str) -> None:
        """Go on by other policies, as the variables name them: `SEWAPAY_ON_SURPLUS="refund"` ..."""
        self.environ = {**self.environ, **policies}
        settings = providers.Object(Settings.load(self.environ))
        for container in (self._container, self._beside):
            if container is not None:
                container.settings.override(settings)

    async def forget_the_past(self) -> None:
        """Nothing that earlier tests left is due, or in sight."""
        greatest = await self.database.rows("SELECT max(id) AS id FROM bookings WHERE id >= $1", 1)
        self.first = (greatest[0]["id"] or 0) + 1
        await self.database.change("UPDATE payments SET next_check_at = NULL WHERE next_check_at IS NOT NULL")
        await self.calm_down()

    async def calm_down(self) -> None:
        """The five minutes are over, by the database's clock, for which a silent gateway is left alone."""
        await self.database.change("UPDATE paces SET silences = 0, away_until = NULL")

    def _enable_more(self, container: Container) -> None:
        if self.beside_khalti:
            more = {gateway.name: gateway for gateway in self.beside_khalti}
            container.gateways.override(providers.Object({**container.gateways(), **more}))

    def _running(self) -> Container:
        if self._container is None:
            raise RuntimeError("the service is not running")
        return self._container

    async def _second(self) -> Container:
        if self._beside is None:
            self._beside = build_container(self.environ)
            self._beside.clock.override(providers.Object(self.clock))
            self._enable_more(self._beside)
            await self._beside.store().open()
        return self._beside

    async def rows(self) -> Rows:
        """What the database holds of this test's bookings."""
        return await rows_of(self.database, self.first)

    async def books(self) -> Books:
        """The same as whole rows."""
        return await books_of(self.database, self.first)

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

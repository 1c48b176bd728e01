"""What an audit reads from a database: everything, in batches, and rows that nobody else could read."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest
from attrs import frozen

from sewapay.adapters.sql import audit as reading
from sewapay.adapters.sql.audit import Shelves, read_shelves
from sewapay.adapters.sql.migrations import migrate
from sewapay.adapters.sql.session import Prepared
from sewapay.adapters.sql.store import build_store
from sewapay.application.audit import Books, Finding, Twice, audit_bookings, not_ours, repeated
from sewapay.application.auditing.truth import GatewayTruth
from sewapay.application.errors import StoreUnavailable, UnusableSetting
from tests.books import truth_of
from tests.busy_shop import BusyShop, a_busy_shop

PARAMS: Final = [
    pytest.param("sqlite", id="sqlite"),
    pytest.param("postgres", id="postgres", marks=pytest.mark.postgres),
]


class Database:
    """A busy shop's database, and plain SQL to spoil it with."""

    def __init__(self, url: str, busy: BusyShop | None = None) -> None:
        self.url = url
        self.busy = busy or asyncio.run(self._busy())

    async def _busy(self) -> BusyShop:
        store = build_store(self.url)
        await store.open()
        try:
            return await a_busy_shop(store=store)
        finally:
            await store.close()

    @property
    def is_file(self) -> bool:
        return self.url.startswith("sqlite")

    @property
    def path(self) -> str:
        return self.url.removeprefix("sqlite:///")

    def execute(self, statement: str, *values: str) -> None:
        """One statement with `$1` and `$2` in it, whatever triggers and checks would say."""
        if self.is_file:
            with closing(sqlite3.connect(self.path)) as connection:
                connection.execute("PRAGMA foreign_keys=OFF")
                connection.execute("PRAGMA ignore_check_constraints=ON")
                for (trigger,) in connection.execute(
                    "SELECT name FROM sqlite_master WHERE type = 'trigger'"
                ).fetchall():
                    connection.execute(f"DROP TRIGGER {trigger}")
                connection.execute(statement.replace("$", "?"), values)
                connection.commit()
        else:
            asyncio.run(self._execute(statement, values))

    async def _execute(self, statement: str, values: tuple[str, ...]) -> None:
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute("SET session_replication_role = replica")
            await connection.execute(statement, *values)
        finally:
            await connection.close()

    def id(self, name: str) -> str:
        """This payment's id."""
        return str(self.busy.payments[name].id)

    def booking(self, name: str) -> int:
        """The number of this payment's booking."""
        return int(self.busy.payments[name].booking_id)

    @property
    def truth(self) -> GatewayTruth:
        return truth_of(self.busy.shop.gateway)

    def audited(self) -> list[Finding]:
        """What an audit finds, without and with the gateway's books."""
        now = self.busy.shop.clock.now()
        references: set[str] = set()

        def look(shelves: Shelves) -> list[Finding]:
            found = []
            for books in shelves.books():
                found += audit_bookings(books, self.truth, now=now, is_quiet=False)
                references.update(row["gateway_reference"] for row in books.payments if row["gateway_reference"])
            return [*found, *repeated(shelves.twice())]

        found = asyncio.run(read_shelves(self.url, look))
        return [*found, *not_ours(self.truth, frozenset(references))]

    def twice(self) -> list[Twice]:
        return asyncio.run(read_shelves(self.url, lambda shelves: shelves.twice()))


@pytest.fixture(params=PARAMS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    url = f"sqlite:///{tmp_path}/sewapay.db"
    if request.param == "postgres":
        url = request.getfixturevalue("fresh_postgres_url")
    migrate(url)
    return Database(url)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Database:
    url = f"sqlite:///{tmp_path_factory.mktemp('audit')}/sewapay.db"
    migrate(url)
    return Database(url)


@pytest.fixture
def file(made: Database, tmp_path: Path) -> Database:
    """A copy of one busy shop's file."""
    copy = tmp_path / "sewapay.db"
    with closing(sqlite3.connect(made.path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return Database(f"sqlite:///{copy}", made.busy)


@pytest.fixture(params=[1, 7, 500])
def at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many bookings are read at a time."""
    for name in ("_BOOKINGS", "_ANSWERS"):
        statement = getattr(reading, name)._statement.limit(request.param)
        monkeypatch.setattr(reading, name, Prepared(statement))
    monkeypatch.setattr(reading, "BOOKINGS_AT_ONCE", request.param)
    return int(request.param)


def batches(url: str) -> list[Books]:
    return asyncio.run(read_shelves(url, lambda shelves: list(shelves.books())))


def test_everything_is_read_once_however_many_at_a_time(file: Database, at_once: int) -> None:
    with closing(sqlite3.connect(file.path)) as connection:
        wanted = {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 (our own tables)
            for table in ("bookings", "payments", "events", "observations", "refunds", "ledger_entries", "answers")
        }

    read = batches(file.url)

    assert wanted == {
        "bookings": sum(len(books.bookings) for books in read),
        "payments": sum(len(books.payments) for books in read),
        "events": sum(len(books.events) for books in read),
        "observations": sum(len(books.observations) for books in read),
        "refunds": sum(len(books.refunds) for books in read),
        "ledger_entries": sum(len(books.entries) for books in read),
        "answers": sum(len(books.answers) for books in read),
    }
    assert max(len(books.bookings) for books in read) <= at_once
    assert file.audited() == []


@frozen
class Spoilt:
    """What plain SQL does to a database, with these payments' ids as its values, and what has to be found then."""

    statement: str
    payments: tuple[str, ...]
    found: str


# `{payment}` and `{booking}` stand for the first payment's id and the number of its booking.
SPOILT: Final = {
    "money is gone": Spoilt("UPDATE payments SET amount_paid = 1 WHERE id = $1", ("paid",), "I3 booking {booking}"),
    "an entry is gone": Spoilt(
        "DELETE FROM ledger_entries WHERE payment_id = $1", ("refund refused",), "I2 payment {payment}"
    ),
    "an event is gone": Spoilt(
        "DELETE FROM events WHERE payment_id = $1 AND kind = 'payment.opened'",
        ("refund_lost",),
        "I16 booking {booking}",
    ),
    "answers are gone": Spoilt(
        "DELETE FROM observations WHERE payment_id = $1", ("contradicted",), "I8 payment {payment}"
    ),
    "an answer hangs on nothing": Spoilt(
        "UPDATE observations SET payment_id = 'nobody' WHERE payment_id = $1",
        ("surplus, settling",),
        "I17 payment nobody",
    ),
    "a refund hangs on nothing": Spoilt(
        "UPDATE refunds SET payment_id = '00000000-0000-4000-8000-000000000000' WHERE payment_id = $1",
        ("refunded",),
        "I5 a refund",
    ),
    "an entry hangs on nothing": Spoilt(
        "UPDATE ledger_entries SET payment_id = '00000000-0000-4000-8000-000000000000' WHERE payment_id = $1",
        ("surplus",),
        "I5 a ledger entry",
    ),
    "a payment hangs on nothing": Spoilt(
        "UPDATE payments SET booking_id = 1 WHERE id = $1", ("open",), "I5 payment {payment}"
    ),
    "a booking is gone": Spoilt(
        "DELETE FROM bookings WHERE id = (SELECT booking_id FROM payments WHERE id = $1)",
        ("silent",),
        "I5 payment {payment}",
    ),
    "one transaction paid twice": Spoilt(
        "UPDATE payments SET transaction_id = 't' WHERE id IN ($1, $2)",
        ("partly refunded", "refund_unknown"),
        "I5 transaction_id t",
    ),
    "nobody will look": Spoilt(
        "UPDATE payments SET next_check_at = NULL WHERE id = $1", ("pending",), "I11 payment {payment}"
    ),
    "what was answered is gone": Spoilt("DELETE FROM bookings WHERE id = 900", (), "I18 kept answer"),
    "a part of an answer is gone": Spoilt("UPDATE answers SET status = NULL", (), "I14 kept answer"),
}


def test_what_plain_sql_spoils_is_found(database: Database) -> None:
    assert [str(finding) for finding in database.audited()] == []
    missed = {}
    for name, spoilt in SPOILT.items():
        first = spoilt.payments[0] if spoilt.payments else "paid"
        wanted = spoilt.found.format(payment=database.id(first), booking=database.booking(first))
        before = [str(finding) for finding in database.audited()]

        database.execute(spoilt.statement, *map(database.id, spoilt.payments))

        found = [str(finding) for finding in database.audited()]
        if not [finding for finding in found if finding.startswith(wanted) and finding not in before]:
            missed[name] = found
    assert missed == {}


@pytest.mark.parametrize(
    ("statement", "invariant"),
    [
        ("UPDATE payments SET next_check_at = 'tomorrow' WHERE id = $1", "I17"),
        ("UPDATE payments SET created_at = 5 WHERE id = $1", "I17"),
        ("UPDATE payments SET next_step = '{' WHERE id = $1", "I17"),
        ("UPDATE payments SET amount_paid = 1130.5 WHERE id = $1", "I2"),
        ("UPDATE payments SET amount = 'much' WHERE id = $1", "I2"),
        ("UPDATE payments SET status = 'complete' WHERE id = $1", "I6"),
        ("UPDATE payments SET review_reason = 'because' WHERE id = $1", "I6"),
    ],
)
def test_a_row_that_nobody_could_read_is_found_and_hides_no_other(
    file: Database, statement: str, invariant: str
) -> None:
    file.execute(statement, file.id("open"))
    file.execute("UPDATE payments SET amount_paid = 1 WHERE id = $1", file.id("paid"))

    found = {(finding.invariant, finding.subject) for finding in file.audited()}

    assert (invariant, f"payment {file.id('open')}") in found
    assert ("I3", f"booking {file.booking('paid')}") in found


@pytest.mark.parametrize("column", ["gateway_reference", "order_reference"])
@pytest.mark.parametrize("database", ["postgres"], indirect=True)
@pytest.mark.postgres
def test_a_name_on_two_payments_is_found_where_no_index_keeps_them_apart(database: Database, column: str) -> None:
    first, second = sorted([database.id("open"), database.id("pending")])
    database.execute(f"ALTER TABLE payments DROP CONSTRAINT uq_payments_gateway_environment_{column}")
    database.execute(f"UPDATE payments SET {column} = 'AAAAAAAAAAAAAAAAAAAA' WHERE id IN ($1, $2)", first, second)  # noqa: S608

    assert database.twice() == [Twice(column=column, name="A" * 20, payments=(first, second))]


def test_an_empty_database_is_in_order(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/empty.db"
    migrate(url)

    assert [len(books.bookings) for books in batches(url)] == [0]


@pytest.mark.parametrize("name", ["missing.db", "."])
def test_a_database_that_is_not_there_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreUnavailable):
        batches(f"sqlite:///{tmp_path}/{name}")


def test_a_database_that_was_never_migrated_cannot_be_read(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "bare.db").close()

    with pytest.raises(StoreUnavailable, match="sewapay migrate"):
        batches(f"sqlite:///{tmp_path}/bare.db")


def test_a_server_that_is_away_cannot_be_read() -> None:
    with pytest.raises(StoreUnavailable):
        batches("postgresql://nobody@127.0.0.1:1/nothing")


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(UnusableSetting):
        batches("mysql://somewhere")


def test_reading_changes_nothing(file: Database) -> None:
    def write(shelves: Shelves) -> Any:
        return shelves._fetch("DELETE FROM payments", ())

    with pytest.raises(StoreUnavailable):
        asyncio.run(read_shelves(file.url, write))

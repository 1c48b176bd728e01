import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from attrs import evolve
from sqlalchemy import Connection, Engine, create_engine, inspect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from sewapay.adapters.sql.migrations import current_revision, downgrade, head_revision, migrate
from sewapay.adapters.sql.store import build_store
from sewapay.adapters.sql.tables import metadata
from sewapay.adapters.sql.urls import PostgresAddress, SqliteAddress, read_address
from sewapay.application.errors import StoreUnavailable, UnusableSetting
from sewapay.application.storage import BookingFilter, Page, PaymentFilter, Store, Told
from sewapay.domain.booking import Booking, BookingStatus
from sewapay.domain.checkout import Redirect
from sewapay.domain.ledger import Posting
from sewapay.domain.money import NOTHING, Money
from sewapay.domain.observation import Evidence
from sewapay.domain.payment import Payment
from sewapay.testing.builders import an_event, payment_id
from sewapay.testing.stores.feed import told
from sewapay.testing.stores.given import change_booking

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[3]
PYTHONPATH = f"{ROOT / 'src'}{os.pathsep}{ROOT}"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database; for SQLite a file that is not there yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/new.db"
    fresh: str = request.getfixturevalue("fresh_postgres_url")
    return fresh


def on(url: str, work: Callable[[Connection], T]) -> T:
    """Do something with a connection to this database."""
    address = read_address(url)
    if isinstance(address, SqliteAddress):
        return _on_engine(create_engine(f"sqlite:///{address.path}"), work)
    return asyncio.run(_on_postgres(address, work))


def _on_engine(engine: Engine, work: Callable[[Connection], T]) -> T:
    try:
        with engine.begin() as connection:
            return work(connection)
    finally:
        engine.dispose()


async def _on_postgres(address: PostgresAddress, work: Callable[[Connection], T]) -> T:
    engine = create_async_engine(address.url)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(work)
    finally:
        await engine.dispose()


def tables(url: str) -> set[str]:
    return set(on(url, lambda connection: inspect(connection).get_table_names()))


def checks(url: str) -> dict[str, set[str]]:
    """The words of every check, as the database tells them."""

    def look(connection: Connection) -> dict[str, set[str]]:
        found = inspect(connection)
        return {
            table: {f"{check['name']}: {check['sqltext']}" for check in found.get_check_constraints(table)}
            for table in metadata.tables
        }

    return on(url, look)


def indexes(url: str) -> list[str]:
    """Every index in the database's own words, which tell of which rows it is."""
    is_file = isinstance(read_address(url), SqliteAddress)
    query = (
        "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        if is_file
        else "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'"
    )
    return sorted(row[0] for row in rows(url, query) if "alembic" not in row[0])


def layout(url: str) -> dict[str, object]:
    """Tables, columns, checks, indexes and triggers."""

    def look(connection: Connection) -> dict[str, object]:
        found = inspect(connection)
        return {
            table: (
                [{**column, "type": str(column["type"])} for column in found.get_columns(table)],
                found.get_pk_constraint(table),
                sorted(found.get_unique_constraints(table), key=str),
                sorted(found.get_check_constraints(table), key=str),
                found.get_foreign_keys(table),
            )
            for table in found.get_table_names()
        }

    is_file = isinstance(read_address(url), SqliteAddress)
    query = "SELECT name FROM sqlite_master WHERE type = 'trigger'" if is_file else "SELECT tgname FROM pg_trigger"
    triggers = sorted(row[0] for row in rows(url, query) if not row[0].startswith("RI_"))
    return on(url, look) | {"indexes": indexes(url), "triggers": triggers}


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    """What a query gives."""
    return on(url, lambda connection: [tuple(row) for row in connection.exec_driver_sql(query)])


def execute(url: str, *statements: str) -> None:
    """Run these, each in the same words on both databases."""

    def run(connection: Connection) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement)

    on(url, run)


def differences(url: str) -> list[Any]:
    def compare(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))

    return on(url, compare)


def test_an_empty_database_is_brought_up_to_date(url: str) -> None:
    before = current_revision(url)

    migrate(url)

    assert (before, current_revision(url)) == (None, head_revision())
    assert tables(url) == {*metadata.tables, "alembic_version"}


def test_up_down_and_up_again_gives_the_tables_that_the_code_expects(url: str) -> None:
    migrate(url)
    downgrade(url, "base")
    left = tables(url)
    migrate(url)

    assert left == {"alembic_version"}
    assert differences(url) == []


def test_the_checks_are_those_that_the_code_expects(url: str, tmp_path: Path) -> None:
    migrate(url)
    migrated = checks(url)

    downgrade(url, "base")
    on(url, metadata.create_all)

    assert migrated == checks(url)
    assert sum(len(words) for words in migrated.values()) == 16


def test_the_indexes_are_those_that_the_code_expects(url: str) -> None:
    migrate(url)
    migrated = indexes(url)

    downgrade(url, "base")
    on(url, metadata.create_all)

    assert migrated == indexes(url)
    assert len([words for words in migrated if " WHERE " in words]) == 4


@pytest.mark.parametrize("revision", ["0001"])
def test_going_back_gives_the_tables_that_were_there_before(url: str, revision: str) -> None:
    migrate(url, to=revision)
    before = layout(url)

    migrate(url)
    downgrade(url, revision)

    assert layout(url) == before


def test_migrating_an_up_to_date_database_changes_nothing(url: str) -> None:
    migrate(url)
    migrate(url)

    assert current_revision(url) == head_revision()
    assert differences(url) == []


def test_it_can_be_done_while_an_event_loop_runs(url: str) -> None:
    async def serve() -> str | None:
        migrate(url)
        return current_revision(url)

    assert asyncio.run(serve()) == head_revision()


def test_the_working_directory_does_not_matter(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    migrate(url)

    assert current_revision(url) == head_revision()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_migration_that_fails_leaves_nothing_behind(url: str) -> None:
    on(url, lambda connection: connection.exec_driver_sql("CREATE TABLE api_keys (id INTEGER)").close())

    with pytest.raises(Exception, match="already exists"):
        migrate(url)

    assert tables(url) == {"api_keys"}
    assert current_revision(url) is None


@pytest.mark.fault("F81")
def test_several_processes_that_migrate_at_once_do_it_once(url: str) -> None:
    code = "import sys; from sewapay.adapters.sql.migrations import migrate; migrate(sys.argv[1])"
    migrating = [
        subprocess.Popen(
            [sys.executable, "-c", code, url],
            env=os.environ | {"PYTHONPATH": PYTHONPATH},
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    said = [process.communicate(timeout=60)[1] for process in migrating]

    assert said == ["", "", ""]
    assert [process.returncode for process in migrating] == [0, 0, 0]
    assert current_revision(url) == head_revision()
    assert differences(url) == []


def test_asking_where_a_database_stands_does_not_make_one(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new.db"

    assert current_revision(url) is None
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_a_folder_that_is_missing_is_said_to_be_unusable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        migrate(f"sqlite:///{tmp_path}/missing/new.db")


def test_a_server_that_is_away_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        migrate("postgresql://sewapay@127.0.0.1:1/sewapay")
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        current_revision("postgresql://sewapay@127.0.0.1:1/sewapay")


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(UnusableSetting):
        migrate("mysql://root@localhost/sewapay")


def test_migrating_sets_up_no_logging(tmp_path: Path) -> None:
    code = """
import logging, sys
from sewapay.adapters.sql.migrations import migrate
migrate(sys.argv[1])
print(logging.getLogger().handlers, logging.getLogger().level == logging.WARNING, logging.root.manager.disable)
"""
    said = subprocess.run(
        [sys.executable, "-c", code, f"sqlite:///{tmp_path}/new.db"],
        env=os.environ | {"PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        check=True,
    )

    assert (said.stdout, said.stderr) == ("[] True 0\n", "")


# -- what is stored already --------------------------------------------------------------------------------------------

BOOKINGS = """
INSERT INTO bookings (id, customer_id, title, amount, registered_at, status, settled_by, version) VALUES
    (1, '42', 'Deep cleaning', 113000, '2026-01-15T06:15:00.000000+00:00', 'confirmed', '{1}', 2),
    (2, '43', 'Gardening', 50000, '2026-01-15T06:17:00.000000+00:00', 'canceled', NULL, 3)
"""
PAYMENTS = """
INSERT INTO payments (id, booking_id, gateway, environment, order_reference, amount, created_at, status, next_step,
    gateway_reference, said, outcome_unknown, surplus, review_reason, amount_paid, amount_refunded, fee, paid_at,
    next_check_at, version) VALUES
    ('{1}', 1, 'khalti', 'sandbox', '00000000000000000001', 113000, '2026-01-15T06:16:00.000000+00:00', 'completed',
        '{{"kind": "redirect", "url": "https://pay.example/"}}', 'p1', 'Completed', FALSE, FALSE, NULL, 113000, 0, 300,
        '2026-01-15T06:20:00.000000+00:00', NULL, 4),
    ('{2}', 1, 'khalti', 'sandbox', '00000000000000000002', 113000, '2026-01-15T06:17:00.000000+00:00', 'completed',
        NULL, 'p2', 'Completed', FALSE, TRUE, NULL, 113000, 0, NULL, '2026-01-15T06:21:00.000000+00:00', NULL, 3),
    ('{3}', 1, 'khalti', 'sandbox', '00000000000000000003', 113000, '2026-01-15T06:18:00.000000+00:00', 'refunded',
        NULL, 'p3', 'Refunded', FALSE, TRUE, NULL, 113000, 113000, 0, '2026-01-15T06:22:00.000000+00:00', NULL, 5),
    ('{4}', 2, 'khalti', 'sandbox', '00000000000000000004', 50000, '2026-01-15T06:19:00.000000+00:00', 'under_review',
        NULL, 'p4', 'Completed', FALSE, TRUE, 'booking_canceled', 40000, NULL, 0,
        '2026-01-15T06:23:00.000000+00:00', NULL, 2),
    ('{5}', 2, 'khalti', 'sandbox', '00000000000000000005', 50000, '2026-01-15T06:20:00.000000+00:00', 'open',
        NULL, 'p5', NULL, TRUE, FALSE, NULL, NULL, 0, NULL, NULL, '2026-01-15T06:21:00.000000+00:00', 1)
"""
EVENTS = """
INSERT INTO events (booking_id, sequence, kind, at, actor, data) VALUES
    (2, 1, 'booking.registered', '2026-01-15T06:17:00.000000+00:00', 'sewapay', '{{"n": 2}}'),
    (2, 2, 'booking.canceled', '2026-01-15T06:26:00.000000+00:00', 'staff:7', '{{"n": 5}}'),
    (1, 1, 'booking.registered', '2026-01-15T06:15:00.000000+00:00', 'sewapay', '{{"n": 1}}'),
    (1, 2, 'payment.created', '2026-01-15T06:25:00.000000+00:00', 'customer:42', '{{"n": 3}}'),
    (1, 3, 'payment.completed', '2026-01-15T06:10:00.000000+00:00', 'gateway', '{{"n": 4}}')
"""
OBSERVATIONS = """
INSERT INTO observations (payment_id, at, reported, said, amount) VALUES
    ('{1}', '2026-01-15T06:20:00.000000+00:00', 'completed', 'Completed', 113000)
"""


def at_0001(url: str) -> None:
    """A database as the first version left it: the clock went back before the third event of booking 1."""
    ids = ["", *(payment_id(number) for number in range(1, 6))]
    migrate(url, to="0001")
    execute(url, *(words.format(*ids) for words in (BOOKINGS, PAYMENTS, EVENTS, OBSERVATIONS)))


async def using(url: str, work: Callable[[Store], Awaitable[T]]) -> T:
    """What comes of using this database as the service does."""
    store = build_store(url)
    await store.open()
    try:
        return await work(store)
    finally:
        await store.close()


def test_what_the_first_version_stored_is_kept(url: str) -> None:
    at_0001(url)

    migrate(url)

    async def look(store: Store) -> tuple[list[Booking], list[Payment], list[Evidence]]:
        return await store.read(
            lambda view: (
                view.bookings.page(BookingFilter(), Page())[0],
                view.payments.page(PaymentFilter(), Page())[0][::-1],
                view.payments.evidence(payment_id(1)),
            )
        )

    bookings, payments, evidence = asyncio.run(using(url, look))
    assert [(one.id, one.status, one.settled_by, one.version) for one in bookings] == [
        (2, BookingStatus.CANCELED, None, 3),
        (1, BookingStatus.CONFIRMED, payment_id(1), 2),
    ]
    assert [(one.status.value, one.version, one.gateway_reference) for one in payments] == [
        ("completed", 4, "p1"),
        ("completed", 3, "p2"),
        ("refunded", 5, "p3"),
        ("under_review", 2, "p4"),
        ("open", 1, "p5"),
    ]
    assert payments[0].next_step == Redirect("https://pay.example/")
    assert (payments[0].fee, payments[3].amount_refunded) == (Money(300), None)
    assert {(one.opened_at, one.amount_reserved, one.refund_due, one.looked_at, one.silences) for one in payments} == {
        (None, NOTHING, False, None, 0)
    }
    assert [one.observation.said for one in evidence] == ["Completed"]


def test_surplus_that_was_not_given_back_waits_for_a_person(url: str) -> None:
    at_0001(url)

    migrate(url)

    found = rows(url, "SELECT review_reason FROM payments ORDER BY created_at")
    assert [row[0] for row in found] == [None, "surplus", None, "booking_canceled", None]


def test_money_that_came_before_stands_in_the_ledger(url: str) -> None:
    at_0001(url)

    migrate(url)

    async def look(store: Store) -> list[list[Posting]]:
        return await store.read(lambda view: [view.ledger.of_payment(payment_id(number)) for number in range(1, 6)])

    postings = asyncio.run(using(url, look))
    assert [[tuple((entry.account.value, entry.paisa) for entry in one.entries) for one in of] for of in postings] == [
        [(("customer_funds", -113000), ("merchant_receivable", 112700), ("gateway_fee", 300))],
        [(("customer_funds", -113000), ("merchant_receivable", 113000))],
        [(("customer_funds", -113000), ("refunds", 113000))],
        [(("customer_funds", -40000), ("merchant_receivable", 40000))],
        [],
    ]
    assert postings[0][0].at == datetime(2026, 1, 15, 6, 20, tzinfo=UTC)


def test_events_of_the_first_version_are_told_in_an_order_that_keeps_each_bookings_own(url: str) -> None:
    at_0001(url)

    migrate(url)

    async def look(store: Store) -> list[Told]:
        feed, cursor = await told(store)
        await change_booking(store, lambda booking: evolve(booking, events=(an_event(6, booking),)))
        new, _ = await told(store, cursor)
        return feed + new

    feed = asyncio.run(using(url, look))
    assert [(one.event.booking_id, one.sequence, one.event.data["n"]) for one in feed] == [
        *((1, 1, 1), (2, 1, 2), (1, 2, 3), (1, 3, 4), (2, 2, 5)),
        (1, 4, 6),
    ]


@pytest.mark.parametrize("table", ["events", "observations", "ledger_entries"])
def test_what_happened_before_is_never_changed_after(url: str, table: str) -> None:
    at_0001(url)
    migrate(url)

    with pytest.raises(DBAPIError, match="append-only"):
        execute(url, f"DELETE FROM {table}")  # noqa: S608 (one of the three above)


def test_references_between_tables_are_whole_after_migrating_a_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/old.db"
    at_0001(url)

    migrate(url)

    assert rows(url, "PRAGMA foreign_key_check") == []
    assert {row[2] for row in rows(url, "PRAGMA foreign_key_list(payments)")} == {"bookings"}
    assert {row[2] for row in rows(url, "PRAGMA foreign_key_list(refunds)")} == {"payments"}


def test_going_back_keeps_what_the_first_version_knows(url: str) -> None:
    at_0001(url)
    kept = "SELECT id, status, amount_paid, version FROM payments ORDER BY id"
    before = rows(url, kept)
    migrate(url)
    execute(
        url,
        "UPDATE bookings SET status = 'refunded' WHERE id = 1",
        f"UPDATE payments SET review_reason = 'stuck', status = 'under_review' WHERE id = '{payment_id(5)}'",  # noqa: S608
        "INSERT INTO events (booking_id, sequence, kind, at, actor, data) VALUES "
        "(1, 4, 'booking.refunded', '2026-01-15T06:30:00.000000+00:00', 'gateway', '{}')",
    )

    downgrade(url, "0001")

    assert rows(url, kept)[:4] == before[:4]
    assert rows(url, "SELECT id, status FROM bookings ORDER BY id") == [(1, "confirmed"), (2, "canceled")]
    assert [row[0] for row in rows(url, "SELECT review_reason FROM payments ORDER BY created_at")] == [
        *(None, None, None),
        *("booking_canceled", "contradictory"),
    ]
    assert rows(url, "SELECT booking_id, sequence FROM events ORDER BY booking_id, sequence") == [
        *((1, 1), (1, 2), (1, 3)),
        *((2, 1), (2, 2)),
    ]

import asyncio
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from attrs import evolve

from sewapay.adapters.sql import workers
from sewapay.adapters.sql.cursors import write_place
from sewapay.adapters.sql.migrations import migrate
from sewapay.adapters.sql.session import Driver
from sewapay.adapters.sql.sqlite import SqliteStore
from sewapay.adapters.sql.transaction import SqlTx
from sewapay.application.errors import BookingNotFound, InvalidCursor, ReferenceTaken, StoreUnavailable
from sewapay.application.storage import BookingFilter, Claim, Page, Poisoned, Tx, View
from sewapay.domain.booking import Booking
from sewapay.domain.identifiers import BookingId, Environment
from sewapay.domain.money import Money
from sewapay.domain.payment import Payment
from sewapay.testing.builders import KHALTI, NOON, a_booking, a_payment, an_event, payment_id
from sewapay.testing.stores.feed import told
from sewapay.testing.stores.given import (
    change_booking,
    change_payment,
    given,
    stored_booking,
    stored_events,
    stored_payment,
)
from sewapay.testing.stores.leases import claim, numbered
from tests.shop import ManualClock

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sewa pay?#%.db"  # a name that an address has to quote
    migrate(f"sqlite:///{tmp_path}/plain.db")
    (tmp_path / "plain.db").rename(path)
    return path


@pytest.fixture
async def store(file: Path) -> AsyncIterator[SqliteStore]:
    made = SqliteStore(file, busy_seconds=0.1)
    await made.open()
    yield made
    await made.close()


def driver_of(tx: Tx | View) -> Driver:
    """The writer's own connection."""
    assert isinstance(tx, SqlTx)
    return tx.session.driver


async def ask(store: SqliteStore, pragma: str) -> object:
    """The writer's answer to a pragma."""
    return await store.transact(lambda tx: driver_of(tx).fetch(f"PRAGMA {pragma}", ())[0][0])


def heavy(number: int) -> Booking:
    """A booking that takes about a page of the file."""
    long = "क" * 120
    return evolve(a_booking(number), events=tuple(evolve(an_event(n, a_booking(number)), actor=long) for n in range(8)))


async def add_at_once(store: SqliteStore, bookings: list[Booking]) -> tuple[set[int], list[BaseException]]:
    """Add each in a transaction of its own, all waiting together: which were acknowledged, and the errors."""
    outcomes = await asyncio.gather(*(given(store, booking) for booking in bookings), return_exceptions=True)
    acknowledged = {int(b.id) for b, outcome in zip(bookings, outcomes, strict=True) if outcome is None}
    return acknowledged, [outcome for outcome in outcomes if outcome is not None]


async def all_numbers(store: SqliteStore) -> set[int]:
    found, _ = await store.read(lambda view: view.bookings.page(BookingFilter(), Page(limit=10_000)))
    return {int(booking.id) for booking in found}


@contextmanager
def held_by_another_process(file: Path) -> Iterator[None]:
    """Somebody else writes and does not come to an end."""
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


class Blocked:
    """A transaction that keeps the writer busy until it is released."""

    def __init__(self, store: SqliteStore) -> None:
        self._running = threading.Event()
        self._released = threading.Event()
        self._task = asyncio.create_task(store.transact(self._work))

    def _work(self, tx: Tx) -> None:
        self._running.set()
        assert self._released.wait(10)

    async def __aenter__(self) -> None:
        await asyncio.to_thread(self._running.wait, 10)

    async def __aexit__(self, *_: object) -> None:
        self._released.set()
        await self._task


# -- durable -----------------------------------------------------------------------------------------------------------


@pytest.mark.fault("F78")
async def test_a_commit_is_on_the_disk_when_it_returns(store: SqliteStore) -> None:
    asked = {pragma: await ask(store, pragma) for pragma in ("journal_mode", "synchronous", "foreign_keys")}

    assert asked == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}  # 2 is FULL


LOAD = """
import asyncio, sys
from pathlib import Path
from sewapay.adapters.sql.sqlite import SqliteStore
from sewapay.testing.builders import a_booking
from sewapay.testing.stores.given import given

async def add(store, first):
    for number in range(first, first + 100_000, 20):
        await given(store, a_booking(number))
        print(number, flush=True)

async def main(path, first):
    store = SqliteStore(Path(path))
    await store.open()
    await asyncio.gather(*(add(store, first + place) for place in range(20)))

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


def acknowledged_before_kill_9(file: Path, first: int) -> set[int]:
    """A process adds bookings, twenty at a time, until it is killed: which of them it was told are stored."""
    child = subprocess.Popen(
        [sys.executable, "-c", LOAD, file, str(first)],
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    with child.stdout as told:
        lines = [told.readline() for _ in range(200)]
        child.send_signal(signal.SIGKILL)
        lines += told.read().splitlines(keepends=True)
    child.wait()
    return {int(line) for line in lines if line.endswith("\n")}


@pytest.mark.fault("F70")
@pytest.mark.invariant("I18")
async def test_kill_9_in_the_middle_of_the_load_loses_nothing_that_was_acknowledged(file: Path) -> None:
    acknowledged: set[int] = set()
    for _ in range(3):
        first = max(acknowledged, default=0) + 1000
        acknowledged |= acknowledged_before_kill_9(file, first)

    store = SqliteStore(file)
    await store.open()
    stored = await all_numbers(store)
    events = await store.read(lambda view: {len(view.events.of_booking(BookingId(number))) for number in stored})
    await store.close()

    assert len(acknowledged) >= 600
    assert acknowledged <= stored
    assert events == {1}


async def test_what_waits_when_the_store_is_closed_is_done_first(file: Path) -> None:
    store = SqliteStore(file)
    await store.open()
    tasks = [asyncio.create_task(given(store, a_booking(number))) for number in range(1, 101)]
    await asyncio.sleep(0)

    await store.close()

    assert await asyncio.gather(*tasks) == [None] * 100
    await store.open()
    assert await all_numbers(store) == set(range(1, 101))
    await store.close()


async def test_a_closed_store_says_so(file: Path) -> None:
    store = SqliteStore(file)
    with pytest.raises(StoreUnavailable, match="closed"):
        await given(store, a_booking())

    await store.open()
    await store.open()
    await store.close()
    await store.close()

    with pytest.raises(StoreUnavailable, match="closed"):
        await stored_booking(store)
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.ping()


# -- group commit ------------------------------------------------------------------------------------------------------


async def test_transactions_that_wait_together_share_their_commits(store: SqliteStore) -> None:
    async with Blocked(store):
        adding = asyncio.gather(*(given(store, a_booking(number)) for number in range(1, 101)))
        await asyncio.sleep(0)
    await adding

    assert store.commits <= 2
    assert await all_numbers(store) == set(range(1, 101))


async def test_one_that_fails_in_a_group_does_not_hurt_the_others(store: SqliteStore) -> None:
    def fail(tx: Tx) -> None:
        tx.bookings.add(a_booking(1000))
        raise BookingNotFound

    def repeat(tx: Tx) -> None:
        tx.bookings.add(a_booking(1))

    async with Blocked(store):
        tasks: list[asyncio.Future[None]] = []
        for number in range(1, 31):
            tasks.append(asyncio.ensure_future(given(store, a_booking(number))))
            tasks.append(asyncio.ensure_future(store.transact(fail if number % 2 else repeat)))
        await asyncio.sleep(0)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert store.commits <= 2
    assert outcomes[::2] == [None] * 30
    assert None not in outcomes[1::2]
    assert await all_numbers(store) == set(range(1, 31))


async def test_a_transaction_that_changes_nothing_does_not_wait_for_the_disk(store: SqliteStore, file: Path) -> None:
    log = file.with_name(f"{file.name}-wal")
    await given(store, a_booking())
    before = log.stat().st_size, log.stat().st_mtime_ns

    await store.transact(lambda tx: tx.bookings.get(BookingId(1)))

    assert (log.stat().st_size, log.stat().st_mtime_ns) == before


async def test_a_canceled_transaction_that_still_waits_is_not_run(store: SqliteStore) -> None:
    async with Blocked(store):
        unwanted = asyncio.create_task(given(store, a_booking(1)))
        wanted = asyncio.create_task(given(store, a_booking(2)))
        await asyncio.sleep(0)
        unwanted.cancel()
        await asyncio.sleep(0)
    await wanted

    assert await all_numbers(store) == {2}


async def test_no_more_may_wait_than_the_queue_holds(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "MOST_WAITING", 5)

    async with Blocked(store):
        adding = asyncio.create_task(add_at_once(store, [a_booking(number) for number in range(1, 11)]))
        await asyncio.sleep(0.01)
    acknowledged, errors = await adding

    assert len(acknowledged) == 5
    assert {type(error) for error in errors} == {StoreUnavailable}
    assert await all_numbers(store) == acknowledged


async def test_an_exception_that_no_future_can_carry_reaches_the_caller(store: SqliteStore) -> None:
    def exhausted(_: object) -> int:
        return next(iter(()))

    with pytest.raises(RuntimeError, match="StopIteration"):
        await store.transact(exhausted)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await store.read(exhausted)

    await store.ping()


async def test_a_function_that_swallows_an_error_of_the_database_keeps_nothing(store: SqliteStore) -> None:
    await given(store, a_booking(), evolve(a_payment(1), gateway_reference="pidx"), a_payment(2))

    def swallow(tx: Tx) -> str:
        tx.bookings.add(a_booking(2))
        try:
            tx.payments.save(evolve(tx.payments.get(payment_id(2)), gateway_reference="pidx"))
        except ReferenceTaken:
            return "as if nothing had happened"
        return "saved"

    with pytest.raises(ReferenceTaken):
        await store.transact(swallow)

    assert await all_numbers(store) == {1}


async def test_two_stores_on_one_file_lose_nothing(file: Path) -> None:
    store, other = (SqliteStore(file, busy_seconds=10) for _ in range(2))
    await store.open()
    await other.open()
    await given(store, evolve(a_booking(), title="0"))

    def count(booking: Booking) -> Booking:
        return evolve(booking, title=str(int(booking.title) + 1), events=(an_event(1, booking),))

    await asyncio.gather(*(change_booking(each, count) for each in (store, other) for _ in range(40)))
    await other.close()

    assert (await stored_booking(store)).title == "80"
    assert len(await stored_events(store)) == 81
    await store.close()


# -- a database that cannot --------------------------------------------------------------------------------------------


@pytest.mark.fault("F77")
async def test_a_full_disk_loses_nothing_that_was_acknowledged_and_is_left_behind(store: SqliteStore) -> None:
    pages = await ask(store, "page_count")
    assert isinstance(pages, int)
    await ask(store, f"max_page_count = {pages + 12}")

    async with Blocked(store):
        adding = asyncio.create_task(add_at_once(store, [heavy(number) for number in range(1, 61)]))
        await asyncio.sleep(0.01)
    acknowledged, errors = await adding

    assert acknowledged
    assert errors
    assert {str(error) for error in errors} == {"the database's disk is full"}
    assert {type(error) for error in errors} == {StoreUnavailable}
    assert await all_numbers(store) == acknowledged

    await ask(store, "max_page_count = 1000000")
    more, errors = await add_at_once(store, [heavy(number) for number in range(101, 161)])

    assert errors == []
    await store.close()
    await store.open()
    assert await all_numbers(store) == acknowledged | more


@pytest.mark.fault("F77")
async def test_a_disk_that_fails_to_write_loses_nothing_that_was_acknowledged(store: SqliteStore, file: Path) -> None:
    await given(store, a_booking(1))
    log = file.with_name(f"{file.name}-wal")

    with _files_may_grow_to(log.stat().st_size + 20_000):
        async with Blocked(store):
            adding = asyncio.create_task(add_at_once(store, [heavy(number) for number in range(2, 42)]))
            await asyncio.sleep(0.01)
        acknowledged, errors = await adding

    assert errors
    assert {str(error) for error in errors} == {"the database's disk failed to read or write"}
    assert await all_numbers(store) == {1} | acknowledged
    more, errors = await add_at_once(store, [heavy(number) for number in range(101, 121)])
    assert errors == []
    await store.close()
    await store.open()
    assert await all_numbers(store) == {1} | acknowledged | more


@contextmanager
def _files_may_grow_to(size: int) -> Iterator[None]:
    """Writing beyond fails with EFBIG, for this whole process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.fault("F76")
async def test_a_locked_database_is_unavailable_and_still_read(store: SqliteStore, file: Path) -> None:
    await given(store, a_booking(1))

    with held_by_another_process(file):
        began = time.monotonic()
        acknowledged, errors = await add_at_once(store, [a_booking(number) for number in range(2, 202)])
        took = time.monotonic() - began
        assert (await stored_booking(store)).id == 1
        with pytest.raises(StoreUnavailable):
            await store.ping()

    assert acknowledged == set()
    assert {str(error) for error in errors} == {"the database is locked by another process"}
    assert took < 100 * 0.1  # they wait together, and not one after the other
    await given(store, a_booking(2))
    assert await all_numbers(store) == {1, 2}


@pytest.mark.fault("F76")
async def test_a_transaction_that_reads_first_and_writes_later_waits_for_its_turn(file: Path) -> None:
    store = SqliteStore(file, busy_seconds=10)
    await store.open()
    await given(store, a_booking(1))

    with held_by_another_process(file):
        adding = asyncio.create_task(change_booking(store, lambda booking: evolve(booking, title="Later")))
        await asyncio.sleep(0.05)
        assert not adding.done()

    assert (await adding).title == "Later"
    await store.close()


@pytest.mark.fault("F77")
async def test_a_read_only_database_is_unavailable_and_still_read(store: SqliteStore) -> None:
    await given(store, a_booking(1))
    await ask(store, "page_count")
    await store.transact(lambda tx: driver_of(tx).fetch("PRAGMA query_only = ON", ()))

    with pytest.raises(StoreUnavailable, match="read-only"):
        await given(store, a_booking(2))

    assert await all_numbers(store) == {1}
    await store.transact(lambda tx: driver_of(tx).fetch("PRAGMA query_only = OFF", ()))
    await given(store, a_booking(2))


@pytest.mark.fault("F75")
async def test_a_file_that_is_missing_is_not_made_by_the_way(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "missing.db")
    await store.open()

    with pytest.raises(StoreUnavailable, match="sewapay migrate"):
        await given(store, a_booking())
    with pytest.raises(StoreUnavailable, match="sewapay migrate"):
        await stored_booking(store)
    assert os.listdir(tmp_path) == []

    migrate(f"sqlite:///{tmp_path}/missing.db")
    await given(store, a_booking())
    assert (await stored_booking(store)).id == 1
    await store.close()


async def test_a_file_without_our_tables_says_what_to_do(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "empty.db").close()
    (tmp_path / "empty.db").touch()
    store = SqliteStore(tmp_path / "empty.db")
    await store.open()

    with pytest.raises(StoreUnavailable, match="sewapay migrate"):
        await given(store, a_booking())
    with pytest.raises(StoreUnavailable, match="sewapay migrate"):
        await store.ping()
    await store.close()


async def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "letter.db").write_text("Dear reader, " * 1000)
    store = SqliteStore(tmp_path / "letter.db")
    await store.open()

    with pytest.raises(StoreUnavailable, match="not an SQLite database"):
        await given(store, a_booking())
    with pytest.raises(StoreUnavailable, match="not an SQLite database"):
        await stored_booking(store)
    await store.close()


# -- who looks at which payment ----------------------------------------------------------------------------------------


def due(number: int) -> Payment:
    return evolve(a_payment(number), next_check_at=NOON - timedelta(minutes=number))


async def test_a_lease_ends_by_the_clock_that_the_store_was_given(file: Path) -> None:
    clock = ManualClock()
    store = SqliteStore(file, now=clock.now)
    await store.open()
    await given(store, a_booking(), due(1))

    first = await claim(store, lease_seconds=60)
    clock.advance(seconds=59.999)
    still_held = await claim(store)
    clock.advance(seconds=0.001)
    second = await claim(store)
    told = await store.transact(lambda tx: tx.time())
    await store.close()

    assert (numbered(first), numbered(still_held), numbered(second)) == ([1], [], [1])
    assert second[0].lease == first[0].lease + 1
    assert told == clock.now()


@pytest.mark.fault("F93")
@pytest.mark.parametrize(
    ("poison", "why"),
    [
        ("order_reference = 'poison'", "InvalidIdentifier: an order reference is 20 of A-Z and 0-9"),
        ("review_reason = 'poison'", "ValueError: 'poison' is not a valid ReviewReason"),
        ("next_step = '{'", "DecodeError: Input data was truncated"),
        ("created_at = 'poison'", "ValueError: Invalid isoformat string: 'poison'"),
    ],
)
@pytest.mark.invariant("I17")
async def test_a_row_that_cannot_be_read_stands_in_nobodys_way(
    store: SqliteStore, file: Path, poison: str, why: str
) -> None:
    await given(store, a_booking(), due(1), due(2), due(3))
    with sqlite3.connect(file) as other:
        other.execute(f"UPDATE payments SET {poison} WHERE id = ?", (payment_id(2),))  # noqa: S608 (typed above)

    def look(tx: Tx, at: datetime) -> tuple[list[Claim], list[Poisoned]]:
        return tx.payments.claim(KHALTI, Environment.SANDBOX, due_at=at, limit=9, lease_seconds=60)

    claims, poisoned = await store.transact(lambda tx: look(tx, NOON))
    before, after = [await store.transact(partial(look, at=NOON + timedelta(days=day))) for day in (0.99, 1)]
    other.close()

    assert numbered(claims) == [3, 1]
    assert poisoned == [Poisoned(payment_id=payment_id(2), why=why)]
    assert before == ([], [])
    assert after == ([], poisoned)


async def test_more_is_never_reserved_than_came(store: SqliteStore) -> None:
    paid = evolve(a_payment(), amount_paid=Money(100), amount_refunded=Money(60))
    await given(store, a_booking(), paid)
    await change_payment(store, lambda payment: evolve(payment, amount_reserved=Money(40)))

    with pytest.raises(sqlite3.IntegrityError, match="refund_bound"):
        await change_payment(store, lambda payment: evolve(payment, amount_reserved=Money(41)))
    with pytest.raises(sqlite3.IntegrityError, match="refund_bound"):
        await change_payment(store, lambda payment: evolve(payment, amount_paid=None))


async def test_what_a_gateway_says_it_gave_back_is_stored_whatever_it_says(store: SqliteStore) -> None:
    await given(store, a_booking(), evolve(a_payment(), amount_paid=Money(100), amount_refunded=Money(150)))

    assert (await stored_payment(store)).amount_refunded == Money(150)


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (
            "SELECT id FROM payments WHERE gateway = ? AND environment = ? AND next_check_at <= ? "
            "AND (leased_until IS NULL OR leased_until <= ?) ORDER BY next_check_at, id LIMIT 100",
            "ix_payments_due (gateway=? AND environment=? AND next_check_at<?)",
        ),
        (
            "SELECT id FROM payments WHERE (review_reason IS NOT NULL OR outcome_unknown = 1) "
            "AND (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT 100",
            "ix_payments_needs_attention",
        ),
    ],
)
async def test_what_is_asked_for_all_the_time_has_its_index(file: Path, query: str, index: str) -> None:
    with sqlite3.connect(file) as other:
        plan = other.execute(f"EXPLAIN QUERY PLAN {query}", ("",) * query.count("?")).fetchall()
    other.close()

    assert index in plan[0][3]


async def test_a_place_that_the_file_does_not_know_any_more_is_refused(store: SqliteStore) -> None:
    await given(store, a_booking(1), a_booking(2))  # as after a backup was restored

    assert await told(store, write_place(2)) == ([], write_place(2))
    for place in (3, 2**63 - 1, 2**63, 10**40):
        with pytest.raises(InvalidCursor):
            await told(store, write_place(place))


# -- history -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET actor = 'somebody'",
        "DELETE FROM events",
        "UPDATE observations SET amount = 1",
        "DELETE FROM observations",
        "UPDATE ledger_entries SET paisa = 1",
        "DELETE FROM ledger_entries",
    ],
)
@pytest.mark.invariant("I25")
async def test_what_happened_is_never_changed_and_never_removed(store: SqliteStore, file: Path, statement: str) -> None:
    await given(store, a_booking())
    with sqlite3.connect(file) as other:
        noon = NOON.isoformat(timespec="microseconds")
        other.execute(
            "INSERT INTO observations (payment_id, at, reported, said) VALUES ('p', ?, 'pending', 'Pending')", (noon,)
        )
        other.execute(
            "INSERT INTO ledger_entries "
            "(payment_id, payment_version, posting, place, booking_id, at, why, account, paisa) "
            "VALUES ('p', 1, 1, 1, 1, ?, 'payment', 'refunds', 5)",
            (noon,),
        )

    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        other.execute(statement)

    other.close()


@pytest.mark.invariant("I16")
async def test_the_events_of_a_booking_are_numbered_without_a_gap(store: SqliteStore) -> None:
    await given(store, a_booking(1), a_booking(2))

    def fail(tx: Tx) -> None:
        booking = tx.bookings.get(BookingId(1))
        tx.bookings.save(evolve(booking, events=(an_event(9, booking),)))
        raise LookupError

    def change(booking: Booking) -> Booking:
        return evolve(booking, events=(an_event(1, booking), an_event(2, booking)))

    changing = [change_booking(store, change) for _ in range(10)]
    failing = [store.transact(fail) for _ in range(10)]
    await asyncio.gather(*changing, *failing, return_exceptions=True)

    rows = await store.transact(
        lambda tx: driver_of(tx).fetch("SELECT booking_id, sequence FROM events ORDER BY booking_id, sequence", ())
    )
    assert [tuple(row) for row in rows] == [*((1, number) for number in range(1, 22)), (2, 1)]

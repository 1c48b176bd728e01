import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from attrs import evolve

from sewapay.adapters.sql import events, postgres
from sewapay.adapters.sql.cursors import write_place
from sewapay.adapters.sql.migrations import migrate
from sewapay.adapters.sql.postgres import PostgresStore
from sewapay.adapters.sql.session import Driver
from sewapay.adapters.sql.transaction import SqlTx
from sewapay.adapters.sql.urls import PostgresAddress, read_address
from sewapay.adapters.sql.views import SqlView
from sewapay.application.errors import BookingNotFound, InvalidCursor, ReferenceTaken, StoreUnavailable
from sewapay.application.storage import BookingFilter, Page, Store, Told, Tx, View
from sewapay.domain.booking import Booking
from sewapay.domain.identifiers import BookingId, Environment, PaymentId
from sewapay.domain.money import Money
from sewapay.domain.payment import Payment
from sewapay.testing.builders import KHALTI, NOON, a_booking, a_payment, an_event, payment_id
from sewapay.testing.stores.feed import told
from sewapay.testing.stores.given import change_booking, change_payment, given, stored_booking, stored_events
from sewapay.testing.stores.leases import claim, claim_one, numbered
from tests.postgres import PostgresServer


def store_at(url: str, *, connections: int = 4) -> PostgresStore:
    address = read_address(url)
    assert isinstance(address, PostgresAddress)
    return PostgresStore(address.url, connections=connections)


@pytest.fixture
def url(fresh_postgres_url: str) -> str:
    migrate(fresh_postgres_url)
    return fresh_postgres_url


@pytest.fixture
async def store(url: str) -> AsyncIterator[PostgresStore]:
    made = store_at(url)
    await made.open()
    yield made
    await made.close()


def driver_of(tx: Tx | View) -> Driver:
    """The transaction's own connection."""
    assert isinstance(tx, SqlTx | SqlView)
    return tx.session.driver


def sleep(tx: Tx | View, seconds: float) -> None:
    """Keep the transaction and its locks for a while."""
    driver_of(tx).fetch(f"SELECT pg_sleep({seconds})", ())


def hold(tx: Tx | View, until: Callable[[], bool]) -> None:
    """Keep the transaction and its locks until then; what does not happen within half a minute never does."""
    for _ in range(6000):
        if until():
            return
        sleep(tx, 0.005)
    pytest.fail("what this transaction waits for did not happen")


def is_waited_for(tx: Tx) -> bool:
    """Whether another transaction waits for a lock that this one has."""
    waiting = "SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
    return bool(driver_of(tx).fetch(waiting, ()))


def backend_of(tx: Tx | View) -> int:
    """The number of the server's process behind this transaction."""
    number = driver_of(tx).fetch("SELECT pg_backend_pid()", ())[0][0]
    assert isinstance(number, int)
    return number


async def all_numbers(store: Store) -> set[int]:
    found, _ = await store.read(lambda view: view.bookings.page(BookingFilter(), Page(limit=10_000)))
    return {int(booking.id) for booking in found}


async def transactions_left_open(url: str) -> int:
    """How many connections to this database are in a transaction and do nothing."""
    connection = await asyncpg.connect(url)
    try:
        found: int = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
        )
        return found
    finally:
        await connection.close()


class Wire:
    """A wire to the server that can be cut and mended, and can break just when a commit is answered."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = parts.hostname, parts.port
        self._parts = parts
        self._listener: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._port = 0
        self._answers_a_commit = False
        self.loses_answers_to_commits = False

    @property
    def url(self) -> str:
        """The database's address through this wire."""
        return urlunsplit(self._parts._replace(netloc=f"{self._parts.username}@127.0.0.1:{self._port}"))

    async def __aenter__(self) -> Self:
        await self.mend()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()

    async def mend(self) -> None:
        """Connections go through again."""
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        self._port = self._listener.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Every connection breaks, and new ones are refused."""
        if self._listener is not None:
            self._listener.close()
        for writer in self._writers:
            writer.transport.abort()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(*self._server)
        self._writers |= {writer, server_writer}
        for source, target, is_ours in ((reader, server_writer, True), (server_reader, writer, False)):
            task = asyncio.create_task(self._pass_on(source, target, is_ours=is_ours))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, is_ours: bool) -> None:
        try:
            while passed := await source.read(65536):
                if is_ours and b"\0COMMIT\0" in passed.replace(b"\x0b", b""):
                    self._answers_a_commit = self.loses_answers_to_commits
                elif not is_ours and self._answers_a_commit:
                    self._answers_a_commit = False
                    break
                target.write(passed)
        except OSError:
            pass
        finally:
            target.close()


# -- a server that goes away -------------------------------------------------------------------------------------------


@pytest.mark.fault("F75")
async def test_a_server_that_stops_is_unavailable_and_used_again_when_it_is_back(url: str) -> None:
    async with Wire(url) as wire:
        store = store_at(wire.url)
        await store.open()
        await asyncio.gather(*(given(store, a_booking(number)) for number in range(1, 11)))

        await wire.cut()
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                await given(store, a_booking(11))
            with pytest.raises(StoreUnavailable):
                await stored_booking(store)
            with pytest.raises(StoreUnavailable):
                await store.ping()

        await wire.mend()
        await asyncio.gather(*(given(store, a_booking(number)) for number in range(12, 22)))
        assert await all_numbers(store) == set(range(1, 22)) - {11}
        await store.close()


@pytest.mark.fault("F75")
async def test_connections_that_a_restarted_server_closed_are_not_noticed_by_anybody(
    url: str, postgres_server: PostgresServer
) -> None:
    store = store_at(url, connections=12)
    await store.open()
    connected: list[None] = []

    def meet(view: View) -> None:
        connected.append(None)
        hold(view, lambda: len(connected) >= 12)

    await asyncio.gather(*(store.read(meet) for _ in range(12)))
    database = urlsplit(url).path.removeprefix("/")

    ended = await asyncio.to_thread(
        postgres_server.fetch,
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'",  # noqa: S608 (ours)
    )
    await given(store, a_booking())

    assert len(ended) == 12
    assert (await stored_booking(store)).version == 1
    await store.close()


@pytest.mark.fault("F79")
async def test_a_connection_that_breaks_before_the_commit_makes_the_function_run_again(
    store: PostgresStore, postgres_server: PostgresServer
) -> None:
    runs: list[int] = []

    def work(tx: Tx) -> None:
        runs.append(backend_of(tx))
        tx.bookings.add(a_booking(1))
        if len(runs) == 1:
            postgres_server.execute(f"SELECT pg_terminate_backend({runs[0]})")
        tx.bookings.add(a_booking(2))

    await store.transact(work)

    assert len(set(runs)) == 2
    assert await all_numbers(store) == {1, 2}
    assert [len(await stored_events(store, number)) for number in (1, 2)] == [1, 1]


@pytest.mark.fault("F75")
async def test_a_commit_whose_answer_is_lost_is_reported_and_not_run_again(url: str) -> None:
    async with Wire(url) as wire:
        store = store_at(wire.url, connections=1)
        await store.open()
        await store.ping()
        runs: list[None] = []

        def work(tx: Tx) -> None:
            runs.append(None)
            tx.bookings.add(a_booking(1))

        wire.loses_answers_to_commits = True
        with pytest.raises(StoreUnavailable):
            await store.transact(work)
        wire.loses_answers_to_commits = False

        assert len(runs) == 1
        assert (await stored_booking(store)).version == 1  # it was kept: only its answer was lost
        await store.close()


@pytest.mark.fault("F75")
async def test_a_server_that_was_never_there_is_unavailable() -> None:
    store = store_at("postgresql://sewapay:secret-word@127.0.0.1:1/sewapay")
    await store.open()

    with pytest.raises(StoreUnavailable, match="cannot be reached") as caught:
        await store.ping()

    assert "secret-word" not in str(caught.value)
    await store.close()


async def test_a_database_that_is_not_there_is_unavailable(fresh_postgres_url: str) -> None:
    store = store_at(f"{fresh_postgres_url}_and_another")
    await store.open()

    with pytest.raises(StoreUnavailable, match="does not exist"):
        await store.ping()
    await store.close()


async def test_a_database_without_our_tables_says_what_to_do(fresh_postgres_url: str) -> None:
    store = store_at(fresh_postgres_url)
    await store.open()

    with pytest.raises(StoreUnavailable, match="sewapay migrate"):
        await given(store, a_booking())
    with pytest.raises(StoreUnavailable, match="sewapay migrate"):
        await store.ping()
    await store.close()


@pytest.mark.fault("F83")
async def test_who_gets_no_connection_in_time_is_told_so(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "SECONDS_FOR_A_CONNECTION", 2.0)  # which is also how long connecting may take
    store = store_at(url, connections=1)
    await store.open()
    await store.ping()
    has_it, is_enough = asyncio.Event(), asyncio.Event()

    def keep(view: View) -> None:
        has_it.set()
        hold(view, is_enough.is_set)

    slow = asyncio.create_task(store.read(keep))
    await has_it.wait()
    with pytest.raises(StoreUnavailable, match="all connections"):
        await given(store, a_booking())
    is_enough.set()
    await slow

    await given(store, a_booking())
    await store.close()


@pytest.mark.fault("F53")
async def test_two_bookings_that_carry_one_transaction_at_once_are_told_apart(store: PostgresStore) -> None:
    payments = [a_payment(number, booking=a_booking(number)) for number in (1, 2)]
    await given(store, a_booking(1), a_booking(2), *payments)
    asked: list[PaymentId] = []

    def settle(payment: Payment) -> Callable[[Tx], bool]:
        def work(tx: Tx) -> bool:
            tx.bookings.get(payment.booking_id)
            is_known = tx.payments.has_transaction(payment.gateway, payment.environment, "T1", besides=payment.id)
            asked.append(payment.id)
            hold(tx, lambda: len(asked) >= 2 or is_waited_for(tx))
            tx.payments.save(evolve(tx.payments.get(payment.id), transaction_id="T1"))
            return is_known

        return work

    told = await asyncio.gather(*(store.transact(settle(payment)) for payment in payments))

    assert sorted(told) == [False, True]


async def test_a_closed_store_says_so(url: str) -> None:
    store = store_at(url)
    with pytest.raises(StoreUnavailable, match="closed"):
        await given(store, a_booking())

    await store.open()
    await store.open()
    adding = asyncio.create_task(given(store, a_booking()))
    await asyncio.sleep(0)
    await store.close()
    await store.close()

    await adding
    with pytest.raises(StoreUnavailable, match="closed"):
        await stored_booking(store)


# -- transactions that meet --------------------------------------------------------------------------------------------


@pytest.mark.fault("F79")
async def test_a_deadlock_is_run_again(store: PostgresStore) -> None:
    await given(store, evolve(a_booking(1), title="0"), evolve(a_booking(2), title="0"))
    runs: list[tuple[int, int]] = []
    locked: list[int] = []

    def count_both(tx: Tx, first: int, second: int) -> None:
        runs.append((first, second))
        hold(tx, lambda: len(runs) < 3 or len(locked) >= 3)  # who runs again begins when the other has both
        for number in (first, second):
            booking = tx.bookings.get(BookingId(number))
            locked.append(number)
            tx.bookings.save(evolve(booking, title=str(int(booking.title) + 1)))
            hold(tx, lambda: len(locked) >= 2)

    await asyncio.gather(
        store.transact(lambda tx: count_both(tx, 1, 2)),
        store.transact(lambda tx: count_both(tx, 2, 1)),
    )

    assert len(runs) == 3
    assert [(await stored_booking(store, number)).title for number in (1, 2)] == ["2", "2"]


async def test_the_booking_is_locked_until_its_transaction_ends(store: PostgresStore) -> None:
    await given(store, a_booking(1), a_booking(2))
    seen: list[str] = []
    has_it = asyncio.Event()

    def slow(tx: Tx) -> None:
        tx.bookings.get(BookingId(1))
        seen.append("slow has it")
        has_it.set()
        hold(tx, lambda: "quick has 2" in seen and ("quick has 1" in seen or is_waited_for(tx)))
        seen.append("slow is done")

    def quick(tx: Tx, number: int) -> None:
        tx.bookings.get(BookingId(number))
        seen.append(f"quick has {number}")

    first = asyncio.create_task(store.transact(slow))
    await has_it.wait()
    await asyncio.gather(store.transact(lambda tx: quick(tx, 1)), store.transact(lambda tx: quick(tx, 2)), first)

    assert seen == ["slow has it", "quick has 2", "slow is done", "quick has 1"]


async def test_who_forgets_to_lock_the_booking_is_run_again_and_loses_nothing(store: PostgresStore) -> None:
    await given(store, a_booking(), *(a_payment(number) for number in range(1, 5)))
    noted: list[int] = []

    def note(tx: Tx, number: int) -> None:
        payment = tx.payments.get(payment_id(number))
        event = an_event(number, a_booking(), payment)
        tx.payments.save(evolve(payment, said="Pending", events=(event,)))
        tx.events.of_booking(payment.booking_id)  # writes them first
        noted.append(number)
        hold(tx, lambda: len(noted) >= 4 or is_waited_for(tx))

    async def noting(number: int) -> None:
        await store.transact(lambda tx: note(tx, number))

    await asyncio.gather(*(noting(number) for number in range(1, 5)))

    rows = await store.read(
        lambda view: driver_of(view).fetch("SELECT sequence, data ->> 'n' FROM events ORDER BY sequence", ())
    )
    assert [row[0] for row in rows] == list(range(1, 10))  # of the booking, of four payments begun, of four noted
    assert sorted(row[1] for row in rows[5:]) == ["1", "2", "3", "4"]


async def test_the_next_number_is_not_given_to_a_booking_with_a_number_of_its_own(store: PostgresStore) -> None:
    given_back: list[int] = []
    has_one, is_taken = asyncio.Event(), asyncio.Event()

    def register(tx: Tx) -> int:
        number = tx.bookings.next_id()
        given_back.append(number)
        has_one.set()
        hold(tx, is_taken.is_set)
        return tx.bookings.add(a_booking(number)).id

    registering = asyncio.create_task(store.transact(register))
    await has_one.wait()
    await given(store, a_booking(1, customer="their own number"))
    is_taken.set()

    assert await registering == 2
    assert given_back == [1, 2]


async def test_a_reading_does_not_see_what_is_committed_meanwhile(store: PostgresStore) -> None:
    await given(store, a_booking(1))
    reading, is_changed = asyncio.Event(), asyncio.Event()

    def look(view: View) -> tuple[str, str]:
        before = view.bookings.get(BookingId(1)).title
        reading.set()
        hold(view, is_changed.is_set)
        return before, view.bookings.get(BookingId(1)).title

    seen = asyncio.create_task(store.read(look))
    await reading.wait()
    await change_booking(store, lambda booking: evolve(booking, title="Changed"))
    is_changed.set()

    assert await seen == ("Deep cleaning", "Deep cleaning")
    assert (await stored_booking(store)).title == "Changed"


async def test_a_function_that_swallows_an_error_of_the_database_keeps_nothing(store: PostgresStore) -> None:
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


# -- callers that go away ----------------------------------------------------------------------------------------------


@pytest.mark.fault("F71")
async def test_a_canceled_caller_leaves_no_transaction_open(store: PostgresStore, url: str) -> None:
    def add(tx: Tx, number: int) -> None:
        booking = tx.bookings.add(a_booking(number))
        sleep(tx, 0.01)
        tx.payments.add(a_payment(number, booking=booking))

    async def adding(number: int) -> None:
        await store.transact(lambda tx: add(tx, number))

    tasks = [asyncio.create_task(adding(number)) for number in range(1, 41)]
    for number, task in enumerate(tasks):
        await asyncio.sleep(0.002 * (number % 5))
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} <= {asyncio.CancelledError, type(None)}
    await asyncio.gather(*(given(store, a_booking(number)) for number in range(101, 121)))
    assert await transactions_left_open(url) == 0
    kept = await all_numbers(store) - set(range(101, 121))
    attempts = await store.read(lambda view: {len(view.payments.of_booking(BookingId(number))) for number in kept})
    assert attempts <= {1}


@pytest.mark.fault("F71")
async def test_a_transaction_that_has_begun_comes_to_its_end_without_its_caller(store: PostgresStore) -> None:
    has_begun = asyncio.Event()

    def add(tx: Tx) -> None:
        tx.bookings.add(a_booking(1))
        has_begun.set()
        hold(tx, adding.cancelled)
        tx.bookings.add(a_booking(2))

    adding = asyncio.create_task(store.transact(add))
    await has_begun.wait()
    adding.cancel()
    await asyncio.gather(adding, return_exceptions=True)
    await store.close()
    await store.open()

    assert adding.cancelled()
    assert await all_numbers(store) == {1, 2}


@pytest.mark.fault("F71")
async def test_an_exception_leaves_no_transaction_open(store: PostgresStore, url: str) -> None:
    def fail(tx: Tx) -> None:
        tx.bookings.add(a_booking(1))
        raise BookingNotFound

    outcomes = await asyncio.gather(*(store.transact(fail) for _ in range(20)), return_exceptions=True)
    with pytest.raises(BookingNotFound):
        await stored_booking(store)

    assert {type(outcome) for outcome in outcomes} == {BookingNotFound}
    assert await transactions_left_open(url) == 0


async def test_an_exception_that_no_future_can_carry_reaches_the_caller(store: PostgresStore) -> None:
    def exhausted(_: object) -> int:
        return next(iter(()))

    with pytest.raises(RuntimeError, match="StopIteration"):
        await store.transact(exhausted)

    await store.ping()


# -- the feed ----------------------------------------------------------------------------------------------------------


class StillWriting:
    """A transaction that has numbers for its events already, and commits or fails when it is told to."""

    def __init__(self, store: PostgresStore, *happened: int, booking: int = 1, fails: bool = False) -> None:
        self._store = store
        self._happened = happened
        self._booking = booking
        self._fails = fails
        self._has_numbers = asyncio.Event()
        self._may_end = False

    def _work(self, tx: Tx) -> None:
        booking = tx.bookings.get(BookingId(self._booking))
        tx.bookings.save(evolve(booking, events=tuple(an_event(number, booking) for number in self._happened)))
        tx.events.of_booking(booking.id)
        self._has_numbers.set()
        hold(tx, lambda: self._may_end)
        if self._fails:
            raise LookupError

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._store.transact(self._work))
        await self._has_numbers.wait()

    async def __aexit__(self, *_: object) -> None:
        self._may_end = True
        outcome = (await asyncio.gather(self._task, return_exceptions=True))[0]
        assert isinstance(outcome, LookupError) if self._fails else outcome is None


async def happens(store: PostgresStore, *happened: int, booking: int = 2) -> None:
    """Events of another booking, committed at once."""
    await change_booking(
        store, lambda read: evolve(read, events=tuple(an_event(number, read) for number in happened)), booking
    )


async def fed(store: PostgresStore) -> list[tuple[int, int, object]]:
    """What is in the feed: each place, the event's number, and what tells it from others."""
    rows = await store.read(
        lambda view: driver_of(view).fetch(
            "SELECT position, id, data ->> 'n' FROM feed JOIN events ON id = event_id ORDER BY position", ()
        )
    )
    return [(row[0], row[1], row[2]) for row in rows]


async def mark_of(store: PostgresStore) -> tuple[int, int]:
    """Up to where the feed is complete, and the greatest number there is."""
    query = "SELECT low, (SELECT max(id) FROM events) FROM feed_mark"
    row = (await store.read(lambda view: driver_of(view).fetch(query, ())))[0]
    return row[0], row[1]


def its_numbers(feed: list[Told]) -> list[object]:
    return [one.event.data["n"] for one in feed if "n" in one.event.data]


async def test_an_event_with_a_smaller_number_that_is_committed_later_is_told_later(store: PostgresStore) -> None:
    await given(store, a_booking(1), a_booking(2))

    async with StillWriting(store, 1, 2):
        await happens(store, 3)
        before, cursor = await told(store)
        for number in (4, 5, 6):
            await happens(store, number)
            page, cursor = await told(store, cursor)
            before += page
    await happens(store, 7)
    after, _ = await told(store, cursor)
    again, _ = await told(store)

    rows = await fed(store)
    ids = {number: id for _, id, number in rows}
    assert ids["1"] < ids["2"] < ids["3"]
    assert (its_numbers(before), its_numbers(after)) == ([3, 4, 5, 6], [1, 2, 7])
    assert again == before + after
    assert [place for place, _, _ in rows] == list(range(1, len(rows) + 1))
    assert [one.sequence for one in again if one.event.booking_id == 1] == [1, 2, 3]
    assert [one.sequence for one in again if one.event.booking_id == 2] == [1, 2, 3, 4, 5, 6]


async def test_an_event_that_nobody_read_for_is_told_when_somebody_reads_again(store: PostgresStore) -> None:
    await given(store, a_booking(1), a_booking(2))

    async with StillWriting(store, 1):
        await happens(store, 2)
        _, cursor = await told(store)
    feed, _ = await told(store, cursor)

    assert its_numbers(feed) == [1]


async def test_the_mark_moves_up_when_those_who_wrote_are_gone(store: PostgresStore) -> None:
    await given(store, a_booking(1), a_booking(2))
    await told(store)
    await told(store)
    low_before, _ = await mark_of(store)

    async with StillWriting(store, 1), StillWriting(store, 2, booking=2, fails=True):
        await given(store, a_booking(3))
        for _ in range(3):
            await told(store)
        while_writing = await mark_of(store)
    for _ in range(3):
        await told(store)
    low, greatest = await mark_of(store)

    assert while_writing == (low_before, greatest)
    assert low == greatest


async def test_reading_the_feed_writes_nothing_when_there_is_nothing_new(store: PostgresStore) -> None:
    await given(store, a_booking(1))
    for _ in range(3):
        _, cursor = await told(store)

    def look(tx: Tx) -> object:
        tx.events.feed(Page(cursor=cursor))
        return driver_of(tx).fetch("SELECT pg_current_xact_id_if_assigned()", ())[0][0]

    assert await store.transact(look) is None


async def test_a_long_backlog_is_told_in_portions(store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "FED_AT_ONCE", 5)
    await given(store, a_booking(1), a_booking(2))

    async with StillWriting(store, 1):
        await happens(store, *range(2, 40))
        await told(store)
    seen: list[Told] = []
    cursor: str | None = None
    for _ in range(30):
        page, cursor = await told(store, cursor, limit=4)
        seen += page
    low, greatest = await mark_of(store)

    assert sorted(number for number in its_numbers(seen) if isinstance(number, int)) == list(range(1, 40))
    assert [one.sequence for one in seen if one.event.booking_id == 2] == list(range(1, 40))
    assert low == greatest


@pytest.mark.invariant("I16")
async def test_many_readers_and_writers_agree_on_one_order(store: PostgresStore, url: str) -> None:
    await given(store, *(a_booking(number) for number in range(1, 9)))
    other = store_at(url)
    await other.open()

    async def write(number: int) -> None:
        for count in range(10):
            await happens((store, other)[count % 2], count, booking=number)

    async def read(where: PostgresStore) -> list[Told]:
        seen: list[Told] = []
        cursor: str | None = None
        while len(seen) < 88:
            page, cursor = await told(where, cursor, limit=5)
            seen += page
        return seen

    reading = [asyncio.create_task(read(where)) for where in (store, other, store)]
    async with asyncio.timeout(30):
        await asyncio.gather(*(write(number) for number in range(1, 9)))
        first, second, third = await asyncio.gather(*reading)
    await other.close()

    assert first == second == third
    assert [place for place, _, _ in await fed(store)] == list(range(1, 89))


async def test_a_place_that_the_database_does_not_know_any_more_is_refused(store: PostgresStore) -> None:
    await given(store, a_booking(1), a_booking(2))  # as after a backup was restored

    assert await told(store, write_place(2)) == ([], write_place(2))
    for place in (3, 2**63 - 1, 2**63, 10**40):
        with pytest.raises(InvalidCursor):
            await told(store, write_place(place))


# -- who looks at which payment ----------------------------------------------------------------------------------------


def due(number: int) -> Payment:
    return evolve(a_payment(number), next_check_at=NOON - timedelta(minutes=number))


async def test_a_payment_that_is_just_being_changed_is_passed_over(store: PostgresStore) -> None:
    await given(store, a_booking(), due(1), due(2))
    has_it = asyncio.Event()
    claimed = asyncio.Event()

    def change(tx: Tx) -> None:
        tx.payments.save(evolve(tx.payments.get(payment_id(1)), said="Pending"))
        has_it.set()
        hold(tx, claimed.is_set)

    changing = asyncio.create_task(store.transact(change))
    await has_it.wait()
    try:
        taken = await claim(store), await claim_one(store, 1)
    finally:
        claimed.set()
        await changing
    left = await claim(store)

    assert (numbered(taken[0]), taken[1]) == ([2], None)
    assert numbered(left) == [1]


async def test_a_lease_ends_by_the_servers_clock(store: PostgresStore, url: str) -> None:
    await given(store, a_booking(), due(1))
    await claim(store, lease_seconds=90)
    connection = await asyncpg.connect(url)

    left = await connection.fetchval("SELECT leased_until - extract(epoch FROM clock_timestamp()) * 1000 FROM payments")
    await connection.execute("UPDATE payments SET leased_until = extract(epoch FROM clock_timestamp()) * 1000 - 1")
    await connection.close()

    assert 60_000 < left <= 90_000
    assert numbered(await claim(store)) == [1]


async def test_the_time_is_the_servers_and_is_asked_for_once(store: PostgresStore) -> None:
    def look(tx: Tx) -> tuple[datetime, datetime, datetime]:
        first = tx.time()
        sleep(tx, 0.02)
        return first, tx.time(), driver_of(tx).fetch("SELECT clock_timestamp()", ())[0][0]

    first, second, server = await store.transact(look)

    assert first == second
    assert timedelta(seconds=0.01) < server - first < timedelta(seconds=9)


@pytest.mark.fault("F93")
@pytest.mark.invariant("I17")
async def test_a_row_that_cannot_be_read_stands_in_nobodys_way(store: PostgresStore, url: str) -> None:
    await given(store, a_booking(), due(1), due(2), due(3))
    connection = await asyncpg.connect(url)
    await connection.execute("UPDATE payments SET order_reference = 'poison' WHERE id = $1", payment_id(2))

    claims, poisoned = await store.transact(
        lambda tx: tx.payments.claim(KHALTI, Environment.SANDBOX, due_at=NOON, limit=9, lease_seconds=60)
    )

    put_off = await connection.fetchrow("SELECT next_check_at, leased_until FROM payments WHERE id = $1", payment_id(2))
    await connection.close()
    assert numbered(claims) == [3, 1]
    assert [(row.payment_id, row.why.partition(":")[0]) for row in poisoned] == [(payment_id(2), "InvalidIdentifier")]
    assert tuple(put_off) == (NOON + timedelta(days=1), None)


async def test_more_is_never_reserved_than_came(store: PostgresStore) -> None:
    paid = evolve(a_payment(), amount_paid=Money(100), amount_refunded=Money(60))
    await given(store, a_booking(), paid)
    await change_payment(store, lambda payment: evolve(payment, amount_reserved=Money(40)))

    with pytest.raises(asyncpg.CheckViolationError, match="refund_bound"):
        await change_payment(store, lambda payment: evolve(payment, amount_reserved=Money(41)))


# -- history -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["events", "observations", "ledger_entries"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET at = now()", "DELETE FROM {}", "TRUNCATE {}"])
@pytest.mark.invariant("I25")
async def test_what_happened_is_never_changed_and_never_removed(
    store: PostgresStore, url: str, table: str, statement: str
) -> None:
    await given(store, a_booking())
    connection = await asyncpg.connect(url)

    with pytest.raises(asyncpg.RaiseError, match=f"{table} are append-only"):
        await connection.execute(statement.format(table))

    await connection.close()


async def test_times_are_kept_as_times_with_a_zone(store: PostgresStore) -> None:
    await given(store, a_booking())

    rows = await store.read(lambda view: driver_of(view).fetch("SELECT registered_at FROM bookings", ()))

    assert rows[0][0] == NOON


def counted(booking: Booking) -> Booking:
    return evolve(booking, title=str(int(booking.title) + 1))


async def test_two_stores_on_one_database_lose_nothing(store: PostgresStore, url: str) -> None:
    await given(store, evolve(a_booking(), title="0"))
    other = store_at(url)
    await other.open()

    await asyncio.gather(*(change_booking(each, counted) for each in (store, other) for _ in range(25)))
    await other.close()

    assert (await stored_booking(store)).title == "50"

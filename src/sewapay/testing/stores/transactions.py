"""Transactions: all or nothing, one after another, and durable once they are acknowledged."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import NoReturn

import pytest
from attrs import evolve

from sewapay.application.errors import BookingNotFound, StoreUnavailable
from sewapay.application.storage import BookingFilter, Page, PaymentFilter, Store, Tx, View
from sewapay.domain.booking import Booking
from sewapay.domain.identifiers import BookingId, Environment, PaymentId
from sewapay.domain.observation import Evidence, Observation, Reported
from sewapay.domain.payment import Payment
from sewapay.testing.builders import KHALTI, NOON, a_booking, a_key, a_payment, an_event, payment_id
from sewapay.testing.stores.given import (
    change_booking,
    change_payment,
    clause,
    given,
    numbers,
    page_of_bookings,
    stored_booking,
    stored_events,
    stored_payment,
    titled,
)


@clause
async def an_exception_takes_everything_back(store: Store) -> None:
    await given(store, a_booking(), a_payment())
    evidence = Evidence(at=NOON, observation=Observation(reported=Reported.PENDING, said="Pending"))

    def change_and_fail(tx: Tx) -> NoReturn:
        booking = tx.bookings.get(BookingId(1))
        tx.bookings.save(evolve(titled(booking, "Changed"), events=(an_event(1, booking),)))
        tx.payments.save(evolve(tx.payments.get(payment_id(1)), said="Pending", evidence=(evidence,)))
        tx.bookings.add(a_booking(2))
        tx.api_keys.add(a_key())
        raise LookupError("the use case changed its mind")

    with pytest.raises(LookupError, match="changed its mind"):
        await store.transact(change_and_fail)

    def look(view: View) -> tuple[object, ...]:
        booking, payment = view.bookings.get(BookingId(1)), view.payments.get(payment_id(1))
        return (
            (booking.title, booking.version, payment.said, payment.version),
            numbers(view.events.of_booking(BookingId(1))),
            view.payments.evidence(payment_id(1)),
            len(view.bookings.page(BookingFilter(), Page())[0]),
            view.api_keys.all(),
        )

    assert await store.read(look) == (("Deep cleaning", 1, None, 1), [], [], 1, [])


@clause
async def after_an_exception_the_next_transaction_works(store: Store) -> None:
    def fail(tx: Tx) -> NoReturn:
        tx.bookings.add(a_booking(1))
        raise LookupError

    with pytest.raises(LookupError):
        await store.transact(fail)
    await given(store, a_booking(1))

    assert (await stored_booking(store)).version == 1


@clause
async def one_that_fails_does_not_hurt_those_beside_it(store: Store) -> None:
    def add(tx: Tx, number: int) -> int:
        tx.bookings.add(a_booking(number))
        if number % 3 == 0:
            raise LookupError(number)
        return number

    def work(number: int) -> Callable[[Tx], int]:
        return lambda tx: add(tx, number)

    outcomes = await asyncio.gather(*(store.transact(work(n)) for n in range(1, 31)), return_exceptions=True)

    kept = [number for number in range(1, 31) if number % 3]
    assert [outcome for outcome in outcomes if not isinstance(outcome, BaseException)] == kept
    assert {type(outcome) for outcome in outcomes if isinstance(outcome, BaseException)} == {LookupError}
    found, _ = await page_of_bookings(store, BookingFilter(), Page(limit=100))
    assert sorted(booking.id for booking in found) == kept


@clause
async def a_transaction_sees_its_own_changes(store: Store) -> None:
    def work(tx: Tx) -> tuple[object, ...]:
        booking = tx.bookings.add(evolve(a_booking(), events=(an_event(1, a_booking()),)))
        payment = tx.payments.add(evolve(a_payment(), events=(an_event(2, booking),)))
        opened = evolve(payment, gateway_reference="pidx", events=(an_event(3, booking, payment),))
        saved = tx.payments.save(opened)
        return (
            tx.bookings.get(BookingId(1)) == booking,
            tx.payments.get(payment_id(1)) == saved,
            tx.payments.of_booking(BookingId(1)) == [saved],
            tx.payments.with_gateway_reference(KHALTI, Environment.SANDBOX, "pidx") == saved,
            numbers(tx.events.of_booking(BookingId(1))),
        )

    assert await store.transact(work) == (True, True, True, True, [1, 2, 3])


@clause
async def the_result_of_the_function_is_given_back(store: Store) -> None:
    given_back = object()

    assert await store.transact(lambda tx: given_back) is given_back
    assert await store.read(lambda view: given_back) is given_back
    assert await store.transact(lambda tx: tx.api_keys.find("x")) is None


@clause
async def each_save_counts_the_version(store: Store) -> None:
    await given(store, a_booking(), a_payment())

    def save_twice(tx: Tx) -> tuple[int, int]:
        booking = tx.bookings.save(tx.bookings.save(tx.bookings.get(BookingId(1))))
        payment = tx.payments.save(tx.payments.save(tx.payments.get(payment_id(1))))
        return booking.version, payment.version

    assert await store.transact(save_twice) == (3, 3)
    assert ((await stored_booking(store)).version, (await stored_payment(store)).version) == (3, 3)


@clause
async def a_stale_booking_makes_the_function_run_again(store: Store) -> None:
    await given(store, a_booking())
    old = await stored_booking(store)
    await change_booking(store, partial(evolve, title="Theirs"))
    runs: list[str] = []

    def work(tx: Tx) -> Booking:
        booking = old if not runs else tx.bookings.get(BookingId(1))
        runs.append(booking.title)
        return tx.bookings.save(evolve(booking, title=f"{booking.title} and ours", events=(an_event(1, booking),)))

    saved = await store.transact(work)

    assert runs == ["Deep cleaning", "Theirs"]
    assert (saved.title, saved.version) == ("Theirs and ours", 3)
    assert await stored_booking(store) == saved
    assert numbers(await stored_events(store)) == [1]


@clause
async def a_stale_payment_makes_the_function_run_again(store: Store) -> None:
    await given(store, a_booking(), a_payment())
    old = await stored_payment(store)
    await change_payment(store, partial(evolve, said="Completed"))
    evidence = Evidence(at=NOON, observation=Observation(reported=Reported.PENDING, said="Pending"))
    runs: list[str | None] = []

    def work(tx: Tx) -> Payment:
        payment = old if not runs else tx.payments.get(payment_id(1))
        runs.append(payment.said)
        tx.bookings.add(a_booking(2))
        return tx.payments.save(evolve(payment, reason="ours", evidence=(evidence,)))

    saved = await store.transact(work)

    assert runs == [None, "Completed"]
    assert (saved.said, saved.reason, saved.version) == ("Completed", "ours", 3)
    assert await stored_payment(store) == saved
    assert await store.read(lambda view: view.payments.evidence(payment_id(1))) == [evidence]
    assert (await stored_booking(store, 2)).version == 1


@clause
async def what_stays_stale_is_given_up_and_changes_nothing(store: Store) -> None:
    await given(store, a_booking())
    old = await stored_booking(store)
    await change_booking(store, partial(evolve, title="Theirs"))
    runs: list[None] = []

    def work(tx: Tx) -> Booking:
        runs.append(None)
        tx.bookings.add(a_booking(2))
        return tx.bookings.save(titled(old, "Ours"))

    with pytest.raises(StoreUnavailable):
        await store.transact(work)

    assert 2 <= len(runs) <= 10
    assert (await stored_booking(store)).title == "Theirs"
    with pytest.raises(BookingNotFound):
        await stored_booking(store, 2)


@clause
async def nothing_is_lost_between_transactions_on_one_booking(store: Store) -> None:
    await given(store, evolve(a_booking(), title="0"))

    def count(tx: Tx) -> int:
        booking = tx.bookings.get(BookingId(1))
        counted = int(booking.title) + 1
        tx.bookings.save(evolve(booking, title=str(counted), events=(an_event(counted, booking),)))
        return counted

    counts = await asyncio.gather(*(store.transact(count) for _ in range(50)))

    assert sorted(counts) == list(range(1, 51))
    booking = await stored_booking(store)
    assert (booking.title, booking.version) == ("50", 51)
    assert numbers(await stored_events(store)) == list(range(1, 51))


@clause
async def a_payment_decided_under_its_bookings_lock_is_decided_once(store: Store) -> None:
    await given(store, a_booking())

    def begin_unless_begun(number: int) -> Callable[[Tx], PaymentId]:
        def work(tx: Tx) -> PaymentId:
            booking = tx.bookings.get(BookingId(1))
            for begun in tx.payments.of_booking(booking.id):
                return begun.id
            return tx.payments.add(a_payment(number, booking=booking)).id

        return work

    shown = await asyncio.gather(*(store.transact(begin_unless_begun(number)) for number in range(1, 31)))

    assert len(set(shown)) == 1
    assert len(await store.read(lambda view: view.payments.of_booking(BookingId(1)))) == 1


@clause
async def a_reading_sees_whole_transactions_only(store: Store) -> None:
    await given(store, evolve(a_booking(1), title="0"), evolve(a_booking(2), title="0"))

    def both(number: int) -> Callable[[Tx], None]:
        def work(tx: Tx) -> None:
            for booking_id in (BookingId(1), BookingId(2)):
                tx.bookings.save(titled(tx.bookings.get(booking_id), str(number)))

        return work

    async def write() -> None:
        for number in range(1, 60):
            await store.transact(both(number))

    def look(view: View) -> bool:
        first = [view.bookings.get(BookingId(number)) for number in (1, 2)]
        second = [view.bookings.get(BookingId(number)) for number in (2, 1)]
        return len({booking.title for booking in (*first, *second)}) == 1

    async def watch() -> list[bool]:
        seen = []
        while not writing.done():
            seen.append(await store.read(look))
            await asyncio.sleep(0)
        return seen

    writing = asyncio.create_task(write())
    watched = await asyncio.gather(*(watch() for _ in range(3)))
    await writing

    assert all(all(seen) for seen in watched)


@clause
async def what_was_acknowledged_is_read_at_once(store: Store) -> None:
    await given(store, evolve(a_booking(), title="0"))

    for number in range(1, 30):
        await change_booking(store, partial(evolve, title=str(number)))
        assert (await stored_booking(store)).title == str(number)


@clause
async def what_was_acknowledged_is_there_when_the_store_is_opened_again(store: Store) -> None:
    await asyncio.gather(*(given(store, a_booking(number)) for number in range(1, 21)))

    await store.close()
    await store.open()

    found, _ = await page_of_bookings(store, BookingFilter(), Page(limit=100))
    assert sorted(booking.id for booking in found) == list(range(1, 21))


@clause
async def a_caller_that_is_canceled_leaves_all_or_nothing(store: Store) -> None:
    def add(number: int) -> Callable[[Tx], None]:
        def work(tx: Tx) -> None:
            booking = tx.bookings.add(a_booking(number))
            tx.payments.add(a_payment(number, booking=booking))

        return work

    for number in range(1, 41):
        task = asyncio.create_task(store.transact(add(number)))
        for _ in range(number % 20):
            await asyncio.sleep(0)
        task.cancel()
        outcome = (await asyncio.gather(task, return_exceptions=True))[0]
        assert outcome is None or isinstance(outcome, asyncio.CancelledError)
    await asyncio.gather(*(given(store, a_booking(1000 + number)) for number in range(40)))

    def look(view: View) -> tuple[set[int], set[int]]:
        found, _ = view.bookings.page(BookingFilter(), Page(limit=1000))
        paid, _ = view.payments.page(PaymentFilter(), Page(limit=1000))
        return {booking.id for booking in found}, {payment.booking_id for payment in paid}

    bookings, with_payments = await store.read(look)
    assert {number for number in bookings if number < 1000} == with_payments
    assert {number for number in bookings if number >= 1000} == set(range(1000, 1040))


@clause
async def a_working_store_answers_a_ping(store: Store) -> None:
    await store.ping()
    await store.ping()

"""What every store keeps: each clause is a coroutine that takes an open, empty store and says what it expects.

`CLAUSES` holds them by name; `test_store_contract.py` runs all of them on every store that there is, and
`test_store_contract_bites.py` shows that a store which breaks one is caught by it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Final, NoReturn

import pytest
from attrs import evolve

from sewapay.application.access import ApiKey, Scope
from sewapay.application.errors import (
    BookingExists,
    BookingNotFound,
    InvalidCursor,
    PaymentNotFound,
    ReferenceTaken,
    StoreUnavailable,
)
from sewapay.application.storage import BookingFilter, Page, PaymentFilter, Store, Tx, View
from sewapay.domain.booking import Booking, BookingStatus, Customer
from sewapay.domain.checkout import PostForm, Redirect
from sewapay.domain.events import Event, EventKind
from sewapay.domain.identifiers import BookingId, CustomerId, Environment, GatewayName, OrderReference, PaymentId
from sewapay.domain.money import GREATEST_PAISA, Money
from sewapay.domain.observation import Evidence, Observation, Reported
from sewapay.domain.payment import Payment, PaymentStatus, ReturnStyle, ReturnTo, ReviewReason

Clause = Callable[[Store], Awaitable[None]]
CLAUSES: Final[dict[str, Clause]] = {}

KHALTI: Final = GatewayName("khalti")
NOON: Final = datetime(2026, 1, 15, 6, 15, tzinfo=UTC)
NEPALI: Final = "घर सफाइ — काठमाडौँ 🏠"


def clause(check: Clause) -> Clause:
    """Make it part of the contract, under its own name."""
    CLAUSES[check.__name__] = check
    return check


def minutes(number: int) -> timedelta:
    return timedelta(minutes=number)


def a_booking(number: int = 1, *, customer: str = "42", at: datetime = NOON, amount: int = 113000) -> Booking:
    return Booking.register(
        id=BookingId(number),
        customer=Customer(id=CustomerId(customer)),
        title="Deep cleaning",
        amount=Money(amount),
        actor="service:0123456789abcdef",
        at=at,
    )


def a_payment(number: int = 1, *, booking: Booking | None = None, at: datetime = NOON) -> Payment:
    return Payment.begin(
        id=payment_id(number),
        booking=booking or a_booking(),
        gateway=KHALTI,
        environment=Environment.SANDBOX,
        order_reference=OrderReference(f"{number:020d}"),
        return_to=None,
        longest_life=timedelta(hours=24),
        actor="customer:42",
        at=at,
    )


def payment_id(number: int) -> PaymentId:
    return PaymentId(f"00000000-0000-4000-8000-{number:012d}")


def an_event(number: int, booking: Booking, payment: Payment | None = None) -> Event:
    """An event that can be told from others by its number."""
    of_payment = None if payment is None else payment.id
    kind = EventKind.BOOKING_CANCELED
    return Event(kind=kind, at=NOON, actor="sewapay", booking_id=booking.id, payment_id=of_payment, data={"n": number})


def numbers(events: list[Event]) -> list[object]:
    return [event.data["n"] for event in events if "n" in event.data]


def titled(booking: Booking, title: str) -> Booking:
    return evolve(booking, title=title)


async def given(store: Store, *stored: Booking | Payment | ApiKey) -> None:
    """Store new things, in one transaction."""

    def add(tx: Tx) -> None:
        for thing in stored:
            match thing:
                case Booking():
                    tx.bookings.add(thing)
                case Payment():
                    tx.payments.add(thing)
                case ApiKey():
                    tx.api_keys.add(thing)

    await store.transact(add)


async def change_booking(store: Store, change: Callable[[Booking], Booking], number: int = 1) -> Booking:
    def work(tx: Tx) -> Booking:
        return tx.bookings.save(change(tx.bookings.get(BookingId(number))))

    return await store.transact(work)


async def change_payment(store: Store, change: Callable[[Payment], Payment], number: int = 1) -> Payment:
    def work(tx: Tx) -> Payment:
        return tx.payments.save(change(tx.payments.get(payment_id(number))))

    return await store.transact(work)


async def page_of_bookings(store: Store, wanted: BookingFilter, page: Page) -> tuple[list[Booking], str | None]:
    return await store.read(lambda view: view.bookings.page(wanted, page))


async def page_of_payments(store: Store, wanted: PaymentFilter, page: Page) -> tuple[list[Payment], str | None]:
    return await store.read(lambda view: view.payments.page(wanted, page))


async def stored_booking(store: Store, number: int = 1) -> Booking:
    return await store.read(lambda view: view.bookings.get(BookingId(number)))


async def stored_payment(store: Store, number: int = 1) -> Payment:
    return await store.read(lambda view: view.payments.get(payment_id(number)))


async def stored_events(store: Store, number: int = 1) -> list[Event]:
    return await store.read(lambda view: view.events.of_booking(BookingId(number)))


# -- what comes back ---------------------------------------------------------------------------------------------------


@clause
async def a_bare_booking_comes_back_as_it_was(store: Store) -> None:
    booking = a_booking()

    added = await store.transact(lambda tx: tx.bookings.add(booking))

    assert added == evolve(booking, version=1)
    assert added.events == ()
    assert await stored_booking(store) == added


@clause
async def a_full_booking_comes_back_as_it_was(store: Store) -> None:
    customer = Customer(id=CustomerId("ग्राहक 42"), name=NEPALI, email="sita@example.com", phone="+977-9800000001")
    booking = evolve(
        a_booking(),
        id=BookingId(2**53),
        customer=customer,
        title=NEPALI,
        amount=Money(GREATEST_PAISA),
        registered_at=datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        status=BookingStatus.CONFIRMED,
        settled_by=payment_id(1),
        events=(),
    )

    added = await store.transact(lambda tx: tx.bookings.add(booking))

    assert added == evolve(booking, version=1)
    assert await store.read(lambda view: view.bookings.get(BookingId(2**53))) == added


@clause
async def every_field_of_a_booking_that_changes_is_saved(store: Store) -> None:
    await given(store, a_booking())
    changed: list[Booking] = []

    def change(tx: Tx) -> Booking:
        read = tx.bookings.get(BookingId(1))
        customer = Customer(id=CustomerId("43"), name="Ram", email="ram@example.com", phone="9800000002")
        changed.append(
            evolve(read, customer=customer, title=NEPALI, status=BookingStatus.CONFIRMED, settled_by=payment_id(1))
        )
        return tx.bookings.save(changed[-1])

    saved = await store.transact(change)

    assert saved == evolve(changed[-1], version=2)
    assert await stored_booking(store) == saved


@clause
async def a_bare_payment_comes_back_as_it_was(store: Store) -> None:
    payment = evolve(a_payment(), next_check_at=None, amount_refunded=None)
    await given(store, a_booking())

    added = await store.transact(lambda tx: tx.payments.add(payment))

    assert added == evolve(payment, version=1)
    assert (added.events, added.evidence) == ((), ())
    assert await stored_payment(store) == added


def a_full_payment() -> Payment:
    return evolve(
        a_payment(),
        environment=Environment.PRODUCTION,
        status=PaymentStatus.UNDER_REVIEW,
        gateway_reference="bZQLD9wRVWo4CdESSfuSsB",
        next_step=PostForm("https://pay.example/?a=1&b=%E0%A4%95", {"z": "1", "a": NEPALI, "m": '"\\'}),
        opened_at=NOON + timedelta(microseconds=2),
        expires_at=NOON + timedelta(microseconds=1),
        return_to=ReturnTo("https://shop.example/payment/callback?x=1", ReturnStyle.KHALTI_WORDS),
        said="Partially Refunded",
        outcome_unknown=True,
        surplus=True,
        review_reason=ReviewReason.AMOUNT_MISMATCH,
        reason=NEPALI,
        amount_paid=Money(GREATEST_PAISA),
        amount_refunded=Money(1),
        amount_reserved=Money(GREATEST_PAISA - 1),
        refund_due=True,
        fee=Money(0),
        transaction_id="GFq9PFS7b2iYvL8Lir9oXe",
        paid_at=NOON + timedelta(microseconds=999999),
        next_check_at=NOON.astimezone(timezone(timedelta(hours=5, minutes=45))),
        looked_at=NOON - timedelta(microseconds=1),
        silences=2**31,
        events=(),
    )


@clause
async def a_full_payment_comes_back_as_it_was(store: Store) -> None:
    payment = a_full_payment()
    await given(store, a_booking())

    added = await store.transact(lambda tx: tx.payments.add(payment))

    assert added == evolve(payment, version=1)
    assert await stored_payment(store) == added


@clause
async def every_field_of_a_payment_that_changes_is_saved(store: Store) -> None:
    await given(store, a_booking(), evolve(a_payment(), environment=Environment.PRODUCTION))
    wanted = a_full_payment()

    def change(tx: Tx) -> Payment:
        read = tx.payments.get(payment_id(1))
        return tx.payments.save(evolve(wanted, version=read.version))

    saved = await store.transact(change)

    assert saved == evolve(wanted, version=2)
    assert await stored_payment(store) == saved


@clause
async def every_field_of_a_payment_that_is_emptied_is_saved(store: Store) -> None:
    empty = evolve(a_payment(), environment=Environment.PRODUCTION, next_check_at=None, amount_refunded=None, events=())
    await given(store, a_booking(), a_full_payment())

    def change(tx: Tx) -> Payment:
        read = tx.payments.get(payment_id(1))
        return tx.payments.save(evolve(empty, version=read.version))

    saved = await store.transact(change)

    assert saved == evolve(empty, version=2)
    assert await stored_payment(store) == saved


@clause
async def the_fields_of_a_form_keep_their_order(store: Store) -> None:
    fields = {"token": "3", "amount": "1", "signature": "2"}
    await given(store, a_booking(), evolve(a_payment(), next_step=PostForm("https://pay.example/", fields)))

    step = (await stored_payment(store)).next_step

    assert isinstance(step, PostForm)
    assert list(step.fields.items()) == [("token", "3"), ("amount", "1"), ("signature", "2")]


@clause
async def a_redirect_stays_a_redirect(store: Store) -> None:
    step = Redirect("https://test-pay.khalti.com/?pidx=bZQLD9wRVWo4CdESSfuSsB")
    await given(store, a_booking(), evolve(a_payment(), next_step=step))

    assert (await stored_payment(store)).next_step == step


@clause
async def every_word_of_every_enumeration_can_be_stored(store: Store) -> None:
    await given(store, a_booking(), a_payment())
    for status in BookingStatus:
        await change_booking(store, partial(evolve, status=status))
        assert (await stored_booking(store)).status is status
    for moved in PaymentStatus:
        await change_payment(store, partial(evolve, status=moved))
        assert (await stored_payment(store)).status is moved
    for reason in ReviewReason:
        await change_payment(store, partial(evolve, review_reason=reason))
        assert (await stored_payment(store)).review_reason is reason
    for style in ReturnStyle:
        return_to = ReturnTo("https://shop.example/", style)
        await change_payment(store, partial(evolve, return_to=return_to))
        assert (await stored_payment(store)).return_to == return_to


@clause
async def what_is_not_there_is_said_so(store: Store) -> None:
    with pytest.raises(BookingNotFound):
        await store.read(lambda view: view.bookings.get(BookingId(1)))
    with pytest.raises(BookingNotFound):
        await store.transact(lambda tx: tx.bookings.get(BookingId(2**53)))
    with pytest.raises(PaymentNotFound):
        await store.read(lambda view: view.payments.get(payment_id(1)))
    with pytest.raises(PaymentNotFound):
        await store.transact(lambda tx: tx.payments.get(payment_id(1)))

    def look(view: View) -> tuple[object, ...]:
        return (
            view.payments.of_booking(BookingId(1)),
            view.payments.with_gateway_reference(KHALTI, Environment.SANDBOX, "x"),
            view.payments.evidence(payment_id(1)),
            view.payments.page(PaymentFilter(), Page()),
            view.bookings.page(BookingFilter(), Page()),
            view.events.of_booking(BookingId(1)),
            view.refunds.of_payment(payment_id(1)),
            view.ledger.of_payment(payment_id(1)),
            view.api_keys.find("x"),
            view.api_keys.all(),
        )

    assert await store.read(look) == ([], None, [], ([], None), ([], None), [], [], [], None, [])


# -- transactions ------------------------------------------------------------------------------------------------------


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


# -- what must be unique -----------------------------------------------------------------------------------------------


@clause
async def a_bookings_number_is_given_once(store: Store) -> None:
    await given(store, a_booking(7, customer="42"))

    with pytest.raises(BookingExists):
        await given(store, a_booking(8), a_booking(7, customer="43"))

    assert (await stored_booking(store, 7)).customer.id == "42"
    assert len(await stored_events(store, 7)) == 1
    with pytest.raises(BookingNotFound):
        await stored_booking(store, 8)


@clause
async def the_next_number_follows_the_greatest(store: Store) -> None:
    first = await store.transact(lambda tx: tx.bookings.next_id())
    await given(store, a_booking(7), a_booking(3))

    assert (first, await store.transact(lambda tx: tx.bookings.next_id())) == (1, 8)


@clause
async def a_merchants_huge_number_does_not_push_the_next_one(store: Store) -> None:
    await given(store, a_booking(7), a_booking(2**52), a_booking(2**53))

    def register(tx: Tx) -> BookingId:
        return tx.bookings.add(a_booking(tx.bookings.next_id())).id

    assert [await store.transact(register) for _ in range(2)] == [8, 9]


@clause
async def numbers_taken_at_once_are_all_different(store: Store) -> None:
    def register(tx: Tx) -> BookingId:
        return tx.bookings.add(a_booking(tx.bookings.next_id())).id

    taken = await asyncio.gather(*(store.transact(register) for _ in range(25)))

    assert sorted(taken) == list(range(1, 26))


@clause
async def a_gateway_reference_belongs_to_one_payment(store: Store) -> None:
    await given(store, a_booking(), a_payment(1), a_payment(2))
    await change_payment(store, partial(evolve, gateway_reference="pidx"))

    with pytest.raises(ReferenceTaken):
        await change_payment(
            store,
            lambda payment: evolve(payment, gateway_reference="pidx", events=(an_event(1, a_booking(), payment),)),
            number=2,
        )
    with pytest.raises(ReferenceTaken):
        await given(store, evolve(a_payment(3), gateway_reference="pidx"))

    def look(view: View) -> tuple[Payment | None, str | None, int, int]:
        known = view.payments.with_gateway_reference(KHALTI, Environment.SANDBOX, "pidx")
        other = view.payments.get(payment_id(2))
        return known, other.gateway_reference, other.version, len(view.payments.of_booking(BookingId(1)))

    known, reference, version, count = await store.read(look)
    assert known is not None
    assert (known.id, reference, version, count) == (payment_id(1), None, 1, 2)
    assert numbers(await stored_events(store)) == []


@clause
async def a_payment_keeps_its_own_reference_when_it_is_saved_again(store: Store) -> None:
    await given(store, a_booking(), evolve(a_payment(1), gateway_reference="pidx"), a_payment(2), a_payment(3))

    saved = await change_payment(store, partial(evolve, said="Pending"))

    assert (saved.gateway_reference, saved.version) == ("pidx", 2)


@clause
async def the_same_reference_at_another_gateway_or_environment_is_another_one(store: Store) -> None:
    esewa = GatewayName("esewa")
    here = evolve(a_payment(1), gateway_reference="pidx")
    live = evolve(a_payment(2), gateway_reference="pidx", environment=Environment.PRODUCTION)
    there = evolve(a_payment(3), gateway_reference="pidx", gateway=esewa)

    await given(store, a_booking(), here, live, there)

    def look(view: View) -> list[PaymentId | None]:
        places = [(KHALTI, Environment.SANDBOX), (KHALTI, Environment.PRODUCTION)]
        places += [(esewa, Environment.SANDBOX), (esewa, Environment.PRODUCTION)]
        found = [view.payments.with_gateway_reference(name, where, "pidx") for name, where in places]
        return [None if payment is None else payment.id for payment in found]

    assert await store.read(look) == [payment_id(1), payment_id(2), payment_id(3), None]


@clause
async def a_repeated_transaction_id_is_stored_and_found(store: Store) -> None:
    first = evolve(a_payment(1), transaction_id="GFq9", status=PaymentStatus.COMPLETED)
    second = evolve(a_payment(2), transaction_id="GFq9", status=PaymentStatus.COMPLETED)
    live = evolve(a_payment(3), transaction_id="Xyz1", environment=Environment.PRODUCTION)
    await given(store, a_booking(), first, second, live)

    def look(tx: Tx) -> list[bool]:
        def has(transaction_id: str, besides: int, environment: Environment = Environment.SANDBOX) -> bool:
            return tx.payments.has_transaction(KHALTI, environment, transaction_id, besides=payment_id(besides))

        return [
            has("GFq9", 1),
            has("GFq9", 2),
            has("GFq9", 3),
            has("GFq9", 3, Environment.PRODUCTION),
            has("Xyz1", 1),
            has("Xyz1", 3, Environment.PRODUCTION),
            has("Xyz1", 1, Environment.PRODUCTION),
            has("gfq9", 3),
        ]

    assert await store.transact(look) == [True, True, True, False, False, False, True, False]


# -- events and evidence -----------------------------------------------------------------------------------------------


@clause
async def events_are_written_with_the_change_and_in_order(store: Store) -> None:
    await given(store, a_booking(1), a_booking(2))

    def work(tx: Tx) -> None:
        first, second = tx.bookings.get(BookingId(1)), tx.bookings.get(BookingId(2))
        payment = tx.payments.add(evolve(a_payment(), events=(an_event(1, first),)))
        first = tx.bookings.save(evolve(first, events=(an_event(2, first), an_event(3, first))))
        tx.bookings.save(evolve(second, events=(an_event(1, second),)))
        tx.payments.save(evolve(payment, events=(an_event(4, first, payment),)))
        tx.bookings.save(evolve(first, events=(an_event(5, first),)))

    await store.transact(work)

    assert numbers(await stored_events(store, 1)) == [1, 2, 3, 4, 5]
    assert numbers(await stored_events(store, 2)) == [1]
    assert (await stored_events(store, 1))[0].kind is EventKind.BOOKING_REGISTERED


@clause
async def an_event_is_written_once(store: Store) -> None:
    booking = a_booking()
    added = await store.transact(lambda tx: tx.bookings.add(booking))
    saved = await store.transact(lambda tx: tx.bookings.save(added))
    await store.transact(lambda tx: tx.bookings.save(saved))

    assert await stored_events(store) == list(booking.events)


@clause
async def every_event_comes_back_as_it_was(store: Store) -> None:
    booking = a_booking(2**53)
    happened = tuple(
        Event(
            kind=kind,
            at=NOON + timedelta(microseconds=number),
            actor="service:ग्राहक",
            booking_id=booking.id,
            payment_id=payment_id(number) if number % 2 else None,
            data={"said": NEPALI, "amount": GREATEST_PAISA, "is_final": True, "was": False, "nothing": None, "zero": 0},
        )
        for number, kind in enumerate(EventKind)
    )

    await given(store, evolve(booking, events=happened))

    stored = await stored_events(store, 2**53)
    assert stored == list(happened)
    assert [type(value) for value in stored[0].data.values()] == [str, int, bool, bool, type(None), int]


@clause
async def every_answer_is_kept_in_order(store: Store) -> None:
    await given(store, a_booking(), a_payment(1), a_payment(2))
    answers = [
        Evidence(at=NOON + minutes(number), observation=Observation(reported=reported, said=reported.value))
        for number, reported in enumerate(Reported)
    ]
    full = Observation(
        reported=Reported.COMPLETED,
        said=NEPALI,
        amount=Money(GREATEST_PAISA),
        fee=Money(0),
        transaction_id="GFq9PFS7b2iYvL8Lir9oXe",
        gateway_reference="bZQLD9wRVWo4CdESSfuSsB",
        refunded=False,
    )
    answers += [Evidence(at=NOON, observation=full), Evidence(at=NOON, observation=evolve(full, refunded=True))]

    await change_payment(store, partial(evolve, evidence=tuple(answers[:3])))
    await change_payment(store, partial(evolve, evidence=tuple(answers[3:4])))
    await change_payment(store, partial(evolve, evidence=(answers[0],)), number=2)
    await change_payment(store, partial(evolve, evidence=tuple(answers[4:])))

    assert await store.read(lambda view: view.payments.evidence(payment_id(1))) == answers
    assert await store.read(lambda view: view.payments.evidence(payment_id(2))) == answers[:1]


# -- lists -------------------------------------------------------------------------------------------------------------


async def _all_bookings(store: Store, wanted: BookingFilter, limit: int) -> list[int]:
    found: list[int] = []
    page = Page(limit=limit)
    while True:
        items, cursor = await page_of_bookings(store, wanted, page)
        assert len(items) <= limit
        found += [int(booking.id) for booking in items]
        if cursor is None:
            return found
        page = Page(cursor=cursor, limit=limit)


async def _all_payments(store: Store, wanted: PaymentFilter, limit: int = 2) -> list[int]:
    found: list[int] = []
    page = Page(limit=limit)
    while True:
        items, cursor = await page_of_payments(store, wanted, page)
        assert len(items) <= limit
        found += [int(payment.id[-12:]) for payment in items]
        if cursor is None:
            return found
        page = Page(cursor=cursor, limit=limit)


@clause
async def bookings_are_listed_newest_first_whatever_the_page(store: Store) -> None:
    times = {5: 0, 1: 3, 9: 1, 2: 1, 10: 1, 4: 2, 2**53: 0}
    await given(store, *(a_booking(number, at=NOON + minutes(minute)) for number, minute in times.items()))

    newest_first = [1, 4, 10, 9, 2, 2**53, 5]
    for limit in (1, 2, 3, 6, 7, 8, 100):
        assert await _all_bookings(store, BookingFilter(), limit) == newest_first


@clause
async def bookings_are_filtered(store: Store) -> None:
    for number in range(1, 9):
        await given(store, a_booking(number, customer="42" if number % 2 else "43", at=NOON + minutes(number)))
    for number in (1, 2, 3):
        await change_booking(store, partial(evolve, status=BookingStatus.CANCELED), number)
    sita = CustomerId("42")

    assert await _all_bookings(store, BookingFilter(customer_id=sita), 3) == [7, 5, 3, 1]
    assert await _all_bookings(store, BookingFilter(status=BookingStatus.CANCELED), 2) == [3, 2, 1]
    assert await _all_bookings(store, BookingFilter(customer_id=sita, status=BookingStatus.CANCELED), 1) == [3, 1]
    assert await _all_bookings(store, BookingFilter(customer_id=CustomerId("4")), 3) == []


@clause
async def payments_are_listed_newest_first_whatever_the_page(store: Store) -> None:
    times = {5: 0, 1: 3, 9: 1, 2: 1, 10: 1, 4: 2, 3: 0}
    await given(store, a_booking(), *(a_payment(number, at=NOON + minutes(minute)) for number, minute in times.items()))

    newest_first = [1, 4, 10, 9, 2, 5, 3]
    for limit in (1, 2, 3, 6, 7, 8, 100):
        assert await _all_payments(store, PaymentFilter(), limit) == newest_first


@clause
async def a_bookings_payments_come_oldest_first(store: Store) -> None:
    await given(
        store,
        *(a_booking(1), a_booking(2)),
        *(a_payment(number, at=NOON - minutes(number)) for number in (1, 2, 3)),
        a_payment(4, booking=a_booking(2)),
    )

    found = await store.read(lambda view: view.payments.of_booking(BookingId(1)))

    assert [payment.id for payment in found] == [payment_id(3), payment_id(2), payment_id(1)]


@clause
async def payments_are_filtered(store: Store) -> None:
    hers, his = a_booking(1, customer="42"), a_booking(2, customer="43")
    esewa = GatewayName("esewa")
    await given(
        store,
        *(hers, his),
        a_payment(1, booking=hers, at=NOON),
        evolve(a_payment(2, booking=hers, at=NOON + minutes(1)), review_reason=ReviewReason.STUCK),
        evolve(a_payment(3, booking=his, at=NOON + minutes(2)), gateway=esewa),
        evolve(a_payment(4, booking=his, at=NOON + minutes(3)), review_reason=ReviewReason.SURPLUS),
        evolve(a_payment(5, booking=his, at=NOON + minutes(4)), outcome_unknown=True),
    )
    expected = [
        (PaymentFilter(), [5, 4, 3, 2, 1]),
        (PaymentFilter(customer_id=CustomerId("42")), [2, 1]),
        (PaymentFilter(customer_id=CustomerId("nobody")), []),
        (PaymentFilter(booking_id=BookingId(2)), [5, 4, 3]),
        (PaymentFilter(status=PaymentStatus.CREATED), [5, 4, 3, 2, 1]),
        (PaymentFilter(status=PaymentStatus.OPEN), []),
        (PaymentFilter(gateway=esewa), [3]),
        (PaymentFilter(needs_attention=True), [5, 4, 2]),
        (PaymentFilter(needs_attention=False), [3, 1]),
        (PaymentFilter(created_from=NOON + minutes(1), created_to=NOON + minutes(3)), [3, 2]),
        (PaymentFilter(created_from=NOON + minutes(4) + timedelta(microseconds=1)), []),
        (PaymentFilter(created_to=NOON), []),
        (PaymentFilter(customer_id=CustomerId("43"), booking_id=BookingId(1)), []),
        (PaymentFilter(customer_id=CustomerId("43"), needs_attention=True, status=PaymentStatus.CREATED), [5, 4]),
    ]

    for wanted, numbers_of_payments in expected:
        assert await _all_payments(store, wanted) == numbers_of_payments, wanted


@clause
async def what_nobody_has_to_decide_needs_no_attention_whatever_its_status(store: Store) -> None:
    review, completed = PaymentStatus.UNDER_REVIEW, PaymentStatus.COMPLETED
    await given(
        store,
        a_booking(),
        evolve(a_payment(1, at=NOON), surplus=True, status=completed),
        evolve(a_payment(2, at=NOON + minutes(1)), status=review),
        evolve(a_payment(3, at=NOON + minutes(2)), status=completed, review_reason=ReviewReason.REFUNDED_OUTSIDE),
        evolve(a_payment(4, at=NOON + minutes(3)), status=completed, outcome_unknown=True),
    )

    assert await _all_payments(store, PaymentFilter(needs_attention=True)) == [4, 3]
    assert await _all_payments(store, PaymentFilter(needs_attention=False)) == [2, 1]


@clause
async def a_page_is_not_shifted_by_what_is_added_meanwhile(store: Store) -> None:
    await given(store, a_booking(), *(a_payment(number, at=NOON + minutes(number)) for number in range(1, 7)))
    first, cursor = await page_of_payments(store, PaymentFilter(), Page(limit=2))

    await given(store, a_payment(7, at=NOON + minutes(7)), a_payment(8, at=NOON - minutes(1)))
    rest, end = await page_of_payments(store, PaymentFilter(), Page(cursor=cursor, limit=100))

    assert [int(payment.id[-12:]) for payment in (*first, *rest)] == [6, 5, 4, 3, 2, 1, 8]
    assert end is None


@clause
async def a_cursor_that_we_did_not_give_is_refused(store: Store) -> None:
    await given(store, a_booking(), a_booking(2), a_payment(1), a_payment(2))
    _, of_bookings = await page_of_bookings(store, BookingFilter(), Page(limit=1))
    _, of_payments = await page_of_payments(store, PaymentFilter(), Page(limit=1))
    strange = ["", " ", "x", "1", "nonsense", "ä", "🏠", "\0", "=" * 4, "MA==", "-" * 1000, "bnVsbA", "LjE"]

    for cursor in (*strange, of_payments):
        with pytest.raises(InvalidCursor):
            await page_of_bookings(store, BookingFilter(), Page(cursor=cursor))
    for cursor in (*strange, of_bookings):
        with pytest.raises(InvalidCursor):
            await page_of_payments(store, PaymentFilter(), Page(cursor=cursor))


# -- API keys ----------------------------------------------------------------------------------------------------------


def a_key(id: str = "0123456789abcdef", *, at: datetime = NOON) -> ApiKey:
    scopes = frozenset({Scope.PAYMENTS, Scope.READ})
    return ApiKey(id=id, label=NEPALI, digest="d" * 64, scopes=scopes, created_at=at)


@clause
async def api_keys_come_back_as_they_were(store: Store) -> None:
    key, full = a_key(), evolve(a_key("f" * 16, at=NOON - minutes(1)), scopes=frozenset(Scope), revoked_at=NOON)
    none = evolve(a_key("e" * 16, at=NOON + minutes(1)), scopes=frozenset())

    for each in (key, full, none):
        await given(store, each)

    assert await store.read(lambda view: view.api_keys.find(key.id)) == key
    assert await store.read(lambda view: view.api_keys.find("0" * 16)) is None
    assert await store.read(lambda view: view.api_keys.all()) == [full, key, none]


@clause
async def a_revoked_key_is_saved(store: Store) -> None:
    key, other = a_key(), a_key("f" * 16, at=NOON + minutes(1))
    await given(store, key, other)
    revoked = evolve(key, revoked_at=NOON + minutes(2))

    await store.transact(lambda tx: tx.api_keys.save(revoked))

    assert await store.read(lambda view: view.api_keys.all()) == [revoked, other]

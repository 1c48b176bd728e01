"""Lists: their order, their filters and their pages."""

from datetime import timedelta
from functools import partial

import pytest
from attrs import evolve

from sewapay.application.errors import InvalidCursor
from sewapay.application.storage import BookingFilter, Page, PaymentFilter, Store
from sewapay.domain.booking import BookingStatus
from sewapay.domain.identifiers import BookingId, CustomerId, GatewayName
from sewapay.domain.payment import PaymentStatus, ReviewReason
from sewapay.testing.builders import NOON, a_booking, a_payment, minutes, payment_id
from sewapay.testing.stores.given import change_booking, clause, given, page_of_bookings, page_of_payments


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

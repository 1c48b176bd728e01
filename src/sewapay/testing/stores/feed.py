"""The feed of events, in an order that no reader misses anything by."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import NoReturn

import pytest
from attrs import evolve

from sewapay.application.errors import InvalidCursor
from sewapay.application.storage import BookingFilter, Page, PaymentFilter, Store, Told, Tx
from sewapay.domain.events import Event
from sewapay.domain.payment import Payment
from sewapay.testing.builders import NOON, a_booking, a_payment, an_event, minutes, payment_id
from sewapay.testing.stores.given import (
    change_booking,
    change_payment,
    clause,
    given,
    numbers,
    page_of_bookings,
    page_of_payments,
    stored_events,
)


async def told(store: Store, cursor: str | None = None, *, limit: int = 100) -> tuple[list[Told], str | None]:
    return await store.transact(lambda tx: tx.events.feed(Page(cursor=cursor, limit=limit)))


def told_numbers(feed: list[Told]) -> list[object]:
    return numbers([one.event for one in feed])


def happening(*happened: int) -> Callable[[Payment], Payment]:
    def change(payment: Payment) -> Payment:
        return evolve(payment, events=tuple(an_event(number, a_booking(), payment) for number in happened))

    return change


@clause
async def the_feed_tells_every_event_of_every_booking_in_order(store: Store) -> None:
    await given(store, a_booking(1), a_booking(2))
    await change_booking(store, lambda booking: evolve(booking, events=(an_event(1, booking), an_event(2, booking))), 2)
    await change_booking(store, lambda booking: evolve(booking, events=(an_event(3, booking),)), 1)
    await change_booking(store, lambda booking: evolve(booking, events=(an_event(4, booking),)), 2)

    feed, _ = await told(store)

    assert [(one.event.booking_id, one.sequence) for one in feed] == [(1, 1), (2, 1), (2, 2), (2, 3), (1, 2), (2, 4)]
    assert told_numbers(feed) == [1, 2, 3, 4]
    of_the_second = [one.event for one in feed if one.event.booking_id == 2]
    assert of_the_second == await stored_events(store, 2)


@clause
async def the_feed_is_read_in_pages_and_goes_on_where_it_was_left(store: Store) -> None:
    await given(store, a_booking(), a_payment())
    await change_payment(store, happening(1, 2, 3))
    pages: list[list[object]] = []
    cursor: str | None = None
    for limit in (1, 2, 1, 5):
        page, cursor = await told(store, cursor, limit=limit)
        pages.append(told_numbers(page))

    nothing, same = await told(store, cursor)
    await change_payment(store, happening(4))
    new, end = await told(store, cursor)

    assert pages == [[], [1], [2], [3]]
    assert (nothing, same) == ([], cursor)
    assert told_numbers(new) == [4]
    assert end not in (cursor, None)


@clause
async def an_empty_feed_has_no_cursor(store: Store) -> None:
    assert await told(store) == ([], None)


@clause
async def the_feed_follows_the_order_of_the_changes_and_not_their_times(store: Store) -> None:
    def at(minute: int, number: int) -> Event:
        return evolve(an_event(number, a_booking()), at=NOON + minutes(minute))

    await given(store, a_booking())
    for minute, number in ((5, 1), (5, 2), (-9, 3), (5, 4)):
        await change_booking(store, partial(evolve, events=(at(minute, number),)))

    first, cursor = await told(store, limit=2)
    rest, _ = await told(store, cursor)

    assert told_numbers(first) + told_numbers(rest) == [1, 2, 3, 4]


@clause
async def a_transaction_is_told_of_its_own_events_and_others_only_of_what_is_kept(store: Store) -> None:
    await given(store, a_booking(), a_payment())

    def look_and_fail(tx: Tx) -> NoReturn:
        tx.payments.save(happening(1)(tx.payments.get(payment_id(1))))
        assert told_numbers(tx.events.feed(Page())[0]) == [1]
        raise LookupError

    with pytest.raises(LookupError):
        await store.transact(look_and_fail)
    await change_payment(store, happening(2))

    feed, _ = await told(store)

    assert told_numbers(feed) == [2]
    assert [one.sequence for one in feed] == [1, 2, 3]


@clause
async def nothing_is_passed_over_while_everybody_writes(store: Store) -> None:
    bookings = range(1, 9)
    await given(store, *(a_booking(number) for number in bookings))
    seen: list[Told] = []

    async def write(number: int) -> None:
        for count in range(1, 13):
            event = an_event(count, a_booking(number))
            await change_booking(store, partial(evolve, events=(event, event)), number)

    async def read() -> None:
        cursor: str | None = None
        while True:
            is_over = writing.done()
            page, cursor = await told(store, cursor, limit=7)
            seen.extend(page)
            if is_over and not page:
                return
            await asyncio.sleep(0)

    writing = asyncio.ensure_future(asyncio.gather(*(write(number) for number in bookings)))
    await read()
    await writing

    for number in bookings:
        assert [one.sequence for one in seen if one.event.booking_id == number] == list(range(1, 26)), number


@clause
async def a_place_in_the_feed_that_we_did_not_give_is_refused(store: Store) -> None:
    await given(store, a_booking(), a_booking(2), a_payment(1), a_payment(2))
    _, of_bookings = await page_of_bookings(store, BookingFilter(), Page(limit=1))
    _, of_payments = await page_of_payments(store, PaymentFilter(), Page(limit=1))
    _, first = await told(store, limit=1)
    assert first is not None

    for cursor in ("", " ", "x", "1", "nonsense", "ä", "\0", "MA==", "-" * 1000, of_bookings, of_payments):
        with pytest.raises(InvalidCursor):
            await told(store, cursor)
    with pytest.raises(InvalidCursor):
        await page_of_bookings(store, BookingFilter(), Page(cursor=first))
    with pytest.raises(InvalidCursor):
        await page_of_payments(store, PaymentFilter(), Page(cursor=first))

"""What the clauses of the stores' contract have in common: how to store things, change them and read them again."""

from collections.abc import Awaitable, Callable
from typing import Final

from attrs import evolve

from sewapay.application.access import ApiKey
from sewapay.application.storage import BookingFilter, Page, PaymentFilter, Store, Tx
from sewapay.domain.booking import Booking
from sewapay.domain.events import Event
from sewapay.domain.identifiers import BookingId
from sewapay.domain.payment import Payment
from sewapay.testing.builders import payment_id

Clause = Callable[[Store], Awaitable[None]]
CLAUSES: Final[dict[str, Clause]] = {}


def clause(check: Clause) -> Clause:
    """Make it part of the contract, under its own name."""
    CLAUSES[check.__name__] = check
    return check


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

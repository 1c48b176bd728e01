"""Payments whose next look is due, straight in the database, and how many of them were looked at."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import func, select

from bench.plan import Answers
from sewapay.adapters.sql import statements
from sewapay.adapters.sql.rows import Values, row_of_booking, row_of_payment
from sewapay.adapters.sql.session import Prepared
from sewapay.adapters.sql.store import build_store
from sewapay.adapters.sql.tables import payments
from sewapay.application.ports import Order
from sewapay.application.recording import order_of
from sewapay.domain.booking import Booking, Customer
from sewapay.domain.checkout import Checkout, Redirect
from sewapay.domain.identifiers import BookingId, CustomerId, Environment, GatewayName, OrderReference, PaymentId
from sewapay.domain.money import Money
from sewapay.domain.payment import Payment

__all__ = ["fill", "looked_at", "open_order"]

TOGETHER: Final = 2000
AMOUNT_PAISA: Final = 113_000
LIFE: Final = timedelta(hours=1)
OPENED_AGO: Final = timedelta(minutes=11)
"""Between two moments of the plan: what was looked at once is not due again for nine minutes."""

_LOOKED_AT: Final = Prepared(
    select(payments.c.status, func.count().label("many"))
    .where(payments.c.looked_at.is_not(None), payments.c.leased_until.is_(None))
    .group_by(payments.c.status)
)


async def fill(database_url: str, first: int, many: int, answers: Answers) -> None:
    """Add so many open payments, the first with this number, that are due and will get these answers.

    Each has a booking of its own. Rows differ as those of the service do: ids, references, links, amounts.
    """
    booking, payment = _example(datetime.now(UTC) - OPENED_AGO)
    of_booking, of_payment = row_of_booking(booking), row_of_payment(payment)
    store: Any = build_store(database_url)
    await store.open()
    try:
        for start in range(first, first + many, TOGETHER):
            numbers = range(start, min(start + TOGETHER, first + many))
            bookings = [of_booking | {"id": number, "amount": _amount(number)} for number in numbers]
            due = [of_payment | _own(number, answers) for number in numbers]
            await store.transact(lambda tx, bookings=bookings, due=due: _add(tx, bookings, due))
    finally:
        await store.close()


async def looked_at(database_url: str) -> dict[str, int]:
    """How many payments of each status were looked at and given back."""
    store: Any = build_store(database_url)
    await store.open()
    try:
        rows = await store.transact(lambda tx: tx.session.rows(_LOOKED_AT, {}))
        return {row["status"]: row["many"] for row in rows}
    finally:
        await store.close()


def open_order(number: int) -> Order:
    """What the gateway is asked about such a payment that stays open."""
    _, payment = _example(datetime.now(UTC) - OPENED_AGO)
    order = order_of(payment, "Deep cleaning, two rooms")
    return Order(
        payment_id=_id(number),
        booking_id=BookingId(number),
        reference=order.reference,
        gateway_reference=_pidx(number, Answers.OPEN),
        amount=Money(_amount(number)),
        title=order.title,
    )


def _add(tx: Any, bookings: Sequence[Values], due: Sequence[Values]) -> None:
    tx.session.write_all(statements.ADD_BOOKING, bookings)
    tx.session.write_all(statements.ADD_PAYMENT, due)


def _example(opened_at: datetime) -> tuple[Booking, Payment]:
    """A booking and its open payment, as the service makes them."""
    booking = Booking.register(
        id=BookingId(1),
        customer=Customer(id=CustomerId("42"), name="Sita Sharma", email="sita@example.com"),
        title="Deep cleaning, two rooms",
        amount=Money(AMOUNT_PAISA),
        actor="bench",
        at=opened_at,
    )
    begun = Payment.begin(
        id=_id(1),
        booking=booking,
        gateway=GatewayName("khalti"),
        environment=Environment.SANDBOX,
        order_reference=OrderReference("0" * 20),
        return_to=None,
        longest_life=LIFE,
        actor="bench",
        at=opened_at,
    )
    checkout = Checkout(next_step=Redirect("http://127.0.0.1/"), gateway_reference="O", life=LIFE)
    return booking, begun.opened(checkout, default_life=LIFE, at=opened_at)


def _own(number: int, answers: Answers) -> Values:
    pidx = _pidx(number, answers)
    return {
        "id": str(_id(number)),
        "booking_id": number,
        "order_reference": f"{number:020d}",
        "amount": _amount(number),
        "gateway_reference": pidx,
        "next_step": {"kind": "redirect", "url": f"http://127.0.0.1/?pidx={pidx}"},
        "version": 2,
        "next_check_at": datetime.now(UTC) - timedelta(seconds=1),
    }


def _pidx(number: int, answers: Answers) -> str:
    """One that tells the fast Khalti what to answer."""
    return f"{answers.value[0].upper()}{_amount(number):09d}{number:012d}"


def _id(number: int) -> PaymentId:
    """Spread over all ids, as random ones are."""
    return PaymentId(f"{number * 2654435761 % 2**32:08x}-0000-4000-8000-{number:012x}")


def _amount(number: int) -> int:
    return AMOUNT_PAISA + number % 97 * 100

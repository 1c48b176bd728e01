"""Bookings, payments and what belongs to them, each valid and in the state that the core itself would leave it in."""

from datetime import UTC, datetime, timedelta
from typing import Final

from sewapay.application.access import ApiKey, Scope
from sewapay.domain.booking import Booking, Customer
from sewapay.domain.events import Event, EventKind
from sewapay.domain.identifiers import (
    BookingId,
    CustomerId,
    Environment,
    GatewayName,
    OrderReference,
    PaymentId,
    RefundId,
)
from sewapay.domain.ledger import Account, Entry, Posting
from sewapay.domain.money import Money
from sewapay.domain.payment import Payment
from sewapay.domain.refund import Refund

KHALTI: Final = GatewayName("khalti")
NOON: Final = datetime(2026, 1, 15, 6, 15, tzinfo=UTC)
NEPALI: Final = "घर सफाइ — काठमाडौँ 🏠"


def minutes(number: int) -> timedelta:
    """So many minutes."""
    return timedelta(minutes=number)


def payment_id(number: int) -> PaymentId:
    """The id of this number."""
    return PaymentId(f"00000000-0000-4000-8000-{number:012d}")


def a_booking(number: int = 1, *, customer: str = "42", at: datetime = NOON, amount: int = 113000) -> Booking:
    """A booking that was just registered, with its event still in hand."""
    return Booking.register(
        id=BookingId(number),
        customer=Customer(id=CustomerId(customer)),
        title="Deep cleaning",
        amount=Money(amount),
        actor="service:0123456789abcdef",
        at=at,
    )


def a_payment(number: int = 1, *, booking: Booking | None = None, at: datetime = NOON) -> Payment:
    """A payment that was just begun, with its event still in hand."""
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


def an_event(number: int, booking: Booking, payment: Payment | None = None) -> Event:
    """An event that can be told from others by its number."""
    of_payment = None if payment is None else payment.id
    kind = EventKind.BOOKING_CANCELED
    return Event(kind=kind, at=NOON, actor="sewapay", booking_id=booking.id, payment_id=of_payment, data={"n": number})


def refund_id(number: int) -> RefundId:
    """The id of this number."""
    return RefundId(f"00000000-0000-4000-9000-{number:012d}")


def a_refund(number: int = 1, *, payment: int = 1, at: datetime = NOON) -> Refund:
    """A refund that was just submitted, with its event still in hand."""
    return Refund.submit(
        id=refund_id(number),
        payment_id=payment_id(payment),
        booking_id=BookingId(1),
        amount=Money(5000),
        is_all=False,
        reason=NEPALI,
        actor="staff:7",
        at=at,
    )


def a_posting(paisa: int, *, payment: int = 1, why: str = "payment", at: datetime = NOON) -> Posting:
    """An amount that came in from a payment, or went out again."""
    return Posting(
        booking_id=BookingId(1),
        payment_id=payment_id(payment),
        at=at,
        why=why,
        entries=(
            Entry(Account.CUSTOMER_FUNDS, -paisa),
            Entry(Account.MERCHANT_RECEIVABLE, paisa - 7),
            Entry(Account.GATEWAY_FEE, 7),
        ),
    )


def a_key(id: str = "0123456789abcdef", *, at: datetime = NOON) -> ApiKey:
    """An API key that was just made."""
    scopes = frozenset({Scope.PAYMENTS, Scope.READ})
    return ApiKey(id=id, label=NEPALI, digest="d" * 64, scopes=scopes, created_at=at)

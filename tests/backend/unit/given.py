"""Bookings and payments of the pure core, each brought where it is by the steps that lead there."""

from datetime import UTC, datetime, timedelta
from typing import Final

from attrs import evolve

from sewapay.domain.booking import Booking, Customer
from sewapay.domain.checkout import Checkout, Redirect
from sewapay.domain.identifiers import BookingId, CustomerId, Environment, GatewayName, OrderReference, PaymentId
from sewapay.domain.money import Money
from sewapay.domain.observation import Observation, Reported
from sewapay.domain.payment import Payment, PaymentStatus, ReturnStyle, ReturnTo

NOON: Final = datetime(2026, 1, 15, 6, 15, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)
OWED: Final = Money(113000)
PIDX: Final = "HT6o6PEZRWFJ5ygavzHWd5"
TRANSACTION: Final = "GFq9PFS7b2iYvL8Lir9oXe"
PAGE: Final = Redirect("https://test-pay.khalti.com/?pidx=HT6o6PEZRWFJ5ygavzHWd5")

SAID: Final = {
    Reported.INITIATED: "Initiated",
    Reported.PENDING: "Pending",
    Reported.COMPLETED: "Completed",
    Reported.PARTIALLY_REFUNDED: "Partially refunded",
    Reported.REFUNDED: "Refunded",
    Reported.CANCELED: "User canceled",
    Reported.EXPIRED: "Expired",
    Reported.FAILED: "Failed",
    Reported.NOT_FOUND: "Not found.",
    Reported.ABSENT: "NOT_FOUND",
    Reported.AMBIGUOUS: "AMBIGUOUS",
    Reported.UNKNOWN: "Ambiguous",
}


def payment_id(number: int = 1) -> PaymentId:
    return PaymentId(f"00000000-0000-4000-8000-{number:012d}")


def a_booking(*, amount: Money = OWED) -> Booking:
    """A booking as a store gives it back: its events are written."""
    booking = Booking.register(
        id=BookingId(123),
        customer=Customer(id=CustomerId("42")),
        title="Deep cleaning",
        amount=amount,
        actor="service:1",
        at=NOON,
    )
    return saved_booking(booking)


def saved_booking(booking: Booking) -> Booking:
    return evolve(booking, version=booking.version + 1, events=())


def saved(payment: Payment) -> Payment:
    """The payment as a store gives it back: one version on, its events, evidence and postings written and gone."""
    return evolve(payment, version=payment.version + 1, events=(), evidence=(), postings=())


def a_created_payment(number: int = 1, *, booking: Booking | None = None) -> Payment:
    begun = Payment.begin(
        id=payment_id(number),
        booking=booking or a_booking(),
        gateway=GatewayName("khalti"),
        environment=Environment.SANDBOX,
        order_reference=OrderReference(f"ORDER{number:015d}"),
        return_to=ReturnTo("https://shop.example/done", ReturnStyle.PAYMENT_ID),
        longest_life=timedelta(days=1),
        actor="customer:42",
        at=NOON,
    )
    return saved(begun)


def an_open_payment(number: int = 1, *, reference: str = PIDX) -> Payment:
    checkout = Checkout(next_step=PAGE, gateway_reference=reference, expires_at=NOON + HOUR)
    return saved(a_created_payment(number).opened(checkout, default_life=HOUR, at=NOON))


def an_answer(
    reported: Reported,
    *,
    amount: Money | None = OWED,
    reference: str | None = PIDX,
    transaction: str | None = TRANSACTION,
    fee: Money | None = None,
    refunded: bool | None = None,
    said: str | None = None,
) -> Observation:
    """What the gateway says, in Khalti's words; about the right payment and the right amount unless told."""
    return Observation(
        reported=reported,
        said=said or SAID[reported],
        amount=amount,
        fee=fee,
        transaction_id=transaction,
        gateway_reference=reference,
        refunded=refunded,
    )


def after(payment: Payment, *answers: Observation, at: datetime = NOON) -> Payment:
    """The payment after these answers, each saved before the next is asked for."""
    for answer in answers:
        payment = saved(payment.observe(answer, at=at, asked_at_version=payment.version))
    return payment


def seen(payment: Payment, answer: Observation, *, at: datetime = NOON) -> Payment:
    """The payment right after this fresh answer, its events and evidence still in hand."""
    return payment.observe(answer, at=at, asked_at_version=payment.version)


def a_payment_that_is(status: PaymentStatus) -> Payment:
    """A payment that came to this status by what gateways say. Under review: for a word that we do not know."""
    if status is PaymentStatus.CREATED:
        return a_created_payment()
    path = {
        PaymentStatus.OPEN: (),
        PaymentStatus.PENDING: (Reported.PENDING,),
        PaymentStatus.COMPLETED: (Reported.COMPLETED,),
        PaymentStatus.CANCELED: (Reported.CANCELED,),
        PaymentStatus.EXPIRED: (Reported.EXPIRED,),
        PaymentStatus.FAILED: (Reported.FAILED,),
        PaymentStatus.UNDER_REVIEW: (Reported.UNKNOWN,),
        PaymentStatus.PARTIALLY_REFUNDED: (Reported.COMPLETED, Reported.PARTIALLY_REFUNDED),
        PaymentStatus.REFUNDED: (Reported.COMPLETED, Reported.REFUNDED),
    }[status]
    return after(an_open_payment(), *(an_answer(reported) for reported in path))


def told(payment: Payment | Booking) -> list[str]:
    """The kinds of the events in hand."""
    return [event.kind.value for event in payment.events]

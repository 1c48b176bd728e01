"""What goes over the wire: one Struct a body. What comes in refuses unknown fields; what goes out is made `of(...)`.

Money is a whole number of paisa beside its currency; times are RFC 3339 in UTC. The core never sees these.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Literal, Self

from msgspec import Meta, Struct
from msgspec.structs import asdict

from sewapay.application.ports import CheckoutKind, PaymentGateway, RefundKind
from sewapay.application.timeline import TimelineItem
from sewapay.domain.booking import Booking, BookingStatus
from sewapay.domain.checkout import NextStep, PostForm
from sewapay.domain.identifiers import Environment
from sewapay.domain.money import CURRENCY, GREATEST_PAISA
from sewapay.domain.payment import Payment, PaymentStatus, ReviewReason

Paisa = Annotated[int, Meta(gt=0, le=GREATEST_PAISA, description="Whole paisa: 113000 is Rs 1,130.00.")]
BookingNumber = Annotated[int, Meta(ge=1, le=2**53)]
Contact = Annotated[str, Meta(min_length=1, max_length=254)]
Url = Annotated[str, Meta(min_length=1, max_length=2048)]
# The shape keeps out what no gateway uses in a reference, and what a database could not store.
Reference = Annotated[str, Meta(min_length=1, max_length=128, pattern="^[!-~]+$")]


class NewCustomer(Struct, forbid_unknown_fields=True, frozen=True):
    """Who owes. `id` is the customer's id in the merchant's tokens."""

    id: Annotated[str, Meta(min_length=1, max_length=128)]
    name: Contact | None = None
    email: Contact | None = None
    phone: Contact | None = None


class NewBookingBody(Struct, forbid_unknown_fields=True, frozen=True):
    """What is owed, by whom. The amount is all that is owed, tax included."""

    customer: NewCustomer
    title: Annotated[str, Meta(min_length=1, max_length=200)]
    amount: Paisa
    id: BookingNumber | None = None
    currency: Literal["NPR"] = "NPR"


class NewPaymentBody(Struct, forbid_unknown_fields=True, frozen=True):
    """Which booking to pay, through which gateway, and where the customer goes afterwards."""

    booking_id: BookingNumber
    gateway: Annotated[str, Meta(min_length=1, max_length=32)]
    return_url: Url | None = None


class InitiationBody(Struct, frozen=True):
    """The guide's initiation. Unknown fields are ignored, `voucher_code` is too."""

    booking_id: BookingNumber
    return_url: Url
    website_url: Url
    expected_amount: int | float | str | None = None
    voucher_code: object = None


class CallbackBody(Struct, frozen=True):
    """The guide's second call. Only `pidx` and `booking_id` count; the rest is compared, logged and never believed."""

    pidx: Reference
    booking_id: BookingNumber
    transaction_id: object = None
    purchase_order_id: object = None
    expected_amount: object = None
    voucher_code: object = None


class Initiation(Struct, frozen=True):
    """Khalti's page for the customer, and how long its link lives (seconds)."""

    pidx: str
    payment_url: str
    expires_at: datetime | None
    expires_in: int


class InitiationAnswer(Struct, frozen=True):
    """The guide's answer to an initiation."""

    success: bool
    data: Initiation


class CallbackSuccess(Struct, frozen=True):
    """The booking's payment arrived. Asking again gives the same answer."""

    success: Literal[True]
    payment_id: str
    transaction_id: str
    khalti_transaction_id: str | None
    booking_status: str
    message: str


class CallbackFailure(Struct, frozen=True):
    """No payment that settles the booking, or none yet; `error` is a sentence for the customer."""

    success: Literal[False]
    error: str
    status: str | None


class GuideError(Struct, frozen=True):
    """The guide's envelope for what was wrong with a request."""

    error: str


class GuideDetail(Struct, frozen=True):
    """The guide's envelope for a request without an accepted token."""

    detail: str


class Problem(Struct, frozen=True):
    """RFC 9457. `type` is the address of a page that says what causes this problem and what helps."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str


class CustomerAnswer(Struct, frozen=True):
    """Who owes."""

    id: str
    name: str | None
    email: str | None
    phone: str | None


class BookingAnswer(Struct, frozen=True):
    """A booking.

    `checkout_url` is our page where whoever holds the address can pay it; null for a key that may not open checkouts
    (whoever registers a booking is told it all the same).
    """

    id: int
    customer: CustomerAnswer
    title: str
    amount: int
    currency: str
    amount_display: str
    status: BookingStatus
    settled_by: str | None
    registered_at: datetime
    checkout_url: str | None

    @classmethod
    def of(cls, booking: Booking, checkout_url: str | None) -> Self:
        """The booking as it is shown."""
        who = booking.customer
        return cls(
            id=booking.id,
            customer=CustomerAnswer(who.id, who.name, who.email, who.phone),
            title=booking.title,
            amount=booking.amount.paisa,
            currency=CURRENCY,
            amount_display=booking.amount.display,
            status=booking.status,
            settled_by=booking.settled_by,
            registered_at=booking.registered_at,
            checkout_url=checkout_url,
        )


class RedirectStep(Struct, frozen=True, tag_field="kind", tag="redirect"):
    """Send the browser to `url`, exactly as it stands."""

    url: str


class PostFormStep(Struct, frozen=True, tag_field="kind", tag="post_form"):
    """Have the browser post `fields`, in this order, to `url`."""

    url: str
    fields: dict[str, str]


def _step(step: NextStep) -> RedirectStep | PostFormStep:
    if isinstance(step, PostForm):
        return PostFormStep(step.url, dict(step.fields))
    return RedirectStep(step.url)


class PaymentAnswer(Struct, frozen=True):
    """One attempt to pay a booking.

    `next_step` is there while the customer can still use the link and the booking waits for its payment; lists leave it
    out. `outcome_unknown`: we asked the gateway and got no
    usable answer; `status` is the last one known, and we ask again at `next_check_at`.
    """

    id: str
    booking_id: int
    gateway: str
    environment: Environment
    status: PaymentStatus
    outcome_unknown: bool
    surplus: bool
    review_reason: ReviewReason | None
    reason: str | None
    amount: int
    currency: str
    amount_display: str
    amount_paid: int | None
    amount_refunded: int | None
    fee: int | None
    order_reference: str
    gateway_reference: str | None
    transaction_id: str | None
    next_step: RedirectStep | PostFormStep | None
    expires_at: datetime | None
    created_at: datetime
    paid_at: datetime | None
    next_check_at: datetime | None

    @classmethod
    def of(cls, payment: Payment, now: datetime, booking: BookingStatus | None) -> Self:
        """The payment as it is shown at `now`; without its booking's status, or when that one is settled, no link."""
        step = payment.next_step if booking is BookingStatus.PENDING and payment.has_live_link(now) else None
        return cls(
            id=payment.id,
            booking_id=payment.booking_id,
            gateway=payment.gateway,
            environment=payment.environment,
            status=payment.status,
            outcome_unknown=payment.outcome_unknown,
            surplus=payment.surplus,
            review_reason=payment.review_reason,
            reason=payment.reason,
            amount=payment.amount.paisa,
            currency=CURRENCY,
            amount_display=payment.amount.display,
            amount_paid=None if payment.amount_paid is None else payment.amount_paid.paisa,
            amount_refunded=None if payment.amount_refunded is None else payment.amount_refunded.paisa,
            fee=None if payment.fee is None else payment.fee.paisa,
            order_reference=payment.order_reference,
            gateway_reference=payment.gateway_reference,
            transaction_id=payment.transaction_id,
            next_step=None if step is None else _step(step),
            expires_at=payment.expires_at,
            created_at=payment.created_at,
            paid_at=payment.paid_at,
            next_check_at=payment.next_check_at,
        )


class BookingWithPayments(BookingAnswer, frozen=True):
    """A booking and every attempt to pay it, oldest first."""

    payments: list[PaymentAnswer]

    @classmethod
    def telling(cls, booking: Booking, payments: Iterable[Payment], checkout_url: str | None, now: datetime) -> Self:
        """The booking as it is shown at `now`."""
        shown = asdict(BookingAnswer.of(booking, checkout_url))
        return cls(**shown, payments=[PaymentAnswer.of(payment, now, booking.status) for payment in payments])


class BookingList(Struct, frozen=True):
    """One page of bookings, newest first; `next_cursor` is null at the end."""

    items: list[BookingAnswer]
    next_cursor: str | None


class PaymentList(Struct, frozen=True):
    """One page of payments, newest first; `next_cursor` is null at the end."""

    items: list[PaymentAnswer]
    next_cursor: str | None


class TimelineEntry(Struct, frozen=True):
    """One line of a payment's story; amounts in `data` are paisa."""

    at: datetime
    kind: str
    actor: str
    summary: str
    data: Mapping[str, str | int | bool | None]

    @classmethod
    def of(cls, item: TimelineItem) -> Self:
        """The line as it is shown."""
        return cls(at=item.at, kind=item.kind, actor=item.actor, summary=item.summary, data=dict(item.data))


class Timeline(Struct, frozen=True):
    """What happened to a payment, oldest first."""

    items: list[TimelineEntry]


class GatewayAnswer(Struct, frozen=True):
    """A gateway that bookings can be paid through here, and what it can do. Amounts are paisa."""

    name: str
    label: str
    environment: Environment
    checkout: CheckoutKind
    signed_return: bool
    refunds: RefundKind
    least_amount: int
    greatest_amount: int | None
    currency: str

    @classmethod
    def of(cls, gateway: PaymentGateway) -> Self:
        """The gateway as it is shown."""
        can = gateway.capabilities
        return cls(
            name=gateway.name,
            label=can.label,
            environment=gateway.environment,
            checkout=can.checkout,
            signed_return=can.signed_return,
            refunds=can.refunds,
            least_amount=can.least.paisa,
            greatest_amount=None if can.greatest is None else can.greatest.paisa,
            currency=CURRENCY,
        )


class GatewayList(Struct, frozen=True):
    """The enabled gateways."""

    items: list[GatewayAnswer]

    @classmethod
    def of(cls, gateways: Iterable[PaymentGateway]) -> Self:
        """In the order of their names."""
        return cls([GatewayAnswer.of(gateway) for gateway in sorted(gateways, key=lambda one: one.name)])


class Health(Struct, frozen=True):
    """`ok`, or what is missing."""

    status: str

"""What answers say: one Struct a body, made `of(...)` what it tells of. What comes in is in `bodies.py`.

Money is a whole number of paisa beside its currency; times are RFC 3339 in UTC. The core never sees these.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal, Self

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict

from sewapay.application.ports import CheckoutKind, PaymentGateway, RefundKind
from sewapay.application.storage import Told
from sewapay.application.timeline import TimelineItem
from sewapay.domain.booking import Booking, BookingStatus
from sewapay.domain.checkout import NextStep, PostForm
from sewapay.domain.events import EventKind
from sewapay.domain.identifiers import Environment
from sewapay.domain.money import CURRENCY
from sewapay.domain.payment import Payment, PaymentStatus, ReviewReason
from sewapay.domain.refund import Refund, RefundStatus


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
    """RFC 9457. `type` is the address of a page that says what causes this problem and what helps.

    `version` is there when a decision was made on another version of the payment: it is the one to review now.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    version: int | UnsetType = UNSET


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
    out. `outcome_unknown`: we asked the gateway and got no usable answer; `status` is the last one known, and we ask
    again at `next_check_at`. `amount_reserved`: a refund without a known outcome may have given it back. `refund_due`:
    it was decided that the rest is given back. `version` counts its changes; a decision names the one reviewed.
    """

    id: str
    booking_id: int
    gateway: str
    environment: Environment
    status: PaymentStatus
    outcome_unknown: bool
    surplus: bool
    refund_due: bool
    review_reason: ReviewReason | None
    reason: str | None
    amount: int
    currency: str
    amount_display: str
    amount_paid: int | None
    amount_refunded: int | None
    amount_reserved: int
    fee: int | None
    order_reference: str
    gateway_reference: str | None
    transaction_id: str | None
    next_step: RedirectStep | PostFormStep | None
    expires_at: datetime | None
    created_at: datetime
    opened_at: datetime | None
    paid_at: datetime | None
    next_check_at: datetime | None
    version: int

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
            refund_due=payment.refund_due,
            review_reason=payment.review_reason,
            reason=payment.reason,
            amount=payment.amount.paisa,
            currency=CURRENCY,
            amount_display=payment.amount.display,
            amount_paid=None if payment.amount_paid is None else payment.amount_paid.paisa,
            amount_refunded=None if payment.amount_refunded is None else payment.amount_refunded.paisa,
            amount_reserved=payment.amount_reserved.paisa,
            fee=None if payment.fee is None else payment.fee.paisa,
            order_reference=payment.order_reference,
            gateway_reference=payment.gateway_reference,
            transaction_id=payment.transaction_id,
            next_step=None if step is None else _step(step),
            expires_at=payment.expires_at,
            created_at=payment.created_at,
            opened_at=payment.opened_at,
            paid_at=payment.paid_at,
            next_check_at=payment.next_check_at,
            version=payment.version,
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


class RefundAnswer(Struct, frozen=True):
    """One attempt to give money back.

    `accepted_at`: when the gateway said yes; it is `confirmed` once a look-up agrees. `said` is the gateway's word, or
    ours for why nothing happened. `unknown`: sent and not answered, so it is looked up, and never to be repeated.
    """

    id: str
    payment_id: str
    booking_id: int
    amount: int
    currency: str
    amount_display: str
    status: RefundStatus
    reason: str
    requested_by: str
    requested_at: datetime
    accepted_at: datetime | None
    settled_at: datetime | None
    said: str | None

    @classmethod
    def of(cls, refund: Refund) -> Self:
        """The refund as it is shown."""
        return cls(
            id=refund.id,
            payment_id=refund.payment_id,
            booking_id=refund.booking_id,
            amount=refund.amount.paisa,
            currency=CURRENCY,
            amount_display=refund.amount.display,
            status=refund.status,
            reason=refund.reason,
            requested_by=refund.requested_by,
            requested_at=refund.requested_at,
            accepted_at=refund.accepted_at,
            settled_at=refund.settled_at,
            said=refund.said,
        )


class RefundList(Struct, frozen=True):
    """A payment's refunds, oldest first."""

    items: list[RefundAnswer]


class EventAnswer(Struct, frozen=True):
    """One fact. `sequence` is its number within its booking, without a gap; amounts in `data` are paisa."""

    id: str
    sequence: int
    kind: EventKind
    at: datetime
    actor: str
    booking_id: int
    payment_id: str | None
    data: Mapping[str, str | int | bool | None]

    @classmethod
    def of(cls, told: Told) -> Self:
        """The event as it is shown; its id is the same however often it is read."""
        event = told.event
        return cls(
            id=f"evt_{event.booking_id}_{told.sequence}",
            sequence=told.sequence,
            kind=event.kind,
            at=event.at,
            actor=event.actor,
            booking_id=event.booking_id,
            payment_id=event.payment_id,
            data=dict(event.data),
        )


class EventList(Struct, frozen=True):
    """Events, oldest first; `next_cursor` leads on to what happens later, also when there are none now."""

    items: list[EventAnswer]
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
    """A gateway that is enabled here, in paisa. `configured`: it has its key; `single_entry`: its page opens once."""

    name: str
    label: str
    environment: Environment
    configured: bool
    checkout: CheckoutKind
    single_entry: bool
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
            configured=can.configured,
            checkout=can.checkout,
            single_entry=can.single_entry,
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
        """In the order in which they are offered to customers, which is the settings'."""
        return cls([GatewayAnswer.of(gateway) for gateway in gateways])


class Health(Struct, frozen=True):
    """`ok`, or what is missing."""

    status: str

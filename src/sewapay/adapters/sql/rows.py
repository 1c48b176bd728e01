"""Rows and entities: two functions for each, and nothing else. A row is a dict by the names of the columns.

`events` and `evidence` are not part of an entity's row: they are written beside it, and a row that is read has none.
"""

from typing import Any, TypeAlias

from sewapay.application.access import ApiKey, Scope
from sewapay.domain.booking import Booking, BookingStatus, Customer
from sewapay.domain.checkout import NextStep, PostForm, Redirect
from sewapay.domain.events import Event, EventKind
from sewapay.domain.identifiers import BookingId, CustomerId, Environment, GatewayName, OrderReference, PaymentId
from sewapay.domain.money import Money
from sewapay.domain.observation import Evidence, Observation, Reported
from sewapay.domain.payment import Payment, PaymentStatus, ReturnStyle, ReturnTo, ReviewReason

__all__ = [
    "Row",
    "Values",
    "booking_from",
    "event_from",
    "evidence_from",
    "key_from",
    "payment_from",
    "row_of_booking",
    "row_of_event",
    "row_of_evidence",
    "row_of_key",
    "row_of_payment",
]

Row: TypeAlias = dict[str, Any]
Values: TypeAlias = dict[str, object]


def _money(paisa: int | None) -> Money | None:
    return None if paisa is None else Money(paisa)


def _paisa(money: Money | None) -> int | None:
    return None if money is None else money.paisa


def row_of_booking(booking: Booking) -> Values:
    """Every column of a booking."""
    customer = booking.customer
    return {
        "id": int(booking.id),
        "customer_id": str(customer.id),
        "customer_name": customer.name,
        "customer_email": customer.email,
        "customer_phone": customer.phone,
        "title": booking.title,
        "amount": booking.amount.paisa,
        "registered_at": booking.registered_at,
        "status": booking.status.value,
        "settled_by": None if booking.settled_by is None else str(booking.settled_by),
        "version": booking.version,
    }


def booking_from(row: Row) -> Booking:
    """The booking of a row with every column."""
    return Booking(
        id=BookingId(row["id"]),
        customer=Customer(
            id=CustomerId(row["customer_id"]),
            name=row["customer_name"],
            email=row["customer_email"],
            phone=row["customer_phone"],
        ),
        title=row["title"],
        amount=Money(row["amount"]),
        registered_at=row["registered_at"],
        status=BookingStatus(row["status"]),
        settled_by=None if row["settled_by"] is None else PaymentId(row["settled_by"]),
        version=row["version"],
    )


def row_of_payment(payment: Payment) -> Values:
    """Every column of a payment."""
    return_to = payment.return_to
    return {
        "id": str(payment.id),
        "booking_id": int(payment.booking_id),
        "gateway": str(payment.gateway),
        "environment": payment.environment.value,
        "order_reference": str(payment.order_reference),
        "amount": payment.amount.paisa,
        "created_at": payment.created_at,
        "status": payment.status.value,
        "gateway_reference": payment.gateway_reference,
        "next_step": _json_of_step(payment.next_step),
        "expires_at": payment.expires_at,
        "return_url": None if return_to is None else return_to.url,
        "return_style": None if return_to is None else return_to.style.value,
        "said": payment.said,
        "outcome_unknown": payment.outcome_unknown,
        "surplus": payment.surplus,
        "review_reason": None if payment.review_reason is None else payment.review_reason.value,
        "reason": payment.reason,
        "amount_paid": _paisa(payment.amount_paid),
        "amount_refunded": _paisa(payment.amount_refunded),
        "fee": _paisa(payment.fee),
        "transaction_id": payment.transaction_id,
        "paid_at": payment.paid_at,
        "next_check_at": payment.next_check_at,
        "version": payment.version,
    }


def payment_from(row: Row) -> Payment:
    """The payment of a row with every column."""
    return Payment(
        id=PaymentId(row["id"]),
        booking_id=BookingId(row["booking_id"]),
        gateway=GatewayName(row["gateway"]),
        environment=Environment(row["environment"]),
        order_reference=OrderReference(row["order_reference"]),
        amount=Money(row["amount"]),
        created_at=row["created_at"],
        status=PaymentStatus(row["status"]),
        gateway_reference=row["gateway_reference"],
        next_step=_step_from(row["next_step"]),
        expires_at=row["expires_at"],
        return_to=None if row["return_url"] is None else ReturnTo(row["return_url"], ReturnStyle(row["return_style"])),
        said=row["said"],
        outcome_unknown=row["outcome_unknown"],
        surplus=row["surplus"],
        review_reason=None if row["review_reason"] is None else ReviewReason(row["review_reason"]),
        reason=row["reason"],
        amount_paid=_money(row["amount_paid"]),
        amount_refunded=_money(row["amount_refunded"]),
        fee=_money(row["fee"]),
        transaction_id=row["transaction_id"],
        paid_at=row["paid_at"],
        next_check_at=row["next_check_at"],
        version=row["version"],
    )


def _json_of_step(step: NextStep | None) -> Values | None:
    match step:
        case None:
            return None
        case Redirect(url=url):
            return {"kind": "redirect", "url": url}
        case PostForm(url=url, fields=fields):
            return {"kind": "post_form", "url": url, "fields": dict(fields)}


def _step_from(stored: dict[str, Any] | None) -> NextStep | None:
    if stored is None:
        return None
    return PostForm(stored["url"], stored["fields"]) if stored["kind"] == "post_form" else Redirect(stored["url"])


def row_of_event(event: Event) -> Values:
    """Every column of an event but its sequence, which the store gives."""
    return {
        "booking_id": int(event.booking_id),
        "payment_id": None if event.payment_id is None else str(event.payment_id),
        "kind": event.kind.value,
        "at": event.at,
        "actor": event.actor,
        "data": dict(event.data),
    }


def event_from(row: Row) -> Event:
    """The event of a row with every column."""
    return Event(
        kind=EventKind(row["kind"]),
        at=row["at"],
        actor=row["actor"],
        booking_id=BookingId(row["booking_id"]),
        payment_id=None if row["payment_id"] is None else PaymentId(row["payment_id"]),
        data=row["data"],
    )


def row_of_evidence(payment_id: PaymentId, evidence: Evidence) -> Values:
    """Every column of a kept answer but its number, which the database gives."""
    seen = evidence.observation
    return {
        "payment_id": str(payment_id),
        "at": evidence.at,
        "reported": seen.reported.value,
        "said": seen.said,
        "amount": _paisa(seen.amount),
        "fee": _paisa(seen.fee),
        "transaction_id": seen.transaction_id,
        "gateway_reference": seen.gateway_reference,
        "refunded": seen.refunded,
    }


def evidence_from(row: Row) -> Evidence:
    """The kept answer of a row with every column."""
    return Evidence(
        at=row["at"],
        observation=Observation(
            reported=Reported(row["reported"]),
            said=row["said"],
            amount=_money(row["amount"]),
            fee=_money(row["fee"]),
            transaction_id=row["transaction_id"],
            gateway_reference=row["gateway_reference"],
            refunded=row["refunded"],
        ),
    )


def row_of_key(key: ApiKey) -> Values:
    """Every column of an API key."""
    return {
        "id": key.id,
        "label": key.label,
        "digest": key.digest,
        "scopes": sorted(scope.value for scope in key.scopes),
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
    }


def key_from(row: Row) -> ApiKey:
    """The API key of a row with every column."""
    return ApiKey(
        id=row["id"],
        label=row["label"],
        digest=row["digest"],
        scopes=frozenset(Scope(word) for word in row["scopes"]),
        created_at=row["created_at"],
        revoked_at=row["revoked_at"],
    )

"""Rows and entities: two functions for each, and nothing else. A row is a dict by the names of the columns.

`events`, `evidence` and `postings` are not part of an entity's row: they are written beside it, and a row that is read
has none.
"""

from collections.abc import Iterable
from itertools import groupby
from typing import Any, TypeAlias

from sewapay.adapters.sql.errors import of_a_row
from sewapay.application.access import ApiKey, Scope
from sewapay.application.idempotency import Answer, KeptAnswer, KeyName
from sewapay.application.pacing import Pace
from sewapay.domain.booking import Booking, BookingStatus, Customer
from sewapay.domain.checkout import NextStep, PostForm, Redirect
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
from sewapay.domain.observation import Evidence, Observation, Reported
from sewapay.domain.payment import Payment, PaymentStatus, ReturnStyle, ReturnTo, ReviewReason
from sewapay.domain.refund import Refund, RefundStatus

__all__ = [
    "Row",
    "Values",
    "answer_from",
    "booking_from",
    "event_from",
    "evidence_from",
    "key_from",
    "pace_from",
    "payment_from",
    "postings_from",
    "refund_from",
    "row_of_answer",
    "row_of_booking",
    "row_of_event",
    "row_of_evidence",
    "row_of_key",
    "row_of_name",
    "row_of_pace",
    "row_of_payment",
    "row_of_refund",
    "rows_of_postings",
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


@of_a_row
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
    """Every column of a payment. Who looks at it right now is no part of it, and stands in columns of its own."""
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
        "opened_at": payment.opened_at,
        "expires_at": payment.expires_at,
        "return_url": None if return_to is None else return_to.url,
        "return_style": None if return_to is None else return_to.style.value,
        "said": payment.said,
        "outcome_unknown": payment.outcome_unknown,
        "vouched": payment.vouched,
        "surplus": payment.surplus,
        "review_reason": None if payment.review_reason is None else payment.review_reason.value,
        "reason": payment.reason,
        "amount_paid": _paisa(payment.amount_paid),
        "amount_refunded": _paisa(payment.amount_refunded),
        "amount_reserved": payment.amount_reserved.paisa,
        "refund_due": payment.refund_due,
        "fee": _paisa(payment.fee),
        "transaction_id": payment.transaction_id,
        "paid_at": payment.paid_at,
        "next_check_at": payment.next_check_at,
        "looked_at": payment.looked_at,
        "silences": payment.silences,
        "version": payment.version,
    }


@of_a_row
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
        opened_at=row["opened_at"],
        expires_at=row["expires_at"],
        return_to=None if row["return_url"] is None else ReturnTo(row["return_url"], ReturnStyle(row["return_style"])),
        said=row["said"],
        outcome_unknown=row["outcome_unknown"],
        vouched=row["vouched"],
        surplus=row["surplus"],
        review_reason=None if row["review_reason"] is None else ReviewReason(row["review_reason"]),
        reason=row["reason"],
        amount_paid=_money(row["amount_paid"]),
        amount_refunded=_money(row["amount_refunded"]),
        amount_reserved=Money(row["amount_reserved"]),
        refund_due=row["refund_due"],
        fee=_money(row["fee"]),
        transaction_id=row["transaction_id"],
        paid_at=row["paid_at"],
        next_check_at=row["next_check_at"],
        looked_at=row["looked_at"],
        silences=row["silences"],
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


def row_of_refund(refund: Refund) -> Values:
    """Every column of a refund."""
    return {
        "id": str(refund.id),
        "payment_id": str(refund.payment_id),
        "booking_id": int(refund.booking_id),
        "amount": refund.amount.paisa,
        "is_all": refund.is_all,
        "reason": refund.reason,
        "requested_by": refund.requested_by,
        "requested_at": refund.requested_at,
        "status": refund.status.value,
        "accepted_at": refund.accepted_at,
        "refused": refund.refused,
        "said": refund.said,
        "settled_at": refund.settled_at,
        "version": refund.version,
    }


@of_a_row
def refund_from(row: Row) -> Refund:
    """The refund of a row with every column."""
    return Refund(
        id=RefundId(row["id"]),
        payment_id=PaymentId(row["payment_id"]),
        booking_id=BookingId(row["booking_id"]),
        amount=Money(row["amount"]),
        is_all=row["is_all"],
        reason=row["reason"],
        requested_by=row["requested_by"],
        requested_at=row["requested_at"],
        status=RefundStatus(row["status"]),
        accepted_at=row["accepted_at"],
        refused=row["refused"],
        said=row["said"],
        settled_at=row["settled_at"],
        version=row["version"],
    )


def rows_of_postings(payment: Payment) -> list[Values]:
    """What happened to a payment's money, an entry a row. `payment` is as it was before it was stored."""
    return [
        {
            "payment_id": str(posting.payment_id),
            "payment_version": payment.version + 1,
            "posting": number,
            "place": place,
            "booking_id": int(posting.booking_id),
            "at": posting.at,
            "why": posting.why,
            "account": entry.account.value,
            "paisa": entry.paisa,
        }
        for number, posting in enumerate(payment.postings, 1)
        for place, entry in enumerate(posting.entries, 1)
    ]


def postings_from(rows: Iterable[Row]) -> list[Posting]:
    """The postings of one payment's rows, which are in their order."""
    grouped = groupby(rows, key=lambda row: (row["payment_version"], row["posting"]))
    return [_posting_from(list(entries)) for _, entries in grouped]


def _posting_from(rows: list[Row]) -> Posting:
    first = rows[0]
    return Posting(
        booking_id=BookingId(first["booking_id"]),
        payment_id=PaymentId(first["payment_id"]),
        at=first["at"],
        why=first["why"],
        entries=tuple(Entry(Account(row["account"]), row["paisa"]) for row in rows),
    )


def row_of_event(event: Event) -> Values:
    """Every column of an event but its number and its sequence, which the store gives."""
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
    """Every column of a gateway's answer but its number, which the database gives."""
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
        "order_reference": seen.order_reference,
        "refunded": seen.refunded,
    }


def evidence_from(row: Row) -> Evidence:
    """The gateway's answer of a row with every column."""
    return Evidence(
        at=row["at"],
        observation=Observation(
            reported=Reported(row["reported"]),
            said=row["said"],
            amount=_money(row["amount"]),
            fee=_money(row["fee"]),
            transaction_id=row["transaction_id"],
            gateway_reference=row["gateway_reference"],
            order_reference=row["order_reference"],
            refunded=row["refunded"],
        ),
    )


def row_of_pace(gateway: GatewayName, environment: Environment, pace: Pace) -> Values:
    """Every column of a gateway's pace."""
    return {
        "gateway": str(gateway),
        "environment": environment.value,
        "spent_until": pace.spent_until,
        "silences": pace.silences,
        "away_until": pace.away_until,
    }


def pace_from(row: Row) -> Pace:
    """The pace of a row with every column."""
    return Pace(spent_until=row["spent_until"], silences=row["silences"], away_until=row["away_until"])


def row_of_name(name: KeyName) -> Values:
    """The columns by which a kept answer is found."""
    return {"principal": name.principal, "operation": name.operation, "key": name.key}


def row_of_answer(name: KeyName, kept: KeptAnswer) -> Values:
    """Every column of a kept answer."""
    answer = kept.answer
    return {
        **row_of_name(name),
        "fingerprint": kept.fingerprint,
        "begun_at": kept.begun_at,
        "subject": kept.subject,
        "status": None if answer is None else answer.status,
        "headers": None if answer is None else dict(answer.headers),
        "body": None if answer is None else answer.body,
    }


def answer_from(row: Row) -> KeptAnswer:
    """The kept answer of a row with every column."""
    is_there = row["status"] is not None
    answer = Answer(status=row["status"], headers=row["headers"], body=row["body"]) if is_there else None
    return KeptAnswer(fingerprint=row["fingerprint"], begun_at=row["begun_at"], subject=row["subject"], answer=answer)


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

"""What must be true of our database, whatever happened: compared with the gateways' ledgers, in plain values.

Nothing here imports the code under test. Rows come from plain SQL, the ledgers are the stand-ins', and the tables below
are written by hand from docs/money-safety.md.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from attrs import frozen

PAID_THERE: Final = frozenset({"Completed", "Partially Refunded", "Refunded"})
MONEY: Final = frozenset({"completed", "partially_refunded", "refunded"})

# A status never gives way to one of a lower rank; of the three endings without money none follows another. What a
# person closed has failed, whatever it was before.
RANK: Final = MappingProxyType(
    {
        "created": 0,
        "open": 1,
        "pending": 2,
        "canceled": 3,
        "expired": 3,
        "failed": 3,
        "under_review": 4,
        "completed": 5,
        "partially_refunded": 6,
        "refunded": 7,
    }
)
TOLD_BY: Final = MappingProxyType({"payment.opened": "open"} | {f"payment.{status}": status for status in RANK})
SAID_THERE: Final = MappingProxyType(
    {
        "pending": frozenset({"Pending", "Ambiguous"}),
        "canceled": frozenset({"User canceled"}),
        "expired": frozenset({"Expired", "Absent"}),
        "completed": PAID_THERE,
        "partially_refunded": frozenset({"Partially Refunded", "Refunded"}),
        "refunded": frozenset({"Refunded"}),
    }
)

# What a booking may become, in one step or in several. Money that comes all the same confirms a canceled one.
BECOMES: Final = MappingProxyType(
    {
        "pending": frozenset({"pending", "confirmed", "canceled", "refunded"}),
        "canceled": frozenset({"canceled", "confirmed", "refunded"}),
        "confirmed": frozenset({"confirmed", "refunded"}),
        "refunded": frozenset({"refunded"}),
    }
)
SETTLED: Final = frozenset({"confirmed", "refunded"})

# Gateways whose form is taken once, so that a customer who comes back is given another; the audit judges how soon.
SINGLE_ENTRY: Final = frozenset({"forms", "bank"})

Row = Mapping[str, Any]


@frozen(kw_only=True)
class Rows:
    """What our database holds: bookings and payments by their ids, events in their order, kept answers by payment.

    `refunds`: those of all payments, where they were read.
    """

    bookings: Mapping[int, Row]
    payments: Mapping[str, Row]
    events: tuple[Row, ...]
    answers: Mapping[str, int]
    refunds: tuple[Row, ...] = ()

    def of_booking(self, booking_id: int) -> list[Row]:
        """Its payments."""
        return [payment for payment in self.payments.values() if payment["booking_id"] == booking_id]


@frozen(kw_only=True)
class AtGateway:
    """One line of a gateway's ledger, in Khalti's words. `ever`: every status that the payment ever had there.

    `given_back`: what each of our calls gave back, in paisa.
    """

    gateway: str = "khalti"
    order: str
    amount: int
    status: str
    transaction_id: str | None
    ever: frozenset[str]
    given_back: tuple[int, ...] = ()


# By what the gateways call the payments: their own references, or ours where they give none.
Ledger = Mapping[str, AtGateway]


def name_there(payment: Row) -> str:
    """What its gateway calls the payment in this row."""
    return str(payment["gateway_reference"] or payment["order_reference"])


def _there(payment: Row, ledger: Ledger) -> AtGateway | None:
    """Its line in its own gateway's ledger. Money that came at another gateway is none of its business."""
    line = ledger.get(name_there(payment))
    return line if line is not None and line.gateway == payment["gateway"] else None


def broken(rows: Rows, ledger: Ledger, now: datetime) -> list[str]:
    """Every promise that is broken in one state of the database; `now` is the service's own time."""
    return [
        *(text for booking in rows.bookings.values() for text in _of_booking(booking, rows, ledger, now)),
        *(text for payment in rows.payments.values() for text in _of_payment(payment, rows, ledger)),
        *_of_references(rows),
        *_of_sequences(rows),
    ]


def broken_between(before: Rows, after: Rows) -> list[str]:
    """Every promise that is broken by the way from one state to a later one."""
    return list(_on_the_way(before, after))


def unsettled(rows: Rows, ledger: Ledger) -> list[str]:
    """What is still wrong when all is well again and every payment was looked up."""
    return list(_still_open(rows, ledger))


def _of_booking(booking: Row, rows: Rows, ledger: Ledger, now: datetime) -> Iterator[str]:
    name = f"booking {booking['id']}"
    told = Counter(event["kind"] for event in rows.events if event["booking_id"] == booking["id"])
    if told["booking.registered"] != 1:
        yield f"{name} was registered {told['booking.registered']} times"
    wanted = {
        "confirmed": {booking["status"] in SETTLED},
        "refunded": {booking["status"] == "refunded"},
        "canceled": {False, True} if booking["status"] in SETTLED else {booking["status"] == "canceled"},
    }
    for status, times in wanted.items():
        if told[f"booking.{status}"] not in times:
            yield f"{name} is {booking['status']} and was told {status} {told[f'booking.{status}']} times"
    if (booking["status"] in SETTLED) != (booking["settled_by"] is not None):
        yield f"{name} is {booking['status']}, settled by {booking['settled_by']}"
    if booking["status"] in SETTLED:
        yield from _of_confirmation(booking, rows, ledger)
    live = Counter(
        payment["gateway"]
        for payment in rows.of_booking(booking["id"])
        if payment["status"] == "open" and payment["has_link"] and now < payment["expires_at"]
    )
    for gateway, links in live.items():
        if links > 1 and gateway not in SINGLE_ENTRY:
            yield f"{name} has {links} live links at {gateway}"


def _of_confirmation(booking: Row, rows: Rows, ledger: Ledger) -> Iterator[str]:
    name = f"booking {booking['id']}"
    payment = rows.payments.get(booking["settled_by"])
    if payment is None or payment["booking_id"] != booking["id"]:
        yield f"{name} is confirmed by a payment that is not its own"
        return
    named = [
        event["payment_id"]
        for event in rows.events
        if event["booking_id"] == booking["id"] and event["kind"] == "booking.confirmed"
    ]
    if named != [payment["id"]]:
        yield f"{name} was told confirmed by {named}, and is settled by {payment['id']}"
    there = _there(payment, ledger)
    if there is None or there.status not in PAID_THERE:
        yield f"{name} is confirmed, and its gateway was not paid"
    elif not there.amount == booking["amount"] == payment["amount"] == payment["amount_paid"]:
        yield f"{name} owes {booking['amount']}, and {there.amount} was paid"
    if payment["status"] not in MONEY or payment["surplus"]:
        yield f"{name} is confirmed by a payment that is {payment['status']}"
    if booking["status"] == "refunded" and payment["status"] != "refunded":
        yield f"{name} is refunded, and its payment is {payment['status']}"


def _of_payment(payment: Row, rows: Rows, ledger: Ledger) -> Iterator[str]:
    name, status = f"payment {payment['id']}", payment["status"]
    booking = rows.bookings.get(payment["booking_id"])
    if booking is None:
        yield f"{name} has no booking"
        return
    there = _there(payment, ledger)
    if there is None and (payment["gateway_reference"] is not None or payment["has_link"]):
        yield f"{name} has a name that its gateway never gave"
    if there is not None and there.order != payment["order_reference"]:
        yield f"{name} has a pidx that was given for another order"
    never_shown = status == "expired" and payment["gateway_reference"] is None and not payment["has_link"]
    if status in SAID_THERE and not never_shown and (there is None or not there.ever & SAID_THERE[status]):
        yield f"{name} is {status}, and its gateway never said so"
    if status == "failed" and not (str(payment["reason"]).startswith("not attempted") or _was_closed(payment, rows)):
        yield f"{name} is failed, because {payment['reason']}"
    if status == "failed" and payment["outcome_unknown"] and not _was_closed(payment, rows):
        yield f"{name} is failed and unknown"
    if payment["transaction_id"] is not None and (there is None or there.transaction_id != payment["transaction_id"]):
        yield f"{name} has a transaction that is not its gateway's"
    settles = booking["settled_by"] == payment["id"]
    if status == "completed" and settles == payment["surplus"]:
        yield f"{name} is completed: it settles ({settles}) or is surplus ({payment['surplus']}), one of the two"
    if payment["surplus"] and status not in MONEY:
        yield f"{name} is surplus and {status}"
    yield from _of_events(payment, rows)
    if rows.refunds and there is not None:
        yield from _of_refunds(payment, rows, there)


def _of_refunds(payment: Row, rows: Rows, there: AtGateway) -> Iterator[str]:
    """Never more than was paid, and never twice for one request."""
    refunds = [refund for refund in rows.refunds if refund["payment_id"] == payment["id"]]
    sent = [refund["amount"] for refund in refunds if refund["status"] != "rejected"]
    if sum(sent) > (payment["amount_paid"] or 0):
        yield f"payment {payment['id']} was paid {payment['amount_paid']}, and gives {sum(sent)} back"
    if len(there.given_back) > len(sent):
        yield f"payment {payment['id']} has refunds of {sent}, and its gateway gave {there.given_back} back"


def _of_events(payment: Row, rows: Rows) -> Iterator[str]:
    """One event a change of status, in the order of the statuses; money may be put before a person as it comes."""
    name = f"payment {payment['id']}"
    kinds = [event["kind"] for event in rows.events if event["payment_id"] == payment["id"]]
    told = [TOLD_BY[kind] for kind in kinds if kind in TOLD_BY]
    if not told or told[0] != "created" or told[-1] != payment["status"]:
        yield f"{name} is {payment['status']}, and its events tell {told}"
    for earlier, later in itertools.pairwise(told):
        is_closed = later == "failed" and earlier not in MONEY and _was_closed(payment, rows)
        if RANK[later] <= RANK[earlier] and (earlier, later) != ("completed", "under_review") and not is_closed:
            yield f"{name} went from {earlier} to {later}"
    if kinds.count("payment.surplus") != payment["surplus"]:
        yield f"{name} was told surplus {kinds.count('payment.surplus')} times"


def _was_closed(payment: Row, rows: Rows) -> bool:
    """Whether a person ended it: their decision stands right before its failure."""
    kinds = [event["kind"] for event in rows.events if event["payment_id"] == payment["id"]]
    return ("payment.resolved", "payment.failed") in itertools.pairwise(kinds)


def _of_references(rows: Rows) -> Iterator[str]:
    for column in ("gateway_reference", "order_reference"):
        names = Counter(payment[column] for payment in rows.payments.values() if payment[column] is not None)
        yield from (f"{column} {name} stands on {times} payments" for name, times in names.items() if times > 1)


def _of_sequences(rows: Rows) -> Iterator[str]:
    for booking_id in rows.bookings:
        numbers = [event["sequence"] for event in rows.events if event["booking_id"] == booking_id]
        if numbers != list(range(1, len(numbers) + 1)):
            yield f"booking {booking_id} has events {numbers}"


def _on_the_way(before: Rows, after: Rows) -> Iterator[str]:
    for booking_id, was in before.bookings.items():
        booking = after.bookings.get(booking_id)
        if booking is None:
            yield f"booking {booking_id} is gone"
        elif booking["status"] not in BECOMES[was["status"]]:
            yield f"booking {booking_id} went from {was['status']} to {booking['status']}"
        elif was["settled_by"] not in (None, booking["settled_by"]):
            yield f"booking {booking_id} was settled by {was['settled_by']}, and by {booking['settled_by']} now"
        elif booking["amount"] != was["amount"]:
            yield f"booking {booking_id} owes another amount"
    for payment_id, was in before.payments.items():
        payment = after.payments.get(payment_id)
        if payment is None:
            yield f"payment {payment_id} is gone"
            continue
        yield from _of_change(was, payment, is_closed=_was_closed(payment, after))
        if after.answers.get(payment_id, 0) < before.answers.get(payment_id, 0):
            yield f"payment {payment_id} lost what its gateway answered"
    told = [event for event in after.events if event["booking_id"] in before.bookings]
    kept = {(event["booking_id"], event["sequence"]): event for event in told}
    for event in before.events:
        if kept.get((event["booking_id"], event["sequence"])) != event:
            yield f"event {event['sequence']} of booking {event['booking_id']} changed"


def _of_change(was: Row, payment: Row, *, is_closed: bool) -> Iterator[str]:
    name, status = f"payment {was['id']}", payment["status"]
    is_back = RANK[status] < RANK[was["status"]] or (RANK[status] == RANK[was["status"]] and status != was["status"])
    if is_back and not (is_closed and was["status"] not in MONEY):
        yield f"{name} went from {was['status']} to {status}"
    if was["surplus"] and not payment["surplus"]:
        yield f"{name} is not surplus any more"
    put_right = was["review_reason"] == "amount_mismatch" and payment["amount_paid"] == payment["amount"]
    if was["amount_paid"] not in (None, payment["amount_paid"]) and not put_right:
        yield f"{name} was paid {was['amount_paid']}, and {payment['amount_paid']} now"
    for fact in ("paid_at", "transaction_id", "gateway_reference"):
        if was[fact] is not None and payment[fact] != was[fact]:
            yield f"{name} had {fact} {was[fact]} and has {payment[fact]}"
    for fact in ("booking_id", "order_reference", "amount", "created_at"):
        if payment[fact] != was[fact]:
            yield f"{name} had {fact} {was[fact]} and has {payment[fact]}"


def _still_open(rows: Rows, ledger: Ledger) -> Iterator[str]:
    for payment in rows.payments.values():
        there = _there(payment, ledger)
        if there is None:
            continue
        if there.status in PAID_THERE and payment["status"] not in (*MONEY, "under_review"):
            yield f"payment {payment['id']} is {payment['status']}, and its gateway was paid"
        if payment["outcome_unknown"] and there.status in PAID_THERE:
            yield f"payment {payment['id']} is still unknown, and its gateway was paid"
        booking = rows.bookings[payment["booking_id"]]
        settled = booking["status"] != "pending" or payment["status"] == "under_review"
        if there.status == "Completed" and not settled:
            yield f"booking {booking['id']} is {booking['status']}, and its gateway was paid"

"""What was written down about it: I8, I14, I15, I16 and I18 of docs/money-safety.md."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

from sewapay.application.auditing.books import Book, Finding, Row, about

__all__ = ["answers", "bookkeeping", "named_in"]

_ANSWERS_ARE_KEPT: Final = timedelta(hours=25)
_BACK: Final = frozenset({"partially_refunded", "refunded"})


def bookkeeping(book: Book) -> Iterator[Finding]:
    """What is wrong about this booking's events and refunds."""
    yield from _sequence(book)
    yield from _booking(book)
    for payment in book.payments:
        yield from _payment(book, payment)
        for refund in book.refunds[payment["id"]]:
            yield from _refund(book, payment, refund)
    yield from _owners(book)


def answers(kept: Iterable[Row], known: frozenset[tuple[str, str]], time: datetime) -> Iterator[Finding]:
    """I14 and I18: each key has its one answer, or is being worked on; what an answer promised is there.

    `time` is the database's own, as the keys' are.
    """
    for row in kept:
        name = f"kept answer of {row['principal']} to {row['operation']}"
        parts = (row["status"], row["headers"], row["body"])
        if len({part is None for part in parts}) > 1:
            yield Finding(invariant="I14", subject=name, text="a part of it is missing, so it cannot be given again")
            continue
        if row["body"] is not None and not 200 <= row["status"] < 300:
            text = f"it is an error ({row['status']}) and would be given again for ever"
            yield Finding(invariant="I14", subject=name, text=text)
        if row["body"] is None and time > row["begun_at"] + _ANSWERS_ARE_KEPT:
            text = "the request under its key was begun over a day ago and never answered, and the key is not free"
            yield Finding(invariant="I14", subject=name, text=text)
        for kind, id in named_in(row):
            if (kind, id) not in known:
                text = f"it told somebody of {kind} {id}, which is not stored"
                yield Finding(invariant="I18", subject=name, text=text)


def named_in(kept: Row) -> list[tuple[str, str]]:
    """What a kept answer told somebody of: kind (booking, payment, refund, or a gateway's reference) and id."""
    named = [] if kept["subject"] is None or kept["body"] is not None else [("refund", str(kept["subject"]))]
    try:
        said = json.loads(kept["body"] or b"null")
    except ValueError:
        return named
    if not isinstance(said, dict):
        return named
    inner = said.get("data")
    if isinstance(inner, dict) and isinstance(inner.get("pidx"), str):
        named.append(("reference", inner["pidx"]))
    id = said.get("id")
    if type(id) is int:
        named.append(("booking", str(id)))
    elif isinstance(id, str):
        named.append(("refund" if "payment_id" in said else "payment", id))
    return named


def _sequence(book: Book) -> Iterator[Finding]:
    """I16: a booking's events are numbered from 1 without a gap."""
    numbers = [event["sequence"] for event in book.events]
    for place, number in enumerate(numbers, 1):
        if number != place:
            name = f"booking {book.booking['id']}"
            yield Finding(invariant="I16", subject=name, text=f"where its event {place} should be, there is {number}")
            return


def _booking(book: Book) -> Iterator[Finding]:
    """I15: as many events as changes."""
    booking = book.booking
    name, status = f"booking {booking['id']}", booking["status"]
    registered = book.told("booking.registered")
    if len(registered) != 1:
        text = f"it was told registered {len(registered)} times"
        yield Finding(invariant="I15", subject=name, text=text)
    elif registered[0]["data"].get("amount") != booking["amount"]:
        yield Finding(invariant="I3", subject=name, text="another amount is owed than was registered")
    canceled, confirmed = book.told("booking.canceled"), book.told("booking.confirmed")
    may_be_canceled = 1 if status == "canceled" else 0
    if len(canceled) < may_be_canceled or len(canceled) > 1 or (status == "pending" and canceled):
        text = f"it is {status}, and was told canceled {len(canceled)} times"
        yield Finding(invariant="I15", subject=name, text=text)
    if canceled and confirmed and canceled[0]["sequence"] > confirmed[0]["sequence"]:
        yield Finding(invariant="I15", subject=name, text="it was canceled after it had been confirmed")
    refunded = len(book.told("booking.refunded"))
    if refunded != (status == "refunded"):
        text = f"it is {status}, and was told refunded {refunded} times"
        yield Finding(invariant="I15", subject=name, text=text)


def _payment(book: Book, payment: Row) -> Iterator[Finding]:
    kinds = [event["kind"] for event in book.events_of[payment["id"]]]
    if kinds.count("payment.surplus") != payment["surplus"]:
        yield about("I15", payment, f"it was told surplus {kinds.count('payment.surplus')} times")
    for kind in ("payment.created", "payment.opened"):
        if kinds.count(kind) > 1:
            yield about("I15", payment, f"it was told {kind} {kinds.count(kind)} times")


def _refund(book: Book, payment: Row, refund: Row) -> Iterator[Finding]:
    """I15, and I8 for what it claims."""
    subject, status = f"refund {refund['id']}", refund["status"]
    told = [event for event in book.events_of[payment["id"]] if event["data"].get("refund_id") == refund["id"]]
    kinds = [event["kind"] for event in told if event["kind"].startswith("refund.")]
    wanted = {
        "refund.submitted": 1,
        "refund.confirmed": status == "confirmed",
        "refund.rejected": status == "rejected",
    }
    for kind, times in wanted.items():
        if kinds.count(kind) != times:
            text = f"it is {status}, and was told {kind} {kinds.count(kind)} times"
            yield Finding(invariant="I15", subject=subject, text=text)
    silent = kinds.count("refund.outcome_unknown")
    if silent > 1 or (status == "unknown" and not silent) or (status == "submitted" and silent):
        text = f"it is {status}, and was told refund.outcome_unknown {silent} times"
        yield Finding(invariant="I15", subject=subject, text=text)
    if kinds and kinds[0] != "refund.submitted":
        yield Finding(invariant="I9", subject=subject, text="something had happened to it before it was written down")
    if (refund["settled_at"] is not None) != (status in ("confirmed", "rejected")):
        yield Finding(invariant="I15", subject=subject, text=f"it is {status}, settled at {refund['settled_at']}")
    if refund["booking_id"] != payment["booking_id"]:
        yield Finding(invariant="I5", subject=subject, text="it belongs to another booking than its payment")
    if status != "confirmed":
        return
    by_gateway = any(event["kind"] == "refund.confirmed" and event["actor"] == "gateway" for event in told)
    says_so = any(answer["reported"] in _BACK for answer in book.answers_about(payment))
    if by_gateway and not says_so:
        text = "it is confirmed, and no stored answer of the gateway says that anything was given back"
        yield Finding(invariant="I8", subject=subject, text=text)
    if not by_gateway and not book.was_decided(payment, "refund_happened"):
        text = "it is confirmed, and neither the gateway nor a person said so"
        yield Finding(invariant="I8", subject=subject, text=text)


def _owners(book: Book) -> Iterator[Finding]:
    """I15: an event tells of a payment of its own booking."""
    ours = {payment["id"] for payment in book.payments}
    for event in book.events:
        if event["payment_id"] is not None and event["payment_id"] not in ours:
            name = f"booking {book.booking['id']}"
            text = f"its event {event['sequence']} tells of payment {event['payment_id']}, which is not its own"
            yield Finding(invariant="I15", subject=name, text=text)
            return

"""What an audit looks at: stored rows as plain mappings, and one booking's part of them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias

from attrs import frozen

from sewapay.domain.money import GREATEST_PAISA, Money

__all__ = ["MONEY", "UNDECIDED", "Book", "Books", "Finding", "Row", "about", "rupees"]

Row: TypeAlias = Mapping[str, Any]

UNDECIDED: Final = frozenset({"created", "open", "pending"})
MONEY: Final = frozenset({"completed", "partially_refunded", "refunded"})


@frozen(kw_only=True)
class Finding:
    """A promise that does not hold: which (`I7`), about what (`payment <id>`), and one sentence for an operator."""

    invariant: str
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.invariant} {self.subject}: {self.text}"


@frozen(kw_only=True)
class Books:
    """Rows by the names of their columns, of whole bookings: money in paisa, times aware, JSON read.

    They are not entities, so that a row which cannot be read as one is judged too. `time` is the database's own.
    `known`: what exists of the things that kept answers name, when they are not among these rows.
    """

    time: datetime
    bookings: Sequence[Row] = ()
    payments: Sequence[Row] = ()
    events: Sequence[Row] = ()
    observations: Sequence[Row] = ()
    refunds: Sequence[Row] = ()
    entries: Sequence[Row] = ()
    answers: Sequence[Row] = ()
    known: frozenset[tuple[str, str]] | None = None


@frozen(kw_only=True)
class Book:
    """One booking and everything that hangs on it. Events are in their order; the rest is by payment."""

    booking: Row
    payments: Sequence[Row]
    events: Sequence[Row]
    events_of: Mapping[str, Sequence[Row]]
    observations: Mapping[str, Sequence[Row]]
    refunds: Mapping[str, Sequence[Row]]
    entries: Mapping[str, Sequence[Row]]

    @classmethod
    def all_of(cls, books: Books) -> "list[Book]":
        """Each booking's part. Rows that hang on no booking are in none."""
        payments = by(books.payments, "booking_id")
        events = by(books.events, "booking_id")
        observations, refunds, entries = (
            by(rows, "payment_id") for rows in (books.observations, books.refunds, books.entries)
        )
        return [
            cls(
                booking=booking,
                payments=payments[booking["id"]],
                events=(told := sorted(events[booking["id"]], key=lambda event: event["sequence"])),
                events_of=by(told, "payment_id"),
                observations=observations,
                refunds=refunds,
                entries=entries,
            )
            for booking in books.bookings
        ]

    def told(self, kind: str, payment: Row | None = None) -> list[Row]:
        """Its events of this kind, of all its payments or of one."""
        events = self.events if payment is None else self.events_of[payment["id"]]
        return [event for event in events if event["kind"] == kind]

    def answers_about(self, payment: Row) -> list[Row]:
        """What the gateway said about this payment, and not about another."""
        return [
            answer
            for answer in self.observations[payment["id"]]
            if answer["order_reference"] in (None, payment["order_reference"])
            and (
                None in (answer["gateway_reference"], payment["gateway_reference"])
                or answer["gateway_reference"] == payment["gateway_reference"]
            )
        ]

    def was_decided(self, payment: Row, *decisions: str) -> bool:
        """Whether a person decided about this payment, in one of these ways if any are given."""
        told = [event["data"].get("decision") for event in self.told("payment.resolved", payment)]
        return bool(told) if not decisions else any(decision in decisions for decision in told)


def by(rows: Iterable[Row], column: str) -> Mapping[Any, list[Row]]:
    """The rows by what stands in a column; none where nothing does."""
    found: defaultdict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        found[row[column]].append(row)
    return found


def about(invariant: str, row: Row, text: str) -> Finding:
    """What was found about a payment."""
    return Finding(invariant=invariant, subject=f"payment {row['id']}", text=text)


def rupees(paisa: int | None) -> str:
    """An amount for a person, whatever it is."""
    if paisa is None:
        return "an unknown amount"
    shown = Money(min(abs(paisa), GREATEST_PAISA)).display
    return f"-{shown}" if paisa < 0 else shown

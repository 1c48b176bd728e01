"""What no booking shows by itself: names that stand twice, and rows that hang on nothing. I1 and I5."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from attrs import frozen

from sewapay.application.auditing.books import Books, Finding, Row, rupees
from sewapay.application.auditing.truth import GatewayTruth

__all__ = ["Twice", "not_ours", "repeated", "twice_in"]

_UNIQUE: Final = ("gateway_reference", "order_reference")


@frozen(kw_only=True)
class Twice:
    """A name that stands on more than one payment of a gateway and environment. `column`: which one.

    `transaction_id` counts where each of the payments settled a booking by the gateway's word alone.
    """

    column: str
    name: str
    payments: tuple[str, ...]


def repeated(twice: Iterable[Twice]) -> Iterator[Finding]:
    """I5: a payment's names are its own, and no transaction pays for two bookings."""
    for each in twice:
        subject = f"{each.column} {each.name}"
        payments = ", ".join(each.payments)
        if each.column == "transaction_id":
            yield Finding(
                invariant="I5", subject=subject, text=f"one transaction confirmed several bookings: {payments}"
            )
        else:
            yield Finding(invariant="I5", subject=subject, text=f"it stands on several payments: {payments}")


def twice_in(books: Books) -> Iterator[Twice]:
    """The same from rows, where they are all there are."""
    found: defaultdict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    settled_by = {booking["settled_by"] for booking in books.bookings}
    decided = {
        event["payment_id"]
        for event in books.events
        if event["kind"] == "payment.completed" and event["actor"] != "gateway"
    }
    for payment in books.payments:
        for column in _UNIQUE:
            _note(found, payment, column)
        if payment["id"] in settled_by - decided:
            _note(found, payment, "transaction_id")
    for (column, _, _, name), payments in found.items():
        if len(payments) > 1:
            yield Twice(column=column, name=name, payments=tuple(sorted(payments)))


def _note(found: defaultdict[tuple[str, str, str, str], list[str]], payment: Row, column: str) -> None:
    if payment[column] is not None:
        found[column, payment["gateway"], payment["environment"], payment[column]].append(payment["id"])


def not_ours(truth: GatewayTruth, references: frozenset[str]) -> Iterator[Finding]:
    """I1: money that came there for a payment that is not in our books. `references`: what those are called there."""
    for line in truth:
        if line.paid and line.reference not in references:
            subject = f"gateway reference {line.reference}"
            text = f"{rupees(line.paid)} was paid at the gateway, and no payment of ours has this reference"
            yield Finding(invariant="I1", subject=subject, text=text)

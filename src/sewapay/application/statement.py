"""Our books beside the gateway's statement: each difference, in a sentence. Nothing is changed by it.

    for difference in differences(books, statement, now=now): ...

The statement is the gateway's own account (`auditing/truth.py`). What the reconciler is about to notice by itself is
told too, and marked as on its way.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from attrs import frozen

from sewapay.application.auditing.books import MONEY, UNDECIDED, Books, Row, by, rupees
from sewapay.application.auditing.truth import By, GatewayTruth, Line, name_there

__all__ = ["Difference", "Kind", "differences", "of_payments", "of_statement"]

SOON: Final = timedelta(hours=24, minutes=10)
LATE: Final = timedelta(hours=1)


class Kind(StrEnum):
    """How our books and a gateway's statement can differ."""

    UNKNOWN_HERE = "unknown here"
    MISSING_THERE = "missing there"
    PAID_THERE_ONLY = "paid there only"
    PAID_HERE_ONLY = "paid here only"
    STATUS = "status"
    AMOUNT = "amount"
    FEE = "fee"
    TRANSACTION = "transaction"
    REFUNDED_AMOUNT = "refunded amount"
    REFUND_OF_UNKNOWN_AMOUNT = "refund of unknown amount"
    REFUND_MISSING_HERE = "refund missing here"
    REFUND_MISSING_THERE = "refund missing there"
    ORDER_REFERENCE = "order reference"
    ENVIRONMENT = "environment"
    REPEATED_LINE = "repeated line"
    REPEATED_TRANSACTION = "repeated transaction"


@frozen(kw_only=True)
class Difference:
    """One thing that the two do not agree about. `is_on_its_way`: the next look at the payment will settle it."""

    kind: Kind
    subject: str
    text: str
    is_on_its_way: bool = False

    def __str__(self) -> str:
        return f"{self.kind}, {self.subject}: {self.text}"


# What the gateway may say where a payment of ours stands so. An ending without money is as good as another, and what it
# holds nothing of may have been left, or never entered: a look ends that in its time.
_UNPAID: Final = frozenset({"canceled", "expired", "failed"})
_AGREE: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "created": frozenset({"initiated", "absent"}),
        "open": frozenset({"initiated", "absent"}),
        "pending": frozenset({"pending", "absent"}),
        "canceled": _UNPAID | {"absent"},
        "expired": _UNPAID | {"absent"},
        "failed": _UNPAID | {"absent"},
        "completed": frozenset({"completed"}),
        "partially_refunded": frozenset({"partially_refunded"}),
        "refunded": frozenset({"refunded"}),
    }
)
# A look at the payment notices these by itself.
_SETTLED_BY_A_LOOK: Final = frozenset(
    {Kind.PAID_THERE_ONLY, Kind.STATUS, Kind.REFUNDED_AMOUNT, Kind.REFUND_MISSING_HERE}
)


def differences(books: Books, statement: GatewayTruth, *, now: datetime) -> list[Difference]:
    """Everything that differs between these books, which are all there are, and the statement."""
    return [*of_payments(books, statement, now=now), *of_statement(statement, references_in(books))]


def references_in(books: Books) -> frozenset[str]:
    """What gateways call our payments, wherever they were opened."""
    return frozenset(name_there(payment) for payment in books.payments)


def of_payments(books: Books, statement: GatewayTruth, *, now: datetime) -> Iterator[Difference]:
    """What differs about each of these payments."""
    refunds = by(books.refunds, "payment_id")
    decided = {event["payment_id"] for event in books.events if event["kind"] == "payment.resolved"}
    for payment in books.payments:
        found = list(_of_payment(payment, refunds[payment["id"]], payment["id"] in decided, statement))
        is_looked_at = _is_looked_at_soon(payment, now)
        for kind, text in found:
            yield Difference(
                kind=kind,
                subject=f"payment {payment['id']}",
                text=text,
                is_on_its_way=is_looked_at and kind in _SETTLED_BY_A_LOOK,
            )


def of_statement(statement: GatewayTruth, references: frozenset[str]) -> Iterator[Difference]:
    """What the statement has that no payment of ours has, and what it has twice."""
    for reference, times in Counter(line.reference for line in statement.lines).items():
        if times > 1:
            text = f"the statement has it {times} times"
            yield Difference(kind=Kind.REPEATED_LINE, subject=f"reference {reference}", text=text)
    transactions = {(line.transaction_id, line.reference) for line in statement.lines if line.transaction_id}
    for transaction, times in Counter(transaction for transaction, _ in transactions).items():
        if times > 1:
            text = f"it stands on {times} payments of the statement"
            yield Difference(kind=Kind.REPEATED_TRANSACTION, subject=f"transaction {transaction}", text=text)
    for line in statement:
        if line.paid and line.reference not in references:
            text = f"{rupees(line.paid)} was paid there, and no payment of ours has this reference"
            yield Difference(kind=Kind.UNKNOWN_HERE, subject=f"reference {line.reference}", text=text)


def _of_payment(
    payment: Row, refunds: list[Row], was_decided: bool, statement: GatewayTruth
) -> Iterator[tuple[Kind, str]]:
    if not statement.is_about(payment):
        if statement.has(name_there(payment)):
            where = f"{payment['gateway']}, {payment['environment']}"
            yield Kind.ENVIRONMENT, f"it stands in this statement, and here it belongs to {where}"
        return
    line = statement.of(payment)
    if line is None:
        if payment["paid_at"] is not None:
            yield Kind.MISSING_THERE, f"{rupees(payment['amount_paid'])} came, and the statement does not know it"
        elif statement.is_whole and payment["gateway_reference"] is not None:
            yield Kind.MISSING_THERE, f"it is {payment['status']}, and the statement does not know it"
        return
    if line.order_reference not in (None, payment["order_reference"]):
        yield Kind.ORDER_REFERENCE, f"there it belongs to order {line.order_reference}"
    yield from _status(payment, line, was_decided)
    yield from _money(payment, line)
    if payment["amount_refunded"] is not None:
        yield from _refunds(payment, refunds, line)
    elif not was_decided:  # nobody has seen to it yet that we cannot know how much
        there = rupees(line.refunded_amount)
        yield Kind.REFUND_OF_UNKNOWN_AMOUNT, f"here nobody knows how much was given back, there it is {there}"


def _status(payment: Row, line: Line, was_decided: bool) -> Iterator[tuple[Kind, str]]:
    status, is_paid_here = payment["status"], payment["paid_at"] is not None
    text = f"here it is {status}, there {line.status}"
    if line.paid and not is_paid_here:
        yield Kind.PAID_THERE_ONLY, f"{text}: {rupees(line.paid)} was paid"
    elif is_paid_here and not line.paid:
        yield Kind.PAID_HERE_ONLY, f"{text}: nothing was paid there"
    elif status == "under_review":
        if line.status in ("partially_refunded", "refunded") and not payment["amount_refunded"]:
            yield Kind.STATUS, text
    elif line.status == "ambiguous" and payment["outcome_unknown"]:
        return  # neither knows
    elif line.status not in _AGREE[status] and not (status == "failed" and was_decided and not line.paid):
        yield Kind.STATUS, text


def _money(payment: Row, line: Line) -> Iterator[tuple[Kind, str]]:
    came = payment["amount"] if payment["amount_paid"] is None else payment["amount_paid"]
    if came != line.amount:
        yield Kind.AMOUNT, f"here it is {rupees(came)}, there {rupees(line.amount)}"
    if not line.paid or payment["paid_at"] is None:
        return
    if payment["transaction_id"] != line.transaction_id:
        here, there = payment["transaction_id"] or "none", line.transaction_id or "none"
        yield Kind.TRANSACTION, f"here the transaction is {here}, there {there}"
    if line.fee is not None and line.fee != (payment["fee"] or 0):
        yield Kind.FEE, f"here the fee is {rupees(payment['fee'])}, there {rupees(line.fee)}"


def _refunds(payment: Row, refunds: list[Row], line: Line) -> Iterator[tuple[Kind, str]]:
    back, reserved = payment["amount_refunded"], payment["amount_reserved"]
    if line.refunded_amount not in (back, back + reserved):
        yield Kind.REFUNDED_AMOUNT, f"here {rupees(back)} was given back, there {rupees(line.refunded_amount)}"
    if line.refunds is None:
        return
    there = Counter(each.amount for each in line.refunds)
    ours = Counter(refund["amount"] for refund in refunds if refund["status"] == "confirmed")
    for amount in sorted((ours - there).elements()):
        if not _covers_the_rest(amount, refunds, line):
            yield Kind.REFUND_MISSING_THERE, f"here a refund of {rupees(amount)} is confirmed, and there is none there"
    known = Counter(refund["amount"] for refund in refunds if refund["status"] != "rejected")
    unknown = Counter(line.returned_by(By.API)) - known
    if payment["status"] != "refunded":
        unknown |= there - known
    for amount in sorted(unknown.elements()):
        if not _covers_the_rest(amount, refunds, line):
            yield Kind.REFUND_MISSING_HERE, f"there a refund of {rupees(amount)} was made, and there is none here"


def _covers_the_rest(amount: int, refunds: list[Row], line: Line) -> bool:
    """Whether all of it was asked for when a part had gone back there already: the parts differ, the sum does not."""
    wholes = [refund["amount"] for refund in refunds if refund["is_all"] and refund["status"] == "confirmed"]
    return line.refunded_amount in wholes and amount <= line.refunded_amount and line.status == "refunded"


def _is_looked_at_soon(payment: Row, now: datetime) -> bool:
    """Whether the reconciler looks within a day, and is not late already."""
    due = payment["next_check_at"]
    if due is None or (payment["status"] not in (*UNDECIDED, *MONEY, *_UNPAID)):
        return False
    return bool(now - LATE <= due <= now + SOON)

"""Where each paisa is: I1 to I4, I12 and I13 of docs/money-safety.md, for one booking."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from attrs import frozen

from sewapay.application.auditing.books import MONEY, Book, Finding, Row, about, rupees
from sewapay.application.auditing.truth import By, GatewayTruth, Line

__all__ = ["Case", "money"]

_SENT: Final = frozenset({"submitted", "unknown", "confirmed"})
_OPEN: Final = frozenset({"submitted", "unknown"})


@frozen(kw_only=True)
class Case:
    """One booking, and what it is judged by.

    `now` is the service's time, `time` the database's own. `is_quiet`: all faults are over, and everything that was due
    was done. `honours_surplus`: a second payment is kept without anybody being asked. `single_entry`: the gateways
    whose checkouts cannot be shown again.
    """

    book: Book
    truth: GatewayTruth | None
    now: datetime
    time: datetime
    is_quiet: bool
    honours_surplus: bool
    single_entry: frozenset[str]


def money(case: Case) -> Iterator[Finding]:
    """What is wrong about this booking's money."""
    yield from _confirmation(case)
    for payment in case.book.payments:
        yield from _beside_the_settling_one(case, payment)
        yield from _ledger(case.book, payment)
        yield from _bound(case.book, payment)
        line = None if case.truth is None else case.truth.of(payment)
        if line is not None:
            yield from _conserved(payment, line)
            yield from _effects(case.book, payment, line)
        if line is not None and case.is_quiet:
            yield from _even(case.book, payment, line)


def _confirmation(case: Case) -> Iterator[Finding]:
    """I3 and I4: confirmed if, and only if, exactly one payment of the right amount settles it."""
    book, booking = case.book, case.book.booking
    name, status = f"booking {booking['id']}", booking["status"]
    is_settled = status in ("confirmed", "refunded")
    if is_settled != (booking["settled_by"] is not None):
        yield Finding(invariant="I3", subject=name, text=f"it is {status}, and settled by {booking['settled_by']}")
        return
    confirmed = [event["payment_id"] for event in book.told("booking.confirmed")]
    if confirmed != ([booking["settled_by"]] if is_settled else []):
        settled, told = booking["settled_by"] or "nothing", ", ".join(map(str, confirmed)) or "nothing"
        text = f"it is {status}, settled by {settled}, and was told confirmed by {told}"
        yield Finding(invariant="I3", subject=name, text=text)
    if not is_settled:
        return
    settling = next((payment for payment in book.payments if payment["id"] == booking["settled_by"]), None)
    if settling is None:
        yield Finding(
            invariant="I3", subject=name, text=f"it is settled by payment {booking['settled_by']}, which is not its own"
        )
        return
    yield from _settling(book, settling)


def _settling(book: Book, payment: Row) -> Iterator[Finding]:
    booking = book.booking
    name = f"booking {booking['id']}"
    if payment["status"] not in MONEY or payment["surplus"]:
        said = "surplus" if payment["surplus"] else payment["status"]
        yield Finding(invariant="I3", subject=name, text=f"it is {booking['status']} by a payment that is {said}")
    if booking["status"] == "refunded" and payment["status"] != "refunded":
        yield Finding(
            invariant="I3", subject=name, text=f"it is refunded, and the payment that settled it is {payment['status']}"
        )
    decided = any(event["actor"] != "gateway" for event in book.told("payment.completed", payment))
    if not decided and not payment["amount_paid"] == payment["amount"] == booking["amount"]:
        text = f"{rupees(booking['amount'])} is owed, and it was confirmed by {rupees(payment['amount_paid'])}"
        yield Finding(invariant="I3", subject=name, text=text)
    if not decided and not any(_proves(answer, payment) for answer in book.answers_about(payment)):
        text = f"no stored answer of the gateway says that {rupees(payment['amount'])} of this payment was paid"
        yield Finding(invariant="I3", subject=name, text=text)
    gone = [event["sequence"] for event in book.told("payment.refunded", payment)]
    confirmed = [event["sequence"] for event in book.told("booking.confirmed")]
    if gone and confirmed and min(gone) < min(confirmed):
        yield Finding(invariant="I3", subject=name, text="it was confirmed after its payment had been given back")


def _proves(answer: Row, payment: Row) -> bool:
    return answer["reported"] == "completed" and answer["amount"] == payment["amount"] and not answer["refunded"]


def _beside_the_settling_one(case: Case, payment: Row) -> Iterator[Finding]:
    """I4: of all that came, one settles; every other is surplus, and is given back or waits for a person."""
    settles = case.book.booking["settled_by"] == payment["id"]
    went_elsewhere = payment["status"] == "partially_refunded" and case.book.was_decided(payment, "close")
    is_here = payment["status"] in ("completed", "partially_refunded") and not went_elsewhere
    if is_here and settles == payment["surplus"]:
        claims = "settles the booking and is surplus" if settles else "neither settles the booking nor is surplus"
        yield about("I4", payment, f"its money came, and it {claims}")
    if payment["surplus"] and payment["status"] not in MONEY:
        yield about("I4", payment, f"it is surplus, and {payment['status']}")
    is_kept = payment["surplus"] and payment["status"] in ("completed", "partially_refunded")
    waits = payment["review_reason"] is not None or payment["refund_due"] or payment["amount_reserved"] > 0
    if is_kept and not waits and not case.honours_surplus and not case.book.was_decided(payment, "honour", "close"):
        yield about("I4", payment, "its money is surplus, and it is neither given back nor put before a person")


def _ledger(book: Book, payment: Row) -> Iterator[Finding]:
    """I2: each posting sums to nothing, and the accounts say what the payment says."""
    entries = book.entries[payment["id"]]
    postings: defaultdict[tuple[int, int], list[Row]] = defaultdict(list)
    balances: Counter[str] = Counter()
    for entry in entries:
        postings[entry["payment_version"], entry["posting"]].append(entry)
        balances[entry["account"]] += entry["paisa"]
    for rows in postings.values():
        if left := sum(row["paisa"] for row in rows):
            yield about("I2", payment, f"a posting of the ledger does not sum to nothing: {rupees(left)} is left")
        if len({(row["at"], row["why"], row["booking_id"]) for row in rows}) > 1:
            yield about("I2", payment, "the entries of one posting of the ledger do not agree when, why or for what")
    paid = payment["amount_paid"] or 0
    fee = 0 if payment["amount_paid"] is None else payment["fee"] or 0
    back = payment["amount_refunded"] or 0
    expected = {
        "customer_funds": -paid,
        "merchant_receivable": paid - fee - back,
        "gateway_fee": fee,
        "refunds": back,
    }
    for account, balance in expected.items():
        if balances[account] != balance:
            text = f"the ledger's {account} holds {rupees(balances[account])}, and the payment says {rupees(balance)}"
            yield about("I2", payment, text)


def _bound(book: Book, payment: Row) -> Iterator[Finding]:
    """I12: what is given back and what is reserved never exceed what came; the refunds' rows say the same."""
    paid, back, reserved = payment["amount_paid"] or 0, payment["amount_refunded"] or 0, payment["amount_reserved"]
    if back + reserved > paid:
        text = f"{rupees(back)} was given back and {rupees(reserved)} is reserved, of {rupees(paid)} that came"
        yield about("I12", payment, text)
    refunds = book.refunds[payment["id"]]
    waiting = [refund["amount"] for refund in refunds if refund["status"] in _OPEN]
    if len(waiting) > 1:
        yield about("I12", payment, f"{len(waiting)} refunds of it have no known outcome, where one at a time may")
    if sum(waiting) != reserved:
        text = f"{rupees(reserved)} is reserved, and its refunds without a known outcome are {rupees(sum(waiting))}"
        yield about("I12", payment, text)
    ours = sum(refund["amount"] for refund in refunds if refund["status"] == "confirmed")
    if payment["amount_refunded"] is None:
        return
    if ours > back:
        yield about("I12", payment, f"its refunds are {rupees(ours)}, and it says that {rupees(back)} was given back")
    went_as_a_whole = payment["status"] == "refunded" or (
        payment["status"] == "under_review"  # whether that amount is right is what a person is asked
        and any(one["reported"] == "refunded" and one["amount"] == back for one in book.answers_about(payment))
    )
    if ours < back and not went_as_a_whole:
        text = f"it says that {rupees(back)} was given back, and its refunds are {rupees(ours)}"
        yield about("I12", payment, text)
    if payment["status"] == "refunded" and back != paid:
        yield about("I12", payment, f"it is refunded, by {rupees(back)} of {rupees(paid)}")


def _conserved(payment: Row, line: Line) -> Iterator[Finding]:
    """I1, at every moment: no more is recorded than happened there. What is under review is not yet believed."""
    if payment["status"] not in MONEY:
        return
    paid, back = payment["amount_paid"] or 0, payment["amount_refunded"] or 0
    if paid > line.paid:
        yield about("I1", payment, f"{rupees(paid)} is recorded as paid, and at the gateway {rupees(line.paid)} was")
    if back > line.refunded_amount:
        there = rupees(line.refunded_amount)
        yield about("I1", payment, f"{rupees(back)} is recorded as given back, and at the gateway {there} was")
    by_us = sum(line.returned_by(By.API))
    if payment["amount_refunded"] is not None and by_us > back + payment["amount_reserved"]:
        text = f"our calls gave {rupees(by_us)} back at the gateway, and {rupees(back)} is recorded or reserved"
        yield about("I1", payment, text)


def _even(book: Book, payment: Row, line: Line) -> Iterator[Finding]:
    """I1, when all is quiet: exactly what happened there is recorded here."""
    status, paid, back = payment["status"], payment["amount_paid"], payment["amount_refunded"]
    if status == "under_review":
        return
    if line.paid and status not in MONEY:
        yield about("I1", payment, f"it is {status}, and the gateway was paid {rupees(line.paid)}")
    if status in MONEY and (paid or 0) < line.paid:
        yield about("I1", payment, f"{rupees(paid)} is recorded as paid, and the gateway was paid {rupees(line.paid)}")
    if status not in MONEY or line.refunded_amount == (back or 0):
        return
    unseen = line.refunded_amount - (back or 0)
    is_untold = 0 < unseen <= sum(line.returned_by(By.PANEL)) and book.refunds[payment["id"]]
    if line.status == "partially_refunded" and (back is None or is_untold):
        return  # no answer of the gateway says how much of a part went back in its own panel
    if payment["review_reason"] is not None and 0 < unseen <= payment["amount_reserved"]:
        return  # a person was asked whether this refund happened
    yield about("I1", payment, f"{rupees(back)} is recorded as given back, and {rupees(line.refunded_amount)} was")


def _effects(book: Book, payment: Row, line: Line) -> Iterator[Finding]:
    """I13: each refund of ours had one effect there at most."""
    left = Counter(line.returned_by(By.API))
    rows = [refund for refund in book.refunds[payment["id"]] if refund["status"] in _SENT]
    left -= Counter(refund["amount"] for refund in rows)
    unexplained = sorted(left.elements())
    wholes = _whole_ones(rows, line)
    for amount in list(unexplained):
        cover = next((whole for whole in wholes if whole >= amount), None)
        if cover is not None:  # "all that is left" was less than we knew
            wholes.remove(cover)
            unexplained.remove(amount)
    for amount in unexplained:
        yield about("I13", payment, f"the gateway gave {rupees(amount)} back by a call of ours that no refund explains")


def _whole_ones(rows: Sequence[Row], line: Line) -> list[int]:
    matched = Counter(line.returned_by(By.API))
    wholes = []
    for refund in rows:
        if matched[refund["amount"]]:
            matched[refund["amount"]] -= 1
        elif refund["is_all"]:
            wholes.append(refund["amount"])
    return wholes

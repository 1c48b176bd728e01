"""The promises of docs/money-safety.md, checked against stored rows and a gateway's own books.

It judges rows and calls nothing that made them: its rules are written a second time, by hand, so that a mistake in the
code that decides is found by code that does not share it.

    findings = audit_invariants(books, truth, now=now, is_quiet=False)
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from sewapay.application.auditing.across import Twice, not_ours, repeated, twice_in
from sewapay.application.auditing.bookkeeping import answers, bookkeeping, named_in
from sewapay.application.auditing.books import Book, Books, Finding, Row
from sewapay.application.auditing.lifecycle import lifecycle
from sewapay.application.auditing.money import Case, money
from sewapay.application.auditing.shapes import strange
from sewapay.application.auditing.truth import GatewayTruth, UnreadableStatement, name_there, truth_from_simulator

__all__ = [
    "CHECKED",
    "NEEDS_TRUTH",
    "Books",
    "Finding",
    "GatewayTruth",
    "Row",
    "Twice",
    "UnreadableStatement",
    "audit_bookings",
    "audit_invariants",
    "named_in",
    "not_ours",
    "readable",
    "repeated",
    "truth_from_simulator",
]

CHECKED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "I1": "no more is recorded as paid or given back than the gateway's books show",
        "I2": "the ledger sums to nothing, and agrees with the payments; money is whole paisa",
        "I3": "a booking is confirmed if, and only if, one payment of its amount was proved",
        "I4": "one payment settles a booking; every other is surplus; one live link a gateway, or one form a press",
        "I5": "a payment's names are its own, and never change",
        "I6": "payments go forward only",
        "I7": "money that was seen stays seen",
        "I8": "what is known about money stands in a stored answer of the gateway",
        "I9": "everything was written down before it was done",
        "I10": "no silence became a failure",
        "I11": "nothing is stuck: it is looked at within a day, or waits for a person",
        "I12": "what is given back or reserved never exceeds what came",
        "I13": "each refund had one effect at the gateway at most",
        "I14": "a request under a key has one answer",
        "I15": "as many events as changes",
        "I16": "a booking's events are numbered without a gap",
        "I17": "every row can be read",
        "I18": "what was answered is stored",
        "I23": "no link died by a clock alone",
    }
)

# These cannot be judged without the gateway's own books; of I5 and I9 a part cannot.
NEEDS_TRUTH: Final = frozenset({"I1", "I13"})


def audit_invariants(
    books: Books,
    truth: GatewayTruth | None,
    *,
    now: datetime,
    is_quiet: bool,
    honours_surplus: bool = False,
    single_entry: frozenset[str] = frozenset(),
) -> list[Finding]:
    """Everything that is wrong in these books, which are all there are.

    `now` is the service's time. `is_quiet`: all faults are over and everything that was due was done.
    `honours_surplus`: a second payment is kept without anybody being asked (`SEWAPAY_ON_SURPLUS=honour`).
    `single_entry`: the gateways whose checkouts cannot be shown again, so that whoever comes back is given another.
    """
    ours = frozenset(name_there(row) for row in books.payments)
    return [
        *audit_bookings(
            books, truth, now=now, is_quiet=is_quiet, honours_surplus=honours_surplus, single_entry=single_entry
        ),
        *repeated(twice_in(books)),
        *(not_ours(truth, ours) if truth is not None else ()),
    ]


def audit_bookings(
    books: Books,
    truth: GatewayTruth | None,
    *,
    now: datetime,
    is_quiet: bool,
    honours_surplus: bool = False,
    single_entry: frozenset[str] = frozenset(),
) -> list[Finding]:
    """What is wrong with each of these bookings by itself, and with these kept answers.

    The books hold everything about a booking, or nothing of it.
    """
    whole, findings = _readable(books)
    findings += _strays(whole)
    for book in Book.all_of(whole):
        case = Case(
            book=book,
            truth=truth,
            now=now,
            time=books.time,
            is_quiet=is_quiet,
            honours_surplus=honours_surplus,
            single_entry=single_entry,
        )
        findings += [*money(case), *lifecycle(case), *bookkeeping(book)]
    findings += answers(whole.answers, _known(books), books.time)
    return findings


def readable(books: Books) -> Books:
    """The books without the bookings that have a row which cannot be read."""
    return _readable(books)[0]


def _readable(books: Books) -> tuple[Books, list[Finding]]:
    """The books without the bookings that have a row which cannot be read, and what is wrong with those rows."""
    kinds = {
        "booking": books.bookings,
        "payment": books.payments,
        "event": books.events,
        "answer of the gateway": books.observations,
        "refund": books.refunds,
        "ledger entry": books.entries,
    }
    findings: list[Finding] = []
    spoilt: list[object] = []
    for kind, rows in kinds.items():
        for row in rows:
            wrong = list(strange(kind, row))
            if wrong:
                findings += wrong
                spoilt += [row.get("id") if kind == "booking" else row.get("booking_id"), row.get("payment_id")]
    kept = [(row, list(strange("kept answer", row))) for row in books.answers]
    findings += [finding for _, wrong in kept for finding in wrong]
    if findings:
        names: set[Any] = {name for name in spoilt if isinstance(name, int | str)}
        names |= {row.get("booking_id") for row in books.payments if row.get("id") in names}
        names |= {row.get("id") for row in books.payments if row.get("booking_id") in names}
        books = Books(
            time=books.time,
            bookings=[row for row in books.bookings if row.get("id") not in names],
            payments=_left(books.payments, names),
            events=_left(books.events, names),
            observations=_left(books.observations, names),
            refunds=_left(books.refunds, names),
            entries=_left(books.entries, names),
            answers=[row for row, wrong in kept if not wrong],
        )
    return books, findings


def _left(rows: Iterable[Row], spoilt: set[Any]) -> list[Row]:
    return [row for row in rows if row.get("booking_id") not in spoilt and row.get("payment_id") not in spoilt]


def _strays(books: Books) -> Iterator[Finding]:
    """I5: everything hangs on a booking, and on a payment of it."""
    bookings = {row["id"] for row in books.bookings}
    payments = {row["id"]: row["booking_id"] for row in books.payments}
    for row in books.payments:
        if row["booking_id"] not in bookings:
            yield _stray(f"payment {row['id']}", f"booking {row['booking_id']}")
    for row in books.events:
        if row["booking_id"] not in bookings:
            yield _stray(f"event {row['sequence']}", f"booking {row['booking_id']}")
    for what, rows in (("refund", books.refunds), ("ledger entry", books.entries)):
        for row in rows:
            if payments.get(row["payment_id"]) != row["booking_id"]:
                yield _stray(f"a {what}", f"payment {row['payment_id']} of booking {row['booking_id']}")
    for row in books.observations:
        if row["payment_id"] not in payments:
            yield _stray("an answer of the gateway", f"payment {row['payment_id']}")


def _stray(what: str, of: str) -> Finding:
    return Finding(invariant="I5", subject=what, text=f"it belongs to {of}, which is not stored")


def _known(books: Books) -> frozenset[tuple[str, str]]:
    if books.known is not None:
        return books.known
    return frozenset(
        [
            *(("booking", str(row.get("id"))) for row in books.bookings),
            *(("payment", str(row.get("id"))) for row in books.payments),
            *(("reference", str(row.get("gateway_reference"))) for row in books.payments),
            *(("refund", str(row.get("id"))) for row in books.refunds),
        ]
    )

"""The memory store's rows and the fake gateway's own ledger, as an audit reads them, and to be spoilt."""

from copy import deepcopy
from datetime import datetime
from itertools import count
from typing import Any, Final, Self

from attrs import define, evolve

from sewapay.adapters.fake.gateway import FakeGateway
from sewapay.adapters.memory.store import MemoryStore
from sewapay.adapters.sql.rows import (
    row_of_answer,
    row_of_booking,
    row_of_event,
    row_of_evidence,
    row_of_payment,
    row_of_refund,
)
from sewapay.application.audit import Books, Finding, GatewayTruth, audit_invariants
from sewapay.application.auditing.truth import Line, Returned
from sewapay.application.ports import CheckoutKind
from sewapay.domain.money import NOTHING
from tests.busy_shop import BusyShop

__all__ = ["NOBODY", "Mutable", "books_of", "truth_of"]

NOBODY: Final = "00000000-0000-4000-8000-000000000000"


def books_of(memory: MemoryStore) -> Books:
    """Everything that the store holds."""
    facts, time = memory._facts, memory._now()
    numbers = {booking_id: count(1) for booking_id in facts.bookings}
    return Books(
        time=time,
        bookings=[row_of_booking(booking) for booking in facts.bookings.values()],
        payments=[
            row_of_payment(payment)
            | {
                "lease": facts.leases[payment.id].number if payment.id in facts.leases else 0,
                "leased_until": _milliseconds(facts.leases[payment.id].until) if payment.id in facts.leases else None,
            }
            for payment in facts.payments.values()
        ],
        events=[row_of_event(event) | {"sequence": next(numbers[event.booking_id])} for event in facts.events],
        observations=[row_of_evidence(id, evidence) for id, kept in facts.evidence.items() for evidence in kept],
        refunds=[row_of_refund(refund) for refund in facts.refunds.values()],
        entries=[
            {
                "payment_id": str(posting.payment_id),
                "payment_version": number,
                "posting": 1,
                "place": place,
                "booking_id": int(posting.booking_id),
                "at": posting.at,
                "why": posting.why,
                "account": entry.account.value,
                "paisa": entry.paisa,
            }
            for number, posting in enumerate(facts.postings, 1)
            for place, entry in enumerate(posting.entries, 1)
        ],
        answers=[row_of_answer(name, kept) for name, kept in facts.answers.items()],
    )


def _milliseconds(until: datetime | None) -> int | None:
    return None if until is None else int(until.timestamp() * 1000)


def truth_of(gateway: FakeGateway) -> GatewayTruth:
    """What the fake gateway knows about all its payments. It does not tell who gave money back."""
    is_by_form = gateway.capabilities.checkout is CheckoutKind.POST_FORM
    lines = tuple(
        Line(
            reference=str(known.order.reference) if is_by_form else known.reference,
            order_reference=str(known.order.reference),
            amount=(known.answer.amount or known.order.amount).paisa,
            status=known.answer.reported.value,
            transaction_id=known.answer.transaction_id,
            fee=None if known.answer.fee is None else known.answer.fee.paisa,
            refunded_amount=sum(known.given_back, NOTHING).paisa,
            refunds=tuple(Returned(amount=amount.paisa) for amount in known.given_back),
        )
        for known in gateway.payments.values()
    )
    return GatewayTruth(gateway=str(gateway.name), environment=gateway.environment.value, lines=lines)


@define
class Mutable:
    """A shop's rows, to be spoilt. What is found has to be about `subject`."""

    names: dict[str, str]
    bookings: list[dict[str, Any]]
    payments: list[dict[str, Any]]
    events: list[dict[str, Any]]
    observations: list[dict[str, Any]]
    refunds: list[dict[str, Any]]
    entries: list[dict[str, Any]]
    answers: list[dict[str, Any]]
    lines: dict[str, Line]
    time: datetime
    now: datetime
    gateway: str = "khalti"
    subject: str = "nothing"

    @classmethod
    def of(cls, busy: BusyShop, gateway: FakeGateway | None = None) -> Self:
        """What the shop has now, beside the books of this gateway (the shop's own unless given)."""
        books, truth = books_of(busy.shop.memory), truth_of(gateway or busy.shop.gateway)

        def rows(of: Any) -> list[dict[str, Any]]:
            return deepcopy([dict(row) for row in of])

        return cls(
            names={name: str(payment.id) for name, payment in busy.payments.items()},
            bookings=rows(books.bookings),
            payments=rows(books.payments),
            events=rows(books.events),
            observations=rows(books.observations),
            refunds=rows(books.refunds),
            entries=rows(books.entries),
            answers=rows(books.answers),
            lines={line.reference: line for line in truth.lines},
            time=books.time,
            now=busy.shop.clock.now(),
            gateway=truth.gateway,
        )

    def copy(self) -> Self:
        """The same, to be spoilt without spoiling these."""
        return deepcopy(self)

    def payment(self, name: str) -> dict[str, Any]:
        """The row of this payment, which is what the finding has to be about."""
        row = next(row for row in self.payments if row["id"] == self.names[name])
        self.subject = str(row["id"])
        return row

    def booking(self, name: str) -> dict[str, Any]:
        """The row of this payment's booking, which is what the finding has to be about."""
        booking_id = self.payment(name)["booking_id"]
        self.subject = f"booking {booking_id}"
        return next(row for row in self.bookings if row["id"] == booking_id)

    def event(self, name: str, kind: str) -> dict[str, Any]:
        """The last event of this kind about this payment, or about its booking."""
        payment = self.payment(name)
        about = [row for row in self.events if row["booking_id"] == payment["booking_id"] and row["kind"] == kind]
        return next(row for row in reversed(about) if row["payment_id"] in (None, payment["id"]))

    def forget_event(self, name: str, kind: str) -> None:
        """It never happened; those after it are numbered anew."""
        gone = self.event(name, kind)
        self.events.remove(gone)
        for row in self.events:
            if row["booking_id"] == gone["booking_id"] and row["sequence"] > gone["sequence"]:
                row["sequence"] -= 1

    def tell(self, name: str, kind: str, *, actor: str = "gateway", **data: Any) -> None:
        """One more event about this payment."""
        payment = self.payment(name)
        numbers = [row["sequence"] for row in self.events if row["booking_id"] == payment["booking_id"]]
        self.events.append(
            {
                "booking_id": payment["booking_id"],
                "sequence": max(numbers) + 1,
                "payment_id": payment["id"],
                "kind": kind,
                "at": self.now,
                "actor": actor,
                "data": data,
            }
        )

    def answers_about(self, name: str) -> list[dict[str, Any]]:
        """What the gateway said about this payment."""
        payment_id = self.payment(name)["id"]
        return [row for row in self.observations if row["payment_id"] == payment_id]

    def forget_answers(self, name: str) -> None:
        """Nothing is stored of what the gateway said."""
        for row in self.answers_about(name):
            self.observations.remove(row)

    def entry(self, name: str, account: str) -> dict[str, Any]:
        """An entry of the ledger about this payment."""
        payment_id = self.payment(name)["id"]
        return next(row for row in self.entries if row["payment_id"] == payment_id and row["account"] == account)

    def refund(self, name: str) -> dict[str, Any]:
        """The row of this payment's last refund."""
        payment_id = self.payment(name)["id"]
        row = [row for row in self.refunds if row["payment_id"] == payment_id][-1]
        self.subject = str(row["id"])
        return row

    def at_gateway(self, name: str, **changes: Any) -> None:
        """What the gateway's own books say about this payment instead."""
        payment = self.payment(name)
        reference = payment["gateway_reference"] or payment["order_reference"]
        self.lines[reference] = evolve(self.lines[reference], **changes)

    @property
    def books(self) -> Books:
        """The rows as an audit takes them."""
        return Books(
            time=self.time,
            bookings=self.bookings,
            payments=self.payments,
            events=self.events,
            observations=self.observations,
            refunds=self.refunds,
            entries=self.entries,
            answers=self.answers,
        )

    @property
    def truth(self) -> GatewayTruth:
        """The gateway's books, as they were spoilt."""
        return GatewayTruth(gateway=self.gateway, environment="sandbox", lines=tuple(self.lines.values()))

    def audited(self, *, is_quiet: bool, single_entry: frozenset[str] = frozenset()) -> list[Finding]:
        """What an audit finds."""
        return audit_invariants(self.books, self.truth, now=self.now, is_quiet=is_quiet, single_entry=single_entry)

    def without(self, *names: str) -> Self:
        """The same without these payments' bookings, here and at the gateway."""
        gone = {self.booking(name)["id"] for name in names}
        lost = {row["gateway_reference"] for row in self.payments if row["booking_id"] in gone}
        ids = {row["id"] for row in self.payments if row["booking_id"] in gone}
        return evolve(
            self,
            bookings=[row for row in self.bookings if row["id"] not in gone],
            payments=[row for row in self.payments if row["booking_id"] not in gone],
            events=[row for row in self.events if row["booking_id"] not in gone],
            refunds=[row for row in self.refunds if row["booking_id"] not in gone],
            entries=[row for row in self.entries if row["booking_id"] not in gone],
            observations=[row for row in self.observations if row["payment_id"] not in ids],
            lines={reference: line for reference, line in self.lines.items() if reference not in lost},
        )

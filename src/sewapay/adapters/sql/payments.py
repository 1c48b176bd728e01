"""Payments inside a transaction: what is stored of them, and who looks at which of them right now.

A lease is two columns beside the payment and no part of it: taking one, giving it back and putting off the next look
change no version, so whoever read the payment meanwhile still has the one that is stored.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from attrs import evolve

from sewapay.adapters.sql import statements
from sewapay.adapters.sql.errors import StaleVersion, violates
from sewapay.adapters.sql.events import SqlEvents
from sewapay.adapters.sql.rows import (
    Row,
    Values,
    payment_from,
    row_of_evidence,
    row_of_payment,
    rows_of_postings,
)
from sewapay.adapters.sql.session import Session
from sewapay.adapters.sql.views import SqlPaymentsView
from sewapay.application.errors import PaymentNotFound, ReferenceTaken
from sewapay.application.storage import Claim, Poisoned
from sewapay.domain.identifiers import Environment, GatewayName, PaymentId
from sewapay.domain.payment import Payment

__all__ = ["SqlPayments"]

POISONED_UNTIL: Final = timedelta(days=1)
LONGEST_WHY: Final = 200


class SqlPayments(SqlPaymentsView):
    """Payments, inside a transaction."""

    __slots__ = ("_events", "_time")

    def __init__(self, session: Session, events: SqlEvents, time: Callable[[], datetime]) -> None:
        super().__init__(session)
        self._events = events
        self._time = time

    def add(self, payment: Payment) -> Payment:
        """Store a new payment with its events, evidence and postings. Returns it as stored, at version 1."""
        stored = evolve(payment, version=1, events=(), evidence=(), postings=())
        try:
            self._session.write(statements.ADD_PAYMENT, row_of_payment(stored))
        except Exception as error:
            raise self._taken(error) from error
        self._keep(payment)
        return stored

    def save(self, payment: Payment) -> Payment:
        """Store a change with its events, evidence and postings, if the stored version is still `payment.version`.

        Whose payment it is, of what, through which gateway, does not change and is not written.
        """
        stored = evolve(payment, version=payment.version + 1, events=(), evidence=(), postings=())
        values = row_of_payment(stored) | {"payment_id": str(payment.id), "read_version": payment.version}
        try:
            saved = self._session.write(statements.SAVE_PAYMENT, values)
        except Exception as error:
            raise self._taken(error) from error
        if saved != 1:
            raise self._session.breaks(StaleVersion(f"payment {payment.id} was changed by another transaction"))
        self._keep(payment)
        return stored

    def claim(
        self, gateway: GatewayName, environment: Environment, *, due_at: datetime, limit: int, lease_seconds: float
    ) -> tuple[list[Claim], list[Poisoned]]:
        """Take payments whose next look is due, the longest due first, that nobody else holds."""
        values: Values = {
            "gateway": str(gateway),
            "environment": environment.value,
            "due_at": due_at,
            "limit": limit,
            **self._leased_for(lease_seconds),
        }
        claims: list[Claim] = []
        poisoned: list[Poisoned] = []
        for given, read in self._session.rows_apart(statements.CLAIM, values):
            try:
                claims.append(_claim_from(read()))
            except Exception as error:  # whatever is wrong with this row is not wrong with the others
                poisoned.append(self._put_aside(given, error, due_at))
        return sorted(claims, key=_longest_due_first), poisoned

    def claim_one(self, payment_id: PaymentId, *, lease_seconds: float) -> Claim | None:
        """Take this payment, due or not; None when somebody else holds it. Raises `PaymentNotFound`."""
        values: Values = {"payment_id": str(payment_id), "limit": 1, **self._leased_for(lease_seconds)}
        row = self._session.row(statements.CLAIM_ONE, values)
        if row is not None:
            return _claim_from(row)
        if self._session.row(statements.PAYMENT, {"payment_id": str(payment_id)}) is None:
            raise PaymentNotFound
        return None

    def release(self, claim: Claim) -> bool:
        """Give it back; False, and nothing happened, when somebody else claimed it."""
        held: Values = {"payment_id": str(claim.payment.id), "held": claim.lease}
        return self._session.write(statements.RELEASE, held) == 1

    def put_off(self, looked_at: Sequence[tuple[Claim, Payment]]) -> int:
        """Give these back and keep when their next looks are due. One that changed since is only given back."""
        rows = [_row_of_look(claim, looked) for claim, looked in looked_at]
        if self._session.dialect.name != "postgresql":
            return sum(self._session.write(statements.PUT_OFF, row) for row in rows)
        rows.sort(key=lambda row: str(row["payment_id"]))  # two that put off the same ones do not lock crosswise
        columns: Values = {name: [row[name] for row in rows] for name in rows[0]} if rows else {}
        return self._session.write(statements.PUT_OFF_MANY, columns) if rows else 0

    def has_transaction(
        self, gateway: GatewayName, environment: Environment, transaction_id: str, *, besides: PaymentId
    ) -> bool:
        """Whether another payment carries this transaction id of the gateway.

        Whoever asks for the same id in another transaction waits until this one is over.
        """
        if self._session.dialect.name == "postgresql":
            self._session.row(statements.WAIT_FOR_A_TRANSACTION, {"transaction_id": transaction_id})
        values: Values = {
            "gateway": str(gateway),
            "environment": environment.value,
            "transaction_id": transaction_id,
            "besides": str(besides),
        }
        return self._session.row(statements.WITH_TRANSACTION, values) is not None

    def _keep(self, payment: Payment) -> None:
        self._events.keep(payment.events)
        answers = [row_of_evidence(payment.id, evidence) for evidence in payment.evidence]
        self._session.write_all(statements.ADD_EVIDENCE, answers)
        self._session.write_all(statements.ADD_ENTRY, rows_of_postings(payment))

    def _leased_for(self, seconds: float) -> Values:
        """How long the lease is. A server adds it to its own clock; for a file we have to say what time it is."""
        length: Values = {"lease_ms": round(seconds * 1000)}
        if self._session.dialect.name == "postgresql":
            return length
        return length | {"now_ms": int(self._time().timestamp() * 1000)}

    def _put_aside(self, given: Sequence[Any], error: Exception, due_at: datetime) -> Poisoned:
        later: Values = {"payment_id": given[0], "next_check_at": due_at + POISONED_UNTIL}
        self._session.write(statements.PUT_ASIDE, later)
        cause = error.__cause__ or error
        return Poisoned(payment_id=str(given[0]), why=f"{type(cause).__name__}: {cause}"[:LONGEST_WHY])

    def _taken(self, error: Exception) -> Exception:
        if violates(error, "gateway_reference"):
            return self._session.breaks(ReferenceTaken("another payment has this gateway reference"))
        return error


def _claim_from(row: Row) -> Claim:
    return Claim(payment=payment_from(row), title=row["title"], lease=row["lease"])


def _longest_due_first(claim: Claim) -> tuple[datetime | None, PaymentId]:
    return claim.payment.next_check_at, claim.payment.id


def _row_of_look(claim: Claim, looked: Payment) -> Values:
    return {
        "payment_id": str(claim.payment.id),
        "held": claim.lease,
        "read_version": claim.payment.version,
        "next_check_at": looked.next_check_at,
        "looked_at": looked.looked_at,
        "silences": looked.silences,
    }

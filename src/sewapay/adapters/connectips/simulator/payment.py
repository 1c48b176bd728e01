"""One form and what became of it: how far a payment has come, and what a look-up says about it then.

Nothing here knows HTTP. Amounts are whole paisa (100 paisa = NPR 1), times are aware UTC.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from attrs import evolve, frozen

from sewapay.standins.session import Session


class Told(StrEnum):
    """What a look-up can say, in NCHL's words (docs, "ValidateTxn And GetTxnDetail Response List")."""

    SUCCESSFUL = "TRANSACTION SUCCESSFUL"
    UNSUCCESSFUL = "TRANSACTION UNSUCCESSFUL"
    INCOMPLETE = "TRANSACTION INCOMPLETE"
    NOT_FOUND = "TRANSACTION NOT FOUND"

    @property
    def status(self) -> str:
        """The word that stands beside it, by the same list."""
        return {Told.SUCCESSFUL: "SUCCESS", Told.UNSUCCESSFUL: "FAILED"}.get(self, "ERROR")


class Step(StrEnum):
    """How far a payment has come. connectIPS has fewer words for it, see `TOLD`."""

    ENTERED = "entered"
    LOGGED_IN = "logged in"
    PENDING = "pending"
    PAID = "paid"
    FAILED = "failed"
    CANCELED = "canceled"
    ENDED = "ended"


TOLD: Final = MappingProxyType(
    {
        Step.ENTERED: Told.INCOMPLETE,
        Step.LOGGED_IN: Told.INCOMPLETE,
        Step.PENDING: Told.INCOMPLETE,
        Step.PAID: Told.SUCCESSFUL,
        Step.FAILED: Told.UNSUCCESSFUL,
        Step.CANCELED: Told.INCOMPLETE,
        Step.ENDED: Told.INCOMPLETE,
    }
)
"""What a look-up says at each step. INCOMPLETE is documented for customers who leave; the rest of it is our guess."""

OPEN: Final = frozenset({Step.ENTERED, Step.LOGGED_IN})
"""The steps at which the page can be used."""

UNFINISHED: Final = OPEN | {Step.PENDING}

POSSIBLE_FROM: Final = MappingProxyType(
    {
        Step.LOGGED_IN: OPEN,
        # Late payments happen in the real world: money may arrive after a cancel and after the session has ended.
        Step.PAID: UNFINISHED | {Step.FAILED, Step.CANCELED, Step.ENDED},
        Step.PENDING: OPEN | {Step.CANCELED, Step.ENDED},
        Step.FAILED: UNFINISHED,
        Step.CANCELED: OPEN,
        Step.ENDED: UNFINISHED,
    }
)
"""Which steps a step can follow. Only a session that ran out of time gets to ENDED without being told to."""


@frozen(kw_only=True)
class Form:
    """What a merchant asked for with its form, after all checks. `posted`: all fields as they came."""

    txn_id: str
    amount: int
    posted: Mapping[str, str]


@frozen(kw_only=True)
class SimulatedPayment(Session[Told, Step]):
    """One form and what became of it. Methods return a new one.

    `number` is NCHL's own for the transaction, once it was paid.
    """

    possible_from = POSSIBLE_FROM
    logged_in_at = Step.LOGGED_IN
    ended_at = Step.ENDED

    form: Form
    entered_at: datetime
    recorded: Step = Step.ENTERED
    number: int | None = None
    paid_at: datetime | None = None
    before: Told = Told.INCOMPLETE

    @property
    def txn_id(self) -> str:
        """The merchant's own name for it."""
        return self.form.txn_id

    def status(self, now: datetime) -> Told:
        """The word for where it is at `now`."""
        return TOLD[self.step(now)]

    def paid(self, number: int, now: datetime, *, lag: int) -> "SimulatedPayment":
        """The payment once the bank has moved the money."""
        return evolve(self.moved(Step.PAID, now, lag=lag), number=number, paid_at=now)

    def refunded(self, amount: int | None, now: datetime) -> "SimulatedPayment":
        """The payment after `amount` paisa (all that is left if None) went back; no look-up tells (our guess)."""
        left = self.form.amount - self.refunded_amount if self.number is not None else 0
        return self.given_back(amount, now, left=left, by="panel")

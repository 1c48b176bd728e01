"""One form and what became of it: how far a payment has come, and what a look-up says about it then.

Nothing here knows HTTP. Amounts are whole paisa (100 paisa = NPR 1), times are aware UTC.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from attrs import evolve, frozen

from sewapay.standins.refusals import NotPossible
from sewapay.standins.row import Row
from sewapay.standins.statement import Returned


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
class SimulatedPayment(Row[Told]):
    """One form and what became of it. Methods return a new one.

    `number` is NCHL's own for the transaction, once it was paid.
    """

    form: Form
    entered_at: datetime
    recorded: Step = Step.ENTERED
    dies_at: datetime | None = None
    number: int | None = None
    paid_at: datetime | None = None
    posts: int = 1
    before: Told = Told.INCOMPLETE

    @property
    def txn_id(self) -> str:
        """The merchant's own name for it."""
        return self.form.txn_id

    def step(self, now: datetime) -> Step:
        """How far it is at `now`: a session ends when the payer logged in and does not pay in time."""
        if self.recorded is Step.LOGGED_IN and self.dies_at is not None and now > self.dies_at:
            return Step.ENDED
        return self.recorded

    def status(self, now: datetime) -> Told:
        """The word for where it is at `now`."""
        return TOLD[self.step(now)]

    def posted_again(self) -> "SimulatedPayment":
        """The payment after one more form with its TXNID."""
        return evolve(self, posts=self.posts + 1)

    def moved(self, to: Step, now: datetime, *, lag: int) -> "SimulatedPayment":
        """The payment at step `to`. Raises NotPossible when that cannot follow the step it is at."""
        at_present = self.step(now)
        if at_present not in POSSIBLE_FROM[to]:
            raise NotPossible(f"The payment is {at_present.value}; it cannot become {to.value}.")
        return evolve(self, recorded=to, before=self.told(now), lagging=lag)

    def logged_in(self, now: datetime, *, seconds: int, lag: int) -> "SimulatedPayment":
        """The payment once the payer has logged in, which gives them `seconds` to pay."""
        return evolve(
            self.moved(Step.LOGGED_IN, now, lag=lag), dies_at=self.dies_at or now + timedelta(seconds=seconds)
        )

    def paid(self, number: int, now: datetime, *, lag: int) -> "SimulatedPayment":
        """The payment once the bank has moved the money."""
        return evolve(self.moved(Step.PAID, now, lag=lag), number=number, paid_at=now)

    def refunded(self, amount: int | None, now: datetime) -> "SimulatedPayment":
        """The payment after `amount` paisa (all that is left if None) went back; no look-up tells (our guess)."""
        left = self.form.amount - self.refunded_amount if self.number is not None else 0
        amount = left if amount is None else amount
        if not 1 <= amount <= left:
            raise NotPossible(f"{left} paisa can be refunded, not {amount}.")
        return evolve(self, refunds=(*self.refunds, Returned(amount=amount, at=now, by="panel")))

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


class Status(StrEnum):
    """What a look-up can say about a payment, in eSewa's words (ePay docs, status check)."""

    NOT_FOUND = "NOT_FOUND"
    PENDING = "PENDING"
    COMPLETE = "COMPLETE"
    AMBIGUOUS = "AMBIGUOUS"
    CANCELED = "CANCELED"
    PARTIAL_REFUND = "PARTIAL_REFUND"
    FULL_REFUND = "FULL_REFUND"


class Step(StrEnum):
    """How far a payment has come. eSewa has fewer words for it, see `TOLD`."""

    POSTED = "posted"
    LOGGED_IN = "logged in"
    PENDING = "pending"
    COMPLETE = "complete"
    AMBIGUOUS = "ambiguous"
    CANCELED = "canceled"
    ENDED = "ended"
    PARTIAL_REFUND = "partly refunded"
    FULL_REFUND = "refunded"


TOLD: Final = MappingProxyType(
    {
        Step.LOGGED_IN: Status.PENDING,
        Step.PENDING: Status.PENDING,
        Step.COMPLETE: Status.COMPLETE,
        Step.AMBIGUOUS: Status.AMBIGUOUS,
        Step.CANCELED: Status.CANCELED,
        Step.ENDED: Status.NOT_FOUND,
        Step.PARTIAL_REFUND: Status.PARTIAL_REFUND,
        Step.FULL_REFUND: Status.FULL_REFUND,
    }
)
"""What a look-up says at each step once the payer has logged in."""

OPEN: Final = frozenset({Step.POSTED, Step.LOGGED_IN})
"""The steps at which the page can be used."""

UNFINISHED: Final = OPEN | {Step.PENDING}

POSSIBLE_FROM: Final = MappingProxyType(
    {
        Step.LOGGED_IN: OPEN,
        # Late payments happen in the real world: money may arrive after a cancel and after the session has ended.
        Step.COMPLETE: UNFINISHED | {Step.AMBIGUOUS, Step.CANCELED, Step.ENDED},
        Step.PENDING: OPEN | {Step.AMBIGUOUS, Step.CANCELED, Step.ENDED},
        Step.AMBIGUOUS: UNFINISHED,
        Step.CANCELED: UNFINISHED | {Step.AMBIGUOUS},
        Step.ENDED: UNFINISHED,
        Step.PARTIAL_REFUND: frozenset({Step.COMPLETE, Step.PARTIAL_REFUND}),
        Step.FULL_REFUND: frozenset({Step.COMPLETE, Step.PARTIAL_REFUND}),
    }
)
"""Which steps a step can follow. Only a session that ran out of time gets to ENDED without being told to."""

HAVE_A_REF_ID: Final = frozenset(
    {Status.COMPLETE, Status.AMBIGUOUS, Status.CANCELED, Status.PARTIAL_REFUND, Status.FULL_REFUND}
)
"""The words beside which a look-up has a `ref_id`; beside the others it is null (ePay docs, status check)."""


@frozen(kw_only=True)
class Form:
    """What a merchant asked for with its form, after all checks. `posted`: all fields as they came."""

    transaction_uuid: str
    product_code: str
    total: int
    success_url: str
    failure_url: str
    posted: Mapping[str, str]


@frozen(kw_only=True)
class SimulatedPayment(Row[Status]):
    """One form and what became of it. Methods return a new one.

    `first_word` is what a look-up says until the payer logs in.
    """

    form: Form
    posted_at: datetime
    first_word: Status = Status.NOT_FOUND
    recorded: Step = Step.POSTED
    dies_at: datetime | None = None
    transaction_code: str | None = None
    esewa_id: str = ""
    posts: int = 1
    before: Status = Status.NOT_FOUND

    @property
    def transaction_uuid(self) -> str:
        """The merchant's own name for it."""
        return self.form.transaction_uuid

    def step(self, now: datetime) -> Step:
        """How far it is at `now`: a session ends when the payer logged in and does not pay in time."""
        if self.recorded is Step.LOGGED_IN and self.dies_at is not None and now > self.dies_at:
            return Step.ENDED
        return self.recorded

    def status(self, now: datetime) -> Status:
        """The word for where it is at `now`."""
        step = self.step(now)
        return self.first_word if step is Step.POSTED else TOLD[step]

    def posted_again(self) -> "SimulatedPayment":
        """The payment after one more form with its transaction_uuid."""
        return evolve(self, posts=self.posts + 1)

    def moved(self, to: Step, now: datetime, *, lag: int) -> "SimulatedPayment":
        """The payment at step `to`. Raises NotPossible when that cannot follow the step it is at."""
        at_present = self.step(now)
        if at_present not in POSSIBLE_FROM[to]:
            raise NotPossible(f"The payment is {at_present.value}; it cannot become {to.value}.")
        return evolve(self, recorded=to, before=self.told(now), lagging=lag)

    def logged_in(self, esewa_id: str, now: datetime, *, seconds: int, lag: int) -> "SimulatedPayment":
        """The payment once the payer has logged in, which gives them `seconds` to pay."""
        moved = self.moved(Step.LOGGED_IN, now, lag=lag)
        return evolve(moved, esewa_id=esewa_id, dies_at=self.dies_at or now + timedelta(seconds=seconds))

    def refunded(self, amount: int | None, now: datetime, *, lag: int) -> "SimulatedPayment":
        """The payment after `amount` paisa (all that is left when None) went back to the payer."""
        left = self.form.total - self.refunded_amount
        amount = left if amount is None else amount
        moved = self.moved(Step.FULL_REFUND if amount == left else Step.PARTIAL_REFUND, now, lag=lag)
        if not 1 <= amount <= left:
            raise NotPossible(f"{left} paisa can be refunded, not {amount}.")
        return evolve(moved, refunds=(*self.refunds, Returned(amount=amount, at=now, by="panel")))

"""One form and what became of it: how far a payment has come, and what a look-up says about it then.

Nothing here knows HTTP. Amounts are whole paisa (100 paisa = NPR 1), times are aware UTC.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from attrs import frozen

from sewapay.standins.session import Session


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
class SimulatedPayment(Session[Status, Step]):
    """One form and what became of it. Methods return a new one.

    `first_word` is what a look-up says until the payer logs in.
    """

    possible_from = POSSIBLE_FROM
    logged_in_at = Step.LOGGED_IN
    ended_at = Step.ENDED

    form: Form
    posted_at: datetime
    first_word: Status = Status.NOT_FOUND
    recorded: Step = Step.POSTED
    transaction_code: str | None = None
    before: Status = Status.NOT_FOUND

    @property
    def transaction_uuid(self) -> str:
        """The merchant's own name for it."""
        return self.form.transaction_uuid

    def status(self, now: datetime) -> Status:
        """The word for where it is at `now`."""
        step = self.step(now)
        return self.first_word if step is Step.POSTED else TOLD[step]

    def refunded(self, amount: int | None, now: datetime, *, lag: int) -> "SimulatedPayment":
        """The payment after `amount` paisa (all that is left when None) went back to the payer."""
        left = self.form.total - self.refunded_amount
        to = Step.FULL_REFUND if amount in (None, left) else Step.PARTIAL_REFUND
        return self.moved(to, now, lag=lag).given_back(amount, now, left=left, by="panel")

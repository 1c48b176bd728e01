"""One payment link as Khalti knows it, and where Khalti's ways vary. Amounts are whole paisa, times aware UTC."""

from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Final, Literal

import msgspec
from attrs import evolve, frozen

from sewapay.standins.refusals import NotPossible
from sewapay.standins.row import Row

YEAR_SECONDS: Final = 365 * 24 * 3600


class Status(StrEnum):
    """What a look-up can say about a payment, in Khalti's words (Khalti docs, lookup table)."""

    INITIATED = "Initiated"
    PENDING = "Pending"
    COMPLETED = "Completed"
    USER_CANCELED = "User canceled"
    EXPIRED = "Expired"
    PARTIALLY_REFUNDED = "Partially Refunded"
    REFUNDED = "Refunded"


PAID: Final = frozenset({Status.COMPLETED, Status.PARTIALLY_REFUNDED, Status.REFUNDED})
UNFINISHED: Final = frozenset({Status.INITIATED, Status.PENDING})

POSSIBLE_FROM: Final = MappingProxyType(
    {
        # Late payments happen in the real world: money may arrive after a cancel and after the link has expired.
        Status.COMPLETED: frozenset({Status.INITIATED, Status.PENDING, Status.USER_CANCELED, Status.EXPIRED}),
        Status.PENDING: frozenset({Status.INITIATED, Status.USER_CANCELED, Status.EXPIRED}),
        Status.USER_CANCELED: UNFINISHED,
        Status.EXPIRED: UNFINISHED,
        Status.PARTIALLY_REFUNDED: frozenset({Status.COMPLETED, Status.PARTIALLY_REFUNDED}),
        Status.REFUNDED: frozenset({Status.COMPLETED, Status.PARTIALLY_REFUNDED}),
    }
)
"""Which states a state can follow. Only a payment that ran out of time gets to EXPIRED without being told to."""


class Quirks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where Khalti's behaviour varies, or is not documented, and a test may want it otherwise."""

    expires_in: Annotated[int, msgspec.Meta(ge=1, le=YEAR_SECONDS)] = 1800
    """Seconds that a payment link lives: 1800 in every sandbox capture, 3600 documented for production."""
    fee: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Paisa that a look-up reports as `fee` once money moved; 0 in Khalti's samples."""
    max_amount: Annotated[int, msgspec.Meta(ge=1000)] = 2**63 - 1
    """The largest amount, in paisa, that initiate accepts. Khalti documents none."""
    unknown_pidx_status: Literal[400, 404] = 404
    """The HTTP status of a look-up for an unknown pidx; the body is documented, the status is not."""
    txn_id: bool = False
    """Whether a wallet callback carries `txnId` (seen with and without)."""
    space_as_plus: bool = False
    """Whether the callback's query writes a space as `+` instead of `%20` (both were seen)."""
    blind_question_mark: bool = True
    """Whether `/?` is appended to a return_url that has a query already, as in the one capture; otherwise `&`."""
    bank_style: bool = False
    """Whether the callback has the set and order of the bank capture, with the literal text `None`."""
    any_refund_path: bool = False
    """Whether refunds are taken below `/api/v2/` and `/api/v2/epayment/` too, where some public code asks for them."""
    refund_lag_lookups: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    """How many look-ups of a payment, after each refund of it, still say what they said before; undocumented."""


@frozen(kw_only=True)
class Purchase:
    """What a merchant asked for at initiate, after all checks."""

    amount: int
    purchase_order_id: str
    purchase_order_name: str
    return_url: str
    website_url: str
    merchant_extras: tuple[tuple[str, str], ...] = ()
    life_seconds: int | None = None


@frozen(kw_only=True)
class SimulatedPayment(Row[Status]):
    """One payment link and what became of it. Methods return a new one. Only a refund makes look-ups lag."""

    pidx: str
    key_digest: str
    purchase: Purchase
    created_at: datetime
    expires_at: datetime
    recorded: Status = Status.INITIATED
    transaction_id: str | None = None
    mobile: str = ""
    before: Status = Status.COMPLETED

    def status(self, now: datetime) -> Status:
        """The payment's state at `now`: a link that nobody used dies when its time has passed."""
        if self.recorded is Status.INITIATED and now > self.expires_at:
            return Status.EXPIRED
        return self.recorded

    def moved(self, to: Status, now: datetime) -> "SimulatedPayment":
        """The payment in state `to`. Raises NotPossible when that cannot follow the state it is in."""
        at_present = self.status(now)
        if at_present not in POSSIBLE_FROM[to]:
            raise NotPossible(f"The payment is {at_present.value!r}; it cannot become {to.value!r}.")
        return evolve(self, recorded=to)

    def refunded(
        self, amount: int | None, now: datetime, *, by: Literal["api", "panel"], lag: int
    ) -> "SimulatedPayment":
        """The payment after `amount` paisa (all that is left when None) went back to the payer."""
        left = self.purchase.amount - self.refunded_amount
        to = Status.REFUNDED if amount in (None, left) else Status.PARTIALLY_REFUNDED
        refunded = self.moved(to, now).given_back(amount, now, left=left, by=by)
        return evolve(refunded, before=self.told(now), lagging=lag)

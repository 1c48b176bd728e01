"""What a gateway said when it was asked about one payment."""

from datetime import datetime
from enum import StrEnum

from attrs import frozen

from sewapay.domain.money import Money

__all__ = ["Evidence", "Observation", "Reported"]


class Reported(StrEnum):
    """The gateway's status in our words. A gateway's adapter maps its own words onto these, and every other word
    becomes `UNKNOWN`.

    - `NOT_FOUND`: it does not know a payment that it gave us a reference for, which cannot be.
    - `ABSENT`: it holds nothing under our reference, as it says of checkouts that nobody entered yet, or that were
      left; final only when the checkout is long dead.
    - `AMBIGUOUS`: it does not know itself whether the money was taken.
    """

    INITIATED = "initiated"
    PENDING = "pending"
    COMPLETED = "completed"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    CANCELED = "canceled"
    EXPIRED = "expired"
    FAILED = "failed"
    NOT_FOUND = "not_found"
    ABSENT = "absent"
    AMBIGUOUS = "ambiguous"
    UNKNOWN = "unknown"


@frozen(kw_only=True)
class Observation:
    """One usable answer of a gateway: evidence, kept as it was given.

    `said` is the gateway's own word (at most 64 characters). `gateway_reference` is the reference that the answer
    itself carries, which may not be the one we asked about, and `order_reference` our own name for the payment, where
    the answer carries that. `amount` is what the gateway says was to be paid, and `fee` what it keeps. `refunded` is a
    flag that some gateways send beside the status; None when they do not.
    """

    reported: Reported
    said: str
    amount: Money | None = None
    fee: Money | None = None
    transaction_id: str | None = None
    gateway_reference: str | None = None
    order_reference: str | None = None
    refunded: bool | None = None

    @property
    def facts(self) -> dict[str, str | int | bool | None]:
        """What an event about this answer carries: amounts in paisa, and references."""
        return {
            "amount": self.amount.paisa if self.amount else None,
            "fee": self.fee.paisa if self.fee else None,
            "transaction_id": self.transaction_id,
            "gateway_reference": self.gateway_reference,
        }


@frozen(kw_only=True)
class Evidence:
    """An answer, and when (UTC) we had it. It is stored beside the change that it caused, and never altered."""

    at: datetime
    observation: Observation

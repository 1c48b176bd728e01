"""Double-entry rows: where each paisa that a gateway told of stands. Append-only; each posting sums to zero.

| account | a positive amount means |
|---|---|
| `customer_funds` | money that went back to customers; negative: money that came from them |
| `merchant_receivable` | what the gateway owes the merchant |
| `gateway_fee` | what the gateway keeps |
| `refunds` | what was given back of what came |

A posting is the difference between what a payment said of its money before and after a change, so the balances can be
computed anew from the rows, and compared with the payments.
"""

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from attrs import frozen

from sewapay.domain.identifiers import BookingId, PaymentId
from sewapay.domain.money import Money

if TYPE_CHECKING:
    from sewapay.domain.payment import Payment

__all__ = ["Account", "Entry", "Posting", "posting"]


class Account(StrEnum):
    """Where money stands."""

    CUSTOMER_FUNDS = "customer_funds"
    MERCHANT_RECEIVABLE = "merchant_receivable"
    GATEWAY_FEE = "gateway_fee"
    REFUNDS = "refunds"


@frozen
class Entry:
    """One row: whole paisa, negative for the side that gives."""

    account: Account
    paisa: int


@frozen(kw_only=True)
class Posting:
    """One transaction of the ledger (UTC). Its entries sum to zero."""

    booking_id: BookingId
    payment_id: PaymentId
    at: datetime
    why: str
    entries: tuple[Entry, ...]


def posting(before: "Payment", after: "Payment", at: datetime) -> Posting | None:
    """What a change of a payment means for the ledger; None when no money moved.

    What came: customer_funds gives, merchant_receivable takes, less the fee. What went back: merchant_receivable gives,
    refunds takes. An amount that nobody knows (a part that was given back elsewhere) is posted when it is known.
    """
    came = _paisa(after.amount_paid) - _paisa(before.amount_paid)
    fee = _paisa(after.fee if after.amount_paid else None) - _paisa(before.fee if before.amount_paid else None)
    back = after.known_refunded.paisa - before.known_refunded.paisa
    if came == fee == back == 0:
        return None
    sums = {
        Account.CUSTOMER_FUNDS: -came,
        Account.MERCHANT_RECEIVABLE: came - fee - back,
        Account.GATEWAY_FEE: fee,
        Account.REFUNDS: back,
    }
    return Posting(
        booking_id=after.booking_id,
        payment_id=after.id,
        at=at,
        why="refund" if back and not came else "payment",
        entries=tuple(Entry(account, paisa) for account, paisa in sums.items() if paisa),
    )


def _paisa(money: Money | None) -> int:
    return 0 if money is None else money.paisa

"""How every stand-in shows its books at `/_sim/payments`: in the same neutral words, beside the company's own.

Whoever compares books with a stand-in's needs nothing else. Amounts are whole paisa, times Nepal's:

    {"gateway": "khalti", "now": "...",
     "payments": [{"reference": "...", "order_reference": "...", "amount": 113000, "status": "Partially Refunded",
                   "reported": "partially_refunded", "transaction_id": "...", "refunded_amount": 30000,
                   "refunds": [{"amount": 30000, "at": "...", "by": "api"}]}]}
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal

from attrs import field, frozen

from sewapay.standins.clock import nepal_time

Reported = Literal[
    "initiated",
    "pending",
    "completed",
    "partially_refunded",
    "refunded",
    "canceled",
    "expired",
    "failed",
    "absent",
    "ambiguous",
]
"""What a look-up means. `absent`: it says that there is no such payment, though the books have one; `ambiguous`: that
the company does not know itself."""


@frozen(kw_only=True)
class Returned:
    """Money that went back: by a program with the merchant's key, or in the company's own panel."""

    amount: int
    at: datetime
    by: Literal["api", "panel"]


@frozen(kw_only=True)
class Line:
    """One payment of the books. `status` is the company's word for it, and `own` what only this company tells.

    `reference` is the company's name for it: the merchant's own, where the company gives none.
    """

    reference: str
    order_reference: str
    amount: int
    status: str
    reported: Reported
    transaction_id: str | None
    returned: tuple[Returned, ...] = ()
    own: Mapping[str, object] = field(factory=dict)

    @property
    def shown(self) -> dict[str, object]:
        """It as JSON."""
        return {
            "reference": self.reference,
            "order_reference": self.order_reference,
            "amount": self.amount,
            "status": self.status,
            "reported": self.reported,
            "transaction_id": self.transaction_id,
            "refunded_amount": sum(each.amount for each in self.returned),
            "refunds": [{"amount": each.amount, "at": nepal_time(each.at), "by": each.by} for each in self.returned],
            **self.own,
        }


def statement(
    gateway: str, lines: Iterable[Line], *, now: datetime, query: Mapping[str, str], counts: Mapping[str, int]
) -> dict[str, object]:
    """The books as JSON, the oldest payment first. A query chooses by any field of a payment that is text.

    `gateway` is the name by which the company is registered as a gateway; `counts` how many requests came.
    """
    rows = [line.shown for line in lines]
    return {
        "gateway": gateway,
        "now": nepal_time(now),
        **counts,
        "payments": [row for row in rows if all(row[name] == query[name] for name in query if name in row)],
    }

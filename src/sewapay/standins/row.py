"""What every stand-in's ledger keeps of a payment, beside the company's own."""

from abc import ABC, abstractmethod
from datetime import datetime
from typing import Generic, Literal, Self, TypeVar

from attrs import evolve, frozen

from sewapay.standins.refusals import NotPossible
from sewapay.standins.statement import Returned

W = TypeVar("W")


@frozen(kw_only=True)
class Row(ABC, Generic[W]):
    """One payment; a look-up tells of it in a word of type `W`. Methods return a new one.

    The next `lagging` look-ups still say `before`.
    """

    before: W
    lagging: int = 0
    lookups: int = 0
    refunds: tuple[Returned, ...] = ()

    @abstractmethod
    def status(self, now: datetime) -> W:
        """The company's word for where it is at `now`, aware UTC."""

    @property
    def refunded_amount(self) -> int:
        """All that went back, in paisa."""
        return sum(refund.amount for refund in self.refunds)

    def told(self, now: datetime) -> W:
        """What a look-up says about it, which may lag behind."""
        return self.before if self.lagging else self.status(now)

    def looked_up(self) -> Self:
        """The payment after one more look-up."""
        return evolve(self, lookups=self.lookups + 1, lagging=max(self.lagging - 1, 0))

    def given_back(self, amount: int | None, now: datetime, *, left: int, by: Literal["api", "panel"]) -> Self:
        """The payment after `amount` paisa, or all that is `left`, went back. Raises NotPossible beyond that."""
        amount = left if amount is None else amount
        if not 1 <= amount <= left:
            raise NotPossible(f"{left} paisa can be refunded, not {amount}.")
        return evolve(self, refunds=(*self.refunds, Returned(amount=amount, at=now, by=by)))

"""The simulated gateway's own ledger, in plain values. It knows nothing of ours and shares no code with it."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

__all__ = ["LIFE", "Held", "Paid", "Till"]

LIFE: Final = timedelta(minutes=60)
FEE: Final = 300


@dataclass(frozen=True)
class Held:
    """What a look-up may show of a payment."""

    status: str
    amount: int
    transaction_id: str | None = None


@dataclass
class Paid:
    """One link and what became of it. `was`: what it was before, and until when."""

    pidx: str
    order_reference: str
    order_amount: int
    dies_at: datetime
    held: Held
    refunds: list[tuple[int, str]] = field(default_factory=list)
    was: list[tuple[datetime, Held]] = field(default_factory=list)

    @property
    def is_paid(self) -> bool:
        return self.held.status in ("completed", "partially_refunded", "refunded")

    @property
    def given_back(self) -> int:
        return sum(amount for amount, _ in self.refunds)

    @property
    def left(self) -> int:
        return self.held.amount - self.given_back if self.is_paid else 0


class Till:
    """Opens links, takes money, gives it back. Without any idempotency: asked twice, it does it twice."""

    def __init__(self) -> None:
        self.payments: dict[str, Paid] = {}

    def open(self, order_reference: str, amount: int, now: datetime) -> Paid:
        pidx = f"pidx{len(self.payments) + 1:06}"
        paid = Paid(pidx, order_reference, amount, now + LIFE, Held("initiated", amount))
        self.payments[pidx] = paid
        return paid

    def look(self, pidx: str | None, now: datetime, *, as_it_was: timedelta | None = None) -> Held | None:
        """What is known of it now, or was a while ago."""
        paid = self.payments.get(pidx or "")
        if paid is None:
            return None
        self._may_die(paid, now)
        if as_it_was is not None:
            for until, held in paid.was:
                if until > now - as_it_was:
                    return held
        return paid.held

    def pay(
        self, pidx: str, now: datetime, *, late: bool = False, amount: int | None = None, transaction: str | None = None
    ) -> bool:
        """A customer pays. `late`: though it was canceled, or had died."""
        paid = self.payments[pidx]
        self._may_die(paid, now)
        if paid.held.status not in (
            ("initiated", "pending", "canceled", "expired") if late else ("initiated", "pending")
        ):
            return False
        transaction = transaction or f"txn{pidx[4:]}"
        self._becomes(paid, Held("completed", amount or paid.order_amount, transaction), now)
        return True

    def says(self, pidx: str, status: str, now: datetime) -> bool:
        """The customer cancels, the money is on its way, or nobody used the link in time."""
        paid = self.payments[pidx]
        self._may_die(paid, now)
        if paid.held.status not in ("initiated", "pending") or paid.held.status == status:
            return False
        self._becomes(paid, replace(paid.held, status=status), now)
        return True

    def ends_what_is_pending(self, now: datetime) -> None:
        """The bank says at last what became of it: nothing."""
        for paid in self.payments.values():
            if paid.held.status == "pending":
                self._becomes(paid, replace(paid.held, status="expired"), now)

    def give_back(self, pidx: str, amount: int | None, now: datetime, *, by: str) -> bool:
        """Give this much back, or all that is left; False when that cannot be."""
        paid = self.payments[pidx]
        wanted = paid.left if amount is None else amount
        if not 0 < wanted <= paid.left:
            return False
        paid.refunds.append((wanted, by))
        status = "refunded" if paid.given_back == paid.held.amount else "partially_refunded"
        self._becomes(paid, replace(paid.held, status=status), now)
        return True

    def _may_die(self, paid: Paid, now: datetime) -> None:
        if paid.held.status == "initiated" and now >= paid.dies_at:
            self._becomes(paid, replace(paid.held, status="expired"), now)

    def _becomes(self, paid: Paid, held: Held, now: datetime) -> None:
        paid.was.append((now, paid.held))
        paid.held = held

"""A simulated gateway's own ledger, in plain values. It knows nothing of ours and shares no code with it."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

__all__ = ["LIFE", "Held", "Paid", "Till"]

LIFE: Final = timedelta(minutes=60)
FEE: Final = 300
LATEST: Final = timedelta(minutes=9)
LATEST_FORM: Final = timedelta(days=29)
MAY_BE_PAID: Final = frozenset({"initiated", "pending", "ambiguous"})
MAY_BE_PAID_LATE: Final = frozenset({"canceled", "expired", "absent"})


@dataclass(frozen=True)
class Held:
    """What a look-up may show of a payment."""

    status: str
    amount: int
    transaction_id: str | None = None


@dataclass
class Paid:
    """One link or form and what became of it. `was`: what it was before, and until when.

    `name`: the gateway's own, or for a form the merchant's order reference. `was_lied_about`: another amount was told.
    """

    name: str
    order_reference: str
    order_amount: int
    dies_at: datetime
    held: Held
    refunds: list[tuple[int, str]] = field(default_factory=list)
    was: list[tuple[datetime, Held]] = field(default_factory=list)
    was_entered: bool = False
    was_lied_about: bool = False

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
    """Opens links, takes money, gives it back. Without any idempotency: asked twice, it does it twice.

    `by_form`: it gives no names of its own and holds nothing of a form before somebody posts it; each form is taken
    once, also days later.
    """

    def __init__(self, gateway: str = "khalti", *, by_form: bool = False) -> None:
        self.gateway = gateway
        self.by_form = by_form
        self.payments: dict[str, Paid] = {}

    def open(self, order_reference: str, amount: int, now: datetime) -> Paid:
        name = order_reference if self.by_form else f"pidx{len(self.payments) + 1:06}"
        paid = Paid(name, order_reference, amount, now + LIFE, Held("absent" if self.by_form else "initiated", amount))
        self.payments[name] = paid
        return paid

    def look(self, name: str | None, now: datetime, *, as_it_was: timedelta | None = None) -> Held | None:
        """What is known of it now, or was a while ago."""
        paid = self.payments.get(name or "")
        if paid is None:
            return None
        self._may_die(paid, now)
        if as_it_was is not None:
            for until, held in paid.was:
                if until > now - as_it_was:
                    return held
        return paid.held

    def enter(self, name: str, now: datetime) -> bool:
        """A customer posts the form, and is at the gateway's page; False when it was posted before."""
        paid = self.payments[name]
        if not self.by_form or paid.was_entered or now > self._latest(paid):
            return False
        paid.was_entered = True
        self._becomes(paid, replace(paid.held, status="pending"), now)
        return True

    def pay(
        self, name: str, now: datetime, *, late: bool = False, amount: int | None = None, transaction: str | None = None
    ) -> bool:
        """A customer pays. `late`: though it was canceled, or left, or had died."""
        paid = self.payments[name]
        self.enter(name, now)
        self._may_die(paid, now)
        is_too_late = now > self._latest(paid) and (late or self.by_form)
        may_be_paid = MAY_BE_PAID | MAY_BE_PAID_LATE if late else MAY_BE_PAID
        if paid.held.status not in may_be_paid or is_too_late:
            return False
        transaction = transaction or f"txn{name.removeprefix('pidx')}"
        self._becomes(paid, Held("completed", amount or paid.order_amount, transaction), now)
        return True

    def says(self, name: str, status: str, now: datetime) -> bool:
        """The customer cancels or leaves, the money is on its way, or nobody knows where it is."""
        paid = self.payments[name]
        self._may_die(paid, now)
        if paid.held.status not in MAY_BE_PAID or paid.held.status == status:
            return False
        self._becomes(paid, replace(paid.held, status=status), now)
        return True

    def ends_what_is_pending(self, now: datetime) -> None:
        """The bank says at last what became of it: nothing."""
        for paid in self.payments.values():
            if paid.held.status in ("pending", "ambiguous"):
                self._becomes(paid, replace(paid.held, status="absent" if self.by_form else "expired"), now)

    def is_over(self, name: str, now: datetime) -> bool:
        """Whether nobody can pay it any more, and nobody did."""
        paid = self.payments[name]
        self._may_die(paid, now)
        if paid.held.status == "absent":
            return now > self._latest(paid)
        return paid.held.status in ("canceled", "expired", "failed")

    def give_back(self, name: str, amount: int | None, now: datetime, *, by: str) -> bool:
        """Give this much back, or all that is left; False when that cannot be."""
        paid = self.payments[name]
        wanted = paid.left if amount is None else amount
        if not 0 < wanted <= paid.left:
            return False
        paid.refunds.append((wanted, by))
        status = "refunded" if paid.given_back == paid.held.amount else "partially_refunded"
        self._becomes(paid, replace(paid.held, status=status), now)
        return True

    def _latest(self, paid: Paid) -> datetime:
        """Until when a customer may pay it all the same."""
        return paid.dies_at + (LATEST_FORM if self.by_form else LATEST)

    def _may_die(self, paid: Paid, now: datetime) -> None:
        if paid.held.status == "initiated" and now >= paid.dies_at:
            self._becomes(paid, replace(paid.held, status="expired"), now)

    def _becomes(self, paid: Paid, held: Held, now: datetime) -> None:
        paid.was.append((now, paid.held))
        paid.held = held

"""The stand-in's own truth: which payments exist and who paid.

Nothing here knows HTTP. Amounts are whole paisa (100 paisa = NPR 1), times are aware UTC.
"""

from datetime import timedelta
from hashlib import sha256
from typing import Final, Literal

from attrs import define, evolve, field

from sewapay.adapters.khalti.simulator.callback import callback_url
from sewapay.adapters.khalti.simulator.faults import OWN, SHAPE
from sewapay.adapters.khalti.simulator.payments import Purchase, Quirks, SimulatedPayment, Status
from sewapay.standins.company import Company
from sewapay.standins.happenings import Left
from sewapay.standins.refusals import UnknownPayment

ID_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
"""The letters of a pidx and of a transaction id, as seen in public captures."""

ID_LENGTH: Final = 22


def key_digest(secret_key: str) -> str:
    """A short name for a merchant's key that does not tell the key."""
    return sha256(secret_key.encode()).hexdigest()[:16]


def _not_empty(_instance: object, _attribute: object, value: str | None) -> None:
    if value == "":
        raise ValueError("secret_key is empty; leave it out to accept any key")


@define(kw_only=True, eq=False)
class Simulator(Company[Quirks]):
    """Khalti's ledger. A secret key makes it accept that key only; without one it accepts any."""

    shape = SHAPE
    own_faults = OWN

    secret_key: str | None = field(default=None, repr=False, validator=_not_empty)
    quirks: Quirks = field(factory=Quirks)
    _payments: dict[str, SimulatedPayment] = field(factory=dict, init=False, repr=False)
    _pidx_paid_by: dict[str, str] = field(factory=dict, init=False, repr=False)
    _order_initiates: dict[tuple[str, str], int] = field(factory=dict, init=False, repr=False)

    @property
    def initiates_seen(self) -> int:
        """How many requests to initiate came, whatever came of them."""
        return self.seen["initiate"]

    @property
    def lookups_seen(self) -> int:
        """How many look-ups came."""
        return self.seen["lookup"]

    @property
    def refunds_seen(self) -> int:
        """How many requests to refund came."""
        return self.seen["refund"]

    def forget(self) -> None:
        """Empty the ledger."""
        self._payments.clear()
        self._pidx_paid_by.clear()
        self._order_initiates.clear()

    def left(self, pidx: str, /) -> Left:
        """How the payment stands, and where Khalti sends the payer's browser."""
        payment = self.find(pidx)
        status = payment.status(self.now())
        return Left(status=status.value, return_url=callback_url(payment, status, self.quirks))

    def open(self, purchase: Purchase, *, secret_key: str) -> SimulatedPayment:
        """Make a new payment link. The same purchase_order_id makes another one, as at Khalti."""
        with self.lock:
            now, digest = self.now(), key_digest(secret_key)
            life = timedelta(seconds=purchase.life_seconds or self.quirks.expires_in)
            made = SimulatedPayment(
                pidx=self._new_id(), key_digest=digest, purchase=purchase, created_at=now, expires_at=now + life
            )
            order = (digest, purchase.purchase_order_id)
            self._order_initiates[order] = self._order_initiates.get(order, 0) + 1
            return self._kept(made)

    def find(self, pidx: str) -> SimulatedPayment:
        """The payment as it stands. Raises UnknownPayment."""
        with self.lock:
            if pidx not in self._payments:
                raise UnknownPayment("No payment of this stand-in has that pidx.")
            return self._payments[pidx]

    def look_up(self, pidx: str, *, secret_key: str) -> SimulatedPayment:
        """The payment as a merchant may see it: another merchant's is as unknown as one that never was.

        It is handed out as it was when the question came.
        """
        with self.lock:
            found = self.find(pidx)
            if found.key_digest != key_digest(secret_key):
                raise UnknownPayment("No payment of this merchant has that pidx.")
            self._kept(found.looked_up())
            return found

    def payments(self) -> tuple[SimulatedPayment, ...]:
        """Every payment, the oldest first."""
        with self.lock:
            return tuple(self._payments.values())

    def latest(self) -> str | None:
        """The pidx that was given out last, if any was."""
        with self.lock:
            return next(reversed(self._payments), None)

    def order_initiates(self, payment: SimulatedPayment) -> int:
        """How many links the same merchant asked for with this payment's purchase_order_id."""
        with self.lock:
            return self._order_initiates.get((payment.key_digest, payment.purchase.purchase_order_id), 0)

    def pay(self, pidx: str, /, *, mobile: str = "9800000000") -> SimulatedPayment:
        """The payer pays in full, be it late: after a cancel or an expiry too."""
        with self.lock:
            paid = self.find(pidx).moved(Status.COMPLETED, self.now())
            transaction_id = self._new_id()
            self._pidx_paid_by[transaction_id] = pidx
            return self._kept(evolve(paid, mobile=mobile, transaction_id=transaction_id))

    def pend(self, pidx: str, /, *, mobile: str = "9800000000") -> SimulatedPayment:
        """The payer has paid, but the money is somewhere on its way (or lost at a bank)."""
        with self.lock:
            return self._kept(evolve(self.find(pidx).moved(Status.PENDING, self.now()), mobile=mobile))

    def cancel(self, pidx: str, /) -> SimulatedPayment:
        """The payer gives up on the payment page."""
        with self.lock:
            return self._kept(self.find(pidx).moved(Status.USER_CANCELED, self.now()))

    def expire(self, pidx: str, /) -> SimulatedPayment:
        """The link dies now, whatever the clock says."""
        with self.lock:
            return self._kept(self.find(pidx).moved(Status.EXPIRED, self.now()))

    def refund(self, pidx: str, amount: int | None = None, /) -> SimulatedPayment:
        """The merchant refunds in their own panel: `amount` paisa, or all that is left."""
        with self.lock:
            return self._refunded(self.find(pidx), amount, by="panel")

    def refund_transaction(
        self, transaction_id: str, amount: int | None = None, *, secret_key: str
    ) -> SimulatedPayment:
        """The merchant's program refunds `amount` paisa of its own payment, or all that is left."""
        with self.lock:
            found = self.find(self.pidx_paid_by(transaction_id) or "")
            if found.key_digest != key_digest(secret_key):
                raise UnknownPayment("No payment of this merchant has that transaction id.")
            return self._refunded(found, amount, by="api")

    def pidx_paid_by(self, transaction_id: str) -> str | None:
        """The pidx of the payment that this transaction made, if there is one."""
        with self.lock:
            return self._pidx_paid_by.get(transaction_id)

    def _refunded(self, payment: SimulatedPayment, amount: int | None, by: Literal["api", "panel"]) -> SimulatedPayment:
        return self._kept(payment.refunded(amount, self.now(), by=by, lag=self.quirks.refund_lag_lookups))

    def _kept(self, payment: SimulatedPayment) -> SimulatedPayment:
        self._payments[payment.pidx] = payment
        return payment

    def _new_id(self) -> str:
        return "".join(self.chance.choices(ID_ALPHABET, k=ID_LENGTH))

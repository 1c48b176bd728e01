"""The stand-in's own truth: which forms were posted and who paid. Nothing here knows HTTP; amounts are whole paisa."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import ClassVar, Final

from attrs import define, field

from sewapay.adapters.connectips.simulator.certificate import PFX_PASSWORD, Merchant, merchant_of, own_file
from sewapay.adapters.connectips.simulator.payment import SimulatedPayment, Step
from sewapay.adapters.connectips.simulator.quirks import Quirks
from sewapay.adapters.connectips.simulator.validation import form_of
from sewapay.standins.company import Company
from sewapay.standins.happenings import Left
from sewapay.standins.refusals import UnknownPayment, UsedBefore
from sewapay.standins.shape import Shape


def _moved_amount(amount: object, delta: int) -> object:
    """Paisa as a look-up writes them, off by `delta`: a text stays a text."""
    moved = int(str(amount)) + delta
    return str(moved) if isinstance(amount, str) else moved


SHAPE: Final = Shape(
    reference="TXNID",
    told_as="referenceId",
    routes=frozenset({"form", "validatetxn", "gettxndetail"}),
    look_up="validatetxn",
    amount="txnAmt",
    amount_moved=_moved_amount,
    unpaid=MappingProxyType({"status": "ERROR", "statusDesc": "TRANSACTION INCOMPLETE"}),
    stranger="SOMEBODYELSESPAYMENT",
)


@define(kw_only=True, eq=False)
class Simulator(Company[Quirks]):
    """Every form that was posted to the stand-in, and what became of it. Payments are named by TXNID.

    Without a `merchant` it knows the one whose file `own_file` made.
    """

    shape: ClassVar[Shape] = SHAPE

    quirks: Quirks = field(factory=Quirks)
    merchant: Merchant = field(factory=lambda: merchant_of(own_file().read_bytes(), PFX_PASSWORD))
    _payments: dict[str, SimulatedPayment] = field(factory=dict, init=False, repr=False)
    _latest_number: int = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self._latest_number = 12_000_000 + self.chance.randrange(1_000_000)

    def post(self, fields: Mapping[str, str]) -> SimulatedPayment:
        """A payer's browser brings a merchant's form. Raises Wrong when it is not taken.

        A TXNID is good for one form (docs, "Merchant interface": unique).
        """
        with self.lock:
            known = self._payments.get(fields.get("TXNID", ""))
            if known is not None:
                self._kept(known.posted_again())
            form = form_of(fields, self.merchant)
            if known is not None:
                raise UsedBefore("txnid-used", "This TXNID was posted before; each form needs its own.")
            return self._kept(SimulatedPayment(form=form, entered_at=self.now()))

    def find(self, txn_id: str) -> SimulatedPayment:
        """The payment as it stands. Raises UnknownPayment."""
        with self.lock:
            if txn_id not in self._payments:
                raise UnknownPayment("No form with that TXNID was posted to this stand-in.")
            return self._payments[txn_id]

    def look_up(self, txn_id: str, amount: int, *, counted: bool = True) -> SimulatedPayment | None:
        """The payment that fits both, as it was when the question came; None when there is none.

        That another amount finds nothing is our guess.
        """
        with self.lock:
            found = self._payments.get(txn_id)
            if found is None or found.form.amount != amount:
                return None
            if counted:
                self._kept(found.looked_up())
            return found

    def payments(self) -> tuple[SimulatedPayment, ...]:
        """Every payment, the oldest first."""
        with self.lock:
            return tuple(self._payments.values())

    def log_in(self, txn_id: str, /) -> SimulatedPayment:
        """The payer chooses a bank account and logs in."""
        seconds, lag = self.quirks.seconds_after_login, self.quirks.lag_lookups
        return self._changed(txn_id, lambda payment: payment.logged_in(self.now(), seconds=seconds, lag=lag))

    def pay(self, txn_id: str, /) -> SimulatedPayment:
        """The payer pays in full, be it late: after a cancel, or when the session has ended, too."""
        lag = self.quirks.lag_lookups
        return self._changed(txn_id, lambda payment: payment.paid(self._new_number(), self.now(), lag=lag))

    def pend(self, txn_id: str, /) -> SimulatedPayment:
        """The OTP was entered, and the banks are not through."""
        return self._moved(txn_id, Step.PENDING)

    def fail(self, txn_id: str, /) -> SimulatedPayment:
        """One of the banks refuses."""
        return self._moved(txn_id, Step.FAILED)

    def cancel(self, txn_id: str, /) -> SimulatedPayment:
        """The payer gives up on the page."""
        return self._moved(txn_id, Step.CANCELED)

    def expire(self, txn_id: str, /) -> SimulatedPayment:
        """The session ends now, whatever the clock says."""
        return self._moved(txn_id, Step.ENDED)

    def refund(self, txn_id: str, amount: int | None = None, /) -> SimulatedPayment:
        """The merchant gives back by hand: `amount` paisa, or all that is left."""
        return self._changed(txn_id, lambda payment: payment.refunded(amount, self.now()))

    def left(self, txn_id: str, /) -> Left:
        """How the payment stands, and where the payer's browser is sent: with the TXNID and nothing else."""
        with self.lock:
            status = self.find(txn_id).status(self.now())
            address = self.quirks.return_url
            query = f"TXNID={txn_id}" + (f"?TXNID={txn_id}" if self.quirks.double_question_mark else "")
            joint = "&" if "?" in address and not self.quirks.double_question_mark else "?"
            return Left(status=status.value, return_url=f"{address}{joint}{query}")

    def forget(self) -> None:
        """Empty the ledger. Numbers go on from where they were."""
        with self.lock:
            self._payments.clear()

    def _moved(self, txn_id: str, to: Step) -> SimulatedPayment:
        return self._changed(txn_id, lambda payment: payment.moved(to, self.now(), lag=self.quirks.lag_lookups))

    def _changed(self, txn_id: str, change: Callable[[SimulatedPayment], SimulatedPayment]) -> SimulatedPayment:
        with self.lock:
            return self._kept(change(self.find(txn_id)))

    def _kept(self, payment: SimulatedPayment) -> SimulatedPayment:
        self._payments[payment.txn_id] = payment
        return payment

    def _new_number(self) -> int:
        self._latest_number += self.chance.randint(1, 40)
        return self._latest_number

"""The stand-in's own truth: which forms were posted and who paid. Nothing here knows HTTP; amounts are whole paisa."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import ClassVar, Final

import msgspec
from attrs import define, evolve, field

from sewapay.adapters.esewa.simulator.amounts import as_double
from sewapay.adapters.esewa.simulator.payment import HAVE_A_REF_ID, TOLD, SimulatedPayment, Status, Step
from sewapay.adapters.esewa.simulator.quirks import Quirks
from sewapay.adapters.esewa.simulator.returning import return_url
from sewapay.adapters.esewa.simulator.signature import UAT_KEY, UAT_PRODUCT_CODE
from sewapay.adapters.esewa.simulator.validation import form_of
from sewapay.standins.company import Company
from sewapay.standins.happenings import Left
from sewapay.standins.refusals import UnknownPayment, UsedBefore
from sewapay.standins.shape import Shape

CODE_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CODE_LENGTH: Final = 7
"""A transaction code as captured: a number to the base of 36 that grows with time, from 0006TY3 to 000H3AC."""


def _moved_amount(amount: object, delta: int) -> object:
    """Rupees as a status check writes them, off by `delta` paisa."""
    paisa = int(Decimal(str(amount)) * 100) + delta
    return msgspec.Raw(f"{'-' if paisa < 0 else ''}{as_double(abs(paisa))}".encode())


SHAPE: Final = Shape(
    reference="transaction_uuid",
    routes=frozenset({"form", "status"}),
    look_up="status",
    amount="total_amount",
    amount_moved=_moved_amount,
    unpaid=MappingProxyType({"status": "PENDING", "ref_id": None}),
    given_back=frozenset({"PARTIAL_REFUND", "FULL_REFUND"}),
    before_giving_back=MappingProxyType({"status": "COMPLETE"}),
    stranger="SOMEBODY-ELSES-PAYMENT",
)


OLDER_SHAPE: Final = evolve(
    SHAPE,
    told_as="transactionUuid",
    amount="totalAmount",
    unpaid=MappingProxyType({"status": "PENDING", "refId": None}),
)
"""The same with the names that `Quirks.camel_case` has in look-ups."""


def _not_empty(_instance: object, _attribute: object, value: str | None) -> None:
    if value == "":
        raise ValueError("secret_key is empty; leave it out for the public key of eSewa's trial system")


@define(kw_only=True, eq=False)
class Simulator(Company[Quirks]):
    """Every form that was posted to the stand-in, and what became of it. Payments are named by transaction_uuid.

    Without `secret_key` it is as eSewa's trial system: the public key, and EPAYTEST as the one product code. With a key
    of its own it knows that key and any product code.
    """

    shape: ClassVar[Shape] = SHAPE

    quirks: Quirks = field(factory=Quirks)
    secret_key: str | None = field(default=None, repr=False, validator=_not_empty)
    _payments: dict[str, SimulatedPayment] = field(factory=dict, init=False, repr=False)
    _latest_code: int = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self._latest_code = self.chance.randrange(36**4)

    @property
    def key(self) -> str:
        """What forms have to be signed with, and returns are."""
        return UAT_KEY if self.secret_key is None else self.secret_key

    @property
    def product_code(self) -> str | None:
        """The one product code that is known; None for any."""
        return self.quirks.product_code or (UAT_PRODUCT_CODE if self.secret_key is None else None)

    def layout(self) -> Shape:
        """With older names where the quirk is on."""
        return OLDER_SHAPE if self.quirks.camel_case else SHAPE

    def post(self, fields: Mapping[str, str]) -> SimulatedPayment:
        """A payer's browser brings a merchant's form. Raises Wrong when it is not taken.

        A transaction_uuid is good for one form (ePay docs: unique a request).
        """
        with self.lock:
            known = self._payments.get(fields.get("transaction_uuid", ""))
            if known is not None:
                self._kept(known.posted_again())
            form = form_of(fields, product_code=self.product_code, key=self.key, quirks=self.quirks)
            if known is None:
                first = Status.PENDING if self.quirks.known_before_login else Status.NOT_FOUND
                return self._kept(SimulatedPayment(form=form, posted_at=self.now(), first_word=first))
            if not self.quirks.same_form_again or known.recorded is not Step.POSTED or known.form != form:
                raise UsedBefore(
                    "transaction-uuid-used", "This transaction_uuid was posted before; each form needs its own."
                )
            return self.find(known.transaction_uuid)

    def find(self, uuid: str) -> SimulatedPayment:
        """The payment as it stands. Raises UnknownPayment."""
        with self.lock:
            if uuid not in self._payments:
                raise UnknownPayment("No form with that transaction_uuid was posted to this stand-in.")
            return self._payments[uuid]

    def look_up(self, uuid: str, *, product_code: str, total: int) -> SimulatedPayment | None:
        """The payment that fits all three, as it was when the question came; None when there is none."""
        with self.lock:
            found = self._payments.get(uuid)
            if found is None or found.form.product_code != product_code or found.form.total != total:
                return None
            self._kept(found.looked_up())
            return found

    def payments(self) -> tuple[SimulatedPayment, ...]:
        """Every payment, the oldest first."""
        with self.lock:
            return tuple(self._payments.values())

    def log_in(self, uuid: str, /) -> SimulatedPayment:
        """The payer logs in, and has five minutes from now."""
        seconds, lag = self.quirks.seconds_after_login, self.quirks.lag_lookups
        return self._changed(uuid, lambda payment: payment.logged_in(self.now(), seconds=seconds, lag=lag))

    def pay(self, uuid: str, /) -> SimulatedPayment:
        """The payer pays in full, be it late: after a cancel, or when the session has ended, too."""
        return self._moved(uuid, Step.COMPLETE)

    def pend(self, uuid: str, /) -> SimulatedPayment:
        """The payer has paid, but the money is somewhere on its way."""
        return self._moved(uuid, Step.PENDING)

    def leave_ambiguous(self, uuid: str, /) -> SimulatedPayment:
        """The payer has paid, and eSewa does not know itself whether that worked."""
        return self._moved(uuid, Step.AMBIGUOUS)

    def cancel(self, uuid: str, /) -> SimulatedPayment:
        """The payer gives up on the page, or eSewa calls off what was pending or ambiguous."""
        return self._moved(uuid, Step.CANCELED)

    def expire(self, uuid: str, /) -> SimulatedPayment:
        """The session ends now, whatever the clock says."""
        return self._moved(uuid, Step.ENDED)

    def refund(self, uuid: str, amount: int | None = None, /) -> SimulatedPayment:
        """The merchant refunds in the merchant portal: `amount` paisa, or all that is left."""
        lag = self.quirks.lag_lookups
        return self._changed(uuid, lambda payment: payment.refunded(amount, self.now(), lag=lag))

    def left(self, uuid: str, /) -> Left:
        """How the payment stands, and where the payer's browser is sent."""
        with self.lock:
            payment = self.find(uuid)
            status = payment.status(self.now())
            return Left(status=status.value, return_url=return_url(payment, status, self.quirks, self.key))

    def forget(self) -> None:
        """Empty the ledger. Transaction codes go on from where they were."""
        with self.lock:
            self._payments.clear()

    def _moved(self, uuid: str, to: Step) -> SimulatedPayment:
        def change(payment: SimulatedPayment) -> SimulatedPayment:
            moved = payment.moved(to, self.now(), lag=self.quirks.lag_lookups)
            if TOLD[to] in HAVE_A_REF_ID and moved.transaction_code is None:
                return evolve(moved, transaction_code=self._new_code())
            return moved

        return self._changed(uuid, change)

    def _changed(self, uuid: str, change: Callable[[SimulatedPayment], SimulatedPayment]) -> SimulatedPayment:
        with self.lock:
            return self._kept(change(self.find(uuid)))

    def _kept(self, payment: SimulatedPayment) -> SimulatedPayment:
        self._payments[payment.transaction_uuid] = payment
        return payment

    def _new_code(self) -> str:
        self._latest_code += self.chance.randint(1, 40)
        code, rest = "", self._latest_code
        while rest:
            rest, digit = divmod(rest, len(CODE_DIGITS))
            code = CODE_DIGITS[digit] + code
        return code.rjust(CODE_LENGTH, "0")

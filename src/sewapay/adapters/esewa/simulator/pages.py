"""eSewa's payment page: a test user logs in with eSewa ID and password, then pays with the OTP.

Instead of paid, the payment may be left pending or ambiguous.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from attrs import frozen

from sewapay.adapters.esewa.simulator.ledger import Simulator
from sewapay.adapters.esewa.simulator.payment import OPEN, Step
from sewapay.standins.clock import nepal_time
from sewapay.standins.pages import Templates, rupees
from sewapay.standins.payment_page import NotThePayer, PaymentPage

USERS: Final = frozenset(f"980680000{digit}" for digit in range(1, 6))
PASSWORD: Final = "Nepal@123"  # noqa: S105 - public: eSewa prints it for everybody's trials
OTP: Final = "123456"
"""The payers that eSewa's trial system knows (ePay docs, test credentials)."""

CLOSED: Final = MappingProxyType(
    {
        Step.PENDING: "This payment is still being processed.",
        Step.COMPLETE: "This payment has been made already.",
        Step.AMBIGUOUS: "Nobody knows yet whether this payment was made.",
        Step.CANCELED: "This payment was canceled.",
        Step.ENDED: "This session has ended.",
        Step.PARTIAL_REFUND: "This payment was made, and part of it given back.",
        Step.FULL_REFUND: "This payment was made, and given back.",
    }
)
"""What a person reads who comes to a payment that is no longer open."""


@frozen
class Page(PaymentPage[Simulator]):
    """eSewa's page. It is what the shop's form is answered with."""

    templates = Templates(Path(__file__).with_name("templates"))
    otp = OTP
    payer = "esewa_id"

    def is_open(self, reference: str) -> bool:
        """Until it is paid or ended, or its session has run out of time."""
        return self.company.find(reference).step(self.company.now()) in OPEN

    def shown(self, reference: str) -> Mapping[str, str]:
        """What the form told, and until when somebody who has logged in can pay."""
        payment, now = self.company.find(reference), self.company.now()
        return {
            "reference": reference,
            "about": payment.form.product_code,
            "amount": rupees(payment.form.total),
            "shop": urlsplit(payment.form.success_url).netloc.rpartition("@")[2],
            "pay_until": nepal_time(self.company.stated(payment.dies_at))[11:16] if payment.dies_at else "",
            "state": payment.status(now).value,
            "sentence": CLOSED.get(payment.step(now), "This payment is open."),
            "back": payment.form.failure_url,
        }

    def log_in(self, reference: str, payer: str, sent: Mapping[str, str]) -> None:
        """eSewa ID and password; from here the session's time runs."""
        if payer not in USERS:
            raise NotThePayer("That is no test ID: take 9806800001 to 9806800005.")
        if sent.get("password", "") != PASSWORD:
            raise NotThePayer("That password is wrong: every test ID has Nepal@123.")
        self.company.log_in(reference)

    def endings(self, reference: str, _payer: str) -> Mapping[str, Callable[[], object]]:
        """Paid, on its way, or unknown to eSewa itself."""
        return {
            "pay": partial(self.company.pay, reference),
            "pend": partial(self.company.pend, reference),
            "ambiguous": partial(self.company.leave_ambiguous, reference),
        }

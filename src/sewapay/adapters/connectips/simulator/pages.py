"""connectIPS's payment page: a test user chooses a bank account and logs in, then pays with the OTP.

Instead of paid, the payment may be left pending, or the bank may refuse.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from attrs import frozen

from sewapay.adapters.connectips.simulator.ledger import Simulator
from sewapay.adapters.connectips.simulator.payment import OPEN, Step
from sewapay.standins.pages import Templates, rupees
from sewapay.standins.payment_page import NotThePayer, PaymentPage

USER: Final = "standin"
USERS_PASSWORD: Final = "standin"  # noqa: S105 - it stands on the page
OTP: Final = "123456"
"""The payer that this stand-in knows. Those of NCHL's trial system are given to merchants only."""

CLOSED: Final = MappingProxyType(
    {
        Step.PENDING: "This payment is still being processed.",
        Step.PAID: "This payment has been made already.",
        Step.FAILED: "The bank did not make this payment.",
        Step.CANCELED: "This payment was canceled.",
        Step.ENDED: "This session has ended.",
    }
)
"""What a person reads who comes to a payment that is no longer open."""


@frozen
class Page(PaymentPage[Simulator]):
    """connectIPS's page. It is what the shop's form is answered with."""

    templates = Templates(Path(__file__).with_name("templates"))
    otp = OTP
    payer = "user"

    def is_open(self, reference: str) -> bool:
        """Until it is paid or ended, or its session has run out of time."""
        return self.company.find(reference).step(self.company.now()) in OPEN

    def shown(self, reference: str) -> Mapping[str, str]:
        """What the form told, and the merchant's registered address."""
        payment = self.company.find(reference)
        step = payment.step(self.company.now())
        return {
            "reference": reference,
            "about": payment.form.posted["APPNAME"],
            "remarks": payment.form.posted["REMARKS"],
            "amount": rupees(payment.form.amount),
            "shop": urlsplit(self.company.quirks.return_url).netloc.rpartition("@")[2],
            "state": step.value,
            "sentence": CLOSED.get(step, "This payment is open."),
            "back": self.company.left(reference).return_url,
        }

    def log_in(self, reference: str, payer: str, sent: Mapping[str, str]) -> None:
        """The one test user, with any bank account; from here the session's time runs."""
        if (payer, sent.get("password", "")) != (USER, USERS_PASSWORD):
            raise NotThePayer("That is not the test user: it is standin, with the password standin.")
        self.company.log_in(reference)

    def endings(self, reference: str, _payer: str) -> Mapping[str, Callable[[], object]]:
        """Paid, on its way, or refused by one of the banks."""
        return {
            "pay": partial(self.company.pay, reference),
            "pend": partial(self.company.pend, reference),
            "fail": partial(self.company.fail, reference),
        }

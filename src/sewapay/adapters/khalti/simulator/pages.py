"""Khalti's payment page: a test wallet signs in with its number and MPIN, then pays (or lets it pend) with the OTP."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, urlsplit

from attrs import frozen

from sewapay.adapters.khalti.simulator.ledger import Simulator
from sewapay.adapters.khalti.simulator.payments import Status
from sewapay.standins.clock import nepal_time
from sewapay.standins.exchange import Reply, Request
from sewapay.standins.pages import Templates, rupees
from sewapay.standins.payment_page import NotThePayer, PaymentPage
from sewapay.standins.refusals import UnknownPayment

WALLETS: Final = frozenset(f"980000000{digit}" for digit in range(6))
MPIN: Final = "1111"
OTP: Final = "987654"
"""The payers that Khalti's sandbox knows (Khalti docs, test credentials)."""

CLOSED: Final = MappingProxyType(
    {
        Status.PENDING: "This payment is still being processed.",
        Status.COMPLETED: "This payment has been made already.",
        Status.USER_CANCELED: "This payment was canceled.",
        Status.EXPIRED: "This payment link has expired.",
        Status.PARTIALLY_REFUNDED: "This payment was made, and part of it given back.",
        Status.REFUNDED: "This payment was made, and given back.",
    }
)
"""What a person reads who comes to a payment that is no longer open."""


@frozen
class Page(PaymentPage[Simulator]):
    """Khalti's page. It has an address of its own, which initiate gives out: `/?pidx=`."""

    templates = Templates(Path(__file__).with_name("templates"))
    otp = OTP
    login = "continue"
    payer = "mobile"

    def is_open(self, reference: str) -> bool:
        """Until it is paid or ended, or its time has passed."""
        return self.company.find(reference).status(self.company.now()) is Status.INITIATED

    def shown(self, reference: str) -> Mapping[str, str]:
        """What the merchant told at initiate, and until when the link lives."""
        payment = self.company.find(reference)
        purchase, state = payment.purchase, payment.status(self.company.now())
        return {
            "reference": reference,
            "about": purchase.purchase_order_name,
            "order": purchase.purchase_order_id,
            "amount": rupees(purchase.amount),
            "shop": urlsplit(purchase.website_url).netloc.rpartition("@")[2],
            "valid_until": nepal_time(self.company.stated(payment.expires_at))[11:16],
            "state": state.value,
            "sentence": CLOSED.get(state, "This payment is open."),
            "back": purchase.website_url,
        }

    def log_in(self, _reference: str, payer: str, sent: Mapping[str, str]) -> None:
        """A wallet's number and its MPIN."""
        if payer not in WALLETS:
            raise NotThePayer("That is no test wallet: take 9800000000 to 9800000005.")
        if sent.get("mpin", "").strip() != MPIN:
            raise NotThePayer("That MPIN is wrong: every test wallet has 1111.")

    def endings(self, reference: str, payer: str) -> Mapping[str, Callable[[], object]]:
        """The wallet's number goes back to the merchant."""
        return {
            "pay": partial(self.company.pay, reference, mobile=payer),
            "pend": partial(self.company.pend, reference, mobile=payer),
        }

    def front(self, request: Request) -> Reply:
        """GET `/`: the payment page of `?pidx=`, or without one a few words about what this is."""
        pidx = request.query.get("pidx", "")
        if not pidx:
            return super().front(request)
        try:
            return self.first(pidx)
        except UnknownPayment:
            return self.unknown()

    def reloaded(self, reference: str) -> Reply:
        """Back to the page's own address."""
        location = f"/?pidx={quote(reference, safe='')}"
        return Reply(status=303, content_type="", headers=(("location", location),))

"""The stand-in's payment page: plain forms that work without script, for a person with a browser.

A test wallet signs in with number and MPIN, then pays (or lets the payment pend) with the OTP; it may cancel or let the
link expire at any time, or just close the tab. Every ending sends the browser to the merchant's return_url with 302.
Between the two steps the browser carries a ticket that binds the payment to the wallet; the stand-in remembers nobody.
"""

import hmac
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, urlsplit

from sewapay.adapters.khalti.simulator.ledger import Simulator
from sewapay.adapters.khalti.simulator.payments import SimulatedPayment, Status
from sewapay.standins.clock import nepal_time
from sewapay.standins.exchange import MOST_CONTROL_BYTES, Reply, Request, form_of
from sewapay.standins.pages import Templates, back_to_shop, rupees
from sewapay.standins.refusals import NotPossible, UnknownPayment

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

_PAGES: Final = Templates(Path(__file__).with_name("templates"))


def front(simulator: Simulator, request: Request) -> Reply:
    """GET `/`: the payment page of `?pidx=`, or without one a few words about what this is."""
    pidx = request.query.get("pidx", "")
    if not pidx:
        return _PAGES.page(200, "front.html")
    try:
        payment = simulator.find(pidx)
    except UnknownPayment:
        return _PAGES.page(404, "unknown.html")
    return _first_step(simulator, payment)


def form(simulator: Simulator, request: Request) -> Reply:
    """POST `/pay/{pidx}/{step}`: one of the page's forms. A GET, as after a reload, leads back to the page."""
    _, _, pidx, step = request.path.split("/", 3)
    if request.method != "POST":
        return Reply(status=303, content_type="", headers=(("location", f"/?pidx={quote(pidx, safe='')}"),))
    if len(request.body) > MOST_CONTROL_BYTES:
        return too_large()
    try:
        payment = simulator.find(pidx)
        sent = form_of(request)
        match step:
            case "continue":
                return _sign_in(simulator, payment, sent)
            case "pay" | "pend":
                return _confirm(simulator, payment, sent, step)
            case "cancel":
                simulator.cancel(pidx)
            case "expire":
                simulator.expire(pidx)
            case _:
                return _PAGES.page(404, "unknown.html")
        return back_to_shop(simulator.left(pidx))
    except UnknownPayment:
        return _PAGES.page(404, "unknown.html")
    except NotPossible:
        return _closed(simulator, simulator.find(pidx), 409)


def too_large() -> Reply:
    """A form beyond what the page ever sends."""
    return _PAGES.page(413, "unknown.html")


def _first_step(simulator: Simulator, payment: SimulatedPayment, error: str = "") -> Reply:
    if payment.status(simulator.now()) is not Status.INITIATED:
        return _closed(simulator, payment, 200)
    return _PAGES.page(422 if error else 200, "sign_in.html", error=error, **_summary(simulator, payment))


def _sign_in(simulator: Simulator, payment: SimulatedPayment, sent: Mapping[str, str]) -> Reply:
    mobile = sent.get("mobile", "").strip()
    if payment.status(simulator.now()) is not Status.INITIATED:
        return _closed(simulator, payment, 409)
    if mobile not in WALLETS:
        return _first_step(simulator, payment, "That is no test wallet: take 9800000000 to 9800000005.")
    if sent.get("mpin", "").strip() != MPIN:
        return _first_step(simulator, payment, "That MPIN is wrong: every test wallet has 1111.")
    return _second_step(simulator, payment, mobile)


def _second_step(simulator: Simulator, payment: SimulatedPayment, mobile: str, error: str = "") -> Reply:
    ticket = _ticket(simulator, payment, mobile)
    return _PAGES.page(
        422 if error else 200, "confirm.html", error=error, mobile=mobile, ticket=ticket, **_summary(simulator, payment)
    )


def _confirm(simulator: Simulator, payment: SimulatedPayment, sent: Mapping[str, str], step: str) -> Reply:
    mobile = sent.get("mobile", "")
    if payment.status(simulator.now()) is not Status.INITIATED:
        return _closed(simulator, payment, 409)
    if not hmac.compare_digest(sent.get("ticket", "").encode(), _ticket(simulator, payment, mobile).encode()):
        return _first_step(simulator, payment, "Please sign in first.")
    if sent.get("otp", "").strip() != OTP:
        return _second_step(simulator, payment, mobile, "That OTP is wrong: the stand-in always sends 987654.")
    if step == "pay":
        return back_to_shop(simulator.pays(payment.pidx, lambda: simulator.pay(payment.pidx, mobile=mobile)))
    simulator.pend(payment.pidx, mobile=mobile)
    return back_to_shop(simulator.left(payment.pidx))


def _ticket(simulator: Simulator, payment: SimulatedPayment, mobile: str) -> str:
    return hmac.digest(simulator.ticket_key, f"{payment.pidx} {mobile}".encode(), "sha256").hex()


def _closed(simulator: Simulator, payment: SimulatedPayment, status: int) -> Reply:
    state = payment.status(simulator.now())
    sentence = CLOSED.get(state, "This payment is open.")
    return _PAGES.page(status, "closed.html", state=state.value, sentence=sentence, **_summary(simulator, payment))


def _summary(simulator: Simulator, payment: SimulatedPayment) -> dict[str, str]:
    return {
        "pidx": payment.pidx,
        "purchase": payment.purchase.purchase_order_name,
        "order": payment.purchase.purchase_order_id,
        "amount": rupees(payment.purchase.amount),
        "website": payment.purchase.website_url,
        "shop": urlsplit(payment.purchase.website_url).netloc.rpartition("@")[2],
        "valid_until": nepal_time(simulator.stated(payment.expires_at))[11:16],
    }

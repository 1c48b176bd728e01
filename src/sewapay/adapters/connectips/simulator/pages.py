"""The stand-in's payment page: plain forms that work without script, for a person with a browser.

It is what the shop's form is answered with. A test user chooses a bank account and logs in, then pays (or lets the
payment pend, or the bank refuse) with the OTP; they may cancel or let the session end at any time, or just close the
tab. Every ending sends the browser to the registered address. Between the two steps the browser carries a ticket.
"""

import hmac
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from sewapay.adapters.connectips.simulator.ledger import Simulator
from sewapay.adapters.connectips.simulator.payment import OPEN, SimulatedPayment, Step
from sewapay.standins.exchange import MOST_CONTROL_BYTES, Reply, Request, form_of
from sewapay.standins.pages import Templates, back_to_shop, rupees
from sewapay.standins.refusals import NotPossible, UnknownPayment

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

_PAGES: Final = Templates(Path(__file__).with_name("templates"))


def front() -> Reply:
    """A few words about what this is."""
    return _PAGES.page(200, "front.html")


def first(simulator: Simulator, payment: SimulatedPayment, error: str = "") -> Reply:
    """The page to log in at, or what became of a payment that is no longer open."""
    if payment.step(simulator.now()) not in OPEN:
        return _closed(simulator, payment, 200)
    return _PAGES.page(422 if error else 200, "log_in.html", error=error, **_summary(simulator, payment))


def refused(status: int, code: str, sentence: str) -> Reply:
    """The page for a form that is not taken."""
    return _PAGES.page(status, "refused.html", code=code, sentence=sentence)


def form(simulator: Simulator, request: Request) -> Reply:
    """POST `/pay/{TXNID}/{step}`: one of the page's forms. A GET, as after a reload, shows the page."""
    _, _, txn_id, step = request.path.split("/", 3)
    if len(request.body) > MOST_CONTROL_BYTES:
        return too_large()
    try:
        payment = simulator.find(txn_id)
        if request.method != "POST":
            return first(simulator, payment)
        sent = form_of(request)
        match step:
            case "login":
                return _log_in(simulator, payment, sent)
            case "pay" | "pend" | "fail":
                return _confirm(simulator, payment, sent, step)
            case "cancel":
                simulator.cancel(txn_id)
            case "expire":
                simulator.expire(txn_id)
            case _:
                return _PAGES.page(404, "unknown.html")
        return back_to_shop(simulator.left(txn_id))
    except UnknownPayment:
        return _PAGES.page(404, "unknown.html")
    except NotPossible:
        return _closed(simulator, simulator.find(txn_id), 409)


def too_large() -> Reply:
    """A form beyond what a page ever sends."""
    return _PAGES.page(413, "unknown.html")


def _log_in(simulator: Simulator, payment: SimulatedPayment, sent: Mapping[str, str]) -> Reply:
    if payment.step(simulator.now()) not in OPEN:
        return _closed(simulator, payment, 409)
    if (sent.get("user", "").strip(), sent.get("password", "")) != (USER, USERS_PASSWORD):
        return first(simulator, payment, "That is not the test user: it is standin, with the password standin.")
    return _second(simulator, simulator.log_in(payment.txn_id))


def _second(simulator: Simulator, payment: SimulatedPayment, error: str = "") -> Reply:
    ticket = _ticket(simulator, payment)
    status = 422 if error else 200
    return _PAGES.page(status, "confirm.html", error=error, ticket=ticket, **_summary(simulator, payment))


def _confirm(simulator: Simulator, payment: SimulatedPayment, sent: Mapping[str, str], step: str) -> Reply:
    if payment.step(simulator.now()) not in OPEN:
        return _closed(simulator, payment, 409)
    if not hmac.compare_digest(sent.get("ticket", "").encode(), _ticket(simulator, payment).encode()):
        return first(simulator, payment, "Please log in first.")
    if sent.get("otp", "").strip() != OTP:
        return _second(simulator, payment, "That OTP is wrong: the stand-in always sends 123456.")
    if step == "pay":
        return back_to_shop(simulator.pays(payment.txn_id))
    (simulator.pend if step == "pend" else simulator.fail)(payment.txn_id)
    return back_to_shop(simulator.left(payment.txn_id))


def _ticket(simulator: Simulator, payment: SimulatedPayment) -> str:
    return hmac.digest(simulator.ticket_key, payment.txn_id.encode(), "sha256").hex()


def _closed(simulator: Simulator, payment: SimulatedPayment, status: int) -> Reply:
    step = payment.step(simulator.now())
    return _PAGES.page(
        status,
        "closed.html",
        state=step.value,
        sentence=CLOSED.get(step, "This payment is open."),
        back=simulator.left(payment.txn_id).return_url,
        **_summary(simulator, payment),
    )


def _summary(simulator: Simulator, payment: SimulatedPayment) -> dict[str, str]:
    return {
        "txn_id": payment.txn_id,
        "merchant": payment.form.posted["APPNAME"],
        "remarks": payment.form.posted["REMARKS"],
        "amount": rupees(payment.form.amount),
        "shop": urlsplit(simulator.quirks.return_url).netloc.rpartition("@")[2],
    }

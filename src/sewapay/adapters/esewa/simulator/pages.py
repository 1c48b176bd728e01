"""The stand-in's payment page: plain forms that work without script, for a person with a browser.

It is what the shop's form is answered with. A test user logs in with eSewa ID and password, then pays (or lets the
payment pend, or leaves it ambiguous) with the OTP; they may cancel or end the session at any time, or just close
the tab. Every ending sends the browser back to the shop. Between the two steps the browser carries a ticket that binds
the payment to the user; the stand-in remembers nobody.
"""

import hmac
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from sewapay.adapters.esewa.simulator.ledger import Simulator
from sewapay.adapters.esewa.simulator.payment import OPEN, SimulatedPayment, Step
from sewapay.standins.clock import nepal_time
from sewapay.standins.exchange import MOST_CONTROL_BYTES, Reply, Request, form_of
from sewapay.standins.pages import Templates, back_to_shop, rupees
from sewapay.standins.refusals import NotPossible, UnknownPayment

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

_PAGES: Final = Templates(Path(__file__).with_name("templates"))


def front() -> Reply:
    """A few words about what this is."""
    return _PAGES.page(200, "front.html")


def first(simulator: Simulator, payment: SimulatedPayment, error: str = "") -> Reply:
    """The page to log in at, or what became of a payment that is no longer open."""
    if payment.step(simulator.now()) not in OPEN:
        return _closed(simulator, payment, 200)
    return _PAGES.page(422 if error else 200, "log_in.html", error=error, **_summary(payment))


def refused(status: int, code: str, sentence: str) -> Reply:
    """The page for a form that is not taken."""
    return _PAGES.page(status, "refused.html", code=code, sentence=sentence)


def form(simulator: Simulator, request: Request) -> Reply:
    """POST `/pay/{transaction_uuid}/{step}`: one of the page's forms. A GET, as after a reload, shows the page."""
    _, _, uuid, step = request.path.split("/", 3)
    if len(request.body) > MOST_CONTROL_BYTES:
        return too_large()
    try:
        payment = simulator.find(uuid)
        if request.method != "POST":
            return first(simulator, payment)
        sent = form_of(request)
        match step:
            case "login":
                return _log_in(simulator, payment, sent)
            case "pay" | "pend" | "ambiguous":
                return _confirm(simulator, payment, sent, step)
            case "cancel":
                simulator.cancel(uuid)
            case "expire":
                simulator.expire(uuid)
            case _:
                return _PAGES.page(404, "unknown.html")
        return back_to_shop(simulator.left(uuid))
    except UnknownPayment:
        return _PAGES.page(404, "unknown.html")
    except NotPossible:
        return _closed(simulator, simulator.find(uuid), 409)


def too_large() -> Reply:
    """A form beyond what a page ever sends."""
    return _PAGES.page(413, "unknown.html")


def _log_in(simulator: Simulator, payment: SimulatedPayment, sent: Mapping[str, str]) -> Reply:
    esewa_id = sent.get("esewa_id", "").strip()
    if payment.step(simulator.now()) not in OPEN:
        return _closed(simulator, payment, 409)
    if esewa_id not in USERS:
        return first(simulator, payment, "That is no test ID: take 9806800001 to 9806800005.")
    if sent.get("password", "") != PASSWORD:
        return first(simulator, payment, "That password is wrong: every test ID has Nepal@123.")
    return _second(simulator, simulator.log_in(payment.transaction_uuid, esewa_id=esewa_id), esewa_id)


def _second(simulator: Simulator, payment: SimulatedPayment, esewa_id: str, error: str = "") -> Reply:
    return _PAGES.page(
        422 if error else 200,
        "confirm.html",
        error=error,
        esewa_id=esewa_id,
        ticket=_ticket(simulator, payment, esewa_id),
        pay_until=nepal_time(simulator.stated(payment.dies_at))[11:16] if payment.dies_at else "",
        **_summary(payment),
    )


def _confirm(simulator: Simulator, payment: SimulatedPayment, sent: Mapping[str, str], step: str) -> Reply:
    uuid, esewa_id = payment.transaction_uuid, sent.get("esewa_id", "")
    if payment.step(simulator.now()) not in OPEN:
        return _closed(simulator, payment, 409)
    if not hmac.compare_digest(sent.get("ticket", "").encode(), _ticket(simulator, payment, esewa_id).encode()):
        return first(simulator, payment, "Please log in first.")
    if sent.get("otp", "").strip() != OTP:
        return _second(simulator, payment, esewa_id, "That OTP is wrong: the stand-in always sends 123456.")
    if step == "pay":
        return back_to_shop(simulator.pays(uuid))
    (simulator.pend if step == "pend" else simulator.leave_ambiguous)(uuid)
    return back_to_shop(simulator.left(uuid))


def _ticket(simulator: Simulator, payment: SimulatedPayment, esewa_id: str) -> str:
    return hmac.digest(simulator.ticket_key, f"{payment.transaction_uuid} {esewa_id}".encode(), "sha256").hex()


def _closed(simulator: Simulator, payment: SimulatedPayment, status: int) -> Reply:
    now = simulator.now()
    return _PAGES.page(
        status,
        "closed.html",
        state=payment.status(now).value,
        sentence=CLOSED.get(payment.step(now), "This payment is open."),
        back=payment.form.failure_url,
        **_summary(payment),
    )


def _summary(payment: SimulatedPayment) -> dict[str, str]:
    return {
        "uuid": payment.transaction_uuid,
        "merchant": payment.form.product_code,
        "amount": rupees(payment.form.total),
        "shop": urlsplit(payment.form.success_url).netloc.rpartition("@")[2],
    }

"""ePay v2 as eSewa documents it: the address that the shop's form is posted to, and the status check.

What eSewa does not document is marked "our guess".
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from sewapay.adapters.esewa.simulator.amounts import as_double, paisa_of
from sewapay.adapters.esewa.simulator.ledger import Simulator
from sewapay.adapters.esewa.simulator.pages import Page
from sewapay.adapters.esewa.simulator.payment import HAVE_A_REF_ID, Status
from sewapay.adapters.esewa.simulator.quirks import Quirks
from sewapay.standins.exchange import Reply, Request, form_of, html_reply, json_reply

FORM: Final = "/api/epay/main/v2/form"
STATUS: Final = "/api/epay/transaction/status/"
ROUTES: Final[Mapping[str, str]] = {FORM: "form", STATUS: "status"}
"""eSewa's two addresses, and the names that faults know them by."""

ASKED: Final = ("product_code", "total_amount", "transaction_uuid")
"""What a status check has to name (ePay docs, status check)."""

UNAVAILABLE: Final = {"code": 0, "error_message": "Service is currently unavailable"}
"""What a status check says during an outage (ePay docs, status check)."""

_OLD_NAMES: Final[Mapping[str, str]] = {
    "product_code": "productCode",
    "transaction_uuid": "transactionUuid",
    "total_amount": "totalAmount",
    "ref_id": "refId",
}


def form(simulator: Simulator, request: Request) -> Reply:
    """POST of the shop's form by the payer's browser: check everything, then show the page to pay at.

    What is wrong is told to the person in front of the browser, as an HTML page; the shop hears nothing.
    """
    return Page(simulator).entered(request, lambda fields: simulator.post(fields).transaction_uuid)


def status(simulator: Simulator, request: Request) -> Reply:
    """GET of the status check. Nobody has to prove who they are; the three values have to fit a payment.

    Another amount or another product code finds nothing: our guess. Amounts are compared by value.
    """
    if request.method not in ("GET", "HEAD"):
        return _error(405, "Only GET is allowed.")
    quirks = simulator.quirks
    if quirks.outage is not None:
        return json_reply(quirks.outage, UNAVAILABLE)
    code, total, uuid = (request.query.get(name, "") for name in ASKED)
    paisa = paisa_of(total)
    if not code or not uuid or paisa is None:
        return _error(400, f"{', '.join(ASKED)} are required.")
    found = simulator.look_up(uuid, product_code=code, total=paisa)
    told = found.told(simulator.now()) if found else Status.NOT_FOUND
    answer = {
        "product_code": code,
        "transaction_uuid": uuid,
        "total_amount": _number(paisa, quirks),
        "status": told.value,
        "ref_id": found.transaction_code if found and told in HAVE_A_REF_ID else None,
    }
    if quirks.camel_case:
        answer = {_OLD_NAMES.get(name, name): value for name, value in answer.items()}
    return json_reply(200, answer)


def not_found() -> Reply:
    """Any other path."""
    return html_reply(404, "<!doctype html><title>Not Found</title><h1>Not Found</h1>")


def uuid_meant(request: Request) -> str | None:
    """The transaction_uuid that a request is about: in the form, or in the query of a status check."""
    fields = request.query if request.path == STATUS else form_of(request)
    return fields.get("transaction_uuid")


def _number(paisa: int, quirks: Quirks) -> msgspec.Raw:
    """Rupees as a JSON number: `100.0`, or `100` where the quirk asks for it and there are no paisa."""
    is_whole = paisa % 100 == 0
    text = str(paisa // 100) if quirks.integer_total and is_whole else as_double(paisa)
    return msgspec.Raw(text.encode())


def _error(status: int, sentence: str) -> Reply:
    """A status check that cannot be understood: our guess, after the one error body that is documented."""
    return json_reply(status, {"code": 0, "error_message": sentence})


ANSWERS: Final[Mapping[str, Callable[[Simulator, Request], Reply]]] = {"form": form, "status": status}
"""What each of eSewa's routes does, by the name that faults know it by."""

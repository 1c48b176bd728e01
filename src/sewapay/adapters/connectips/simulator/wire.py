"""connectIPS's wire as NCHL documents it: the page that the shop's form is posted to, and the two look-ups.

What NCHL does not document is marked "our guess".
"""

import base64
import hmac
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import msgspec

from sewapay.adapters.connectips.simulator.ledger import Simulator
from sewapay.adapters.connectips.simulator.pages import Page
from sewapay.adapters.connectips.simulator.payment import SimulatedPayment, Told
from sewapay.adapters.connectips.simulator.validation import question_of
from sewapay.standins.exchange import NotJson, Reply, Request, form_of, html_reply, json_reply, named_in, parsed
from sewapay.standins.refusals import Wrong

FORM: Final = "/connectipswebgw/loginpage"
VALIDATION: Final = "/connectipswebws/api/creditor/validatetxn"
DETAILS: Final = "/connectipswebws/api/creditor/gettxndetail"
ROUTES: Final[Mapping[str, str]] = {FORM: "form", VALIDATION: "validatetxn", DETAILS: "gettxndetail"}
"""connectIPS's addresses, and the names that faults know them by."""


def form(simulator: Simulator, request: Request) -> Reply:
    """POST of the shop's form by the payer's browser: check everything, then show the page to pay at.

    What is wrong is told to the person in front of the browser, as an HTML page (our guess); the shop hears nothing.
    """
    return Page(simulator).entered(request, lambda fields: simulator.post(fields).txn_id)


def look_up(on: str, simulator: Simulator, request: Request) -> Reply:
    """POST of a look-up (docs, "Payment Validation" and "Transaction Details"): the same question to both addresses."""
    if request.method != "POST":
        return json_reply(405, {"error": "Only POST is allowed."})
    if on == "gettxndetail" and not simulator.quirks.details:
        return not_found()
    if not _is_known(simulator, request):
        return Reply(status=401, headers=(("www-authenticate", 'Basic realm="connectIPS"'),), body=b'{"error":"no"}')
    try:
        txn_id, amount = question_of(parsed(request.body), simulator.merchant)
    except NotJson as wrong:
        return json_reply(400, {"error": str(wrong)})
    except Wrong as wrong:  # that an error of the question comes like this is our guess
        return json_reply(200, {"status": "ERROR", "statusDesc": wrong.sentence})
    found = simulator.look_up(txn_id, amount, counted=on == "validatetxn")
    told = found.told(simulator.now()) if found else Told.NOT_FOUND
    answer = _common(simulator, txn_id, told)
    if on == "gettxndetail" and found and told is Told.SUCCESSFUL:
        return json_reply(200, {**answer, **_details(simulator, found)})
    return json_reply(200, {**answer, "txnAmt": amount if simulator.quirks.number else str(amount)})


def not_found() -> Reply:
    """Any other path."""
    return html_reply(404, "<!doctype html><title>Not Found</title><h1>Not Found</h1>")


def txn_id_meant(request: Request) -> str | None:
    """The TXNID that a request is about: in the form, or as `referenceId` in a look-up."""
    return form_of(request).get("TXNID") if request.path == FORM else named_in(request, "referenceId")


def _is_known(simulator: Simulator, request: Request) -> bool:
    """HTTP's Basic, by the application's id and its password."""
    known = f"{simulator.merchant.app_id}:{simulator.merchant.password}".encode()
    wanted = f"Basic {base64.b64encode(known).decode()}"
    return hmac.compare_digest(request.headers.get("authorization", "").encode(), wanted.encode())


def _common(simulator: Simulator, txn_id: str, told: Told) -> dict[str, object]:
    is_misspelled = simulator.quirks.misspelled and told is Told.SUCCESSFUL
    return {
        "merchantId": int(simulator.merchant.id),
        "appId": simulator.merchant.app_id,
        "referenceId": txn_id,
        "token": None,
        "status": told.status,
        "statusDesc": "TRANSACTION SUCESSFULL" if is_misspelled else told.value,
    }


def _details(simulator: Simulator, payment: SimulatedPayment) -> dict[str, object]:
    """What `gettxndetail` has besides, for a payment that was made; amounts in paisa with a point, as in the docs."""
    paid_at = simulator.stated(payment.paid_at or payment.entered_at)
    return {
        "txnAmt": msgspec.Raw(f"{payment.form.amount}.00".encode()),
        "debitBankCode": "2501",
        "txnId": payment.number,
        "batchId": 700_000_000 + (payment.number or 0),
        "txnDate": int(paid_at.timestamp() * 1000),
        "txnCrncy": None,
        "chargeAmt": msgspec.Raw(b"200.00"),
        "chargeLiability": "CG",
        "refId": payment.form.posted["REFERENCEID"],
        "remarks": payment.form.posted["REMARKS"],
        "particulars": payment.form.posted["PARTICULARS"],
        "creditStatus": "000",
    }


ANSWERS: Final[Mapping[str, Callable[[Simulator, Request], Reply]]] = {
    "form": form,
    "validatetxn": partial(look_up, "validatetxn"),
    "gettxndetail": partial(look_up, "gettxndetail"),
}
"""What each of connectIPS's routes does, by the name that faults know it by."""

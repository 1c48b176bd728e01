"""The e-payment API as Khalti documents it: initiate, look-up, refund, and the two envelopes of their errors.

Validation errors are `{field: [messages], ..., "error_key": "validation_error"}`, all wrong fields at once; errors of
authentication are `{"detail": ..., "status_code": 401}` (Khalti docs, generic errors). What Khalti does not document is
marked "our guess" and mostly follows the framework that its answers look like, Django REST framework.
"""

import hmac
import re
from collections.abc import Callable
from typing import Final

from sewapay.adapters.khalti.simulator.ledger import Simulator
from sewapay.adapters.khalti.simulator.payments import PAID, SimulatedPayment, Status
from sewapay.adapters.khalti.simulator.validation import Invalid, Wrong, purchase_of, refund_of, required_text
from sewapay.standins.clock import nepal_time
from sewapay.standins.exchange import NotJson, Reply, Request, html_reply, json_reply, named_in, parsed
from sewapay.standins.refusals import NotPossible, UnknownPayment

ENDED_UNPAID: Final = frozenset({Status.EXPIRED, Status.USER_CANCELED})
"""The states that a look-up tells with HTTP 400, its body as ever (Khalti docs, lookup table)."""

INITIATE: Final = "/api/v2/epayment/initiate/"
LOOKUP: Final = "/api/v2/epayment/lookup/"
REFUND: Final = re.compile(r"/api(?P<below>/v2|/v2/epayment)?/merchant-transaction/(?P<transaction>[^/]+)/refund/")
"""Refunds are documented without `/v2`; below it, and below `/v2/epayment`, public code asks for them."""

Fields = dict[str, object]
Step = Callable[[Fields, str], Reply]
"""What to do with the fields of an authorized request; the second argument is the merchant's key."""


class _Unauthorized(Exception):
    """The request does not carry a key that the stand-in takes; the text is Khalti's `detail`."""


def route_of(simulator: Simulator, path: str) -> str | None:
    """The name that faults know a path by: `initiate`, `lookup` or `refund`; None for a path that Khalti has not."""
    if path in (INITIATE, LOOKUP):
        return "initiate" if path == INITIATE else "lookup"
    refund_path = REFUND.fullmatch(path)
    is_taken = refund_path and (refund_path["below"] is None or simulator.quirks.any_refund_path)
    return "refund" if is_taken else None


def pidx_meant(simulator: Simulator, request: Request) -> str | None:
    """The pidx that a request is about: named in a look-up, behind the transaction id in a refund."""
    refund_path = REFUND.fullmatch(request.path)
    return simulator.pidx_paid_by(refund_path["transaction"]) if refund_path else named_in(request, "pidx")


def initiate(simulator: Simulator, request: Request) -> Reply:
    """POST `/api/v2/epayment/initiate/`: check the key, then all fields, then make a payment link."""

    def step(fields: Fields, key: str) -> Reply:
        made = simulator.open(purchase_of(fields, simulator.quirks), secret_key=key)
        return json_reply(
            200,
            {
                "pidx": made.pidx,
                "payment_url": f"{request.base_url}/?pidx={made.pidx}",
                "expires_at": nepal_time(simulator.stated(made.expires_at)),
                "expires_in": int((made.expires_at - made.created_at).total_seconds()),
            },
        )

    return _authorized(simulator, request, step)


def look_up(simulator: Simulator, request: Request) -> Reply:
    """POST `/api/v2/epayment/lookup/`: tell what is known about a pidx of this merchant."""

    def step(fields: Fields, key: str) -> Reply:
        try:
            pidx = required_text(fields, "pidx")
        except Wrong as wrong:
            raise Invalid({"pidx": [str(wrong)]}) from wrong
        try:
            found = simulator.look_up(pidx, secret_key=key)
        except UnknownPayment:
            unknown = {"detail": "Not found.", "error_key": "validation_error"}
            return json_reply(simulator.quirks.unknown_pidx_status, unknown)
        return _told(found, found.told(simulator.now()), simulator.quirks.fee)

    return _authorized(simulator, request, step)


def refund(simulator: Simulator, request: Request) -> Reply:
    """POST `/api/merchant-transaction/{transaction_id}/refund/`: give all that is left back, or `amount` paisa of it.

    The yes is documented (Khalti docs, refund); every refusal is our guess. So is that `amount` is whole paisa: the
    note there says so, and the sample shows 50.00, which is refused here. `mobile` is for payments that came from a
    bank; it is checked and not kept.
    """

    def step(fields: Fields, key: str) -> Reply:
        refund_path = REFUND.fullmatch(request.path)
        try:
            simulator.refund_transaction(
                refund_path["transaction"] if refund_path else "", refund_of(fields), secret_key=key
            )
        except UnknownPayment:
            return json_reply(404, {"detail": "Not found.", "error_key": "validation_error"})
        except NotPossible as refused:
            return json_reply(400, {"detail": str(refused), "error_key": "validation_error"})
        return json_reply(200, {"detail": "Transaction refund successful."})

    return _authorized(simulator, request, step)


def with_slash(request: Request) -> Reply:
    """A path without its trailing slash: redirected with 301, as Django does in production (our guess).

    Clients that follow a 301 turn a POST into a GET and lose its body, so they end with 405: always send the slash.
    """
    return Reply(status=301, content_type="text/html; charset=utf-8", headers=(("location", f"{request.path}/"),))


def not_found() -> Reply:
    """Any other path."""
    return html_reply(404, "<!doctype html><title>Not Found</title><h1>Not Found</h1>")


def too_large() -> Reply:
    """A body beyond what the stand-in reads (our guess: Khalti documents no limit)."""
    return json_reply(413, {"detail": "Request body is too large.", "status_code": 413}, ("connection", "close"))


def _authorized(simulator: Simulator, request: Request, step: Step) -> Reply:
    """Take the step after looking at the key, then the method, then the body: Django REST framework's order."""
    try:
        key = _key_of(request, simulator.secret_key)
    except _Unauthorized as refused:
        return json_reply(401, {"detail": str(refused), "status_code": 401}, ("www-authenticate", "Key"))
    if request.method != "POST":
        detail = f'Method "{request.method}" not allowed.'
        return json_reply(405, {"detail": detail, "status_code": 405}, ("allow", "POST, OPTIONS"))
    try:
        content = parsed(request.body)
        if not isinstance(content, dict):
            raise Invalid({"non_field_errors": ["Invalid data. Expected a dictionary."]})  # our guess
        return step(content, key)
    except NotJson as wrong:
        return json_reply(400, {"detail": f"JSON parse error - {wrong}", "error_key": "parse_error"})  # our guess
    except Invalid as invalid:
        return json_reply(400, {**invalid.messages, "error_key": "validation_error"})


def _key_of(request: Request, wanted: str | None) -> str:
    """The merchant's secret key. The scheme word is `Key` in any case: Khalti's docs send both `Key` and `key`."""
    scheme, _, key = request.headers.get("authorization", "").strip().partition(" ")
    key = key.strip()
    if scheme.lower() != "key" or not key:
        raise _Unauthorized("Authentication credentials were not provided.")
    if wanted is not None and not hmac.compare_digest(key.encode(), wanted.encode()):
        raise _Unauthorized("Invalid token.")
    return key


def _told(payment: SimulatedPayment, status: Status, fee: int) -> Reply:
    """What a look-up says (Khalti docs, lookup table). Partially refunded tells `refunded: false`: our guess."""
    paid = status in PAID
    return json_reply(
        400 if status in ENDED_UNPAID else 200,
        {
            "pidx": payment.pidx,
            "total_amount": payment.purchase.amount,
            "status": status.value,
            "transaction_id": payment.transaction_id if paid else None,
            "fee": fee if paid else 0,
            "refunded": status is Status.REFUNDED,
        },
    )

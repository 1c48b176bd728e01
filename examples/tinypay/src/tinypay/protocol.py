"""Tinypay's wire as pure functions: what is sent, and what answers mean. Sources are sections of Tinypay's docs."""

import hmac
import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from sewapay.application.errors import CheckoutRefused, ProtocolError, RefundRefused
from sewapay.application.ports import Authenticity, Order, RefundOrder, ReturnHint, ReturnMessage, Urls
from sewapay.domain.checkout import Checkout, Redirect
from sewapay.domain.errors import InvalidMoney
from sewapay.domain.money import Money
from sewapay.domain.observation import Observation, Reported
from sewapay.wire.answers import Answer, fields_of, matching, only, require_an_answer, word
from sewapay.wire.settings import Secret

# "Status words". Every other word is `Reported.UNKNOWN`.
REPORTED: Final[Mapping[str, Reported]] = MappingProxyType(
    {
        "NEW": Reported.INITIATED,
        "PROCESSING": Reported.PENDING,
        "PAID": Reported.COMPLETED,
        "CANCELED": Reported.CANCELED,
        "EXPIRED": Reported.EXPIRED,
        "PART_REFUNDED": Reported.PARTIALLY_REFUNDED,
        "REFUNDED": Reported.REFUNDED,
    }
)
MONEY: Final = frozenset({Reported.COMPLETED, Reported.PARTIALLY_REFUNDED, Reported.REFUNDED})
SIGNED: Final = ("order", "reference", "status")  # "Return": these three, in this order
NAME: Final = re.compile(r"[A-Za-z0-9_]{1,64}", re.ASCII)
ADDRESS: Final = re.compile(r"[\x21-\x7e]{1,2000}", re.ASCII)


def checkout_body(order: Order, urls: Urls) -> bytes:
    """As "Checkouts" says: the amount is rupees as text, with two decimals."""
    return _json(order=str(order.reference), amount=order.amount.rupees, return_url=urls.return_url)


def read_checkout(answer: Answer, pages: str) -> Checkout:
    """The page that was opened. It has to be one of Tinypay's (`pages`): the customer is sent there to pay."""
    if answer.status in (400, 409):
        raise CheckoutRefused(f"Tinypay refused the checkout: {_refusal(answer)}")
    fields = _fields(answer, 201)
    page, reference = matching(ADDRESS, fields.get("page")), matching(NAME, fields.get("reference"))
    if page is None or reference is None or not page.startswith(f"{pages}/"):
        raise ProtocolError("Tinypay opened a checkout without a reference, or without a page of its own")
    return Checkout(next_step=Redirect(page), gateway_reference=reference)


def look_up_body(reference: str) -> bytes:
    """As "Look-ups" says: by Tinypay's reference."""
    return _json(reference=reference)


def read_look_up(answer: Answer) -> Observation:
    """What Tinypay says about a payment: translated, and judged by nobody here."""
    if answer.status == 404 and _refusal(answer) == "unknown_payment":
        return Observation(reported=Reported.NOT_FOUND, said="unknown_payment")
    fields = _fields(answer, 200)
    said = word(fields.get("status"))
    if not said:
        raise ProtocolError("Tinypay answered a look-up without a status")
    seen = Observation(
        reported=REPORTED.get(fields["status"], Reported.UNKNOWN),
        said=said,
        amount=_money(fields.get("amount")),
        transaction_id=matching(NAME, fields.get("transaction")),
        gateway_reference=matching(NAME, fields.get("reference")),
        order_reference=matching(NAME, fields.get("order")),
    )
    wanted = (seen.amount, seen.gateway_reference, seen.order_reference, seen.transaction_id)
    if seen.reported in MONEY and None in wanted:
        raise ProtocolError(f"Tinypay answered {said} without its amount, its transaction or its names")
    return seen


def refund_body(transaction_id: str, wanted: RefundOrder) -> bytes:
    """As "Refunds" says: by the transaction, all of it or a part."""
    return _json(transaction=transaction_id, amount=wanted.amount.rupees)


def read_refund(answer: Answer) -> str:
    """Tinypay's word for yes. Only its own no is a no: whatever else is not a yes may have moved the money."""
    if answer.status in (400, 404, 409):
        raise RefundRefused(f"Tinypay refused the refund: {_refusal(answer)}")
    said = word(_fields(answer, 200).get("refund"))
    if said != "ACCEPTED":
        raise ProtocolError("Tinypay answered a refund without saying that it was made")
    return said


def read_return(message: ReturnMessage, key: Secret | None) -> ReturnHint:
    """As "Return" says: three values, and HMAC-SHA256 over them in hexadecimal. A hint; never raises."""
    values = {name: only(message, name) or "" for name in (*SIGNED, "signature")}
    return ReturnHint(
        authenticity=_authenticity(values, key),
        claims=word(values["status"]) or None,
        gateway_reference=matching(NAME, values["reference"]),
        order_reference=matching(NAME, values["order"]),
        says_paid=REPORTED.get(values["status"]) is Reported.COMPLETED,
    )


def _authenticity(values: Mapping[str, str], key: Secret | None) -> Authenticity:
    if not any(values.values()):
        return Authenticity.UNSIGNED
    text = "|".join(values[name] for name in SIGNED).encode(errors="surrogatepass")
    proof = "" if key is None else hmac.digest(key.reveal().encode(), text, "sha256").hex()
    is_ours = bool(proof) and hmac.compare_digest(proof.encode(), values["signature"].encode(errors="surrogatepass"))
    return Authenticity.SIGNED if is_ours else Authenticity.FORGED


def _fields(answer: Answer, documented: int) -> Mapping[str, Any]:
    require_an_answer(answer, "Tinypay", "TINYPAY_SECRET_KEY")
    if answer.status != documented:
        raise ProtocolError(f"Tinypay answered HTTP {answer.status}, which it does not document here")
    return fields_of(answer, "Tinypay")


def _refusal(answer: Answer) -> str:
    """As "Refusals" says: one word. An answer without it is somebody else's, and raises `ProtocolError`."""
    said = word(fields_of(answer, "Tinypay").get("error"))
    if not said:
        raise ProtocolError(f"Tinypay answered HTTP {answer.status} and gave no reason")
    return said


def _money(text: object) -> Money | None:
    try:
        return Money.from_rupees(text) if isinstance(text, str) else None
    except InvalidMoney:
        return None


def _json(**fields: str) -> bytes:
    return json.dumps(fields).encode()

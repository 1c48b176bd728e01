"""eSewa's wire: the form that we have a browser post, and how we read what comes back. Pure; nothing here connects.

Each rule names its source: eSewa's docs (its page "Epay", by section), public captures of real traffic and public code
that reads it, or "our guess". Whatever eSewa does not document becomes an error or `Reported.UNKNOWN`, and never a
success.

Signatures are in `signature.py`, rupees in `amounts.py`.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlencode

from sewapay.adapters.esewa.amounts import money_of, rupee_text
from sewapay.adapters.esewa.signature import FORM_NAMES, is_genuine, signed
from sewapay.application.errors import OutcomeUnknown, ProtocolError
from sewapay.application.ports import Authenticity, Order, ReturnHint, ReturnMessage, Urls
from sewapay.domain.money import Money
from sewapay.domain.observation import Observation, Reported
from sewapay.wire.answers import Answer, blotted, fields_of, matching, require_an_answer, word
from sewapay.wire.settings import Secret

__all__ = ["LONGEST_RETURN", "PAGE_ORIGINS", "form_fields", "merchant_of", "read_return", "read_status", "status_query"]

# eSewa docs, "Integration" and "Status Check", name three hosts below this one. Which of them a form leads on to is our
# guess, so all are let through.
PAGE_HOST: Final = "esewa.com.np"
PAGE_ORIGINS: Final = (f"https://{PAGE_HOST}", f"https://*.{PAGE_HOST}")

# eSewa docs, "Status Check", the table of responses. The spelling with two l is our guess. Words are known as they
# stand there, in capitals, and in no other dress.
_WORDS: Final[Mapping[str, Reported]] = MappingProxyType(
    {
        "COMPLETE": Reported.COMPLETED,
        "PENDING": Reported.PENDING,
        "AMBIGUOUS": Reported.AMBIGUOUS,
        "NOT_FOUND": Reported.ABSENT,
        "CANCELED": Reported.CANCELED,
        "CANCELLED": Reported.CANCELED,
        "FULL_REFUND": Reported.REFUNDED,
        "PARTIAL_REFUND": Reported.PARTIALLY_REFUNDED,
    }
)
_MONEY: Final = frozenset({Reported.COMPLETED, Reported.PARTIALLY_REFUNDED, Reported.REFUNDED})

# Public code that reads eSewa's answers knows these names too, from an older form of them.
_OLDER_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "product_code": "productCode",
        "transaction_uuid": "transactionUuid",
        "total_amount": "totalAmount",
        "ref_id": "refId",
    }
)

# Captures: seven letters and digits. Wider here, so that a longer one is no outage (our guess).
_NAME: Final = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)

# Ours. A genuine return has some 450 characters.
LONGEST_RETURN: Final = 8 * 1024

# Capture: where the address had a query already, eSewa's `?data=...` became the end of its last value.
_BLIND: Final = "?data="
_AS_STANDARD: Final = str.maketrans(" -_", "++/")


def form_fields(order: Order, urls: Urls, product_code: str, key: Secret) -> Mapping[str, str]:
    """What the browser posts (eSewa docs, "Integration": the form, and "Request Param Details").

    In the order of the documented form; all eleven are required, and none may be empty. The booking's whole amount is
    `amount`: what of it is tax or delivery is the merchant's business, and the other three are zero, as the docs ask.
    `transaction_uuid` is our order reference, letters and digits only; it is new for every form.
    """
    total = rupee_text(order.amount)
    fields = {
        "amount": total,
        "tax_amount": "0",
        "total_amount": total,
        "transaction_uuid": str(order.reference),
        "product_code": product_code,
        "product_service_charge": "0",
        "product_delivery_charge": "0",
        "success_url": urls.return_url,
        "failure_url": urls.failure_url,
        "signed_field_names": ",".join(FORM_NAMES),
    }
    return {**fields, "signature": signed(key, FORM_NAMES, fields)}


def merchant_of(order: Order, product_code: str | None) -> str | None:
    """The code that the form was posted with, whatever the settings have by now: eSewa knows the payment under that."""
    return order.form.get("product_code", product_code)


def status_query(order: Order, product_code: str) -> str:
    """The question about one payment (eSewa docs, "Status Check"), without any proof of who asks.

    The total is the text that was posted: what another one finds is not documented, probably nothing (our guess).
    """
    return urlencode(
        {
            "product_code": product_code,
            "total_amount": order.form.get("total_amount", rupee_text(order.amount)),
            "transaction_uuid": str(order.reference),
        }
    )


def read_status(answer: Answer, product_code: str) -> Observation:
    """What an answer to a status check says. Raises `KeyRefused`, `OutcomeUnknown` or `ProtocolError`.

    An outage that says so in its body comes with HTTP 200 in public code, and is no answer whatever stands beside it.
    eSewa documents no status word with an HTTP error, so none counts there: what answers so may be a proxy, or a
    framework that has no such path. But NOT_FOUND with 404, with the payment's name, says the same twice (our guess).
    """
    require_an_answer(answer, "eSewa", "ESEWA_PRODUCT_CODE")
    fields = fields_of(answer, "eSewa", literal_numbers=True)
    if fields.get("error_message") is not None:
        complaint = fields["error_message"]
        said = blotted(complaint) if isinstance(complaint, str) else "an error"
        raise OutcomeUnknown(f"eSewa could not say what became of the payment: {said}")
    if "status" not in fields:
        raise ProtocolError(f"eSewa answered a status check with HTTP {answer.status} and no status")
    is_usable = answer.is_success or (answer.status == 404 and fields["status"] == "NOT_FOUND")
    if not is_usable:
        raise ProtocolError(f"eSewa answered a status check with HTTP {answer.status}, which it does not document")
    return _observation(fields, product_code)


def read_return(message: ReturnMessage, product_code: str | None, key: Secret | None) -> ReturnHint:
    """What the browser brought back (eSewa docs, "After Successful Payment"). Never raises.

    `data` is JSON in base64, and signed. What does not verify, or is another merchant's, is forged; so is everything
    while there is no key to check it with. Whoever did not pay comes back without `data` (public code).
    """
    found = {value for name, value in message.values if name == "data"}
    found |= {value.partition(_BLIND)[2] for name, value in message.values if name != "data" and _BLIND in value}
    found.discard("")
    if not found:
        return ReturnHint(authenticity=Authenticity.UNSIGNED)
    fields = _decoded(found.pop()) if len(found) == 1 else {}
    is_ours = key is not None and is_genuine(key, fields) and fields["product_code"] == product_code
    return ReturnHint(
        authenticity=Authenticity.SIGNED if is_ours else Authenticity.FORGED,
        claims=word(fields.get("status")) or None,
        order_reference=matching(_NAME, fields.get("transaction_uuid")),
        says_paid=fields.get("status") == "COMPLETE",
    )


def _decoded(data: str) -> Mapping[str, Any]:
    """The fields in a return's `data`; none at all when it cannot be read.

    Tolerant where a browser or somebody's framework changes base64 on the way: a plus that became a space, the alphabet
    of URLs, padding that was lost (our guess). Strict about the JSON in it, with each number as its own text.
    """
    if len(data) > LONGEST_RETURN:
        return {}
    text = data.translate(_AS_STANDARD).rstrip("=")
    try:
        content = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        return fields_of(
            Answer(status=200, content_type="application/json", content=content), "eSewa", literal_numbers=True
        )
    except (binascii.Error, ValueError, ProtocolError):
        return {}


def _observation(fields: Mapping[str, Any], product_code: str) -> Observation:
    """eSewa docs, "Status Check": all five fields stand in every sample.

    The payment has to be named, whatever the word: one without a name may be said by anybody on the way, about
    anything. Where money was taken, each field has to be there and right. Elsewhere the others may be missing, since
    nothing is decided by them; what is there has to be right all the same.
    """
    said = word(fields["status"])
    if not said:
        raise ProtocolError("eSewa answered a status check with a status that is not a word")
    reported = _WORDS.get(fields["status"], Reported.UNKNOWN)
    merchant, reference = _name(fields, "product_code"), _name(fields, "transaction_uuid")
    amount, transaction_id = _amount(fields), _name(fields, "ref_id")
    if merchant not in (None, product_code):
        raise ProtocolError("eSewa answered about another merchant's payment")
    if reference is None:
        raise ProtocolError("eSewa answered a status check without naming a payment")
    if reported in _MONEY and None in (merchant, amount):
        raise ProtocolError(f"eSewa answered {said!r} without its amount or its product_code")
    if reported is Reported.COMPLETED and transaction_id is None:
        raise ProtocolError(f"eSewa answered {said!r} without a ref_id")
    return Observation(
        reported=reported, said=said, amount=amount, transaction_id=transaction_id, order_reference=reference
    )


def _amount(fields: Mapping[str, Any]) -> Money | None:
    """Rupees: a JSON number in eSewa's docs, a text in captures of returns. Whole paisa, or no answer."""
    total = _either(fields, "total_amount")
    amount = money_of(total)
    if total is not None and amount is None:
        raise ProtocolError("eSewa answered a status check whose total_amount is no whole number of paisa")
    return amount


def _name(fields: Mapping[str, Any], name: str) -> str | None:
    """One of the names in an answer. `ref_id` is null without a payment (eSewa docs); empty is taken for the same."""
    value = _either(fields, name)
    if value is None or value == "":
        return None
    known = matching(_NAME, value)
    if known is None:
        raise ProtocolError(f"eSewa answered a status check with a {name} that cannot be one")
    return known


def _either(fields: Mapping[str, Any], name: str) -> object:
    """The value under this name or its older one; both, and different, is no answer."""
    values = [fields[key] for key in (name, _OLDER_NAMES[name]) if fields.get(key) is not None]
    if len(values) == 2 and values[0] != values[1]:
        raise ProtocolError(f"eSewa answered a status check with two values of {name}")
    return values[0] if values else None

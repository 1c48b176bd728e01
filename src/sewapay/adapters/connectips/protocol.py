"""connectIPS's wire: the form that we have a browser post, and how we read what comes back. Pure.

Each rule names its source: NCHL's docs (its pages on the connectIPS gateway, by title), public code that talks to it,
or "our guess". Whatever NCHL does not document becomes an error or `Reported.UNKNOWN`, and never a success.

Amounts are whole paisa on this wire. What is signed is in `signing.py`.
"""

import base64
import json
import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any, Final

from sewapay.adapters.connectips.signing import FORM_NAMES, QUESTION_NAMES, Merchant, message
from sewapay.application.errors import GatewayError, OutcomeUnknown, ProtocolError
from sewapay.application.ports import Authenticity, Order, ReturnHint, ReturnMessage
from sewapay.domain.errors import InvalidMoney
from sewapay.domain.money import Money
from sewapay.domain.observation import Observation, Reported
from sewapay.wire.answers import LONGEST_WORD, Answer, blotted, fields_of, matching, require_an_answer, word

__all__ = [
    "DETAILS",
    "FORM",
    "PAGE_HOST",
    "PAGE_ORIGINS",
    "VALIDATION",
    "authorization",
    "day_in_nepal",
    "form_fields",
    "question",
    "read_return",
    "read_transaction",
    "read_validation",
]

# NCHL docs, "Merchant interface", "Payment Validation" and "Transaction Details".
FORM: Final = "/connectipswebgw/loginpage"
VALIDATION: Final = "/connectipswebws/api/creditor/validatetxn"
DETAILS: Final = "/connectipswebws/api/creditor/gettxndetail"

# All known hosts are below this one. Where its form leads on to is our guess, so all of them are let through.
PAGE_HOST: Final = "connectips.com"
PAGE_ORIGINS: Final = (f"https://{PAGE_HOST}", f"https://*.{PAGE_HOST}")

# NCHL docs, "Merchant interface": the longest that these may be.
MOST_REMARKS: Final = 50
MOST_PARTICULARS: Final = 100

# NCHL docs, "ValidateTxn And GetTxnDetail Response List", which explains them so:
# - UNSUCCESSFUL: the debit or the credit failed.
# - NOT FOUND: the customer did not perform the transaction.
# - INCOMPLETE: the customer left the page without entering the OTP. So no money moved, and it may yet: the same as when
#   nothing is held under our reference. Once the form is long dead, it ends the payment as expired.
# The spelling FAILED is our guess, and so is that the last two may stand beside either status.
_MEANING: Final[Mapping[tuple[str, str], Reported]] = MappingProxyType(
    {
        ("FAILED", "TRANSACTION UNSUCCESSFUL"): Reported.FAILED,
        ("FAILED", "TRANSACTION FAILED"): Reported.FAILED,
        **{
            (status, text): Reported.ABSENT
            for status in ("ERROR", "FAILED")
            for text in ("TRANSACTION NOT FOUND", "TRANSACTION INCOMPLETE")
        },
    }
)
_DENIALS: Final = frozenset(text for _, text in _MEANING)

NEPAL: Final = timezone(timedelta(hours=5, minutes=45))

# NCHL's samples: `500`, `"500"` and `1000.00`, in paisa all of them.
_PAISA: Final = re.compile(r"([0-9]{1,16})(\.0{1,4})?", re.ASCII)
_NAME: Final = re.compile(r"[\x21-\x7e]{1,64}", re.ASCII)
_REFERENCE: Final = re.compile(r"[\x21-\x7e]{1,20}", re.ASCII)

# Public code: where the registered address has a query, or is told its own again, another `?TXNID=...` follows.
_BLIND: Final = "?TXNID="
_UNFIT: Final = re.compile(r"([^\x21-\x7e]|[,=])+", re.ASCII)


def form_fields(order: Order, merchant: Merchant, day: date) -> Mapping[str, str]:
    """What the browser posts (NCHL docs, "Merchant interface"), in the documented order.

    `TXNID` is our order reference, new for every form; `day` is the date in Nepal (our guess). `REFERENCEID` is the
    booking's number, for whoever reads the statement; it decides nothing.
    """
    values = {
        "MERCHANTID": merchant.id,
        "APPID": merchant.app_id,
        "APPNAME": merchant.app_name,
        "TXNID": str(order.reference),
        "TXNDATE": day.strftime("%d-%m-%Y"),
        "TXNCRNCY": "NPR",
        "TXNAMT": str(order.amount.paisa),
        "REFERENCEID": str(int(order.booking_id)),
        "REMARKS": _plain(order, MOST_REMARKS),
        "PARTICULARS": _plain(order, MOST_PARTICULARS),
        "TOKEN": "TOKEN",
    }
    return {**values, "TOKEN": merchant.key.token(message(FORM_NAMES, values))}


def day_in_nepal(moment: datetime) -> date:
    """The date there at this moment, which is an aware one."""
    return moment.astimezone(NEPAL).date()


def question(order: Order, merchant: Merchant) -> bytes:
    """The question about one payment (NCHL docs, "Payment Validation"); the details are asked for by the same.

    Merchant, application and amount are those of the form that was posted, whatever the settings have by now.
    """
    values = {
        "MERCHANTID": _posted(order, "MERCHANTID", merchant.id),
        "APPID": _posted(order, "APPID", merchant.app_id),
        "REFERENCEID": str(order.reference),
        "TXNAMT": _posted(order, "TXNAMT", str(order.amount.paisa)),
    }
    body = {
        "merchantId": int(values["MERCHANTID"]),
        "appId": values["APPID"],
        "referenceId": values["REFERENCEID"],
        "txnAmt": int(values["TXNAMT"]),
        "token": merchant.key.token(message(QUESTION_NAMES, values)),
    }
    return json.dumps(body).encode()


def authorization(merchant: Merchant) -> str:
    """HTTP's Basic: the application's id and its password (NCHL docs, "Payment Validation")."""
    return "Basic " + base64.b64encode(f"{merchant.app_id}:{merchant.password.reveal()}".encode()).decode("ascii")


def read_validation(answer: Answer, order: Order, merchant: Merchant) -> Observation:
    """What an answer to `validatetxn` says. Raises `KeyRefused`, `OutcomeUnknown` or `ProtocolError`.

    `status` decides (NCHL docs, "Transaction Details": "to be considered"). `statusDesc` only tells apart what did not
    succeed: the sample of a success misspells it.
    """
    require_an_answer(answer, "connectIPS", "CONNECTIPS_APP_PASSWORD")
    fields = _about_us(answer, order, merchant)
    status, text = word(fields.get("status")), " ".join(word(fields.get("statusDesc")).split())
    if not status:
        raise ProtocolError(f"connectIPS answered a look-up with HTTP {answer.status} and no status")
    reference = _reference(fields)
    if status == "SUCCESS":
        return _success(fields, reference, text)
    known = _MEANING.get((status, text))
    if known is not None and (reference is not None or known is Reported.ABSENT):  # an end is somebody's by name
        return Observation(reported=known, said=f"{status}: {text}", order_reference=reference)
    if status == "ERROR":
        # Any other error is about the question, such as a token that did not verify, or about their systems. It says
        # nothing about the payment, and during an outage it would be said of every payment.
        raise OutcomeUnknown(f"connectIPS could not say what became of the payment: {blotted(text) or 'an error'}")
    if reference is None:
        # A word that anybody on the way may say, about anything.
        raise ProtocolError("connectIPS answered a look-up without naming a payment")
    # FAILED for a reason that is not documented, or a new word: nobody may be told to pay again, so a person looks.
    said = f"{status}: {blotted(text)}"[:LONGEST_WORD].strip() if status == "FAILED" else status
    return Observation(reported=Reported.UNKNOWN, said=said, order_reference=reference)


def read_transaction(answer: Answer, order: Order, merchant: Merchant) -> str | None:
    """The transaction's number (`txnId`) in an answer to `gettxndetail`; None when it does not tell. Never raises.

    NCHL docs, "Transaction Details". Nothing else is read there: that the money came was said before, with the amount.
    """
    try:
        fields = _about_us(answer, order, merchant)
    except GatewayError:
        return None
    is_told = fields.get("status") == "SUCCESS" and fields.get("referenceId") == order.reference
    return matching(_NAME, fields.get("txnId")) if is_told else None


def read_return(brought: ReturnMessage) -> ReturnHint:
    """What the browser brought back: `TXNID` and nothing else (public code), which anybody can write. Never raises."""
    named = [part for name, value in brought.values for part in _named(name, value)]
    found = {matching(_REFERENCE, part) for part in named}
    reference = found.pop() if len(found) == 1 else None
    return ReturnHint(authenticity=Authenticity.UNSIGNED, order_reference=reference)


def _named(name: str, value: str) -> list[str]:
    """The references in one value, malformed as in `?TXNID=A?TXNID=A` or not."""
    parts = value[:2000].split(_BLIND)
    return parts if name == "TXNID" else parts[1:]


def _plain(order: Order, most: int) -> str:
    """The booking's title in what surely passes: printable ASCII, without what separates fields in what is signed."""
    return _UNFIT.sub(" ", order.title).strip()[:most].strip() or f"Booking {int(order.booking_id)}"


def _posted(order: Order, name: str, otherwise: str) -> str:
    return order.form.get(name, otherwise)


def _about_us(answer: Answer, order: Order, merchant: Merchant) -> Mapping[str, Any]:
    """The fields of an answer to us. With numbers as they are written: `txnAmt` is a text in one sample of NCHL's.

    NCHL documents no answer with an HTTP error, so none counts there: it may be a proxy's, or a framework's.
    """
    if not answer.is_success:
        raise ProtocolError(f"connectIPS answered a look-up with HTTP {answer.status}, which it does not document")
    fields = fields_of(answer, "connectIPS", literal_numbers=True)
    for key, name, own in (("merchantId", "MERCHANTID", merchant.id), ("appId", "APPID", merchant.app_id)):
        if fields.get(key) not in (None, _posted(order, name, own)):
            raise ProtocolError("connectIPS answered about another merchant's payment")
    return fields


def _success(fields: Mapping[str, Any], reference: str | None, text: str) -> Observation:
    """Money was taken: our reference and the amount have to be there and right (NCHL docs, "Payment Validation")."""
    amount = _amount(fields)
    if reference is None or amount is None:
        raise ProtocolError("connectIPS answered SUCCESS without its referenceId or its txnAmt")
    reported = Reported.UNKNOWN if text in _DENIALS else Reported.COMPLETED
    said = f"SUCCESS: {text}" if text in _DENIALS else "SUCCESS"
    return Observation(reported=reported, said=said, amount=amount, order_reference=reference)


def _reference(fields: Mapping[str, Any]) -> str | None:
    name = fields.get("referenceId")
    if name is None or name == "":
        return None
    known = matching(_NAME, name)
    if known is None:
        raise ProtocolError("connectIPS answered a look-up with a referenceId that cannot be one")
    return known


def _amount(fields: Mapping[str, Any]) -> Money | None:
    """Whole paisa; only read where money was taken, since elsewhere it may be our own question's."""
    written = fields.get("txnAmt")
    if written is None:
        return None
    found = _PAISA.fullmatch(written) if isinstance(written, str) else None
    try:
        if found is not None:
            return Money(int(found[1]))
    except InvalidMoney:
        pass
    raise ProtocolError("connectIPS answered a look-up whose txnAmt is no whole number of paisa")

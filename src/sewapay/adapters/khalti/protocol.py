"""Khalti's wire: what we write and how we read what comes back. Pure; nothing here connects to anything.

Each rule names its source: Khalti's docs (its page "Web Checkout (KPG-2)", by section), public captures of real
traffic, or "our guess". Whatever Khalti does not document becomes an error or `Reported.UNKNOWN`, and never a success.

What is the same for every company's answers is in `sewapay.wire.answers`.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

from sewapay.application.errors import CheckoutRefused, ProtocolError, RefundRefused
from sewapay.application.ports import Authenticity, Order, Payer, RefundOrder, ReturnHint, ReturnMessage, Urls
from sewapay.domain.checkout import Checkout, Redirect
from sewapay.domain.errors import InvalidMoney
from sewapay.domain.money import Money
from sewapay.domain.observation import Observation, Reported
from sewapay.wire.answers import (
    LONGEST_WORD,
    Answer,
    blotted,
    complaints,
    fields_of,
    matching,
    only,
    require_an_answer,
    word,
)

__all__ = [
    "INITIATE_PATH",
    "LOOKUP_PATH",
    "PAGE_ORIGINS",
    "Answer",
    "initiate_body",
    "lookup_body",
    "read_initiate",
    "read_lookup",
    "read_refund",
    "read_return",
    "refund_body",
    "refund_path",
]

_COMPANY: Final = "Khalti"

# Khalti docs, the tables under "Initiating a Payment request" and "Payment Verification (Lookup)". With the slash: a
# POST without it may be answered by a redirect, and lose its body (our guess, from the framework's habit).
INITIATE_PATH: Final = "/epayment/initiate/"
LOOKUP_PATH: Final = "/epayment/lookup/"

# Khalti docs, "Lookup Payload Details", "Payment Status Code" and "Important note". "Canceled" was the word until 2024
# and still stands in the note; the spelling with two l is our guess. "Failed" is in the note only.
_WORDS: Final[Mapping[str, Reported]] = MappingProxyType(
    {
        "initiated": Reported.INITIATED,
        "pending": Reported.PENDING,
        "completed": Reported.COMPLETED,
        "partially refunded": Reported.PARTIALLY_REFUNDED,
        "refunded": Reported.REFUNDED,
        "user canceled": Reported.CANCELED,
        "user cancelled": Reported.CANCELED,
        "canceled": Reported.CANCELED,
        "cancelled": Reported.CANCELED,
        "expired": Reported.EXPIRED,
        "failed": Reported.FAILED,
    }
)
_MONEY: Final = frozenset({Reported.COMPLETED, Reported.PARTIALLY_REFUNDED, Reported.REFUNDED})
# Khalti docs, "Payment Status Code", for the first two; "Failed" is documented without an HTTP status.
_WITH_HTTP_400: Final = frozenset({Reported.EXPIRED, Reported.CANCELED, Reported.FAILED})

# Captures: 22 of an alphabet without look-alikes. Wider here, so that a longer one is no outage (our guess).
_PIDX: Final = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
_TRANSACTION: Final = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)
_VISIBLE: Final = re.compile(r"[\x21-\x7e]{1,2000}", re.ASCII)

# Khalti docs, "Success Response" (test-pay) and "How it works?" (pay); other names below khalti.com are our guess. The
# first is what a Content-Security-Policy calls the same.
PAGE_ORIGINS: Final = ("https://khalti.com", "https://*.khalti.com")
_PAYMENT_HOST: Final = re.compile(r"([a-z0-9-]+\.)*khalti\.com", re.ASCII)

# Khalti docs, "Error Responses", for the first two; the others are known to Khalti's Android SDK.
_BESIDE_REASONS: Final = frozenset({"error_key", "status_code", "meta", "error_data"})
# Fields of ours that hold a person's data, should Khalti find something wrong with them.
_ABOUT_PERSONS: Final = frozenset({"customer_info", "mobile"})

# Our guesses: Khalti documents no lengths.
LONGEST_ORDER_NAME: Final = 100
_LONGEST_LIFE_SECONDS: Final = 7 * 24 * 3600

# Where a request was not understood or not taken, which Khalti documents for 400 only. 403 and 404 are our guess: what
# was refused at the door, or has no such path, opened nothing.
_REFUSED: Final = frozenset({400, 403, 404})
# Khalti documents no error of a refund at all: which statuses say no is our guess, from the framework's habit.
_REFUND_REFUSED: Final = frozenset({400, 403, 404, 409, 422})


def initiate_body(order: Order, urls: Urls, payer: Payer) -> bytes:
    """The request for a payment link. `amount` is whole paisa (Khalti docs, "JSON Payload Details").

    `purchase_order_id` is our order reference, never the booking's id. `customer_info` holds what is known, and is
    left out when nothing is.
    """
    body: dict[str, object] = {
        "return_url": urls.return_url,
        "website_url": urls.website_url,
        "amount": order.amount.paisa,
        "purchase_order_id": str(order.reference),
        "purchase_order_name": order.title[:LONGEST_ORDER_NAME].strip() or str(order.reference),
    }
    known = {"name": payer.name, "email": payer.email, "phone": payer.phone}
    customer = {name: value for name, value in known.items() if value}
    if customer:
        body["customer_info"] = customer
    return _written(body)


def lookup_body(pidx: str) -> bytes:
    """The question about one payment (Khalti docs, "Payment Verification (Lookup)")."""
    return _written({"pidx": pidx})


def refund_path(transaction_id: str) -> str:
    """Where one payment's refund is asked for (Khalti docs, "Refund"): below the base without `/v2`, by transaction id.

    Raises `RefundRefused` for an id that would name another path; nothing is sent then.
    """
    if matching(_TRANSACTION, transaction_id) is None or not transaction_id.strip("."):
        raise RefundRefused("this payment's transaction id cannot be one of Khalti's")
    return f"/merchant-transaction/{quote(transaction_id, safe='')}/refund/"


def refund_body(wanted: RefundOrder) -> bytes:
    """All of it by an empty object, a part by its `amount` (Khalti docs, "Refund").

    The unit is our guess: the note there says paisa, the sample shows `50.00`. Whole paisa are sent. `mobile`, for
    payments that came from a bank, is left out: a look-up does not say which came from there.
    """
    return _written({} if wanted.is_all else {"amount": wanted.amount.paisa})


def read_initiate(answer: Answer, *, allowed_origin: str | None) -> Checkout:
    """The payment link in an answer to initiate (Khalti docs, "Success Response" and "Error Responses").

    `allowed_origin` (`scheme://host:port`) may lead the customer to a stand-in instead of to Khalti; None in
    production. Raises `KeyRefused`, `CheckoutRefused`, `OutcomeUnknown` or `ProtocolError`.

    `expires_in` (seconds) and `expires_at` are optional: in 2022 Khalti gave neither.
    """
    _require_an_answer(answer)
    if answer.status in _REFUSED:
        raise CheckoutRefused(f"Khalti refused the payment: {_complaints(answer)}")
    if not answer.is_success:
        raise ProtocolError(f"Khalti answered initiate with HTTP {answer.status}, which it does not document")
    fields = fields_of(answer, _COMPANY)
    pidx = _pidx(fields)
    if pidx is None:
        raise ProtocolError("Khalti answered initiate without a pidx")
    return Checkout(
        next_step=Redirect(_payment_url(fields.get("payment_url"), pidx, allowed_origin)),
        gateway_reference=pidx,
        life=_life(fields.get("expires_in")),
        expires_at=_moment(fields.get("expires_at")),
    )


def read_lookup(answer: Answer) -> Observation:
    """What an answer to a look-up says. Raises `KeyRefused`, `OutcomeUnknown` or `ProtocolError`.

    The body is read before the HTTP status: 400 with "Expired" or "User canceled" in its body is an answer like any
    other (Khalti docs, "Payment Status Code"). No other word counts beside an HTTP error: a proxy may say it. Without
    a status in the body, it is an answer only when it says "Not found." (Khalti docs, "Generic Errors"; the HTTP status
    is not documented there: 404 in public captures, 400 our guess).
    """
    _require_an_answer(answer)
    if not (answer.is_success or 400 <= answer.status <= 499):
        raise ProtocolError(f"Khalti answered a look-up with HTTP {answer.status}, which it does not document")
    fields = fields_of(answer, _COMPANY)
    if "status" in fields:
        seen = _observation(fields)
        if not answer.is_success and not (answer.status == 400 and seen.reported in _WITH_HTTP_400):
            raise ProtocolError(
                f"Khalti answered {seen.reported} with HTTP {answer.status}, which it does not document"
            )
        return seen
    if answer.status in (400, 404) and fields.get("detail") == "Not found.":
        return Observation(reported=Reported.NOT_FOUND, said="Not found.")
    raise ProtocolError(f"Khalti answered a look-up with HTTP {answer.status} and no status")


def read_refund(answer: Answer) -> str:
    """Khalti's own word for a refund that it made: `Transaction refund successful.` (Khalti docs, "Refund").

    HTTP 200 and a `detail` is all that a yes has: no amount, no id. Raises `KeyRefused`, `RefundRefused`,
    `OutcomeUnknown` or `ProtocolError`. A refusal has to be readable: a page may come from anybody on the way.
    """
    _require_an_answer(answer)
    if answer.status in _REFUND_REFUSED:
        fields_of(answer, _COMPANY)
        raise RefundRefused(f"Khalti refused the refund: {_complaints(answer)}")
    if answer.status != 200:
        raise ProtocolError(f"Khalti answered a refund with HTTP {answer.status}, which it does not document")
    detail = fields_of(answer, _COMPANY).get("detail")
    said = word(blotted(detail)) if isinstance(detail, str) else ""
    if not said:
        raise ProtocolError("Khalti answered a refund without saying that it was made")
    return said


def read_return(message: ReturnMessage) -> ReturnHint:
    """What the browser brought back (Khalti docs, "Payment Success Callback"). Nothing in it is signed.

    Never raises. A key with two different values says nothing; `txnId`, `amount` and the rest are not read at all,
    because nothing may depend on them.
    """
    return ReturnHint(
        authenticity=Authenticity.UNSIGNED,
        claims=word(only(message, "status")) or None,
        gateway_reference=matching(_PIDX, only(message, "pidx")),
        order_reference=matching(_TRANSACTION, only(message, "purchase_order_id")),
    )


def _require_an_answer(answer: Answer) -> None:
    """Khalti docs, "Generic Errors", for 401; Khalti's Android SDK expects a 503."""
    require_an_answer(answer, _COMPANY, "KHALTI_SECRET_KEY")


def _complaints(answer: Answer) -> str:
    """Khalti's short reasons (Khalti docs, "Error Responses"), with nothing of what is said about a person's data."""
    return complaints(answer, _COMPANY, about_persons=_ABOUT_PERSONS, beside=_BESIDE_REASONS)


def _written(body: Mapping[str, object]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode("ascii")


def _observation(fields: Mapping[str, Any]) -> Observation:
    """Khalti docs, "Lookup Payload Details": all six fields stand in every sample, those with HTTP 400 included.

    The payment has to be named, whatever the word: one without a name may be said by anybody on the way, about
    anything. Where money was taken, each field has to be there and right. Elsewhere the others may be missing, since
    nothing is decided by them and a refusal would leave the payment open for ever; what is there has to be right all
    the same.
    """
    said = word(fields["status"])
    if not said:
        raise ProtocolError("Khalti answered a look-up with a status that is not a word")
    reported = _WORDS.get(fields["status"].lower(), Reported.UNKNOWN)
    amount, pidx = _amount(fields.get("total_amount")), _pidx(fields)
    if pidx is None:
        raise ProtocolError("Khalti answered a look-up without naming a payment")
    if reported in _MONEY and amount is None:
        raise ProtocolError(f"Khalti answered {said!r} without its amount")
    transaction_id = _transaction(fields.get("transaction_id"))
    if reported is Reported.COMPLETED and transaction_id is None:
        raise ProtocolError(f"Khalti answered {said!r} without a transaction id")
    refunded = fields.get("refunded")
    if refunded is not None and not isinstance(refunded, bool):
        raise ProtocolError("Khalti answered a look-up whose `refunded` is neither true nor false")
    return Observation(
        reported=reported,
        said=said,
        amount=amount,
        fee=_fee(fields.get("fee")),
        transaction_id=transaction_id,
        gateway_reference=pidx,
        refunded=refunded,
    )


def _amount(total: object) -> Money | None:
    """Whole paisa (Khalti docs, samples). A float, text or a bool is not an amount, however it looks."""
    if total is None:
        return None
    money = _money(total)
    if money is None:
        raise ProtocolError("Khalti answered a look-up whose total_amount is not a whole number of paisa")
    return money


def _fee(fee: object) -> Money | None:
    """What Khalti keeps. It is not the customer's debt, so an unusable one is left out and holds up no paid booking."""
    return _money(fee)


def _money(value: object) -> Money | None:
    if type(value) is not int:
        return None
    try:
        return Money(value)
    except InvalidMoney:
        return None


def _pidx(fields: Mapping[str, Any]) -> str | None:
    pidx = fields.get("pidx")
    if pidx is None:
        return None
    if matching(_PIDX, pidx) is None:
        raise ProtocolError("Khalti answered with a pidx that cannot be one")
    return str(pidx)


def _transaction(value: object) -> str | None:
    """Null without a payment (Khalti docs, samples), empty in one capture."""
    if value is None or value == "":
        return None
    transaction_id = matching(_TRANSACTION, value)
    if transaction_id is None:
        raise ProtocolError("Khalti answered a look-up with a transaction id that cannot be one")
    return transaction_id


def _payment_url(value: object, pidx: str, allowed_origin: str | None) -> str:
    """The link, verbatim, after a look at where it leads: the customer types a password there.

    A backslash is a slash to browsers and not to us, so that no such link passes. A `pidx` in the link has to be the
    answer's: otherwise the customer would pay something else.
    """
    url = matching(_VISIBLE, value)
    try:
        parts = urlsplit(url or "")
        host, port = parts.hostname or "", parts.port
        named = parse_qs(parts.query, max_num_fields=20).get("pidx", [pidx])
    except ValueError:
        url = None
    if url is None or "\\" in url or "@" in parts.netloc:
        raise ProtocolError("Khalti answered initiate without a usable payment_url")
    is_khalti = parts.scheme == "https" and _PAYMENT_HOST.fullmatch(host) and port in (None, 443)
    named_host = f"[{host}]" if ":" in host else host
    origin = f"{parts.scheme}://{named_host}:{port or (80 if parts.scheme == 'http' else 443)}"
    if not is_khalti and (allowed_origin is None or origin != allowed_origin):
        raise ProtocolError("Khalti answered initiate with a payment_url that leads to somebody else")
    if named != [pidx]:
        raise ProtocolError("Khalti answered initiate with a payment_url of another payment")
    return url


def _life(seconds: object) -> timedelta | None:
    """How long the link lives; None for what cannot be a number of seconds."""
    if type(seconds) is not int or not 1 <= seconds <= _LONGEST_LIFE_SECONDS:
        return None
    return timedelta(seconds=seconds)


def _moment(value: object) -> datetime | None:
    """ISO 8601 with Nepal's +05:45 (Khalti docs, "Success Response"); older versions had none, so it is optional.

    Without an offset it names no moment, and is left out. Khalti's clock decides nothing here in any case.
    """
    if not isinstance(value, str) or len(value) > LONGEST_WORD:
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None

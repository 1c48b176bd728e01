"""What initiate and refund check before they do anything, field by field, with Khalti's own messages.

Messages with a constant in capitals are documented (Khalti docs, initiate, error section) or, for a missing key, a null
and a value of the wrong type, those of Django REST framework: our guess.
"""

import re
from collections.abc import Callable
from typing import Final, TypeVar
from urllib.parse import urlsplit

from sewapay.adapters.khalti.simulator.payments import YEAR_SECONDS, Purchase, Quirks

T = TypeVar("T")

MINIMUM_PAISA: Final = 1000
MINIMUM_BANK_PAISA: Final = 10_000
"""The least amounts. Both are allowed themselves, although the messages say "greater than"."""

REQUIRED: Final = "This field is required."
BLANK: Final = "This field may not be blank."
NULL: Final = "This field may not be null."
NOT_A_STRING: Final = "Not a valid string."
NOT_AN_INTEGER: Final = "A valid integer is required."
NOT_A_URL: Final = "Enter a valid URL."
BREAKDOWN_MISMATCH: Final = "Amount Breakdown mismatch."
TOO_SMALL: Final = "Amount should be greater than Rs. 10, that is 1000 paisa."
TOO_SMALL_FOR_BANK: Final = "Amount should be greater than Rs. 100, that is 10000 paisa."

_ABSENT: Final = object()
_MOST_DIGITS: Final = 100
_INTEGER: Final = re.compile(r"\s*[+-]?[0-9]+\s*", re.ASCII)
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*\.?")
_IPV6: Final = re.compile(r"[0-9a-f:.]{2,45}")
_BLANK_OR_CONTROL: Final = re.compile(r"[\s\x00-\x1f\x7f]")


class Wrong(Exception):
    """One field's value is not acceptable; the text is the message for it."""


class Invalid(Exception):
    """A request with unacceptable fields: `messages` by field, in the order of the documentation."""

    def __init__(self, messages: dict[str, list[str]]) -> None:
        super().__init__(", ".join(messages))
        self.messages = messages


def purchase_of(fields: dict[str, object], quirks: Quirks) -> Purchase:
    """What the merchant asks for. Raises Invalid with every wrong field. Unknown fields are ignored."""
    wrong: dict[str, list[str]] = {}

    def checked(name: str, check: Callable[[object], T], instead: T, *, optional: bool = False) -> T:
        if optional and name not in fields:
            return instead
        try:
            return check(fields.get(name, _ABSENT))
        except Wrong as message:
            wrong[name] = [str(message)]
            return instead

    return_url = checked("return_url", url, "")
    website_url = checked("website_url", url, "")
    amount = checked("amount", integer, 0)
    order_id = checked("purchase_order_id", text, "")
    order_name = checked("purchase_order_name", text, "")
    checked("customer_info", mapping, None, optional=True)
    parts: tuple[int, ...] = checked("amount_breakdown", _breakdown, (), optional=True)
    checked("product_details", mappings, None, optional=True)
    modes: tuple[str, ...] = checked("modes", _strings, (), optional=True)
    bank = checked("bank", text, "", optional=True)
    life_seconds = checked("ttl", _life, None, optional=True)

    direct_bank = bool(bank and modes)
    if "amount" not in wrong and (message := _amount_complaint(amount, parts, direct_bank, quirks)):
        wrong["amount"] = [message]
    if wrong:
        raise Invalid(wrong)
    return Purchase(
        amount=amount,
        purchase_order_id=order_id,
        purchase_order_name=order_name,
        return_url=return_url,
        website_url=website_url,
        merchant_extras=tuple((name, str(value)) for name, value in fields.items() if name.startswith("merchant_")),
        life_seconds=life_seconds,
    )


def refund_of(fields: dict[str, object]) -> int | None:
    """How many paisa to give back; None for all. Raises Invalid with every wrong field: our guess, all of it."""
    wrong: dict[str, list[str]] = {}
    amount: int | None = None
    try:
        if "mobile" in fields:
            text(fields["mobile"])
    except Wrong as message:
        wrong["mobile"] = [str(message)]
    try:
        if "amount" in fields:
            amount = integer(fields["amount"])
    except Wrong as message:
        wrong["amount"] = [str(message)]
    if amount is not None and amount < 1:
        wrong["amount"] = ["Ensure this value is greater than or equal to 1."]
    if wrong:
        raise Invalid(wrong)
    return amount


def required_text(fields: dict[str, object], name: str) -> str:
    """The string in a field that must be there. Raises Wrong."""
    return text(fields.get(name, _ABSENT))


def text(value: object) -> str:
    """A string that is not blank; numbers become their digits, blanks around it go."""
    value = _present(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Wrong(NOT_A_STRING)
    stripped = str(value).strip()
    if not stripped:
        raise Wrong(BLANK)
    return stripped


def url(value: object) -> str:
    """An absolute http or https address. One-word hosts pass, so that the stand-in works between containers."""
    address = text(value)
    try:
        parts = urlsplit(address)
        host, _port = (parts.hostname or "").lower(), parts.port
    except ValueError as odd:
        raise Wrong(NOT_A_URL) from odd
    known_host = _IPV6.fullmatch(host) if ":" in host else _HOST.fullmatch(_in_ascii(host))
    if parts.scheme not in ("http", "https") or not known_host or _BLANK_OR_CONTROL.search(address):
        raise Wrong(NOT_A_URL)
    return address


def integer(value: object) -> int:
    """A whole number, also as a string (Khalti docs' samples send "1000"). No decimals, not even 1000.0."""
    value = _present(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Wrong(NOT_AN_INTEGER)
    if isinstance(value, str) and (len(value) > _MOST_DIGITS or not _INTEGER.fullmatch(value)):
        raise Wrong(NOT_AN_INTEGER)
    return int(value)


def mapping(value: object) -> dict[object, object]:
    """An object."""
    value = _present(value)
    if not isinstance(value, dict):
        raise Wrong(f"Invalid data. Expected a dictionary, but got {type(value).__name__}.")
    return value


def mappings(value: object) -> list[dict[object, object]]:
    """A list of objects."""
    return [mapping(item) for item in _listed(value)]


def _amount_complaint(amount: int, parts: tuple[int, ...], direct_bank: bool, quirks: Quirks) -> str | None:
    """What is wrong with the amount in paisa, in Khalti's words. The upper bound's message is our guess."""
    least, message = (MINIMUM_BANK_PAISA, TOO_SMALL_FOR_BANK) if direct_bank else (MINIMUM_PAISA, TOO_SMALL)
    if amount < least:
        return message
    if amount > quirks.max_amount:
        return f"Ensure this value is less than or equal to {quirks.max_amount}."
    if parts and sum(parts) != amount:
        return BREAKDOWN_MISMATCH
    return None


def _breakdown(value: object) -> tuple[int, ...]:
    """The parts of the amount in paisa; a negative one is a discount. An empty list is no breakdown: our guess."""
    parts = mappings(value)
    for part in parts:
        text(part.get("label", _ABSENT))
    return tuple(integer(part.get("amount", _ABSENT)) for part in parts)


def _strings(value: object) -> tuple[str, ...]:
    return tuple(text(item) for item in _listed(value))


def _life(value: object) -> int | None:
    """`ttl` in seconds (the docs' sample has 1000 and names no unit: seconds are our guess)."""
    seconds = integer(value)
    if not 1 <= seconds <= YEAR_SECONDS:
        raise Wrong(f"Ensure this value is between 1 and {YEAR_SECONDS}.")
    return seconds


def _listed(value: object) -> list[object]:
    value = _present(value)
    if not isinstance(value, list):
        raise Wrong(f'Expected a list of items but got type "{type(value).__name__}".')
    return value


def _present(value: object) -> object:
    if value is _ABSENT:
        raise Wrong(REQUIRED)
    if value is None:
        raise Wrong(NULL)
    return value


def _in_ascii(host: str) -> str:
    try:
        return host if host.isascii() else host.encode("idna").decode()
    except UnicodeError as odd:
        raise Wrong(NOT_A_URL) from odd

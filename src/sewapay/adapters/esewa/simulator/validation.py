"""What the form's address checks before it shows a page: eleven fields, each as eSewa's docs want it.

The codes are ours but for ES104, which many report for a wrong signature: eSewa documents neither codes nor texts.
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from sewapay.adapters.esewa.simulator.amounts import paisa_of
from sewapay.adapters.esewa.simulator.payment import Form
from sewapay.adapters.esewa.simulator.quirks import Quirks
from sewapay.adapters.esewa.simulator.signature import REQUEST_NAMES, is_signed
from sewapay.standins.refusals import Wrong

FIELDS: Final = (
    "amount",
    "tax_amount",
    "total_amount",
    "transaction_uuid",
    "product_code",
    "product_service_charge",
    "product_delivery_charge",
    "success_url",
    "failure_url",
    "signed_field_names",
    "signature",
)
"""All are required and none may be empty (ePay docs, form fields)."""

PARTS: Final = ("amount", "tax_amount", "product_service_charge", "product_delivery_charge")
"""What `total_amount` has to be the sum of."""

_UUID: Final = re.compile(r"[A-Za-z0-9-]+", re.ASCII)
_UUID_WITH_UNDERSCORE: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_MOST_UUID: Final = 100
"""The longest `transaction_uuid` that is taken: our guess, eSewa documents none and 36 were seen."""

_BLANK_OR_CONTROL: Final = re.compile(r"[\s\x00-\x1f\x7f]")


def form_of(fields: Mapping[str, str], *, product_code: str | None, key: str, quirks: Quirks) -> Form:
    """What the merchant asks for. Raises Wrong with the first thing that is wrong. Unknown fields are ignored.

    `product_code` is the only one that is known, None for any; `key` is what the merchant has to sign with.
    """
    for name in FIELDS:
        if not fields.get(name):
            raise Wrong("field-missing", f"{name} is not there or empty; all of {', '.join(FIELDS)} are required.")
    _check_reference(fields["transaction_uuid"], quirks)
    if product_code is not None and fields["product_code"] != product_code:
        raise Wrong("unknown-product-code", f"No merchant has this product_code; this stand-in knows {product_code}.")
    total = _total(fields)
    for name in ("success_url", "failure_url"):
        if not _is_address(fields[name]):
            raise Wrong("no-address", f"{name} is no http or https address.")
    if fields["signed_field_names"] != REQUEST_NAMES:
        raise Wrong("signed-names", f"signed_field_names has to be {REQUEST_NAMES}.")
    if not is_signed(REQUEST_NAMES, fields, key, fields["signature"]):
        raise Wrong(
            "ES104",
            "The signature does not fit the posted values and the key that this stand-in knows. Without --secret-key "
            "that is the public key of eSewa's trial system.",
        )
    return Form(
        transaction_uuid=fields["transaction_uuid"],
        product_code=fields["product_code"],
        total=total,
        success_url=fields["success_url"],
        failure_url=fields["failure_url"],
        posted={name: fields[name] for name in FIELDS},
    )


def _check_reference(uuid: str, quirks: Quirks) -> None:
    allowed = _UUID_WITH_UNDERSCORE if quirks.underscore else _UUID
    if len(uuid) > _MOST_UUID or not allowed.fullmatch(uuid):
        raise Wrong("transaction-uuid", "transaction_uuid takes letters, digits and hyphens.")


def _total(fields: Mapping[str, str]) -> int:
    """The total in paisa, which is the sum of its parts and more than nothing (the latter is our guess)."""
    amounts: dict[str, int] = {}
    for name in (*PARTS, "total_amount"):
        paisa = paisa_of(fields[name])
        if paisa is None:
            raise Wrong("no-amount", f"{name} is no amount in rupees, such as 100 or 399.99.")
        amounts[name] = paisa
    total = amounts["total_amount"]
    if total != sum(amounts[name] for name in PARTS):
        raise Wrong("sum", f"total_amount is not the sum of {', '.join(PARTS)}.")
    if total == 0:
        raise Wrong("no-amount", "total_amount is nothing.")
    return total


def _is_address(address: str) -> bool:
    """Whether a browser can be sent there: absolute, http or https. Local hosts pass, as they do at eSewa's trials."""
    try:
        parts = urlsplit(address)
        _port = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not _BLANK_OR_CONTROL.search(address)

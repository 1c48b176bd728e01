"""How eSewa signs: base64 of HMAC-SHA256 over `name=value` pairs, joined by commas (ePay docs, signature section).

Checked against signatures that eSewa published and that its UAT system made.
"""

import base64
import hmac
from collections.abc import Mapping
from typing import Final

UAT_KEY: Final = "8gBm/:&EnhH.1/q"
UAT_PRODUCT_CODE: Final = "EPAYTEST"
"""What eSewa's trial system knows (ePay docs, test credentials). The key is public; the docs run it into a `(`."""

REQUEST_NAMES: Final = "total_amount,transaction_uuid,product_code"
"""What a merchant signs, as `signed_field_names` says it."""

RETURN_NAMES: Final = "transaction_code,status,total_amount,transaction_uuid,product_code,signed_field_names"
"""What eSewa signs when it sends the payer back. It names itself, so that the list cannot be shortened."""


def signature(names: str, values: Mapping[str, str], key: str) -> str:
    """The signature of the named values, in the order of the names."""
    message = ",".join(f"{name}={values[name]}" for name in names.split(","))
    return base64.b64encode(hmac.digest(key.encode(), message.encode(), "sha256")).decode()


def is_signed(names: str, values: Mapping[str, str], key: str, claimed: str) -> bool:
    """Whether `claimed` is the signature of the named values."""
    return hmac.compare_digest(signature(names, values, key).encode(), claimed.encode())

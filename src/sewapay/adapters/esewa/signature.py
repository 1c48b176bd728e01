"""eSewa's signatures: HMAC-SHA256 over `name=value` pairs with a shared key, in base64. Pure.

Source: eSewa's docs (its page "Epay"), "HMAC/SHA256" and "After Successful Payment", and public captures of real
returns. The same key signs what we send and what we are sent, and the customer sees our signature in the form: so what
a return's signature covers is never taken from the return itself. Somebody who did would believe a return that was made
from our own form.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from sewapay.wire.settings import Secret

__all__ = ["FORM_NAMES", "RETURN_NAMES", "is_genuine", "signed"]

# eSewa docs, "HMAC/SHA256": these three, in this order.
FORM_NAMES: Final = ("total_amount", "transaction_uuid", "product_code")

# eSewa docs, "After Successful Payment", and all of the captures: these six, the list itself among them.
RETURN_NAMES: Final = (
    "transaction_code",
    "status",
    "total_amount",
    "transaction_uuid",
    "product_code",
    "signed_field_names",
)


def signed(key: Secret, names: tuple[str, ...], fields: Mapping[str, str]) -> str:
    """The signature over these fields, in the order of `names`. Raises `UnicodeEncodeError` for what is not text."""
    message = ",".join(f"{name}={fields[name]}" for name in names)
    return base64.b64encode(hmac.digest(key.reveal().encode(), message.encode(), hashlib.sha256)).decode("ascii")


def is_genuine(key: Secret, returned: Mapping[str, object]) -> bool:
    """Whether eSewa wrote these fields of a return. Never raises.

    - It has to say that it signs exactly the six names.
    - Each value is signed as the text that stands there: `1000.0` is not `1000` (eSewa docs, the decoded example).
    - Where that fails and the total has commas in it, once more without them: captures from 2024 and 2025 show
      `6,600.0` and sign `6600.0`. Nothing else is made equal.
    """
    fields = {name: value for name in RETURN_NAMES if isinstance(value := returned.get(name), str)}
    claimed = returned.get("signature")
    if len(fields) != len(RETURN_NAMES) or not isinstance(claimed, str):
        return False
    if fields["signed_field_names"] != ",".join(RETURN_NAMES):
        return False
    totals = dict.fromkeys([fields["total_amount"], fields["total_amount"].replace(",", "")])
    try:
        proofs = [signed(key, RETURN_NAMES, {**fields, "total_amount": total}) for total in totals]
        return any(hmac.compare_digest(proof.encode(), claimed.encode()) for proof in proofs)
    except UnicodeEncodeError:
        return False

"""Where eSewa sends the payer's browser, and with what (ePay docs, success section; public captures)."""

import base64
import json

from sewapay.adapters.esewa.simulator.amounts import as_double, with_commas
from sewapay.adapters.esewa.simulator.payment import SimulatedPayment, Status
from sewapay.adapters.esewa.simulator.quirks import Quirks
from sewapay.adapters.esewa.simulator.signature import RETURN_NAMES, signature


def return_url(payment: SimulatedPayment, status: Status, quirks: Quirks, key: str) -> str:
    """The success_url with a signed `data` once the payment is complete, else the failure_url as it was posted.

    The failure_url is for those who canceled and those who are left pending alike; that it gets no `data` was seen.
    """
    if status is not Status.COMPLETE:
        return payment.form.failure_url
    address = payment.form.success_url
    joint = "?" if "?" not in address or quirks.blind_question_mark else "&"
    return f"{address}{joint}data={signed_data(payment, status, quirks, key)}"


def signed_data(payment: SimulatedPayment, status: Status, quirks: Quirks, key: str) -> str:
    """Base64 of the JSON that a return carries. Its `=` stay as they are: our guess.

    The signature covers the total without its commas (captures of 2024 and 2025).
    """
    shown = with_commas(payment.form.total) if quirks.comma else as_double(payment.form.total)
    values = {
        "transaction_code": payment.transaction_code or "",
        "status": status.value,
        "total_amount": shown.replace(",", ""),
        "transaction_uuid": payment.transaction_uuid,
        "product_code": payment.form.product_code,
        "signed_field_names": RETURN_NAMES,
    }
    signed = {**values, "signature": signature(RETURN_NAMES, values, key)}
    written = {name: json.dumps(value) for name, value in signed.items()} | {
        "total_amount": values["total_amount"] if quirks.number else json.dumps(shown)
    }
    text = "{" + ",".join(f'"{name}":{value}' for name, value in written.items()) + "}"
    return base64.b64encode(text.encode()).decode()

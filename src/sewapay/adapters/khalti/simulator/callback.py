"""Where Khalti sends the payer's browser, and with which query (Khalti docs, callback section; public captures)."""

from urllib.parse import quote, quote_plus

from sewapay.adapters.khalti.simulator.payments import PAID, Quirks, SimulatedPayment, Status


def callback_url(payment: SimulatedPayment, status: Status, quirks: Quirks) -> str:
    """The merchant's return_url with the payment's parameters. Nothing about it is signed; anybody could write it."""
    parameters = _bank(payment, status) if quirks.bank_style else _wallet(payment, status, quirks.txn_id)
    write = quote_plus if quirks.space_as_plus else quote
    query = "&".join(f"{write(name, safe='')}={write(value, safe='')}" for name, value in parameters)
    return payment.purchase.return_url + _joint(payment.purchase.return_url, quirks.blind_question_mark) + query


def _joint(return_url: str, blind: bool) -> str:
    """What stands between the merchant's address and ours; `blind` puts a second `?` behind a query, as captured."""
    if "?" not in return_url:
        return "?"
    return "/?" if blind else "&"


def _wallet(payment: SimulatedPayment, status: Status, txn_id: bool) -> list[tuple[str, str]]:
    """The documented parameters in the order of the captures.

    After a cancel the transaction's and the payer's are there but empty, and txnId is not there (Khalti docs, canceled
    sample); the same for every other state without a finished transaction is our guess.
    """
    transaction = payment.transaction_id if status in PAID and payment.transaction_id else ""
    return [
        ("pidx", payment.pidx),
        ("transaction_id", transaction),
        ("tidx", transaction),
        *([("txnId", transaction)] if txn_id and transaction else []),
        ("amount", str(payment.purchase.amount)),
        ("total_amount", str(payment.purchase.amount)),
        ("mobile", _payer(payment, status)),
        ("status", status.value),
        ("purchase_order_id", payment.purchase.purchase_order_id),
        ("purchase_order_name", payment.purchase.purchase_order_name),
        *payment.purchase.merchant_extras,
    ]


def _bank(payment: SimulatedPayment, status: Status) -> list[tuple[str, str]]:
    """The set and order of the bank capture, with `bank_reference=None` as it came; `txn` and `token` are our guess."""
    transaction = payment.transaction_id if status in PAID and payment.transaction_id else ""
    return [
        ("status", status.value),
        ("txn", transaction),
        ("token", transaction),
        ("bank_reference", "None"),
        ("amount", str(payment.purchase.amount)),
        ("mobile", _payer(payment, status)),
        ("transaction_id", transaction),
        ("tidx", transaction),
        ("total_amount", str(payment.purchase.amount)),
        ("purchase_order_id", payment.purchase.purchase_order_id),
        ("purchase_order_name", payment.purchase.purchase_order_name),
        ("pidx", payment.pidx),
        *payment.purchase.merchant_extras,
    ]


def _payer(payment: SimulatedPayment, status: Status) -> str:
    """The payer's number, masked like `98XXXXX904`; empty when nobody paid."""
    if status not in PAID | {Status.PENDING} or not payment.mobile:
        return ""
    return f"{payment.mobile[:2]}XXXXX{payment.mobile[-3:]}"

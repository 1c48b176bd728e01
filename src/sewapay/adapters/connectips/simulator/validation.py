"""What is checked before a form is taken or a question answered: names, lengths, amounts, and the merchant's signature.

NCHL's docs have the fields and their lengths ("Merchant interface"); codes and sentences are ours.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sewapay.adapters.connectips.simulator.certificate import Merchant
from sewapay.adapters.connectips.simulator.payment import Form
from sewapay.standins.refusals import Wrong

LENGTHS: Final[Mapping[str, int]] = {
    "MERCHANTID": 20,
    "APPID": 20,
    "APPNAME": 30,
    "TXNID": 20,
    "TXNDATE": 10,
    "TXNCRNCY": 3,
    "TXNAMT": 15,
    "REFERENCEID": 20,
    "REMARKS": 50,
    "PARTICULARS": 100,
    "TOKEN": 512,
}
"""All fields of the form, in the order in which they are signed. That all are required is our guess."""

_PAISA: Final = re.compile(r"[1-9][0-9]{0,14}", re.ASCII)
_DATE: Final = re.compile(r"[0-9]{2}-[0-9]{2}-[0-9]{4}", re.ASCII)


def form_of(fields: Mapping[str, str], merchant: Merchant) -> Form:
    """What the merchant asks for. Raises Wrong with the first thing that is wrong. Unknown fields are ignored."""
    for name, most in LENGTHS.items():
        if not fields.get(name):
            raise Wrong("field-missing", f"{name} is not there or empty; all of {', '.join(LENGTHS)} are required.")
        if len(fields[name]) > most:
            raise Wrong("field-too-long", f"{name} has {len(fields[name])} characters, and {most} is the most.")
    if (fields["MERCHANTID"], fields["APPID"]) != (merchant.id, merchant.app_id):
        raise Wrong("unknown-merchant", f"This stand-in knows merchant {merchant.id} with {merchant.app_id}.")
    if fields["TXNCRNCY"] != "NPR":
        raise Wrong("currency", "TXNCRNCY is NPR.")
    if not _PAISA.fullmatch(fields["TXNAMT"]):
        raise Wrong("no-amount", "TXNAMT is a whole number of paisa above nothing.")
    if not _is_date(fields["TXNDATE"]):
        raise Wrong("no-date", "TXNDATE is a date as DD-MM-YYYY.")
    for name in set(LENGTHS) - {"TOKEN"}:
        if set(",=") & set(fields[name]):
            raise Wrong("ambiguous", f"{name} holds a comma or an equals sign, which separate what is signed.")
    signed = ",".join(f"{name}={fields[name]}" for name in list(LENGTHS)[:-1])
    if not merchant.signed(f"{signed},TOKEN=TOKEN", fields["TOKEN"]):
        raise Wrong("token", "The TOKEN does not fit the posted values and the merchant's certificate.")
    return Form(txn_id=fields["TXNID"], amount=int(fields["TXNAMT"]), posted={name: fields[name] for name in LENGTHS})


def question_of(asked: object, merchant: Merchant) -> tuple[str, int]:
    """Which TXNID a look-up asks about, and with what amount. Raises Wrong (docs, "Payment Validation")."""
    if not isinstance(asked, dict):
        raise Wrong("no-object", "A look-up is a JSON object.")
    merchant_id, app_id, txn_id, amount, token = (
        asked.get(key) for key in ("merchantId", "appId", "referenceId", "txnAmt", "token")
    )
    if not _is_whole(merchant_id) or not _is_whole(amount):
        raise Wrong("no-number", "merchantId and txnAmt are whole numbers.")
    if not isinstance(app_id, str) or not isinstance(txn_id, str) or not isinstance(token, str):
        raise Wrong("no-text", "appId, referenceId and token are texts.")
    if (str(merchant_id), app_id) != (merchant.id, merchant.app_id):
        raise Wrong("unknown-merchant", "No such merchant and application.")
    signed = f"MERCHANTID={merchant_id},APPID={app_id},REFERENCEID={txn_id},TXNAMT={amount}"
    if not merchant.signed(signed, token):
        raise Wrong("token", "The token does not fit the other values and the merchant's certificate.")
    return txn_id, int(str(amount))


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_date(text: str) -> bool:
    try:
        return bool(_DATE.fullmatch(text) and datetime.strptime(text, "%d-%m-%Y"))
    except ValueError:
        return False

"""Where connectIPS's behaviour varies, or is not documented, and a test may want it otherwise: `POST /_sim/quirks`."""

from typing import Annotated

import msgspec


class Quirks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The switches, and how they stand until somebody turns them."""

    return_url: str = "http://127.0.0.1:8000/return/connectips/"
    """The address that the merchant registered, for success and failure alike; told by whoever runs the service."""
    double_question_mark: bool = False
    """Whether browsers are sent to `...?TXNID=A?TXNID=A`, as public code has met it."""
    number: bool = False
    """Whether `validatetxn` tells `txnAmt` as a number; the sample of NCHL's docs has a text."""
    misspelled: bool = False
    """Whether a success is TRANSACTION SUCESSFULL, as in a sample of NCHL's docs."""
    details: bool = True
    """Whether there is a `gettxndetail`."""
    seconds_after_login: Annotated[int, msgspec.Meta(ge=1, le=86_400)] = 600
    """How long a payer has after logging in: our guess."""
    lag_lookups: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    """How many look-ups of a payment, after each change of it, still say what they said before."""

"""Where eSewa's behaviour varies, or is not documented, and a test may want it otherwise: `POST /_sim/quirks`."""

from typing import Annotated, Literal

import msgspec


class Quirks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The switches, and how they stand until somebody turns them."""

    product_code: str | None = None
    """The only product code that is known. None: EPAYTEST with the public UAT key, any with a key of one's own."""
    same_form_again: bool = False
    """Whether a form that was posted may be posted once more, unchanged, before anybody logged in. eSewa says that a
    transaction_uuid is unique a request, and not what a reload does."""
    underscore: bool = False
    """Whether a transaction_uuid may hold `_`: the docs say letters, digits and hyphens, captures show it working."""
    known_before_login: bool = False
    """Whether a form that was posted is PENDING at once; else it is NOT_FOUND until the payer logs in (our guess)."""
    seconds_after_login: Annotated[int, msgspec.Meta(ge=1, le=86_400)] = 300
    """How long a payer has after logging in; 300 are documented."""
    lag_lookups: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    """How many look-ups of a payment, after each change of it, still say what they said before."""
    camel_case: bool = False
    """Whether a look-up answers `totalAmount` and `refId`, as older code expects."""
    integer_total: bool = False
    """Whether a look-up states whole rupees without a decimal: 100 and not 100.0 (both are in the docs)."""
    outage: Literal[200, 503] | None = None
    """The HTTP status with which look-ups say that the service is unavailable, while they do. The body is documented,
    the HTTP status is not; public code expects 200."""
    comma: bool = False
    """Whether a return shows `6,600.0` while its signature covers `6600.0`, as those of 2024 to mid-2025 did."""
    number: bool = False
    """Whether a return holds its total as a JSON number, as the docs print it; every capture has a string."""
    blind_question_mark: bool = True
    """Whether `?data=` is appended to a success_url that has a query already, as captured; otherwise `&data=`."""

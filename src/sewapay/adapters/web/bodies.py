"""What requests bring: one Struct a body. Those of `/v1` refuse unknown fields, those of the guide ignore them.

Money is a whole number of paisa. The core never sees these.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from sewapay.domain.money import GREATEST_PAISA
from sewapay.domain.resolution import Decision

Paisa = Annotated[int, Meta(gt=0, le=GREATEST_PAISA, description="Whole paisa: 113000 is Rs 1,130.00.")]
PaisaBack = Annotated[int, Meta(ge=1, le=GREATEST_PAISA, description="Whole paisa; null for all that is left.")]
BookingNumber = Annotated[int, Meta(ge=1, le=2**53)]
Contact = Annotated[str, Meta(min_length=1, max_length=254)]
Reason = Annotated[str, Meta(min_length=1, max_length=500)]
Url = Annotated[str, Meta(min_length=1, max_length=2048)]
# The shape keeps out what no gateway uses in a reference, and what a database could not store.
Reference = Annotated[str, Meta(min_length=1, max_length=128, pattern="^[!-~]+$")]


class NewCustomer(Struct, forbid_unknown_fields=True, frozen=True):
    """Who owes. `id` is the customer's id in the merchant's tokens."""

    id: Annotated[str, Meta(min_length=1, max_length=128)]
    name: Contact | None = None
    email: Contact | None = None
    phone: Contact | None = None


class NewBookingBody(Struct, forbid_unknown_fields=True, frozen=True):
    """What is owed, by whom. The amount is all that is owed, tax included."""

    customer: NewCustomer
    title: Annotated[str, Meta(min_length=1, max_length=200)]
    amount: Paisa
    id: BookingNumber | None = None
    currency: Literal["NPR"] = "NPR"


class NewPaymentBody(Struct, forbid_unknown_fields=True, frozen=True):
    """Which booking to pay, through which gateway, and where the customer goes afterwards."""

    booking_id: BookingNumber
    gateway: Annotated[str, Meta(min_length=1, max_length=32)]
    return_url: Url | None = None


class NewRefundBody(Struct, forbid_unknown_fields=True, frozen=True):
    """How much to give back, and why; without an amount all that is left of the payment."""

    reason: Reason
    amount: PaisaBack | None = None


class ResolutionBody(Struct, forbid_unknown_fields=True, frozen=True):
    """What was decided, why, and on which `version` of the payment."""

    decision: Decision
    reason: Reason
    version: Annotated[int, Meta(ge=1, le=2**53)]


class InitiationBody(Struct, frozen=True):
    """The guide's initiation. Unknown fields are ignored, `voucher_code` is too."""

    booking_id: BookingNumber
    return_url: Url
    website_url: Url
    expected_amount: int | float | str | None = None
    voucher_code: object = None


class CallbackBody(Struct, frozen=True):
    """The guide's second call. Only `pidx` and `booking_id` count; the rest is compared, logged and never believed."""

    pidx: Reference
    booking_id: BookingNumber
    transaction_id: object = None
    purchase_order_id: object = None
    expected_amount: object = None
    voucher_code: object = None

"""Path and query parameters, declared for the document and read to the letter.

An id in a path that could not exist is answered like one that does not: foreign, missing and impossible look the same.
"""

from datetime import UTC, datetime
from typing import Annotated, Final, Never

from litestar.openapi.spec import OpenAPIType
from litestar.params import PathParameter, QueryParameter

from sewapay.adapters.web.errors import InvalidFields
from sewapay.application.errors import BookingNotFound, PaymentNotFound, RefundNotFound
from sewapay.application.storage import Page
from sewapay.domain.errors import InvalidIdentifier
from sewapay.domain.identifiers import BookingId, PaymentId, RefundId

__all__ = [
    "BookingInPath",
    "Cursor",
    "Limit",
    "PaymentInPath",
    "RefundInPath",
    "booking_id_of",
    "instant_of",
    "page_of",
    "payment_id_of",
    "refund_id_of",
]

LONGEST_NUMBER: Final = 16

BookingInPath = Annotated[
    str, PathParameter(description="The booking's number.", schema_extra={"type": OpenAPIType.INTEGER, "minimum": 1})
]
PaymentInPath = Annotated[str, PathParameter(description="The payment's id.", schema_extra={"format": "uuid"})]
RefundInPath = Annotated[str, PathParameter(description="The refund's id.", schema_extra={"format": "uuid"})]
Cursor = Annotated[str | None, QueryParameter(max_length=1024, description="next_cursor of the page before.")]
Limit = Annotated[int, QueryParameter(ge=1, le=100, description="How many items at most.")]


def booking_id_of(text: str) -> BookingId:
    """The number in a path; raises `BookingNotFound` for text that is none."""
    if not (text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER):
        raise BookingNotFound
    try:
        return BookingId(int(text))
    except InvalidIdentifier:
        raise BookingNotFound from None


def payment_id_of(text: str) -> PaymentId:
    """The id in a path; raises `PaymentNotFound` for text that is none."""
    try:
        return PaymentId(text)
    except InvalidIdentifier:
        raise PaymentNotFound from None


def refund_id_of(text: str) -> RefundId:
    """The id in a path; raises `RefundNotFound` for text that is none."""
    try:
        return RefundId(text)
    except InvalidIdentifier:
        raise RefundNotFound from None


def page_of(cursor: str | None, limit: int) -> Page:
    """Which part of a list is asked for."""
    return Page(cursor=cursor, limit=limit)


def instant_of(name: str, text: str | None) -> datetime | None:
    """A time of a filter, in UTC. It has to say its offset; raises `InvalidFields`."""
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is None:
            _refuse(name)
        return instant.astimezone(UTC)
    except (ValueError, OverflowError):
        _refuse(name)


def _refuse(name: str) -> Never:
    raise InvalidFields(f"{name}: a time like 2026-01-31T18:15:00Z (a + in a query is written %2B)")

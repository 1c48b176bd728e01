"""Lists, newest first: a page continues after the last item of the page before, whatever was added meanwhile."""

from typing import Final

from sqlalchemy import and_, literal, not_, select, tuple_

from sewapay.adapters.sql.cursors import read_cursor, write_cursor
from sewapay.adapters.sql.rows import booking_from, payment_from
from sewapay.adapters.sql.session import Session
from sewapay.adapters.sql.tables import NEEDS_ATTENTION, bookings, payments
from sewapay.application.errors import InvalidCursor
from sewapay.application.storage import BookingFilter, Page, PaymentFilter
from sewapay.domain.booking import Booking
from sewapay.domain.errors import InvalidIdentifier
from sewapay.domain.identifiers import BookingId, PaymentId
from sewapay.domain.payment import Payment

__all__ = ["booking_page", "payment_page"]

_BOOKINGS: Final = select(bookings).order_by(bookings.c.registered_at.desc(), bookings.c.id.desc())
_PAYMENTS: Final = select(payments).order_by(payments.c.created_at.desc(), payments.c.id.desc())


def booking_page(session: Session, wanted: BookingFilter, page: Page) -> tuple[list[Booking], str | None]:
    """Bookings, newest first, and the next page's cursor (None at the end). Raises `InvalidCursor`."""
    statement = _BOOKINGS.limit(page.limit + 1)
    if wanted.customer_id is not None:
        statement = statement.where(bookings.c.customer_id == str(wanted.customer_id))
    if wanted.status is not None:
        statement = statement.where(bookings.c.status == wanted.status.value)
    if page.cursor is not None:
        at, id = read_cursor(page.cursor)
        try:
            number = int(BookingId(int(id)))
        except (InvalidIdentifier, ValueError) as error:
            raise InvalidCursor from error
        after = tuple_(literal(at, bookings.c.registered_at.type), literal(number, bookings.c.id.type))
        statement = statement.where(tuple_(bookings.c.registered_at, bookings.c.id) < after)
    found = [booking_from(row) for row in session.listed(statement)]
    if len(found) <= page.limit:
        return found, None
    last = found[page.limit - 1]
    return found[: page.limit], write_cursor(last.registered_at, str(last.id))


def payment_page(session: Session, wanted: PaymentFilter, page: Page) -> tuple[list[Payment], str | None]:
    """Payments, newest first, and the next page's cursor (None at the end). Raises `InvalidCursor`."""
    conditions = [and_(True)]
    if wanted.customer_id is not None:
        theirs = select(bookings.c.id).where(bookings.c.customer_id == str(wanted.customer_id))
        conditions.append(payments.c.booking_id.in_(theirs))
    if wanted.booking_id is not None:
        conditions.append(payments.c.booking_id == int(wanted.booking_id))
    if wanted.status is not None:
        conditions.append(payments.c.status == wanted.status.value)
    if wanted.gateway is not None:
        conditions.append(payments.c.gateway == str(wanted.gateway))
    if wanted.created_from is not None:
        conditions.append(payments.c.created_at >= wanted.created_from)
    if wanted.created_to is not None:
        conditions.append(payments.c.created_at < wanted.created_to)
    if wanted.needs_attention is not None:
        conditions.append(NEEDS_ATTENTION if wanted.needs_attention else not_(NEEDS_ATTENTION))
    if page.cursor is not None:
        at, id = read_cursor(page.cursor)
        try:
            last_id = str(PaymentId(id))
        except InvalidIdentifier as error:
            raise InvalidCursor from error
        after = tuple_(literal(at, payments.c.created_at.type), literal(last_id, payments.c.id.type))
        conditions.append(tuple_(payments.c.created_at, payments.c.id) < after)
    rows = session.listed(_PAYMENTS.where(*conditions).limit(page.limit + 1))
    found = [payment_from(row) for row in rows]
    if len(found) <= page.limit:
        return found, None
    last = found[page.limit - 1]
    return found[: page.limit], write_cursor(last.created_at, str(last.id))

"""Every statement that is always the same, built with SQLAlchemy; `lists.py` builds those that differ."""

from collections.abc import Iterable
from typing import Final

from sqlalchemy import BindParameter, Insert, Table, bindparam, func, insert, literal_column, select, text, update
from sqlalchemy.types import Text

from sewapay.adapters.sql.session import Prepared
from sewapay.adapters.sql.tables import api_keys, bookings, events, observations, payments
from sewapay.application.storage import FIRST_HUGE_ID

__all__ = [
    "ADD_BOOKING",
    "ADD_EVENT",
    "ADD_EVIDENCE",
    "ADD_KEY",
    "ADD_PAYMENT",
    "BOOKING",
    "BOOKING_LOCKED",
    "BY_REFERENCE",
    "EVENTS",
    "EVIDENCE",
    "GREATEST_ID",
    "KEY",
    "KEYS",
    "OF_BOOKING",
    "PAYMENT",
    "SAVE_BOOKING",
    "SAVE_KEY",
    "SAVE_PAYMENT",
    "WAIT_FOR_A_NUMBER",
    "WITH_TRANSACTION",
]


def _values(table: Table, *, besides: Iterable[str] = ()) -> dict[str, BindParameter[object]]:
    return {column.name: bindparam(column.name) for column in table.c if column.name not in besides}


def _insert(table: Table, *, besides: Iterable[str] = ()) -> Insert:
    """Nobody asks for what the database made up itself."""
    return insert(table).values(_values(table, besides=besides)).inline()


_FIXED_OF_BOOKING: Final = ("id", "amount", "registered_at")
_FIXED_OF_PAYMENT: Final = (
    *("id", "booking_id", "gateway", "environment"),
    *("order_reference", "amount", "created_at"),
)

# The booking is the lock of everything that hangs on it. SQLite has one writer at a time and leaves the words out.
_booking = select(bookings).where(bookings.c.id == bindparam("booking_id"))
BOOKING: Final = Prepared(_booking)
BOOKING_LOCKED: Final = Prepared(_booking.with_for_update())
GREATEST_ID: Final = Prepared(
    select(func.max(bookings.c.id).label("greatest")).where(bookings.c.id < literal_column(str(FIRST_HUGE_ID)))
)
# Two bookings that carry the same transaction of a gateway hold different locks: whoever asks second waits here.
WAIT_FOR_A_TRANSACTION: Final = Prepared(
    select(func.pg_advisory_xact_lock(func.hashtextextended(bindparam("transaction_id", type_=Text), text("0"))))
)
WAIT_FOR_A_NUMBER: Final = Prepared(select(func.pg_advisory_xact_lock(literal_column("7959953386440094579"))))
ADD_BOOKING: Final = Prepared(_insert(bookings))
SAVE_BOOKING: Final = Prepared(
    update(bookings)
    .where(bookings.c.id == bindparam("booking_id"), bookings.c.version == bindparam("read_version"))
    .values(_values(bookings, besides=_FIXED_OF_BOOKING))
)

PAYMENT: Final = Prepared(select(payments).where(payments.c.id == bindparam("payment_id")))
OF_BOOKING: Final = Prepared(
    select(payments)
    .where(payments.c.booking_id == bindparam("booking_id"))
    .order_by(payments.c.created_at, payments.c.id)
)
BY_REFERENCE: Final = Prepared(
    select(payments).where(
        payments.c.gateway == bindparam("gateway"),
        payments.c.environment == bindparam("environment"),
        payments.c.gateway_reference == bindparam("gateway_reference"),
    )
)
WITH_TRANSACTION: Final = Prepared(
    select(payments.c.id).where(
        payments.c.transaction_id == bindparam("transaction_id"),
        payments.c.gateway == bindparam("gateway"),
        payments.c.environment == bindparam("environment"),
        payments.c.id != bindparam("besides"),
    )
)
ADD_PAYMENT: Final = Prepared(_insert(payments))
SAVE_PAYMENT: Final = Prepared(
    update(payments)
    .where(payments.c.id == bindparam("payment_id"), payments.c.version == bindparam("read_version"))
    .values(_values(payments, besides=_FIXED_OF_PAYMENT))
)

EVENTS: Final = Prepared(
    select(events).where(events.c.booking_id == bindparam("booking_id")).order_by(events.c.sequence)
)
_next_sequence = (
    select(func.coalesce(func.max(events.c.sequence), literal_column("0")) + literal_column("1"))
    .where(events.c.booking_id == bindparam("booking_id"))
    .scalar_subquery()
)
ADD_EVENT: Final = Prepared(_insert(events, besides=["sequence"]).values(sequence=_next_sequence))

EVIDENCE: Final = Prepared(
    select(observations).where(observations.c.payment_id == bindparam("payment_id")).order_by(observations.c.id)
)
ADD_EVIDENCE: Final = Prepared(_insert(observations, besides=["id"]))

KEY: Final = Prepared(select(api_keys).where(api_keys.c.id == bindparam("key_id")))
KEYS: Final = Prepared(select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id))
ADD_KEY: Final = Prepared(_insert(api_keys))
SAVE_KEY: Final = Prepared(
    update(api_keys)
    .where(api_keys.c.id == bindparam("key_id"))
    .values(_values(api_keys, besides=["id"]))
)

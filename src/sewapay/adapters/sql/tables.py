"""The tables, for SQLite and PostgreSQL alike; `migrations/` makes them.

Money is whole paisa in 64 bits, times are aware UTC, names of enumerations are text. `events` and `observations` are
append-only: triggers refuse to change or remove what they hold. The transaction id of a gateway is not unique: a
repeat has to be stored before it can be seen.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.types import TypeEngine

from sewapay.domain.booking import BookingStatus
from sewapay.domain.identifiers import Environment
from sewapay.domain.payment import PaymentStatus

__all__ = ["UtcTime", "api_keys", "bookings", "events", "metadata", "observations", "payments"]


class UtcTime(TypeDecorator[datetime]):
    """A point in time, aware and in UTC both ways, microseconds kept.

    `timestamptz` on PostgreSQL; on SQLite ISO text of one width, which sorts as time does.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[str] | TypeEngine[datetime]:
        """Text on SQLite, `timestamptz` elsewhere."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(Text())
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | str | None:
        """What the driver is given. Raises `ValueError` for a time without a zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored time has a zone")
        utc = value.astimezone(UTC)
        return utc.isoformat(timespec="microseconds") if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | str | None, dialect: Dialect) -> datetime | None:
        """What the driver gave, in UTC."""
        if isinstance(value, str):
            return datetime.fromisoformat(value)
        return None if value is None else value.astimezone(UTC)


def _one_of(column: str, words: Iterable[StrEnum]) -> str:
    return f"{column} IN ({', '.join(repr(word.value) for word in words)})"


# On SQLite only `INTEGER PRIMARY KEY` is the row's own number.
_RowNumber: Final = BigInteger().with_variant(Integer(), "sqlite")

metadata: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

bookings: Final = Table(
    "bookings",
    metadata,
    Column("id", _RowNumber, primary_key=True, autoincrement=False),
    Column("customer_id", Text, nullable=False),
    Column("customer_name", Text),
    Column("customer_email", Text),
    Column("customer_phone", Text),
    Column("title", Text, nullable=False),
    Column("amount", BigInteger, CheckConstraint("amount > 0", name="amount"), nullable=False),
    Column("registered_at", UtcTime, nullable=False),
    Column("status", Text, CheckConstraint(_one_of("status", BookingStatus), name="status"), nullable=False),
    Column("settled_by", Text),
    Column("version", BigInteger, nullable=False),
    Index(None, "registered_at", "id"),
    Index(None, "customer_id", "registered_at", "id"),
    Index(None, "status", "registered_at", "id"),
)

payments: Final = Table(
    "payments",
    metadata,
    Column("id", Text, primary_key=True),
    Column("booking_id", BigInteger, ForeignKey("bookings.id"), nullable=False),
    Column("gateway", Text, nullable=False),
    Column(
        "environment", Text, CheckConstraint(_one_of("environment", Environment), name="environment"), nullable=False
    ),
    Column("order_reference", Text, nullable=False),
    Column("amount", BigInteger, CheckConstraint("amount > 0", name="amount"), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("status", Text, CheckConstraint(_one_of("status", PaymentStatus), name="status"), nullable=False),
    Column("gateway_reference", Text),
    Column("next_step", JSON(none_as_null=True)),
    Column("expires_at", UtcTime),
    Column("return_url", Text),
    Column("return_style", Text),
    Column("said", Text),
    Column("outcome_unknown", Boolean, nullable=False),
    Column("surplus", Boolean, nullable=False),
    Column("review_reason", Text),
    Column("reason", Text),
    Column("amount_paid", BigInteger, CheckConstraint("amount_paid >= 0", name="amount_paid")),
    Column("amount_refunded", BigInteger, CheckConstraint("amount_refunded >= 0", name="amount_refunded")),
    Column("fee", BigInteger, CheckConstraint("fee >= 0", name="fee")),
    Column("transaction_id", Text),
    Column("paid_at", UtcTime),
    Column("next_check_at", UtcTime),
    Column("version", BigInteger, nullable=False),
    UniqueConstraint("gateway", "environment", "gateway_reference"),
    UniqueConstraint("gateway", "environment", "order_reference"),
    Index(None, "booking_id", "created_at", "id"),
    Index(None, "created_at", "id"),
    Index(None, "status", "created_at", "id"),
)
_HAS_TRANSACTION: Final = payments.c.transaction_id.is_not(None)
_IS_DUE_SOMETIME: Final = payments.c.next_check_at.is_not(None)
for name, columns, rows in (
    (
        "ix_payments_transaction_id",
        (payments.c.transaction_id, payments.c.gateway, payments.c.environment),
        _HAS_TRANSACTION,
    ),
    ("ix_payments_next_check_at", (payments.c.next_check_at,), _IS_DUE_SOMETIME),
):
    Index(name, *columns, sqlite_where=rows, postgresql_where=rows)

events: Final = Table(
    "events",
    metadata,
    Column("booking_id", BigInteger, nullable=False, autoincrement=False),
    Column("sequence", BigInteger, CheckConstraint("sequence > 0", name="sequence"), nullable=False),
    Column("payment_id", Text),
    Column("kind", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("data", JSON, nullable=False),
    PrimaryKeyConstraint("booking_id", "sequence"),
)

observations: Final = Table(
    "observations",
    metadata,
    Column("id", _RowNumber, primary_key=True),
    Column("payment_id", Text, nullable=False, index=True),
    Column("at", UtcTime, nullable=False),
    Column("reported", Text, nullable=False),
    Column("said", Text, nullable=False),
    Column("amount", BigInteger),
    Column("fee", BigInteger),
    Column("transaction_id", Text),
    Column("gateway_reference", Text),
    Column("refunded", Boolean),
)

api_keys: Final = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("label", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("revoked_at", UtcTime),
)

"""The tables, for SQLite and PostgreSQL alike; `migrations/` makes them.

Money is whole paisa in 64 bits, times are aware UTC, names of enumerations are text. `events`, `observations` and
`ledger_entries` are append-only: triggers refuse to change or remove what they hold. The transaction id of a gateway is
not unique: a repeat has to be stored before it can be seen.

A default in the database is for a version that does not know the column yet; this one always writes every column.
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
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    or_,
    text,
)
from sqlalchemy.types import TypeEngine

from sewapay.domain.booking import BookingStatus
from sewapay.domain.identifiers import Environment
from sewapay.domain.ledger import Account
from sewapay.domain.payment import PaymentStatus
from sewapay.domain.refund import RefundStatus

__all__ = [
    "NEEDS_ATTENTION",
    "UtcTime",
    "answers",
    "api_keys",
    "bookings",
    "events",
    "feed",
    "feed_mark",
    "ledger_entries",
    "metadata",
    "observations",
    "paces",
    "payments",
    "refunds",
]


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
        utc = value if value.tzinfo is UTC else value.astimezone(UTC)
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
_NONE_YET: Final = text("0")

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
    Column("opened_at", UtcTime),
    Column("expires_at", UtcTime),
    Column("return_url", Text),
    Column("return_style", Text),
    Column("said", Text),
    Column("outcome_unknown", Boolean, nullable=False),
    Column("vouched", Boolean, nullable=False, server_default=false()),
    Column("surplus", Boolean, nullable=False),
    Column("review_reason", Text),
    Column("reason", Text),
    Column("amount_paid", BigInteger, CheckConstraint("amount_paid >= 0", name="amount_paid")),
    Column("amount_refunded", BigInteger, CheckConstraint("amount_refunded >= 0", name="amount_refunded")),
    Column(
        "amount_reserved",
        BigInteger,
        CheckConstraint("amount_reserved >= 0", name="amount_reserved"),
        nullable=False,
        server_default=_NONE_YET,
    ),
    Column("refund_due", Boolean, nullable=False, server_default=false()),
    Column("fee", BigInteger, CheckConstraint("fee >= 0", name="fee")),
    Column("transaction_id", Text),
    Column("paid_at", UtcTime),
    Column("next_check_at", UtcTime),
    Column("looked_at", UtcTime),
    Column("silences", BigInteger, nullable=False, server_default=_NONE_YET),
    Column("version", BigInteger, nullable=False),
    # Who looks at it right now is no part of the payment: milliseconds of the database's own time, and the fence.
    Column("leased_until", BigInteger),
    Column("lease", BigInteger, nullable=False, server_default=_NONE_YET),
    # Only what we mean to give back ourselves is bound: what a gateway says it gave back is stored, whatever it says.
    CheckConstraint(
        "amount_reserved = 0 OR (amount_paid IS NOT NULL "
        "AND COALESCE(amount_refunded, 0) + amount_reserved <= amount_paid)",
        name="refund_bound",
    ),
    UniqueConstraint("gateway", "environment", "gateway_reference"),
    UniqueConstraint("gateway", "environment", "order_reference"),
    Index(None, "booking_id", "created_at", "id"),
    Index(None, "created_at", "id"),
    Index(None, "status", "created_at", "id"),
)
NEEDS_ATTENTION: Final = or_(payments.c.review_reason.is_not(None), payments.c.outcome_unknown)
for name, columns, rows in (
    (
        "ix_payments_transaction_id",
        (payments.c.transaction_id, payments.c.gateway, payments.c.environment),
        payments.c.transaction_id.is_not(None),
    ),
    (
        "ix_payments_due",
        (payments.c.gateway, payments.c.environment, payments.c.next_check_at),
        payments.c.next_check_at.is_not(None),
    ),
    ("ix_payments_needs_attention", (payments.c.created_at, payments.c.id), NEEDS_ATTENTION),
):
    Index(name, *columns, sqlite_where=rows, postgresql_where=rows)

refunds: Final = Table(
    "refunds",
    metadata,
    Column("id", Text, primary_key=True),
    Column("payment_id", Text, ForeignKey("payments.id"), nullable=False),
    Column("booking_id", BigInteger, nullable=False),
    Column("amount", BigInteger, CheckConstraint("amount > 0", name="amount"), nullable=False),
    Column("is_all", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("requested_at", UtcTime, nullable=False),
    Column("status", Text, CheckConstraint(_one_of("status", RefundStatus), name="status"), nullable=False),
    Column("accepted_at", UtcTime),
    Column("refused", Boolean, nullable=False),
    Column("said", Text),
    Column("settled_at", UtcTime),
    Column("version", BigInteger, nullable=False),
    Index(None, "payment_id", "requested_at", "id"),
)
_IS_OPEN: Final = refunds.c.status.in_([RefundStatus.SUBMITTED.value, RefundStatus.UNKNOWN.value])
Index("uq_refunds_open_of_payment", refunds.c.payment_id, unique=True, sqlite_where=_IS_OPEN, postgresql_where=_IS_OPEN)

# A posting is what one change of a payment (its version) meant for the ledger: its entries, each in its place.
ledger_entries: Final = Table(
    "ledger_entries",
    metadata,
    Column("payment_id", Text, nullable=False),
    Column("payment_version", BigInteger, autoincrement=False, nullable=False),
    Column("posting", Integer, autoincrement=False, nullable=False),
    Column("place", Integer, autoincrement=False, nullable=False),
    Column("booking_id", BigInteger, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("why", Text, nullable=False),
    Column("account", Text, CheckConstraint(_one_of("account", Account), name="account"), nullable=False),
    Column("paisa", BigInteger, CheckConstraint("paisa <> 0", name="paisa"), nullable=False),
    PrimaryKeyConstraint("payment_id", "payment_version", "posting", "place"),
    sqlite_with_rowid=False,
)

events: Final = Table(
    "events",
    metadata,
    Column("id", _RowNumber, primary_key=True),
    Column("booking_id", BigInteger, nullable=False),
    Column("sequence", BigInteger, CheckConstraint("sequence > 0", name="sequence"), nullable=False),
    Column("payment_id", Text),
    Column("kind", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("data", JSON, nullable=False),
    UniqueConstraint("booking_id", "sequence"),
    sqlite_autoincrement=True,  # a number is never given twice: cursors hold them
)

# PostgreSQL gives numbers in the order of asking and commits in another: events get their places when they are seen.
# On SQLite an event's number is its place, and these two stay empty.
feed: Final = Table(
    "feed",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("event_id", BigInteger, nullable=False, unique=True),
)
feed_mark: Final = Table(
    "feed_mark",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="id"), primary_key=True, autoincrement=False),
    Column("low", BigInteger, nullable=False),
    Column("high", BigInteger, nullable=False),
    Column("writers", JSON, nullable=False),
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
    Column("order_reference", Text),
    Column("refunded", Boolean),
)

paces: Final = Table(
    "paces",
    metadata,
    Column("gateway", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("spent_until", UtcTime, nullable=False),
    Column("silences", BigInteger, nullable=False),
    Column("away_until", UtcTime),
    PrimaryKeyConstraint("gateway", "environment"),
)

answers: Final = Table(
    "answers",
    metadata,
    Column("principal", Text, nullable=False),
    Column("operation", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("begun_at", UtcTime, nullable=False, index=True),
    Column("subject", Text),
    Column("status", Integer),
    Column("headers", JSON(none_as_null=True)),
    Column("body", LargeBinary),
    PrimaryKeyConstraint("principal", "operation", "key"),
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

"""What background work needs: leases, refunds, the ledger, paces, kept answers, and one order for all events.

What is there already is kept. Surplus money that was not given back waits for a person, money that came gets its
postings, and events are numbered by time, those of one booking in their order.

Typed out here and not taken from `tables.py`: what a migration does never changes once it was released.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

utc_time = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
row_number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

REFUND_BOUND = (
    "amount_reserved = 0 OR (amount_paid IS NOT NULL AND COALESCE(amount_refunded, 0) + amount_reserved <= amount_paid)"
)
# What each payment says of its money now, as one posting: what came, less what the gateway keeps, less what went back.
OPENING_POSTINGS = """
    WITH money AS (
        SELECT id, version, booking_id, COALESCE(paid_at, created_at) AS at, amount_paid AS came,
            COALESCE(fee, 0) AS kept, COALESCE(amount_refunded, 0) AS back
        FROM payments WHERE amount_paid IS NOT NULL
    )
    INSERT INTO ledger_entries (payment_id, payment_version, posting, place, booking_id, at, why, account, paisa)
    SELECT id, version, 1, place, booking_id, at, 'payment', account, paisa FROM (
        SELECT *, 1 AS place, 'customer_funds' AS account, -came AS paisa FROM money
        UNION ALL SELECT *, 2, 'merchant_receivable', came - kept - back FROM money
        UNION ALL SELECT *, 3, 'gateway_fee', kept FROM money
        UNION ALL SELECT *, 4, 'refunds', back FROM money
    ) AS entries WHERE paisa <> 0
"""


def upgrade() -> None:
    _let_bookings_be("'pending', 'confirmed', 'canceled', 'refunded'")
    _widen_payments()
    _create_refunds()
    _create_ledger()
    _number_events()
    _create_paces_and_answers()


def downgrade() -> None:
    """What only the newer version knows is lost."""
    for table in ("answers", "paces", "feed_mark", "feed", "ledger_entries", "refunds"):
        op.drop_table(table)
    _take_numbers_from_events()
    _narrow_payments()
    op.execute("UPDATE bookings SET status = 'confirmed' WHERE status = 'refunded'")
    _let_bookings_be("'pending', 'confirmed', 'canceled'")


def _let_bookings_be(statuses: str) -> None:
    with op.batch_alter_table("bookings") as bookings:
        bookings.drop_constraint(op.f("ck_bookings_status"), type_="check")
        bookings.create_check_constraint(op.f("ck_bookings_status"), f"status IN ({statuses})")


def _widen_payments() -> None:
    op.drop_index("ix_payments_next_check_at", "payments")
    with op.batch_alter_table("payments") as payments:
        payments.add_column(sa.Column("opened_at", utc_time))
        payments.add_column(sa.Column("amount_reserved", sa.BigInteger(), nullable=False, server_default=sa.text("0")))
        payments.add_column(sa.Column("refund_due", sa.Boolean(), nullable=False, server_default=sa.false()))
        payments.add_column(sa.Column("looked_at", utc_time))
        payments.add_column(sa.Column("silences", sa.BigInteger(), nullable=False, server_default=sa.text("0")))
        payments.add_column(sa.Column("leased_until", sa.BigInteger()))
        payments.add_column(sa.Column("lease", sa.BigInteger(), nullable=False, server_default=sa.text("0")))
        payments.create_check_constraint(op.f("ck_payments_amount_reserved"), "amount_reserved >= 0")
        payments.create_check_constraint(op.f("ck_payments_refund_bound"), REFUND_BOUND)
    _create_partial_index(
        "ix_payments_due", "payments", ["gateway", "environment", "next_check_at"], "next_check_at IS NOT NULL"
    )
    is_unknown = "outcome_unknown = 1" if _is_sqlite() else "outcome_unknown"
    _create_partial_index(
        "ix_payments_needs_attention", "payments", ["created_at", "id"], f"review_reason IS NOT NULL OR {is_unknown}"
    )
    op.execute(
        "UPDATE payments SET review_reason = 'surplus' WHERE surplus AND status <> 'refunded' AND review_reason IS NULL"
    )


def _narrow_payments() -> None:
    op.execute("UPDATE payments SET review_reason = NULL WHERE status <> 'under_review' AND review_reason = 'surplus'")
    op.execute(
        "UPDATE payments SET review_reason = 'contradictory' "
        "WHERE review_reason IN ('surplus', 'stuck', 'orphaned_reference', 'refund_unknown')"
    )
    op.drop_index("ix_payments_needs_attention", "payments")
    op.drop_index("ix_payments_due", "payments")
    with op.batch_alter_table("payments") as payments:
        payments.drop_constraint(op.f("ck_payments_refund_bound"), type_="check")
        payments.drop_constraint(op.f("ck_payments_amount_reserved"), type_="check")
        for column in (
            *("opened_at", "amount_reserved", "refund_due", "looked_at"),
            *("silences", "leased_until", "lease"),
        ):
            payments.drop_column(column)
    _create_partial_index("ix_payments_next_check_at", "payments", ["next_check_at"], "next_check_at IS NOT NULL")


def _create_refunds() -> None:
    op.create_table(
        "refunds",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("booking_id", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("is_all", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("requested_at", utc_time, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("accepted_at", utc_time),
        sa.Column("refused", sa.Boolean(), nullable=False),
        sa.Column("said", sa.Text()),
        sa.Column("settled_at", utc_time),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_refunds"),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name="fk_refunds_payment_id"),
        sa.CheckConstraint("amount > 0", name=op.f("ck_refunds_amount")),
        sa.CheckConstraint(
            "status IN ('submitted', 'confirmed', 'rejected', 'unknown')", name=op.f("ck_refunds_status")
        ),
    )
    op.create_index("ix_refunds_payment_id_requested_at_id", "refunds", ["payment_id", "requested_at", "id"])
    _create_partial_index(
        "uq_refunds_open_of_payment", "refunds", ["payment_id"], "status IN ('submitted', 'unknown')", unique=True
    )


def _create_ledger() -> None:
    op.create_table(
        "ledger_entries",
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("payment_version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("posting", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("booking_id", sa.BigInteger(), nullable=False),
        sa.Column("at", utc_time, nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("paisa", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("payment_id", "payment_version", "posting", "place", name="pk_ledger_entries"),
        sa.CheckConstraint(
            "account IN ('customer_funds', 'merchant_receivable', 'gateway_fee', 'refunds')",
            name=op.f("ck_ledger_entries_account"),
        ),
        sa.CheckConstraint("paisa <> 0", name=op.f("ck_ledger_entries_paisa")),
        sqlite_with_rowid=False,
    )
    op.execute(OPENING_POSTINGS)
    _refuse_changes("ledger_entries")


def _number_events() -> None:
    """A booking's later event never gets a smaller number, even where the clock went back in between."""
    _put_events_aside()
    op.create_table(
        "events",
        sa.Column("id", row_number, nullable=False),
        *_columns_of_an_event(),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        sa.UniqueConstraint("booking_id", "sequence", name="uq_events_booking_id_sequence"),
        sa.CheckConstraint("sequence > 0", name=op.f("ck_events_sequence")),
        sqlite_autoincrement=True,
    )
    op.execute(
        "INSERT INTO events (booking_id, sequence, payment_id, kind, at, actor, data) "
        "SELECT booking_id, sequence, payment_id, kind, at, actor, data FROM ("
        "SELECT *, max(at) OVER (PARTITION BY booking_id ORDER BY sequence) AS reached FROM events_before"
        ") AS told ORDER BY reached, booking_id, sequence"
    )
    op.drop_table("events_before")
    _refuse_changes("events")

    op.create_table(
        "feed",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_feed"),
        sa.UniqueConstraint("event_id", name="uq_feed_event_id"),
    )
    op.create_table(
        "feed_mark",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("low", sa.BigInteger(), nullable=False),
        sa.Column("high", sa.BigInteger(), nullable=False),
        sa.Column("writers", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_feed_mark"),
        sa.CheckConstraint("id = 1", name=op.f("ck_feed_mark_id")),
    )
    if not _is_sqlite():  # there an event's number is its place already
        op.execute("INSERT INTO feed (position, event_id) SELECT row_number() OVER (ORDER BY id), id FROM events")
    op.execute(
        "INSERT INTO feed_mark (id, low, high, writers) "
        "SELECT 1, COALESCE(max(event_id), 0), COALESCE(max(event_id), 0), '[]' FROM feed"
    )


def _take_numbers_from_events() -> None:
    _put_events_aside()
    op.create_table(
        "events",
        *_columns_of_an_event(),
        sa.PrimaryKeyConstraint("booking_id", "sequence", name="pk_events"),
        sa.CheckConstraint("sequence > 0", name=op.f("ck_events_sequence")),
    )
    op.execute(
        "INSERT INTO events (booking_id, sequence, payment_id, kind, at, actor, data) "
        "SELECT booking_id, sequence, payment_id, kind, at, actor, data FROM events_before "
        "WHERE kind NOT IN ('booking.refunded', 'payment.refunded_outside', 'payment.needs_attention', "
        "'payment.resolved', 'refund.submitted', 'refund.confirmed', 'refund.rejected', 'refund.outcome_unknown')"
    )
    op.drop_table("events_before")
    _refuse_changes("events")


def _put_events_aside() -> None:
    """Under a name of its own; PostgreSQL wants the names of its constraints to be free as well."""
    op.rename_table("events", "events_before")
    if not _is_sqlite():
        op.execute("ALTER TABLE events_before DROP CONSTRAINT IF EXISTS uq_events_booking_id_sequence")
        op.execute("ALTER TABLE events_before DROP CONSTRAINT pk_events")
        op.execute("ALTER SEQUENCE IF EXISTS events_id_seq RENAME TO events_before_id_seq")


def _columns_of_an_event() -> list[sa.Column[object]]:
    return [
        sa.Column("booking_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("payment_id", sa.Text()),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", utc_time, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
    ]


def _create_paces_and_answers() -> None:
    op.create_table(
        "paces",
        sa.Column("gateway", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("spent_until", utc_time, nullable=False),
        sa.Column("silences", sa.BigInteger(), nullable=False),
        sa.Column("away_until", utc_time),
        sa.PrimaryKeyConstraint("gateway", "environment", name="pk_paces"),
    )
    op.create_table(
        "answers",
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("begun_at", utc_time, nullable=False),
        sa.Column("subject", sa.Text()),
        sa.Column("status", sa.Integer()),
        sa.Column("headers", sa.JSON()),
        sa.Column("body", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("principal", "operation", "key", name="pk_answers"),
    )
    op.create_index("ix_answers_begun_at", "answers", ["begun_at"])


def _create_partial_index(name: str, table: str, columns: list[str], rows: str, *, unique: bool = False) -> None:
    where = sa.text(rows)
    op.create_index(name, table, columns, unique=unique, sqlite_where=where, postgresql_where=where)


def _refuse_changes(table: str) -> None:
    """Triggers that keep what was written as it was; the server's function is there since the first tables."""
    if not _is_sqlite():
        op.execute(
            f"CREATE TRIGGER {table}_are_never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_history()"
        )
        return
    for verb, done in (("UPDATE", "changed"), ("DELETE", "removed")):
        op.execute(
            f"CREATE TRIGGER {table}_are_never_{done} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} are append-only'); END"
        )


def _is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"

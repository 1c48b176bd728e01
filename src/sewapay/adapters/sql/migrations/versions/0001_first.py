"""The first tables: bookings, payments, their events, what gateways said, and API keys.

Typed out here and not taken from `tables.py`: what a migration does never changes once it was released.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APPEND_ONLY = ("events", "observations")

utc_time = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
row_number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "bookings",
        sa.Column("id", row_number, autoincrement=False, nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("customer_name", sa.Text()),
        sa.Column("customer_email", sa.Text()),
        sa.Column("customer_phone", sa.Text()),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("registered_at", utc_time, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("settled_by", sa.Text()),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_bookings"),
        sa.CheckConstraint("amount > 0", name=op.f("ck_bookings_amount")),
        sa.CheckConstraint("status IN ('pending', 'confirmed', 'canceled')", name=op.f("ck_bookings_status")),
    )
    op.create_index("ix_bookings_registered_at_id", "bookings", ["registered_at", "id"])
    op.create_index("ix_bookings_customer_id_registered_at_id", "bookings", ["customer_id", "registered_at", "id"])
    op.create_index("ix_bookings_status_registered_at_id", "bookings", ["status", "registered_at", "id"])

    op.create_table(
        "payments",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("booking_id", sa.BigInteger(), nullable=False),
        sa.Column("gateway", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("order_reference", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("created_at", utc_time, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("gateway_reference", sa.Text()),
        sa.Column("next_step", sa.JSON()),
        sa.Column("expires_at", utc_time),
        sa.Column("return_url", sa.Text()),
        sa.Column("return_style", sa.Text()),
        sa.Column("said", sa.Text()),
        sa.Column("outcome_unknown", sa.Boolean(), nullable=False),
        sa.Column("surplus", sa.Boolean(), nullable=False),
        sa.Column("review_reason", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.Column("amount_paid", sa.BigInteger()),
        sa.Column("amount_refunded", sa.BigInteger()),
        sa.Column("fee", sa.BigInteger()),
        sa.Column("transaction_id", sa.Text()),
        sa.Column("paid_at", utc_time),
        sa.Column("next_check_at", utc_time),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_payments"),
        sa.ForeignKeyConstraint(["booking_id"], ["bookings.id"], name="fk_payments_booking_id"),
        sa.UniqueConstraint(
            *("gateway", "environment", "gateway_reference"), name="uq_payments_gateway_environment_gateway_reference"
        ),
        sa.UniqueConstraint(
            *("gateway", "environment", "order_reference"), name="uq_payments_gateway_environment_order_reference"
        ),
        sa.CheckConstraint("environment IN ('sandbox', 'production')", name=op.f("ck_payments_environment")),
        sa.CheckConstraint("amount > 0", name=op.f("ck_payments_amount")),
        sa.CheckConstraint(
            "status IN ('created', 'open', 'pending', 'completed', 'canceled', 'expired', 'failed', 'under_review', "
            "'partially_refunded', 'refunded')",
            name=op.f("ck_payments_status"),
        ),
        sa.CheckConstraint("amount_paid >= 0", name=op.f("ck_payments_amount_paid")),
        sa.CheckConstraint("amount_refunded >= 0", name=op.f("ck_payments_amount_refunded")),
        sa.CheckConstraint("fee >= 0", name=op.f("ck_payments_fee")),
    )
    op.create_index("ix_payments_booking_id_created_at_id", "payments", ["booking_id", "created_at", "id"])
    op.create_index("ix_payments_created_at_id", "payments", ["created_at", "id"])
    op.create_index("ix_payments_status_created_at_id", "payments", ["status", "created_at", "id"])
    _create_partial_index("ix_payments_transaction_id", ["transaction_id", "gateway", "environment"])
    _create_partial_index("ix_payments_next_check_at", ["next_check_at"])

    op.create_table(
        "events",
        sa.Column("booking_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("payment_id", sa.Text()),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", utc_time, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("booking_id", "sequence", name="pk_events"),
        sa.CheckConstraint("sequence > 0", name=op.f("ck_events_sequence")),
    )

    op.create_table(
        "observations",
        sa.Column("id", row_number, nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("at", utc_time, nullable=False),
        sa.Column("reported", sa.Text(), nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger()),
        sa.Column("fee", sa.BigInteger()),
        sa.Column("transaction_id", sa.Text()),
        sa.Column("gateway_reference", sa.Text()),
        sa.Column("refunded", sa.Boolean()),
        sa.PrimaryKeyConstraint("id", name="pk_observations"),
    )
    op.create_index("ix_observations_payment_id", "observations", ["payment_id"])

    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_at", utc_time, nullable=False),
        sa.Column("revoked_at", utc_time),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
    )

    for table in APPEND_ONLY:
        for statement in _refusals(table):
            op.execute(statement)


def downgrade() -> None:
    for table in ("api_keys", "observations", "events", "payments", "bookings"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_to_change_history()")


def _create_partial_index(name: str, columns: list[str]) -> None:
    rows = sa.text(f"{columns[0]} IS NOT NULL")
    op.create_index(name, "payments", columns, sqlite_where=rows, postgresql_where=rows)


def _refusals(table: str) -> list[str]:
    """Triggers that keep what was written as it was."""
    if op.get_bind().dialect.name == "sqlite":
        return [
            f"CREATE TRIGGER {table}_are_never_{done} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} are append-only'); END"
            for verb, done in (("UPDATE", "changed"), ("DELETE", "removed"))
        ]
    return [
        "CREATE OR REPLACE FUNCTION refuse_to_change_history() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% are append-only', TG_TABLE_NAME; END $$",
        f"CREATE TRIGGER {table}_are_never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_history()",
    ]

"""What a gateway without references of its own needs: the order reference that its answers carry, and whether a return
with its signature said that a payment was made.

Typed out here and not taken from `tables.py`: what a migration does never changes once it was released.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("observations", sa.Column("order_reference", sa.Text()))
    op.add_column("payments", sa.Column("vouched", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """What only the newer version knows is lost."""
    op.drop_column("payments", "vouched")
    op.drop_column("observations", "order_reference")  # not by a copy of the table, which would lose its triggers

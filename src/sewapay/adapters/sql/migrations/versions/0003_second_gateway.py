"""What a gateway without references of its own needs: the order reference that its answers carry.

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


def downgrade() -> None:
    """What only the newer version knows is lost."""
    op.drop_column("observations", "order_reference")  # not by a copy of the table, which would lose its triggers

"""Run by alembic for every command: on the connection, and in the transaction, that `migrate.py` hands over."""

from alembic import context

from sewapay.adapters.sql.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot alter most things in place
    compare_type=True,
)
context.run_migrations()

"""The store that a database address asks for."""

from sewapay.adapters.sql.postgres import PostgresStore
from sewapay.adapters.sql.sqlite import SqliteStore
from sewapay.adapters.sql.urls import PostgresAddress, SqliteAddress, read_address
from sewapay.application.storage import Store

__all__ = ["build_store"]


def build_store(url: str) -> Store:
    """The store for this address, to be opened by the event loop that uses it. Raises `UnusableSetting`."""
    match read_address(url):
        case SqliteAddress(path=path):
            return SqliteStore(path)
        case PostgresAddress(url=server):
            return PostgresStore(server)

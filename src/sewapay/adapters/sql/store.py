"""The store that a database address asks for."""

from collections.abc import Callable
from datetime import datetime

from sewapay.adapters.sql.postgres import PostgresStore
from sewapay.adapters.sql.sqlite import SqliteStore, utc_now
from sewapay.adapters.sql.urls import PostgresAddress, SqliteAddress, read_address
from sewapay.application.storage import Store

__all__ = ["build_store"]


def build_store(url: str, *, now: Callable[[], datetime] = utc_now) -> Store:
    """The store for this address, to be opened by the event loop that uses it. Raises `UnusableSetting`.

    `now` (UTC) is the database's time where the database is a file; a server has a clock of its own.
    """
    match read_address(url):
        case SqliteAddress(path=path):
            return SqliteStore(path, now=now)
        case PostgresAddress(url=server):
            return PostgresStore(server)

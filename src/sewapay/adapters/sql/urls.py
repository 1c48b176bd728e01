"""Database addresses, read once. The driver is ours to choose, so the known ways to name one all work.

    sqlite:///sewapay.db             a file, relative to the working directory
    sqlite:////var/lib/sewapay.db    a file, absolute
    postgresql://user:password@host:5432/name?sslmode=require
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from attrs import field, frozen
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from sewapay.application.errors import UnusableSetting

__all__ = ["Address", "PostgresAddress", "SqliteAddress", "read_address"]

_SQLITE: Final = frozenset({"sqlite", "sqlite+aiosqlite", "sqlite+pysqlite"})
_POSTGRES: Final = frozenset({"postgresql", "postgres", "postgresql+asyncpg", "postgres+asyncpg"})
_SHOWN: Final = "sqlite:///sewapay.db or postgresql://user:password@host/name"

# libpq's names for what asyncpg is told in its own words; anything else is refused, so that no option is lost silently.
_POSTGRES_OPTIONS: Final[Mapping[str, str]] = MappingProxyType({"sslmode": "ssl", "ssl": "ssl", "host": "host"})
_SSL_MODES: Final = frozenset({"disable", "allow", "prefer", "require", "verify-ca", "verify-full"})


@frozen
class SqliteAddress:
    """A database in a file."""

    path: Path


@frozen
class PostgresAddress:
    """A database on a server; the URL names the driver asyncpg. Its text hides the password."""

    url: URL = field(repr=URL.render_as_string)


Address = SqliteAddress | PostgresAddress


def read_address(text: str) -> Address:
    """Where the database is. Raises `UnusableSetting`, which never shows the address: a password may be in it."""
    try:
        url = make_url(text.strip())
    except (ArgumentError, ValueError):
        raise UnusableSetting(f"SEWAPAY_DATABASE_URL is not a database's address: write it like {_SHOWN}") from None
    if url.drivername in _SQLITE:
        return _sqlite(url)
    if url.drivername in _POSTGRES:
        return _postgres(url)
    raise UnusableSetting(f"SEWAPAY_DATABASE_URL names a database that is not supported: write it like {_SHOWN}")


def _sqlite(url: URL) -> SqliteAddress:
    if url.host or url.username or url.password or url.port:
        raise UnusableSetting("SEWAPAY_DATABASE_URL: an SQLite file has three slashes before it: sqlite:///sewapay.db")
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise UnusableSetting("SEWAPAY_DATABASE_URL: SQLite needs a file, such as sqlite:///sewapay.db")
    if url.query:
        raise UnusableSetting("SEWAPAY_DATABASE_URL: an SQLite file takes no options after a question mark")
    return SqliteAddress(Path(url.database))


def _postgres(url: URL) -> PostgresAddress:
    if not url.database:
        raise UnusableSetting("SEWAPAY_DATABASE_URL: the name of the PostgreSQL database is missing after the host")
    unknown = sorted(set(url.query) - set(_POSTGRES_OPTIONS))
    if unknown:
        known = ", ".join(_POSTGRES_OPTIONS)
        raise UnusableSetting(f"SEWAPAY_DATABASE_URL has an option that is not supported: only {known} are")
    if not all(isinstance(value, str) for value in url.query.values()):
        raise UnusableSetting("SEWAPAY_DATABASE_URL has an option twice: each is given once")
    for name in ("sslmode", "ssl"):
        if url.query.get(name, "prefer") not in _SSL_MODES:
            known = ", ".join(sorted(_SSL_MODES))
            raise UnusableSetting(f"SEWAPAY_DATABASE_URL has an {name} that does not exist: choose from {known}")
    query = {_POSTGRES_OPTIONS[name]: value for name, value in url.query.items()}
    return PostgresAddress(url.set(drivername="postgresql+asyncpg", query=query))

from pathlib import Path

import pytest

from sewapay.adapters.sql.postgres import PostgresStore
from sewapay.adapters.sql.sqlite import SqliteStore
from sewapay.adapters.sql.store import build_store
from sewapay.adapters.sql.urls import PostgresAddress, SqliteAddress, read_address
from sewapay.application.errors import UnusableSetting


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///sewapay.db", "sewapay.db"),
        ("sqlite:////var/lib/sewapay/sewapay.db", "/var/lib/sewapay/sewapay.db"),
        ("sqlite+aiosqlite:///sewapay.db", "sewapay.db"),
        ("sqlite+pysqlite:///sewapay.db", "sewapay.db"),
        (" sqlite:///folder/a file.db\n", "folder/a file.db"),
    ],
)
def test_a_file_has_an_address(url: str, path: str) -> None:
    assert read_address(url) == SqliteAddress(Path(path))
    assert isinstance(build_store(url), SqliteStore)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://sita:secret-word@db.example:5433/shop",
        "postgres://sita:secret-word@db.example:5433/shop",
        "postgresql+asyncpg://sita:secret-word@db.example:5433/shop",
        "postgres+asyncpg://sita:secret-word@db.example:5433/shop",
    ],
)
def test_a_server_has_an_address(url: str) -> None:
    address = read_address(url)

    assert isinstance(address, PostgresAddress)
    assert (
        address.url.render_as_string(hide_password=False)
        == "postgresql+asyncpg://sita:secret-word@db.example:5433/shop"
    )
    assert isinstance(build_store(url), PostgresStore)
    assert "secret-word" not in repr(address)


def test_a_server_is_asked_for_an_encrypted_connection_in_the_words_of_libpq() -> None:
    address = read_address("postgresql://db.example/shop?sslmode=require")

    assert isinstance(address, PostgresAddress)
    assert dict(address.url.query) == {"ssl": "require"}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sewapay.db",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///file:secret-word?mode=memory",
        "sqlite://secret-word/sewapay.db",
        "sqlite:///sewapay.db?secret-word=1",
        "postgresql://sita:secret-word@db.example",
        "postgresql://sita:secret-word@db.example/shop?passfile=secret-word",
        "postgresql://sita:secret-word@db.example/shop?sslmode=secret-word",
        "postgresql://sita:secret-word@db.example/shop?host=a&host=b",
        "postgresql+psycopg2://sita:secret-word@db.example/shop",
        "mysql://sita:secret-word@db.example/shop",
        "mongodb://sita:secret-word@db.example/shop",
        "postgresql://sita:secret-word@db.example:port/shop",
        "://sita:secret-word@db.example/shop",
    ],
)
def test_anything_else_is_refused_in_a_sentence_that_does_not_show_it(url: str) -> None:
    with pytest.raises(UnusableSetting, match="SEWAPAY_DATABASE_URL") as caught:
        build_store(url)

    assert "secret-word" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, create_engine, inspect
from sqlalchemy.ext.asyncio import create_async_engine

from sewapay.adapters.sql.migrations import current_revision, downgrade, head_revision, migrate
from sewapay.adapters.sql.tables import metadata
from sewapay.adapters.sql.urls import PostgresAddress, SqliteAddress, read_address
from sewapay.application.errors import StoreUnavailable, UnusableSetting

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[3]
PYTHONPATH = f"{ROOT / 'src'}{os.pathsep}{ROOT}"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database; for SQLite a file that is not there yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/new.db"
    fresh: str = request.getfixturevalue("fresh_postgres_url")
    return fresh


def on(url: str, work: Callable[[Connection], T]) -> T:
    """Do something with a connection to this database."""
    address = read_address(url)
    if isinstance(address, SqliteAddress):
        return _on_engine(create_engine(f"sqlite:///{address.path}"), work)
    return asyncio.run(_on_postgres(address, work))


def _on_engine(engine: Engine, work: Callable[[Connection], T]) -> T:
    try:
        with engine.begin() as connection:
            return work(connection)
    finally:
        engine.dispose()


async def _on_postgres(address: PostgresAddress, work: Callable[[Connection], T]) -> T:
    engine = create_async_engine(address.url)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(work)
    finally:
        await engine.dispose()


def tables(url: str) -> set[str]:
    return set(on(url, lambda connection: inspect(connection).get_table_names()))


def checks(url: str) -> dict[str, set[str]]:
    """The words of every check, as the database tells them."""

    def look(connection: Connection) -> dict[str, set[str]]:
        found = inspect(connection)
        return {
            table: {f"{check['name']}: {check['sqltext']}" for check in found.get_check_constraints(table)}
            for table in metadata.tables
        }

    return on(url, look)


def differences(url: str) -> list[Any]:
    def compare(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))

    return on(url, compare)


def test_an_empty_database_is_brought_up_to_date(url: str) -> None:
    before = current_revision(url)

    migrate(url)

    assert (before, current_revision(url)) == (None, head_revision())
    assert tables(url) == {*metadata.tables, "alembic_version"}


def test_up_down_and_up_again_gives_the_tables_that_the_code_expects(url: str) -> None:
    migrate(url)
    downgrade(url, "base")
    left = tables(url)
    migrate(url)

    assert left == {"alembic_version"}
    assert differences(url) == []


def test_the_checks_are_those_that_the_code_expects(url: str, tmp_path: Path) -> None:
    migrate(url)
    migrated = checks(url)

    downgrade(url, "base")
    on(url, metadata.create_all)

    assert migrated == checks(url)
    assert sum(len(words) for words in migrated.values()) == 16


def test_migrating_an_up_to_date_database_changes_nothing(url: str) -> None:
    migrate(url)
    migrate(url)

    assert current_revision(url) == head_revision()
    assert differences(url) == []


def test_it_can_be_done_while_an_event_loop_runs(url: str) -> None:
    async def serve() -> str | None:
        migrate(url)
        return current_revision(url)

    assert asyncio.run(serve()) == head_revision()


def test_the_working_directory_does_not_matter(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    migrate(url)

    assert current_revision(url) == head_revision()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_migration_that_fails_leaves_nothing_behind(url: str) -> None:
    on(url, lambda connection: connection.exec_driver_sql("CREATE TABLE api_keys (id INTEGER)").close())

    with pytest.raises(Exception, match="already exists"):
        migrate(url)

    assert tables(url) == {"api_keys"}
    assert current_revision(url) is None


@pytest.mark.fault("F81")
def test_several_processes_that_migrate_at_once_do_it_once(url: str) -> None:
    code = "import sys; from sewapay.adapters.sql.migrations import migrate; migrate(sys.argv[1])"
    migrating = [
        subprocess.Popen(
            [sys.executable, "-c", code, url],
            env=os.environ | {"PYTHONPATH": PYTHONPATH},
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    said = [process.communicate(timeout=60)[1] for process in migrating]

    assert said == ["", "", ""]
    assert [process.returncode for process in migrating] == [0, 0, 0]
    assert current_revision(url) == head_revision()
    assert differences(url) == []


def test_asking_where_a_database_stands_does_not_make_one(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new.db"

    assert current_revision(url) is None
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_a_folder_that_is_missing_is_said_to_be_unusable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        migrate(f"sqlite:///{tmp_path}/missing/new.db")


def test_a_server_that_is_away_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        migrate("postgresql://sewapay@127.0.0.1:1/sewapay")
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        current_revision("postgresql://sewapay@127.0.0.1:1/sewapay")


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(UnusableSetting):
        migrate("mysql://root@localhost/sewapay")


def test_migrating_sets_up_no_logging(tmp_path: Path) -> None:
    code = """
import logging, sys
from sewapay.adapters.sql.migrations import migrate
migrate(sys.argv[1])
print(logging.getLogger().handlers, logging.getLogger().level == logging.WARNING, logging.root.manager.disable)
"""
    said = subprocess.run(
        [sys.executable, "-c", code, f"sqlite:///{tmp_path}/new.db"],
        env=os.environ | {"PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        check=True,
    )

    assert (said.stdout, said.stderr) == ("[] True 0\n", "")

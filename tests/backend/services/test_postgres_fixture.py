import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import pytest

from tests.postgres import PostgresServer

OURS = not os.environ.get("SEWAPAY_TEST_POSTGRES_URL")
only_ours = pytest.mark.skipif(not OURS, reason="the server in SEWAPAY_TEST_POSTGRES_URL is set up by its owner")


async def _tables(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return [row["tablename"] for row in rows]
    finally:
        await connection.close()


async def test_a_fresh_database_is_empty_and_can_be_written(fresh_postgres_url: str) -> None:
    before = await _tables(fresh_postgres_url)

    connection = await asyncpg.connect(fresh_postgres_url)
    await connection.execute("CREATE TABLE payments (id int PRIMARY KEY)")
    await connection.close()

    assert (before, await _tables(fresh_postgres_url)) == ([], ["payments"])


async def test_what_one_database_holds_is_not_in_the_next(postgres_server: PostgresServer) -> None:
    first, second = postgres_server.create_database(), postgres_server.create_database()

    connection = await asyncpg.connect(first)
    await connection.execute("CREATE TABLE payments (id int PRIMARY KEY)")
    await connection.close()

    assert await _tables(second) == []
    postgres_server.drop_database(first)
    postgres_server.drop_database(second)


async def test_a_database_is_dropped_under_a_connection_that_was_left_open(postgres_server: PostgresServer) -> None:
    url = postgres_server.create_database()
    left_open = await asyncpg.connect(url)

    postgres_server.drop_database(url)

    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(url)
    left_open.terminate()


@only_ours
def test_the_address_has_the_form_that_the_settings_document(fresh_postgres_url: str) -> None:
    assert re.fullmatch(r"postgresql://sewapay@127\.0\.0\.1:\d+/sewapay_test_[0-9a-f]{12}", fresh_postgres_url)


@only_ours
def test_the_server_is_durable_roomy_and_reachable_from_this_machine_only(postgres_server: PostgresServer) -> None:
    rows = postgres_server.fetch(
        "SELECT name, setting FROM pg_settings WHERE name IN "
        "('fsync', 'full_page_writes', 'listen_addresses', 'max_connections', 'synchronous_commit') ORDER BY name"
    )

    assert rows == [
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("listen_addresses", "127.0.0.1"),
        ("max_connections", "200"),
        ("synchronous_commit", "on"),
    ]


@only_ours
@pytest.mark.usefixtures("postgres_server")  # without one this test is skipped like the others
def test_the_server_ends_when_the_tests_are_killed() -> None:
    script = (
        "import os, signal\n"
        "from tests.postgres import running_postgres\n"
        "with running_postgres() as server:\n"
        "    print(server.log.parent, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )

    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    place = Path(killed.stdout.strip())
    _wait_until_gone(place / "data" / "postmaster.pid")
    shutil.rmtree(place)


def _wait_until_gone(path: Path) -> None:
    deadline = time.monotonic() + 30
    while path.exists():
        assert time.monotonic() < deadline, f"{path} is still there"
        time.sleep(0.05)

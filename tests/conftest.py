"""What every test can ask for, and how hard Hypothesis looks."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.machine import IN_CI
from tests.postgres import PostgresServer, running_postgres

pytest.register_assert_rewrite("tests.backend.contracts", "tests.shop")

pytest_plugins = ["sewapay.testing.plugin"]

# A deadline measures the machine and not the code. CI looks at the same examples every time: red there is red here.
settings.register_profile("default", deadline=None)
settings.register_profile(
    "ci", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if IN_CI else "default"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "postgres_server" in getattr(item, "fixturenames", ()):
            item.add_marker("postgres")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real PostgreSQL, started at the first test that asks and stopped after the last."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_url(postgres_server: PostgresServer) -> str:
    """The administrator's address of that server."""
    return postgres_server.url


@pytest.fixture
def fresh_postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of a new, empty database that is dropped after the test."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)

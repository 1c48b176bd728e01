"""Khalti's stand-in and migrated databases, shared by the tests of the whole system."""

import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import structlog

from sewapay.adapters.khalti.simulator import Simulator, create_app
from sewapay.adapters.sql.migrations import migrate
from tests.backend.system.world import Khalti
from tests.postgres import PostgresServer
from tests.servers import run_in_thread

STORES = [pytest.param("sqlite", id="sqlite"), pytest.param("postgres", id="postgres", marks=pytest.mark.postgres)]


@pytest.fixture(scope="session")
def khaltis() -> Iterator[Khalti]:
    simulator = Simulator(seed=20260115)
    with run_in_thread(create_app(simulator)) as address, httpx.Client(trust_env=False) as http:
        yield Khalti(simulator, address, http)


@pytest.fixture
def khalti(khaltis: Khalti) -> Khalti:
    """Khalti on a new day."""
    khaltis.forget()
    return khaltis


@pytest.fixture(scope="session")
def sqlite_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A migrated file that the tests share; each has bookings of its own."""
    url = f"sqlite:///{tmp_path_factory.mktemp('system') / 'sewapay.db'}"
    migrate(url)
    return url


@pytest.fixture(scope="session")
def migrated_postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A migrated database that the tests share; each has bookings of its own."""
    url = postgres_server.create_database()
    migrate(url)
    yield url
    postgres_server.drop_database(url)


@pytest.fixture(params=STORES)
def database_url(request: pytest.FixtureRequest) -> str:
    """Each kind of database in turn."""
    name = {"sqlite": "sqlite_url", "postgres": "migrated_postgres_url"}[request.param]
    url: str = request.getfixturevalue(name)
    return url


@pytest.fixture(params=STORES)
def fresh_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each kind of database in turn, new and migrated, for tests that take it away."""
    url = f"sqlite:///{tmp_path / 'sewapay.db'}"
    if request.param == "postgres":
        url = request.getfixturevalue("fresh_postgres_url")
    migrate(url)
    return url


@pytest.fixture(autouse=True)
def _silence() -> Iterator[None]:
    """Neither the access log nor a thousand warnings about Khalti among the tests' output."""
    before, ours = structlog.get_config(), logging.getLogger("sewapay")
    structlog.configure(processors=[_drop], cache_logger_on_first_use=False)
    level = ours.level
    ours.setLevel(logging.CRITICAL)
    yield
    ours.setLevel(level)
    structlog.configure(**before)


def _drop(_logger: object, _method: str, _event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    raise structlog.DropEvent

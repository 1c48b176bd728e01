"""A shop, and a client of its application."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, cast

import httpx
import pytest
import structlog
from litestar import Litestar
from structlog.testing import LogCapture

from sewapay.adapters.web import failures, returns, sewabazaar
from sewapay.entrypoints.asgi import create_app
from tests.backend.api.talking import client_of
from tests.shop import Shop


class CurrentParts:
    """Stands where a container stands, and asks the one of the test that is running.

    The application asks its container anew for each request, so one application serves every test's own shop; to build
    one a test would take most of the time.
    """

    def __init__(self) -> None:
        self.shop = Shop()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *values, **named: getattr(self.shop.container, name)(*values, **named)


@pytest.fixture(scope="session")
def current() -> CurrentParts:
    return CurrentParts()


@pytest.fixture(scope="session")
def shared_app(current: CurrentParts) -> Litestar:
    return create_app(cast("Any", current))


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def app(shop: Shop, current: CurrentParts, shared_app: Litestar) -> Litestar:
    """The application over this test's shop."""
    current.shop = shop
    return shared_app


@pytest.fixture
async def client(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    """Talks to the application in this process; follows no redirect."""
    async with client_of(app) as client:
        yield client


@pytest.fixture(autouse=True)
def logged() -> Iterator[LogCapture]:
    """What is logged while the test runs, however logging was set up before and whatever was remembered of that."""
    before = structlog.get_config()
    for module in (failures, returns, sewabazaar):
        vars(module._LOG).pop("bind", None)
    capture = LogCapture()
    structlog.configure(processors=[capture], cache_logger_on_first_use=False)
    yield capture
    structlog.configure(**before)

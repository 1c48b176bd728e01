"""The pytest plugin: `gateway_check` and `store_check`, for the tests of gateways and stores that are not ours.

    def test_tinypay_keeps_the_contract(gateway_check):
        gateway_check(tinypay_stage)

It is loaded in every pytest run of everyone who has sewapay installed, so that it imports the contracts only where a
test asks for them.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sewapay.application.storage import Store
    from sewapay.testing.stage import StageFactory

# what a failed assert shows in detail
pytest.register_assert_rewrite(
    "sewapay.testing.gateways", "sewapay.testing.stores", "sewapay.testing.steps", "sewapay.testing.http_stage"
)

GATEWAYS = "gateway_check"
STORES = "store_check"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each check of the contract that is asked for, by the check's name."""
    if GATEWAYS in metafunc.fixturenames:
        from sewapay.testing.kit import CHECKS

        metafunc.parametrize(GATEWAYS, list(CHECKS), ids=list(CHECKS), indirect=True)
    if STORES in metafunc.fixturenames:
        from sewapay.testing.stores.contract import CLAUSES

        metafunc.parametrize(STORES, list(CLAUSES), ids=list(CLAUSES), indirect=True)


@pytest.fixture
def gateway_check(request: pytest.FixtureRequest) -> "Callable[[StageFactory], None]":
    """Put a gateway through one check of the contract, on a stage of its own: `gateway_check(tinypay_stage)`.

    Skips, with the reason, when the check is about something that this gateway does not do.
    """
    from sewapay.testing.kit import put_through

    def put(stage: "StageFactory") -> None:
        __tracebackhide__ = True
        asyncio.run(put_through(request.param, stage))

    return put


@pytest.fixture
def store_check(request: pytest.FixtureRequest) -> "Callable[[Callable[[], AbstractAsyncContextManager[Store]]], None]":
    """Put a store through one clause of the contract: `store_check(make)`, `make` giving an open, empty store."""
    from sewapay.testing.stores.contract import put_through

    def put(store: "Callable[[], AbstractAsyncContextManager[Store]]") -> None:
        __tracebackhide__ = True
        asyncio.run(put_through(request.param, store))

    return put

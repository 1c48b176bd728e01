"""Every store keeps every clause."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sewapay.adapters.memory.store import MemoryStore
from sewapay.adapters.sql.migrations import migrate
from sewapay.adapters.sql.store import build_store
from sewapay.application.storage import Store
from sewapay.testing.stores.contract import CLAUSES


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    made = _make(request, tmp_path)
    await made.open()
    yield made
    await made.close()


def _make(request: pytest.FixtureRequest, folder: Path) -> Store:
    if request.param == "memory":
        return MemoryStore()
    postgres = request.param == "postgres"
    url = request.getfixturevalue("fresh_postgres_url") if postgres else f"sqlite:///{folder}/sewapay.db"
    migrate(url)
    return build_store(url)


@pytest.mark.parametrize("clause", CLAUSES)
async def test_a_store_keeps_its_contract(store: Store, clause: str) -> None:
    async with asyncio.timeout(60):
        await CLAUSES[clause](store)

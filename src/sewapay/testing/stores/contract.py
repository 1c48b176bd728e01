"""What every store keeps: each clause is a coroutine that takes an open, empty store and says what it expects."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType
from typing import Final

from sewapay.application.storage import Store
from sewapay.testing.stores import (  # noqa: F401 (importing them enrols their clauses)
    answers,
    events,
    feed,
    given,
    keys,
    leases,
    ledger,
    lists,
    paces,
    refunds,
    rows,
    transactions,
    uniqueness,
)
from sewapay.testing.stores.given import Clause

__all__ = ["CLAUSES", "MOST_SECONDS", "put_through"]

# by theme, whoever imported which of them first
CLAUSES: Final[Mapping[str, Clause]] = MappingProxyType(
    dict(sorted(given.CLAUSES.items(), key=lambda named: named[1].__module__))
)
MOST_SECONDS: Final = 60.0
"""How long one clause may take on any store."""


async def put_through(name: str, make: Callable[[], AbstractAsyncContextManager[Store]]) -> None:
    """Put the open, empty store that `make` gives through the clause of this name."""
    async with asyncio.timeout(MOST_SECONDS), make() as store:
        await CLAUSES[name](store)

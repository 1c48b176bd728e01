"""The store in a dict: for tests, and as the plainest statement of what a store does. It keeps the same contract."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TypeVar

from sewapay.adapters.memory.facts import Facts, StaleVersion
from sewapay.adapters.memory.transaction import MemoryTx, Now
from sewapay.application.errors import StoreUnavailable
from sewapay.application.storage import Tx, View

__all__ = ["MemoryStore"]

T = TypeVar("T")

MOST_RUNS: Final = 5


def _utc_now() -> datetime:
    return datetime.now(UTC)


class MemoryStore:
    """Keeps everything in this process. Transactions run one after another, each on a copy that replaces the state.

    `now` (UTC) is what the database's own clock would be. `break_down` and `repair` make it unavailable and available
    again, for tests of what happens then.
    """

    def __init__(self, *, now: Now = _utc_now) -> None:
        self._facts = Facts()
        self._now = now
        self._is_broken = False

    async def transact(self, work: Callable[[Tx], T]) -> T:
        """Run `work` on a copy and keep the copy; an exception drops it."""
        for _ in range(MOST_RUNS):
            self._require_working()
            changed = self._facts.copy()
            try:
                result = work(MemoryTx.over(changed, self._now))
            except StaleVersion:
                continue
            self._facts = changed
            return result
        raise StoreUnavailable("this changes too often right now: ask again in a moment")

    async def read(self, work: Callable[[View], T]) -> T:
        """Run `work` on a copy and drop the copy."""
        self._require_working()
        return work(MemoryTx.over(self._facts.copy(), self._now))

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def ping(self) -> None:
        """Raises `StoreUnavailable` while it is broken down."""
        self._require_working()

    def break_down(self) -> None:
        """From now on every call raises `StoreUnavailable`; what is stored stays."""
        self._is_broken = True

    def repair(self) -> None:
        """Work again."""
        self._is_broken = False

    def _require_working(self) -> None:
        if self._is_broken:
            raise StoreUnavailable("the store was told to be unavailable")

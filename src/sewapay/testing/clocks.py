"""Time that a test moves by itself, so that no test ever waits for it."""

import asyncio
from datetime import datetime, timedelta

from sewapay.testing.builders import NOON

__all__ = ["ManualClock"]


class ManualClock:
    """A clock that moves when a test says so; pausing moves it too. It begins at `NOON` in Nepal, or when it is told.

    It is a `sewapay.application.ports.Clock`.
    """

    def __init__(self, now: datetime = NOON) -> None:
        self._now = now

    def now(self) -> datetime:
        """The time that the test is at."""
        return self._now

    async def pause(self, seconds: float) -> None:
        """Let the time pass without waiting for it."""
        self.advance(seconds=seconds)
        await asyncio.sleep(0)

    def advance(self, *, seconds: float = 0, minutes: float = 0, days: float = 0) -> None:
        """Move on."""
        self._now += timedelta(seconds=seconds, minutes=minutes, days=days)

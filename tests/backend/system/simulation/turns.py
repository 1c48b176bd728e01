"""An event loop in which the seed decides who runs next, and time passes only when nobody can."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["BEGAN", "Turns", "VirtualClock", "VirtualLoop"]

BEGAN: Final = datetime(2026, 1, 15, 6, 15, tzinfo=UTC)


class Turns:
    """Everybody who could go on now. One of them does when nobody else is running."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._waiting: list[asyncio.Future[None]] = []
        self.taken = 0

    async def wait(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        await turn

    def give(self) -> bool:
        """Let one go on; False when nobody waits."""
        while self._waiting:
            turn = self._waiting.pop(self._chance.randrange(len(self._waiting)))
            if not turn.done():  # whoever waited was canceled
                self.taken += 1
                turn.set_result(None)
                return True
        return False


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs what is ready in its order; then gives a turn; then, when nobody waits for one, moves the time on."""

    def __init__(self, turns: Turns) -> None:
        super().__init__()
        self._turns = turns
        self._moment = 0.0
        self._clock_resolution = 1e-6  # asyncio's own is less than a float can tell after half a year
        self._selector = self  # asyncio asks it what happened outside: nothing ever does
        self.set_exception_handler(lambda _loop, _context: None)  # the tasks of a dead process end nowhere

    def time(self) -> float:
        return self._moment

    def select(self, timeout: float | None) -> list[object]:
        if timeout == 0 or self._turns.give():
            return []
        if timeout is None:
            raise RuntimeError("everybody waits for somebody else")
        self._moment += timeout
        return []

    def _process_events(self, event_list: list[object]) -> None:
        return

    def _write_to_self(self) -> None:
        return


class VirtualClock:
    """The loop's own time. Whoever pauses is parked until it has come, and then waits for their turn."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def now(self) -> datetime:
        return BEGAN + timedelta(microseconds=round(self._loop.time() * 1_000_000))

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

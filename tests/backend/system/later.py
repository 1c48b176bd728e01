"""A worker on a host whose clock is wrong: `python -m tests.backend.system.later SECONDS` (ahead, or behind with -).

With `--once` behind it, it works until nothing is due, and ends.
"""

import asyncio
import signal
import sys
from datetime import UTC, datetime, timedelta

from attrs import frozen
from dependency_injector import providers

from sewapay.entrypoints.container import build_container
from sewapay.entrypoints.logs import configure_logs
from sewapay.entrypoints.settings import environment
from sewapay.entrypoints.worker import Worker

__all__ = ["program"]


def program(seconds: int, *, once: bool = False) -> tuple[str, ...]:
    """What Python is to run."""
    return ("-m", "tests.backend.system.later", str(seconds), *(["--once"] if once else []))


@frozen
class _WrongClock:
    offset: timedelta

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def _work(offset: timedelta, *, once: bool) -> None:
    container = build_container(environment())
    container.clock.override(providers.Object(_WrongClock(offset)))
    configure_logs(None)
    worker, store = Worker(container, idle_seconds=0.2), container.store()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
    await store.open()
    try:
        print("the worker is ready", flush=True)
        await (worker.until_nothing_is_due() if once else worker.until_stopped())
    finally:
        await container.http_client().aclose()
        await store.close()


if __name__ == "__main__":
    asyncio.run(_work(timedelta(seconds=int(sys.argv[1])), once="--once" in sys.argv))

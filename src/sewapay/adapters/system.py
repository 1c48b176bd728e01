"""The real clock, real randomness, and the event loop's tasks."""

import asyncio
import secrets
import string
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from sewapay.domain.identifiers import OrderReference, PaymentId, RefundId

__all__ = ["RandomIds", "SystemClock", "TaskFlights", "TasksTogether"]

T = TypeVar("T")

CALLS_AT_A_TIME: Final = 32

_REFERENCE_ALPHABET: Final = string.ascii_uppercase + string.digits
_FAIR: Final = 252  # 7 * 36: bytes from here on would favour the first letters


class SystemClock:
    """The machine's clock, in UTC."""

    def now(self) -> datetime:
        """Now."""
        return datetime.now(UTC)

    async def pause(self, seconds: float) -> None:
        """Let this much time pass."""
        await asyncio.sleep(seconds)


class RandomIds:
    """Names from the operating system's randomness: 122 bits in a payment's id, 103 in an order reference."""

    def payment_id(self) -> PaymentId:
        """A random UUID (version 4)."""
        return PaymentId(str(uuid.uuid4()))

    def refund_id(self) -> RefundId:
        """A random UUID (version 4)."""
        return RefundId(str(uuid.uuid4()))

    def order_reference(self) -> OrderReference:
        """Twenty random characters of `A-Z 0-9`."""
        picked = ""
        while len(picked) < 20:
            picked += "".join(_REFERENCE_ALPHABET[byte % 36] for byte in secrets.token_bytes(24) if byte < _FAIR)
        return OrderReference(picked[:20])

    def secret(self) -> str:
        """256 random bits as 43 URL-safe characters."""
        return secrets.token_urlsafe(32)


class TaskFlights:
    """One running and one waiting call a name, in this process's event loop.

    A call is a task of its own: whoever stops waiting leaves it to the others, and to its end.
    """

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[Any]] = {}
        self._waiting: dict[str, asyncio.Task[Any]] = {}

    async def fresh(self, name: str, call: Callable[[bool], Awaitable[T]]) -> T:
        """The outcome of a call that begins now, or right after the one that runs."""
        running = self._running.get(name)
        if running is None:
            return await self._shared(self._begun(name, call(False)))
        waiting = self._waiting.get(name)
        if waiting is None:
            waiting = self._waiting[name] = asyncio.create_task(self._after(running, name, call))
            waiting.add_done_callback(_heard)
        return await self._shared(waiting)

    async def joined(self, name: str, call: Callable[[], Awaitable[T]], *, seconds: float) -> T | None:
        """The outcome of the call that runs, else of one that begins now; None when that takes too long."""
        task = self._running.get(name) or self._begun(name, call())
        try:
            async with asyncio.timeout(seconds):
                return await self._shared(task)
        except TimeoutError:
            return None

    def _begun(self, name: str, call: Awaitable[T]) -> "asyncio.Task[T]":
        task: asyncio.Task[T] = asyncio.ensure_future(_awaited(call))
        self._running[name] = task

        def ended(_: object) -> None:
            if self._running.get(name) is task:
                del self._running[name]
            _heard(task)

        task.add_done_callback(ended)
        return task

    async def _after(self, running: "asyncio.Task[Any]", name: str, call: Callable[[bool], Awaitable[T]]) -> T:
        await asyncio.wait([running])
        self._waiting.pop(name, None)
        begun_meanwhile = self._running.get(name)
        return await self._shared(begun_meanwhile or self._begun(name, call(True)))

    async def _shared(self, task: "asyncio.Task[T]") -> T:
        return await asyncio.shield(task)


class TasksTogether:
    """A few tasks that work through a list."""

    def __init__(self, at_a_time: int = CALLS_AT_A_TIME) -> None:
        self._at_a_time = at_a_time

    async def __call__(self, calls: Sequence[Callable[[], Awaitable[T]]]) -> list[T | Exception]:
        """Their outcomes, in their order."""
        outcomes: list[T | Exception | None] = [None] * len(calls)
        left = iter(enumerate(calls))

        async def work() -> None:
            for place, call in left:
                try:
                    outcomes[place] = await call()
                except Exception as error:
                    outcomes[place] = error
                except asyncio.CancelledError as error:
                    if _is_canceled():
                        raise
                    bug = RuntimeError("a call was canceled by something that it waited for")
                    bug.__cause__ = error
                    outcomes[place] = bug

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._at_a_time, len(calls))):
                group.create_task(work())
        return outcomes  # type: ignore[return-value]  # every place has its outcome by now


def _is_canceled() -> bool:
    """Whether somebody cancels this task; a `CancelledError` in it can be another task's as well."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _awaited(call: Awaitable[T]) -> T:
    return await call


def _heard(task: "asyncio.Task[Any]") -> None:
    """Nobody may be left to hear of an error: that is no reason for a warning."""
    if not task.cancelled():
        task.exception()

"""Calls of other people's code: each comes to an end, whatever it does about that, and ends nothing but itself.

- A call is a task of its own. When its time is over it is canceled, may tidy up for a moment, and is dropped if it
  swallowed that: it would run for ever, and keep the process from stopping.
- Whatever it raises is a bug of the call. `SystemExit` would end the process; a `CancelledError` that somebody else's
  cancellation left in it would pass for our own end.

Two things cannot be helped from here: code that keeps the event loop to itself (`time.sleep`, a long calculation), and
tasks that a call began (`asyncio.wait_for` begins one, too) and that swallow their own cancellation.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import Any, Final, Generic, TypeVar, cast

from attrs import define, frozen

from sewapay.application.errors import GatewayError, OutcomeUnknown
from sewapay.domain.identifiers import GatewayName
from sewapay.entrypoints.fit_gateways import told

__all__ = ["ended"]

LONGEST_FAREWELL_SECONDS: Final = 2.0
"""How long a call that was canceled may tidy up: its connection goes back to the pool."""

LONGEST_MESSAGE: Final = 300
MOST_CANCELLATIONS: Final = 16  # a loop of retries swallows a few, and then it is over

T = TypeVar("T")
_log: Final = logging.getLogger("sewapay.gateways")


async def ended(name: GatewayName, call: Callable[[], Awaitable[T]], seconds: float) -> T:
    """What the call comes to. Raises `GatewayError`: a bug in it says nothing of the payment, and neither does a call
    without an end. Whoever cancels the caller cancels the call.
    """
    driven = _Driven(name=name, call=call)
    task = asyncio.ensure_future(driven.outcome())
    task.add_done_callback(lambda _: task.cancelled() or task.exception())  # heard, should nobody wait any more
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        if not task.done():
            driven.give_up(task, farewell=min(seconds, LONGEST_FAREWELL_SECONDS))
    if not task.done():
        raise OutcomeUnknown(f"the gateway {name} gave no answer within {seconds:g} s")
    outcome = task.result()
    if not isinstance(outcome, _Broke):
        return outcome
    if isinstance(outcome.error, GatewayError):
        raise _ours(name, outcome.error) from outcome.error
    why = told(outcome.error)
    _log.error("the gateway %s broke: %s", name, why)
    raise OutcomeUnknown(f"the gateway {name} broke: {why}") from outcome.error


def _ours(name: GatewayName, error: GatewayError) -> GatewayError:
    """The error as one of our own classes, with what it says as far as that can be stored and shown."""
    kind = next(kind for kind in type(error).__mro__ if kind.__module__ == GatewayError.__module__)
    said = next((part for part in error.args if isinstance(part, str)), "")
    shown = "".join(character for character in said[:LONGEST_MESSAGE] if character.isprintable())
    return cast("GatewayError", kind(shown or f"the gateway {name} does not say why"))


@frozen
class _Broke:
    """What was raised instead of an answer; kept as a value, since a task lets some errors out into the event loop."""

    error: BaseException


@define(kw_only=True, eq=False)
class _Driven(Generic[T]):
    """A call that is taken from one wait to the next by us, so that we can let go of it between two."""

    name: GatewayName
    call: Callable[[], Awaitable[T]]
    is_dropped: bool = False

    async def outcome(self) -> T | _Broke:
        try:
            return await self
        except KeyboardInterrupt:
            raise  # that is the operator
        except BaseException as error:  # other people's code may raise anything
            return _Broke(error)

    def __await__(self) -> Generator[Any, Any, T]:
        steps = self.call().__await__()
        step: Callable[[], Any] = partial(steps.send, None)
        while True:
            try:
                waits_for = step()
            except StopIteration as end:
                answer: T = end.value
                return answer
            try:
                step = partial(steps.send, (yield waits_for))
            except BaseException as thrown:  # its own cancellation, or what it waited for was canceled
                if self.is_dropped:
                    _drop(self.name, steps)
                    del step, steps  # now: what is collected without an event loop would go on and never wait
                    raise
                step = partial(steps.throw, thrown)

    def give_up(self, task: "asyncio.Task[T | _Broke]", *, farewell: float) -> None:
        """Cancel it, and see to it that this is its end. Nobody waits for that."""

        def drop() -> None:
            self.is_dropped = True
            task.cancel()

        def has_ended(_: object) -> None:
            dropping.cancel()
            outcome = None if task.cancelled() or task.exception() is not None else task.result()
            if isinstance(outcome, _Broke) and not isinstance(outcome.error, GatewayError | asyncio.CancelledError):
                _log.error("the gateway %s broke after it was given up: %s", self.name, told(outcome.error))

        task.cancel()
        dropping = asyncio.get_running_loop().call_later(farewell, drop)
        task.add_done_callback(has_ended)


def _drop(name: GatewayName, steps: Generator[Any, Any, Any]) -> None:
    """Have it end where it stands, now, whatever it would wait for next."""
    _log.error("the gateway %s goes on after it was canceled: the call was dropped", name)
    try:
        for _ in range(MOST_CANCELLATIONS):
            steps.throw(asyncio.CancelledError())
        steps.close()
    except (StopIteration, RuntimeError, asyncio.CancelledError):
        return  # it has ended, or is left to the garbage collector
    except KeyboardInterrupt:
        raise  # that is the operator
    except BaseException as error:  # other people's code may raise anything
        _log.error("the gateway %s broke when it was dropped: %s", name, told(error))

"""One call a name at a time, and several calls together: over the event loop's own tasks."""

import asyncio

import pytest

from sewapay.adapters.system import SystemClock, TaskFlights, TasksTogether
from tests.backend.unit.world import until


class Looks:
    """Calls that end when they are let go; each knows its number and whether it had to wait."""

    def __init__(self) -> None:
        self.begun: list[bool] = []
        self.ended = 0
        self._gates: list[asyncio.Event] = []

    async def __call__(self, has_waited: bool = False) -> int:
        self.begun.append(has_waited)
        number, gate = len(self.begun), asyncio.Event()
        self._gates.append(gate)
        await gate.wait()
        self.ended += 1
        return number

    def let_go(self, number: int) -> None:
        self._gates[number - 1].set()

    async def have_begun(self, number: int) -> None:
        await until(lambda: len(self.begun) == number)


async def test_whoever_comes_while_a_call_runs_shares_the_next_one() -> None:
    flights, look = TaskFlights(), Looks()
    first = asyncio.create_task(flights.fresh("a", look))
    await look.have_begun(1)

    later = [asyncio.create_task(flights.fresh("a", look)) for _ in range(99)]
    await asyncio.sleep(0)
    look.let_go(1)
    await look.have_begun(2)
    look.let_go(2)

    assert await first == 1
    assert await asyncio.gather(*later) == [2] * 99
    assert look.begun == [False, True]


async def test_calls_of_two_names_run_beside_each_other() -> None:
    flights, look = TaskFlights(), Looks()

    both = [asyncio.create_task(flights.fresh(name, look)) for name in ("a", "b")]
    await look.have_begun(2)
    look.let_go(1)
    look.let_go(2)

    assert await asyncio.gather(*both) == [1, 2]


async def test_a_call_that_ended_is_not_shared_with_whoever_comes_later() -> None:
    flights, look = TaskFlights(), Looks()
    for number in (1, 2):
        call = asyncio.create_task(flights.fresh("a", look))
        await look.have_begun(number)
        look.let_go(number)

        assert await call == number


async def test_a_call_that_begins_just_before_the_waiting_one_serves_both() -> None:
    flights, look, gate = TaskFlights(), Looks(), asyncio.Event()
    between: list[asyncio.Task[int]] = []

    async def ends_when_somebody_else_comes(_has_waited: bool) -> int:
        await gate.wait()
        asyncio.get_running_loop().call_soon(lambda: between.append(asyncio.create_task(flights.fresh("a", look))))
        return 0

    first = asyncio.create_task(flights.fresh("a", ends_when_somebody_else_comes))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(flights.fresh("a", look))
    await asyncio.sleep(0)
    gate.set()
    await look.have_begun(1)
    look.let_go(1)

    assert [await first, await waiting, await between[0]] == [0, 1, 1]
    assert look.begun == [False]


@pytest.mark.fault("F71")
async def test_whoever_stops_waiting_leaves_the_call_to_the_others() -> None:
    flights, look = TaskFlights(), Looks()
    impatient = asyncio.create_task(flights.fresh("a", look))
    await look.have_begun(1)
    patient = asyncio.create_task(flights.joined("a", look, seconds=60))
    await asyncio.sleep(0)

    impatient.cancel()
    look.let_go(1)

    assert await patient == 1
    assert impatient.cancelled()


async def test_an_error_is_everybodys_error_and_the_next_call_begins_anew() -> None:
    flights, looks = TaskFlights(), 0

    async def breaks(_has_waited: bool) -> int:
        nonlocal looks
        looks += 1
        await asyncio.sleep(0)
        raise ZeroDivisionError

    outcomes = await asyncio.gather(*(flights.fresh("a", breaks) for _ in range(3)), return_exceptions=True)
    with pytest.raises(ZeroDivisionError):
        await flights.fresh("a", breaks)

    assert [type(outcome) for outcome in outcomes] == [ZeroDivisionError] * 3
    assert looks == 3


async def test_an_error_that_nobody_waits_for_any_more_disturbs_nobody() -> None:
    flights, gate = TaskFlights(), asyncio.Event()

    async def breaks() -> int:
        await gate.wait()
        raise ZeroDivisionError

    reader = asyncio.create_task(flights.joined("a", breaks, seconds=60))
    await asyncio.sleep(0)
    reader.cancel()
    gate.set()
    await asyncio.sleep(0.001)

    assert reader.cancelled()


async def test_readers_join_the_call_that_runs() -> None:
    flights, look = TaskFlights(), Looks()

    readers = [asyncio.create_task(flights.joined("a", look, seconds=60)) for _ in range(100)]
    await look.have_begun(1)
    look.let_go(1)

    assert await asyncio.gather(*readers) == [1] * 100
    assert len(look.begun) == 1


async def test_a_reader_waits_only_so_long_and_the_call_goes_on_to_its_end() -> None:
    flights, look = TaskFlights(), Looks()

    answer = await flights.joined("a", look, seconds=0.001)
    look.let_go(1)
    await until(lambda: look.ended == 1)

    assert answer is None


async def test_outcomes_come_in_their_order_whichever_call_ends_first() -> None:
    look = Looks()
    outcomes = asyncio.create_task(TasksTogether()([look, look, look]))
    await look.have_begun(3)

    for number in (3, 1, 2):
        look.let_go(number)
        await asyncio.sleep(0)

    assert await outcomes == [1, 2, 3]


async def test_what_one_call_raises_is_its_outcome_and_stops_no_other() -> None:
    async def breaks() -> int:
        raise ZeroDivisionError

    async def works() -> int:
        return 7

    outcomes = await TasksTogether(1)([breaks, works, breaks])

    assert [outcome if isinstance(outcome, int) else type(outcome) for outcome in outcomes] == [
        ZeroDivisionError,
        7,
        ZeroDivisionError,
    ]


async def test_a_call_that_ends_by_a_cancellation_of_its_own_has_an_outcome_and_stops_no_other() -> None:
    async def is_left_by_another() -> int:
        shared = asyncio.ensure_future(asyncio.sleep(3600))
        shared.cancel()
        await shared
        return 1

    async def works() -> int:
        return 7

    outcomes = await TasksTogether(1)([is_left_by_another, works, is_left_by_another])

    assert [outcome if isinstance(outcome, int) else type(outcome) for outcome in outcomes] == [
        RuntimeError,
        7,
        RuntimeError,
    ]


async def test_who_stops_waiting_for_several_calls_stops_them() -> None:
    look = Looks()
    outcomes = asyncio.create_task(TasksTogether(2)([look] * 5))
    await look.have_begun(2)

    outcomes.cancel()

    with pytest.raises(asyncio.CancelledError):
        await outcomes
    assert (len(look.begun), look.ended) == (2, 0)


async def test_no_more_calls_run_at_a_time_than_the_machine_bears() -> None:
    look = Looks()
    outcomes = asyncio.create_task(TasksTogether(2)([look] * 5))

    for number in range(1, 6):
        await look.have_begun(min(number + 1, 5))
        assert len(look.begun) - look.ended <= 2
        look.let_go(number)
        await until(lambda: look.ended == number)  # noqa: B023  # awaited before the next turn

    assert await outcomes == [1, 2, 3, 4, 5]


async def test_no_calls_have_no_outcomes() -> None:
    assert await TasksTogether()([]) == []


async def test_a_pause_of_the_real_clock_lets_others_work() -> None:
    clock, order = SystemClock(), list[str]()

    async def other() -> None:
        order.append("other")

    work = asyncio.create_task(other())
    await clock.pause(0.001)
    order.append("after the pause")
    await work

    assert order == ["other", "after the pause"]

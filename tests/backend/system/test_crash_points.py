"""A process dies at each single await, in three ways; the next one finds everything as it must be, or puts it right."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from sewapay.adapters.sql.migrations import migrate
from tests.backend.system.crash_points import (
    SCENARIOS,
    Broke,
    Outside,
    Points,
    a_service,
    do_it_again,
    settle,
    time_for_the_server,
    wrong,
)

# How many awaits of a store, a gateway or a clock each scenario has. A new one changes the number, and is struck too.
AWAITS: Final = {
    "pay and come back": 14,
    "pay and never come back": 22,
    "pay and get a part back": 40,
    "pay twice": 70,
}
CITED: Final = [pytest.mark.fault(row) for row in ("F08", "F66", "F70", "F71")]

pytestmark = CITED


def breaks() -> Callable[[], None]:
    """An error that nobody expected comes out of the await."""

    def strike() -> None:
        raise Broke

    return strike


def is_cut_off() -> Callable[[], None]:
    """Whoever asked goes away: the task is canceled there."""
    asking = asyncio.current_task()
    assert asking is not None

    def strike() -> None:
        asking.cancel()

    return strike


async def struck_everywhere(url: str, scenario: str, end: Callable[[], Callable[[], None]]) -> int:
    """Strike at each point in turn; returns how many there were."""
    outside, numbers, point = Outside(), list[int](), 0
    while True:
        points = Points(strike_at=point)
        number = point + 1

        async def live(points: Points = points, number: int = number) -> None:
            points.strike = end()
            async with a_service(url, outside, points) as service:
                await SCENARIOS[scenario](service, number)

        with suppress(Broke, asyncio.CancelledError):
            await asyncio.create_task(live())
        numbers.append(number)
        outside.seconds += 150
        await time_for_the_server(url)
        async with a_service(url, outside, Points()) as service:
            await do_it_again(service, scenario, number)
        if len(points.passed) <= point:
            break
        point += 1
    await settle(url, outside)
    assert await wrong(url, outside, scenario, numbers) == []
    return point


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_each_scenario_has_so_many_awaits(tmp_path: Path, scenario: str) -> None:
    url, points = f"sqlite:///{tmp_path / 'sewapay.db'}", Points()
    migrate(url)

    async with a_service(url, Outside(), points) as service:
        await SCENARIOS[scenario](service, 1)

    assert len(points.passed) == AWAITS[scenario]


@pytest.mark.parametrize("end", [breaks, is_cut_off])
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_an_error_or_a_cancellation_at_any_await_leaves_nothing_undone(
    fresh_database_url: str, scenario: str, end: Callable[[], Callable[[], None]]
) -> None:
    points = await struck_everywhere(fresh_database_url, scenario, end)

    assert points >= AWAITS[scenario]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_process_killed_at_any_await_leaves_nothing_undone(tmp_path: Path, scenario: str) -> None:
    url = f"sqlite:///{tmp_path / 'sewapay.db'}"
    migrate(url)

    command = [
        sys.executable,
        "-m",
        "tests.backend.system.crash_points",
        url,
        scenario,
        str(tmp_path / "till.json"),
        "1",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= AWAITS[scenario]

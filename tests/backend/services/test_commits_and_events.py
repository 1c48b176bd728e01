"""What happened is told with the change itself: no moment shows one without the other, and no crash parts them."""

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Final

import pytest
from attrs import evolve

from sewapay.adapters.sql.migrations import migrate
from sewapay.adapters.sql.sqlite import SqliteStore
from sewapay.testing.builders import a_booking, an_event
from sewapay.testing.stores.given import given

ENOUGH: Final = 200


def moments_of(file: Path, began: threading.Event, ended: threading.Event) -> list[tuple[int, int]]:
    """How many bookings there are, and how many of their events, at every moment that another connection sees."""
    other = sqlite3.connect(file, isolation_level=None)
    seen = []
    while not ended.is_set():
        seen.append(other.execute("SELECT (SELECT count(*) FROM bookings), (SELECT count(*) FROM events)").fetchone())
        began.set()
    other.close()
    return seen


@pytest.mark.invariant("I15")
async def test_no_moment_shows_a_change_without_its_event(tmp_path: Path) -> None:
    file = tmp_path / "sewapay.db"
    migrate(f"sqlite:///{file}")
    store, began, ended = SqliteStore(file), threading.Event(), threading.Event()
    await store.open()
    watching = asyncio.create_task(asyncio.to_thread(moments_of, file, began, ended))

    try:
        assert await asyncio.to_thread(began.wait, 30), "the other connection never looked"
        for number in range(1, ENOUGH + 1):
            booking = a_booking(number)
            await given(store, evolve(booking, events=(an_event(0, booking),)))
    finally:
        ended.set()
    moments = await watching
    await store.close()

    assert (0, 0) in moments
    assert len(set(moments)) > ENOUGH / 10, "the other connection saw too little to tell"
    assert [moment for moment in moments if moment[0] != moment[1]] == []

"""A row that cannot be read is our trouble: whoever asks is not told that they did something wrong."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import structlog
from structlog.testing import LogCapture

from sewapay.adapters.sql.migrations import migrate
from sewapay.adapters.sql.sqlite import SqliteStore
from sewapay.adapters.web import failures
from tests.backend.api.talking import client_of
from tests.shop import Shop


@pytest.fixture
def logged() -> Iterator[LogCapture]:
    before, capture = structlog.get_config(), LogCapture()
    vars(failures._LOG).pop("bind", None)
    structlog.configure(processors=[capture], cache_logger_on_first_use=False)
    yield capture
    structlog.configure(**before)


@pytest.mark.fault("F93")
@pytest.mark.invariant("I17")
@pytest.mark.invariant("I28")
async def test_a_row_that_cannot_be_read_is_our_error_and_the_operator_hears_of_it(
    tmp_path: Path, logged: LogCapture
) -> None:
    file = tmp_path / "sewapay.db"
    migrate(f"sqlite:///{file}")
    store = SqliteStore(file)
    await store.open()
    shop = Shop(store=store)
    whole, damaged = await shop.given_an_open_payment(), await shop.given_an_open_payment()
    with closing(sqlite3.connect(file, isolation_level=None)) as hand:
        hand.execute("UPDATE payments SET order_reference = 'poison' WHERE id = ?", (damaged.id,))

    async with client_of(shop.app) as http:
        paths = [f"/v1/payments/{damaged.id}", f"/v1/bookings/{damaged.booking_id}", "/v1/payments"]
        answers = [await http.get(path, headers=shop.as_staff()) for path in paths]
        others = await http.get(f"/v1/payments/{whole.id}", headers=shop.as_staff())
    await store.close()

    assert [(answer.status_code, answer.json()["type"].rpartition("/")[2]) for answer in answers] == [
        (500, "internal-error")
    ] * 3
    assert "poison" not in "".join(answer.text for answer in answers)
    assert others.status_code == 200
    told = [entry for entry in logged.entries if entry["event"] == "request failed"]
    assert [entry["error"] for entry in told] == ["UnreadableRow"] * 3
    assert told[0]["path"] == f"/v1/payments/{damaged.id}"

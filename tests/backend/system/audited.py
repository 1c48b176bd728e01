"""The books of a database and Khalti's own, judged by the audit."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sewapay.adapters.sql.audit import read_shelves
from sewapay.application.audit import audit_bookings, not_ours, repeated, truth_from_simulator
from tests.backend.system.world import Khalti, database_at, rows_of

__all__ = ["findings", "shown_by"]


def shown_by(khalti: Khalti) -> dict[str, Any]:
    """Khalti's ledger as its stand-in shows it to anybody."""
    shown: dict[str, Any] = khalti.http.get(f"{khalti.address}/_sim/payments").json()
    return shown


async def findings(url: str, khalti: Khalti, *, is_quiet: bool = False, later: timedelta = timedelta()) -> list[str]:
    """Whatever is wrong, one sentence each. Nothing may happen meanwhile: the two books are read one after the other.

    `later`: how far the clock is moved by which the payments were looked at last.
    """
    truth, now = truth_from_simulator(shown_by(khalti)), datetime.now(UTC) + later
    database = database_at(url)
    try:
        rows = await rows_of(database, 1)
    finally:
        await database.close()
    references = frozenset(
        row["gateway_reference"] for row in rows.payments.values() if row["gateway_reference"] is not None
    )
    found = await read_shelves(
        url,
        lambda shelves: [
            *(
                finding
                for books in shelves.books()
                for finding in audit_bookings(books, truth, now=now, is_quiet=is_quiet)
            ),
            *repeated(shelves.twice()),
            *not_ours(truth, references),
        ],
    )
    return [str(finding) for finding in found]

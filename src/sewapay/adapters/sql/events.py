"""Events inside a transaction, and the feed that tells all of them in one order.

An event gets a number when it is written. On SQLite one transaction writes at a time, so the numbers are the order of
the commits. On PostgreSQL a transaction may take a smaller number and commit later than one with a greater: whoever
reads by number passes it over. So events are given places in the feed when they are seen, by whoever reads the feed,
and nobody who writes events does anything for it:

- `low`: every event up to this number is in the feed, and none below it can come any more.
- `high`: the greatest number that was seen when the mark was set, and `writers`: who held the table of events then.
  When all of them are gone, every event up to `high` is committed or will never be; the next to look moves `low` there.
- What lies above `low` and is not in the feed yet gets the next places, in the order of the numbers.

No clock is asked, and nobody is waited for. A booking's events are written under its lock, so its later ones have
greater numbers and are committed later: they keep their order.
"""

from typing import Final

from sewapay.adapters.sql import statements
from sewapay.adapters.sql.cursors import read_place, write_place
from sewapay.adapters.sql.rows import Row, Values, event_from, row_of_event
from sewapay.adapters.sql.session import Prepared, Session
from sewapay.adapters.sql.views import SqlEventsView
from sewapay.application.errors import InvalidCursor
from sewapay.application.storage import Page, Told
from sewapay.domain.events import Event
from sewapay.domain.identifiers import BookingId

__all__ = ["SqlEvents"]

FED_AT_ONCE: Final = 10_000


class SqlEvents(SqlEventsView):
    """Events, inside a transaction: gathered while it runs, and written together at its end."""

    __slots__ = ("_waiting",)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._waiting: list[Values] = []

    def keep(self, happened: tuple[Event, ...]) -> None:
        """Write these with the transaction."""
        self._waiting += [row_of_event(event) for event in happened]

    def write(self) -> None:
        """Write what waits, each with its booking's next number."""
        waiting, self._waiting = self._waiting, []
        self._session.write_all(statements.ADD_EVENT, waiting)

    def of_booking(self, booking_id: BookingId) -> list[Event]:
        """The booking's events and those of its payments, in their order; this transaction's too."""
        self.write()
        return super().of_booking(booking_id)

    def feed(self, page: Page) -> tuple[list[Told], str | None]:
        """Events of all bookings after the page's cursor, oldest first, and the cursor after the last of them."""
        self.write()
        after = 0 if page.cursor is None else read_place(page.cursor)
        if self._session.dialect.name == "postgresql":
            self._feed()
            return self._fed(statements.FED_AFTER, "position", statements.LAST_FED, after, page.limit)
        return self._fed(statements.EVENTS_AFTER, "id", statements.LAST_EVENT, after, page.limit)

    def _fed(
        self, events_after: Prepared, place: str, last_place: Prepared, after: int, limit: int
    ) -> tuple[list[Told], str | None]:
        rows = self._session.rows(events_after, {"after": after, "limit": limit})
        if not rows and after > self._required(last_place)["last"]:
            raise InvalidCursor  # from a database that knew more than this one
        reached = rows[-1][place] if rows else after
        return [_told_from(row) for row in rows], write_place(reached) if reached else None

    def _feed(self) -> None:
        """Give places to the events that have none. Whoever does it at the same time waits for us."""
        mark = self._required(statements.MARK)
        if mark["low"] >= mark["greatest"]:
            return
        self._session.row(statements.WAIT_FOR_THE_FEED, {})
        mark = self._required(statements.MARK)
        now = self._required(statements.WRITERS)
        low, high, greatest = mark["low"], mark["high"], now["greatest"]
        up_to = min(greatest, low + FED_AT_ONCE)
        self._session.write(statements.FEED, {"low": low, "up_to": up_to})
        if not set(mark["writers"]).isdisjoint(now["writers"]):
            return
        moved: Values = {"low": high, "high": greatest, "writers": now["writers"]}
        if up_to < high:  # a long backlog: the rest of it is settled just as well
            moved = {"low": up_to, "high": high, "writers": []}
        self._session.write(statements.SAVE_MARK, moved)

    def _required(self, prepared: Prepared) -> Row:
        row = self._session.row(prepared, {})
        if row is None:
            raise LookupError("the mark of the feed is missing from the database")
        return row


def _told_from(row: Row) -> Told:
    return Told(sequence=row["sequence"], event=event_from(row))

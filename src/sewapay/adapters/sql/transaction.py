"""What transactions see: one implementation for both databases."""

from collections.abc import Callable
from datetime import datetime

from attrs import evolve

from sewapay.adapters.sql import statements
from sewapay.adapters.sql.answers import SqlAnswers, SqlPaces
from sewapay.adapters.sql.errors import RunAgain, StaleVersion, violates
from sewapay.adapters.sql.events import SqlEvents
from sewapay.adapters.sql.payments import SqlPayments
from sewapay.adapters.sql.rows import row_of_booking, row_of_key, row_of_refund
from sewapay.adapters.sql.session import Session
from sewapay.adapters.sql.views import SqlApiKeysView, SqlBookingsView, SqlLedger, SqlRefundsView
from sewapay.application.access import ApiKey
from sewapay.application.errors import BookingExists
from sewapay.domain.booking import Booking
from sewapay.domain.errors import RefundInProgress
from sewapay.domain.identifiers import BookingId
from sewapay.domain.refund import Refund

__all__ = ["SqlTx"]


class SqlBookings(SqlBookingsView):
    """Bookings, inside a transaction."""

    __slots__ = ("_events", "_given")
    _get = statements.BOOKING_LOCKED

    def __init__(self, session: Session, events: SqlEvents) -> None:
        super().__init__(session)
        self._events = events
        self._given: BookingId | None = None

    def next_id(self) -> BookingId:
        """One more than the greatest id so far; a merchant's own huge numbers do not count.

        Whoever asks waits for those who asked before. A merchant's own number may still come in between: then the
        transaction is run again.
        """
        if self._session.dialect.name == "postgresql":
            self._session.rows(statements.WAIT_FOR_A_NUMBER, {})
        row = self._session.row(statements.GREATEST_ID, {})
        greatest = row["greatest"] if row else None
        self._given = BookingId((greatest or 0) + 1)
        return self._given

    def add(self, booking: Booking) -> Booking:
        """Store a new booking with its events; raises `BookingExists`. Returns it as stored, at version 1."""
        stored = evolve(booking, version=1, events=())
        try:
            self._session.write(statements.ADD_BOOKING, row_of_booking(stored))
        except Exception as error:
            if not violates(error, "bookings"):
                raise
            if booking.id == self._given:
                raise self._session.breaks(RunAgain("another transaction took the next number")) from error
            raise self._session.breaks(BookingExists(f"booking {booking.id} is registered already")) from error
        self._events.keep(booking.events)
        return stored

    def save(self, booking: Booking) -> Booking:
        """Store a change with its events, provided that the stored version is still `booking.version`.

        What a booking is owed, and since when, does not change and is not written.
        """
        stored = evolve(booking, version=booking.version + 1, events=())
        values = row_of_booking(stored) | {"booking_id": int(booking.id), "read_version": booking.version}
        if self._session.write(statements.SAVE_BOOKING, values) != 1:
            raise self._session.breaks(StaleVersion(f"booking {booking.id} was changed by another transaction"))
        self._events.keep(booking.events)
        return stored


class SqlRefunds(SqlRefundsView):
    """Refunds, inside a transaction."""

    __slots__ = ("_events",)

    def __init__(self, session: Session, events: SqlEvents) -> None:
        super().__init__(session)
        self._events = events

    def add(self, refund: Refund) -> Refund:
        """Store a new refund with its events; raises `RefundInProgress` beside one whose outcome is not known."""
        stored = evolve(refund, version=1, events=())
        try:
            self._session.write(statements.ADD_REFUND, row_of_refund(stored))
        except Exception as error:
            raise self._beside_an_open_one(error) from error
        self._events.keep(refund.events)
        return stored

    def save(self, refund: Refund) -> Refund:
        """Store a change with its events, provided that the stored version is still `refund.version`.

        What was asked for, by whom and when, does not change and is not written.
        """
        stored = evolve(refund, version=refund.version + 1, events=())
        values = row_of_refund(stored) | {"refund_id": str(refund.id), "read_version": refund.version}
        try:
            saved = self._session.write(statements.SAVE_REFUND, values)
        except Exception as error:
            raise self._beside_an_open_one(error) from error
        if saved != 1:
            raise self._session.breaks(StaleVersion(f"refund {refund.id} was changed by another transaction"))
        self._events.keep(refund.events)
        return stored

    def _beside_an_open_one(self, error: Exception) -> Exception:
        if violates(error, "refunds.payment_id") or violates(error, "uq_refunds_open_of_payment"):
            return self._session.breaks(RefundInProgress("another refund of this payment has no known outcome yet"))
        return error


class SqlApiKeys(SqlApiKeysView):
    """API keys, inside a transaction."""

    __slots__ = ()

    def add(self, key: ApiKey) -> None:
        """Store a new key."""
        self._session.write(statements.ADD_KEY, row_of_key(key))

    def save(self, key: ApiKey) -> None:
        """Replace the stored key of the same id."""
        self._session.write(statements.SAVE_KEY, row_of_key(key) | {"key_id": key.id})


class SqlTx:
    """What a transaction's function reads and writes through.

    `now`: the clock of a database that has none of its own; without it the server is asked.
    """

    __slots__ = (
        *("_now", "_time"),
        *("answers", "api_keys", "bookings", "events", "ledger", "paces", "payments", "refunds", "session"),
    )

    def __init__(self, session: Session, *, now: Callable[[], datetime] | None = None) -> None:
        self._now = now
        self._time: datetime | None = None
        self.session = session
        self.events = SqlEvents(session)
        self.bookings = SqlBookings(session, self.events)
        self.payments = SqlPayments(session, self.events, self.time)
        self.refunds = SqlRefunds(session, self.events)
        self.ledger = SqlLedger(session)
        self.paces = SqlPaces(session, self.time)
        self.answers = SqlAnswers(session)
        self.api_keys = SqlApiKeys(session)

    def time(self) -> datetime:
        """The database's own time (UTC), asked for once in a transaction."""
        if self._time is None:
            self._time = self._asked() if self._now is None else self._now()
        return self._time

    def finish(self) -> None:
        """Write what waits until the end; raises the error that broke the transaction, even if it was swallowed."""
        if self.session.broken is not None:
            raise self.session.broken
        self.events.write()

    def _asked(self) -> datetime:
        row = self.session.row(statements.TIME, {})
        if row is None:
            raise LookupError("the server told no time")
        told: datetime = row["now"]
        return told

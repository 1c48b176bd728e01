"""What transactions see: one implementation for both databases."""

from attrs import evolve

from sewapay.adapters.sql import statements
from sewapay.adapters.sql.errors import RunAgain, StaleVersion, violates
from sewapay.adapters.sql.rows import Values, row_of_booking, row_of_event, row_of_evidence, row_of_key, row_of_payment
from sewapay.adapters.sql.session import Session
from sewapay.adapters.sql.views import SqlApiKeysView, SqlBookingsView, SqlEventsView, SqlPaymentsView
from sewapay.application.access import ApiKey
from sewapay.application.errors import BookingExists, ReferenceTaken
from sewapay.domain.booking import Booking
from sewapay.domain.events import Event
from sewapay.domain.identifiers import BookingId, Environment, GatewayName, PaymentId
from sewapay.domain.payment import Payment

__all__ = ["SqlTx"]


class SqlBookings(SqlBookingsView):
    """Bookings, inside a transaction."""

    __slots__ = ("_events", "_given")
    _get = statements.BOOKING_LOCKED

    def __init__(self, session: Session, events: "SqlEvents") -> None:
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


class SqlPayments(SqlPaymentsView):
    """Payments, inside a transaction."""

    __slots__ = ("_events",)

    def __init__(self, session: Session, events: "SqlEvents") -> None:
        super().__init__(session)
        self._events = events

    def add(self, payment: Payment) -> Payment:
        """Store a new payment with its events and evidence. Returns it as stored, at version 1."""
        stored = evolve(payment, version=1, events=(), evidence=())
        try:
            self._session.write(statements.ADD_PAYMENT, row_of_payment(stored))
        except Exception as error:
            raise self._taken(error) from error
        self._keep(payment)
        return stored

    def save(self, payment: Payment) -> Payment:
        """Store a change with its events and evidence, provided that the stored version is still `payment.version`.

        Whose payment it is, of what, through which gateway, does not change and is not written.
        """
        stored = evolve(payment, version=payment.version + 1, events=(), evidence=())
        values = row_of_payment(stored) | {"payment_id": str(payment.id), "read_version": payment.version}
        try:
            saved = self._session.write(statements.SAVE_PAYMENT, values)
        except Exception as error:
            raise self._taken(error) from error
        if saved != 1:
            raise self._session.breaks(StaleVersion(f"payment {payment.id} was changed by another transaction"))
        self._keep(payment)
        return stored

    def has_transaction(
        self, gateway: GatewayName, environment: Environment, transaction_id: str, *, besides: PaymentId
    ) -> bool:
        """Whether another payment carries this transaction id of the gateway.

        Whoever asks for the same id in another transaction waits until this one is over.
        """
        if self._session.dialect.name == "postgresql":
            self._session.row(statements.WAIT_FOR_A_TRANSACTION, {"transaction_id": transaction_id})
        values: Values = {
            "gateway": str(gateway),
            "environment": environment.value,
            "transaction_id": transaction_id,
            "besides": str(besides),
        }
        return self._session.row(statements.WITH_TRANSACTION, values) is not None

    def _keep(self, payment: Payment) -> None:
        self._events.keep(payment.events)
        answers = [row_of_evidence(payment.id, evidence) for evidence in payment.evidence]
        self._session.write_all(statements.ADD_EVIDENCE, answers)

    def _taken(self, error: Exception) -> Exception:
        if violates(error, "gateway_reference"):
            return self._session.breaks(ReferenceTaken("another payment has this gateway reference"))
        return error


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
    """What a transaction's function reads and writes through."""

    __slots__ = ("api_keys", "bookings", "events", "payments", "session")

    def __init__(self, session: Session) -> None:
        self.session = session
        self.events = SqlEvents(self.session)
        self.bookings = SqlBookings(self.session, self.events)
        self.payments = SqlPayments(self.session, self.events)
        self.api_keys = SqlApiKeys(self.session)

    def finish(self) -> None:
        """Write what waits until the end; raises the error that broke the transaction, even if it was swallowed."""
        if self.session.broken is not None:
            raise self.session.broken
        self.events.write()

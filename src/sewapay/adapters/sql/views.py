"""What reading functions see: one implementation for both databases."""

from contextlib import suppress
from datetime import datetime

from sewapay.adapters.sql import statements
from sewapay.adapters.sql.lists import booking_page, payment_page
from sewapay.adapters.sql.rows import (
    Values,
    booking_from,
    event_from,
    evidence_from,
    key_from,
    payment_from,
    postings_from,
    refund_from,
)
from sewapay.adapters.sql.session import Session
from sewapay.application.access import ApiKey
from sewapay.application.errors import BookingNotFound, PaymentNotFound, RefundNotFound
from sewapay.application.storage import BookingFilter, Page, PaymentFilter
from sewapay.domain.booking import Booking
from sewapay.domain.errors import InvalidIdentifier
from sewapay.domain.events import Event
from sewapay.domain.identifiers import BookingId, Environment, GatewayName, OrderReference, PaymentId, RefundId
from sewapay.domain.ledger import Posting
from sewapay.domain.observation import Evidence
from sewapay.domain.payment import Payment
from sewapay.domain.refund import Refund

__all__ = [
    "SqlApiKeysView",
    "SqlBookingsView",
    "SqlEventsView",
    "SqlLedger",
    "SqlPaymentsView",
    "SqlRefundsView",
    "SqlView",
]


class SqlBookingsView:
    """Bookings, to read."""

    __slots__ = ("_session",)
    _get = statements.BOOKING

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, booking_id: BookingId) -> Booking:
        """The booking; raises `BookingNotFound`. Inside `transact` it stays locked until the transaction ends."""
        row = self._session.row(self._get, {"booking_id": int(booking_id)})
        if row is None:
            raise BookingNotFound
        return booking_from(row)

    def page(self, wanted: BookingFilter, page: Page) -> tuple[list[Booking], str | None]:
        """Bookings, newest first, and the next page's cursor (None at the end). Raises `InvalidCursor`."""
        return booking_page(self._session, wanted, page)


class SqlPaymentsView:
    """Payments, to read."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, payment_id: PaymentId) -> Payment:
        """The payment; raises `PaymentNotFound`."""
        row = self._session.row(statements.PAYMENT, {"payment_id": str(payment_id)})
        if row is None:
            raise PaymentNotFound
        return payment_from(row)

    def of_booking(self, booking_id: BookingId) -> list[Payment]:
        """All attempts of one booking, oldest first."""
        return [payment_from(row) for row in self._session.rows(statements.OF_BOOKING, {"booking_id": int(booking_id)})]

    def with_gateway_reference(
        self, gateway: GatewayName, environment: Environment, gateway_reference: str
    ) -> Payment | None:
        """The one payment that the gateway knows by this name, or None."""
        values: Values = {
            "gateway": str(gateway),
            "environment": environment.value,
            "gateway_reference": gateway_reference,
        }
        row = self._session.row(statements.BY_GATEWAY_REFERENCE, values)
        return None if row is None else payment_from(row)

    def with_order_reference(
        self, gateway: GatewayName, environment: Environment, order_reference: OrderReference
    ) -> Payment | None:
        """The one payment through this gateway that we gave this name, or None."""
        values: Values = {
            "gateway": str(gateway),
            "environment": environment.value,
            "order_reference": str(order_reference),
        }
        row = self._session.row(statements.BY_ORDER_REFERENCE, values)
        return None if row is None else payment_from(row)

    def page(self, wanted: PaymentFilter, page: Page) -> tuple[list[Payment], str | None]:
        """Payments, newest first, and the next page's cursor (None at the end). Raises `InvalidCursor`."""
        return payment_page(self._session, wanted, page)

    def evidence(self, payment_id: PaymentId) -> list[Evidence]:
        """Every answer that was kept for this payment, oldest first."""
        return [evidence_from(row) for row in self._session.rows(statements.EVIDENCE, {"payment_id": str(payment_id)})]

    def unfinished(self, *, due_at: datetime) -> dict[tuple[GatewayName, Environment], int]:
        """How many payments are due for a look and not finished, held by somebody or not, where there are any."""
        counted = {}
        for row in self._session.rows(statements.UNFINISHED, {"due_at": due_at}):
            with suppress(InvalidIdentifier):  # a damaged row; the others are counted all the same
                counted[GatewayName(row["gateway"]), Environment(row["environment"])] = row["number"]
        return counted


class SqlRefundsView:
    """Refunds, to read."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, refund_id: RefundId) -> Refund:
        """The refund; raises `RefundNotFound`."""
        row = self._session.row(statements.REFUND, {"refund_id": str(refund_id)})
        if row is None:
            raise RefundNotFound
        return refund_from(row)

    def of_payment(self, payment_id: PaymentId) -> list[Refund]:
        """All refunds of one payment, oldest first."""
        return [refund_from(row) for row in self._session.rows(statements.REFUNDS, {"payment_id": str(payment_id)})]


class SqlLedger:
    """The ledger, to read; `SqlPayments` writes it."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def of_payment(self, payment_id: PaymentId) -> list[Posting]:
        """Every posting of a payment, oldest first."""
        return postings_from(self._session.rows(statements.ENTRIES, {"payment_id": str(payment_id)}))


class SqlEventsView:
    """Events, to read."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def of_booking(self, booking_id: BookingId) -> list[Event]:
        """The booking's events and those of its payments, in their order."""
        return [event_from(row) for row in self._session.rows(statements.EVENTS, {"booking_id": int(booking_id)})]


class SqlApiKeysView:
    """API keys, to read."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def find(self, key_id: str) -> ApiKey | None:
        """The key with this public id, revoked or not; None when there is none."""
        row = self._session.row(statements.KEY, {"key_id": key_id})
        return None if row is None else key_from(row)

    def all(self) -> list[ApiKey]:
        """Every key, oldest first."""
        return [key_from(row) for row in self._session.rows(statements.KEYS, {})]


class SqlView:
    """What a reading function sees."""

    __slots__ = ("api_keys", "bookings", "events", "ledger", "payments", "refunds", "session")

    def __init__(self, session: Session) -> None:
        self.session = session
        self.bookings = SqlBookingsView(self.session)
        self.payments = SqlPaymentsView(self.session)
        self.refunds = SqlRefundsView(self.session)
        self.ledger = SqlLedger(self.session)
        self.events = SqlEventsView(self.session)
        self.api_keys = SqlApiKeysView(self.session)

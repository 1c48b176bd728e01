"""What the use cases need from storage, in our words: one contract, kept by every store.

`transact` and `read` run plain functions, which cannot await: no gateway call can ever sit inside a transaction, and
a store may run a function again when facts changed underneath.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol, TypeVar

from attrs import frozen

from sewapay.application.access import ApiKey
from sewapay.domain.booking import Booking, BookingStatus
from sewapay.domain.events import Event
from sewapay.domain.identifiers import BookingId, CustomerId, Environment, GatewayName, PaymentId
from sewapay.domain.observation import Evidence
from sewapay.domain.payment import Payment, PaymentStatus

T = TypeVar("T")

FIRST_HUGE_ID: Final = 2**52
"""Bookings' ids from here on are merchants' own and do not count for `next_id`: it always has room above the others."""


@frozen(kw_only=True)
class Page:
    """Which part of a list: after `cursor` (from the page before; None for the first), at most `limit` items."""

    cursor: str | None = None
    limit: int = 50


@frozen(kw_only=True)
class BookingFilter:
    """Which bookings; None means any."""

    customer_id: CustomerId | None = None
    status: BookingStatus | None = None


@frozen(kw_only=True)
class PaymentFilter:
    """Which payments; None means any. `created_from` is included, `created_to` is not (UTC).

    `needs_attention`: under review, surplus and not refunded yet, or with an unknown outcome (True), or none of these
    (False).
    """

    customer_id: CustomerId | None = None
    booking_id: BookingId | None = None
    status: PaymentStatus | None = None
    gateway: GatewayName | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    needs_attention: bool | None = None


class BookingsView(Protocol):
    """Bookings, to read."""

    def get(self, booking_id: BookingId) -> Booking:
        """The booking; raises `BookingNotFound`. Inside `transact` it stays locked until the transaction ends."""
        ...

    def page(self, wanted: BookingFilter, page: Page) -> tuple[list[Booking], str | None]:
        """Bookings, newest first, and the next page's cursor (None at the end). Raises `InvalidCursor`."""
        ...


class Bookings(BookingsView, Protocol):
    """Bookings, inside a transaction."""

    def next_id(self) -> BookingId:
        """One more than the greatest id so far below `FIRST_HUGE_ID`, for merchants that bring no number of their own.

        A merchant's own larger number does not push it.
        """
        ...

    def add(self, booking: Booking) -> Booking:
        """Store a new booking with its events; raises `BookingExists`. Returns it as stored, at version 1."""
        ...

    def save(self, booking: Booking) -> Booking:
        """Store a change with its events, provided that the stored version is still `booking.version`.

        Returns it at the next version, its events written and gone. Another version in the store makes the store run
        the whole transaction again.
        """
        ...


class PaymentsView(Protocol):
    """Payments, to read."""

    def get(self, payment_id: PaymentId) -> Payment:
        """The payment; raises `PaymentNotFound`. In a transaction, get its booking first: the booking is the lock."""
        ...

    def of_booking(self, booking_id: BookingId) -> list[Payment]:
        """All attempts of one booking, oldest first."""
        ...

    def with_gateway_reference(
        self, gateway: GatewayName, environment: Environment, gateway_reference: str
    ) -> Payment | None:
        """The one payment that the gateway knows by this name, or None."""
        ...

    def page(self, wanted: PaymentFilter, page: Page) -> tuple[list[Payment], str | None]:
        """Payments, newest first, and the next page's cursor (None at the end). Raises `InvalidCursor`."""
        ...

    def evidence(self, payment_id: PaymentId) -> list[Evidence]:
        """Every answer that was kept for this payment, oldest first."""
        ...


class Payments(PaymentsView, Protocol):
    """Payments, inside a transaction."""

    def add(self, payment: Payment) -> Payment:
        """Store a new payment with its events. Returns it as stored, at version 1."""
        ...

    def save(self, payment: Payment) -> Payment:
        """Store a change with its events and evidence, provided that the stored version is still `payment.version`.

        Returns it at the next version, its events and evidence written and gone. Raises `ReferenceTaken` when
        another payment of the same gateway and environment has its gateway reference; the transaction is over then.
        """
        ...

    def has_transaction(
        self, gateway: GatewayName, environment: Environment, transaction_id: str, *, besides: PaymentId
    ) -> bool:
        """Whether another payment carries this transaction id of the gateway."""
        ...


class EventsView(Protocol):
    """Events, to read; they are written with the entity that they tell of."""

    def of_booking(self, booking_id: BookingId) -> list[Event]:
        """The booking's events and those of its payments, in their order."""
        ...


class ApiKeysView(Protocol):
    """API keys of services, to read. Only a digest of the secret is stored."""

    def find(self, key_id: str) -> ApiKey | None:
        """The key with this public id, revoked or not; None when there is none."""
        ...

    def all(self) -> list[ApiKey]:
        """Every key, oldest first."""
        ...


class ApiKeys(ApiKeysView, Protocol):
    """API keys, inside a transaction."""

    def add(self, key: ApiKey) -> None:
        """Store a new key."""
        ...

    def save(self, key: ApiKey) -> None:
        """Replace the stored key of the same id."""
        ...


class View(Protocol):
    """What a reading function sees: one consistent state of the store."""

    @property
    def bookings(self) -> BookingsView:
        """Bookings."""
        ...

    @property
    def payments(self) -> PaymentsView:
        """Payments."""
        ...

    @property
    def events(self) -> EventsView:
        """Events."""
        ...

    @property
    def api_keys(self) -> ApiKeysView:
        """API keys."""
        ...


class Tx(Protocol):
    """What a transaction's function reads and writes through."""

    @property
    def bookings(self) -> Bookings:
        """Bookings."""
        ...

    @property
    def payments(self) -> Payments:
        """Payments."""
        ...

    @property
    def events(self) -> EventsView:
        """Events."""
        ...

    @property
    def api_keys(self) -> ApiKeys:
        """API keys."""
        ...


class Transact(Protocol):
    """Run a plain function as one transaction."""

    async def __call__(self, work: Callable[[Tx], T]) -> T:
        """Run `work`, commit, and return its result once it is durable; an exception rolls everything back.

        `work` may run more than once when facts changed underneath, so it touches nothing but `Tx`. Raises
        `StoreUnavailable` when the database cannot do it; nothing was changed then, unless the loss of the
        connection hid the answer to a commit.
        """
        ...


class Read(Protocol):
    """Run a plain function that only reads."""

    async def __call__(self, work: Callable[[View], T]) -> T:
        """Run `work` on one consistent state and return its result. Raises `StoreUnavailable`."""
        ...


class Store(Protocol):
    """A store as a whole, for whoever starts and stops it. Making one does no input or output."""

    @property
    def transact(self) -> Transact:
        """Run a writing function."""
        ...

    @property
    def read(self) -> Read:
        """Run a reading function."""
        ...

    async def open(self) -> None:
        """Get ready; does nothing when it is open."""
        ...

    async def close(self) -> None:
        """Give everything back. Transactions that were acknowledged are durable already."""
        ...

    async def ping(self) -> None:
        """Raises `StoreUnavailable` unless it can answer now."""
        ...

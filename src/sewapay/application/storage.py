"""What the use cases need from storage, in our words: one contract, kept by every store (`kept_beside.py`: the rest).

`transact` and `read` run plain functions, which cannot await: no gateway call can ever sit inside a transaction, and
a store may run a function again when facts changed underneath.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol, TypeVar

from attrs import frozen

from sewapay.application.kept_beside import Answers, ApiKeys, ApiKeysView, LedgerView, Paces, Refunds, RefundsView
from sewapay.domain.booking import Booking, BookingStatus
from sewapay.domain.events import Event
from sewapay.domain.identifiers import BookingId, CustomerId, Environment, GatewayName, OrderReference, PaymentId
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

    `needs_attention`: something about it waits for a person, or its outcome is unknown (True), or neither (False).
    """

    customer_id: CustomerId | None = None
    booking_id: BookingId | None = None
    status: PaymentStatus | None = None
    gateway: GatewayName | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    needs_attention: bool | None = None


@frozen(kw_only=True)
class Claim:
    """A payment that this worker looks at now, and nobody else until its lease ends.

    `lease` is the fence: whoever claims the payment later gets a greater one, and then this one writes nothing.
    """

    payment: Payment
    title: str
    lease: int


@frozen(kw_only=True)
class Poisoned:
    """A row that cannot be read as a payment; it was put off for a day, so that it stands in nobody's way."""

    payment_id: str
    why: str


@frozen(kw_only=True)
class Told:
    """An event in the feed. `sequence` is its number within its booking: 1, 2, 3 ... without a gap."""

    sequence: int
    event: Event


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

    def with_order_reference(
        self, gateway: GatewayName, environment: Environment, order_reference: OrderReference
    ) -> Payment | None:
        """The one payment through this gateway that we gave this name, or None."""
        ...

    def page(self, wanted: PaymentFilter, page: Page) -> tuple[list[Payment], str | None]:
        """Payments, newest first, and the next page's cursor (None at the end). Raises `InvalidCursor`."""
        ...

    def evidence(self, payment_id: PaymentId) -> list[Evidence]:
        """Every answer that was kept for this payment, oldest first."""
        ...

    def unfinished(self, *, due_at: datetime) -> Mapping[tuple[GatewayName, Environment], int]:
        """How many payments are due for a look and not finished, held by somebody or not, where there are any.

        Unfinished: undecided, to be given back, or perhaps given back. Asked now and then, over all that is stored.
        """
        ...


class Payments(PaymentsView, Protocol):
    """Payments, inside a transaction."""

    def add(self, payment: Payment) -> Payment:
        """Store a new payment with its events. Returns it as stored, at version 1."""
        ...

    def save(self, payment: Payment) -> Payment:
        """Store a change with its events, evidence and postings, if the stored version is still `payment.version`.

        Returns it at the next version, its events and evidence written and gone. Raises `ReferenceTaken` when
        another payment of the same gateway and environment has its gateway reference; the transaction is over then.
        """
        ...

    def claim(
        self, gateway: GatewayName, environment: Environment, *, due_at: datetime, limit: int, lease_seconds: float
    ) -> tuple[list[Claim], list[Poisoned]]:
        """Take payments whose next look is due, the longest due first, that nobody else holds.

        Leases end by the database's own time. Two workers never get the same payment at once.
        """
        ...

    def claim_one(self, payment_id: PaymentId, *, lease_seconds: float) -> Claim | None:
        """Take this payment, due or not; None when somebody else holds it. Raises `PaymentNotFound`."""
        ...

    def release(self, claim: Claim) -> bool:
        """Give it back, before anything is saved of it; False, and nothing happened, when somebody else claimed it."""
        ...

    def put_off(self, looked_at: Sequence[tuple[Claim, Payment]]) -> int:
        """Give these back and keep when their next looks are due, without a change of their versions.

        Of the payments only `next_check_at`, `looked_at` and `silences` are kept. Returns how many were still held.
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


class Events(EventsView, Protocol):
    """Events, inside a transaction."""

    def feed(self, page: Page) -> tuple[list[Told], str | None]:
        """Events of all bookings, oldest first, after the page's cursor, and the cursor after the last of them.

        A booking's events come in their order; none is ever passed over, however transactions overlap. The cursor is
        None only when there is nothing at all yet. Raises `InvalidCursor`, also for a place beyond the end, as a cursor
        from before a restored backup is.
        """
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
    def refunds(self) -> RefundsView:
        """Refunds."""
        ...

    @property
    def ledger(self) -> LedgerView:
        """The ledger."""
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

    def time(self) -> datetime:
        """The database's own time (UTC): what several machines share."""
        ...

    @property
    def bookings(self) -> Bookings:
        """Bookings."""
        ...

    @property
    def payments(self) -> Payments:
        """Payments."""
        ...

    @property
    def refunds(self) -> Refunds:
        """Refunds."""
        ...

    @property
    def ledger(self) -> LedgerView:
        """The ledger."""
        ...

    @property
    def events(self) -> Events:
        """Events."""
        ...

    @property
    def paces(self) -> Paces:
        """How fast gateways may be asked."""
        ...

    @property
    def answers(self) -> Answers:
        """Answers kept for callers that ask again."""
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

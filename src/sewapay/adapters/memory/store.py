"""The store in a dict: for tests, and as the plainest statement of what a store does. It keeps the same contract."""

import base64
import binascii
from collections.abc import Callable
from datetime import datetime
from typing import Final, Self, TypeVar

from attrs import define, evolve, field, frozen

from sewapay.application.access import ApiKey
from sewapay.application.errors import (
    BookingExists,
    BookingNotFound,
    InvalidCursor,
    PaymentNotFound,
    ReferenceTaken,
    StoreUnavailable,
)
from sewapay.application.storage import FIRST_HUGE_ID, BookingFilter, Page, PaymentFilter, Tx, View
from sewapay.domain.booking import Booking
from sewapay.domain.events import Event
from sewapay.domain.identifiers import BookingId, Environment, GatewayName, PaymentId
from sewapay.domain.observation import Evidence
from sewapay.domain.payment import Payment

__all__ = ["MemoryStore"]

T = TypeVar("T")

MOST_RUNS: Final = 5


class _StaleVersion(Exception):
    """The stored version is not the one that the change was made from: the facts changed underneath."""


@define
class _Facts:
    """Everything that is stored. Entities are frozen, so copying the containers copies the state."""

    bookings: dict[BookingId, Booking] = field(factory=dict)
    payments: dict[PaymentId, Payment] = field(factory=dict)
    events: list[Event] = field(factory=list)
    evidence: dict[PaymentId, list[Evidence]] = field(factory=dict)
    api_keys: dict[str, ApiKey] = field(factory=dict)

    def copy(self) -> Self:
        return type(self)(
            dict(self.bookings),
            dict(self.payments),
            list(self.events),
            {payment_id: list(kept) for payment_id, kept in self.evidence.items()},
            dict(self.api_keys),
        )


def _cut(found: list[T], page: Page, place: Callable[[T], str]) -> tuple[list[T], str | None]:
    """One page of a list that is sorted already. A cursor is the place of the last item of the page before."""
    if page.cursor is not None:
        try:
            after = base64.urlsafe_b64decode(page.cursor.encode("ascii")).decode("ascii")
        except (binascii.Error, ValueError):
            raise InvalidCursor from None
        places = [place(item) for item in found]
        if after not in places:
            raise InvalidCursor
        found = found[places.index(after) + 1 :]
    items, rest = found[: page.limit], found[page.limit :]
    if not rest:
        return items, None
    return items, base64.urlsafe_b64encode(place(items[-1]).encode("ascii")).decode("ascii")


@frozen
class _Bookings:
    facts: _Facts

    def get(self, booking_id: BookingId) -> Booking:
        try:
            return self.facts.bookings[booking_id]
        except KeyError:
            raise BookingNotFound from None

    def page(self, wanted: BookingFilter, page: Page) -> tuple[list[Booking], str | None]:
        found = [
            booking
            for booking in self.facts.bookings.values()
            if wanted.customer_id in (None, booking.customer.id) and wanted.status in (None, booking.status)
        ]
        found.sort(key=lambda booking: (booking.registered_at, booking.id), reverse=True)
        return _cut(found, page, lambda booking: str(booking.id))

    def next_id(self) -> BookingId:
        return BookingId(max((id for id in self.facts.bookings if id < FIRST_HUGE_ID), default=0) + 1)

    def add(self, booking: Booking) -> Booking:
        if booking.id in self.facts.bookings:
            raise BookingExists(f"booking {booking.id} is registered already")
        return self._put(booking)

    def save(self, booking: Booking) -> Booking:
        if self.get(booking.id).version != booking.version:
            raise _StaleVersion
        return self._put(booking)

    def _put(self, booking: Booking) -> Booking:
        self.facts.events.extend(booking.events)
        stored = evolve(booking, version=booking.version + 1, events=())
        self.facts.bookings[booking.id] = stored
        return stored


@frozen
class _Payments:
    facts: _Facts

    def get(self, payment_id: PaymentId) -> Payment:
        try:
            return self.facts.payments[payment_id]
        except KeyError:
            raise PaymentNotFound from None

    def of_booking(self, booking_id: BookingId) -> list[Payment]:
        found = [payment for payment in self.facts.payments.values() if payment.booking_id == booking_id]
        return sorted(found, key=lambda payment: (payment.created_at, payment.id))

    def with_gateway_reference(
        self, gateway: GatewayName, environment: Environment, gateway_reference: str
    ) -> Payment | None:
        for payment in self.facts.payments.values():
            known = (payment.gateway, payment.environment, payment.gateway_reference)
            if known == (gateway, environment, gateway_reference):
                return payment
        return None

    def page(self, wanted: PaymentFilter, page: Page) -> tuple[list[Payment], str | None]:
        found = [payment for payment in self.facts.payments.values() if self._is(payment, wanted)]
        found.sort(key=lambda payment: (payment.created_at, payment.id), reverse=True)
        return _cut(found, page, lambda payment: payment.id)

    def evidence(self, payment_id: PaymentId) -> list[Evidence]:
        return list(self.facts.evidence.get(payment_id, []))

    def add(self, payment: Payment) -> Payment:
        return self._put(payment)

    def save(self, payment: Payment) -> Payment:
        if self.get(payment.id).version != payment.version:
            raise _StaleVersion
        return self._put(payment)

    def has_transaction(
        self, gateway: GatewayName, environment: Environment, transaction_id: str, *, besides: PaymentId
    ) -> bool:
        wanted = (gateway, environment, transaction_id)
        return any(
            (payment.gateway, payment.environment, payment.transaction_id) == wanted and payment.id != besides
            for payment in self.facts.payments.values()
        )

    def _is(self, payment: Payment, wanted: PaymentFilter) -> bool:
        return (
            wanted.customer_id in (None, self.facts.bookings[payment.booking_id].customer.id)
            and wanted.booking_id in (None, payment.booking_id)
            and wanted.status in (None, payment.status)
            and wanted.gateway in (None, payment.gateway)
            and (wanted.created_from is None or payment.created_at >= wanted.created_from)
            and (wanted.created_to is None or payment.created_at < wanted.created_to)
            and wanted.needs_attention in (None, payment.needs_attention)
        )

    def _put(self, payment: Payment) -> Payment:
        if payment.gateway_reference is not None:
            other = self.with_gateway_reference(payment.gateway, payment.environment, payment.gateway_reference)
            if other is not None and other.id != payment.id:
                raise ReferenceTaken("another payment has this gateway reference")
        self.facts.events.extend(payment.events)
        self.facts.evidence.setdefault(payment.id, []).extend(payment.evidence)
        stored = evolve(payment, version=payment.version + 1, events=(), evidence=())
        self.facts.payments[payment.id] = stored
        return stored


@frozen
class _Events:
    facts: _Facts

    def of_booking(self, booking_id: BookingId) -> list[Event]:
        return [event for event in self.facts.events if event.booking_id == booking_id]


@frozen
class _ApiKeys:
    facts: _Facts

    def find(self, key_id: str) -> ApiKey | None:
        return self.facts.api_keys.get(key_id)

    def all(self) -> list[ApiKey]:
        def age(key: ApiKey) -> tuple[datetime, str]:
            return key.created_at, key.id

        return sorted(self.facts.api_keys.values(), key=age)

    def add(self, key: ApiKey) -> None:
        self.facts.api_keys[key.id] = key

    def save(self, key: ApiKey) -> None:
        self.facts.api_keys[key.id] = key


@frozen
class _Tx:
    bookings: _Bookings
    payments: _Payments
    events: _Events
    api_keys: _ApiKeys

    @classmethod
    def over(cls, facts: _Facts) -> Self:
        return cls(_Bookings(facts), _Payments(facts), _Events(facts), _ApiKeys(facts))


class MemoryStore:
    """Keeps everything in this process. Transactions run one after another, each on a copy that replaces the state.

    `break_down` and `repair` make it unavailable and available again, for tests of what happens then.
    """

    def __init__(self) -> None:
        self._facts = _Facts()
        self._is_broken = False

    async def transact(self, work: Callable[[Tx], T]) -> T:
        """Run `work` on a copy and keep the copy; an exception drops it."""
        for _ in range(MOST_RUNS):
            self._require_working()
            changed = self._facts.copy()
            try:
                result = work(_Tx.over(changed))
            except _StaleVersion:
                continue
            self._facts = changed
            return result
        raise StoreUnavailable("this changes too often right now: ask again in a moment")

    async def read(self, work: Callable[[View], T]) -> T:
        """Run `work` on a copy and drop the copy."""
        self._require_working()
        return work(_Tx.over(self._facts.copy()))

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def ping(self) -> None:
        """Raises `StoreUnavailable` while it is broken down."""
        self._require_working()

    def break_down(self) -> None:
        """From now on every call raises `StoreUnavailable`; what is stored stays."""
        self._is_broken = True

    def repair(self) -> None:
        """Work again."""
        self._is_broken = False

    def _require_working(self) -> None:
        if self._is_broken:
            raise StoreUnavailable("the store was told to be unavailable")

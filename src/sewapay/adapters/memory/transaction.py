"""What the memory store's functions see: the plainest statement of what each part of a store does."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, Self

from attrs import evolve, frozen

from sewapay.adapters.memory.facts import Facts, Lease, StaleVersion, cursor_at, cut, place_in
from sewapay.application.access import ApiKey
from sewapay.application.errors import (
    BookingExists,
    BookingNotFound,
    InvalidCursor,
    PaymentNotFound,
    ReferenceTaken,
    RefundNotFound,
)
from sewapay.application.idempotency import KeptAnswer, KeyName
from sewapay.application.pacing import Pace
from sewapay.application.storage import FIRST_HUGE_ID, BookingFilter, Claim, Page, PaymentFilter, Poisoned, Told
from sewapay.domain.booking import Booking
from sewapay.domain.errors import RefundInProgress
from sewapay.domain.events import Event
from sewapay.domain.identifiers import BookingId, Environment, GatewayName, OrderReference, PaymentId, RefundId
from sewapay.domain.ledger import Posting
from sewapay.domain.money import NOTHING
from sewapay.domain.observation import Evidence
from sewapay.domain.payment import Payment
from sewapay.domain.refund import Refund

__all__ = ["MemoryTx", "Now"]

Now = Callable[[], datetime]

FEED: Final = "feed:"


@frozen
class _Bookings:
    facts: Facts

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
        return cut(found, page, lambda booking: str(booking.id))

    def next_id(self) -> BookingId:
        return BookingId(max((id for id in self.facts.bookings if id < FIRST_HUGE_ID), default=0) + 1)

    def add(self, booking: Booking) -> Booking:
        if booking.id in self.facts.bookings:
            raise BookingExists(f"booking {booking.id} is registered already")
        return self._put(booking)

    def save(self, booking: Booking) -> Booking:
        if self.get(booking.id).version != booking.version:
            raise StaleVersion
        return self._put(booking)

    def _put(self, booking: Booking) -> Booking:
        self.facts.events.extend(booking.events)
        stored = evolve(booking, version=booking.version + 1, events=())
        self.facts.bookings[booking.id] = stored
        return stored


@frozen
class _Payments:
    facts: Facts
    now: Now

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

    def with_order_reference(
        self, gateway: GatewayName, environment: Environment, order_reference: OrderReference
    ) -> Payment | None:
        for payment in self.facts.payments.values():
            known = (payment.gateway, payment.environment, payment.order_reference)
            if known == (gateway, environment, order_reference):
                return payment
        return None

    def page(self, wanted: PaymentFilter, page: Page) -> tuple[list[Payment], str | None]:
        found = [payment for payment in self.facts.payments.values() if self._is(payment, wanted)]
        found.sort(key=lambda payment: (payment.created_at, payment.id), reverse=True)
        return cut(found, page, lambda payment: payment.id)

    def evidence(self, payment_id: PaymentId) -> list[Evidence]:
        return list(self.facts.evidence.get(payment_id, []))

    def unfinished(self, *, due_at: datetime) -> Counter[tuple[GatewayName, Environment]]:
        return Counter(
            (payment.gateway, payment.environment)
            for payment in self.facts.payments.values()
            if payment.next_check_at is not None
            and payment.next_check_at <= due_at
            and (payment.is_undecided or payment.refund_due or payment.amount_reserved != NOTHING)
        )

    def add(self, payment: Payment) -> Payment:
        return self._put(payment)

    def save(self, payment: Payment) -> Payment:
        if self.get(payment.id).version != payment.version:
            raise StaleVersion
        return self._put(payment)

    def claim(
        self, gateway: GatewayName, environment: Environment, *, due_at: datetime, limit: int, lease_seconds: float
    ) -> tuple[list[Claim], list[Poisoned]]:
        waiting = [
            (payment.next_check_at, payment.id)
            for payment in self.facts.payments.values()
            if (payment.gateway, payment.environment) == (gateway, environment)
            and payment.next_check_at is not None
            and payment.next_check_at <= due_at
            and self._lease(payment.id).is_free(self.now())
        ]
        return [self._claimed(payment_id, lease_seconds) for _, payment_id in sorted(waiting)[:limit]], []

    def claim_one(self, payment_id: PaymentId, *, lease_seconds: float) -> Claim | None:
        self.get(payment_id)
        return self._claimed(payment_id, lease_seconds) if self._lease(payment_id).is_free(self.now()) else None

    def release(self, claim: Claim) -> bool:
        if self._lease(claim.payment.id).number != claim.lease:
            return False
        self.facts.leases[claim.payment.id] = Lease(claim.lease)
        return True

    def put_off(self, looked_at: Sequence[tuple[Claim, Payment]]) -> int:
        held = [(claim, looked) for claim, looked in looked_at if self.release(claim)]
        for claim, looked in held:
            stored = self.get(claim.payment.id)
            if stored.version == claim.payment.version:
                self.facts.payments[stored.id] = evolve(
                    stored,
                    next_check_at=looked.next_check_at,
                    looked_at=looked.looked_at,
                    silences=looked.silences,
                )
        return len(held)

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

    def _lease(self, payment_id: PaymentId) -> Lease:
        return self.facts.leases.get(payment_id, Lease())

    def _claimed(self, payment_id: PaymentId, lease_seconds: float) -> Claim:
        lease = Lease(self._lease(payment_id).number + 1, self.now() + timedelta(seconds=lease_seconds))
        self.facts.leases[payment_id] = lease
        payment = self.get(payment_id)
        return Claim(payment=payment, title=self.facts.bookings[payment.booking_id].title, lease=lease.number)

    def _put(self, payment: Payment) -> Payment:
        if payment.gateway_reference is not None:
            other = self.with_gateway_reference(payment.gateway, payment.environment, payment.gateway_reference)
            if other is not None and other.id != payment.id:
                raise ReferenceTaken("another payment has this gateway reference")
        self.facts.events.extend(payment.events)
        self.facts.evidence.setdefault(payment.id, []).extend(payment.evidence)
        self.facts.postings.extend(payment.postings)
        stored = evolve(payment, version=payment.version + 1, events=(), evidence=(), postings=())
        self.facts.payments[payment.id] = stored
        return stored


@frozen
class _Refunds:
    facts: Facts

    def get(self, refund_id: RefundId) -> Refund:
        try:
            return self.facts.refunds[refund_id]
        except KeyError:
            raise RefundNotFound from None

    def of_payment(self, payment_id: PaymentId) -> list[Refund]:
        found = [refund for refund in self.facts.refunds.values() if refund.payment_id == payment_id]
        return sorted(found, key=lambda refund: (refund.requested_at, refund.id))

    def add(self, refund: Refund) -> Refund:
        return self._put(refund)

    def save(self, refund: Refund) -> Refund:
        if self.get(refund.id).version != refund.version:
            raise StaleVersion
        return self._put(refund)

    def _put(self, refund: Refund) -> Refund:
        others = [other for other in self.of_payment(refund.payment_id) if other.id != refund.id]
        if refund.is_open and any(other.is_open for other in others):
            raise RefundInProgress("another refund of this payment has no known outcome yet")
        self.facts.events.extend(refund.events)
        stored = evolve(refund, version=refund.version + 1, events=())
        self.facts.refunds[refund.id] = stored
        return stored


@frozen
class _Ledger:
    facts: Facts

    def of_payment(self, payment_id: PaymentId) -> list[Posting]:
        return [posting for posting in self.facts.postings if posting.payment_id == payment_id]


@frozen
class _Events:
    facts: Facts

    def of_booking(self, booking_id: BookingId) -> list[Event]:
        return [event for event in self.facts.events if event.booking_id == booking_id]

    def feed(self, page: Page) -> tuple[list[Told], str | None]:
        after = 0 if page.cursor is None else self._place_in_the_feed(page.cursor)
        reached = min(after + page.limit, len(self.facts.events))
        told = [self._told(place) for place in range(after, reached)]
        return told, cursor_at(f"{FEED}{reached}") if reached else None

    def _told(self, place: int) -> Told:
        event = self.facts.events[place]
        before = sum(other.booking_id == event.booking_id for other in self.facts.events[:place])
        return Told(sequence=before + 1, event=event)

    def _place_in_the_feed(self, cursor: str) -> int:
        place = place_in(cursor)
        number = place.removeprefix(FEED)
        if number == place or not number.isdecimal() or not 0 < int(number) <= len(self.facts.events):
            raise InvalidCursor
        return int(number)


@frozen
class _Paces:
    facts: Facts
    now: Now

    def get(self, gateway: GatewayName, environment: Environment) -> Pace:
        return self.facts.paces.get((gateway, environment)) or Pace.full(self.now())

    def save(self, gateway: GatewayName, environment: Environment, pace: Pace) -> None:
        self.facts.paces[gateway, environment] = pace


@frozen
class _Answers:
    facts: Facts

    def find(self, name: KeyName) -> KeptAnswer | None:
        return self.facts.answers.get(name)

    def keep(self, name: KeyName, kept: KeptAnswer) -> None:
        self.facts.answers[name] = kept

    def forget(self, name: KeyName) -> None:
        self.facts.answers.pop(name, None)

    def forget_before(self, begun_before: datetime, *, limit: int) -> int:
        old = [name for name, kept in self.facts.answers.items() if kept.begun_at < begun_before]
        oldest = sorted(old, key=lambda name: self.facts.answers[name].begun_at)[:limit]
        for name in oldest:
            self.forget(name)
        return len(oldest)


@frozen
class _ApiKeys:
    facts: Facts

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
class MemoryTx:
    """What a function reads and writes through."""

    time: Now
    bookings: _Bookings
    payments: _Payments
    refunds: _Refunds
    ledger: _Ledger
    events: _Events
    paces: _Paces
    answers: _Answers
    api_keys: _ApiKeys

    @classmethod
    def over(cls, facts: Facts, now: Now) -> Self:
        """One that changes these facts."""
        return cls(
            now,
            _Bookings(facts),
            _Payments(facts, now),
            _Refunds(facts),
            _Ledger(facts),
            _Events(facts),
            _Paces(facts, now),
            _Answers(facts),
            _ApiKeys(facts),
        )

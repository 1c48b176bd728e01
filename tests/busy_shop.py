"""A shop in which everything has happened that can happen to a payment, through the real use cases.

busy = await a_busy_shop()
busy.payments["surplus"]            the payment that came beside the one that settled the booking
"""

from collections.abc import Mapping
from typing import Final

from attrs import define, evolve, field

from sewapay.application.errors import GatewayError
from sewapay.application.idempotency import Answer, KeyName, Once
from sewapay.application.reconcile_payments import Reconciled
from sewapay.application.refund_payment import RefundRequest
from sewapay.application.register_booking import NewBooking
from sewapay.application.resolve_payment import Resolution
from sewapay.application.storage import Store
from sewapay.domain.booking import Booking
from sewapay.domain.identifiers import BookingId
from sewapay.domain.money import Money
from sewapay.domain.observation import Reported
from sewapay.domain.payment import Payment
from sewapay.domain.refund import Refund
from sewapay.domain.resolution import Decision
from tests.shop import SERVICE, SITA, STAFF, Shop

__all__ = ["PART", "PRICE", "BusyShop", "a_busy_shop"]

PRICE: Final = Money(113000)
PART: Final = Money(30000)


@define
class BusyShop:
    """The shop, and its payments by what happened to them."""

    shop: Shop
    payments: dict[str, Payment] = field(factory=dict)

    async def now(self, name: str) -> Payment:
        """The payment as it is stored now."""
        return await self.shop.stored_payment(self.payments[name])

    async def until_nothing_is_due(self) -> Reconciled:
        """Let the reconciler work off what is due now."""
        done = Reconciled()
        while True:
            last = await self.shop.container.reconcile_payments()(100)
            done = done.and_(last)
            if not last.claimed:
                return done
            self.shop.clock.advance(seconds=1)

    async def for_days(self, days: int) -> None:
        """Let time pass, the reconciler at work every hour of it."""
        for _ in range(days * 24):
            self.shop.clock.advance(minutes=60)
            await self.until_nothing_is_due()

    async def refund(self, payment: Payment, amount: Money | None = None) -> Refund:
        """Give this much back, or all."""
        request = RefundRequest(by=STAFF, payment_id=payment.id, amount=amount, reason="the customer asked for it")
        return await self.shop.container.refund_payment()(request)

    async def decide(self, payment: Payment, decision: Decision) -> Payment:
        """A person decides about it."""
        current = await self.shop.stored_payment(payment)
        resolution = Resolution(
            by=STAFF, payment_id=payment.id, decision=decision, reason="as the panel shows", version=current.version
        )
        return (await self.shop.container.resolve_payment()(resolution)).payment

    async def opened(self, name: str) -> Payment:
        """A payment of a booking of its own, whose link is open."""
        self.payments[name] = payment = await self.shop.given_an_open_payment()
        return payment

    async def paid(self, name: str) -> Payment:
        """A payment that confirmed its booking."""
        payment = await self.opened(name)
        self.shop.gateway.customer_pays(payment)
        await self.shop.when_it_is_verified(payment)
        return payment

    async def twice_paid(self, name: str) -> Payment:
        """A payment whose booking had been settled by another."""
        first, second = await self.two_links(name)
        for payment in (first, second):
            self.shop.gateway.customer_pays(payment)
            await self.shop.when_it_is_verified(payment)
        return second

    async def two_links(self, name: str) -> tuple[Payment, Payment]:
        """Two payments of one booking: the first was canceled before the second was opened."""
        first = await self.shop.given_an_open_payment()
        self.shop.gateway.customer_cancels(first)
        booking = await self.shop.stored_booking(first.booking_id)
        second = await self.shop.when_the_customer_opens_a_checkout(booking)
        self.payments[f"{name}, settling"], self.payments[name] = first, second
        return first, second

    async def not_opened(self, name: str, booking: Booking | None = None) -> None:
        """A payment whose opening did not succeed."""
        booking = booking or await self.shop.given_a_booking()
        try:
            await self.shop.when_the_customer_opens_a_checkout(booking)
        except GatewayError:
            [self.payments[name]] = await self.shop.stored_payments(booking)


async def a_busy_shop(environ: Mapping[str, str] | None = None, *, store: Store | None = None) -> BusyShop:
    """Everything at once; nothing of it is overdue yet."""
    shop = Shop(environ=environ, store=store)
    busy = BusyShop(shop)
    gateway = shop.gateway
    await _with_a_key(shop)
    await busy.opened("open")
    await busy.paid("paid")
    gateway.leaves_pending(await busy.opened("pending"))
    gateway.customer_cancels(await busy.opened("canceled"))
    gateway.link_expires(await busy.opened("expired"))
    gateway.fails(await busy.opened("failed"))
    gateway.customer_pays(await busy.opened("amount_mismatch"), Money(1))
    gateway.says(await busy.opened("unknown_status"), "Ambiguous")
    for name in ("pending", "canceled", "expired", "failed", "amount_mismatch", "unknown_status"):
        await shop.when_it_is_verified(busy.payments[name])
    await _openings(busy)
    await _silences(busy)
    await _canceled_bookings(busy)
    await busy.twice_paid("surplus")
    await _refunds(busy)
    await _decisions(busy)
    await _contradictions(busy)
    return busy


async def _with_a_key(shop: Shop) -> None:
    def render(booking: Booking) -> Answer:
        return Answer(status=201, headers={}, body=b'{"id": %d}' % booking.id)

    name = KeyName(principal=SERVICE.actor, operation="POST /v1/bookings", key="one")
    once = Once(name=name, fingerprint="f" * 64, render=render)
    new = NewBooking(by=SERVICE, id=BookingId(900), customer=SITA, title="Deep cleaning", amount=PRICE, once=once)
    await shop.container.register_booking()(new)


async def _openings(busy: BusyShop) -> None:
    gateway = busy.shop.gateway
    for name, goes_wrong in (
        ("not_attempted", gateway.refuses_connections),
        ("checkout_refused", gateway.refuses_checkouts),
        ("unanswered opening", gateway.goes_silent),
    ):
        goes_wrong()
        await busy.not_opened(name)
        gateway.answers_again()


async def _silences(busy: BusyShop) -> None:
    payment = await busy.opened("silent")
    busy.shop.gateway.goes_silent()
    await busy.shop.when_it_is_verified(payment)
    busy.shop.gateway.answers_again()


async def _canceled_bookings(busy: BusyShop) -> None:
    for name in ("booking_canceled", "reinstated"):
        payment = await busy.opened(name)
        await busy.shop.when_the_booking_is_canceled(await busy.shop.stored_booking(payment.booking_id))
        busy.shop.gateway.customer_pays(payment)
        await busy.shop.when_it_is_verified(payment)
    await busy.decide(busy.payments["reinstated"], Decision.HONOUR)
    await busy.shop.when_the_booking_is_canceled(await busy.shop.given_a_booking())


async def _refunds(busy: BusyShop) -> None:
    gateway, shop = busy.shop.gateway, busy.shop
    await busy.refund(await busy.paid("refunded"))
    await busy.refund(await busy.paid("partly refunded"), PART)
    twice = await busy.paid("refunded in two parts")
    await busy.refund(twice, PART)
    await busy.refund(twice)
    gateway.loses_refund_answers()
    await busy.refund(await busy.paid("refunded without an answer"), PART)
    gateway.loses_refunds()
    lost = await busy.paid("refund_lost")
    await busy.refund(lost, PART)
    gateway.answers_again()
    unknown = await busy.paid("refund_unknown")
    await busy.refund(unknown, PART)
    gateway.loses_refunds()
    await busy.refund(unknown, PART)
    gateway.answers_again()
    refused = await busy.paid("refund refused")
    gateway.refuses_refunds()
    await busy.refund(refused, PART)
    gateway.answers_again()
    outside = await busy.paid("refunded_outside")
    gateway.merchant_refunds(outside)
    await shop.when_it_is_verified(outside, even_if_settled=True)
    partly = await busy.paid("partly refunded_outside")
    gateway.merchant_refunds(partly, partly=True)
    await shop.when_it_is_verified(partly, even_if_settled=True)
    surplus = await busy.twice_paid("surplus, refunded")
    await busy.decide(surplus, Decision.REFUND)


async def _decisions(busy: BusyShop) -> None:
    shop = busy.shop
    kept = await busy.twice_paid("surplus, kept")
    await busy.decide(kept, Decision.HONOUR)
    more = await busy.opened("more was paid")
    shop.gateway.customer_pays(more, Money(200000))
    await shop.when_it_is_verified(more)
    await busy.decide(more, Decision.HONOUR)
    strange = await busy.opened("closed")
    shop.gateway.says(strange, "Ambiguous")
    await shop.when_it_is_verified(strange)
    await busy.decide(strange, Decision.CLOSE)
    repeated = await busy.opened("transaction_repeated")
    known = shop.gateway.payments[str(busy.payments["paid"].gateway_reference)].answer
    shop.gateway.customer_pays(repeated, transaction_id=known.transaction_id)
    await shop.when_it_is_verified(repeated)


async def _contradictions(busy: BusyShop) -> None:
    shop = busy.shop
    payment = await busy.paid("contradicted")
    before = shop.gateway.payments[str(payment.gateway_reference)].answer
    shop.gateway.says(payment, "initiated", Reported.INITIATED)
    await shop.when_it_is_verified(payment, even_if_settled=True)
    shop.gateway.answers(payment, before)
    both = await busy.opened("contradictory")
    shop.gateway.customer_pays(both)
    paid = shop.gateway.payments[str(both.gateway_reference)].answer
    shop.gateway.answers(both, evolve(paid, refunded=True))
    await shop.when_it_is_verified(both)
    other = await busy.opened("reference_mismatch")
    honest = shop.gateway.payments[str(other.gateway_reference)].answer
    shop.gateway.answers(other, evolve(honest, reported=Reported.COMPLETED, gateway_reference="somebody else's"))
    await shop.when_it_is_verified(other)
    shop.gateway.answers(other, honest)
    shop.gateway.says(await busy.opened("orphaned_reference"), "not found", Reported.NOT_FOUND)

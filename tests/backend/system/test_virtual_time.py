"""Thirty days in a few seconds: the reconciler at work on real SQLite, and nobody who comes back."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count, pairwise
from pathlib import Path
from typing import Final

import pytest
from attrs import evolve
from dependency_injector import providers

from sewapay.adapters.fake.gateway import FAKE_CAPABILITIES, FakeGateway
from sewapay.adapters.system import RandomIds
from sewapay.application.audit import audit_invariants
from sewapay.application.errors import GatewayError
from sewapay.application.ports import Order
from sewapay.domain.booking import BookingStatus
from sewapay.domain.identifiers import Environment, PaymentId
from sewapay.domain.observation import Observation
from sewapay.domain.payment import Payment, PaymentStatus, ReviewReason
from sewapay.entrypoints.worker import Worker
from tests.backend.system.simulation.database import Database, InlineStore, a_template
from tests.books import truth_of
from tests.shop import KHALTI, ManualClock, Shop

MINUTE: Final = 60
HOUR: Final = 3600
DAY: Final = 86400
LIFE: Final = 60 * MINUTE
PER_MINUTE: Final = 30
# When an open payment is asked about, in seconds after its opening; typed by hand from the documented plan.
BY_THE_PLAN: Final = [60, 120, 300, 600, 1200, 2400, 3600, 4200, *(4200 + day * DAY for day in range(1, 8))]


class PlainIds(RandomIds):
    """Ids from which no look is spread: every moment of the plan is met exactly."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def payment_id(self) -> PaymentId:
        return PaymentId(f"00000000-0000-4000-8000-{next(self._numbers):012d}")


class TimedGateway(FakeGateway):
    """A fake gateway that remembers when it was asked about what."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(name=KHALTI, capabilities=evolve(FAKE_CAPABILITIES, default_life=timedelta(seconds=LIFE)))
        self.asked: list[tuple[datetime, str]] = []
        self._clock = clock

    async def look_up(self, order: Order) -> Observation:
        self.asked.append((self._clock.now(), str(order.reference)))
        return await super().look_up(order)


class Days:
    """A shop whose time is moved from one due look to the next."""

    def __init__(self, template: Path) -> None:
        clock = ManualClock()
        self.database = Database(template, clock.now)
        self.gateway = TimedGateway(clock)
        environ = {"SEWAPAY_LOOKUPS_PER_MINUTE": str(PER_MINUTE)}
        self.shop = Shop(store=InlineStore(self.database), gateway=self.gateway, environ=environ)
        self.shop.clock = clock
        self.shop.container.clock.override(providers.Object(clock))
        self.shop.container.ids.override(providers.Object(PlainIds()))
        self.began = clock.now()

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return (self.shop.clock.now() - self.began).total_seconds()

    def asked_about(self, payment: Payment) -> list[float]:
        """When the gateway was asked about it, in seconds after its opening."""
        return [
            (at - payment.created_at).total_seconds()
            for at, reference in self.gateway.asked
            if reference == payment.order_reference
        ]

    async def until(self, seconds: float) -> None:
        """Let time pass up to this moment, with the worker at work whenever something is due."""
        worker = Worker(self.shop.container)
        while (moment := self._next_moment()) <= seconds:
            self.shop.clock.advance(seconds=max(moment - self.now, 0))
            before = len(self.gateway.asked)
            done = await worker.until_nothing_is_due()
            assert done.broken == ()
            if len(self.gateway.asked) == before and not done.changed:  # the budget of this minute is spent
                self.shop.clock.advance(seconds=10)
        self.shop.clock.advance(seconds=max(seconds - self.now, 0))

    def _next_moment(self) -> float:
        rows = self.database.books().payments
        due = min((row["next_check_at"] for row in rows if row["next_check_at"] is not None), default=None)
        if due is None:
            return float("inf")
        away = self.away_until()
        moment = due if away is None else max(due, away)
        seconds: float = (moment - self.began).total_seconds()
        return seconds

    def away_until(self) -> datetime | None:
        """Until when the gateway is left alone."""
        pace = self.database.transact(lambda tx: tx.paces.get(KHALTI, Environment.SANDBOX))
        return pace.away_until

    def wrong(self, *, is_quiet: bool) -> list[str]:
        """What the audit finds."""
        found = audit_invariants(
            self.database.books(), truth_of(self.gateway), now=self.shop.clock.now(), is_quiet=is_quiet
        )
        return [str(finding) for finding in found]


@pytest.fixture
def days(tmp_path: Path) -> Iterator[Days]:
    days = Days(a_template(tmp_path))
    yield days
    days.database.close()


@pytest.mark.fault("F20")
async def test_a_link_that_nobody_uses_is_asked_about_by_the_plan_and_then_a_person_is(days: Days) -> None:
    payment = await days.shop.given_an_open_payment()

    await days.until(30 * DAY)

    assert days.asked_about(payment) == BY_THE_PLAN
    kept = await days.shop.stored_payment(payment)
    assert (kept.status, kept.review_reason) == (PaymentStatus.UNDER_REVIEW, ReviewReason.STUCK)


@pytest.mark.fault("F50")
async def test_what_was_paid_is_asked_about_for_a_month_and_a_refund_in_the_panel_is_noticed(days: Days) -> None:
    paid = await days.shop.given_an_open_payment()
    given_back = await days.shop.given_an_open_payment()
    for payment in (paid, given_back):
        days.gateway.customer_pays(payment)

    await days.until(5 * DAY)
    days.gateway.merchant_refunds(given_back)
    await days.until(40 * DAY)

    after_paying = [60 + pause for pause in (HOUR, DAY, 3 * DAY, 7 * DAY, 14 * DAY, 30 * DAY)]
    assert days.asked_about(paid) == [60, *after_paying]
    assert days.asked_about(given_back) == [60, *after_paying[:4]]
    kept = await days.shop.stored_payment(given_back)
    assert (kept.status, kept.review_reason) == (PaymentStatus.REFUNDED, ReviewReason.REFUNDED_OUTSIDE)
    assert days.wrong(is_quiet=True) == []


@pytest.mark.fault("F40")
async def test_what_is_unknown_is_asked_about_sooner_and_never_called_failed(days: Days) -> None:
    payment = await days.shop.given_an_open_payment()
    days.gateway.goes_silent()

    await days.until(30 * DAY)

    asked = days.asked_about(payment)
    assert asked[:9] == [60, 75, 105, 120, 240, 300, 600, 1200, 2400]
    assert all(later - earlier <= HOUR for earlier, later in pairwise(asked))
    assert 7 * DAY < asked[-1] <= 8 * DAY
    kept = await days.shop.stored_payment(payment)
    assert (kept.status, kept.review_reason) == (PaymentStatus.UNDER_REVIEW, ReviewReason.STUCK)


@pytest.mark.fault("F49")
async def test_what_is_pending_for_a_day_is_put_before_a_person_and_settles_when_its_money_comes(days: Days) -> None:
    payment = await days.shop.given_an_open_payment()
    days.gateway.leaves_pending(payment)

    await days.until(DAY - 1)
    early = await days.shop.stored_payment(payment)
    await days.until(3 * DAY)
    late = await days.shop.stored_payment(payment)
    days.gateway.customer_pays(payment)
    await days.until(5 * DAY)

    assert (early.status, early.review_reason) == (PaymentStatus.PENDING, None)
    assert (late.status, late.review_reason) == (PaymentStatus.UNDER_REVIEW, ReviewReason.STUCK)
    assert (await days.shop.stored_payment(payment)).status is PaymentStatus.COMPLETED
    assert (await days.shop.stored_booking(payment.booking_id)).status is BookingStatus.CONFIRMED


@pytest.mark.fault("F08")
async def test_a_link_that_nobody_was_shown_ends_when_the_longest_lived_one_would_be_dead(days: Days) -> None:
    booking = await days.shop.given_a_booking()
    days.gateway.goes_silent()
    with pytest.raises(GatewayError):
        await days.shop.when_the_customer_opens_a_checkout(booking)
    days.gateway.answers_again()

    await days.until(DAY - 1)
    [before] = await days.shop.stored_payments(booking)
    await days.until(DAY)
    [ended] = await days.shop.stored_payments(booking)

    assert (before.status, before.outcome_unknown) == (PaymentStatus.CREATED, True)
    assert (ended.status, ended.reason, ended.outcome_unknown) == (PaymentStatus.EXPIRED, "link never shown", False)
    assert days.gateway.asked == []


async def test_a_budget_of_a_minute_is_kept_by_all_that_are_due_at_once(days: Days) -> None:
    payments = [await days.shop.given_an_open_payment() for _ in range(100)]

    await days.until(6 * MINUTE)

    first = [days.asked_about(payment)[0] for payment in payments]
    for minute in range(1, 6):
        asked = [at for at, _ in days.gateway.asked if (at - days.began).total_seconds() < (minute + 1) * MINUTE]
        assert len(asked) <= PER_MINUTE * (minute + 1)
    assert max(first) < 6 * MINUTE


@pytest.mark.fault("F06")
@pytest.mark.fault("F20")
@pytest.mark.fault("F40")
async def test_thirty_days_with_a_gateway_that_is_away_for_three_of_them(days: Days) -> None:
    shop, gateway = days.shop, days.gateway
    paid, unused, given_up, pending = [
        [await shop.given_an_open_payment() for _ in range(number)] for number in (6, 3, 2, 2)
    ]
    for payment in given_up:
        gateway.customer_cancels(payment)
    for payment in pending:
        gateway.leaves_pending(payment)
    await days.until(30)  # before anybody looked, the gateway goes away, and customers pay all the same
    for payment in paid:
        gateway.customer_pays(payment)
    gateway.goes_silent()

    await days.until(3 * DAY)
    while_away = [await shop.stored_payment(payment) for payment in (*paid, *unused, *given_up, *pending)]
    asked_in_vain = len(gateway.asked)
    gateway.answers_again()
    for payment in unused:
        gateway.link_expires(payment)
    await days.until(3 * DAY + 2 * HOUR)
    soon_after = [(await shop.stored_booking(payment.booking_id)).status for payment in paid]
    for payment in pending:
        gateway.customer_pays(payment)
    await days.until(40 * DAY)

    assert {(payment.status, payment.outcome_unknown) for payment in while_away} <= {
        (PaymentStatus.OPEN, True),
        (PaymentStatus.OPEN, False),  # not asked about: the gateway was being left alone
    }
    assert asked_in_vain <= 3 * 24 * 12 + 50, "one call in five minutes, to see whether it is back"
    assert days.away_until() is None
    assert soon_after == [BookingStatus.CONFIRMED] * 6
    statuses = [
        [(await shop.stored_payment(payment)).status for payment in some] for some in (unused, given_up, pending)
    ]
    assert statuses == [
        [PaymentStatus.EXPIRED] * 3,
        [PaymentStatus.CANCELED] * 2,
        [PaymentStatus.COMPLETED] * 2,
    ]
    assert days.wrong(is_quiet=True) == []

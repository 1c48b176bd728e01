import asyncio
from datetime import timedelta

import pytest
from attrs import evolve

from sewapay.application.access import Principal, Role, Scope
from sewapay.application.cancel_booking import Cancellation
from sewapay.application.errors import BookingExists, BookingNotFound, NotAllowed, StoreUnavailable
from sewapay.application.register_booking import NewBooking
from sewapay.domain.booking import BookingStatus
from sewapay.domain.errors import BookingAlreadyPaid, InvalidBooking
from sewapay.domain.identifiers import BookingId
from sewapay.domain.money import Money
from tests.backend.unit.world import RerunningStore
from tests.shop import PRICE, RAM, SERVICE, SITA, STAFF, Shop, customer

# -- registering ------------------------------------------------------------------------------------------------------


async def test_a_registered_booking_waits_for_the_amount_that_is_owed() -> None:
    shop = Shop()

    booking = await shop.given_a_booking(id=123, amount=Money(113000))

    assert booking == await shop.stored_booking(BookingId(123))
    assert (booking.status, booking.amount, booking.version) == (BookingStatus.PENDING, Money(113000), 1)
    assert await shop.told(booking) == ["booking.registered"]


async def test_without_a_number_of_the_merchants_own_a_booking_gets_the_next_one() -> None:
    shop = Shop()
    first = await shop.given_a_booking()
    await shop.given_a_booking(id=41)

    third = await shop.given_a_booking()

    assert (first.id, third.id) == (1, 42)


async def test_bookings_registered_at_once_get_different_numbers() -> None:
    shop = Shop()

    bookings = await asyncio.gather(*(shop.given_a_booking() for _ in range(20)))

    assert len({booking.id for booking in bookings}) == 20


async def test_a_number_is_registered_once_and_the_first_booking_stays_as_it_is() -> None:
    shop = Shop()
    first = await shop.given_a_booking(id=123, amount=Money(113000))

    with pytest.raises(BookingExists):
        await shop.given_a_booking(id=123, amount=Money(1), who=RAM)

    assert first == await shop.stored_booking(first)
    assert await shop.told(first) == ["booking.registered"]


async def test_a_registration_that_runs_twice_registers_once() -> None:
    shop = Shop(store=RerunningStore())

    booking = await shop.given_a_booking(id=123)

    assert await shop.told(booking) == ["booking.registered"]


@pytest.mark.fault("F09")
async def test_a_booking_that_could_not_be_owed_is_not_stored() -> None:
    shop = Shop()

    with pytest.raises(InvalidBooking):
        await shop.given_a_booking(id=123, amount=Money(0))

    with pytest.raises(BookingNotFound):
        await shop.stored_booking(BookingId(123))


@pytest.mark.parametrize(
    "by", [customer(), Principal(role=Role.LINK, id="1"), evolve(SERVICE, scopes=frozenset(Scope) - {Scope.BOOKINGS})]
)
async def test_customers_do_not_say_what_they_owe(by: Principal) -> None:
    shop = Shop()

    with pytest.raises(NotAllowed):
        await shop.container.register_booking()(NewBooking(by=by, customer=SITA, title="Free", amount=Money(1)))


async def test_nothing_is_registered_when_the_store_is_away() -> None:
    shop = Shop()
    shop.memory.break_down()
    with pytest.raises(StoreUnavailable):
        await shop.given_a_booking(id=123)
    shop.memory.repair()

    booking = await shop.given_a_booking(id=123)

    assert booking.version == 1


# -- canceling --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", [customer(SITA), STAFF, SERVICE])
async def test_an_unpaid_booking_can_be_canceled_by_its_customer_staff_and_services(by: Principal) -> None:
    shop = Shop()
    booking = await shop.given_a_booking(who=SITA)

    canceled = await shop.container.cancel_booking()(Cancellation(by=by, booking_id=booking.id))

    assert canceled.status is BookingStatus.CANCELED
    assert canceled == await shop.stored_booking(booking)
    events = await shop.store.read(lambda view: view.events.of_booking(booking.id))
    assert (events[-1].kind, events[-1].actor) == ("booking.canceled", by.actor)


async def test_canceling_twice_changes_nothing() -> None:
    shop = Shop()
    canceled = await shop.when_the_booking_is_canceled(await shop.given_a_booking())
    shop.clock.advance(days=1)

    again = await shop.when_the_booking_is_canceled(canceled)

    assert canceled == again
    assert await shop.told(canceled) == ["booking.registered", "booking.canceled"]


async def test_a_paid_booking_is_not_canceled() -> None:
    shop = Shop()
    paid = await shop.given_a_paid_booking()

    with pytest.raises(BookingAlreadyPaid):
        await shop.when_the_booking_is_canceled(paid.booking)

    assert await shop.stored_booking(paid.booking) == paid.booking


@pytest.mark.parametrize("by", [customer(RAM), Principal(role=Role.CUSTOMER, id="1")])
async def test_somebody_elses_booking_and_a_missing_one_look_the_same(by: Principal) -> None:
    shop = Shop()
    booking = await shop.given_a_booking(who=SITA)

    with pytest.raises(BookingNotFound) as foreign:
        await shop.container.cancel_booking()(Cancellation(by=by, booking_id=booking.id))
    with pytest.raises(BookingNotFound) as missing:
        await shop.container.cancel_booking()(Cancellation(by=by, booking_id=BookingId(999)))

    assert str(missing.value) == str(foreign.value)
    assert (await shop.stored_booking(booking)).status is BookingStatus.PENDING


async def test_the_holder_of_a_link_may_pay_and_not_cancel() -> None:
    shop = Shop()
    booking = await shop.given_a_booking()
    holder = Principal(role=Role.LINK, id=str(booking.id))

    with pytest.raises(NotAllowed):
        await shop.container.cancel_booking()(Cancellation(by=holder, booking_id=booking.id))


@pytest.mark.fault("F61")
@pytest.mark.parametrize("cancel_first", [True, False])
async def test_canceled_and_paid_at_once_ends_as_one_of_both_and_never_loses_the_money(cancel_first: bool) -> None:
    shop = Shop()
    booking = await shop.given_a_booking()
    payment = await shop.given_an_open_payment(booking)
    shop.gateway.customer_pays(payment)

    async def cancel() -> None:
        try:
            await shop.when_the_booking_is_canceled(booking)
        except BookingAlreadyPaid:
            assert not cancel_first

    async def settle() -> None:
        await shop.when_it_is_verified(payment)

    for step in (cancel, settle) if cancel_first else (settle, cancel):
        await step()

    stored, kept = await shop.stored_booking(booking), await shop.stored_payment(payment)
    expected = BookingStatus.CANCELED if cancel_first else BookingStatus.CONFIRMED
    assert expected is stored.status
    assert kept.amount_paid == PRICE


async def test_time_is_what_the_clock_says() -> None:
    shop = Shop()
    registered = await shop.given_a_booking()
    shop.clock.advance(minutes=5)

    await shop.when_the_booking_is_canceled(registered)

    first, second = await shop.store.read(lambda view: view.events.of_booking(registered.id))
    assert second.at - first.at == timedelta(minutes=5)

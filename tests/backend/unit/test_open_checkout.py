import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import evolve
from dependency_injector import providers

from sewapay.adapters.fake.gateway import FAKE_CAPABILITIES, FakeGateway
from sewapay.application.access import Principal, Role, Scope
from sewapay.application.errors import (
    AmountDiffers,
    AmountNotTaken,
    BookingNotFound,
    CheckoutInProgress,
    CheckoutRefused,
    GatewayNotEnabled,
    KeyRefused,
    NotAllowed,
    NothingSent,
    OutcomeUnknown,
    ProtocolError,
    ReturnUrlRefused,
    StillBeingChecked,
    StoreUnavailable,
)
from sewapay.application.open_checkout import CheckoutRequest, OpenedCheckout
from sewapay.application.ports import Order, Payer, Urls
from sewapay.domain.booking import Booking, BookingStatus
from sewapay.domain.checkout import Checkout, Redirect
from sewapay.domain.errors import BookingAlreadyPaid, BookingIsCanceled
from sewapay.domain.identifiers import BookingId, Environment, GatewayName
from sewapay.domain.money import Money
from sewapay.domain.payment import Payment, PaymentStatus, ReviewReason
from tests.backend.unit.world import FailingStore, InterruptedGateway, Killed, PatientClock, RerunningStore, until
from tests.shop import KHALTI, PRICE, RAM, SERVICE, SHOP_RETURN, SITA, ManualClock, Shop, customer


async def opened(shop: Shop, booking: Booking) -> OpenedCheckout:
    request = CheckoutRequest(by=customer(), booking_id=booking.id, gateway=KHALTI)
    return await shop.container.open_checkout()(request)


# -- the first link ---------------------------------------------------------------------------------------------------


async def test_a_checkout_gives_a_new_payment_with_the_gateways_link() -> None:
    shop = Shop()
    booking = await shop.given_a_booking()

    checkout = await opened(shop, booking)

    payment = checkout.payment
    assert checkout.is_new
    assert payment == await shop.stored_payment(payment)
    assert (payment.status, payment.amount, payment.booking_id) == (PaymentStatus.OPEN, PRICE, booking.id)
    assert isinstance(payment.next_step, Redirect)
    assert await shop.told(booking) == ["booking.registered", "payment.created", "payment.opened"]


@pytest.mark.fault("F08")
async def test_what_is_attempted_is_stored_before_the_gateway_hears_of_it() -> None:
    gateway = InterruptedGateway()
    shop = Shop(gateway=gateway)
    shop.becomes_several_processes()
    booking = await shop.given_a_booking()
    stored: list[Payment] = []

    async def look() -> None:
        stored.extend(await shop.stored_payments(booking))

    gateway.while_opening = look
    await opened(shop, booking)

    (payment,) = stored
    (order,) = gateway.orders
    assert payment.status is PaymentStatus.CREATED
    assert (payment.id, payment.order_reference, payment.amount) == (order.payment_id, order.reference, order.amount)


@pytest.mark.fault("F08")
async def test_a_link_that_could_not_be_stored_is_never_shown() -> None:
    store = FailingStore()
    shop = Shop(store=store)
    booking = await shop.given_a_booking()
    store.fails_at(2)

    with pytest.raises(StoreUnavailable):
        await opened(shop, booking)

    (payment,) = await shop.stored_payments(booking)
    assert (payment.status, payment.next_step) == (PaymentStatus.CREATED, None)
    assert shop.gateway.initiated == 1


async def test_no_gateway_is_asked_when_the_intent_could_not_be_stored() -> None:
    store = FailingStore()
    shop = Shop(store=store)
    booking = await shop.given_a_booking()
    store.fails_at(1)

    with pytest.raises(StoreUnavailable):
        await opened(shop, booking)

    assert shop.gateway.initiated == 0


async def test_the_gateway_is_told_what_it_needs_and_our_own_return_address() -> None:
    gateway = InterruptedGateway()
    shop = Shop(gateway=gateway)
    shop.becomes_several_processes()
    booking = await shop.given_a_booking(title="Deep cleaning")

    payment = await shop.when_the_customer_opens_a_checkout(booking, return_url=SHOP_RETURN)

    assert gateway.urls[0].return_url == f"http://127.0.0.1:8000/return/{payment.id}/"
    assert gateway.urls[0].website_url == "http://127.0.0.1:8000"
    assert gateway.orders[0].title == "Deep cleaning"
    assert (gateway.payers[0].name, gateway.payers[0].email) == ("Sita Sharma", "sita@example.com")


async def test_a_transaction_that_runs_twice_opens_one_checkout() -> None:
    shop = Shop(store=RerunningStore())
    booking = await shop.given_a_booking()

    await opened(shop, booking)

    assert shop.gateway.initiated == 1
    assert len(await shop.stored_payments(booking)) == 1
    assert await shop.told(booking) == ["booking.registered", "payment.created", "payment.opened"]


# -- who, how much, and where to ------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", [customer(RAM), Principal(role=Role.LINK, id="999")])
async def test_somebody_elses_booking_does_not_exist(by: Principal) -> None:
    shop = Shop()
    booking = await shop.given_a_booking(who=SITA)

    with pytest.raises(BookingNotFound) as foreign:
        await shop.when_the_customer_opens_a_checkout(booking, by=by)
    with pytest.raises(BookingNotFound) as missing:
        await shop.container.open_checkout()(CheckoutRequest(by=by, booking_id=BookingId(999), gateway=KHALTI))

    assert str(missing.value) == str(foreign.value)
    assert shop.gateway.initiated == 0


async def test_a_service_needs_the_scope_for_payments() -> None:
    shop = Shop()
    booking = await shop.given_a_booking()

    with pytest.raises(NotAllowed):
        await shop.when_the_customer_opens_a_checkout(booking, by=evolve(SERVICE, scopes=frozenset({Scope.BOOKINGS})))


async def test_authorization_is_checked_before_anything_else() -> None:
    shop = Shop()
    nobody = Principal(role=Role.SERVICE, id="key")
    request = CheckoutRequest(
        by=nobody, booking_id=BookingId(1), gateway=GatewayName("unheard_of"), return_url="javascript:alert(1)"
    )

    with pytest.raises(NotAllowed):
        await shop.container.open_checkout()(request)


async def test_a_gateway_that_is_not_enabled_is_named_with_those_that_are() -> None:
    shop = Shop()
    booking = await shop.given_a_booking()
    request = CheckoutRequest(by=customer(), booking_id=booking.id, gateway=GatewayName("esewa"))

    with pytest.raises(GatewayNotEnabled, match="esewa is not enabled here: choose one of khalti"):
        await shop.container.open_checkout()(request)


@pytest.mark.fault("F10")
@pytest.mark.parametrize("expected", [Money(112999), Money(113001), Money(1130), Money(0)])
async def test_a_customer_who_was_shown_another_price_is_stopped(expected: Money) -> None:
    shop = Shop()
    booking = await shop.given_a_booking()
    request = CheckoutRequest(by=customer(), booking_id=booking.id, gateway=KHALTI, expected_amount=expected)

    with pytest.raises(AmountDiffers, match=r"Rs 1,130\.00 is owed"):
        await shop.container.open_checkout()(request)

    assert shop.gateway.initiated == 0


@pytest.mark.fault("F09")
@pytest.mark.parametrize(("owed", "said"), [(999, "takes Rs 10.00 or more"), (10000001, "at most Rs 1,00,000.00")])
async def test_an_amount_that_the_gateway_does_not_take_is_refused_before_any_call(owed: int, said: str) -> None:
    shop = Shop()
    shop.gateway.capabilities = evolve(FAKE_CAPABILITIES, least=Money(1000), greatest=Money(10000000))
    booking = await shop.given_a_booking(amount=Money(owed))

    with pytest.raises(AmountNotTaken, match=said):
        await opened(shop, booking)

    assert shop.gateway.initiated == 0
    assert await shop.stored_payments(booking) == []


@pytest.mark.fault("F09")
@pytest.mark.parametrize("owed", [1000, 10000000])
async def test_the_least_and_the_greatest_amount_are_taken(owed: int) -> None:
    shop = Shop()
    shop.gateway.capabilities = evolve(FAKE_CAPABILITIES, least=Money(1000), greatest=Money(10000000))

    payment = await shop.given_an_open_payment(await shop.given_a_booking(amount=Money(owed)))

    assert payment.amount == Money(owed)


async def test_a_return_address_outside_the_list_is_refused_before_anything_is_stored() -> None:
    shop = Shop()
    booking = await shop.given_a_booking()

    with pytest.raises(ReturnUrlRefused):
        await shop.when_the_customer_opens_a_checkout(booking, return_url="https://shop.example@evil.example/")

    assert await shop.stored_payments(booking) == []


async def test_the_customer_comes_back_to_the_page_asked_for_last() -> None:
    shop = Shop()
    booking = await shop.given_a_booking()
    await shop.when_the_customer_opens_a_checkout(booking, return_url=SHOP_RETURN)

    await shop.when_the_customer_opens_a_checkout(booking, return_url=f"{SHOP_RETURN}?tab=2")
    payment = await shop.when_the_customer_opens_a_checkout(booking)

    assert payment.return_to is not None
    assert payment.return_to.url == "https://shop.example/payment/callback?tab=2"


# -- the same link --------------------------------------------------------------------------------------------------


@pytest.mark.fault("F03")
async def test_asking_again_gives_the_same_link_after_a_look_whether_it_was_used() -> None:
    shop = Shop()
    booking = await shop.given_a_booking()
    first = await opened(shop, booking)

    second = await opened(shop, booking)

    assert (first.payment.id, first.payment.next_step) == (second.payment.id, second.payment.next_step)
    assert not second.is_new
    assert (shop.gateway.initiated, shop.gateway.looked_up) == (1, 1)


@pytest.mark.fault("F03")
@pytest.mark.fault("F04")
async def test_fifty_initiates_at_once_ask_the_gateway_once_and_give_one_link() -> None:
    shop = Shop()
    shop.container.clock.override(providers.Object(PatientClock()))
    booking = await shop.given_a_booking()

    checkouts = await asyncio.gather(*(opened(shop, booking) for _ in range(50)))

    assert shop.gateway.initiated == 1
    assert len({checkout.payment.next_step for checkout in checkouts}) == 1
    assert [checkout.is_new for checkout in checkouts].count(True) == 1
    assert len(await shop.stored_payments(booking)) == 1
    assert shop.gateway.looked_up == 0, "a link that was opened while one waited was not used before"


async def test_when_the_look_gets_no_answer_the_same_link_is_given_and_no_second_one() -> None:
    shop = Shop()
    booking = await shop.given_a_booking()
    first = await opened(shop, booking)
    shop.gateway.goes_silent()

    second = await opened(shop, booking)

    assert first.payment.next_step == second.payment.next_step
    assert second.payment.outcome_unknown
    assert shop.gateway.initiated == 1


async def test_a_link_that_the_customer_used_settles_the_booking_and_is_not_given_again() -> None:
    shop = Shop()
    booking = await shop.given_a_booking()
    payment = (await opened(shop, booking)).payment
    shop.gateway.customer_pays(payment)

    with pytest.raises(BookingAlreadyPaid):
        await opened(shop, booking)

    assert (await shop.stored_booking(booking)).settled_by == payment.id
    assert shop.gateway.initiated == 1


async def test_a_payment_that_is_still_moving_is_waited_for() -> None:
    shop = Shop()
    booking = await shop.given_a_booking()
    shop.gateway.leaves_pending((await opened(shop, booking)).payment)

    with pytest.raises(StillBeingChecked, match="do not pay again"):
        await opened(shop, booking)

    assert shop.gateway.initiated == 1


async def test_a_payment_that_a_person_looks_at_is_waited_for() -> None:
    shop = Shop()
    booking = await shop.given_a_booking()
    shop.gateway.customer_pays((await opened(shop, booking)).payment, Money(112999))

    with pytest.raises(StillBeingChecked, match="looked at by a person"):
        await opened(shop, booking)

    assert shop.gateway.initiated == 1


async def test_an_old_payment_that_is_moving_keeps_a_newer_link_from_being_given() -> None:
    shop = Shop()
    booking = await shop.given_a_booking()
    old = (await opened(shop, booking)).payment
    shop.clock.advance(minutes=31)
    new = (await opened(shop, booking)).payment
    assert old.id != new.id
    shop.gateway.leaves_pending(old)

    with pytest.raises(StillBeingChecked, match="do not pay again"):
        await opened(shop, booking)


async def test_an_old_payment_under_review_keeps_a_newer_link_from_being_given() -> None:
    shop = Shop()
    booking = await shop.given_a_booking()
    old = (await opened(shop, booking)).payment
    shop.clock.advance(minutes=31)
    await opened(shop, booking)
    shop.gateway.customer_pays(old, Money(1000))

    with pytest.raises(StillBeingChecked, match="looked at by a person"):
        await opened(shop, booking)


# -- a new link -----------------------------------------------------------------------------------------------------


@pytest.mark.fault("F12")
@pytest.mark.parametrize("ends", [FakeGateway.customer_cancels, FakeGateway.link_expires, FakeGateway.fails])
async def test_after_an_end_without_money_a_new_payment_is_opened_and_the_old_one_kept(ends: object) -> None:
    shop = Shop()
    booking = await shop.given_a_booking()
    old = (await opened(shop, booking)).payment
    assert callable(ends)
    ends(shop.gateway, old)
    shop.clock.advance(seconds=5)

    new = (await opened(shop, booking)).payment

    assert old.id != new.id
    assert old.order_reference != new.order_reference
    assert [old.id, new.id] == [payment.id for payment in await shop.stored_payments(booking)]


async def test_a_link_whose_life_is_over_is_replaced_when_the_gateway_says_that_it_was_not_used() -> None:
    shop = Shop()
    booking = await shop.given_a_booking()
    old = (await opened(shop, booking)).payment
    shop.clock.advance(minutes=30)

    new = (await opened(shop, booking)).payment

    assert old.id != new.id


async def test_a_link_whose_life_is_over_is_not_replaced_while_the_gateway_is_silent() -> None:
    shop = Shop()
    booking = await shop.given_a_booking()
    await opened(shop, booking)
    shop.clock.advance(minutes=30)
    shop.gateway.goes_silent()

    with pytest.raises(StillBeingChecked):
        await opened(shop, booking)

    assert shop.gateway.initiated == 1


@pytest.mark.fault("F22")
async def test_a_link_paid_after_its_life_is_found_before_another_is_opened() -> None:
    shop = Shop()
    booking = await shop.given_a_booking()
    payment = (await opened(shop, booking)).payment
    shop.clock.advance(days=1)
    shop.gateway.customer_pays(payment)

    with pytest.raises(BookingAlreadyPaid):
        await opened(shop, booking)

    assert (await shop.stored_booking(booking)).status is BookingStatus.CONFIRMED


async def test_more_open_payments_than_are_looked_at_in_one_request_are_waited_for() -> None:
    shop = Shop()
    booking = await shop.given_a_booking()
    for _ in range(17):
        await opened(shop, booking)
        shop.clock.advance(minutes=30)

    with pytest.raises(StillBeingChecked):
        await opened(shop, booking)


async def test_a_paid_booking_is_not_paid_again() -> None:
    shop = Shop()
    paid = await shop.given_a_paid_booking()

    with pytest.raises(BookingAlreadyPaid):
        await opened(shop, paid.booking)


async def test_nothing_is_opened_for_a_canceled_booking() -> None:
    shop = Shop()
    booking = await shop.given_a_booking()
    await shop.when_the_booking_is_canceled(booking)

    with pytest.raises(BookingIsCanceled):
        await opened(shop, booking)

    assert shop.gateway.initiated == 0


async def test_a_sandbox_link_is_never_given_where_money_is_real() -> None:
    sandbox = Shop()
    booking = await sandbox.given_a_booking()
    await opened(sandbox, booking)
    real = FakeGateway(name=KHALTI, environment=Environment.PRODUCTION)
    production = Shop(store=sandbox.memory, gateway=real)

    with pytest.raises(StillBeingChecked):
        await opened(production, booking)

    assert (real.initiated, real.looked_up) == (0, 0)


# -- when the gateway does not open one -------------------------------------------------------------------------------


@pytest.mark.fault("F01")
@pytest.mark.fault("F07")
async def test_a_lost_answer_is_unknown_and_never_repeated_and_the_next_request_begins_anew() -> None:
    shop = Shop()
    booking = await shop.given_a_booking()
    shop.gateway.goes_silent()
    with pytest.raises(OutcomeUnknown):
        await opened(shop, booking)
    assert shop.gateway.initiated == 1
    shop.gateway.answers_again()
    shop.clock.advance(seconds=1)

    payment = (await opened(shop, booking)).payment

    lost, new = await shop.stored_payments(booking)
    assert (lost.status, lost.outcome_unknown, lost.next_step) == (PaymentStatus.CREATED, True, None)
    assert new.id == payment.id
    assert lost.order_reference != new.order_reference
    assert shop.gateway.initiated == 2


@pytest.mark.fault("F02")
async def test_when_nothing_was_sent_the_payment_failed_and_may_be_tried_at_once() -> None:
    shop = Shop()
    booking = await shop.given_a_booking()
    shop.gateway.refuses_connections()
    with pytest.raises(NothingSent) as refused:
        await opened(shop, booking)
    shop.gateway.answers_again()

    checkout = await opened(shop, booking)

    assert refused.value.may_ask_again
    failed = next(one for one in await shop.stored_payments(booking) if one.id != checkout.payment.id)
    assert (failed.status, failed.outcome_unknown, failed.next_check_at) == (PaymentStatus.FAILED, False, None)
    assert failed.reason is not None
    assert failed.reason.startswith("not attempted")
    assert checkout.is_new


@pytest.mark.fault("F05")
async def test_an_answer_that_cannot_be_read_is_unknown() -> None:
    shop = Shop()
    booking = await shop.given_a_booking()
    shop.gateway.talks_nonsense()

    with pytest.raises(ProtocolError):
        await opened(shop, booking)

    (payment,) = await shop.stored_payments(booking)
    assert (payment.status, payment.outcome_unknown) == (PaymentStatus.CREATED, True)


class Giving(FakeGateway):
    """Opens checkouts that live as long as it was told."""

    def __init__(self, **lives: Any) -> None:
        super().__init__(name=KHALTI)
        self.lives = lives

    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        return evolve(await super().open_checkout(order, urls, payer), **self.lives)


BEGAN = ManualClock().now()
A_MOMENT = timedelta(microseconds=1)


@pytest.mark.parametrize(
    "lives",
    [
        {"life": timedelta(0)},
        {"life": timedelta(days=-1)},
        {"life": timedelta(days=30) + A_MOMENT},
        {"life": timedelta.max},
        {"expires_at": BEGAN},
        {"expires_at": BEGAN + timedelta(days=30) + A_MOMENT},
        {"expires_at": datetime.min.replace(tzinfo=UTC)},
        {"expires_at": datetime.max.replace(tzinfo=UTC)},
    ],
)
async def test_a_link_that_is_dead_already_or_lives_longer_than_it_can_be_watched_is_not_shown(
    lives: dict[str, Any],
) -> None:
    shop = Shop(gateway=Giving(**lives))
    booking = await shop.given_a_booking()

    with pytest.raises(ProtocolError, match="is dead already, or lives for more than 30 days"):
        await opened(shop, booking)

    (payment,) = await shop.stored_payments(booking)
    assert (payment.status, payment.outcome_unknown, payment.next_step) == (PaymentStatus.CREATED, True, None)
    shop.clock.advance(days=2)
    done = await shop.container.reconcile_payments()(10)
    assert (done.changed, done.broken) == (1, ())
    assert (await shop.stored_payment(payment)).reason == "link never shown"


@pytest.mark.parametrize(
    ("lives", "expires_at"),
    [
        ({"life": A_MOMENT}, BEGAN + A_MOMENT),
        ({"life": timedelta(days=30)}, BEGAN + timedelta(days=30)),
        ({"expires_at": BEGAN + A_MOMENT}, BEGAN + A_MOMENT),
        ({"expires_at": BEGAN + timedelta(days=30)}, BEGAN + timedelta(days=30)),
        ({"life": timedelta(days=1), "expires_at": datetime.max.replace(tzinfo=UTC)}, BEGAN + timedelta(days=1)),
    ],
)
async def test_a_link_is_shown_that_can_be_watched_until_its_end(lives: dict[str, Any], expires_at: datetime) -> None:
    shop = Shop(gateway=Giving(**lives))

    payment = (await opened(shop, await shop.given_a_booking())).payment

    assert payment.expires_at == expires_at


@pytest.mark.fault("F06")
async def test_a_refused_key_fails_the_payment_and_is_not_tried_again() -> None:
    shop = Shop()
    booking = await shop.given_a_booking()
    shop.gateway.refuses_key()

    with pytest.raises(KeyRefused) as refused:
        await opened(shop, booking)

    (payment,) = await shop.stored_payments(booking)
    assert payment.status is PaymentStatus.FAILED
    assert not refused.value.may_ask_again
    assert shop.gateway.initiated == 1


@pytest.mark.fault("F06")
async def test_a_refused_checkout_is_our_mistake_and_does_not_bar_the_next_one() -> None:
    shop = Shop()
    booking = await shop.given_a_booking()
    shop.gateway.refuses_checkouts()
    with pytest.raises(CheckoutRefused):
        await opened(shop, booking)
    (refused,) = await shop.stored_payments(booking)
    assert (refused.status, refused.review_reason) == (PaymentStatus.UNDER_REVIEW, ReviewReason.CHECKOUT_REFUSED)
    shop.gateway.answers_again()

    checkout = await opened(shop, booking)

    assert checkout.is_new


@pytest.mark.fault("F11")
@pytest.mark.invariant("I5")
async def test_a_reference_that_another_payment_has_is_not_taken_over() -> None:
    gateway = InterruptedGateway()
    shop = Shop(gateway=gateway)
    shop.becomes_several_processes()
    theirs = (await opened(shop, await shop.given_a_booking())).payment
    booking = await shop.given_a_booking()
    gateway.gives_reference = theirs.gateway_reference

    with pytest.raises(ProtocolError):
        await opened(shop, booking)

    (payment,) = await shop.stored_payments(booking)
    assert (payment.status, payment.outcome_unknown) == (PaymentStatus.CREATED, True)
    assert (payment.gateway_reference, payment.next_step) == (None, None)
    assert theirs == await shop.stored_payment(theirs)


# -- when processes die or are slow -----------------------------------------------------------------------------------


@pytest.mark.fault("F08")
async def test_a_process_killed_before_the_gateway_answered_holds_nobody_up_for_longer_than_twenty_seconds() -> None:
    gateway = InterruptedGateway()
    shop = Shop(gateway=gateway)
    shop.becomes_several_processes()
    booking = await shop.given_a_booking()

    async def dies() -> None:
        raise Killed

    gateway.while_opening = dies
    with pytest.raises(Killed):
        await opened(shop, booking)
    died_at = shop.clock.now()

    checkout = await opened(shop, booking)

    cut_off, new = await shop.stored_payments(booking)
    assert (cut_off.status, cut_off.outcome_unknown) == (PaymentStatus.CREATED, True)
    assert checkout.payment.id == new.id
    assert timedelta(seconds=20) <= shop.clock.now() - died_at < timedelta(seconds=21)


@pytest.mark.fault("F08")
async def test_an_old_attempt_that_was_cut_off_is_not_waited_for() -> None:
    gateway = InterruptedGateway()
    shop = Shop(gateway=gateway)
    shop.becomes_several_processes()
    booking = await shop.given_a_booking()

    async def dies() -> None:
        raise Killed

    gateway.while_opening = dies
    with pytest.raises(Killed):
        await opened(shop, booking)
    shop.clock.advance(minutes=5)
    asked_at = shop.clock.now()

    await opened(shop, booking)

    assert shop.clock.now() == asked_at


@pytest.mark.fault("F08")
async def test_after_the_link_was_stored_a_killed_process_loses_nothing() -> None:
    shop = Shop()
    booking = await shop.given_a_booking()
    stored = (await opened(shop, booking)).payment
    restarted = Shop(store=shop.memory, gateway=shop.gateway)

    again = await opened(restarted, booking)

    assert again.payment.next_step == stored.next_step


async def test_an_opening_that_another_request_gave_up_shows_no_link_of_its_own() -> None:
    gateway = InterruptedGateway()
    shop = Shop(gateway=gateway)
    shop.becomes_several_processes()
    booking = await shop.given_a_booking()
    shown: list[OpenedCheckout] = []

    async def another_request_gives_up_waiting() -> None:
        shop.clock.advance(seconds=20)
        shown.append(await opened(shop, booking))

    gateway.while_opening = another_request_gives_up_waiting
    with pytest.raises(CheckoutInProgress):
        await opened(shop, booking)

    again = await opened(shop, booking)
    assert again.payment.next_step == shown[0].payment.next_step


async def test_somebody_who_waits_too_long_for_another_request_is_told_so() -> None:
    shop = Shop()
    shop.container.clock.override(providers.Object(PatientClock()))
    booking = await shop.given_a_booking()
    shop.gateway.holds_answers()
    first = asyncio.create_task(opened(shop, booking))
    await until(lambda: shop.gateway.initiated == 1)

    with pytest.raises(CheckoutInProgress, match="ask again in a few seconds"):
        await opened(shop, booking)

    shop.gateway.releases_answers()
    assert (await first).is_new


async def test_a_booking_canceled_while_the_gateway_is_asked_gets_no_link() -> None:
    gateway = InterruptedGateway()
    shop = Shop(gateway=gateway)
    shop.becomes_several_processes()
    booking = await shop.given_a_booking()
    gateway.while_opening = lambda: shop.when_the_booking_is_canceled(booking)

    with pytest.raises(BookingIsCanceled):
        await opened(shop, booking)

    (payment,) = await shop.stored_payments(booking)
    assert payment.status is PaymentStatus.OPEN, "kept, so that money that comes all the same is seen"


async def test_a_booking_paid_by_an_older_link_while_the_gateway_is_asked_gets_no_further_link() -> None:
    gateway = InterruptedGateway()
    shop = Shop(gateway=gateway)
    shop.becomes_several_processes()
    booking = await shop.given_a_booking()
    old = (await opened(shop, booking)).payment
    shop.clock.advance(minutes=31)

    async def the_old_link_is_paid() -> None:
        gateway.customer_pays(old)
        await shop.when_it_is_verified(old)

    gateway.while_opening = the_old_link_is_paid
    with pytest.raises(BookingAlreadyPaid):
        await opened(shop, booking)

    assert (await shop.stored_booking(booking)).settled_by == old.id

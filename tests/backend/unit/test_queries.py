import pytest
from attrs import evolve

from sewapay.application.access import Principal, Role, Scope
from sewapay.application.errors import (
    BookingNotFound,
    InvalidCursor,
    NotAllowed,
    PaymentNotFound,
    StoreUnavailable,
)
from sewapay.application.storage import BookingFilter, Page, PaymentFilter
from sewapay.domain.booking import Booking, BookingStatus
from sewapay.domain.identifiers import BookingId, PaymentId
from sewapay.domain.money import Money
from sewapay.domain.payment import Payment, PaymentStatus
from tests.shop import KHALTI, RAM, SERVICE, SITA, STAFF, Shop, customer

EVERYTHING = Page(limit=100)
NO_SUCH_PAYMENT = PaymentId("00000000-0000-4000-8000-000000000000")


async def some_bookings(shop: Shop, number: int) -> list[Booking]:
    """Bookings of one customer, a second apart, the oldest first."""
    bookings = []
    for _ in range(number):
        bookings.append(await shop.given_a_booking())
        shop.clock.advance(seconds=1)
    return bookings


async def payments_found(shop: Shop, wanted: PaymentFilter, by: Principal = STAFF) -> list[Payment]:
    found, _ = await shop.container.list_payments()(wanted, EVERYTHING, by)
    return found


# -- bookings ---------------------------------------------------------------------------------------------------------


async def test_a_booking_is_read_with_every_attempt_to_pay_it() -> None:
    shop = Shop()
    booking = await shop.given_a_booking()
    first = await shop.given_an_open_payment(booking)
    shop.gateway.customer_cancels(first)
    shop.clock.advance(seconds=1)
    second = await shop.given_an_open_payment(booking)

    found = await shop.container.read_booking()(booking.id, customer())

    assert found.booking == booking
    assert [first.id, second.id] == [payment.id for payment in found.payments]


@pytest.mark.parametrize("by", [STAFF, SERVICE, Principal(role=Role.LINK, id="1"), customer(SITA)])
async def test_those_who_may_see_a_booking_do(by: Principal) -> None:
    shop = Shop()
    booking = await shop.given_a_booking(id=1, who=SITA)

    assert (await shop.container.read_booking()(booking.id, by)).booking == booking


@pytest.mark.parametrize("by", [customer(RAM), Principal(role=Role.LINK, id="2")])
async def test_for_others_the_booking_is_missing(by: Principal) -> None:
    shop = Shop()
    booking = await shop.given_a_booking(id=1, who=SITA)

    with pytest.raises(BookingNotFound) as foreign:
        await shop.container.read_booking()(booking.id, by)
    with pytest.raises(BookingNotFound) as missing:
        await shop.container.read_booking()(BookingId(999), by)

    assert str(missing.value) == str(foreign.value)


async def test_bookings_are_listed_newest_first_in_pages() -> None:
    shop = Shop()
    bookings = await some_bookings(shop, 5)
    list_bookings = shop.container.list_bookings()

    pages, cursor = [], None
    while True:
        found, cursor = await list_bookings(BookingFilter(), Page(cursor=cursor, limit=2), STAFF)
        pages.append([booking.id for booking in found])
        if cursor is None:
            break

    ids = [booking.id for booking in reversed(bookings)]
    assert [ids[:2], ids[2:4], ids[4:]] == pages


async def test_a_customer_lists_their_own_whatever_they_ask_for() -> None:
    shop = Shop()
    mine = await shop.given_a_booking(who=RAM)
    await shop.given_a_booking(who=SITA)

    found, _ = await shop.container.list_bookings()(BookingFilter(customer_id=SITA.id), EVERYTHING, customer(RAM))

    assert found == [mine]


async def test_staff_list_one_customers_bookings_by_their_status() -> None:
    shop = Shop()
    await shop.given_a_booking(who=RAM)
    canceled = await shop.when_the_booking_is_canceled(await shop.given_a_booking(who=RAM))
    await shop.when_the_booking_is_canceled(await shop.given_a_booking(who=SITA))
    wanted = BookingFilter(customer_id=RAM.id, status=BookingStatus.CANCELED)

    found, _ = await shop.container.list_bookings()(wanted, EVERYTHING, STAFF)

    assert found == [canceled]


@pytest.mark.parametrize("cursor", ["", "nonsense", "OTk5", "é", "x" * 5000])
async def test_a_cursor_that_we_did_not_give_is_refused(cursor: str) -> None:
    shop = Shop()
    await some_bookings(shop, 3)

    with pytest.raises(InvalidCursor):
        await shop.container.list_bookings()(BookingFilter(), Page(cursor=cursor, limit=2), STAFF)


async def test_the_holder_of_a_link_lists_nothing() -> None:
    shop = Shop()
    holder = Principal(role=Role.LINK, id="1")

    with pytest.raises(NotAllowed):
        await shop.container.list_bookings()(BookingFilter(), EVERYTHING, holder)
    with pytest.raises(NotAllowed):
        await shop.container.list_payments()(PaymentFilter(), EVERYTHING, holder)


# -- payments ---------------------------------------------------------------------------------------------------------


async def test_a_payment_is_read_with_what_it_is_for() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()

    found = await shop.container.read_payment()(payment.id, customer())

    assert (found.payment, found.booking.id) == (payment, payment.booking_id)


async def test_somebody_elses_payment_and_a_missing_one_look_the_same() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()

    for read in (shop.container.read_payment(), shop.container.read_timeline()):
        with pytest.raises(PaymentNotFound) as foreign:
            await read(payment.id, customer(RAM))
        with pytest.raises(PaymentNotFound) as missing:
            await read(NO_SUCH_PAYMENT, customer(RAM))

        assert str(missing.value) == str(foreign.value)


async def test_reading_asks_no_gateway_and_changes_nothing() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.gateway.customer_pays(payment)

    await shop.container.read_payment()(payment.id, STAFF)
    await shop.container.read_timeline()(payment.id, STAFF)
    await shop.container.list_payments()(PaymentFilter(), EVERYTHING, STAFF)

    assert shop.gateway.looked_up == 0
    assert payment == await shop.stored_payment(payment)


async def test_a_customer_lists_their_own_payments() -> None:
    shop = Shop()
    await shop.given_an_open_payment(await shop.given_a_booking(who=SITA))
    mine = await shop.given_an_open_payment(await shop.given_a_booking(who=RAM))

    assert [mine] == await payments_found(shop, PaymentFilter(customer_id=SITA.id), customer(RAM))


async def test_payments_are_found_by_what_is_known_about_them() -> None:
    shop = Shop()
    paid = (await shop.given_a_paid_booking()).payment
    shop.clock.advance(minutes=1)
    open_one = await shop.given_an_open_payment()

    assert [open_one, paid] == await payments_found(shop, PaymentFilter(gateway=KHALTI))
    assert [paid] == await payments_found(shop, PaymentFilter(status=PaymentStatus.COMPLETED))
    assert [open_one] == await payments_found(shop, PaymentFilter(booking_id=open_one.booking_id))
    assert [open_one] == await payments_found(shop, PaymentFilter(created_from=open_one.created_at))
    assert [paid] == await payments_found(shop, PaymentFilter(created_to=open_one.created_at))


async def test_what_needs_a_persons_attention_is_found() -> None:
    shop = Shop()
    fine = await shop.given_an_open_payment()
    reviewed, unknown, surplus = [await shop.given_an_open_payment() for _ in range(3)]
    shop.gateway.customer_pays(reviewed, Money(1))
    await shop.when_it_is_verified(reviewed)
    shop.gateway.forgets(unknown)
    await shop.when_it_is_verified(unknown)
    shop.clock.advance(minutes=31)
    settling = await shop.given_an_open_payment(await shop.stored_booking(surplus.booking_id))
    for payment in (settling, surplus):
        shop.gateway.customer_pays(payment)
        await shop.when_it_is_verified(payment)

    attention = await payments_found(shop, PaymentFilter(needs_attention=True))
    others = await payments_found(shop, PaymentFilter(needs_attention=False))

    assert {reviewed.id, unknown.id, surplus.id} == {payment.id for payment in attention}
    assert {fine.id, settling.id} == {payment.id for payment in others}


async def test_a_payments_story_is_told_from_its_booking_to_its_money() -> None:
    shop = Shop()
    booking = await shop.given_a_booking()
    shop.clock.advance(seconds=1)
    payment = await shop.given_an_open_payment(booking)
    shop.clock.advance(seconds=1)
    shop.gateway.customer_pays(payment)
    await shop.when_it_is_verified(payment)

    story = await shop.container.read_timeline()(payment.id, customer())

    assert [item.summary for item in story] == [
        "The booking was registered; Rs 1,130.00 is owed.",
        "A payment of Rs 1,130.00 was begun; the gateway is asked next.",
        "The gateway opened its page for the customer.",
        "Asked what became of it; the gateway said 'completed'.",
        "The gateway says that Rs 1,130.00 was paid.",
        "The booking was confirmed by this payment.",
    ]
    assert [item.actor for item in story][:3] == ["service:0123456789abcdef", "customer:42", "gateway"]


@pytest.mark.fault("F31")
async def test_a_story_holds_no_name_or_number_of_the_customer() -> None:
    shop = Shop()
    paid = await shop.given_a_paid_booking()

    story = repr(await shop.container.read_timeline()(paid.payment.id, STAFF))

    assert not [word for word in ("Sita", "sita@example.com", "9800000001") if word in story]


async def test_a_key_with_another_scope_reads_nothing() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    webhooks_only = evolve(SERVICE, scopes=frozenset({Scope.WEBHOOKS}))

    with pytest.raises(NotAllowed):
        await shop.container.read_payment()(payment.id, webhooks_only)
    with pytest.raises(NotAllowed):
        await shop.container.read_timeline()(payment.id, webhooks_only)


async def test_a_store_that_is_away_says_so() -> None:
    shop = Shop()
    shop.memory.break_down()

    with pytest.raises(StoreUnavailable):
        await shop.container.list_payments()(PaymentFilter(), EVERYTHING, STAFF)

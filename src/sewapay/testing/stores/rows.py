"""What was stored comes back as it was."""

from datetime import UTC, datetime, timedelta, timezone
from functools import partial

import pytest
from attrs import evolve

from sewapay.application.errors import BookingNotFound, PaymentNotFound
from sewapay.application.storage import BookingFilter, Page, PaymentFilter, Store, Tx, View
from sewapay.domain.booking import Booking, BookingStatus, Customer
from sewapay.domain.checkout import PostForm, Redirect
from sewapay.domain.identifiers import BookingId, CustomerId, Environment, OrderReference
from sewapay.domain.money import GREATEST_PAISA, Money
from sewapay.domain.payment import Payment, PaymentStatus, ReturnStyle, ReturnTo, ReviewReason
from sewapay.testing.builders import KHALTI, NEPALI, NOON, a_booking, a_payment, payment_id
from sewapay.testing.stores.given import change_booking, change_payment, clause, given, stored_booking, stored_payment


@clause
async def a_bare_booking_comes_back_as_it_was(store: Store) -> None:
    booking = a_booking()

    added = await store.transact(lambda tx: tx.bookings.add(booking))

    assert added == evolve(booking, version=1)
    assert added.events == ()
    assert await stored_booking(store) == added


@clause
async def a_full_booking_comes_back_as_it_was(store: Store) -> None:
    customer = Customer(id=CustomerId("ग्राहक 42"), name=NEPALI, email="sita@example.com", phone="+977-9800000001")
    booking = evolve(
        a_booking(),
        id=BookingId(2**53),
        customer=customer,
        title=NEPALI,
        amount=Money(GREATEST_PAISA),
        registered_at=datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        status=BookingStatus.CONFIRMED,
        settled_by=payment_id(1),
        events=(),
    )

    added = await store.transact(lambda tx: tx.bookings.add(booking))

    assert added == evolve(booking, version=1)
    assert await store.read(lambda view: view.bookings.get(BookingId(2**53))) == added


@clause
async def every_field_of_a_booking_that_changes_is_saved(store: Store) -> None:
    await given(store, a_booking())
    changed: list[Booking] = []

    def change(tx: Tx) -> Booking:
        read = tx.bookings.get(BookingId(1))
        customer = Customer(id=CustomerId("43"), name="Ram", email="ram@example.com", phone="9800000002")
        changed.append(
            evolve(read, customer=customer, title=NEPALI, status=BookingStatus.CONFIRMED, settled_by=payment_id(1))
        )
        return tx.bookings.save(changed[-1])

    saved = await store.transact(change)

    assert saved == evolve(changed[-1], version=2)
    assert await stored_booking(store) == saved


@clause
async def a_bare_payment_comes_back_as_it_was(store: Store) -> None:
    payment = evolve(a_payment(), next_check_at=None, amount_refunded=None)
    await given(store, a_booking())

    added = await store.transact(lambda tx: tx.payments.add(payment))

    assert added == evolve(payment, version=1)
    assert (added.events, added.evidence) == ((), ())
    assert await stored_payment(store) == added


def a_full_payment() -> Payment:
    return evolve(
        a_payment(),
        environment=Environment.PRODUCTION,
        status=PaymentStatus.UNDER_REVIEW,
        gateway_reference="bZQLD9wRVWo4CdESSfuSsB",
        next_step=PostForm("https://pay.example/?a=1&b=%E0%A4%95", {"z": "1", "a": NEPALI, "m": '"\\'}),
        opened_at=NOON + timedelta(microseconds=2),
        expires_at=NOON + timedelta(microseconds=1),
        return_to=ReturnTo("https://shop.example/payment/callback?x=1", ReturnStyle.KHALTI_WORDS),
        said="Partially Refunded",
        outcome_unknown=True,
        vouched=True,
        surplus=True,
        review_reason=ReviewReason.AMOUNT_MISMATCH,
        reason=NEPALI,
        amount_paid=Money(GREATEST_PAISA),
        amount_refunded=Money(1),
        amount_reserved=Money(GREATEST_PAISA - 1),
        refund_due=True,
        fee=Money(0),
        transaction_id="GFq9PFS7b2iYvL8Lir9oXe",
        paid_at=NOON + timedelta(microseconds=999999),
        next_check_at=NOON.astimezone(timezone(timedelta(hours=5, minutes=45))),
        looked_at=NOON - timedelta(microseconds=1),
        silences=2**31,
        events=(),
    )


@clause
async def a_full_payment_comes_back_as_it_was(store: Store) -> None:
    payment = a_full_payment()
    await given(store, a_booking())

    added = await store.transact(lambda tx: tx.payments.add(payment))

    assert added == evolve(payment, version=1)
    assert await stored_payment(store) == added


@clause
async def every_field_of_a_payment_that_changes_is_saved(store: Store) -> None:
    await given(store, a_booking(), evolve(a_payment(), environment=Environment.PRODUCTION))
    wanted = a_full_payment()

    def change(tx: Tx) -> Payment:
        read = tx.payments.get(payment_id(1))
        return tx.payments.save(evolve(wanted, version=read.version))

    saved = await store.transact(change)

    assert saved == evolve(wanted, version=2)
    assert await stored_payment(store) == saved


@clause
async def every_field_of_a_payment_that_is_emptied_is_saved(store: Store) -> None:
    empty = evolve(a_payment(), environment=Environment.PRODUCTION, next_check_at=None, amount_refunded=None, events=())
    await given(store, a_booking(), a_full_payment())

    def change(tx: Tx) -> Payment:
        read = tx.payments.get(payment_id(1))
        return tx.payments.save(evolve(empty, version=read.version))

    saved = await store.transact(change)

    assert saved == evolve(empty, version=2)
    assert await stored_payment(store) == saved


@clause
async def the_fields_of_a_form_keep_their_order(store: Store) -> None:
    fields = {"token": "3", "amount": "1", "signature": "2"}
    await given(store, a_booking(), evolve(a_payment(), next_step=PostForm("https://pay.example/", fields)))

    step = (await stored_payment(store)).next_step

    assert isinstance(step, PostForm)
    assert list(step.fields.items()) == [("token", "3"), ("amount", "1"), ("signature", "2")]


@clause
async def a_redirect_stays_a_redirect(store: Store) -> None:
    step = Redirect("https://test-pay.khalti.com/?pidx=bZQLD9wRVWo4CdESSfuSsB")
    await given(store, a_booking(), evolve(a_payment(), next_step=step))

    assert (await stored_payment(store)).next_step == step


@clause
async def every_word_of_every_enumeration_can_be_stored(store: Store) -> None:
    await given(store, a_booking(), a_payment())
    for status in BookingStatus:
        await change_booking(store, partial(evolve, status=status))
        assert (await stored_booking(store)).status is status
    for moved in PaymentStatus:
        await change_payment(store, partial(evolve, status=moved))
        assert (await stored_payment(store)).status is moved
    for reason in ReviewReason:
        await change_payment(store, partial(evolve, review_reason=reason))
        assert (await stored_payment(store)).review_reason is reason
    for style in ReturnStyle:
        return_to = ReturnTo("https://shop.example/", style)
        await change_payment(store, partial(evolve, return_to=return_to))
        assert (await stored_payment(store)).return_to == return_to


@clause
async def what_is_not_there_is_said_so(store: Store) -> None:
    with pytest.raises(BookingNotFound):
        await store.read(lambda view: view.bookings.get(BookingId(1)))
    with pytest.raises(BookingNotFound):
        await store.transact(lambda tx: tx.bookings.get(BookingId(2**53)))
    with pytest.raises(PaymentNotFound):
        await store.read(lambda view: view.payments.get(payment_id(1)))
    with pytest.raises(PaymentNotFound):
        await store.transact(lambda tx: tx.payments.get(payment_id(1)))

    def look(view: View) -> tuple[object, ...]:
        return (
            view.payments.of_booking(BookingId(1)),
            view.payments.with_gateway_reference(KHALTI, Environment.SANDBOX, "x"),
            view.payments.with_order_reference(KHALTI, Environment.SANDBOX, OrderReference("X" * 20)),
            view.payments.evidence(payment_id(1)),
            view.payments.page(PaymentFilter(), Page()),
            view.bookings.page(BookingFilter(), Page()),
            view.events.of_booking(BookingId(1)),
            view.refunds.of_payment(payment_id(1)),
            view.ledger.of_payment(payment_id(1)),
            view.api_keys.find("x"),
            view.api_keys.all(),
        )

    assert await store.read(look) == ([], None, None, [], ([], None), ([], None), [], [], [], None, [])

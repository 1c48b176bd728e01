"""What must be unique, and what must not be."""

import asyncio
from functools import partial

import pytest
from attrs import evolve

from sewapay.application.errors import BookingExists, BookingNotFound, ReferenceTaken
from sewapay.application.storage import Store, Tx, View
from sewapay.domain.identifiers import BookingId, Environment, GatewayName, OrderReference, PaymentId
from sewapay.domain.payment import Payment, PaymentStatus
from sewapay.testing.builders import KHALTI, a_booking, a_payment, an_event, payment_id
from sewapay.testing.stores.given import change_payment, clause, given, numbers, stored_booking, stored_events


@clause
async def a_bookings_number_is_given_once(store: Store) -> None:
    await given(store, a_booking(7, customer="42"))

    with pytest.raises(BookingExists):
        await given(store, a_booking(8), a_booking(7, customer="43"))

    assert (await stored_booking(store, 7)).customer.id == "42"
    assert len(await stored_events(store, 7)) == 1
    with pytest.raises(BookingNotFound):
        await stored_booking(store, 8)


@clause
async def the_next_number_follows_the_greatest(store: Store) -> None:
    first = await store.transact(lambda tx: tx.bookings.next_id())
    await given(store, a_booking(7), a_booking(3))

    assert (first, await store.transact(lambda tx: tx.bookings.next_id())) == (1, 8)


@clause
async def a_merchants_huge_number_does_not_push_the_next_one(store: Store) -> None:
    await given(store, a_booking(7), a_booking(2**52), a_booking(2**53))

    def register(tx: Tx) -> BookingId:
        return tx.bookings.add(a_booking(tx.bookings.next_id())).id

    assert [await store.transact(register) for _ in range(2)] == [8, 9]


@clause
async def numbers_taken_at_once_are_all_different(store: Store) -> None:
    def register(tx: Tx) -> BookingId:
        return tx.bookings.add(a_booking(tx.bookings.next_id())).id

    taken = await asyncio.gather(*(store.transact(register) for _ in range(25)))

    assert sorted(taken) == list(range(1, 26))


@clause
async def a_gateway_reference_belongs_to_one_payment(store: Store) -> None:
    await given(store, a_booking(), a_payment(1), a_payment(2))
    await change_payment(store, partial(evolve, gateway_reference="pidx"))

    with pytest.raises(ReferenceTaken):
        await change_payment(
            store,
            lambda payment: evolve(payment, gateway_reference="pidx", events=(an_event(1, a_booking(), payment),)),
            number=2,
        )
    with pytest.raises(ReferenceTaken):
        await given(store, evolve(a_payment(3), gateway_reference="pidx"))

    def look(view: View) -> tuple[Payment | None, str | None, int, int]:
        known = view.payments.with_gateway_reference(KHALTI, Environment.SANDBOX, "pidx")
        other = view.payments.get(payment_id(2))
        return known, other.gateway_reference, other.version, len(view.payments.of_booking(BookingId(1)))

    known, reference, version, count = await store.read(look)
    assert known is not None
    assert (known.id, reference, version, count) == (payment_id(1), None, 1, 2)
    assert numbers(await stored_events(store)) == []


@clause
async def a_payment_keeps_its_own_reference_when_it_is_saved_again(store: Store) -> None:
    await given(store, a_booking(), evolve(a_payment(1), gateway_reference="pidx"), a_payment(2), a_payment(3))

    saved = await change_payment(store, partial(evolve, said="Pending"))

    assert (saved.gateway_reference, saved.version) == ("pidx", 2)


@clause
async def the_same_reference_at_another_gateway_or_environment_is_another_one(store: Store) -> None:
    esewa = GatewayName("esewa")
    here = evolve(a_payment(1), gateway_reference="pidx")
    live = evolve(a_payment(2), gateway_reference="pidx", environment=Environment.PRODUCTION)
    there = evolve(a_payment(3), gateway_reference="pidx", gateway=esewa)

    await given(store, a_booking(), here, live, there)

    def look(view: View) -> list[PaymentId | None]:
        places = [(KHALTI, Environment.SANDBOX), (KHALTI, Environment.PRODUCTION)]
        places += [(esewa, Environment.SANDBOX), (esewa, Environment.PRODUCTION)]
        found = [view.payments.with_gateway_reference(name, where, "pidx") for name, where in places]
        return [None if payment is None else payment.id for payment in found]

    assert await store.read(look) == [payment_id(1), payment_id(2), payment_id(3), None]


@clause
async def a_payment_is_found_by_our_own_reference_at_its_gateway_and_environment(store: Store) -> None:
    esewa, ours, other = GatewayName("esewa"), OrderReference("7K2M9QX4B1Z8C5T0W3RA"), OrderReference("Z" * 20)
    here = evolve(a_payment(1), order_reference=ours, gateway_reference="pidx")
    live = evolve(a_payment(2), order_reference=ours, environment=Environment.PRODUCTION)
    there = evolve(a_payment(3), order_reference=ours, gateway=esewa)

    await given(store, a_booking(), here, live, there, a_payment(4))

    def look(view: View) -> list[PaymentId | None]:
        asked = [
            (KHALTI, Environment.SANDBOX, ours),
            (KHALTI, Environment.PRODUCTION, ours),
            (esewa, Environment.SANDBOX, ours),
            (esewa, Environment.PRODUCTION, ours),
            (GatewayName("fake"), Environment.SANDBOX, ours),
            (KHALTI, Environment.SANDBOX, other),
        ]
        found = [view.payments.with_order_reference(*each) for each in asked]
        return [None if payment is None else payment.id for payment in found]

    expected = [payment_id(1), payment_id(2), payment_id(3), None, None, None]
    assert await store.read(look) == expected
    assert await store.transact(look) == expected


@clause
async def what_is_found_by_our_own_reference_is_the_payment_as_it_stands(store: Store) -> None:
    await given(store, a_booking(), a_payment(1))
    saved = await change_payment(store, partial(evolve, said="NOT_FOUND"))

    def look(view: View) -> Payment | None:
        return view.payments.with_order_reference(KHALTI, Environment.SANDBOX, saved.order_reference)

    assert await store.read(look) == saved


@clause
async def a_repeated_transaction_id_is_stored_and_found(store: Store) -> None:
    first = evolve(a_payment(1), transaction_id="GFq9", status=PaymentStatus.COMPLETED)
    second = evolve(a_payment(2), transaction_id="GFq9", status=PaymentStatus.COMPLETED)
    live = evolve(a_payment(3), transaction_id="Xyz1", environment=Environment.PRODUCTION)
    await given(store, a_booking(), first, second, live)

    def look(tx: Tx) -> list[bool]:
        def has(transaction_id: str, besides: int, environment: Environment = Environment.SANDBOX) -> bool:
            return tx.payments.has_transaction(KHALTI, environment, transaction_id, besides=payment_id(besides))

        return [
            has("GFq9", 1),
            has("GFq9", 2),
            has("GFq9", 3),
            has("GFq9", 3, Environment.PRODUCTION),
            has("Xyz1", 1),
            has("Xyz1", 3, Environment.PRODUCTION),
            has("Xyz1", 1, Environment.PRODUCTION),
            has("gfq9", 3),
        ]

    assert await store.transact(look) == [True, True, True, False, False, False, True, False]

"""Events and evidence are written with the change that they tell of."""

from datetime import timedelta
from functools import partial

from attrs import evolve

from sewapay.application.storage import Store, Tx
from sewapay.domain.events import Event, EventKind
from sewapay.domain.identifiers import BookingId
from sewapay.domain.money import GREATEST_PAISA, Money
from sewapay.domain.observation import Evidence, Observation, Reported
from sewapay.testing.builders import NEPALI, NOON, a_booking, a_payment, an_event, minutes, payment_id
from sewapay.testing.stores.given import change_payment, clause, given, numbers, stored_events


@clause
async def events_are_written_with_the_change_and_in_order(store: Store) -> None:
    await given(store, a_booking(1), a_booking(2))

    def work(tx: Tx) -> None:
        first, second = tx.bookings.get(BookingId(1)), tx.bookings.get(BookingId(2))
        payment = tx.payments.add(evolve(a_payment(), events=(an_event(1, first),)))
        first = tx.bookings.save(evolve(first, events=(an_event(2, first), an_event(3, first))))
        tx.bookings.save(evolve(second, events=(an_event(1, second),)))
        tx.payments.save(evolve(payment, events=(an_event(4, first, payment),)))
        tx.bookings.save(evolve(first, events=(an_event(5, first),)))

    await store.transact(work)

    assert numbers(await stored_events(store, 1)) == [1, 2, 3, 4, 5]
    assert numbers(await stored_events(store, 2)) == [1]
    assert (await stored_events(store, 1))[0].kind is EventKind.BOOKING_REGISTERED


@clause
async def an_event_is_written_once(store: Store) -> None:
    booking = a_booking()
    added = await store.transact(lambda tx: tx.bookings.add(booking))
    saved = await store.transact(lambda tx: tx.bookings.save(added))
    await store.transact(lambda tx: tx.bookings.save(saved))

    assert await stored_events(store) == list(booking.events)


@clause
async def every_event_comes_back_as_it_was(store: Store) -> None:
    booking = a_booking(2**53)
    happened = tuple(
        Event(
            kind=kind,
            at=NOON + timedelta(microseconds=number),
            actor="service:ग्राहक",
            booking_id=booking.id,
            payment_id=payment_id(number) if number % 2 else None,
            data={"said": NEPALI, "amount": GREATEST_PAISA, "is_final": True, "was": False, "nothing": None, "zero": 0},
        )
        for number, kind in enumerate(EventKind)
    )

    await given(store, evolve(booking, events=happened))

    stored = await stored_events(store, 2**53)
    assert stored == list(happened)
    assert [type(value) for value in stored[0].data.values()] == [str, int, bool, bool, type(None), int]


@clause
async def every_answer_is_kept_in_order(store: Store) -> None:
    await given(store, a_booking(), a_payment(1), a_payment(2))
    answers = [
        Evidence(at=NOON + minutes(number), observation=Observation(reported=reported, said=reported.value))
        for number, reported in enumerate(Reported)
    ]
    full = Observation(
        reported=Reported.COMPLETED,
        said=NEPALI,
        amount=Money(GREATEST_PAISA),
        fee=Money(0),
        transaction_id="GFq9PFS7b2iYvL8Lir9oXe",
        gateway_reference="bZQLD9wRVWo4CdESSfuSsB",
        refunded=False,
    )
    by_ours = Observation(reported=Reported.AMBIGUOUS, said="AMBIGUOUS", order_reference="7K2M9QX4B1Z8C5T0W3RA")
    absent = Observation(reported=Reported.ABSENT, said="NOT_FOUND", order_reference="not even one of ours")
    both = evolve(full, order_reference="7K2M9QX4B1Z8C5T0W3RA", refunded=True)
    answers += [Evidence(at=NOON, observation=observation) for observation in (full, by_ours, absent, both)]

    await change_payment(store, partial(evolve, evidence=tuple(answers[:3])))
    await change_payment(store, partial(evolve, evidence=tuple(answers[3:4])))
    await change_payment(store, partial(evolve, evidence=(answers[0],)), number=2)
    await change_payment(store, partial(evolve, evidence=tuple(answers[4:])))

    assert await store.read(lambda view: view.payments.evidence(payment_id(1))) == answers
    assert await store.read(lambda view: view.payments.evidence(payment_id(2))) == answers[:1]

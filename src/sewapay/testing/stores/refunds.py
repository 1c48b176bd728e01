"""Refunds, one at a time for each payment."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import pytest
from attrs import evolve

from sewapay.application.errors import RefundNotFound
from sewapay.application.storage import Store, Tx, View
from sewapay.domain.errors import RefundInProgress
from sewapay.domain.events import EventKind
from sewapay.domain.identifiers import RefundId
from sewapay.domain.money import GREATEST_PAISA, Money
from sewapay.domain.refund import Refund, RefundStatus
from sewapay.testing.builders import (
    NEPALI,
    NOON,
    a_booking,
    a_payment,
    a_refund,
    an_event,
    minutes,
    payment_id,
    refund_id,
)
from sewapay.testing.stores.given import clause, given, stored_events


def confirmed(number: int, *, payment: int = 1, at: datetime = NOON) -> Refund:
    return a_refund(number, payment=payment, at=at).confirmed(at=at)


async def give(store: Store, *refunds: Refund) -> list[Refund]:
    return await store.transact(lambda tx: [tx.refunds.add(refund) for refund in refunds])


async def stored_refund(store: Store, number: int = 1) -> Refund:
    return await store.read(lambda view: view.refunds.get(refund_id(number)))


async def change_refund(store: Store, change: Callable[[Refund], Refund], number: int = 1) -> Refund:
    return await store.transact(lambda tx: tx.refunds.save(change(tx.refunds.get(refund_id(number)))))


@clause
async def a_refund_comes_back_as_it_was(store: Store) -> None:
    full = evolve(
        confirmed(2, at=NOON + timedelta(microseconds=1)),
        amount=Money(GREATEST_PAISA),
        is_all=True,
        accepted_at=NOON + timedelta(microseconds=999999),
        refused=True,
        said=NEPALI,
    )
    await given(store, a_booking(), a_payment())

    added = await give(store, a_refund(), full)

    assert added == [evolve(a_refund(), version=1), evolve(full, version=1)]
    assert added[0].events == ()
    assert [await stored_refund(store, number) for number in (1, 2)] == added
    assert await store.transact(lambda tx: tx.refunds.get(refund_id(2))) == added[1]


@clause
async def every_field_of_a_refund_that_changes_is_saved(store: Store) -> None:
    await given(store, a_booking(), a_payment())
    await give(store, a_refund())
    later = NOON + minutes(1)
    for status in RefundStatus:
        moved = partial(evolve, status=status, accepted_at=later, refused=True, said="yes", settled_at=later)

        saved = await change_refund(store, moved)

        assert (saved.status, saved.accepted_at, saved.refused, saved.said) == (status, later, True, "yes")
        assert await stored_refund(store) == saved

    emptied = partial(evolve, accepted_at=None, refused=False, said=None, settled_at=None)
    assert await change_refund(store, emptied) == evolve(a_refund(), status=RefundStatus.UNKNOWN, version=6)
    assert (await stored_refund(store)).accepted_at is None


@clause
async def a_payments_refunds_come_oldest_first(store: Store) -> None:
    await given(store, a_booking(), a_payment(1), a_payment(2))
    await give(store, *(confirmed(number, at=NOON - minutes(number)) for number in (1, 2, 3)), confirmed(4, payment=2))

    def look(view: View) -> list[list[RefundId]]:
        return [[refund.id for refund in view.refunds.of_payment(payment_id(number))] for number in (1, 2, 3)]

    assert await store.read(look) == [[refund_id(3), refund_id(2), refund_id(1)], [refund_id(4)], []]


@clause
async def a_refund_that_is_not_there_is_said_so(store: Store) -> None:
    with pytest.raises(RefundNotFound):
        await store.read(lambda view: view.refunds.get(refund_id(1)))
    with pytest.raises(RefundNotFound):
        await store.transact(lambda tx: tx.refunds.get(refund_id(1)))


@clause
async def a_stale_refund_makes_the_function_run_again(store: Store) -> None:
    await given(store, a_booking(), a_payment())
    await give(store, a_refund())
    old = await stored_refund(store)
    await change_refund(store, partial(evolve, said="theirs"))
    runs: list[str | None] = []

    def work(tx: Tx) -> Refund:
        refund = old if not runs else tx.refunds.get(refund_id(1))
        runs.append(refund.said)
        return tx.refunds.save(refund.unanswered("timed out", at=NOON))

    saved = await store.transact(work)

    assert runs == [None, "theirs"]
    assert (saved.status, saved.version) == (RefundStatus.UNKNOWN, 3)


@clause
async def a_payment_has_one_refund_without_a_known_outcome(store: Store) -> None:
    await given(store, a_booking(), a_payment(1), a_payment(2))
    await give(store, a_refund(1), a_refund(2, payment=2))
    await change_refund(store, lambda refund: refund.unanswered("timed out", at=NOON))

    with pytest.raises(RefundInProgress):
        await give(store, a_refund(3))
    await change_refund(store, lambda refund: refund.rejected("it did not happen", at=NOON))
    await give(store, a_refund(4), confirmed(5))

    with pytest.raises(RefundNotFound):
        await stored_refund(store, 3)
    with pytest.raises(RefundInProgress):
        await change_refund(store, partial(evolve, status=RefundStatus.UNKNOWN), 5)
    assert (await stored_refund(store, 5)).status is RefundStatus.CONFIRMED


@clause
async def a_refunds_events_stand_among_those_of_its_booking(store: Store) -> None:
    await given(store, a_booking(), a_payment())

    def work(tx: Tx) -> None:
        tx.payments.save(evolve(tx.payments.get(payment_id(1)), events=(an_event(1, a_booking()),)))
        refund = tx.refunds.add(a_refund())
        tx.refunds.save(refund.confirmed(at=NOON))
        tx.payments.save(evolve(tx.payments.get(payment_id(1)), events=(an_event(2, a_booking()),)))

    await store.transact(work)

    told_of = [event.kind for event in await stored_events(store)]
    assert told_of[2:] == [
        EventKind.BOOKING_CANCELED,
        EventKind.REFUND_SUBMITTED,
        EventKind.REFUND_CONFIRMED,
        EventKind.BOOKING_CANCELED,
    ]

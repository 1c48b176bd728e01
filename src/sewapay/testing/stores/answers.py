"""Answers that are kept under an idempotency key."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, NoReturn

import pytest
from attrs import evolve

from sewapay.application.idempotency import Answer, KeptAnswer, KeyName
from sewapay.application.storage import BookingFilter, Page, Store, Tx
from sewapay.testing.builders import NEPALI, NOON, a_booking, minutes
from sewapay.testing.stores.given import clause, page_of_bookings

NAME: Final = KeyName(principal="service:0123456789abcdef", operation="POST /v1/bookings", key="8e03978e-40d5-43dd")
ANSWER: Final = Answer(
    status=201,
    headers={"location": "/v1/bookings/1", "content-type": "application/json"},
    body=b'{"id": "\xe0\xa4\x95\0"}',
)


def begun(at: datetime = NOON) -> KeptAnswer:
    return KeptAnswer(fingerprint="f" * 64, begun_at=at, subject=NEPALI)


async def keep(store: Store, name: KeyName, kept: KeptAnswer) -> None:
    await store.transact(lambda tx: tx.answers.keep(name, kept))


async def found(store: Store, name: KeyName = NAME) -> KeptAnswer | None:
    return await store.transact(lambda tx: tx.answers.find(name))


@clause
async def what_is_kept_under_a_key_comes_back_as_it_was(store: Store) -> None:
    before = await found(store)
    await keep(store, NAME, begun())
    running = await found(store)
    finished = KeptAnswer(fingerprint="e" * 64, begun_at=NOON + timedelta(microseconds=1), answer=ANSWER)
    await keep(store, NAME, finished)
    answered = await found(store)

    assert (before, running, answered) == (None, begun(), finished)
    assert answered is not None
    assert answered.answer is not None
    assert list(answered.answer.headers) == ["location", "content-type"]
    assert type(answered.answer.body) is bytes


@clause
async def an_answer_without_a_body_is_an_answer(store: Store) -> None:
    empty = evolve(begun(), answer=Answer(status=204, headers={}, body=b""))
    await keep(store, NAME, empty)

    assert await found(store) == empty


@clause
async def a_key_belongs_to_one_caller_and_one_operation(store: Store) -> None:
    await keep(store, NAME, begun())
    others = [evolve(NAME, principal="customer:42"), evolve(NAME, operation="POST /x"), evolve(NAME, key=NEPALI)]

    assert [await found(store, other) for other in others] == [None, None, None]
    await keep(store, others[2], evolve(begun(), fingerprint="other"))
    assert (await found(store), await found(store, others[2])) == (begun(), evolve(begun(), fingerprint="other"))


@clause
async def a_forgotten_key_may_be_used_anew(store: Store) -> None:
    other = evolve(NAME, key="another")
    await keep(store, NAME, begun())
    await keep(store, other, begun())

    await store.transact(lambda tx: tx.answers.forget(NAME))
    await store.transact(lambda tx: tx.answers.forget(NAME))

    assert (await found(store), await found(store, other)) == (None, begun())


@clause
async def the_oldest_keys_are_forgotten_first(store: Store) -> None:
    names = [evolve(NAME, key=str(number)) for number in range(6)]
    for number, name in enumerate(names):
        await keep(store, name, begun(NOON - minutes(number)))

    def forget(limit: int) -> Callable[[Tx], int]:
        return lambda tx: tx.answers.forget_before(NOON - minutes(1), limit=limit)

    first = await store.transact(forget(3))
    left = [await found(store, name) is not None for name in names]
    second = await store.transact(forget(3))

    assert (first, left, second) == (3, [True, True, True, False, False, False], 1)
    assert [await found(store, name) is not None for name in names] == [True, True] + [False] * 4


@clause
async def of_requests_with_one_key_the_first_is_carried_out(store: Store) -> None:
    def once(number: int) -> Callable[[Tx], bool]:
        def work(tx: Tx) -> bool:
            if tx.answers.find(NAME) is not None:
                return False
            tx.bookings.add(a_booking(number))
            tx.answers.keep(NAME, evolve(begun(), subject=str(number)))
            return True

        return work

    first = await asyncio.gather(*(store.transact(once(number)) for number in range(1, 31)))

    kept = await found(store)
    bookings, _ = await page_of_bookings(store, BookingFilter(), Page())
    assert first.count(True) == 1
    assert kept is not None
    assert [str(booking.id) for booking in bookings] == [kept.subject]


@clause
async def a_key_of_a_transaction_that_fails_is_free(store: Store) -> None:
    def keep_and_fail(tx: Tx) -> NoReturn:
        tx.answers.find(NAME)
        tx.answers.keep(NAME, begun())
        raise LookupError

    with pytest.raises(LookupError):
        await store.transact(keep_and_fail)

    assert await found(store) is None

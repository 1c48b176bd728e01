"""The ledger: postings are written once, with the payment that they are of."""

from datetime import timedelta
from functools import partial
from typing import NoReturn

import pytest
from attrs import evolve

from sewapay.application.storage import Store, Tx
from sewapay.domain.ledger import Posting
from sewapay.domain.money import GREATEST_PAISA
from sewapay.testing.builders import NOON, a_booking, a_payment, a_posting, minutes, payment_id
from sewapay.testing.stores.given import change_payment, clause, given


async def stored_postings(store: Store, number: int = 1) -> list[Posting]:
    return await store.read(lambda view: view.ledger.of_payment(payment_id(number)))


@clause
async def postings_are_written_with_their_payment_and_come_oldest_first(store: Store) -> None:
    first, second = a_posting(GREATEST_PAISA), a_posting(20, why="refund", at=NOON - minutes(1))
    third, other = a_posting(30, at=NOON + timedelta(microseconds=3)), a_posting(40, payment=2)
    await given(store, a_booking(), evolve(a_payment(1), postings=(first,)), a_payment(2))

    saved = await change_payment(store, partial(evolve, postings=(second, third)))
    await change_payment(store, partial(evolve, postings=(other,)), 2)

    assert saved.postings == ()
    assert await stored_postings(store, 1) == [first, second, third]
    assert await stored_postings(store, 2) == [other]
    assert await store.transact(lambda tx: tx.ledger.of_payment(payment_id(2))) == [other]
    assert await stored_postings(store, 3) == []


@clause
async def a_posting_is_written_once(store: Store) -> None:
    await given(store, a_booking())
    added = await store.transact(lambda tx: tx.payments.add(evolve(a_payment(), postings=(a_posting(10),))))
    saved = await store.transact(lambda tx: tx.payments.save(added))
    await store.transact(lambda tx: tx.payments.save(saved))

    assert await stored_postings(store) == [a_posting(10)]


@clause
async def a_transaction_that_fails_posts_nothing(store: Store) -> None:
    await given(store, a_booking(), a_payment())

    def post_and_fail(tx: Tx) -> NoReturn:
        tx.payments.save(evolve(tx.payments.get(payment_id(1)), postings=(a_posting(10),)))
        raise LookupError

    with pytest.raises(LookupError):
        await store.transact(post_and_fail)

    assert await stored_postings(store) == []

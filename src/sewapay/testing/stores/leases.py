"""Who looks at which payment. A lease of no length has ended as soon as it begins, so no clause waits for a clock."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final, NoReturn

import pytest
from attrs import evolve

from sewapay.application.errors import PaymentNotFound
from sewapay.application.storage import Claim, Store, Tx
from sewapay.domain.identifiers import BookingId, Environment, GatewayName
from sewapay.domain.money import Money
from sewapay.domain.payment import Payment, PaymentStatus
from sewapay.domain.transitions import UNDECIDED
from sewapay.testing.builders import KHALTI, NEPALI, NOON, a_booking, a_payment, minutes, payment_id
from sewapay.testing.stores.given import change_payment, clause, given, stored_payment, titled

SANDBOX: Final = Environment.SANDBOX
PRODUCTION: Final = Environment.PRODUCTION
ESEWA: Final = GatewayName("esewa")


def due(number: int, at: datetime = NOON) -> Payment:
    return evolve(a_payment(number), next_check_at=at)


def numbered(claims: list[Claim]) -> list[int]:
    return [int(claim.payment.id[-12:]) for claim in claims]


async def claim(store: Store, *, limit: int = 10, lease_seconds: float = 60) -> list[Claim]:
    claims, poisoned = await store.transact(
        lambda tx: tx.payments.claim(KHALTI, SANDBOX, due_at=NOON, limit=limit, lease_seconds=lease_seconds)
    )
    assert poisoned == []
    return claims


async def claim_one(store: Store, number: int = 1, *, lease_seconds: float = 60) -> Claim | None:
    return await store.transact(lambda tx: tx.payments.claim_one(payment_id(number), lease_seconds=lease_seconds))


async def the_only_claim(store: Store, *, lease_seconds: float = 60) -> Claim:
    claims = await claim(store, lease_seconds=lease_seconds)
    assert len(claims) == 1
    return claims[0]


async def release(store: Store, claimed: Claim) -> bool:
    return await store.transact(lambda tx: tx.payments.release(claimed))


async def put_off(store: Store, *looked_at: tuple[Claim, Payment]) -> int:
    return await store.transact(lambda tx: tx.payments.put_off(looked_at))


def looked(payment: Payment, *, silences: int = 3) -> Payment:
    later = NOON + minutes(30) + timedelta(microseconds=7)
    return evolve(payment, next_check_at=later, looked_at=NOON + timedelta(microseconds=9), silences=silences)


@clause
async def due_payments_are_claimed_the_longest_due_first(store: Store) -> None:
    at = {1: 0, 2: 5, 3: 2, 4: 2, 5: 9, 6: -1}
    await given(store, a_booking(), *(due(number, NOON - minutes(minute)) for number, minute in at.items()))
    await given(store, evolve(a_payment(7), next_check_at=None))

    first, second, rest = await claim(store, limit=2), await claim(store, limit=1), await claim(store)

    assert (numbered(first), numbered(second), numbered(rest)) == ([5, 2], [3], [4, 1])


@clause
async def a_claim_carries_the_payment_as_it_is_stored_and_what_is_paid_for(store: Store) -> None:
    await given(store, titled(a_booking(), NEPALI), due(1))
    stored = await stored_payment(store)

    claimed = await the_only_claim(store)

    assert (claimed.payment, claimed.title) == (stored, NEPALI)
    assert await stored_payment(store) == stored


@clause
async def only_payments_of_that_gateway_and_environment_are_claimed(store: Store) -> None:
    await given(
        store,
        *(a_booking(), due(1)),
        evolve(due(2), gateway=ESEWA),
        evolve(due(3), environment=PRODUCTION),
    )

    def of(gateway: GatewayName, environment: Environment) -> Callable[[Tx], list[Claim]]:
        return lambda tx: tx.payments.claim(gateway, environment, due_at=NOON, limit=9, lease_seconds=60)[0]

    there = [await store.transact(of(gateway, where)) for gateway in (ESEWA, KHALTI) for where in (SANDBOX, PRODUCTION)]

    assert [numbered(claims) for claims in there] == [[2], [], [1], [3]]


@clause
async def two_workers_never_get_the_same_payment(store: Store) -> None:
    await given(store, a_booking(), *(due(number, NOON - minutes(number)) for number in range(1, 61)))

    taken = await asyncio.gather(*(claim(store, limit=7) for _ in range(12)))

    assert sorted(number for claims in taken for number in numbered(claims)) == list(range(1, 61))


@clause
async def a_claimed_payment_is_left_alone_until_it_is_given_back(store: Store) -> None:
    await given(store, a_booking(), due(1))
    first = await the_only_claim(store)

    meanwhile = await claim(store), await claim_one(store)
    is_released = await release(store, first)
    second = await the_only_claim(store)

    assert meanwhile == ([], None)
    assert is_released
    assert second.lease > first.lease
    assert second.payment == first.payment


@clause
async def a_lease_that_ended_is_taken_over_and_its_holder_writes_nothing(store: Store) -> None:
    await given(store, a_booking(), due(1))
    lost = await the_only_claim(store, lease_seconds=0)
    held = await the_only_claim(store)
    before = await stored_payment(store)

    outcomes = await release(store, lost), await put_off(store, (lost, looked(lost.payment)))

    assert held.lease > lost.lease
    assert outcomes == (False, 0)
    assert await stored_payment(store) == before
    assert await claim(store) == []
    assert await release(store, held)


@clause
async def a_lease_that_ended_and_that_nobody_took_is_still_held(store: Store) -> None:
    await given(store, a_booking(), due(1))
    slow = await the_only_claim(store, lease_seconds=0)

    kept = await put_off(store, (slow, looked(slow.payment)))

    assert kept == 1
    assert (await stored_payment(store)).silences == 3


@clause
async def one_payment_is_claimed_due_or_not(store: Store) -> None:
    never, later = evolve(a_payment(1), next_check_at=None), due(2, NOON + minutes(5))
    await given(store, titled(a_booking(), NEPALI), never, later)

    claims = [await claim_one(store, number) for number in (1, 2)]

    assert [(one.payment.id, one.title) for one in claims if one] == [(never.id, NEPALI), (later.id, NEPALI)]
    assert [await claim_one(store, number) for number in (1, 2)] == [None, None]
    with pytest.raises(PaymentNotFound):
        await claim_one(store, 3)


@clause
async def of_many_that_want_one_payment_one_gets_it(store: Store) -> None:
    await given(store, a_booking(), due(1))

    taken = await asyncio.gather(*(claim_one(store) for _ in range(20)))

    assert len([one for one in taken if one is not None]) == 1


@clause
async def a_claim_and_a_change_do_not_disturb_each_other(store: Store) -> None:
    await given(store, a_booking(), due(1))
    read = await stored_payment(store)
    claimed = await the_only_claim(store)

    saved = await store.transact(lambda tx: tx.payments.save(evolve(read, said="Pending")))

    assert (saved.version, claimed.payment.version) == (2, 1)
    assert await claim(store) == []
    assert await release(store, claimed)


@clause
async def a_payment_is_given_back_and_saved_in_one_transaction(store: Store) -> None:
    await given(store, a_booking(), due(1))
    claimed = await the_only_claim(store)

    def record(tx: Tx) -> bool:
        tx.bookings.get(BookingId(1))
        is_held = tx.payments.release(claimed)
        tx.payments.save(evolve(tx.payments.get(payment_id(1)), said="Completed"))
        return is_held

    assert await store.transact(record)
    again = await the_only_claim(store)
    assert (again.payment.said, again.payment.version) == ("Completed", 2)


@clause
async def a_claim_of_a_transaction_that_fails_is_none(store: Store) -> None:
    await given(store, a_booking(), due(1))

    def claim_and_fail(tx: Tx) -> NoReturn:
        tx.payments.claim(KHALTI, SANDBOX, due_at=NOON, limit=1, lease_seconds=60)
        raise LookupError

    with pytest.raises(LookupError):
        await store.transact(claim_and_fail)

    assert len(await claim(store)) == 1


@clause
async def what_is_put_off_keeps_its_version_and_everything_but_its_next_look(store: Store) -> None:
    await given(store, a_booking(), *(evolve(due(number), said="Initiated") for number in (1, 2, 3)))
    claims = await claim(store)
    other = [evolve(looked(one.payment), said="Completed", status=PaymentStatus.COMPLETED) for one in claims]
    other[2] = evolve(other[2], next_check_at=None, looked_at=None, silences=0)

    kept = await put_off(store, *zip(claims, other, strict=True))

    expected = [looked(claims[0].payment), looked(claims[1].payment), evolve(claims[2].payment, next_check_at=None)]
    assert kept == 3
    assert [await stored_payment(store, number) for number in (1, 2, 3)] == expected
    assert [one is not None for one in [await claim_one(store, number) for number in (1, 2, 3)]] == [True] * 3


@clause
async def what_changed_meanwhile_is_given_back_and_not_put_off(store: Store) -> None:
    await given(store, a_booking(), due(1), due(2))
    claims = await claim(store)
    changed = await change_payment(store, partial(evolve, said="Pending", next_check_at=NOON - minutes(1)))

    kept = await put_off(store, *((one, looked(one.payment)) for one in claims))

    assert kept == 2
    assert await stored_payment(store, 1) == changed
    assert (await stored_payment(store, 2)).silences == 3
    assert numbered(await claim(store)) == [1]


@clause
async def of_many_that_are_put_off_only_those_still_held_are_kept(store: Store) -> None:
    await given(store, a_booking(), due(1), due(2))
    lost, held = await claim(store, lease_seconds=0)
    theirs = await claim_one(store, 1)
    assert theirs is not None

    kept = await put_off(store, (lost, looked(lost.payment)), (held, looked(held.payment)))

    assert kept == 1
    assert [(await stored_payment(store, number)).silences for number in (1, 2)] == [0, 3]
    assert await release(store, theirs)


@clause
async def nothing_at_all_can_be_put_off(store: Store) -> None:
    assert await put_off(store) == 0


async def unfinished(store: Store) -> dict[tuple[str, Environment], int]:
    counted = await store.read(lambda view: view.payments.unfinished(due_at=NOON))
    return {(str(gateway), environment): number for (gateway, environment), number in counted.items()}


@clause
async def what_is_due_and_unfinished_is_counted_by_gateway_and_environment(store: Store) -> None:
    assert await unfinished(store) == {}
    await given(
        store,
        *(a_booking(), due(1), due(2, NOON - timedelta(days=90))),
        evolve(due(3), gateway=ESEWA, status=PaymentStatus.OPEN),
        evolve(due(4), gateway=ESEWA, environment=PRODUCTION, status=PaymentStatus.PENDING),
    )

    assert await unfinished(store) == {("khalti", SANDBOX): 2, ("esewa", SANDBOX): 1, ("esewa", PRODUCTION): 1}


@clause
async def what_is_over_or_not_due_is_not_counted(store: Store) -> None:
    paid = evolve(due(1), status=PaymentStatus.COMPLETED, amount_paid=Money(113000), paid_at=NOON)
    over = [status for status in PaymentStatus if status not in UNDECIDED]
    await given(
        store,
        *(a_booking(), due(10, NOON + timedelta(microseconds=1)), evolve(a_payment(11), next_check_at=None)),
        *(evolve(due(20 + number), status=status) for number, status in enumerate(over)),
        evolve(due(2), gateway=GatewayName("unknown"), status=PaymentStatus.EXPIRED, outcome_unknown=True),
        evolve(paid, gateway=GatewayName("to_be_given_back"), refund_due=True),
        evolve(paid, id=payment_id(3), gateway=GatewayName("perhaps_given_back"), amount_reserved=Money(1)),
    )

    assert await unfinished(store) == {
        ("unknown", SANDBOX): 1,
        ("to_be_given_back", SANDBOX): 1,
        ("perhaps_given_back", SANDBOX): 1,
    }


@clause
async def what_somebody_holds_is_counted_until_its_look_is_put_off(store: Store) -> None:
    await given(store, a_booking(), due(1))
    held = await the_only_claim(store)

    meanwhile = await unfinished(store)
    await put_off(store, (held, looked(held.payment)))

    assert (meanwhile, await unfinished(store)) == ({("khalti", SANDBOX): 1}, {})

"""What every store keeps for work in the background: leases, refunds, the ledger, the feed, paces and kept answers.

Further clauses of the same contract as `store_contract.py`; `CLAUSES` here holds them all. A lease of no length has
ended as soon as it begins, so no clause waits for a clock.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, NoReturn

import pytest
from attrs import evolve

from sewapay.application.errors import InvalidCursor, PaymentNotFound, RefundNotFound
from sewapay.application.idempotency import Answer, KeptAnswer, KeyName
from sewapay.application.pacing import Pace
from sewapay.application.storage import BookingFilter, Claim, Page, PaymentFilter, Store, Told, Tx, View
from sewapay.domain.errors import RefundInProgress
from sewapay.domain.events import Event, EventKind
from sewapay.domain.identifiers import BookingId, Environment, GatewayName, RefundId
from sewapay.domain.ledger import Account, Entry, Posting
from sewapay.domain.money import GREATEST_PAISA, Money
from sewapay.domain.payment import Payment, PaymentStatus
from sewapay.domain.refund import Refund, RefundStatus
from tests.backend.contracts.store_contract import (
    CLAUSES,
    KHALTI,
    NEPALI,
    NOON,
    a_booking,
    a_payment,
    an_event,
    change_booking,
    change_payment,
    clause,
    given,
    minutes,
    numbers,
    page_of_bookings,
    page_of_payments,
    payment_id,
    stored_events,
    stored_payment,
    titled,
)

__all__ = ["CLAUSES", "a_refund", "claim", "claim_one", "numbered", "put_off", "refund_id", "release", "told"]

SANDBOX: Final = Environment.SANDBOX
PRODUCTION: Final = Environment.PRODUCTION
ESEWA: Final = GatewayName("esewa")


# -- who looks at which payment ----------------------------------------------------------------------------------------


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


# -- refunds -----------------------------------------------------------------------------------------------------------


def refund_id(number: int) -> RefundId:
    return RefundId(f"00000000-0000-4000-9000-{number:012d}")


def a_refund(number: int = 1, *, payment: int = 1, at: datetime = NOON) -> Refund:
    return Refund.submit(
        id=refund_id(number),
        payment_id=payment_id(payment),
        booking_id=BookingId(1),
        amount=Money(5000),
        is_all=False,
        reason=NEPALI,
        actor="staff:7",
        at=at,
    )


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


# -- the ledger --------------------------------------------------------------------------------------------------------


def a_posting(paisa: int, *, payment: int = 1, why: str = "payment", at: datetime = NOON) -> Posting:
    return Posting(
        booking_id=BookingId(1),
        payment_id=payment_id(payment),
        at=at,
        why=why,
        entries=(
            Entry(Account.CUSTOMER_FUNDS, -paisa),
            Entry(Account.MERCHANT_RECEIVABLE, paisa - 7),
            Entry(Account.GATEWAY_FEE, 7),
        ),
    )


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


# -- the feed ----------------------------------------------------------------------------------------------------------


async def told(store: Store, cursor: str | None = None, *, limit: int = 100) -> tuple[list[Told], str | None]:
    return await store.transact(lambda tx: tx.events.feed(Page(cursor=cursor, limit=limit)))


def told_numbers(feed: list[Told]) -> list[object]:
    return numbers([one.event for one in feed])


def happening(*happened: int) -> Callable[[Payment], Payment]:
    def change(payment: Payment) -> Payment:
        return evolve(payment, events=tuple(an_event(number, a_booking(), payment) for number in happened))

    return change


@clause
async def the_feed_tells_every_event_of_every_booking_in_order(store: Store) -> None:
    await given(store, a_booking(1), a_booking(2))
    await change_booking(store, lambda booking: evolve(booking, events=(an_event(1, booking), an_event(2, booking))), 2)
    await change_booking(store, lambda booking: evolve(booking, events=(an_event(3, booking),)), 1)
    await change_booking(store, lambda booking: evolve(booking, events=(an_event(4, booking),)), 2)

    feed, _ = await told(store)

    assert [(one.event.booking_id, one.sequence) for one in feed] == [(1, 1), (2, 1), (2, 2), (2, 3), (1, 2), (2, 4)]
    assert told_numbers(feed) == [1, 2, 3, 4]
    of_the_second = [one.event for one in feed if one.event.booking_id == 2]
    assert of_the_second == await stored_events(store, 2)


@clause
async def the_feed_is_read_in_pages_and_goes_on_where_it_was_left(store: Store) -> None:
    await given(store, a_booking(), a_payment())
    await change_payment(store, happening(1, 2, 3))
    pages: list[list[object]] = []
    cursor: str | None = None
    for limit in (1, 2, 1, 5):
        page, cursor = await told(store, cursor, limit=limit)
        pages.append(told_numbers(page))

    nothing, same = await told(store, cursor)
    await change_payment(store, happening(4))
    new, end = await told(store, cursor)

    assert pages == [[], [1], [2], [3]]
    assert (nothing, same) == ([], cursor)
    assert told_numbers(new) == [4]
    assert end not in (cursor, None)


@clause
async def an_empty_feed_has_no_cursor(store: Store) -> None:
    assert await told(store) == ([], None)


@clause
async def the_feed_follows_the_order_of_the_changes_and_not_their_times(store: Store) -> None:
    def at(minute: int, number: int) -> Event:
        return evolve(an_event(number, a_booking()), at=NOON + minutes(minute))

    await given(store, a_booking())
    for minute, number in ((5, 1), (5, 2), (-9, 3), (5, 4)):
        await change_booking(store, partial(evolve, events=(at(minute, number),)))

    first, cursor = await told(store, limit=2)
    rest, _ = await told(store, cursor)

    assert told_numbers(first) + told_numbers(rest) == [1, 2, 3, 4]


@clause
async def a_transaction_is_told_of_its_own_events_and_others_only_of_what_is_kept(store: Store) -> None:
    await given(store, a_booking(), a_payment())

    def look_and_fail(tx: Tx) -> NoReturn:
        tx.payments.save(happening(1)(tx.payments.get(payment_id(1))))
        assert told_numbers(tx.events.feed(Page())[0]) == [1]
        raise LookupError

    with pytest.raises(LookupError):
        await store.transact(look_and_fail)
    await change_payment(store, happening(2))

    feed, _ = await told(store)

    assert told_numbers(feed) == [2]
    assert [one.sequence for one in feed] == [1, 2, 3]


@clause
async def nothing_is_passed_over_while_everybody_writes(store: Store) -> None:
    bookings = range(1, 9)
    await given(store, *(a_booking(number) for number in bookings))
    seen: list[Told] = []

    async def write(number: int) -> None:
        for count in range(1, 13):
            event = an_event(count, a_booking(number))
            await change_booking(store, partial(evolve, events=(event, event)), number)

    async def read() -> None:
        cursor: str | None = None
        while True:
            is_over = writing.done()
            page, cursor = await told(store, cursor, limit=7)
            seen.extend(page)
            if is_over and not page:
                return
            await asyncio.sleep(0)

    writing = asyncio.ensure_future(asyncio.gather(*(write(number) for number in bookings)))
    await read()
    await writing

    for number in bookings:
        assert [one.sequence for one in seen if one.event.booking_id == number] == list(range(1, 26)), number


@clause
async def a_place_in_the_feed_that_we_did_not_give_is_refused(store: Store) -> None:
    await given(store, a_booking(), a_booking(2), a_payment(1), a_payment(2))
    _, of_bookings = await page_of_bookings(store, BookingFilter(), Page(limit=1))
    _, of_payments = await page_of_payments(store, PaymentFilter(), Page(limit=1))
    _, first = await told(store, limit=1)
    assert first is not None

    for cursor in ("", " ", "x", "1", "nonsense", "ä", "\0", "MA==", "-" * 1000, of_bookings, of_payments):
        with pytest.raises(InvalidCursor):
            await told(store, cursor)
    with pytest.raises(InvalidCursor):
        await page_of_bookings(store, BookingFilter(), Page(cursor=first))
    with pytest.raises(InvalidCursor):
        await page_of_payments(store, PaymentFilter(), Page(cursor=first))


# -- how fast gateways may be asked ------------------------------------------------------------------------------------


async def pace_of(store: Store, gateway: GatewayName = KHALTI, environment: Environment = SANDBOX) -> Pace:
    return await store.transact(lambda tx: tx.paces.get(gateway, environment))


async def keep_pace(store: Store, where: tuple[GatewayName, Environment], pace: Pace) -> None:
    await store.transact(lambda tx: tx.paces.save(*where, pace))


@clause
async def a_gateway_that_was_never_asked_has_its_whole_budget(store: Store) -> None:
    pace, now = await store.transact(lambda tx: (tx.paces.get(KHALTI, SANDBOX), tx.time()))

    _, granted = pace.take(1000, per_minute=60, now=now)

    assert (pace.silences, pace.away_until) == (0, None)
    assert granted == 60


@clause
async def each_gateways_pace_is_kept(store: Store) -> None:
    paces = {
        (KHALTI, SANDBOX): Pace(spent_until=NOON + timedelta(microseconds=1), silences=7, away_until=NOON + minutes(5)),
        (KHALTI, PRODUCTION): Pace(spent_until=NOON, silences=1),
        (ESEWA, SANDBOX): Pace(spent_until=NOON - minutes(1)),
    }
    for where, pace in paces.items():
        await keep_pace(store, where, Pace.full(NOON))
        await keep_pace(store, where, pace)

    assert {where: await pace_of(store, *where) for where in paces} == paces


@clause
async def no_call_is_counted_twice_or_not_at_all(store: Store) -> None:
    def count(tx: Tx) -> None:
        pace = tx.paces.get(KHALTI, SANDBOX)
        tx.paces.save(KHALTI, SANDBOX, evolve(pace, silences=pace.silences + 1))

    await asyncio.gather(*(store.transact(count) for _ in range(40)))

    assert (await pace_of(store)).silences == 40


@clause
async def the_databases_time_is_in_utc_and_goes_on(store: Store) -> None:
    first, second = await store.transact(lambda tx: (tx.time(), tx.time()))
    later = await store.transact(lambda tx: tx.time())

    assert first.tzinfo is not None
    assert first.astimezone(UTC).utcoffset() == first.utcoffset()
    assert first <= second <= later


# -- kept answers ------------------------------------------------------------------------------------------------------

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

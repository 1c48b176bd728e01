"""What is kept under a caller's key: begun, answered, taken over when a process died, forgotten after a day."""

from typing import Final

import pytest

from sewapay.application.errors import KeyReused, StillRunning
from sewapay.application.idempotency import AlreadyAnswered, Answer, KeptAnswer, KeyName, Once
from tests.shop import Shop

NAME: Final = KeyName(principal="service:1", operation="POST /v1/bookings", key="7f4c")


def once(name: KeyName = NAME, *, fingerprint: str = "this request") -> Once[str]:
    def render(result: str) -> Answer:
        return Answer(status=201, headers={"Location": "/v1/bookings/1"}, body=result.encode())

    return Once(name=name, fingerprint=fingerprint, render=render)


async def given_it_began(shop: Shop, *, subject: str | None = None) -> None:
    await shop.store.transact(lambda tx: once().begin(tx, subject=subject))


async def given_it_was_answered(shop: Shop) -> None:
    await given_it_began(shop)
    await shop.store.transact(lambda tx: once().finish(tx, "made"))


async def checked(shop: Shop, which: Once[str] | None = None) -> KeptAnswer | None:
    return await shop.store.transact((which or once()).check)


async def test_a_key_that_was_never_used_is_free() -> None:
    assert await checked(Shop()) is None


@pytest.mark.invariant("I14")
async def test_an_answer_is_given_again_as_it_was() -> None:
    shop = Shop()
    await given_it_was_answered(shop)

    with pytest.raises(AlreadyAnswered) as caught:
        await checked(shop)

    assert caught.value.answer == Answer(status=201, headers={"Location": "/v1/bookings/1"}, body=b"made")


@pytest.mark.invariant("I14")
async def test_the_same_key_for_another_request_is_refused_whether_the_first_is_answered_or_not() -> None:
    running, answered = Shop(), Shop()
    await given_it_began(running)
    await given_it_was_answered(answered)

    for shop in (running, answered):
        with pytest.raises(KeyReused):
            await checked(shop, once(fingerprint="another request"))


async def test_two_callers_and_two_operations_have_keys_of_their_own() -> None:
    shop = Shop()
    await given_it_was_answered(shop)
    others = (
        KeyName(principal="service:2", operation=NAME.operation, key=NAME.key),
        KeyName(principal=NAME.principal, operation="POST /v1/payments", key=NAME.key),
    )

    for name in others:
        assert await checked(shop, once(name, fingerprint="another request")) is None


@pytest.mark.invariant("I14")
async def test_while_the_first_runs_the_second_is_told_to_come_back() -> None:
    shop = Shop()
    await given_it_began(shop)
    shop.clock.advance(seconds=39)

    with pytest.raises(StillRunning) as caught:
        await checked(shop)

    assert caught.value.retry_after == 2


@pytest.mark.fault("F70")
async def test_what_a_dead_process_began_is_taken_over_with_what_it_had_made() -> None:
    shop = Shop()
    await given_it_began(shop, subject="a refund's id")
    shop.clock.advance(seconds=40)

    left = await checked(shop)

    assert left is not None
    assert (left.subject, left.answer) == ("a refund's id", None)


async def test_whoever_takes_it_over_has_as_much_time_as_the_first() -> None:
    shop = Shop()
    await given_it_began(shop)
    shop.clock.advance(seconds=40)
    await given_it_began(shop)

    with pytest.raises(StillRunning):
        await checked(shop)


@pytest.mark.parametrize("is_answered", [False, True])
async def test_after_a_day_a_key_is_free_again_for_whatever_it_may_be(is_answered: bool) -> None:
    shop = Shop()
    await (given_it_was_answered if is_answered else given_it_began)(shop)
    shop.clock.advance(days=1)

    assert await checked(shop) is None
    assert await checked(shop, once(fingerprint="another request")) is None


async def test_a_day_begins_with_the_answer() -> None:
    shop = Shop()
    await given_it_began(shop)
    shop.clock.advance(seconds=30)
    await shop.store.transact(lambda tx: once().finish(tx, "made"))
    shop.clock.advance(days=1, seconds=-1)

    with pytest.raises(AlreadyAnswered):
        await checked(shop)


async def test_a_request_that_came_to_nothing_leaves_its_key_free() -> None:
    shop = Shop()
    await given_it_began(shop)

    await shop.store.transact(lambda tx: once().forget(tx))

    assert await checked(shop, once(fingerprint="another request")) is None


async def test_old_answers_are_forgotten_and_younger_ones_are_kept() -> None:
    shop = Shop()
    await given_it_was_answered(shop)
    shop.clock.advance(days=1, seconds=1)
    young = KeyName(principal="service:1", operation=NAME.operation, key="young")
    await shop.store.transact(lambda tx: once(young).finish(tx, "made"))

    await shop.container.reconcile_payments().forget_old_answers()

    found = await shop.store.transact(lambda tx: (tx.answers.find(NAME), tx.answers.find(young)))
    assert found[0] is None
    assert found[1] is not None


@pytest.mark.fault("F97")
def test_neither_a_key_nor_an_answers_body_is_shown_in_a_log() -> None:
    assert "7f4c" not in repr(NAME)
    assert "secret" not in repr(Answer(status=200, headers={}, body=b"secret"))

"""What the state machine found, each as the shortest way there."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from tests.backend.system.promises import unsettled
from tests.backend.system.world import AS_STAFF, Khalti, World, a_world


@pytest.fixture
async def world(database_url: str, khalti: Khalti) -> AsyncIterator[World]:
    """The service on a good day, with nothing left over from other days."""
    async with a_world(database_url, khalti) as world:
        await world.forget_the_past()
        yield world
        await world.the_promises_hold()


async def pass_by(world: World, seconds: int) -> None:
    """Let time pass here and at Khalti."""
    world.khalti.simulator.advance(seconds)
    world.clock.offset += timedelta(seconds=seconds)


@pytest.mark.fault("F61")
async def test_money_that_a_policy_gives_back_is_given_back_by_the_next_run(world: World) -> None:
    world.decide_by(SEWAPAY_ON_PAID_LATE="refund")
    booking, pidx, _ = await world.open_link()
    await world.http.post(f"/v1/bookings/{booking}/cancellation", headers=AS_STAFF)
    world.khalti.pay(pidx)
    await pass_by(world, 61)

    await world.reconcile_all()

    assert world.khalti.status(pidx) == "Refunded"
    assert (await world.payment(pidx))["amount_refunded"] == 113000


@pytest.mark.fault("F61")
async def test_a_look_in_between_does_not_put_off_what_is_to_be_given_back(world: World) -> None:
    world.decide_by(SEWAPAY_ON_PAID_LATE="refund")
    booking, pidx, payment = await world.open_link()
    await world.http.post(f"/v1/bookings/{booking}/cancellation", headers=AS_STAFF)
    world.khalti.pay(pidx)
    await world.verify(payment["id"])
    await world.verify(payment["id"])

    await world.reconcile_all()

    assert world.khalti.status(pidx) == "Refunded"


@pytest.mark.fault("F22")
async def test_a_link_that_was_paid_late_is_looked_at_again_when_that_went_unanswered(world: World) -> None:
    booking, pidx, _ = await world.open_link()
    await pass_by(world, 3700)
    await world.reconcile_all()
    world.khalti.pay(pidx)
    world.khalti.arm("lookup", "drop_before")
    lost = await world.process(booking, pidx)
    await pass_by(world, 61)

    await world.reconcile_all()

    assert lost.json()["success"] is False
    assert unsettled(await world.rows(), world.khalti.ledger()) == []
    assert (await world.booking(booking))["status"] == "confirmed"


@pytest.mark.fault("F49")
async def test_an_answer_that_decides_nothing_is_not_asked_for_again_every_fifteen_seconds(world: World) -> None:
    _, pidx, _ = await world.open_link()
    world.khalti.control("expire", pidx=pidx)
    await pass_by(world, 61)
    await world.reconcile_all()
    world.khalti.control("pend", pidx=pidx)
    await pass_by(world, 3600)
    await world.reconcile_all()

    looks = []
    for _ in range(20):
        await pass_by(world, 180)
        looks += [(await world.reconcile_all()).asked]

    assert (await world.payment(pidx))["outcome_unknown"] is True
    assert sum(looks) == 0, "an hour in which nothing was planned"

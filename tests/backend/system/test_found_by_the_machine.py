"""What the state machine found, each as the shortest way there."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from sewapay.application.audit import audit_invariants
from tests.backend.system.forms import FormGateway
from tests.backend.system.promises import broken, unsettled
from tests.backend.system.simulation.gateway import FORMS
from tests.backend.system.simulation.truth import truth_of_till
from tests.backend.system.world import AS_STAFF, Khalti, World, a_world


@pytest.fixture
async def world(database_url: str, khalti: Khalti) -> AsyncIterator[World]:
    """The service on a good day, with nothing left over from other days."""
    async with a_world(database_url, khalti) as world:
        await world.forget_the_past()
        yield world
        await world.the_promises_hold()


@pytest.fixture
async def forms(database_url: str, khalti: Khalti) -> AsyncIterator[tuple[World, FormGateway]]:
    """The same with a gateway beside Khalti that is sent a form and gives nothing back."""
    async with a_world(database_url, khalti) as world:
        gateway = FormGateway(name=FORMS, now=world.clock.now)
        world.beside_khalti = (gateway,)
        await world.restart()
        await world.forget_the_past()
        yield world, gateway
        rows = await world.rows()
        assert broken(rows, {**khalti.ledger(), **gateway.ledger()}, world.clock.now()) == []


async def open_a_form(world: World, booking: int) -> dict[str, Any]:
    """What the shop is told of a new payment by form."""
    body = {"booking_id": booking, "gateway": "forms"}
    answer = await world.http.post("/v1/payments", json=body, headers=AS_STAFF)
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    return told


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


@pytest.mark.invariant("I12")
async def test_money_that_went_back_and_was_told_with_another_amount_waits_for_a_person_without_a_finding(
    world: World,
) -> None:
    _, pidx, payment = await world.open_link()
    world.khalti.pay(pidx)
    world.khalti.control("refund", pidx=pidx)
    world.khalti.arm("lookup", "wrong_amount", delta=-1)

    await world.verify(payment["id"])

    row, now = await world.payment(pidx), world.clock.now()
    assert (row["status"], row["review_reason"]) == ("under_review", "amount_mismatch")
    assert audit_invariants(await world.books(), world.khalti.truth(), now=now, is_quiet=False) == []


@pytest.mark.invariant("I12")
@pytest.mark.parametrize("first", [0, 1])
async def test_money_under_review_that_went_back_with_a_third_amount_has_no_finding(world: World, first: int) -> None:
    booking, pidx, payment = await world.open_link()
    await world.http.post(f"/v1/bookings/{booking}/cancellation", headers=AS_STAFF)
    world.khalti.pay(pidx)
    if first:
        world.khalti.arm("lookup", "wrong_amount", delta=first)
    await world.verify(payment["id"])
    held = await world.payment(pidx)
    world.khalti.control("refund", pidx=pidx)
    world.khalti.arm("lookup", "wrong_amount", delta=-1)

    await world.verify(payment["id"])

    row, now = await world.payment(pidx), world.clock.now()
    assert (held["status"], row["status"]) == ("under_review", "under_review")
    assert (row["amount_paid"], row["amount_refunded"]) == (held["amount"] + first, held["amount"] - 1)
    assert audit_invariants(await world.books(), world.khalti.truth(), now=now, is_quiet=False) == []


@pytest.mark.fault("F62")
async def test_a_decision_to_refund_is_refused_whole_where_the_gateway_gives_nothing_back(
    forms: tuple[World, FormGateway],
) -> None:
    world, gateway = forms
    booking = await world.register()
    first = await open_a_form(world, booking)
    world.clock.offset += timedelta(minutes=1)
    second = await open_a_form(world, booking)
    for told in (first, second):
        gateway.till.pay(told["order_reference"], world.clock.now())
        await world.verify(told["id"])
    surplus = (await world.rows()).payments[second["id"]]
    asked = await world.http.get(f"/v1/payments/{second['id']}", headers=AS_STAFF)
    decision = {"decision": "refund", "reason": "paid twice", "version": asked.json()["version"]}

    refused = await world.http.post(f"/v1/payments/{second['id']}/resolution", json=decision, headers=AS_STAFF)

    after = await world.http.get(f"/v1/payments/{second['id']}", headers=AS_STAFF)
    assert (surplus["surplus"], surplus["review_reason"]) == (True, "surplus")
    assert (refused.status_code, refused.json()["type"].rsplit("/", 1)[-1]) == (409, "refunds-not-offered")
    assert after.json()["version"] == decision["version"], "nothing was decided"


@pytest.mark.invariant("I7")
async def test_an_answer_about_another_payment_by_our_reference_is_no_money_of_this_one(
    forms: tuple[World, FormGateway],
) -> None:
    world, gateway = forms
    one, other = await open_a_form(world, await world.register()), await open_a_form(world, await world.register())
    gateway.till.pay(other["order_reference"], world.clock.now())
    gateway.armed.append("another payment")

    await world.verify(one["id"])

    row, now = (await world.rows()).payments[one["id"]], world.clock.now()
    found = audit_invariants(await world.books(), truth_of_till(gateway.till), now=now, is_quiet=False)
    assert (row["status"], row["review_reason"], row["amount_paid"]) == ("under_review", "reference_mismatch", None)
    assert found == []


@pytest.mark.invariant("I10")
async def test_a_payment_that_its_gateway_does_not_know_the_outcome_of_is_in_order(
    forms: tuple[World, FormGateway],
) -> None:
    world, gateway = forms
    payment = await open_a_form(world, await world.register())
    gateway.armed += ["ambiguous", "ambiguous"]

    for _ in range(2):
        await world.verify(payment["id"])

    rows = await world.rows()
    row, told = rows.payments[payment["id"]], [event["kind"] for event in rows.events if event["payment_id"]]
    found = audit_invariants(await world.books(), truth_of_till(gateway.till), now=world.clock.now(), is_quiet=False)
    assert (row["status"], row["outcome_unknown"]) == ("pending", True)
    assert told == ["payment.created", "payment.opened", "payment.pending"]
    assert found == []


@pytest.mark.invariant("I10")
async def test_a_payment_that_a_signed_return_holds_is_in_order(forms: tuple[World, FormGateway]) -> None:
    world, gateway = forms
    payment = await open_a_form(world, await world.register())
    gateway.till.pay(payment["order_reference"], world.clock.now())
    gateway.armed.append("absent")

    await world.http.get(f"/return/{payment['id']}/?signed={payment['order_reference']}")

    found = audit_invariants(await world.books(), truth_of_till(gateway.till), now=world.clock.now(), is_quiet=False)
    assert (await world.rows()).payments[payment["id"]]["status"] == "pending"
    assert found == []


@pytest.mark.invariant("I12")
async def test_what_waits_for_a_person_and_went_back_as_a_whole_is_in_order_though_the_amount_was_misstated(
    world: World,
) -> None:
    _, pidx, payment = await world.open_link()
    world.khalti.arm("lookup", "wrong_amount", delta=1)
    world.khalti.pay(pidx)
    await world.verify(payment["id"])
    world.khalti.simulator.refund(pidx)

    await world.verify(payment["id"])

    row, now = (await world.rows()).payments[payment["id"]], world.clock.now()
    assert (row["status"], row["amount_paid"], row["amount_refunded"]) == ("under_review", 113001, 113000)
    assert audit_invariants(await world.books(), None, now=now, is_quiet=False) == []

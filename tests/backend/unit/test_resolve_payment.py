"""A person decides: on the version that they reviewed, once, and it is written down who and why."""

import asyncio

import pytest
from attrs import evolve

from sewapay.application.access import Principal
from sewapay.application.errors import NotAllowed, NotTheReviewedVersion, PaymentNotFound
from sewapay.application.idempotency import AlreadyAnswered, Answer, KeyName, Once
from sewapay.application.ports import RefundKind
from sewapay.application.recording import Verified
from sewapay.application.refund_payment import RefundRequest
from sewapay.application.resolve_payment import Resolution
from sewapay.domain.booking import BookingStatus
from sewapay.domain.errors import DecisionNotPossible, NotUnderReview
from sewapay.domain.identifiers import PaymentId
from sewapay.domain.money import NOTHING, Money
from sewapay.domain.payment import Payment, PaymentStatus, ReviewReason
from sewapay.domain.refund import Refund, RefundStatus
from sewapay.domain.resolution import Decision
from tests.shop import SERVICE, STAFF, Shop, customer


async def paid_too_late(shop: Shop) -> Payment:
    """Money for a booking that was canceled before it came."""
    payment = await shop.given_an_open_payment()
    await shop.when_the_booking_is_canceled(await shop.stored_booking(payment.booking_id))
    shop.gateway.customer_pays(payment)
    return (await shop.when_it_is_verified(payment)).payment


async def a_refund_that_nobody_answered(shop: Shop) -> Payment:
    payment = (await shop.given_a_paid_booking()).payment
    shop.gateway.loses_refunds()
    await shop.container.refund_payment()(
        RefundRequest(by=STAFF, payment_id=payment.id, amount=Money(13000), reason="the cleaner was ill")
    )
    return await shop.stored_payment(payment)


async def decided(
    shop: Shop,
    payment: Payment,
    decision: Decision,
    *,
    by: Principal = STAFF,
    reason: str = "we telephoned",
    once: Once[Verified] | None = None,
) -> Verified:
    return await shop.container.resolve_payment()(
        Resolution(by=by, payment_id=payment.id, decision=decision, reason=reason, version=payment.version, once=once)
    )


async def refunds_of(shop: Shop, payment: Payment) -> list[Refund]:
    return await shop.store.read(lambda view: view.refunds.of_payment(payment.id))


async def test_honoured_money_confirms_its_booking_and_the_story_says_who_and_why() -> None:
    shop = Shop()
    payment = await paid_too_late(shop)

    now = await decided(shop, payment, Decision.HONOUR)

    story = await shop.container.read_timeline()(payment.id, STAFF)
    assert (now.payment.status, now.booking.status) == (PaymentStatus.COMPLETED, BookingStatus.CONFIRMED)
    assert await shop.stored_payment(payment) == now.payment
    (told,) = [item for item in story if item.kind == "payment.resolved"]
    assert (told.actor, dict(told.data)) == ("staff:7", {"decision": "honour", "reason": "we telephoned"})
    assert told.summary == "A person decided: honour (we telephoned)."


async def test_a_payment_that_changed_since_is_not_decided_about_and_its_new_version_is_told() -> None:
    shop = Shop()
    payment = await paid_too_late(shop)
    held = await decided(shop, payment, Decision.HOLD)

    with pytest.raises(NotTheReviewedVersion) as caught:
        await decided(shop, payment, Decision.HONOUR)

    assert caught.value.version == held.payment.version == payment.version + 1
    assert (await shop.stored_payment(payment)) == held.payment
    assert (await decided(shop, held.payment, Decision.HONOUR)).booking.status is BookingStatus.CONFIRMED


async def test_of_two_who_decide_at_once_one_decides() -> None:
    shop = Shop()
    payment = await paid_too_late(shop)

    outcomes = await asyncio.gather(
        decided(shop, payment, Decision.HONOUR),
        decided(shop, payment, Decision.REFUND),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [Verified, NotTheReviewedVersion]
    assert shop.gateway.refunded == 0


@pytest.mark.parametrize("by", [customer(), SERVICE])
async def test_only_staff_decide(by: Principal) -> None:
    shop = Shop()
    payment = await paid_too_late(shop)

    with pytest.raises(NotAllowed):
        await decided(shop, payment, Decision.HONOUR, by=by)

    assert await shop.stored_payment(payment) == payment


@pytest.mark.parametrize("reason", ["", "   ", "x" * 501, "line\nline"])
async def test_a_decision_has_a_reason(reason: str) -> None:
    shop = Shop()
    payment = await paid_too_late(shop)

    with pytest.raises(DecisionNotPossible, match="1 to 500 printable characters"):
        await decided(shop, payment, Decision.HONOUR, reason=reason)

    assert await shop.stored_payment(payment) == payment


async def test_a_payment_that_is_not_there_is_not_found() -> None:
    shop = Shop()
    nobodys = evolve(await shop.given_an_open_payment(), id=PaymentId("00000000-0000-4000-8000-000000000000"))

    with pytest.raises(PaymentNotFound):
        await decided(shop, nobodys, Decision.HOLD)


@pytest.mark.parametrize("decision", list(Decision))
async def test_where_nothing_waits_for_a_person_nothing_is_decided(decision: Decision) -> None:
    shop = Shop()
    paid = await shop.given_a_paid_booking()

    with pytest.raises(NotUnderReview):
        await decided(shop, paid.payment, decision)

    assert await shop.stored_payment(paid.payment) == paid.payment


async def test_money_that_is_to_go_back_goes_back_at_once() -> None:
    shop = Shop()
    payment = await paid_too_late(shop)

    now = await decided(shop, payment, Decision.REFUND)

    (refund,) = await refunds_of(shop, payment)
    assert (now.payment.status, now.payment.refund_due) == (PaymentStatus.REFUNDED, False)
    assert (refund.status, refund.reason, refund.requested_by) == (RefundStatus.CONFIRMED, "we telephoned", "sewapay")


@pytest.mark.parametrize("kind", [RefundKind.NONE])
async def test_where_the_gateway_gives_nothing_back_the_person_is_told_and_the_decision_stands(
    kind: RefundKind,
) -> None:
    shop = Shop()
    payment = await paid_too_late(shop)
    shop.gateway.capabilities = evolve(shop.gateway.capabilities, refunds=kind)

    with pytest.raises(Exception, match="in its own panel"):
        await decided(shop, payment, Decision.REFUND)

    kept = await shop.stored_payment(payment)
    assert (kept.status, kept.needs_attention) == (PaymentStatus.UNDER_REVIEW, True)


@pytest.mark.fault("F02")
async def test_money_that_cannot_go_back_now_goes_back_when_the_gateway_is_there_again() -> None:
    shop = Shop()
    payment = await paid_too_late(shop)
    shop.gateway.refuses_connections()
    now = await decided(shop, payment, Decision.REFUND)

    shop.gateway.answers_again()
    for _ in range(2):
        shop.clock.advance(minutes=15)
        await shop.container.reconcile_payments()(100)

    assert (now.payment.status, now.payment.refund_due) == (PaymentStatus.UNDER_REVIEW, True)
    assert (await shop.stored_payment(payment)).status is PaymentStatus.REFUNDED
    assert [refund.status for refund in await refunds_of(shop, payment)] == [
        RefundStatus.REJECTED,
        RefundStatus.CONFIRMED,
    ]


async def test_held_money_is_looked_at_by_the_next_run_of_the_reconciler() -> None:
    shop = Shop()
    payment = await paid_too_late(shop)
    before = shop.gateway.looked_up

    held = await decided(shop, payment, Decision.HOLD)
    await shop.container.reconcile_payments()(100)

    assert (held.payment.status, shop.gateway.looked_up) == (PaymentStatus.UNDER_REVIEW, before + 1)


@pytest.mark.fault("F64")
@pytest.mark.parametrize(
    ("decision", "status", "went_back"),
    [
        (Decision.REFUND_HAPPENED, RefundStatus.CONFIRMED, Money(13000)),
        (Decision.REFUND_DID_NOT_HAPPEN, RefundStatus.REJECTED, NOTHING),
    ],
)
async def test_a_refund_that_nobody_answered_ends_as_the_panel_says(
    decision: Decision, status: RefundStatus, went_back: Money
) -> None:
    shop = Shop()
    payment = await a_refund_that_nobody_answered(shop)

    now = await decided(shop, payment, decision)

    (refund,) = await refunds_of(shop, payment)
    assert refund.status is status
    assert (now.payment.amount_refunded, now.payment.amount_reserved) == (went_back, NOTHING)
    assert shop.gateway.refunded == 1


async def test_what_a_person_said_of_a_refund_is_not_undone_by_a_gateway_that_shows_nothing() -> None:
    shop = Shop()
    payment = await a_refund_that_nobody_answered(shop)
    shop.gateway.answers_again()
    await decided(shop, payment, Decision.REFUND_HAPPENED)

    for _ in range(5):
        shop.clock.advance(minutes=61)
        await shop.container.reconcile_payments()(100)

    kept = await shop.stored_payment(payment)
    (refund,) = await refunds_of(shop, payment)
    assert (kept.amount_refunded, refund.status) == (Money(13000), RefundStatus.CONFIRMED)


@pytest.mark.invariant("I14")
async def test_a_decision_that_is_made_again_under_its_key_is_answered_and_not_made_again() -> None:
    shop = Shop()
    payment = await paid_too_late(shop)

    def render(now: Verified) -> Answer:
        return Answer(status=200, headers={}, body=f"{now.payment.status} {now.booking.status}".encode())

    once = Once(
        name=KeyName(principal="staff:7", operation="resolve", key="7f4c"), fingerprint="honour it", render=render
    )
    await decided(shop, payment, Decision.HONOUR, once=once)

    with pytest.raises(AlreadyAnswered) as caught:
        await decided(shop, payment, Decision.HONOUR, once=once)

    assert caught.value.answer.body == b"completed confirmed"
    assert (await shop.told(await shop.stored_booking(payment.booking_id))).count("payment.resolved") == 1


async def test_what_was_closed_and_is_paid_after_all_confirms_its_booking() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.gateway.says(payment, "Ambiguous")
    strange = (await shop.when_it_is_verified(payment)).payment
    closed = await decided(shop, strange, Decision.CLOSE)

    shop.gateway.customer_pays(payment)
    now = await shop.when_it_is_verified(payment)

    assert (strange.review_reason, closed.payment.status) == (ReviewReason.UNKNOWN_STATUS, PaymentStatus.FAILED)
    assert now.booking.status is BookingStatus.CONFIRMED

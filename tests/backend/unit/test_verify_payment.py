import asyncio
from collections.abc import Callable

import attrs
import pytest
from attrs import evolve

from sewapay.adapters.fake.gateway import FakeGateway
from sewapay.application.access import Principal, Role, Scope
from sewapay.application.errors import (
    BookingNotFound,
    NotAllowed,
    OutcomeUnknown,
    PaymentNotFound,
    StillBeingChecked,
    StoreUnavailable,
)
from sewapay.application.ports import ReturnMessage
from sewapay.application.verify_payment import GatewayReference, Verification, Verified
from sewapay.domain.booking import BookingStatus
from sewapay.domain.errors import BookingAlreadyPaid
from sewapay.domain.identifiers import BookingId, Environment, PaymentId
from sewapay.domain.money import Money
from sewapay.domain.observation import Observation, Reported
from sewapay.domain.payment import Payment, PaymentStatus, ReviewReason
from tests.backend.unit.world import FailingStore, InterruptedGateway, RerunningStore, until
from tests.shop import KHALTI, PRICE, RAM, SERVICE, SITA, STAFF, Shop, customer

PAID_STORY = [
    "booking.registered",
    "payment.created",
    "payment.opened",
    "payment.completed",
    "booking.confirmed",
]


async def evidence_of(shop: Shop, payment: Payment) -> list[str]:
    """What the gateway said, as it is kept."""
    kept = await shop.store.read(lambda view: view.payments.evidence(payment.id))
    return [one.observation.said for one in kept]


def reference_of(payment: Payment) -> GatewayReference:
    assert payment.gateway_reference is not None
    return GatewayReference(KHALTI, payment.gateway_reference)


async def a_second_payment(shop: Shop, first: Payment) -> Payment:
    """Another payment of the same booking, opened after the first one's link had died."""
    shop.clock.advance(minutes=31)
    booking = await shop.stored_booking(first.booking_id)
    return await shop.when_the_customer_opens_a_checkout(booking)


# -- money that came --------------------------------------------------------------------------------------------------


async def test_a_completed_payment_of_the_right_amount_confirms_its_booking() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.gateway.customer_pays(payment)

    verified = await shop.when_it_is_verified(payment)

    assert (verified.payment.status, verified.payment.amount_paid) == (PaymentStatus.COMPLETED, PRICE)
    assert (verified.booking.status, verified.booking.settled_by) == (BookingStatus.CONFIRMED, payment.id)
    assert await shop.told(verified.booking) == PAID_STORY
    assert await evidence_of(shop, payment) == ["completed"]


@pytest.mark.fault("F23")
async def test_a_hundred_verifications_one_after_another_confirm_once_and_look_once() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.gateway.customer_pays(payment)
    first = await shop.when_it_is_verified(payment)

    shop.clock.advance(days=365)
    answers = [await shop.when_it_is_verified(payment) for _ in range(99)]

    assert [first] * 99 == answers
    assert await shop.told(first.booking) == PAID_STORY
    assert shop.gateway.looked_up == 1


@pytest.mark.fault("F23")
async def test_a_hundred_verifications_at_once_in_one_process_look_once() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.gateway.customer_pays(payment)

    answers = await asyncio.gather(*(shop.when_it_is_verified(payment) for _ in range(100)))

    assert {answer.booking.status for answer in answers} == {BookingStatus.CONFIRMED}
    assert shop.gateway.looked_up == 1


async def test_whoever_asks_while_a_look_is_on_its_way_gets_a_look_of_after_they_asked() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.gateway.holds_answers()
    early = asyncio.create_task(shop.when_it_is_verified(payment))
    await until(lambda: shop.gateway.looked_up == 1)
    shop.gateway.customer_pays(payment)
    late = [asyncio.create_task(shop.when_it_is_verified(payment)) for _ in range(50)]
    await asyncio.sleep(0)

    shop.gateway.releases_answers()
    answers = await asyncio.gather(*late)

    assert (await early).payment.status is PaymentStatus.OPEN
    assert {answer.payment.status for answer in answers} == {PaymentStatus.COMPLETED}
    assert shop.gateway.looked_up == 2


@pytest.mark.fault("F24")
async def test_a_hundred_verifications_at_once_confirm_once_and_all_say_so() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.gateway.customer_pays(payment)
    shop.becomes_several_processes()
    shop.gateway.holds_answers()
    at_once = [asyncio.create_task(shop.when_it_is_verified(payment)) for _ in range(100)]
    await until(lambda: shop.gateway.looked_up == 100)

    shop.gateway.releases_answers()
    answers = await asyncio.gather(*at_once)

    assert {answer.booking.status for answer in answers} == {BookingStatus.CONFIRMED}
    assert {answer.payment.version for answer in answers} == {answers[0].payment.version}
    assert await shop.told(answers[0].booking) == PAID_STORY
    assert await evidence_of(shop, payment) == ["completed"]


async def test_a_transaction_that_runs_twice_confirms_once_and_asks_once() -> None:
    shop = Shop(store=RerunningStore())
    payment = await shop.given_an_open_payment()
    shop.gateway.customer_pays(payment)

    verified = await shop.when_it_is_verified(payment)

    assert verified.booking.settled_by == payment.id
    assert await shop.told(verified.booking) == PAID_STORY
    assert shop.gateway.looked_up == 1


@pytest.mark.fault("F20")
async def test_a_customer_who_pays_and_never_comes_back_is_found_by_whoever_asks() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.gateway.customer_pays(payment)
    shop.clock.advance(days=2)

    verified = await shop.container.verify_payment()(Verification(by=STAFF, payment=payment.id))

    assert verified.booking.status is BookingStatus.CONFIRMED


@pytest.mark.fault("F20")
async def test_an_open_payment_says_when_it_is_due_for_another_look() -> None:
    shop = Shop()

    payment = await shop.given_an_open_payment()

    assert payment.next_check_at is not None
    assert (payment.next_check_at - shop.clock.now()).total_seconds() == 60


@pytest.mark.fault("F22")
@pytest.mark.parametrize("ends", [FakeGateway.customer_cancels, FakeGateway.link_expires, FakeGateway.fails])
async def test_money_that_comes_after_an_end_without_money_confirms_the_booking(
    ends: Callable[[FakeGateway, Payment], None],
) -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    ends(shop.gateway, payment)
    await shop.when_it_is_verified(payment)
    shop.clock.advance(minutes=90)
    shop.gateway.customer_pays(payment)

    verified = await shop.when_it_is_verified(payment)

    assert (verified.payment.status, verified.booking.status) == (PaymentStatus.COMPLETED, BookingStatus.CONFIRMED)


@pytest.mark.fault("F12")
async def test_the_old_payment_is_still_looked_up_after_the_customer_began_again() -> None:
    shop = Shop()
    old = await shop.given_an_open_payment()
    shop.gateway.customer_cancels(old)
    await a_second_payment(shop, old)
    shop.gateway.customer_pays(old)

    verified = await shop.when_it_is_verified(old)

    assert verified.booking.settled_by == old.id


# -- money that came twice, too late, wrongly -------------------------------------------------------------------------


@pytest.mark.fault("F60")
async def test_of_two_paid_payments_the_first_settles_and_the_second_is_surplus() -> None:
    shop = Shop()
    first = await shop.given_an_open_payment()
    second = await a_second_payment(shop, first)
    shop.gateway.customer_pays(first)
    shop.gateway.customer_pays(second)

    settled = await shop.when_it_is_verified(second)
    surplus = await shop.when_it_is_verified(first)

    assert settled.booking.settled_by == surplus.booking.settled_by == second.id
    assert (surplus.payment.status, surplus.payment.surplus) == (PaymentStatus.COMPLETED, True)
    assert not settled.payment.surplus
    story = [*PAID_STORY[:3], *PAID_STORY[1:], "payment.completed", "payment.surplus"]
    assert story == await shop.told(surplus.booking)


@pytest.mark.fault("F60")
async def test_two_paid_payments_verified_at_once_settle_once() -> None:
    shop = Shop()
    first = await shop.given_an_open_payment()
    second = await a_second_payment(shop, first)
    for payment in (first, second):
        shop.gateway.customer_pays(payment)
    shop.gateway.holds_answers()
    looked_before = shop.gateway.looked_up
    both = [asyncio.create_task(shop.when_it_is_verified(payment)) for payment in (first, second)]
    await until(lambda: shop.gateway.looked_up == looked_before + 2)

    shop.gateway.releases_answers()
    answers = await asyncio.gather(*both)

    assert sorted(answer.payment.surplus for answer in answers) == [False, True]
    assert (await shop.told(answers[0].booking)).count("booking.confirmed") == 1


@pytest.mark.fault("F61")
async def test_money_for_a_canceled_booking_is_kept_and_reviewed() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    await shop.when_the_booking_is_canceled(await shop.stored_booking(payment.booking_id))
    shop.gateway.customer_pays(payment)

    verified = await shop.when_it_is_verified(payment)

    assert verified.booking.status is BookingStatus.CANCELED
    assert verified.payment.status is PaymentStatus.UNDER_REVIEW
    assert verified.payment.review_reason is ReviewReason.BOOKING_CANCELED
    assert verified.payment.amount_paid == PRICE


@pytest.mark.fault("F61")
async def test_a_booking_canceled_while_the_answer_is_on_its_way_is_not_confirmed() -> None:
    gateway = InterruptedGateway()
    shop = Shop(gateway=gateway)
    shop.becomes_several_processes()
    payment = await shop.given_an_open_payment()
    booking = await shop.stored_booking(payment.booking_id)
    gateway.customer_pays(payment)
    gateway.while_looking = lambda: shop.when_the_booking_is_canceled(booking)

    verified = await shop.when_it_is_verified(payment)

    assert verified.booking.status is BookingStatus.CANCELED
    assert verified.payment.review_reason is ReviewReason.BOOKING_CANCELED
    assert verified.payment.money_was_seen


async def test_a_booking_that_was_just_paid_is_not_canceled() -> None:
    shop = Shop()
    paid = await shop.given_a_paid_booking()

    with pytest.raises(BookingAlreadyPaid, match="can be refunded"):
        await shop.when_the_booking_is_canceled(paid.booking)

    assert await shop.stored_booking(paid.booking) == paid.booking


@pytest.mark.fault("F61")
async def test_money_for_a_canceled_booking_seen_again_and_again_changes_nothing_more() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    await shop.when_the_booking_is_canceled(await shop.stored_booking(payment.booking_id))
    shop.gateway.customer_pays(payment)
    first = await shop.when_it_is_verified(payment)

    again = [await shop.when_it_is_verified(payment) for _ in range(10)]

    assert [first] * 10 == again
    assert await evidence_of(shop, payment) == ["completed"]


@pytest.mark.fault("F47")
@pytest.mark.parametrize("paid", [Money(112999), Money(113001), Money(1130), Money(11300000)])
async def test_another_amount_than_is_owed_never_confirms(paid: Money) -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.gateway.customer_pays(payment, paid)

    verified = await shop.when_it_is_verified(payment)

    assert verified.booking.status is BookingStatus.PENDING
    assert (verified.payment.status, verified.payment.amount_paid) == (PaymentStatus.UNDER_REVIEW, paid)
    assert verified.payment.review_reason is ReviewReason.AMOUNT_MISMATCH


@pytest.mark.fault("F47")
async def test_an_answer_about_another_payment_confirms_neither() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    other = await shop.given_an_open_payment()
    shop.gateway.customer_pays(other)
    shop.gateway.answers(payment, shop.gateway.payments[str(other.gateway_reference)].answer)

    verified = await shop.when_it_is_verified(payment)

    assert verified.booking.status is BookingStatus.PENDING
    assert verified.payment.review_reason is ReviewReason.REFERENCE_MISMATCH
    assert (await shop.stored_payment(other)).status is PaymentStatus.OPEN


@pytest.mark.fault("F53")
@pytest.mark.invariant("I5")
async def test_one_transaction_of_the_gateway_never_pays_two_bookings() -> None:
    shop = Shop()
    first, second = await shop.given_an_open_payment(), await shop.given_an_open_payment()
    for payment in (first, second):
        shop.gateway.customer_pays(payment, transaction_id="the same")
    await shop.when_it_is_verified(first)

    repeated = await shop.when_it_is_verified(second)

    assert repeated.booking.status is BookingStatus.PENDING
    assert repeated.payment.review_reason is ReviewReason.TRANSACTION_REPEATED
    assert (await shop.stored_booking(first.booking_id)).status is BookingStatus.CONFIRMED


@pytest.mark.fault("F52")
async def test_completed_and_refunded_at_once_is_reviewed() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.gateway.customer_pays(payment)
    answer = shop.gateway.payments[str(payment.gateway_reference)].answer
    shop.gateway.answers(payment, evolve(answer, refunded=True))

    verified = await shop.when_it_is_verified(payment)

    assert verified.booking.status is BookingStatus.PENDING
    assert verified.payment.review_reason is ReviewReason.CONTRADICTORY


@pytest.mark.fault("F50")
@pytest.mark.parametrize(
    ("partly", "status", "given_back"),
    [(False, PaymentStatus.REFUNDED, PRICE), (True, PaymentStatus.PARTIALLY_REFUNDED, None)],
)
async def test_money_given_back_in_the_gateways_panel_is_noticed(
    partly: bool, status: PaymentStatus, given_back: Money | None
) -> None:
    shop = Shop()
    paid = await shop.given_a_paid_booking()
    shop.gateway.merchant_refunds(paid.payment, partly=partly)

    verified = await shop.when_it_is_verified(paid.payment, even_if_settled=True)

    assert (verified.payment.status, verified.payment.amount_refunded) == (status, given_back)
    assert verified.payment.amount_paid == PRICE
    assert verified.booking.settled_by == paid.payment.id


@pytest.mark.fault("F51")
@pytest.mark.parametrize(
    "later",
    [
        FakeGateway.leaves_pending,
        FakeGateway.customer_cancels,
        FakeGateway.link_expires,
        FakeGateway.fails,
        FakeGateway.forgets,
    ],
)
async def test_a_gateway_that_goes_back_in_time_takes_nothing_away(
    later: Callable[[FakeGateway, Payment], None],
) -> None:
    shop = Shop()
    paid = await shop.given_a_paid_booking()
    later(shop.gateway, paid.payment)

    verified = await shop.when_it_is_verified(paid.payment, even_if_settled=True)

    assert (verified.payment.status, verified.booking.status) == (PaymentStatus.COMPLETED, BookingStatus.CONFIRMED)
    assert verified.payment.amount_paid == PRICE
    asks = ["payment.needs_attention"] if later is FakeGateway.customer_cancels else []
    told = await shop.told(paid.booking)
    assert told[told.index("booking.confirmed") + 1 :] == ["payment.contradicted", *asks]


@pytest.mark.fault("F54")
async def test_an_old_answer_that_arrives_after_completed_is_dropped() -> None:
    gateway = InterruptedGateway()
    shop = Shop(gateway=gateway)
    shop.becomes_several_processes()
    payment = await shop.given_an_open_payment()

    async def another_look_finds_the_money() -> None:
        gateway.customer_pays(payment)
        await shop.when_it_is_verified(payment)

    gateway.while_looking = another_look_finds_the_money
    verified = await shop.when_it_is_verified(payment)

    assert (verified.payment.status, verified.booking.status) == (PaymentStatus.COMPLETED, BookingStatus.CONFIRMED)
    assert await shop.told(verified.booking) == PAID_STORY


@pytest.mark.fault("F54")
async def test_an_old_completed_answer_does_not_hide_a_newer_partial_refund() -> None:
    gateway = InterruptedGateway()
    shop = Shop(gateway=gateway)
    shop.becomes_several_processes()
    payment = await shop.given_an_open_payment()
    gateway.customer_pays(payment)

    async def a_part_is_given_back_and_seen() -> None:
        gateway.merchant_refunds(payment, partly=True)
        await shop.when_it_is_verified(payment)

    gateway.while_looking = a_part_is_given_back_and_seen
    verified = await shop.when_it_is_verified(payment)

    assert verified.booking.status is BookingStatus.PENDING
    assert verified.payment.review_reason is ReviewReason.REFUNDED_OUTSIDE
    assert verified.payment.amount_refunded is None


# -- no money yet, or no answer ---------------------------------------------------------------------------------------


@pytest.mark.fault("F21")
@pytest.mark.fault("F49")
async def test_a_payment_that_is_pending_for_days_is_kept_and_confirmed_when_it_completes() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.gateway.leaves_pending(payment)
    for _ in range(5):
        pending = await shop.when_it_is_verified(payment)
        assert (pending.payment.status, pending.booking.status) == (PaymentStatus.PENDING, BookingStatus.PENDING)
        assert pending.payment.next_check_at is not None
        shop.clock.advance(days=1)
    shop.gateway.customer_pays(payment)

    verified = await shop.when_it_is_verified(payment)

    assert verified.booking.status is BookingStatus.CONFIRMED
    assert await evidence_of(shop, payment) == ["pending", "completed"]


@pytest.mark.fault("F40")
@pytest.mark.fault("F41")
@pytest.mark.parametrize(
    "fault",
    [
        FakeGateway.goes_silent,
        FakeGateway.talks_nonsense,
        FakeGateway.refuses_connections,
        FakeGateway.refuses_key,
    ],
)
async def test_without_a_usable_answer_the_status_stays_and_nothing_is_raised(
    fault: Callable[[FakeGateway], None],
) -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.gateway.customer_pays(payment)
    fault(shop.gateway)

    verified = await shop.when_it_is_verified(payment)

    assert (verified.payment.status, verified.payment.outcome_unknown) == (PaymentStatus.OPEN, True)
    assert verified.booking.status is BookingStatus.PENDING
    assert verified.payment.next_check_at is not None


@pytest.mark.fault("F40")
async def test_the_next_answer_after_a_silence_settles_the_booking() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.gateway.customer_pays(payment)
    shop.gateway.goes_silent()
    await shop.when_it_is_verified(payment)
    shop.gateway.answers_again()

    verified = await shop.when_it_is_verified(payment)

    assert verified.booking.status is BookingStatus.CONFIRMED
    assert not verified.payment.outcome_unknown


@pytest.mark.fault("F40")
async def test_a_long_silence_is_told_once() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.gateway.goes_silent()

    for _ in range(20):
        verified = await shop.when_it_is_verified(payment)
        shop.clock.advance(minutes=5)

    assert await shop.told(verified.booking) == [*PAID_STORY[:3], "payment.outcome_unknown"]


@pytest.mark.fault("F40")
async def test_a_silence_that_ends_after_the_money_was_seen_elsewhere_makes_nothing_unknown() -> None:
    gateway = InterruptedGateway()
    shop = Shop(gateway=gateway)
    shop.becomes_several_processes()
    payment = await shop.given_an_open_payment()

    async def another_look_finds_the_money_and_this_answer_is_lost() -> None:
        gateway.customer_pays(payment)
        await shop.when_it_is_verified(payment)
        raise OutcomeUnknown("the connection broke")

    gateway.while_looking = another_look_finds_the_money_and_this_answer_is_lost
    verified = await shop.when_it_is_verified(payment)

    assert (verified.payment.status, verified.payment.outcome_unknown) == (PaymentStatus.COMPLETED, False)


async def comes_back(shop: Shop, payment: Payment) -> Verified:
    """The customer's browser, with nothing that proves anything."""
    message = ReturnMessage(values=(("status", "Completed"),))
    return await shop.container.verify_payment()(Verification(by=None, payment=payment.id, brought=message))


async def an_expired_payment(shop: Shop) -> Payment:
    payment = await shop.given_an_open_payment()
    shop.clock.advance(minutes=31)
    shop.gateway.link_expires(payment)
    return (await shop.when_it_is_verified(payment)).payment


@pytest.mark.fault("F22")
async def test_whoever_comes_back_late_while_the_gateway_is_silent_is_not_led_to_pay_again() -> None:
    shop = Shop()
    ended = await an_expired_payment(shop)
    shop.gateway.customer_pays(ended)
    shop.gateway.goes_silent()

    back = await comes_back(shop, ended)
    again = await comes_back(shop, ended)

    assert ended.status is PaymentStatus.EXPIRED
    assert (back.payment.status, back.payment.outcome_unknown) == (PaymentStatus.EXPIRED, True)
    assert again == back, "a second return tells nothing new"
    with pytest.raises(StillBeingChecked):
        await shop.when_the_customer_opens_a_checkout(back.booking)
    shop.gateway.answers_again()
    shop.clock.advance(minutes=2)
    await shop.container.reconcile_payments()(limit=50)
    assert (await shop.stored_booking(back.booking)).status is BookingStatus.CONFIRMED


@pytest.mark.fault("F22")
async def test_the_answer_after_that_silence_may_be_that_nothing_was_paid() -> None:
    shop = Shop()
    ended = await an_expired_payment(shop)
    shop.gateway.goes_silent()
    back = await comes_back(shop, ended)
    shop.gateway.answers_again()

    answered = await comes_back(shop, ended)
    second = await shop.when_the_customer_opens_a_checkout(answered.booking)

    assert back.payment.outcome_unknown
    assert (answered.payment.status, answered.payment.outcome_unknown) == (PaymentStatus.EXPIRED, False)
    assert second.status is PaymentStatus.OPEN


@pytest.mark.fault("F22")
async def test_long_after_the_last_planned_look_an_old_address_locks_no_booking() -> None:
    shop = Shop()
    ended = await an_expired_payment(shop)
    shop.clock.advance(days=40)
    shop.gateway.goes_silent()

    back = await comes_back(shop, ended)

    assert not back.payment.outcome_unknown
    assert back.payment.next_check_at is not None, "it is looked at all the same"
    await shop.container.reconcile_payments()(limit=50)
    assert (await shop.stored_payment(ended)).review_reason is None


@pytest.mark.fault("F22")
async def test_an_old_address_of_a_gateway_that_is_not_enabled_any_more_locks_no_booking() -> None:
    shop = Shop()
    ended = await an_expired_payment(shop)
    shop.takes()

    back = await comes_back(shop, ended)

    assert (back.payment.status, back.payment.outcome_unknown) == (PaymentStatus.EXPIRED, False)


@pytest.mark.fault("F22")
async def test_a_silence_that_nobody_came_back_to_makes_nothing_unknown_that_had_ended() -> None:
    shop = Shop()
    ended = await an_expired_payment(shop)
    shop.gateway.goes_silent()

    asked = await shop.when_it_is_verified(ended)

    assert (asked.payment.status, asked.payment.outcome_unknown) == (PaymentStatus.EXPIRED, False)


@pytest.mark.fault("F22")
async def test_whoever_does_not_wait_for_a_slow_answer_is_not_led_to_pay_again_either() -> None:
    shop = Shop()
    ended = await an_expired_payment(shop)
    shop.gateway.customer_pays(ended)
    verify = shop.container.verify_payment()

    async def told() -> Verified:
        return await verify.without_waiting(
            Verification(by=None, payment=ended.id, brought=ReturnMessage(values=(("status", "Completed"),)))
        )

    given_up = await told()

    assert (given_up.payment.status, given_up.payment.outcome_unknown) == (PaymentStatus.EXPIRED, True)
    assert (await told()) == given_up
    assert shop.gateway.looked_up == 1, "nobody is asked again meanwhile"


@pytest.mark.parametrize("brought", [None, ReturnMessage(values=())])
async def test_what_is_paid_stays_paid_for_whoever_does_not_wait(brought: ReturnMessage | None) -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.gateway.customer_pays(payment)
    paid = await shop.when_it_is_verified(payment)

    given_up = await shop.container.verify_payment().without_waiting(
        Verification(by=None, payment=payment.id, brought=brought)
    )

    assert given_up == paid


@pytest.mark.fault("F46")
async def test_a_payment_that_the_gateway_does_not_find_is_unknown_and_not_failed() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.gateway.forgets(payment)

    verified = await shop.when_it_is_verified(payment)

    assert (verified.payment.status, verified.payment.outcome_unknown) == (PaymentStatus.OPEN, True)
    assert verified.payment.is_undecided


@pytest.mark.fault("F45")
@pytest.mark.parametrize(
    ("ends", "status"),
    [
        (FakeGateway.customer_cancels, PaymentStatus.CANCELED),
        (FakeGateway.link_expires, PaymentStatus.EXPIRED),
        (FakeGateway.fails, PaymentStatus.FAILED),
    ],
)
async def test_an_end_without_money_is_an_answer_like_any_other(
    ends: Callable[[FakeGateway, Payment], None], status: PaymentStatus
) -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    ends(shop.gateway, payment)

    verified = await shop.when_it_is_verified(payment)

    assert (verified.payment.status, verified.booking.status) == (status, BookingStatus.PENDING)
    assert not verified.payment.is_undecided


@pytest.mark.fault("F48")
@pytest.mark.parametrize("word", ["Ambiguous", "Canceled", "COMPLETED ", "completed!", ""])
async def test_a_word_that_nobody_knows_is_held_for_a_person(word: str) -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.gateway.says(payment, word)

    verified = await shop.when_it_is_verified(payment)

    assert verified.booking.status is BookingStatus.PENDING
    assert verified.payment.review_reason is ReviewReason.UNKNOWN_STATUS
    assert await evidence_of(shop, payment) == [word]


@pytest.mark.fault("F01")
async def test_a_payment_whose_link_nobody_has_is_not_looked_up() -> None:
    shop = Shop()
    booking = await shop.given_a_booking()
    shop.gateway.goes_silent()
    with pytest.raises(OutcomeUnknown):
        await shop.when_the_customer_opens_a_checkout(booking)
    (lost,) = await shop.stored_payments(booking)
    shop.gateway.answers_again()

    verified = await shop.when_it_is_verified(lost)

    assert verified.payment == lost
    assert shop.gateway.looked_up == 0


async def test_an_answer_that_could_not_be_stored_is_asked_for_again() -> None:
    store = FailingStore()
    shop = Shop(store=store)
    payment = await shop.given_an_open_payment()
    shop.gateway.customer_pays(payment)
    store.fails_at(1)
    with pytest.raises(StoreUnavailable):
        await shop.when_it_is_verified(payment)
    assert (await shop.stored_payment(payment)).status is PaymentStatus.OPEN

    verified = await shop.when_it_is_verified(payment)

    assert verified.booking.settled_by == payment.id


async def test_a_sandbox_payment_is_never_looked_up_where_money_is_real() -> None:
    sandbox = Shop()
    payment = await sandbox.given_an_open_payment()
    real = FakeGateway(name=KHALTI, environment=Environment.PRODUCTION)
    production = Shop(store=sandbox.memory, gateway=real)

    verified = await production.when_it_is_verified(payment)

    assert (verified.payment.status, verified.payment.outcome_unknown) == (PaymentStatus.OPEN, True)
    assert real.looked_up == 0


# -- what comes from the browser --------------------------------------------------------------------------------------


@pytest.mark.fault("F26")
@pytest.mark.fault("F27")
def test_a_verification_has_no_place_for_what_a_browser_claims() -> None:
    names = [field.name for field in attrs.fields(Verification)]

    # `brought` is read by the gateway alone, and counts for nothing unless the gateway itself signed it
    assert names == ["by", "payment", "booking_id", "even_if_settled", "brought"]


@pytest.mark.fault("F27")
async def test_whatever_the_browser_said_the_look_up_decides() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.gateway.customer_cancels(payment)

    came_back_as_completed = await shop.when_it_is_verified(payment)

    assert came_back_as_completed.payment.status is PaymentStatus.CANCELED


@pytest.mark.fault("F29")
@pytest.mark.fault("F30")
async def test_a_return_needs_no_login_and_may_come_before_the_customer_paid() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()

    prefetched = await shop.when_it_is_verified(payment)
    shop.gateway.customer_pays(payment)
    returned = await shop.when_it_is_verified(payment)

    assert prefetched.payment.status is PaymentStatus.OPEN
    assert returned.booking.status is BookingStatus.CONFIRMED


@pytest.mark.fault("F25")
async def test_a_gateway_reference_finds_its_payment() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.gateway.customer_pays(payment)

    verified = await shop.container.verify_payment()(
        Verification(by=customer(), payment=reference_of(payment), booking_id=payment.booking_id)
    )

    assert verified.booking.settled_by == payment.id


@pytest.mark.fault("F25")
async def test_a_reference_of_another_booking_settles_nothing_and_asks_nobody() -> None:
    shop = Shop()
    mine = await shop.given_an_open_payment()
    other = await shop.given_an_open_payment()
    shop.gateway.customer_pays(other)

    with pytest.raises(PaymentNotFound):
        await shop.container.verify_payment()(
            Verification(by=customer(), payment=reference_of(other), booking_id=mine.booking_id)
        )

    assert shop.gateway.looked_up == 0
    assert (await shop.stored_booking(mine.booking_id)).status is BookingStatus.PENDING


@pytest.mark.fault("F25")
@pytest.mark.parametrize("reference", ["never-given-out", "", "x" * 64_000, "' OR 1=1 --", "\x00"])
async def test_an_unknown_reference_asks_nobody(reference: str) -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()

    with pytest.raises(PaymentNotFound):
        await shop.container.verify_payment()(
            Verification(by=customer(), payment=GatewayReference(KHALTI, reference), booking_id=payment.booking_id)
        )

    assert shop.gateway.looked_up == 0


@pytest.mark.fault("F25")
async def test_somebody_elses_payment_and_a_missing_one_look_the_same() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment(await shop.given_a_booking(who=SITA))
    missing = PaymentId("00000000-0000-4000-8000-000000000000")

    with pytest.raises(PaymentNotFound) as foreign:
        await shop.container.verify_payment()(Verification(by=customer(RAM), payment=payment.id))
    with pytest.raises(PaymentNotFound) as unknown:
        await shop.container.verify_payment()(Verification(by=customer(RAM), payment=missing))

    assert str(unknown.value) == str(foreign.value)
    assert shop.gateway.looked_up == 0


async def test_somebody_elses_booking_and_a_missing_one_look_the_same() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment(await shop.given_a_booking(who=SITA))
    verify = shop.container.verify_payment()

    with pytest.raises(BookingNotFound) as foreign:
        await verify(Verification(by=customer(RAM), payment=payment.id, booking_id=payment.booking_id))
    with pytest.raises(BookingNotFound) as missing:
        await verify(Verification(by=customer(RAM), payment=payment.id, booking_id=BookingId(999)))

    assert str(missing.value) == str(foreign.value)


async def test_only_those_who_may_verify_can() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    reader = evolve(SERVICE, scopes=frozenset({Scope.READ}))
    stranger = Principal(role=Role.LINK, id="999")

    with pytest.raises(NotAllowed):
        await shop.container.verify_payment()(Verification(by=reader, payment=payment.id))
    with pytest.raises(PaymentNotFound):
        await shop.container.verify_payment()(Verification(by=stranger, payment=payment.id))

    assert shop.gateway.looked_up == 0


async def test_an_answer_without_money_adds_no_money() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.gateway.answers(
        payment,
        Observation(reported=Reported.PENDING, said="pending", amount=PRICE, transaction_id="early", refunded=False),
    )

    verified = await shop.when_it_is_verified(payment)

    assert (verified.payment.amount_paid, verified.payment.transaction_id) == (None, None)
    assert not verified.payment.money_was_seen

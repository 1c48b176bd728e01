"""Payments at a gateway that is sent a form by the browser: it hears of them only then, and gives no reference."""

import pytest
from attrs import evolve

from sewapay.adapters.fake.gateway import FAKE_FORM_CAPABILITIES, FakeGateway
from sewapay.application.errors import PaymentNotFound, RefundsNotOffered, StillBeingChecked
from sewapay.application.open_checkout import CheckoutRequest
from sewapay.application.ports import Authenticity, RefundKind, ReturnHint, ReturnMessage
from sewapay.application.refund_payment import RefundRequest
from sewapay.application.verify_payment import OurReference, Verification
from sewapay.domain.booking import Booking, BookingStatus
from sewapay.domain.checkout import PostForm
from sewapay.domain.identifiers import Environment, GatewayName, OrderReference
from sewapay.domain.money import Money
from sewapay.domain.observation import Reported
from sewapay.domain.payment import Payment, PaymentStatus, ReviewReason
from tests.shop import STAFF, Shop, customer

FORMS = GatewayName("forms")
REDIRECTS = GatewayName("khalti")


class TwoGateways(Shop):
    """A shop that takes a gateway of forms beside the one that redirects."""

    def __init__(self) -> None:
        super().__init__()
        self.forms = FakeGateway(name=FORMS, capabilities=FAKE_FORM_CAPABILITIES)
        self.takes(self.forms, self.gateway)

    async def opens(self, booking: Booking, gateway: GatewayName = FORMS) -> Payment:
        request = CheckoutRequest(by=customer(), booking_id=booking.id, gateway=gateway)
        return (await self.container.open_checkout()(request)).payment


@pytest.fixture
def shop() -> TwoGateways:
    return TwoGateways()


async def test_a_form_is_opened_without_a_reference_of_the_gateway_and_settles_by_ours(shop: TwoGateways) -> None:
    booking = await shop.given_a_booking()
    payment = await shop.opens(booking)

    shop.forms.customer_pays(payment)
    verified = await shop.when_it_is_verified(payment)

    assert isinstance(payment.next_step, PostForm)
    assert payment.gateway_reference is None
    assert (verified.payment.status, verified.booking.status) == (PaymentStatus.COMPLETED, BookingStatus.CONFIRMED)


async def test_a_form_that_nobody_posted_is_open_and_nothing_is_unknown_about_it(shop: TwoGateways) -> None:
    payment = await shop.opens(await shop.given_a_booking())

    verified = await shop.when_it_is_verified(payment)

    assert (verified.payment.status, verified.payment.needs_attention) == (PaymentStatus.OPEN, False)


async def test_what_is_absent_is_not_over_before_the_form_is_long_dead(shop: TwoGateways) -> None:
    payment = await shop.opens(await shop.given_a_booking())
    shop.clock.advance(minutes=39)
    before = await shop.when_it_is_verified(payment)
    shop.clock.advance(minutes=1)

    after = await shop.when_it_is_verified(payment)

    assert (before.payment.status, after.payment.status) == (PaymentStatus.OPEN, PaymentStatus.EXPIRED)


async def test_an_attempt_that_was_left_is_held_until_the_form_is_long_dead(shop: TwoGateways) -> None:
    payment = await shop.opens(await shop.given_a_booking())
    shop.forms.leaves_pending(payment)
    await shop.when_it_is_verified(payment)
    shop.forms.says(payment, "absent", Reported.ABSENT)
    left = await shop.when_it_is_verified(payment)
    shop.clock.advance(minutes=40)

    over = await shop.when_it_is_verified(payment)

    assert (left.payment.status, over.payment.status) == (PaymentStatus.PENDING, PaymentStatus.EXPIRED)


async def test_a_form_that_is_paid_a_day_late_confirms_the_booking_without_anybody(shop: TwoGateways) -> None:
    payment = await shop.opens(await shop.given_a_booking())
    shop.clock.advance(minutes=45)
    await shop.container.reconcile_payments()(limit=50)
    expired = await shop.stored_payment(payment)
    shop.forms.customer_pays(payment)
    shop.clock.advance(days=1.2)

    await shop.container.reconcile_payments()(limit=50)

    late = await shop.stored_payment(payment)
    assert (expired.status, late.status) == (PaymentStatus.EXPIRED, PaymentStatus.COMPLETED)
    assert (await shop.stored_booking(payment.booking_id)).status is BookingStatus.CONFIRMED


async def test_a_form_that_is_paid_ten_days_late_is_found_although_no_browser_came_back(shop: TwoGateways) -> None:
    payment = await shop.opens(await shop.given_a_booking())
    for _ in range(10):
        shop.clock.advance(days=1)
        await shop.container.reconcile_payments()(limit=50)
    shop.forms.customer_pays(payment)
    shop.clock.advance(days=5)

    await shop.container.reconcile_payments()(limit=50)

    assert (await shop.stored_payment(payment)).status is PaymentStatus.COMPLETED
    assert (await shop.stored_booking(payment.booking_id)).status is BookingStatus.CONFIRMED


async def test_a_gateway_that_does_not_know_itself_is_asked_again_and_a_person_is_told(shop: TwoGateways) -> None:
    payment = await shop.opens(await shop.given_a_booking())
    shop.forms.says(payment, "AMBIGUOUS", Reported.AMBIGUOUS)

    halted = (await shop.when_it_is_verified(payment)).payment
    shop.forms.customer_pays(payment)
    paid = (await shop.when_it_is_verified(payment)).payment

    assert (halted.status, halted.outcome_unknown, halted.needs_attention) == (PaymentStatus.PENDING, True, True)
    assert (paid.status, paid.outcome_unknown) == (PaymentStatus.COMPLETED, False)


async def test_nobody_is_asked_to_pay_again_while_the_gateway_does_not_know(shop: TwoGateways) -> None:
    booking = await shop.given_a_booking()
    payment = await shop.opens(booking)
    shop.forms.says(payment, "AMBIGUOUS", Reported.AMBIGUOUS)

    with pytest.raises(StillBeingChecked):
        await shop.opens(booking, REDIRECTS)


async def test_an_answer_under_another_order_reference_is_about_another_payment(shop: TwoGateways) -> None:
    one, other = await shop.opens(await shop.given_a_booking()), await shop.opens(await shop.given_a_booking())
    shop.forms.customer_pays(other)
    shop.forms.answers(one, shop.forms.payments[f"fake_{other.order_reference}"].answer)

    swapped = await shop.when_it_is_verified(one)

    assert swapped.payment.review_reason is ReviewReason.REFERENCE_MISMATCH
    assert swapped.booking.status is BookingStatus.PENDING


async def test_pressing_twice_gives_one_form_and_coming_back_later_another(shop: TwoGateways) -> None:
    booking = await shop.given_a_booking()
    first = await shop.opens(booking)
    shop.clock.advance(seconds=9)
    twice = await shop.opens(booking)
    shop.clock.advance(seconds=1)

    later = await shop.opens(booking)

    assert twice.id == first.id != later.id
    assert first.order_reference != later.order_reference
    assert (await shop.stored_payment(first)).next_check_at is not None, "watched until it is final"


async def test_the_first_of_two_forms_may_be_paid_and_then_no_third_is_given(shop: TwoGateways) -> None:
    booking = await shop.given_a_booking()
    first = await shop.opens(booking)
    shop.clock.advance(minutes=1)
    second = await shop.opens(booking)
    shop.forms.customer_pays(first)
    shop.clock.advance(minutes=40)

    await shop.container.reconcile_payments()(limit=50)

    assert (await shop.stored_payment(first)).status is PaymentStatus.COMPLETED
    assert (await shop.stored_payment(second)).status is PaymentStatus.EXPIRED
    assert (await shop.stored_booking(booking)).status is BookingStatus.CONFIRMED


async def test_two_forms_of_one_booking_that_are_both_paid_leave_a_surplus(shop: TwoGateways) -> None:
    booking = await shop.given_a_booking()
    first = await shop.opens(booking)
    shop.clock.advance(minutes=1)
    second = await shop.opens(booking)
    for payment in (second, first):
        shop.forms.customer_pays(payment)

    await shop.when_it_is_verified(second)
    surplus = await shop.when_it_is_verified(first)

    assert surplus.payment.surplus
    assert surplus.booking.settled_by == second.id


async def test_whoever_changes_the_gateway_pays_there_and_the_first_attempt_is_watched(shop: TwoGateways) -> None:
    booking = await shop.given_a_booking()
    form = await shop.opens(booking)
    redirect = await shop.opens(booking, REDIRECTS)
    shop.gateway.customer_pays(redirect)
    await shop.when_it_is_verified(redirect)
    shop.forms.customer_pays(form)
    shop.clock.advance(minutes=40)

    await shop.container.reconcile_payments()(limit=50)

    assert (await shop.stored_booking(booking)).settled_by == redirect.id
    assert (await shop.stored_payment(form)).holds_surplus
    assert (shop.gateway.looked_up, shop.forms.looked_up > 0) == (1, True), "each asked its own gateway"


async def test_a_form_is_found_by_our_reference_at_its_own_gateway_only(shop: TwoGateways) -> None:
    payment = await shop.opens(await shop.given_a_booking())
    ours = OurReference(FORMS, Environment.SANDBOX, payment.order_reference)

    found = await shop.container.verify_payment()(Verification(by=None, payment=ours))

    assert found.payment.id == payment.id
    for elsewhere in (
        OurReference(REDIRECTS, Environment.SANDBOX, payment.order_reference),
        OurReference(FORMS, Environment.PRODUCTION, payment.order_reference),
        OurReference(FORMS, Environment.SANDBOX, OrderReference("Z" * 20)),
    ):
        with pytest.raises(PaymentNotFound):
            await shop.container.verify_payment()(Verification(by=None, payment=elsewhere))


async def test_a_refund_where_there_is_none_says_where_to_do_it(shop: TwoGateways) -> None:
    payment = await shop.opens(await shop.given_a_booking())
    shop.forms.customer_pays(payment)
    await shop.when_it_is_verified(payment)
    wanted = RefundRequest(by=STAFF, payment_id=payment.id, amount=Money(100), reason="not needed")

    with pytest.raises(RefundsNotOffered, match="refund it in the fake's panel"):
        await shop.container.refund_payment()(wanted)

    assert shop.forms.capabilities.refunds is RefundKind.NONE


async def test_whoever_left_a_dozen_forms_may_still_pay_another_way(shop: TwoGateways) -> None:
    booking = await shop.given_a_booking()
    for _ in range(12):
        await shop.opens(booking)
        shop.clock.advance(seconds=11)

    payment = await shop.opens(booking, REDIRECTS)

    assert payment.status is PaymentStatus.OPEN
    assert len(await shop.stored_payments(booking)) == 13


class Signing(FakeGateway):
    """A gateway of forms that signs what the browser brings back."""

    def read_return(self, message: ReturnMessage) -> ReturnHint:
        values = dict(message.values)
        return ReturnHint(
            authenticity=Authenticity(values.get("authenticity", Authenticity.UNSIGNED)),
            claims=values.get("status"),
            order_reference=values.get("reference"),
            says_paid=values.get("status") == "COMPLETE",
        )


@pytest.fixture
def signing(shop: TwoGateways) -> Signing:
    shop.forms = Signing(name=FORMS, capabilities=FAKE_FORM_CAPABILITIES)
    shop.takes(shop.forms, shop.gateway)
    return shop.forms


def brought(
    payment: Payment, *, authenticity: Authenticity = Authenticity.SIGNED, status: str = "COMPLETE"
) -> ReturnMessage:
    values = {"authenticity": authenticity, "status": status, "reference": payment.order_reference}
    return ReturnMessage(values=tuple(values.items()))


async def when_its_life_is_over(shop: TwoGateways, payment: Payment) -> Payment:
    """The payment, after a look that the gateway is asked for when its form ought to be dead."""
    shop.clock.advance(minutes=45)
    return (await shop.when_it_is_verified(payment)).payment


async def comes_back(shop: TwoGateways, payment: Payment, message: ReturnMessage) -> Payment:
    verification = Verification(by=None, payment=payment.id, brought=message)
    return (await shop.container.verify_payment()(verification)).payment


async def test_whoever_brings_the_gateways_signed_word_is_not_led_to_pay_again_while_the_look_up_lags(
    shop: TwoGateways, signing: Signing
) -> None:
    booking = await shop.given_a_booking()
    payment = await shop.opens(booking)

    vouched = await comes_back(shop, payment, brought(payment))
    again = await shop.when_it_is_verified(payment)

    assert (vouched.status, vouched.money_was_seen) == (PaymentStatus.PENDING, False)
    assert again.payment.status is PaymentStatus.PENDING, "a look-up that still lags undoes nothing"
    assert (await shop.stored_booking(booking)).status is BookingStatus.PENDING
    with pytest.raises(StillBeingChecked):
        await shop.opens(booking, REDIRECTS)
    assert await shop.told(booking) == ["booking.registered", "payment.created", "payment.opened", "payment.pending"]


async def test_what_a_signed_return_said_is_confirmed_by_the_look_up_alone(shop: TwoGateways, signing: Signing) -> None:
    payment = await shop.opens(await shop.given_a_booking())
    await comes_back(shop, payment, brought(payment))
    signing.customer_pays(payment)

    verified = await shop.when_it_is_verified(payment)

    assert (verified.payment.status, verified.booking.status) == (PaymentStatus.COMPLETED, BookingStatus.CONFIRMED)


async def test_a_signed_word_counts_while_the_gateway_is_silent_too(shop: TwoGateways, signing: Signing) -> None:
    payment = await shop.opens(await shop.given_a_booking())
    signing.goes_silent()

    vouched = await comes_back(shop, payment, brought(payment))

    assert (vouched.status, vouched.outcome_unknown) == (PaymentStatus.PENDING, True)


async def test_whoever_paid_after_the_end_and_brings_the_signed_word_is_not_led_to_pay_again(
    shop: TwoGateways, signing: Signing
) -> None:
    booking = await shop.given_a_booking()
    payment = await shop.opens(booking)
    ended = await when_its_life_is_over(shop, payment)
    signing.goes_silent()

    vouched = await comes_back(shop, payment, brought(payment))
    again = await comes_back(shop, payment, brought(payment))

    assert ended.status is PaymentStatus.EXPIRED
    assert (vouched.status, vouched.outcome_unknown) == (PaymentStatus.EXPIRED, True)
    assert again == vouched
    with pytest.raises(StillBeingChecked):
        await shop.opens(booking, REDIRECTS)


@pytest.mark.parametrize("paid_after", ["its life", "its end"])
async def test_a_signed_word_is_kept_however_long_the_look_up_lags(
    shop: TwoGateways, signing: Signing, paid_after: str
) -> None:
    booking = await shop.given_a_booking()
    payment = await shop.opens(booking)
    if paid_after == "its end":
        await when_its_life_is_over(shop, payment)
    await comes_back(shop, payment, brought(payment))

    lagging = await when_its_life_is_over(shop, payment)

    assert (lagging.is_undecided, lagging.money_was_seen) == (True, False), "the look-up still knows nothing of it"
    with pytest.raises(StillBeingChecked):
        await shop.opens(booking, REDIRECTS)
    signing.customer_pays(payment)
    found = await shop.when_it_is_verified(payment)
    assert (found.payment.status, found.booking.status) == (PaymentStatus.COMPLETED, BookingStatus.CONFIRMED)


async def test_a_signed_word_that_comes_after_the_forms_life_is_kept_before_a_look_that_lags_could_end_it(
    shop: TwoGateways, signing: Signing
) -> None:
    booking = await shop.given_a_booking()
    payment = await shop.opens(booking)
    shop.clock.advance(minutes=45)

    back = await comes_back(shop, payment, brought(payment))

    assert (back.status, back.vouched) == (PaymentStatus.PENDING, True)
    assert "payment.expired" not in await shop.told(booking)


@pytest.mark.parametrize("days", [6, 8, 13, 20, 29])
async def test_a_form_that_was_left_open_may_be_paid_for_as_long_as_it_is_looked_at(
    shop: TwoGateways, days: int
) -> None:
    payment = await shop.opens(await shop.given_a_booking())
    await when_its_life_is_over(shop, payment)
    shop.clock.advance(days=days)
    shop.forms.goes_silent()

    back = await comes_back(shop, payment, ReturnMessage(values=()))

    assert (back.status, back.outcome_unknown) == (PaymentStatus.EXPIRED, True)


async def test_a_signed_word_counts_for_whoever_does_not_wait_for_a_slow_look_up(
    shop: TwoGateways, signing: Signing
) -> None:
    payment = await shop.opens(await shop.given_a_booking())
    message = Verification(by=None, payment=payment.id, brought=brought(payment))

    told = await shop.container.verify_payment().without_waiting(message)

    assert told.payment.status is PaymentStatus.PENDING


@pytest.mark.parametrize("paid_after", ["its life", "its end"])
async def test_a_signed_word_that_no_look_up_ever_agrees_with_is_put_before_a_person(
    shop: TwoGateways, signing: Signing, paid_after: str
) -> None:
    payment = await shop.opens(await shop.given_a_booking())
    if paid_after == "its end":
        await when_its_life_is_over(shop, payment)
    await comes_back(shop, payment, brought(payment))

    for _ in range(12):
        shop.clock.advance(days=1)
        await shop.container.reconcile_payments()(limit=50)

    stuck = await shop.stored_payment(payment)
    assert (stuck.status, stuck.review_reason) == (PaymentStatus.UNDER_REVIEW, ReviewReason.STUCK)


async def test_what_the_look_up_decides_after_a_signed_word_stays_decided_when_it_is_shown_again(
    shop: TwoGateways, signing: Signing
) -> None:
    payment = await shop.opens(await shop.given_a_booking())
    await comes_back(shop, payment, brought(payment))
    signing.customer_cancels(payment)

    decided = await comes_back(shop, payment, brought(payment))
    again = await comes_back(shop, payment, brought(payment))

    assert (decided.status, decided.outcome_unknown) == (PaymentStatus.CANCELED, False)
    assert again == decided


@pytest.mark.parametrize("authenticity", [Authenticity.UNSIGNED, Authenticity.FORGED])
async def test_what_anybody_can_write_vouches_for_nothing(
    shop: TwoGateways, signing: Signing, authenticity: Authenticity
) -> None:
    payment = await shop.opens(await shop.given_a_booking())

    seen = await comes_back(shop, payment, brought(payment, authenticity=authenticity))

    assert seen.status is PaymentStatus.OPEN


async def test_a_signed_word_about_something_else_vouches_for_nothing(shop: TwoGateways, signing: Signing) -> None:
    payment, other = [await shop.opens(await shop.given_a_booking()) for _ in range(2)]

    for message in (brought(other), brought(payment, status="CANCELED")):
        assert (await comes_back(shop, payment, message)).status is PaymentStatus.OPEN


async def test_a_gateway_that_knew_no_more_and_then_holds_nothing_leads_nobody_to_pay_again(shop: TwoGateways) -> None:
    booking = await shop.given_a_booking()
    payment = await shop.opens(booking)
    shop.forms.says(payment, "AMBIGUOUS", Reported.AMBIGUOUS)
    await shop.when_it_is_verified(payment)
    shop.forms.says(payment, "NOT_FOUND", Reported.ABSENT)

    seen = (await shop.when_it_is_verified(payment)).payment

    assert seen.status is PaymentStatus.PENDING
    with pytest.raises(StillBeingChecked):
        await shop.opens(booking, REDIRECTS)


async def test_a_person_is_asked_when_a_gateway_cancels_what_it_had_completed(shop: TwoGateways) -> None:
    payment = await shop.opens(await shop.given_a_booking())
    shop.forms.customer_pays(payment)
    await shop.when_it_is_verified(payment)
    shop.forms.says(payment, "CANCELED", Reported.CANCELED)

    await shop.when_it_is_verified(payment, even_if_settled=True)
    reversed_ = (await shop.when_it_is_verified(payment, even_if_settled=True)).payment

    assert (reversed_.status, reversed_.review_reason) == (PaymentStatus.COMPLETED, ReviewReason.CONTRADICTORY)
    assert (await shop.told(await shop.stored_booking(payment.booking_id))).count("payment.needs_attention") == 1
    assert (await shop.stored_booking(payment.booking_id)).status is BookingStatus.CONFIRMED, "a person decides"


async def test_a_refund_that_no_look_up_would_tell_of_is_not_promised_to_be_noted(shop: TwoGateways) -> None:
    mute = FakeGateway(name=FORMS, capabilities=evolve(FAKE_FORM_CAPABILITIES, shows_refunds=False))
    shop.takes(mute)
    payment = await shop.opens(await shop.given_a_booking())
    mute.customer_pays(payment)
    await shop.when_it_is_verified(payment)
    wanted = RefundRequest(by=STAFF, payment_id=payment.id, amount=Money(100), reason="not needed")

    with pytest.raises(
        RefundsNotOffered, match="refund it in the fake's panel, and write it down: no look-up tells of it"
    ):
        await shop.container.refund_payment()(wanted)

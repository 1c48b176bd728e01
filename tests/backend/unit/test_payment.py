from datetime import timedelta

import pytest
from attrs import evolve

from sewapay.domain.checkout import Checkout, PostForm, Redirect
from sewapay.domain.giving_back import reserved
from sewapay.domain.money import NOTHING, Money
from sewapay.domain.observation import Reported
from sewapay.domain.payment import PaymentStatus, ReturnStyle, ReturnTo, ReviewReason
from tests.backend.unit.given import (
    HOUR,
    NOON,
    OWED,
    PAGE,
    PIDX,
    TRANSACTION,
    a_booking,
    a_created_payment,
    a_payment_that_is,
    after,
    an_answer,
    an_open_payment,
    saved,
    seen,
    told,
)

MINUTE = timedelta(minutes=1)


def test_a_new_payment_freezes_what_is_owed_and_is_told_before_the_gateway_is_asked() -> None:
    payment = a_created_payment(booking=a_booking(amount=Money(4700)))

    assert payment.status is PaymentStatus.CREATED
    assert Money(4700) == payment.amount
    assert not payment.can_be_looked_up
    assert payment.is_undecided
    assert payment.next_check_at == NOON + MINUTE


def test_an_opened_payment_keeps_the_link_its_reference_and_its_life() -> None:
    checkout = Checkout(next_step=PAGE, gateway_reference=PIDX, expires_at=NOON + HOUR)

    opened = a_created_payment().opened(checkout, default_life=30 * MINUTE, at=NOON)

    assert (opened.status, opened.next_step, opened.gateway_reference) == (PaymentStatus.OPEN, PAGE, PIDX)
    assert opened.expires_at == NOON + HOUR
    assert told(opened) == ["payment.opened"]


def test_a_gateway_that_gives_no_expiry_lets_links_live_as_long_as_it_usually_does() -> None:
    opened = a_created_payment().opened(Checkout(next_step=PAGE), default_life=30 * MINUTE, at=NOON)

    assert opened.expires_at == NOON + 30 * MINUTE


@pytest.mark.fault("F55")
def test_a_link_lives_as_long_as_the_gateway_says_whatever_its_clock_shows() -> None:
    by_a_slow_clock = Checkout(next_step=PAGE, life=30 * MINUTE, expires_at=NOON - 10 * MINUTE)

    opened = a_created_payment().opened(by_a_slow_clock, default_life=HOUR, at=NOON)

    assert opened.expires_at == NOON + 30 * MINUTE
    assert opened.has_live_link(NOON + 29 * MINUTE)
    assert not opened.has_live_link(NOON + 30 * MINUTE)


def test_a_payment_without_a_gateway_reference_can_be_looked_up_once_its_page_is_open() -> None:
    form = PostForm("https://rc-epay.esewa.com.np/api/epay/main/v2/form", {"total_amount": "1130"})

    opened = a_created_payment().opened(Checkout(next_step=form), default_life=HOUR, at=NOON)

    assert opened.can_be_looked_up
    assert seen(saved(opened), an_answer(Reported.COMPLETED, reference=None)).status is PaymentStatus.COMPLETED


def test_a_link_lives_until_it_expires() -> None:
    payment = an_open_payment()

    assert payment.has_live_link(NOON + HOUR - timedelta(microseconds=1))
    assert not payment.has_live_link(NOON + HOUR)


@pytest.mark.parametrize("status", [status for status in PaymentStatus if status is not PaymentStatus.OPEN])
def test_only_an_open_payment_has_a_link_to_give(status: PaymentStatus) -> None:
    assert not a_payment_that_is(status).has_live_link(NOON)


def test_links_and_return_addresses_stay_out_of_logs() -> None:
    shown = repr(an_open_payment())

    assert "test-pay.khalti.com" not in shown
    assert "shop.example" not in shown


@pytest.mark.fault("F02")
def test_a_payment_that_was_certainly_not_attempted_failed() -> None:
    failed = a_created_payment().not_attempted("not attempted: no connection", at=NOON)

    assert failed.status is PaymentStatus.FAILED
    assert failed.next_check_at is None
    assert failed.reason == "not attempted: no connection"
    assert told(failed) == ["payment.failed"]


def test_a_payment_given_up_and_then_certainly_not_attempted_has_no_unknown_outcome_left() -> None:
    given_up = saved(a_created_payment().unanswered("the opening was cut off", at=NOON))

    failed = given_up.not_attempted("not attempted: no connection", at=NOON + MINUTE)

    assert failed.status is PaymentStatus.FAILED
    assert not failed.is_undecided


@pytest.mark.fault("F06")
def test_a_checkout_that_the_gateway_refuses_is_our_mistake_and_is_reviewed() -> None:
    refused = a_created_payment().refused("the gateway refused the amount", at=NOON)

    assert refused.status is PaymentStatus.UNDER_REVIEW
    assert refused.review_reason is ReviewReason.CHECKOUT_REFUSED


@pytest.mark.fault("F40")
@pytest.mark.parametrize("status", [PaymentStatus.CREATED, PaymentStatus.OPEN, PaymentStatus.PENDING])
def test_silence_keeps_the_status_and_asks_again(status: PaymentStatus) -> None:
    payment = a_payment_that_is(status)

    silent = payment.unanswered("timeout", at=NOON + HOUR)

    assert silent.status is status
    assert silent.outcome_unknown
    soon = NOON + HOUR + timedelta(seconds=15)
    assert silent.next_check_at == (NOON + timedelta(days=1) if status is PaymentStatus.CREATED else soon)
    assert told(silent) == ["payment.outcome_unknown"]


@pytest.mark.fault("F40")
@pytest.mark.parametrize(
    "status",
    [
        *(PaymentStatus.COMPLETED, PaymentStatus.PARTIALLY_REFUNDED, PaymentStatus.REFUNDED),
        *(PaymentStatus.CANCELED, PaymentStatus.EXPIRED, PaymentStatus.FAILED, PaymentStatus.UNDER_REVIEW),
    ],
)
def test_silence_makes_nothing_unknown_that_is_known(status: PaymentStatus) -> None:
    payment = a_payment_that_is(status)

    assert payment.unanswered("timeout", at=NOON) is payment


def test_a_second_silence_is_not_told_again() -> None:
    silent = saved(an_open_payment().unanswered("timeout", at=NOON))

    assert silent.unanswered("timeout", at=NOON + MINUTE) is silent


def test_an_answer_after_silence_makes_the_outcome_known_again() -> None:
    silent = saved(an_open_payment().unanswered("timeout", at=NOON))

    answered = seen(silent, an_answer(Reported.INITIATED))

    assert answered.status is PaymentStatus.OPEN
    assert not answered.outcome_unknown


@pytest.mark.fault("F01")
def test_silence_while_opening_is_unknown_and_never_failed() -> None:
    unknown = a_created_payment().unanswered("timeout", at=NOON)

    assert (unknown.status, unknown.outcome_unknown) == (PaymentStatus.CREATED, True)
    assert not unknown.can_be_looked_up


def test_a_completed_payment_says_how_much_came_when_and_under_which_name() -> None:
    paid = seen(an_open_payment(), an_answer(Reported.COMPLETED, fee=Money(3000)), at=NOON + MINUTE)

    assert (OWED, NOTHING, Money(3000)) == (paid.amount_paid, paid.amount_refunded, paid.fee)
    assert (paid.transaction_id, paid.paid_at) == (TRANSACTION, NOON + MINUTE)
    assert paid.next_check_at == NOON + MINUTE + HOUR, "what is given back in the gateway's panel is noticed"
    assert dict(paid.events[0].data) == {
        "said": "Completed",
        "amount": 113000,
        "fee": 3000,
        "transaction_id": "GFq9PFS7b2iYvL8Lir9oXe",
        "gateway_reference": "HT6o6PEZRWFJ5ygavzHWd5",
    }


def test_what_a_later_answer_adds_to_a_completed_payment_is_kept() -> None:
    paid = after(an_open_payment(), an_answer(Reported.COMPLETED, transaction=None))

    now = seen(paid, an_answer(Reported.COMPLETED, fee=Money(3000)), at=NOON + HOUR)

    assert (TRANSACTION, Money(3000), PaymentStatus.COMPLETED) == (now.transaction_id, now.fee, now.status)
    assert now.paid_at == NOON, "when it was first seen"
    assert told(now) == []


@pytest.mark.fault("F47")
@pytest.mark.parametrize("paid", [Money(112999), Money(113001), Money(1130), Money(11300000), NOTHING, None])
def test_another_amount_is_never_completed_and_is_kept_in_sight(paid: Money | None) -> None:
    now = seen(an_open_payment(), an_answer(Reported.COMPLETED, amount=paid))

    assert now.status is PaymentStatus.UNDER_REVIEW
    assert now.review_reason is ReviewReason.AMOUNT_MISMATCH
    assert now.money_was_seen
    assert (paid, TRANSACTION) == (now.amount_paid, now.transaction_id)
    assert told(now) == ["payment.under_review"]


@pytest.mark.fault("F47")
def test_the_right_amount_after_a_wrong_one_completes_it() -> None:
    wrong = after(an_open_payment(), an_answer(Reported.COMPLETED, amount=Money(1000)))

    now = seen(wrong, an_answer(Reported.COMPLETED))

    assert (now.status, now.review_reason) == (PaymentStatus.COMPLETED, None)
    assert Money(113000) == now.amount_paid
    assert told(now) == ["payment.completed"]


@pytest.mark.fault("F54")
def test_an_old_answer_with_the_right_amount_puts_nothing_right() -> None:
    wrong = after(an_open_payment(), an_answer(Reported.COMPLETED, amount=Money(1000)))

    now = wrong.observe(an_answer(Reported.COMPLETED), at=NOON, asked_at_version=wrong.version - 1)

    assert now.status is PaymentStatus.UNDER_REVIEW
    assert Money(1000) == now.amount_paid


@pytest.mark.fault("F47")
def test_the_right_amount_of_another_transaction_puts_nothing_right() -> None:
    wrong = after(an_open_payment(), an_answer(Reported.COMPLETED, amount=Money(1000)))

    now = seen(wrong, evolve(an_answer(Reported.COMPLETED), transaction_id="another"))

    assert now.status is PaymentStatus.UNDER_REVIEW


@pytest.mark.fault("F47")
def test_what_is_owed_given_back_after_more_was_paid_is_still_for_a_person_to_decide() -> None:
    too_much = after(an_open_payment(), an_answer(Reported.COMPLETED, amount=Money(226000)))

    now = seen(too_much, an_answer(Reported.REFUNDED))

    assert now.status is PaymentStatus.UNDER_REVIEW
    assert (now.amount_paid, now.amount_refunded) == (Money(226000), Money(113000))


@pytest.mark.fault("F47")
def test_an_answer_about_another_payment_brings_no_money_to_this_one() -> None:
    now = seen(an_open_payment(), an_answer(Reported.COMPLETED, reference="another"))

    assert (now.status, now.review_reason) == (PaymentStatus.UNDER_REVIEW, ReviewReason.REFERENCE_MISMATCH)
    assert not now.money_was_seen
    assert (now.amount_paid, now.transaction_id) == (None, None)


def test_the_right_answer_after_one_about_another_payment_completes_it() -> None:
    mixed_up = after(an_open_payment(), an_answer(Reported.PENDING, reference="another"))

    assert seen(mixed_up, an_answer(Reported.COMPLETED)).status is PaymentStatus.COMPLETED


@pytest.mark.fault("F48")
def test_an_unknown_word_holds_the_payment_until_the_gateway_says_completed() -> None:
    held = after(an_open_payment(), an_answer(Reported.UNKNOWN, said="Ambiguous"))
    assert (held.status, held.review_reason) == (PaymentStatus.UNDER_REVIEW, ReviewReason.UNKNOWN_STATUS)

    now = seen(held, an_answer(Reported.COMPLETED))

    assert now.status is PaymentStatus.COMPLETED
    assert now.review_reason is None
    assert now.reason is None


@pytest.mark.fault("F52")
def test_completed_and_refunded_at_once_confirms_nothing_now_or_later() -> None:
    both = after(an_open_payment(), an_answer(Reported.COMPLETED, refunded=True))
    assert (both.status, both.review_reason) == (PaymentStatus.UNDER_REVIEW, ReviewReason.CONTRADICTORY)

    now = seen(both, an_answer(Reported.COMPLETED, refunded=False))

    assert now.status is PaymentStatus.UNDER_REVIEW
    assert told(now) == ["payment.contradicted"]


def test_a_payment_first_seen_partly_refunded_is_not_completed_by_an_older_answer() -> None:
    open_payment = an_open_payment()
    partly = saved(seen(open_payment, an_answer(Reported.PARTIALLY_REFUNDED)))
    assert (partly.status, partly.review_reason) == (PaymentStatus.UNDER_REVIEW, ReviewReason.REFUNDED_OUTSIDE)

    now = partly.observe(an_answer(Reported.COMPLETED), at=NOON, asked_at_version=open_payment.version)

    assert now.status is PaymentStatus.UNDER_REVIEW
    assert now.amount_refunded is None


def test_money_given_back_while_under_review_is_kept_in_sight() -> None:
    held = an_open_payment().held_for_review(ReviewReason.UNKNOWN_STATUS, "why", at=NOON)

    now = seen(saved(held), an_answer(Reported.PARTIALLY_REFUNDED))

    assert now.money_was_seen
    assert (now.amount_paid, now.amount_refunded) == (OWED, None)
    assert now.review_reason is ReviewReason.REFUNDED_OUTSIDE


@pytest.mark.fault("F54")
@pytest.mark.parametrize("old", [reported for reported in Reported if "refunded" not in reported.value])
def test_an_older_answer_takes_nothing_from_a_newer_completed(old: Reported) -> None:
    asked = an_open_payment()
    paid = after(asked, an_answer(Reported.COMPLETED))

    assert paid.observe(an_answer(old), at=NOON, asked_at_version=asked.version) is paid


@pytest.mark.fault("F54")
def test_an_older_completed_answer_is_believed_over_a_newer_expired_one() -> None:
    asked = an_open_payment()
    expired = after(asked, an_answer(Reported.EXPIRED))

    now = expired.observe(an_answer(Reported.COMPLETED), at=NOON, asked_at_version=asked.version)

    assert now.status is PaymentStatus.COMPLETED


@pytest.mark.fault("F54")
@pytest.mark.parametrize("reported", [Reported.PARTIALLY_REFUNDED, Reported.REFUNDED])
def test_money_that_went_back_is_not_told_by_an_answer_from_before_a_refund_of_ours(reported: Reported) -> None:
    asked = after(an_open_payment(), an_answer(Reported.COMPLETED))
    held = saved(reserved(asked, None, at=NOON)[0])

    now = held.observe(an_answer(reported), at=NOON, asked_at_version=asked.version)

    assert now is held


@pytest.mark.fault("F40")
def test_a_silence_after_all_planned_looks_does_not_end_the_asking() -> None:
    much_later = NOON + timedelta(days=30)

    unknown = an_open_payment().unanswered("no answer", at=much_later)

    assert (unknown.outcome_unknown, unknown.next_check_at) == (True, much_later)


@pytest.mark.parametrize("ending", [Reported.CANCELED, Reported.EXPIRED, Reported.FAILED])
def test_a_soft_ending_is_looked_at_once_more_after_the_links_life(ending: Reported) -> None:
    ended = after(an_open_payment(), an_answer(ending), at=NOON + 5 * MINUTE)
    assert ended.next_check_at == NOON + HOUR + 10 * MINUTE

    for at in (NOON + HOUR + 10 * MINUTE, NOON + 2 * HOUR):
        ended = after(ended, an_answer(ending), at=at)

    assert ended.next_check_at is None
    assert not ended.is_undecided


@pytest.mark.parametrize("ending", [Reported.CANCELED, Reported.EXPIRED, Reported.FAILED])
def test_the_last_look_at_a_soft_ending_is_kept_as_evidence(ending: Reported) -> None:
    ended = after(an_open_payment(), an_answer(ending), at=NOON + 5 * MINUTE)

    last = seen(ended, an_answer(ending), at=NOON + HOUR + 10 * MINUTE)

    assert [kept.at for kept in last.evidence] == [NOON + HOUR + 10 * MINUTE]


def test_an_unknown_outcome_that_becomes_an_old_ending_again_needs_no_further_look() -> None:
    late = NOON + 3 * HOUR
    unsure = after(an_open_payment(), an_answer(Reported.CANCELED), an_answer(Reported.PENDING), at=late)
    assert unsure.outcome_unknown
    assert unsure.next_check_at == late + timedelta(seconds=15)

    now = seen(unsure, an_answer(Reported.CANCELED), at=late + MINUTE)

    assert (now.status, now.outcome_unknown, now.next_check_at) == (PaymentStatus.CANCELED, False, None)


@pytest.mark.fault("F21")
def test_a_pending_payment_is_looked_at_again_by_the_links_own_plan() -> None:
    pending = seen(an_open_payment(), an_answer(Reported.PENDING), at=NOON + MINUTE)

    assert pending.next_check_at == NOON + 2 * MINUTE


def test_surplus_is_told_once() -> None:
    paid = a_payment_that_is(PaymentStatus.COMPLETED)

    surplus = paid.marked_surplus(at=NOON)

    assert surplus.surplus
    assert told(surplus) == ["payment.surplus"]
    assert surplus.marked_surplus(at=NOON) is surplus


def test_the_customer_comes_back_to_the_page_that_was_asked_for_last() -> None:
    payment = an_open_payment()
    other = ReturnTo("https://shop.example/other", ReturnStyle.KHALTI_WORDS)

    assert other == payment.returning_to(other).return_to
    assert payment.returning_to(None) is payment
    assert payment.returning_to(payment.return_to) is payment


def test_the_fields_of_a_form_cannot_be_changed_afterwards() -> None:
    fields = {"amount": "1130"}
    form = PostForm("https://gateway.example/", fields)

    fields["amount"] = "1"

    assert form.fields == {"amount": "1130"}
    with pytest.raises(TypeError):
        form.fields["amount"] = "1"  # type: ignore[index]


def test_a_next_step_is_one_address() -> None:
    assert Redirect("https://gateway.example/a") != Redirect("https://gateway.example/b")

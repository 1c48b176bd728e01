"""An audit finds each violation that is planted into a shop where all is well, and nothing in the shop itself."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

import pytest
from attrs import evolve

from sewapay.application.audit import CHECKED, Finding, audit_invariants, named_in
from sewapay.application.auditing.lifecycle import TOLD_BY
from sewapay.application.auditing.shapes import SHAPES, WORDS
from sewapay.application.auditing.truth import By, Line, Returned
from sewapay.domain.booking import BookingStatus
from sewapay.domain.events import EventKind
from sewapay.domain.identifiers import Environment
from sewapay.domain.ledger import Account
from sewapay.domain.observation import Reported
from sewapay.domain.payment import PaymentStatus, ReturnStyle, ReviewReason
from sewapay.domain.refund import RefundStatus
from tests.books import NOBODY, Mutable, books_of
from tests.busy_shop import BusyShop, a_busy_shop

HOUR: Final = timedelta(hours=1)
A_DAY_AND_A_BIT: Final = timedelta(hours=26)


Plant = Callable[[Mutable], None]

PLANTED: Final[list[tuple[str, str, Plant]]] = []


def plant(invariant: str, *, when: str = "at any time") -> Callable[[Plant], Plant]:
    """A violation of this invariant, in a shop at work or `when` "all is quiet"."""

    def planted(spoil: Plant) -> Plant:
        PLANTED.append((invariant, when, spoil))
        return spoil

    return planted


@plant("I1")
def more_is_recorded_than_was_paid(it: Mutable) -> None:
    it.at_gateway("paid", status="initiated")


@plant("I1")
def one_paisa_more_is_recorded_than_was_paid(it: Mutable) -> None:
    it.at_gateway("paid", amount=112999)


@plant("I1")
def more_is_recorded_as_given_back_than_was(it: Mutable) -> None:
    it.at_gateway("partly refunded", refunded_amount=29999)


@plant("I1")
def our_calls_gave_back_more_than_is_recorded_or_reserved(it: Mutable) -> None:
    it.at_gateway("paid", status="refunded", refunded_amount=113000, refunds=(Returned(amount=113000, by=By.API),))


@plant("I1")
def money_came_for_a_payment_that_is_not_ours(it: Mutable) -> None:
    it.lines["lost"] = Line(reference="lost", amount=113000, status="completed")
    it.subject = "gateway reference lost"


@plant("I1", when="all is quiet")
def money_came_and_nobody_noticed(it: Mutable) -> None:
    it.at_gateway("canceled", status="completed")


@plant("I1", when="all is quiet")
def more_came_than_is_recorded(it: Mutable) -> None:
    it.at_gateway("paid", amount=113001)


@plant("I1", when="all is quiet")
def money_went_back_and_nobody_noticed(it: Mutable) -> None:
    it.at_gateway("paid", status="refunded", refunded_amount=113000)


@plant("I1", when="all is quiet")
def another_part_went_back_and_nobody_noticed(it: Mutable) -> None:
    it.at_gateway("partly refunded", refunded_amount=30001)


@plant("I2")
def a_posting_does_not_sum_to_nothing(it: Mutable) -> None:
    it.entry("paid", "customer_funds")["paisa"] += 1


@plant("I2")
def money_came_and_is_not_in_the_ledger(it: Mutable) -> None:
    for account in ("customer_funds", "merchant_receivable"):
        it.entries.remove(it.entry("paid", account))


@plant("I2")
def a_refund_is_not_in_the_ledger(it: Mutable) -> None:
    refunds = it.entry("partly refunded", "refunds")
    for entry in [entry for entry in it.entries if entry["payment_version"] == refunds["payment_version"]]:
        it.entries.remove(entry)


@plant("I2")
def the_ledger_knows_of_a_fee_that_the_payment_does_not(it: Mutable) -> None:
    it.entry("paid", "merchant_receivable")["paisa"] -= 100
    it.entries.append(it.entry("paid", "merchant_receivable") | {"account": "gateway_fee", "paisa": 100})


@plant("I2")
def the_entries_of_a_posting_were_made_at_different_times(it: Mutable) -> None:
    it.entry("paid", "customer_funds")["at"] += HOUR


@plant("I2")
def an_amount_is_no_whole_number(it: Mutable) -> None:
    it.payment("paid")["amount_paid"] = 113000.0


@plant("I2")
def an_amount_is_true(it: Mutable) -> None:
    it.payment("open")["amount_reserved"] = False


@plant("I3")
def a_booking_is_confirmed_by_nobody(it: Mutable) -> None:
    it.booking("paid")["settled_by"] = None


@plant("I3")
def a_booking_is_settled_and_pending(it: Mutable) -> None:
    it.booking("paid")["status"] = "pending"


@plant("I3")
def a_booking_is_settled_by_a_payment_of_another(it: Mutable) -> None:
    other = it.payment("surplus")["id"]
    it.booking("paid")["settled_by"] = other


@plant("I3")
def a_booking_was_confirmed_twice(it: Mutable) -> None:
    it.tell("paid", "booking.confirmed", actor="sewapay")
    it.booking("paid")


@plant("I3")
def a_booking_is_confirmed_by_an_unpaid_payment(it: Mutable) -> None:
    payment = it.payment("open")
    it.tell("open", "booking.confirmed", actor="sewapay")
    it.booking("open").update(status="confirmed", settled_by=payment["id"])


@plant("I3")
def a_booking_is_confirmed_by_a_surplus_payment(it: Mutable) -> None:
    it.payment("paid")["surplus"] = True
    it.booking("paid")


@plant("I3")
def a_booking_is_confirmed_by_less_than_is_owed(it: Mutable) -> None:
    it.payment("paid")["amount_paid"] = 112999
    it.booking("paid")


@plant("I3")
def a_booking_is_confirmed_by_an_answer_that_names_less(it: Mutable) -> None:
    it.answers_about("paid")[0]["amount"] = 1130
    it.booking("paid")


@plant("I3")
def a_booking_is_confirmed_by_an_answer_that_says_refunded_too(it: Mutable) -> None:
    it.answers_about("paid")[0]["refunded"] = True
    it.booking("paid")


@plant("I3")
def a_booking_is_refunded_and_its_payment_is_not(it: Mutable) -> None:
    it.booking("paid")["status"] = "refunded"


@plant("I3")
def a_booking_is_confirmed_after_its_money_went_back(it: Mutable) -> None:
    confirmed, back = it.event("refunded", "booking.confirmed"), it.event("refunded", "payment.refunded")
    confirmed["sequence"], back["sequence"] = back["sequence"], confirmed["sequence"]
    it.booking("refunded")


@plant("I3")
def a_payment_asks_for_another_amount_than_is_owed(it: Mutable) -> None:
    it.payment("open")["amount"] = 100


@plant("I3")
def a_booking_owes_another_amount_than_was_registered(it: Mutable) -> None:
    it.booking("open")["amount"] = 100


@plant("I4")
def a_completed_payment_settles_nothing_and_is_not_surplus(it: Mutable) -> None:
    it.payment("surplus")["surplus"] = False


@plant("I4")
def a_surplus_payment_is_not_paid(it: Mutable) -> None:
    it.payment("open")["surplus"] = True


@plant("I4")
def nobody_is_asked_about_a_surplus_payment(it: Mutable) -> None:
    it.payment("surplus")["review_reason"] = None


@plant("I4")
def two_links_of_a_booking_are_live(it: Mutable) -> None:
    payment = it.payment("open")
    it.payments.append(payment | {"id": NOBODY, "gateway_reference": "another", "order_reference": "A" * 20})
    it.booking("open")


@plant("I5")
def two_payments_have_one_reference(it: Mutable) -> None:
    it.payment("open")["gateway_reference"] = it.payment("pending")["gateway_reference"]
    it.subject = "gateway_reference"


@plant("I5")
def two_payments_have_one_order_reference(it: Mutable) -> None:
    it.payment("open")["order_reference"] = it.payment("pending")["order_reference"]
    it.subject = "order_reference"


@plant("I5")
def one_transaction_confirmed_two_bookings(it: Mutable) -> None:
    it.payment("paid")["transaction_id"] = it.payment("contradicted")["transaction_id"]
    it.subject = "transaction_id"


@plant("I5")
def a_payment_lost_the_reference_that_it_was_opened_with(it: Mutable) -> None:
    it.payment("open")["gateway_reference"] = "another"


@plant("I5")
def a_payment_was_begun_for_another_amount(it: Mutable) -> None:
    it.event("open", "payment.created")["data"] = {"amount": 1}


@plant("I5")
def the_gateway_gave_the_reference_for_another_order(it: Mutable) -> None:
    it.at_gateway("open", order_reference="A" * 20)


@plant("I5")
def a_payment_belongs_to_no_booking(it: Mutable) -> None:
    it.payment("open")["booking_id"] = 10**9


@plant("I5")
def an_answer_belongs_to_no_payment(it: Mutable) -> None:
    it.answers_about("paid")[0]["payment_id"] = NOBODY
    it.subject = "an answer of the gateway"


@plant("I5")
def a_refund_belongs_to_no_payment(it: Mutable) -> None:
    it.refund("partly refunded")["payment_id"] = NOBODY
    it.subject = "a refund"


@plant("I5")
def an_entry_of_the_ledger_belongs_to_no_payment(it: Mutable) -> None:
    it.entry("paid", "customer_funds")["payment_id"] = NOBODY
    it.subject = "a ledger entry"


@plant("I5")
def an_event_belongs_to_no_booking(it: Mutable) -> None:
    it.events.append(it.event("paid", "payment.completed") | {"booking_id": 10**9})
    it.subject = "event"


@plant("I6")
def a_payment_went_back_to_open(it: Mutable) -> None:
    it.tell("paid", "payment.opened")
    it.payment("paid")["status"] = "open"


@plant("I6")
def a_payment_went_from_refunded_to_completed(it: Mutable) -> None:
    it.tell("refunded", "payment.completed")
    it.payment("refunded")["status"] = "completed"


@plant("I6")
def a_canceled_payment_expired(it: Mutable) -> None:
    it.tell("canceled", "payment.expired")
    it.payment("canceled")["status"] = "expired"


@plant("I6")
def a_payment_under_review_failed_without_a_decision(it: Mutable) -> None:
    it.tell("unknown_status", "payment.failed")
    it.payment("unknown_status")["status"] = "failed"


@plant("I6")
def a_payments_events_tell_another_status(it: Mutable) -> None:
    it.payment("pending")["status"] = "open"


@plant("I6")
def a_payments_beginning_is_not_told(it: Mutable) -> None:
    it.forget_event("open", "payment.created")


@plant("I6")
def a_status_is_none_that_we_know(it: Mutable) -> None:
    it.payment("open")["status"] = "complete"


@plant("I7")
def money_that_was_seen_is_not_believed_any_more(it: Mutable) -> None:
    it.payment("paid").update(status="canceled", paid_at=None)


@plant("I7")
def a_canceled_payment_has_money(it: Mutable) -> None:
    it.payment("canceled")["paid_at"] = it.now


@plant("I7")
def nobody_knows_when_it_was_paid_though_the_gateway_said_so(it: Mutable) -> None:
    it.payment("paid")["paid_at"] = None


@plant("I8")
def a_payment_is_completed_and_no_answer_is_stored(it: Mutable) -> None:
    it.forget_answers("paid")


@plant("I8")
def a_payment_was_paid_when_no_answer_came(it: Mutable) -> None:
    it.payment("paid")["paid_at"] += HOUR


@plant("I8")
def a_payments_transaction_was_never_named(it: Mutable) -> None:
    it.payment("paid")["transaction_id"] = "another"


@plant("I8")
def a_payments_fee_was_never_named(it: Mutable) -> None:
    it.payment("paid")["fee"] = 1


@plant("I8")
def a_payments_amount_was_never_named(it: Mutable) -> None:
    it.payment("amount_mismatch")["amount_paid"] = 2


@plant("I8")
def a_payment_is_canceled_by_an_answer_that_says_something_else(it: Mutable) -> None:
    it.answers_about("canceled")[0]["reported"] = "expired"


@plant("I8")
def a_refund_is_confirmed_and_no_answer_says_so(it: Mutable) -> None:
    for answer in it.answers_about("partly refunded"):
        answer["reported"] = "completed"
    it.refund("partly refunded")


@plant("I8")
def a_refund_is_confirmed_by_nobody(it: Mutable) -> None:
    it.event("partly refunded", "refund.confirmed")["actor"] = "sewapay"
    it.refund("partly refunded")


@plant("I9")
def a_link_is_there_and_nothing_tells_of_it(it: Mutable) -> None:
    it.forget_event("open", "payment.opened")


@plant("I9")
def a_page_was_opened_and_nothing_is_kept_of_it(it: Mutable) -> None:
    it.payment("open").update(gateway_reference=None, next_step=None)


@plant("I9")
def a_payment_is_open_without_a_link(it: Mutable) -> None:
    it.payment("open")["next_step"] = None


@plant("I9")
def a_payment_was_opened_before_it_was_written_down(it: Mutable) -> None:
    created, opened = it.event("open", "payment.created"), it.event("open", "payment.opened")
    created["sequence"], opened["sequence"] = opened["sequence"], created["sequence"]


@plant("I9")
def a_refund_was_sent_before_it_was_written_down(it: Mutable) -> None:
    first, then = it.event("partly refunded", "refund.submitted"), it.event("partly refunded", "refund.confirmed")
    first["sequence"], then["sequence"] = then["sequence"], first["sequence"]
    it.refund("partly refunded")


@plant("I9")
def the_gateway_never_gave_this_reference(it: Mutable) -> None:
    del it.lines[it.payment("open")["gateway_reference"]]


@plant("I10")
def a_silence_became_a_failure(it: Mutable) -> None:
    it.tell("silent", "payment.failed", actor="sewapay", reason="no answer")
    it.payment("silent")["status"] = "failed"


@plant("I10")
def a_silence_became_a_cancellation(it: Mutable) -> None:
    it.tell("silent", "payment.canceled", actor="sewapay", reason="no answer")
    it.payment("silent").update(status="canceled", outcome_unknown=False)


@plant("I10")
def a_client_said_that_it_was_paid(it: Mutable) -> None:
    it.tell("open", "payment.completed", actor="customer:42")
    it.payment("open")["status"] = "completed"


@plant("I10")
def a_completed_payment_is_unknown(it: Mutable) -> None:
    it.payment("paid")["outcome_unknown"] = True


@plant("I10")
def nothing_tells_since_when_an_outcome_is_unknown(it: Mutable) -> None:
    it.payment("open")["outcome_unknown"] = True


@plant("I11")
def nobody_will_look_at_an_open_payment(it: Mutable) -> None:
    it.payment("open")["next_check_at"] = None


@plant("I11")
def an_open_payment_is_looked_at_in_two_days(it: Mutable) -> None:
    it.payment("open")["next_check_at"] = it.now + 48 * HOUR


@plant("I11")
def nobody_will_look_whether_a_refund_happened(it: Mutable) -> None:
    it.payment("refund_lost")["next_check_at"] = None


@plant("I11")
def nobody_is_asked_about_a_payment_under_review(it: Mutable) -> None:
    it.payment("amount_mismatch")["review_reason"] = None


@plant("I11", when="all is quiet")
def a_payment_is_due_and_nobody_looked(it: Mutable) -> None:
    it.payment("paid")["next_check_at"] = it.now - HOUR


@plant("I11", when="all is quiet")
def a_lease_was_never_given_back(it: Mutable) -> None:
    it.payment("paid")["leased_until"] = int((it.now + HOUR).timestamp() * 1000)


@plant("I11", when="all is quiet")
def a_payment_is_still_open(it: Mutable) -> None:
    it.payment("canceled").update(status="open", next_check_at=it.now + HOUR)


@plant("I11", when="all is quiet")
def a_refund_that_was_decided_was_not_begun(it: Mutable) -> None:
    it.payment("surplus")["refund_due"] = True


@plant("I11", when="all is quiet")
def a_refunds_outcome_is_still_open(it: Mutable) -> None:
    it.payment("refund_unknown")["review_reason"] = None


@plant("I12")
def more_was_given_back_than_came(it: Mutable) -> None:
    it.payment("partly refunded")["amount_refunded"] = 113001


@plant("I12")
def more_is_reserved_than_is_left(it: Mutable) -> None:
    it.payment("refund_lost")["amount_reserved"] = 113001


@plant("I12")
def two_refunds_are_open_at_once(it: Mutable) -> None:
    refund = it.refund("refund_lost")
    it.refunds.append(refund | {"id": NOBODY})
    it.payment("refund_lost")


@plant("I12")
def an_amount_is_reserved_for_no_refund(it: Mutable) -> None:
    it.payment("paid")["amount_reserved"] = 100


@plant("I12")
def a_refund_is_open_and_nothing_is_reserved(it: Mutable) -> None:
    it.payment("refund_lost")["amount_reserved"] = 0


@plant("I12")
def the_refunds_are_more_than_was_given_back(it: Mutable) -> None:
    it.payment("partly refunded")["amount_refunded"] = 29999


@plant("I12")
def the_refunds_are_less_than_was_given_back(it: Mutable) -> None:
    it.payment("partly refunded")["amount_refunded"] = 30001


@plant("I12")
def a_refunded_payment_gave_less_back_than_came(it: Mutable) -> None:
    it.payment("refunded_outside")["amount_refunded"] = 112999


@plant("I12")
def a_refund_of_nothing(it: Mutable) -> None:
    it.refund("partly refunded")["amount"] = 0


@plant("I13")
def one_refund_had_two_effects(it: Mutable) -> None:
    twice = (Returned(amount=30000, by=By.API), Returned(amount=30000, by=By.API))
    it.at_gateway("partly refunded", refunded_amount=60000, refunds=twice)


@plant("I13")
def a_rejected_refund_had_an_effect(it: Mutable) -> None:
    back = (Returned(amount=30000, by=By.API),)
    it.at_gateway("refund refused", status="partially_refunded", refunded_amount=30000, refunds=back)


@plant("I14")
def a_kept_answer_is_an_error(it: Mutable) -> None:
    it.answers[0]["status"] = 409
    it.subject = "POST /v1/bookings"


@plant("I14")
def a_part_of_a_kept_answer_is_missing(it: Mutable) -> None:
    it.answers[0]["status"] = None
    it.subject = "POST /v1/bookings"


@plant("I14")
def a_key_is_held_for_ever(it: Mutable) -> None:
    it.answers[0].update(status=None, headers=None, body=None, begun_at=it.time - A_DAY_AND_A_BIT)
    it.subject = "POST /v1/bookings"


@plant("I14")
def a_kept_answer_belongs_to_no_request(it: Mutable) -> None:
    it.answers[0]["fingerprint"] = ""
    it.subject = "POST /v1/bookings"


@plant("I15")
def a_booking_was_registered_twice(it: Mutable) -> None:
    it.tell("open", "booking.registered", actor="service:1", amount=113000)
    it.booking("open")


@plant("I15")
def a_canceled_booking_was_not_told_canceled(it: Mutable) -> None:
    it.forget_event("booking_canceled", "booking.canceled")
    it.booking("booking_canceled")


@plant("I15")
def a_pending_booking_was_told_canceled(it: Mutable) -> None:
    it.tell("open", "booking.canceled")
    it.booking("open")


@plant("I15")
def a_confirmed_booking_was_canceled(it: Mutable) -> None:
    it.tell("paid", "booking.canceled")
    it.booking("paid")


@plant("I15")
def a_refunded_booking_was_not_told_refunded(it: Mutable) -> None:
    it.forget_event("refunded", "booking.refunded")
    it.booking("refunded")


@plant("I15")
def a_payment_was_told_surplus_twice(it: Mutable) -> None:
    it.tell("surplus", "payment.surplus")


@plant("I15")
def a_payment_was_opened_twice(it: Mutable) -> None:
    it.events.append(it.event("open", "payment.opened") | {"sequence": 9})


@plant("I15")
def a_refund_was_confirmed_twice(it: Mutable) -> None:
    refund = it.refund("partly refunded")
    it.tell("partly refunded", "refund.confirmed", refund_id=refund["id"])
    it.refund("partly refunded")


@plant("I15")
def a_refund_was_never_told(it: Mutable) -> None:
    it.forget_event("partly refunded", "refund.submitted")
    it.refund("partly refunded")


@plant("I15")
def nothing_tells_that_a_refund_went_unanswered(it: Mutable) -> None:
    it.forget_event("refund_unknown", "refund.outcome_unknown")
    it.refund("refund_unknown")


@plant("I15")
def a_confirmed_refund_was_never_settled(it: Mutable) -> None:
    it.refund("partly refunded")["settled_at"] = None


@plant("I15")
def an_event_tells_of_another_bookings_payment(it: Mutable) -> None:
    it.tell("open", "payment.needs_attention")
    it.events[-1]["payment_id"] = it.payment("paid")["id"]
    it.booking("open")


@plant("I16")
def an_event_is_missing(it: Mutable) -> None:
    it.events.remove(it.event("paid", "payment.opened"))
    it.booking("paid")


@plant("I16")
def two_events_have_one_number(it: Mutable) -> None:
    it.event("paid", "payment.completed")["sequence"] = 1
    it.booking("paid")


@plant("I17")
def a_time_is_no_time(it: Mutable) -> None:
    it.payment("open")["next_check_at"] = "tomorrow"


@plant("I17")
def a_time_has_no_zone(it: Mutable) -> None:
    it.payment("open")["created_at"] = datetime(2026, 1, 15, 6, 15)


@plant("I17")
def a_payments_link_leads_nowhere(it: Mutable) -> None:
    it.payment("open")["next_step"] = {"kind": "carrier pigeon"}


@plant("I17")
def an_events_data_is_no_object(it: Mutable) -> None:
    it.event("open", "payment.opened")["data"] = "{"
    it.booking("open")


@plant("I17")
def a_bookings_title_is_gone(it: Mutable) -> None:
    it.booking("open")["title"] = ""


@plant("I18")
def what_was_answered_is_not_stored(it: Mutable) -> None:
    it.answers[0]["body"] = b'{"id": 123456}'
    it.subject = "POST /v1/bookings"


@plant("I18")
def a_refund_was_begun_under_a_key_and_is_not_stored(it: Mutable) -> None:
    it.answers[0].update(status=None, headers=None, body=None, subject=NOBODY)
    it.subject = "POST /v1/bookings"


@plant("I23")
def a_link_died_by_our_clock(it: Mutable) -> None:
    it.tell("open", "payment.expired", actor="sewapay", reason="its time is over")
    it.payment("open")["status"] = "expired"


@pytest.fixture(scope="module")
def at_work() -> BusyShop:
    return asyncio.run(a_busy_shop())


@pytest.fixture(scope="module")
def at_rest() -> BusyShop:
    async def rested() -> BusyShop:
        busy = await a_busy_shop()
        await busy.for_days(12)
        return busy

    return asyncio.run(rested())


def test_nothing_is_found_in_a_shop_at_work(at_work: BusyShop) -> None:
    assert Mutable.of(at_work).audited(is_quiet=False) == []


def test_nothing_is_found_in_a_shop_where_all_is_quiet(at_rest: BusyShop) -> None:
    found = Mutable.of(at_rest)

    assert found.audited(is_quiet=False) == []
    assert found.audited(is_quiet=True) == []


def test_a_shop_at_work_is_not_quiet(at_work: BusyShop) -> None:
    found = Mutable.of(at_work).audited(is_quiet=True)

    assert {finding.invariant for finding in found} == {"I11"}


def test_the_busy_shop_has_every_status_and_every_reason_for_a_review(at_work: BusyShop, at_rest: BusyShop) -> None:
    payments = [*Mutable.of(at_work).payments, *Mutable.of(at_rest).payments]

    assert {payment["status"] for payment in payments} == WORDS["payment status"]
    assert {payment["review_reason"] for payment in payments} - {None} == WORDS["review reason"]


@pytest.mark.parametrize(
    ("invariant", "when", "spoil"), PLANTED, ids=[f"{row[0]}-{row[2].__name__}" for row in PLANTED]
)
def test_a_planted_violation_is_found(
    at_work: BusyShop, at_rest: BusyShop, invariant: str, when: str, spoil: Plant
) -> None:
    is_quiet = when == "all is quiet"
    it = Mutable.of(at_rest if is_quiet else at_work)

    spoil(it)

    found = it.audited(is_quiet=is_quiet)
    about = [finding for finding in found if finding.invariant == invariant and it.subject in finding.subject]
    assert about, f"not found among {[str(finding) for finding in found]}"


def test_every_invariant_that_is_checked_was_planted() -> None:
    assert {invariant for invariant, _, _ in PLANTED} == set(CHECKED)


def test_surplus_money_that_a_policy_keeps_is_no_violation(at_work: BusyShop) -> None:
    it = Mutable.of(at_work)
    it.payment("surplus")["review_reason"] = None
    books = books_of(at_work.shop.memory)
    kept = evolve(books, payments=it.payments)

    strict = audit_invariants(kept, None, now=it.now, is_quiet=False)
    lenient = audit_invariants(kept, None, now=it.now, is_quiet=False, honours_surplus=True)

    assert [finding.invariant for finding in strict] == ["I4"]
    assert lenient == []


def test_a_lease_that_ended_holds_nobody_up(at_rest: BusyShop) -> None:
    it = Mutable.of(at_rest)

    it.payment("paid")["leased_until"] = int((it.now - HOUR).timestamp() * 1000)

    assert it.audited(is_quiet=True) == []


def test_a_refund_that_a_person_is_asked_about_may_have_happened(at_rest: BusyShop) -> None:
    it = Mutable.of(at_rest)

    it.at_gateway("refund_unknown", refunded_amount=60000, refunds=(Returned(amount=30000), Returned(amount=30000)))

    assert it.audited(is_quiet=True) == []


def test_a_row_that_cannot_be_read_hides_nothing_of_other_bookings(at_work: BusyShop) -> None:
    it = Mutable.of(at_work)
    it.payment("open")["status"] = {"strange": "indeed"}
    it.payment("paid")["amount_paid"] = 1

    found = {finding.subject for finding in it.audited(is_quiet=False)}

    assert {f"payment {it.payment('open')['id']}", f"payment {it.payment('paid')['id']}"} <= found


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("booking status", BookingStatus),
        ("payment status", PaymentStatus),
        ("review reason", ReviewReason),
        ("report", Reported),
        ("kind of event", EventKind),
        ("refund status", RefundStatus),
        ("account", Account),
        ("environment", Environment),
        ("way to come back", ReturnStyle),
    ],
)
def test_the_words_that_an_audit_knows_are_all_there_are(kind: str, words: Any) -> None:
    assert WORDS[kind] == {str(word) for word in words}


def test_every_status_has_the_event_that_tells_of_it() -> None:
    assert set(TOLD_BY.values()) == WORDS["payment status"]
    assert set(TOLD_BY) <= WORDS["kind of event"]


def test_every_stored_column_is_judged_but_those_that_may_hold_anything(at_work: BusyShop) -> None:
    it = Mutable.of(at_work)
    unjudged = {
        "booking": {"customer_name", "customer_email", "customer_phone"},
        "payment": {"return_url"},
    }

    for kind, rows in (
        ("booking", it.bookings),
        ("payment", it.payments),
        ("event", it.events),
        ("answer of the gateway", it.observations),
        ("refund", it.refunds),
        ("ledger entry", it.entries),
        ("kept answer", it.answers),
    ):
        assert set(rows[0]) - set(SHAPES[kind]) == unjudged.get(kind, set())


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b'{"id": 123, "payments": []}', [("booking", "123")]),
        (b'{"id": "p", "booking_id": 123}', [("payment", "p")]),
        (b'{"id": "r", "payment_id": "p"}', [("refund", "r")]),
        (b'{"success": true, "data": {"pidx": "x"}}', [("reference", "x")]),
        (b"[]", []),
        (b"\xff", []),
    ],
)
def test_what_a_kept_answer_told_of(body: bytes, named: list[tuple[str, str]]) -> None:
    assert named_in({"subject": None, "body": body}) == named


def test_a_finding_is_one_line() -> None:
    finding = Finding(invariant="I7", subject="payment 1", text="its money is gone")

    assert str(finding) == "I7 payment 1: its money is gone"

"""What a person may decide about each thing that waits for one, and what comes of it: the whole table."""

from collections.abc import Callable
from datetime import timedelta
from itertools import product
from typing import Final

import pytest
from attrs import evolve, frozen

from sewapay.domain.after_look import looked_at, not_known
from sewapay.domain.booking import Booking, BookingStatus
from sewapay.domain.errors import DecisionNotPossible, DomainError, NotUnderReview
from sewapay.domain.giving_back import refunded_outside, reserved
from sewapay.domain.identifiers import RefundId
from sewapay.domain.money import NOTHING, Money
from sewapay.domain.observation import Reported
from sewapay.domain.payment import Payment, PaymentStatus, ReviewReason
from sewapay.domain.refund import Refund, RefundStatus
from sewapay.domain.resolution import Decision, Resolved, resolve
from sewapay.domain.settlement import Policies, settle
from tests.backend.unit.given import (
    NOON,
    OWED,
    a_booking,
    a_created_payment,
    a_payment_that_is,
    after,
    an_answer,
    an_open_payment,
    payment_id,
    saved,
    saved_booking,
    seen,
)

LATER: Final = NOON + timedelta(hours=2)


@frozen
class Case:
    """What waits, and what it is about."""

    payment: Payment
    booking: Booking
    refund: Refund | None = None


def _confirmed(payment: Payment) -> Booking:
    return saved_booking(a_booking().confirm(payment.id, at=NOON))


def _waiting(payment: Payment) -> Case:
    return Case(payment, a_booking())


def _canceled() -> Case:
    booking = saved_booking(a_booking().cancel(actor="staff:7", at=NOON))
    before = an_open_payment()
    _, payment = settle(
        booking,
        before,
        seen(before, an_answer(Reported.COMPLETED)),
        policies=Policies(),
        transaction_seen_before=False,
        at=NOON,
    )
    return Case(saved(payment), booking)


def _repeated() -> Case:
    before = an_open_payment()
    booking, payment = settle(
        a_booking(),
        before,
        seen(before, an_answer(Reported.COMPLETED)),
        policies=Policies(),
        transaction_seen_before=True,
        at=NOON,
    )
    return Case(saved(payment), booking)


def _surplus() -> Case:
    booking = saved_booking(a_booking().confirm(payment_id(2), at=NOON))
    return Case(saved(a_payment_that_is(PaymentStatus.COMPLETED).marked_surplus(at=NOON)), booking)


def _back_elsewhere(status: PaymentStatus) -> Case:
    payment = a_payment_that_is(status)
    return Case(saved(refunded_outside(payment, held=True, at=NOON)), _confirmed(payment))


def _refund(status: RefundStatus, reason: ReviewReason | None) -> Case:
    paid = a_payment_that_is(PaymentStatus.COMPLETED)
    holding, amount = reserved(paid, Money(13000), at=NOON)
    refund = Refund(
        id=RefundId("00000000-0000-4000-8000-00000000000f"),
        payment_id=paid.id,
        booking_id=paid.booking_id,
        amount=amount,
        is_all=False,
        reason="a customer's wish",
        requested_by="staff:7",
        requested_at=NOON,
        status=status,
    )
    return Case(saved(evolve(holding, review_reason=reason)), _confirmed(paid), refund)


def _orphaned() -> Payment:
    unsure = after(an_open_payment(), an_answer(Reported.NOT_FOUND))
    return not_known(evolve(unsure, silences=4), an_answer(Reported.NOT_FOUND), at=NOON + timedelta(minutes=20))


CASES: Final[dict[str, Callable[[], Case]]] = {
    "too little was paid": lambda: _waiting(
        after(an_open_payment(), an_answer(Reported.COMPLETED, amount=Money(1130)))
    ),
    "the answer was about another payment": lambda: _waiting(
        after(an_open_payment(), an_answer(Reported.COMPLETED, reference="another"))
    ),
    "the transaction stands on another payment": _repeated,
    "the booking was canceled": _canceled,
    "it went back elsewhere": lambda: _back_elsewhere(PaymentStatus.REFUNDED),
    "a part went back elsewhere": lambda: _back_elsewhere(PaymentStatus.PARTIALLY_REFUNDED),
    "it was first seen when a part was back": lambda: _waiting(
        after(an_open_payment(), an_answer(Reported.PARTIALLY_REFUNDED))
    ),
    "completed and refunded at once": lambda: _waiting(
        after(an_open_payment(), an_answer(Reported.COMPLETED, refunded=True))
    ),
    "a word that nobody knows": lambda: _waiting(a_payment_that_is(PaymentStatus.UNDER_REVIEW)),
    "the checkout was refused": lambda: _waiting(saved(a_created_payment().refused("bad request", at=NOON))),
    "surplus": _surplus,
    "pending for a day": lambda: _waiting(
        saved(looked_at(a_payment_that_is(PaymentStatus.PENDING), at=NOON + timedelta(days=1), answered=True))
    ),
    "the reference is not known": lambda: _waiting(saved(_orphaned())),
    "a refund that nothing tells of": lambda: _refund(RefundStatus.UNKNOWN, ReviewReason.REFUND_UNKNOWN),
    "a refund on its way": lambda: _refund(RefundStatus.SUBMITTED, None),
    "no usable answer": lambda: _waiting(saved(an_open_payment().unanswered("silent", at=NOON))),
}

NO: Final = "DecisionNotPossible"
NO_MONEY: Final = "NothingToRefund"
# status of the payment, of its booking, and of its refund; "asks": a person is still asked; "due": to be given back
TABLE: Final[dict[str, dict[Decision, str]]] = {
    case: dict(zip(Decision, outcomes, strict=True))
    for case, outcomes in {
        "too little was paid": (
            "completed confirmed",
            "under_review pending asks due",
            "under_review pending asks",
            NO,
            NO,
            NO,
        ),
        "the answer was about another payment": (
            NO,
            NO_MONEY,
            "under_review pending asks",
            "failed pending",
            NO,
            NO,
        ),
        "the transaction stands on another payment": (
            "completed confirmed",
            "under_review pending asks due",
            "under_review pending asks",
            NO,
            NO,
            NO,
        ),
        "the booking was canceled": (
            "completed confirmed",
            "under_review canceled asks due",
            "under_review canceled asks",
            NO,
            NO,
            NO,
        ),
        "it went back elsewhere": (
            NO,
            NO_MONEY,
            "refunded confirmed asks",
            "refunded confirmed",
            NO,
            NO,
        ),
        "a part went back elsewhere": (
            NO,
            NO_MONEY,
            "partially_refunded confirmed asks",
            "partially_refunded confirmed",
            NO,
            NO,
        ),
        "it was first seen when a part was back": (
            NO,
            NO_MONEY,
            "under_review pending asks",
            "partially_refunded pending",
            NO,
            NO,
        ),
        "completed and refunded at once": (
            "completed confirmed",
            "under_review pending asks due",
            "under_review pending asks",
            NO,
            NO,
            NO,
        ),
        "a word that nobody knows": (
            NO,
            NO_MONEY,
            "under_review pending asks",
            "failed pending",
            NO,
            NO,
        ),
        "the checkout was refused": (
            NO,
            NO_MONEY,
            "under_review pending asks",
            "failed pending",
            NO,
            NO,
        ),
        "surplus": (
            "completed confirmed",
            "completed confirmed asks due",
            "completed confirmed asks",
            "completed confirmed",
            NO,
            NO,
        ),
        "pending for a day": (
            NO,
            NO_MONEY,
            "under_review pending asks",
            "failed pending",
            NO,
            NO,
        ),
        "the reference is not known": (
            NO,
            NO_MONEY,
            "under_review pending asks",
            "failed pending",
            NO,
            NO,
        ),
        "a refund that nothing tells of": (
            NO,
            NO,
            "completed confirmed unknown asks",
            NO,
            "completed confirmed confirmed",
            "completed confirmed rejected",
        ),
        "a refund on its way": (
            NO,
            NO,
            "completed confirmed submitted",
            NO,
            "completed confirmed confirmed",
            "completed confirmed rejected",
        ),
        "no usable answer": (
            NO,
            NO_MONEY,
            "open pending asks",
            "failed pending",
            NO,
            NO,
        ),
    }.items()
}


def decided(case: Case, decision: Decision, reason: str = "we telephoned") -> Resolved:
    return resolve(case.booking, case.payment, case.refund, decision=decision, actor="staff:7", reason=reason, at=LATER)


def outcome(case: Case, decision: Decision) -> str:
    try:
        now = decided(case, decision)
    except DomainError as refused:
        return type(refused).__name__
    words = [now.payment.status.value, now.booking.status.value]
    words += [now.refund.status.value] if now.refund else []
    words += ["asks"] if now.payment.needs_attention else []
    words += ["due"] if now.payment.refund_due else []
    return " ".join(words)


def is_possible(name: str, decision: Decision) -> bool:
    return " " in TABLE[name][decision]


@pytest.mark.parametrize(("name", "decision"), list(product(CASES, Decision)))
def test_each_decision_does_what_it_says_or_is_refused(name: str, decision: Decision) -> None:
    assert outcome(CASES[name](), decision) == TABLE[name][decision]


def test_everything_that_can_wait_for_a_person_is_in_the_table_with_every_decision() -> None:
    reasons = {make().payment.review_reason for make in CASES.values()}

    assert reasons - {None} == set(ReviewReason)
    assert set(TABLE) == set(CASES)
    assert all(set(row) == set(Decision) for row in TABLE.values())


@pytest.mark.parametrize("name", CASES)
def test_for_everything_that_waits_something_can_be_decided_that_ends_the_waiting(name: str) -> None:
    ends = [decision for decision in Decision if is_possible(name, decision)]

    assert any(not TABLE[name][decision].endswith("asks") for decision in ends)


@pytest.mark.parametrize(("name", "decision"), [cell for cell in product(CASES, Decision) if is_possible(*cell)])
def test_who_decided_what_and_why_is_told_first_and_nothing_that_was_said_is_lost(
    name: str, decision: Decision
) -> None:
    case = CASES[name]()

    now = decided(case, decision)

    event = now.payment.events[0]
    assert (event.kind.value, event.actor, event.at) == ("payment.resolved", "staff:7", LATER)
    assert dict(event.data) == {"decision": decision.value, "reason": "we telephoned"}
    before, kept = case.payment, now.payment
    assert (kept.amount_paid, kept.paid_at, kept.transaction_id, kept.said, kept.surplus) == (
        before.amount_paid,
        before.paid_at,
        before.transaction_id,
        before.said,
        before.surplus,
    )


@pytest.mark.parametrize("status", [status for status in PaymentStatus if status is not PaymentStatus.UNDER_REVIEW])
@pytest.mark.parametrize("decision", list(Decision))
def test_where_nothing_waits_nothing_is_decided(status: PaymentStatus, decision: Decision) -> None:
    payment = a_payment_that_is(status)

    with pytest.raises(NotUnderReview):
        decided(Case(payment, a_booking()), decision)


def test_a_refund_that_was_settled_meanwhile_waits_for_nobody() -> None:
    case = _refund(RefundStatus.CONFIRMED, None)

    with pytest.raises(NotUnderReview):
        decided(case, Decision.REFUND_HAPPENED)


def test_honoured_money_confirms_its_booking_by_its_own_name() -> None:
    case = CASES["the booking was canceled"]()

    now = decided(case, Decision.HONOUR)

    assert (now.booking.status, now.booking.settled_by) == (BookingStatus.CONFIRMED, case.payment.id)
    assert [event.kind.value for event in now.payment.events] == ["payment.resolved", "payment.completed"]
    assert now.payment.reason is None


@pytest.mark.invariant("I4")
def test_honoured_money_never_takes_the_place_of_what_settled_the_booking() -> None:
    case = CASES["too little was paid"]()
    booking = saved_booking(case.booking.confirm(payment_id(2), at=NOON))

    now = decided(evolve(case, booking=booking), Decision.HONOUR)

    assert now.booking is booking
    assert (now.payment.status, now.payment.surplus) == (PaymentStatus.COMPLETED, True)
    assert not now.payment.needs_attention


def test_money_that_is_to_go_back_is_due_at_once() -> None:
    now = decided(CASES["surplus"](), Decision.REFUND)

    assert (now.payment.refund_due, now.payment.next_check_at) == (True, LATER)
    assert now.payment.amount_reserved == NOTHING


def test_honouring_money_that_was_to_go_back_keeps_it() -> None:
    due = decided(CASES["surplus"](), Decision.REFUND).payment

    kept = decided(evolve(CASES["surplus"](), payment=saved(due)), Decision.HONOUR).payment

    assert not kept.refund_due


def test_holding_asks_the_gateway_now_and_where_there_is_nobody_to_ask_it_changes_nothing() -> None:
    asked = decided(CASES["a word that nobody knows"](), Decision.HOLD).payment
    refused = CASES["the checkout was refused"]()

    assert asked.next_check_at == LATER
    assert decided(refused, Decision.HOLD).payment == refused.payment


def test_what_is_closed_is_failed_for_the_reason_that_was_given_and_a_living_link_is_still_looked_at() -> None:
    case = CASES["a word that nobody knows"]()

    closed = decided(case, Decision.CLOSE, "the customer paid in cash").payment
    early = resolve(
        case.booking, case.payment, None, decision=Decision.CLOSE, actor="staff:7", reason="cash", at=NOON
    ).payment

    assert (closed.status, closed.reason, closed.next_check_at) == (
        PaymentStatus.FAILED,
        "the customer paid in cash",
        LATER + timedelta(days=1),
    )
    assert early.next_check_at == NOON + timedelta(minutes=70)


@pytest.mark.fault("F64")
def test_a_refund_that_happened_is_given_back_and_the_gateway_has_to_say_so_too() -> None:
    now = decided(CASES["a refund that nothing tells of"](), Decision.REFUND_HAPPENED)

    assert now.refund is not None
    assert [(event.kind.value, event.actor) for event in now.refund.events] == [("refund.confirmed", "staff:7")]
    assert (now.payment.amount_refunded, now.payment.amount_reserved) == (Money(13000), NOTHING)
    assert now.payment.next_check_at == LATER


@pytest.mark.fault("F64")
def test_a_refund_that_did_not_happen_leaves_all_of_it_to_be_given_back() -> None:
    now = decided(CASES["a refund that nothing tells of"](), Decision.REFUND_DID_NOT_HAPPEN, "not in the panel")

    assert now.refund is not None
    assert [(event.kind.value, event.actor) for event in now.refund.events] == [("refund.rejected", "staff:7")]
    assert now.refund.said == "not in the panel"
    assert (now.payment.amount_refunded, now.payment.amount_reserved) == (NOTHING, NOTHING)
    assert reserved(now.payment, None, at=LATER)[1] == OWED


@pytest.mark.fault("F64")
@pytest.mark.invariant("I11")
def test_while_a_refund_is_on_its_way_holding_only_looks_for_it_now() -> None:
    case = CASES["a refund on its way"]()

    now = decided(case, Decision.HOLD).payment

    assert (now.amount_reserved, now.next_check_at) == (Money(13000), LATER)


@pytest.mark.parametrize("decision", [Decision.REFUND_HAPPENED, Decision.REFUND_DID_NOT_HAPPEN])
def test_what_is_being_sent_right_now_nobody_can_know_of(decision: Decision) -> None:
    case = CASES["a refund on its way"]()

    with pytest.raises(DecisionNotPossible, match="is being sent right now"):
        resolve(
            case.booking,
            case.payment,
            case.refund,
            decision=decision,
            actor="staff:7",
            reason="too soon",
            at=NOON + timedelta(seconds=29),
        )


def test_holding_money_that_was_to_go_back_keeps_it_for_now() -> None:
    due = decided(CASES["surplus"](), Decision.REFUND).payment

    held = decided(evolve(CASES["surplus"](), payment=saved(due)), Decision.HOLD).payment

    assert (held.refund_due, held.needs_attention) == (False, True)

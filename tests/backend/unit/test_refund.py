"""A refund and what an answer says of it: a yes is not believed alone, a silence is not a no."""

from datetime import timedelta

import pytest
from attrs import evolve

from sewapay.domain.errors import InvalidRefund
from sewapay.domain.giving_back import reserved
from sewapay.domain.identifiers import RefundId
from sewapay.domain.money import NOTHING, Money
from sewapay.domain.observation import Observation, Reported
from sewapay.domain.payment import Payment, PaymentStatus, ReviewReason
from sewapay.domain.refund import Refund, RefundStatus
from sewapay.domain.settlement import Policies, Policy, weigh
from tests.backend.unit.given import (
    HOUR,
    NOON,
    OWED,
    a_payment_that_is,
    an_answer,
    saved,
    seen,
    told,
)

MINUTE = timedelta(minutes=1)
PART = Money(13000)


def a_refund(amount: Money = OWED, *, reason: str = "a customer's wish") -> Refund:
    paid = a_payment_that_is(PaymentStatus.COMPLETED)
    submitted = Refund.submit(
        id=RefundId("00000000-0000-4000-8000-00000000000f"),
        payment_id=paid.id,
        booking_id=paid.booking_id,
        amount=amount,
        is_all=amount == OWED,
        reason=reason,
        actor="staff:7",
        at=NOON,
    )
    return evolve(submitted, version=1, events=())


def kinds(refund: Refund) -> list[str]:
    return [event.kind.value for event in refund.events]


def unanswered(refund: Refund) -> Refund:
    return evolve(refund.unanswered("silent", at=NOON), events=())


def said_yes(refund: Refund) -> Refund:
    return refund.accepted("Transaction refund successful.", at=NOON)


def said_no(refund: Refund) -> Refund:
    return refund.refused_by_gateway("the gateway said no")


def weighed(
    refund: Refund, reported: Reported, *, before: Money = NOTHING, at: timedelta = MINUTE, refunded: bool | None = None
) -> Refund:
    return refund.weigh(an_answer(reported, refunded=refunded), had_given_back=before, at=NOON + at)


def test_a_refund_begins_as_an_intent_that_says_who_wants_what_and_why() -> None:
    refund = Refund.submit(
        id=RefundId("00000000-0000-4000-8000-00000000000f"),
        payment_id=a_payment_that_is(PaymentStatus.COMPLETED).id,
        booking_id=a_payment_that_is(PaymentStatus.COMPLETED).booking_id,
        amount=PART,
        is_all=False,
        reason="a customer's wish",
        actor="staff:7",
        at=NOON,
    )

    (event,) = refund.events
    assert (refund.status, refund.is_open, refund.requested_at) == (RefundStatus.SUBMITTED, True, NOON)
    assert (event.kind.value, event.actor, event.payment_id) == ("refund.submitted", "staff:7", refund.payment_id)
    assert dict(event.data) == {"refund_id": refund.id, "amount": 13000, "reason": "a customer's wish"}


@pytest.mark.fault("F62")
def test_nothing_is_not_an_amount_to_give_back() -> None:
    with pytest.raises(InvalidRefund, match="at least 1 paisa"):
        a_refund(NOTHING)


@pytest.mark.parametrize("reason", ["", " ", "x" * 501, "line\nline", "\x00"])
def test_a_reason_is_something_that_a_person_can_read(reason: str) -> None:
    with pytest.raises(InvalidRefund, match="500 printable characters"):
        a_refund(reason=reason)


@pytest.mark.parametrize("reason", ["x", "x" * 500, "ग्राहकको इच्छा"])
def test_a_reason_may_be_short_long_or_nepali(reason: str) -> None:
    assert a_refund(reason=reason).reason == reason


@pytest.mark.fault("F66")
def test_whoever_sends_it_for_half_a_minute_without_a_word_is_gone() -> None:
    refund = a_refund()

    assert not refund.was_cut_off(NOON + timedelta(seconds=29))
    assert refund.was_cut_off(NOON + timedelta(seconds=30))
    assert not said_yes(refund).was_cut_off(NOON + HOUR)
    assert not unanswered(refund).was_cut_off(NOON + HOUR)


@pytest.mark.parametrize(
    ("age", "pause"),
    [
        (timedelta(0), timedelta(seconds=5)),
        (timedelta(seconds=8), timedelta(seconds=5)),
        (timedelta(minutes=10), timedelta(minutes=5)),
        (timedelta(hours=4), timedelta(hours=2)),
        (timedelta(days=9), timedelta(hours=6)),
    ],
)
def test_it_is_looked_for_soon_at_first_and_ever_later(age: timedelta, pause: timedelta) -> None:
    at = NOON + age

    assert a_refund().due(at) == at + pause


def test_a_yes_alone_confirms_nothing() -> None:
    refund = said_yes(a_refund())

    assert (refund.status, refund.accepted_at, refund.said) == (
        RefundStatus.SUBMITTED,
        NOON,
        "Transaction refund successful.",
    )
    assert kinds(refund) == []


@pytest.mark.fault("F64")
def test_a_silence_is_told_once_and_keeps_it_open() -> None:
    refund = a_refund().unanswered("silent", at=NOON)

    again = refund.unanswered("silent again", at=NOON)

    assert (refund.status, refund.is_open, refund.said) == (RefundStatus.UNKNOWN, True, "silent")
    assert kinds(refund) == ["refund.outcome_unknown"]
    assert again is refund


def test_a_refusal_is_still_the_reason_after_the_one_who_heard_it_was_cut_off() -> None:
    refund = said_no(a_refund()).unanswered("the sending was cut off", at=NOON)

    assert weighed(refund, Reported.COMPLETED).said == "the gateway said no"


@pytest.mark.parametrize("status", [RefundStatus.CONFIRMED, RefundStatus.REJECTED])
def test_a_settled_refund_is_changed_by_nothing(status: RefundStatus) -> None:
    settled = evolve(a_refund(), status=status)

    assert not settled.is_open
    for changed in (
        said_yes(settled),
        said_no(settled),
        settled.unanswered("silent", at=NOON),
        settled.rejected("no", at=NOON),
        settled.confirmed(at=NOON),
        *(weighed(settled, reported, at=2 * HOUR) for reported in Reported),
    ):
        assert changed is settled


def heard(what: str) -> Refund:
    """A refund of all or a part, and what the gateway said to it."""
    amount, word = what.split(": ")
    refund = a_refund(OWED if amount == "all" else PART)
    return {"silence": unanswered, "yes": said_yes, "no": said_no}[word](refund)


OPEN, CONFIRMED, REJECTED = "open", "confirmed", "rejected"
# what the gateway said to the refund, what went back before, and what it means that a look-up says
# Refunded, Partially Refunded, Completed at once, Completed after an hour
TABLE = [
    ("all: silence", 0, CONFIRMED, OPEN, OPEN, REJECTED),
    ("all: yes", 0, CONFIRMED, OPEN, OPEN, OPEN),
    ("all: no", 0, CONFIRMED, REJECTED, REJECTED, REJECTED),
    ("part: silence", 0, CONFIRMED, CONFIRMED, OPEN, REJECTED),
    ("part: yes", 0, CONFIRMED, CONFIRMED, OPEN, OPEN),
    ("part: no", 0, CONFIRMED, REJECTED, REJECTED, REJECTED),
    ("part: silence", 5000, CONFIRMED, OPEN, OPEN, REJECTED),
    ("part: yes", 5000, CONFIRMED, CONFIRMED, OPEN, OPEN),
    ("part: no", 5000, CONFIRMED, REJECTED, REJECTED, REJECTED),
]


@pytest.mark.fault("F64")
@pytest.mark.fault("F65")
@pytest.mark.parametrize(("what", "before", "refunded", "partly", "at_once", "later"), TABLE)
def test_what_a_look_up_means_for_a_refund(
    what: str, before: int, refunded: str, partly: str, at_once: str, later: str
) -> None:
    refund, had = heard(what), Money(before)

    outcomes = [
        weighed(refund, Reported.REFUNDED, before=had),
        weighed(refund, Reported.PARTIALLY_REFUNDED, before=had),
        weighed(refund, Reported.COMPLETED, before=had, at=HOUR - MINUTE),
        weighed(refund, Reported.COMPLETED, before=had, at=HOUR),
    ]

    assert [OPEN if outcome.is_open else outcome.status.value for outcome in outcomes] == [
        refunded,
        partly,
        at_once,
        later,
    ]


@pytest.mark.parametrize(
    "reported",
    [
        Reported.INITIATED,
        Reported.PENDING,
        Reported.CANCELED,
        Reported.EXPIRED,
        Reported.FAILED,
        Reported.NOT_FOUND,
        Reported.UNKNOWN,
    ],
)
@pytest.mark.parametrize("word", ["silence", "yes", "no"])
def test_an_answer_without_money_in_it_says_nothing_of_a_refund(reported: Reported, word: str) -> None:
    refund = heard(f"all: {word}")

    assert weighed(refund, reported, at=2 * HOUR) is refund


def test_what_was_settled_says_when_and_is_told() -> None:
    confirmed = weighed(heard("all: silence"), Reported.REFUNDED)
    rejected = weighed(heard("all: no"), Reported.COMPLETED)

    assert (confirmed.settled_at, kinds(confirmed)) == (NOON + MINUTE, ["refund.confirmed"])
    assert (rejected.settled_at, kinds(rejected)) == (NOON + MINUTE, ["refund.rejected"])
    assert rejected.said == "the gateway said no"


# what it means for the payment


def holding(amount: Money = OWED) -> Payment:
    return saved(reserved(a_payment_that_is(PaymentStatus.COMPLETED), amount, at=NOON)[0])


def both(
    refund: Refund, answer: Observation, *, at: timedelta = MINUTE, outside: Policy = Policy.HOLD
) -> tuple[Payment, Refund]:
    """Payment and refund once this answer is taken into account."""
    before = holding(refund.amount)
    now = seen(before, answer, at=NOON + at)
    payment, kept = weigh(before, now, refund, answer, policies=Policies(refunded_outside=outside), at=NOON + at)
    assert kept is not None
    return payment, kept


def test_a_refund_that_the_gateway_shows_is_given_back() -> None:
    payment, refund = both(heard("all: yes"), an_answer(Reported.REFUNDED))

    assert refund.status is RefundStatus.CONFIRMED
    assert (payment.status, payment.amount_refunded, payment.amount_reserved) == (PaymentStatus.REFUNDED, OWED, NOTHING)
    assert told(payment) == ["payment.refunded"]


def test_a_part_that_the_gateway_shows_is_given_back_by_its_own_amount() -> None:
    payment, refund = both(heard("part: silence"), an_answer(Reported.PARTIALLY_REFUNDED))

    assert refund.status is RefundStatus.CONFIRMED
    assert (payment.amount_refunded, payment.amount_reserved) == (PART, NOTHING)
    assert payment.review_reason is None


@pytest.mark.fault("F64")
def test_what_is_not_known_after_an_hour_is_put_before_a_person_once_and_stays_reserved() -> None:
    early, _ = both(heard("all: silence"), an_answer(Reported.PENDING), at=HOUR - MINUTE)
    late, refund = both(heard("all: silence"), an_answer(Reported.PENDING), at=HOUR)

    assert (early.review_reason, late.review_reason) == (None, ReviewReason.REFUND_UNKNOWN)
    assert (late.amount_reserved, refund.is_open) == (OWED, True)
    assert late.next_check_at == NOON + HOUR + HOUR / 2
    assert told(late) == ["payment.contradicted", "payment.needs_attention"]


@pytest.mark.fault("F66")
def test_a_refund_whose_sender_is_gone_is_unknown_before_it_is_weighed() -> None:
    payment, refund = both(a_refund(), an_answer(Reported.COMPLETED), at=timedelta(seconds=30))

    assert refund.status is RefundStatus.UNKNOWN
    assert kinds(refund) == ["refund.outcome_unknown"]
    assert payment.amount_reserved == OWED


@pytest.mark.parametrize(("outside", "reason"), [(Policy.HOLD, ReviewReason.REFUNDED_OUTSIDE), (Policy.HONOUR, None)])
def test_more_than_our_part_went_back_and_the_rest_was_somebody_else(
    outside: Policy, reason: ReviewReason | None
) -> None:
    payment, refund = both(heard("part: yes"), an_answer(Reported.REFUNDED), outside=outside)

    assert refund.status is RefundStatus.CONFIRMED
    assert (payment.amount_refunded, payment.review_reason) == (OWED, reason)
    assert told(payment) == ["payment.refunded", "payment.refunded_outside"]


@pytest.mark.fault("F50")
@pytest.mark.parametrize("what", ["all: no", "part: no", "all: silence", "all: yes"])
def test_a_part_that_is_none_of_ours_went_back_elsewhere_and_nobody_knows_how_much(what: str) -> None:
    payment, refund = both(heard(what), an_answer(Reported.PARTIALLY_REFUNDED))

    assert refund.status is not RefundStatus.CONFIRMED
    assert (payment.status, payment.amount_refunded) == (PaymentStatus.PARTIALLY_REFUNDED, None)
    assert "payment.refunded_outside" in told(payment)


@pytest.mark.fault("F47")
@pytest.mark.fault("F52")
@pytest.mark.parametrize("what", ["all: silence", "all: no", "all: yes", "part: silence"])
@pytest.mark.parametrize(
    "answer",
    [
        an_answer(Reported.REFUNDED, reference="another"),
        an_answer(Reported.COMPLETED, reference="another"),
        an_answer(Reported.REFUNDED, amount=Money(1130)),
        an_answer(Reported.COMPLETED, amount=Money(1130)),
        an_answer(Reported.PARTIALLY_REFUNDED, amount=None),
        an_answer(Reported.COMPLETED, transaction="another"),
        an_answer(Reported.COMPLETED, refunded=True),
    ],
)
def test_a_doubtful_answer_settles_no_refund(what: str, answer: Observation) -> None:
    payment, refund = both(heard(what), answer, at=2 * HOUR)

    assert refund.is_open
    assert payment.amount_reserved == refund.amount


def test_money_that_goes_back_may_have_a_transaction_of_its_own() -> None:
    _, refund = both(heard("all: silence"), an_answer(Reported.REFUNDED, transaction="another"))

    assert refund.status is RefundStatus.CONFIRMED


@pytest.mark.fault("F51")
def test_a_gateway_that_shows_nothing_of_what_went_back_before_settles_no_refund() -> None:
    before = evolve(holding(PART), status=PaymentStatus.PARTIALLY_REFUNDED, amount_refunded=Money(5000))
    stale = an_answer(Reported.COMPLETED)

    payment, refund = weigh(
        before, seen(before, stale), heard("part: silence"), stale, policies=Policies(), at=NOON + 2 * HOUR
    )

    assert refund is not None
    assert refund.is_open
    assert (payment.amount_reserved, payment.review_reason) == (PART, ReviewReason.REFUND_UNKNOWN)


def test_an_answer_to_a_payment_without_a_refund_of_ours_leaves_it_as_it_is() -> None:
    before = a_payment_that_is(PaymentStatus.COMPLETED)
    now = seen(before, an_answer(Reported.COMPLETED))

    assert weigh(before, now, None, an_answer(Reported.COMPLETED), policies=Policies(), at=NOON) == (now, None)

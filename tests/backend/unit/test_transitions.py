"""Every cell of the table, typed by hand; and what no sequence of answers may ever do."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import product
from typing import Final

import pytest
from attrs import evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from sewapay.domain.money import NOTHING, Money
from sewapay.domain.observation import Observation, Reported
from sewapay.domain.payment import Payment, PaymentStatus, ReviewReason
from sewapay.domain.transitions import MONEY, SOFT, TRANSITIONS, UNDECIDED
from tests.backend.unit.given import (
    NOON,
    OWED,
    PIDX,
    a_payment_that_is,
    after,
    an_answer,
    an_open_payment,
    saved,
    seen,
    told,
)

# What becomes of a payment (rows: where it stands) when the gateway says so (columns), the amount and reference right.
#
#   held      stays as it is                     unsure    stays, and its outcome is unknown: ask again
#   strange   under review: unknown word         outside   under review: refunded outside of our knowledge
#   against   stays; the contradiction is told   partial   partially_refunded
#   reversed  the same, and a person is asked    doubtful  pending, and its outcome is unknown
#
# fmt: off
# ruff: noqa: E501
EXPECTED: Final = """
                    | initiated | pending | completed | partially_refunded | refunded | canceled | expired | failed  | not_found | absent    | ambiguous | unknown
 created            | unsure    | pending | completed | outside            | refunded | canceled | expired | failed  | unsure    | held      | unsure    | strange
 open               | held      | pending | completed | outside            | refunded | canceled | expired | failed  | unsure    | held      | doubtful  | strange
 pending            | held      | held    | completed | outside            | refunded | canceled | expired | failed  | unsure    | held      | unsure    | strange
 completed          | against   | against | held      | partial            | refunded | reversed | against | against | against   | against   | against   | against
 canceled           | unsure    | unsure  | completed | outside            | refunded | held     | held    | held    | held      | held      | unsure    | strange
 expired            | unsure    | unsure  | completed | outside            | refunded | held     | held    | held    | held      | held      | unsure    | strange
 failed             | unsure    | unsure  | completed | outside            | refunded | held     | held    | held    | held      | held      | unsure    | strange
 under_review       | held      | held    | completed | outside            | refunded | held     | held    | held    | held      | held      | held      | held
 partially_refunded | against   | against | against   | held               | refunded | reversed | against | against | against   | against   | against   | against
 refunded           | against   | against | against   | against            | held     | against  | against | against | against   | against   | against   | against
"""
# fmt: on


def cells(table: str) -> Iterator[tuple[PaymentStatus, Reported, str]]:
    rows = [[cell.strip() for cell in line.split("|")] for line in table.strip("\n").splitlines()]
    for status, *outcomes in rows[1:]:
        for reported, outcome in zip(rows[0][1:], outcomes, strict=True):
            yield PaymentStatus(status), Reported(reported), outcome


CELLS: Final = list(cells(EXPECTED))


def test_the_table_decides_about_every_status_and_every_report() -> None:
    assert set(product(PaymentStatus, Reported)) == set(TRANSITIONS)
    assert set(product(PaymentStatus, Reported)) == {(status, reported) for status, reported, _ in CELLS}
    assert len(CELLS) == len(TRANSITIONS) == 120


def test_every_cell_of_the_table_says_one_thing() -> None:
    for (_, reported), decision in TRANSITIONS.items():
        said = [decision.to is not None, decision.review is not None, decision.unsure, decision.contradicts]

        assert sum(said) <= 1 or (sum(said) == 2 and reported is Reported.AMBIGUOUS)


def test_every_status_is_undecided_softly_ended_moneyed_or_under_review() -> None:
    parts = [UNDECIDED, SOFT, MONEY, {PaymentStatus.UNDER_REVIEW}]

    assert set(PaymentStatus) == set().union(*parts)
    assert len(PaymentStatus) == sum(len(part) for part in parts)


def outcome_of(before: Payment, now: Payment) -> str:
    """The table's word for what became of a payment."""
    if now.status is PaymentStatus.PENDING and now.status is not before.status and now.outcome_unknown:
        return "doubtful"
    if now.status in MONEY and now.status is before.status and now.review_reason is ReviewReason.CONTRADICTORY:
        return "reversed"
    if now.status is not before.status or now.review_reason is not before.review_reason:
        assert now.outcome_unknown is False
        return {
            ReviewReason.UNKNOWN_STATUS: "strange",
            ReviewReason.REFUNDED_OUTSIDE: "outside",
            None: "partial" if now.status is PaymentStatus.PARTIALLY_REFUNDED else str(now.status),
        }[now.review_reason]
    if now.outcome_unknown:
        return "unsure"
    return "against" if "payment.contradicted" in told(now) else "held"


@pytest.mark.parametrize(("status", "reported", "outcome"), CELLS)
def test_a_report_means_what_the_table_says(status: PaymentStatus, reported: Reported, outcome: str) -> None:
    payment = a_payment_that_is(status)

    now = seen(payment, an_answer(reported))

    assert outcome == outcome_of(payment, now)


@pytest.mark.parametrize(("status", "reported", "outcome"), CELLS)
@pytest.mark.invariant("I15")
@pytest.mark.invariant("I25")
def test_every_change_is_told_once_and_carries_its_evidence(
    status: PaymentStatus, reported: Reported, outcome: str
) -> None:
    payment = a_payment_that_is(status)
    answer = an_answer(reported)

    now = seen(payment, answer)

    expected = {
        "held": [],
        "unsure": ["payment.outcome_unknown"],
        "against": ["payment.contradicted"],
        "reversed": ["payment.contradicted", "payment.needs_attention"],
        "doubtful": ["payment.pending"],
        "strange": ["payment.under_review"],
        "outside": ["payment.contradicted" if status is PaymentStatus.UNDER_REVIEW else "payment.under_review"],
        "partial": ["payment.partially_refunded"],
    }.get(outcome, [f"payment.{outcome}"])
    assert expected == told(now)
    assert ([] if now is payment else [answer]) == [kept.observation for kept in now.evidence]


@pytest.mark.parametrize("status", PaymentStatus)
@pytest.mark.parametrize("reported", Reported)
def test_the_same_answer_again_changes_nothing(status: PaymentStatus, reported: Reported) -> None:
    once = after(a_payment_that_is(status), an_answer(reported))

    twice = seen(once, an_answer(reported))

    assert twice is once


# -- whatever a gateway says, in whatever order -----------------------------------------------------------------------

OTHER_AMOUNT: Final = Money(113001)


@frozen
class Step:
    """One thing that happens to a payment: an answer (None: silence), fresh or asked for `behind` versions ago."""

    name: str
    answer: Observation | None
    behind: int = 0


ALPHABET: Final = (
    *(Step(reported.value, an_answer(reported)) for reported in Reported),
    Step("silence", None),
    Step("one paisa more", an_answer(Reported.COMPLETED, amount=OTHER_AMOUNT)),
    Step("one paisa less", an_answer(Reported.COMPLETED, amount=Money(112999))),
    Step("completed, no amount", an_answer(Reported.COMPLETED, amount=None)),
    Step("completed and refunded", an_answer(Reported.COMPLETED, refunded=True)),
    Step("completed, another transaction", an_answer(Reported.COMPLETED, transaction="another")),
    Step("completed, no transaction", an_answer(Reported.COMPLETED, transaction=None)),
    Step("completed, a fee", an_answer(Reported.COMPLETED, fee=Money(3000))),
    Step("another payment's", an_answer(Reported.COMPLETED, reference="another")),
    Step("another amount refunded", an_answer(Reported.REFUNDED, amount=OTHER_AMOUNT)),
    Step("an old initiated", an_answer(Reported.INITIATED), behind=1),
    Step("an old expired", an_answer(Reported.EXPIRED), behind=1),
    Step("an old completed", an_answer(Reported.COMPLETED), behind=1),
    Step("an old partially refunded", an_answer(Reported.PARTIALLY_REFUNDED), behind=1),
)
RANK: Final = {PaymentStatus.COMPLETED: 1, PaymentStatus.PARTIALLY_REFUNDED: 2, PaymentStatus.REFUNDED: 3}
SAYS_MONEY: Final = {Reported.COMPLETED, Reported.PARTIALLY_REFUNDED, Reported.REFUNDED}


def taken(payment: Payment, step: Step, *, at_minute: int = 0) -> Payment:
    at = NOON + timedelta(minutes=at_minute)
    if step.answer is None:
        return payment.unanswered("the gateway did not answer", at=at)
    return payment.observe(step.answer, at=at, asked_at_version=payment.version - step.behind)


def require_promises(
    before: Payment, step: Step, now: Payment, heard: tuple[Observation, ...], *, at: datetime = NOON
) -> None:
    """What must hold after every step. `heard` are the answers that came before this one."""
    require_that_money_is_kept(before, step, now)
    require_that_evidence_is_kept(before, step, now, heard)
    require_that_every_change_is_told(before, now)
    if now.status is PaymentStatus.COMPLETED and before.status is not PaymentStatus.COMPLETED:
        assert step.answer is not None
        assert step.answer.reported is Reported.COMPLETED
        assert step.answer.amount == OWED
        assert step.answer.gateway_reference == PIDX
        assert not step.answer.refunded
        assert (now.amount_paid, now.amount_refunded) == (OWED, NOTHING)
    if now.status in SOFT and now.status is not before.status:
        assert step.answer is not None, "a silence never ends a payment"
        is_long_dead = at >= before.expires_at + timedelta(minutes=10) if before.expires_at else False
        is_over = step.answer.reported is Reported.ABSENT and now.status is PaymentStatus.EXPIRED and is_long_dead
        assert step.answer.reported.value == now.status.value or is_over, "unknown never becomes failed"
    if now.is_undecided:
        assert now.next_check_at is not None, "an undecided payment is looked at again"
    if now.status is PaymentStatus.UNDER_REVIEW:
        assert now.review_reason is not None
    elif now.status in (PaymentStatus.COMPLETED, PaymentStatus.PARTIALLY_REFUNDED):
        said = [*heard, *filter(None, [step.answer])]
        is_reversed = any(answer.reported is Reported.CANCELED for answer in said)
        assert now.review_reason in (None, *([ReviewReason.CONTRADICTORY] if is_reversed else []))
    else:
        assert now.review_reason is None
    assert now.amount == OWED


def require_that_money_is_kept(before: Payment, step: Step, now: Payment) -> None:
    assert now.money_was_seen or not before.money_was_seen
    assert RANK.get(now.status, 0) >= RANK.get(before.status, 0), "money is never lowered"
    is_put_right = is_a_wrong_amount_put_right(before, step, now)
    assert before.amount_paid is None or now.amount_paid == before.amount_paid or is_put_right
    assert before.transaction_id is None or now.transaction_id == before.transaction_id
    assert before.paid_at is None or now.paid_at == before.paid_at
    refunded = [payment.amount_refunded for payment in (before, now)]
    assert refunded[1] != NOTHING or refunded[0] == NOTHING, "what was given back is not forgotten"
    if before.status is PaymentStatus.UNDER_REVIEW and before.money_was_seen and not is_put_right:
        assert now.status in {PaymentStatus.UNDER_REVIEW, PaymentStatus.REFUNDED}, "only a person settles it"
    if step.answer is not None and step.answer.reported in SAYS_MONEY and step.answer.gateway_reference == PIDX:
        assert now.money_was_seen


def is_a_wrong_amount_put_right(before: Payment, step: Step, now: Payment) -> bool:
    """The one way out of review without a person: asked again, the gateway names the right amount after a wrong one."""
    return (
        before.review_reason is ReviewReason.AMOUNT_MISMATCH
        and before.amount_refunded == NOTHING
        and step.behind == 0
        and now.status is PaymentStatus.COMPLETED
        and now.amount_paid == OWED
    )


def says_no_more(answer: Observation, heard: tuple[Observation, ...]) -> bool:
    """Whether the same was said before, about a transaction that was named before; the gateway's fee aside."""
    named = {None, *(earlier.transaction_id for earlier in heard if earlier.gateway_reference == PIDX)}
    same = [evolve(answer, fee=earlier.fee, transaction_id=earlier.transaction_id) for earlier in heard]
    said_before = any(one == earlier for one, earlier in zip(same, heard, strict=True))
    return answer in heard or (said_before and answer.transaction_id in named)


def require_that_evidence_is_kept(before: Payment, step: Step, now: Payment, heard: tuple[Observation, ...]) -> None:
    kept = [evidence.observation for evidence in now.evidence]
    assert kept in ([], [step.answer])
    if step.answer is not None and not kept:
        is_old = step.behind > 0 and step.answer.reported not in SAYS_MONEY
        says_nothing_new = step.answer.reported in (Reported.INITIATED, Reported.ABSENT)
        is_open_as_ever = before.status is PaymentStatus.OPEN and says_nothing_new
        assert is_old or is_open_as_ever or says_no_more(step.answer, heard), "what is new is kept"


def require_that_every_change_is_told(before: Payment, now: Payment) -> None:
    if now.status is not before.status:
        assert [f"payment.{now.status}"] == told(now)
    asks = now.review_reason is not before.review_reason and "payment.needs_attention" in told(now)
    assert len(told(now)) <= 1 + asks
    assert not told(now) or now is not before


def walk(payment: Payment, alphabet: tuple[Step, ...], depth: int, heard: tuple[Observation, ...] = ()) -> int:
    """Every sequence of `depth` steps from here; how many steps were looked at."""
    count = 0
    for step in alphabet:
        count += 1
        now = taken(payment, step)
        require_promises(payment, step, now, heard)
        again = saved(now) if now is not payment else payment
        if step.behind == 0:
            assert taken(again, step) is again, f"{step.name} twice"
        if depth > 1:
            count += walk(again, alphabet, depth - 1, heard if step.answer is None else (*heard, step.answer))
    return count


@pytest.mark.fault("F51")
@pytest.mark.fault("F54")
def test_no_three_things_that_a_gateway_says_break_a_promise() -> None:
    looked_at = walk(an_open_payment(), ALPHABET, 3)

    assert looked_at == 26 + 26**2 + 26**3


def test_no_four_things_about_money_break_a_promise() -> None:
    about_money = tuple(step for step in ALPHABET if step.answer and step.answer.reported in SAYS_MONEY)

    looked_at = walk(an_open_payment(), about_money, 4)

    assert looked_at == 14 + 14**2 + 14**3 + 14**4


# one that is created has no gateway reference yet, so no answer can be about another payment
@pytest.mark.parametrize("status", [status for status in PaymentStatus if status is not PaymentStatus.CREATED])
def test_from_no_status_do_two_answers_break_a_promise(status: PaymentStatus) -> None:
    start = a_payment_that_is(status)
    # how it got here was heard before
    heard = tuple(an_answer(reported) for reported in Reported)

    walk(start, ALPHABET, 2, heard)


STEPS: Final = st.tuples(st.sampled_from(ALPHABET), st.integers(0, 4), st.integers(0, 90))


def test_what_is_absent_long_after_its_end_has_expired_and_not_before() -> None:
    payment = an_open_payment()  # its link lives for an hour
    absent = an_answer(Reported.ABSENT)

    before = seen(payment, absent, at=NOON + timedelta(minutes=69, seconds=59))
    after = seen(payment, absent, at=NOON + timedelta(minutes=70))

    assert (before.status, after.status) == (PaymentStatus.OPEN, PaymentStatus.EXPIRED)
    assert told(after) == ["payment.expired"]
    assert [evidence.observation for evidence in after.evidence] == [absent]


@settings(max_examples=2000)
@given(st.lists(STEPS, min_size=5, max_size=25))
@pytest.mark.invariant("I6")
@pytest.mark.invariant("I7")
def test_no_sequence_of_answers_breaks_a_promise(steps: list[tuple[Step, int, int]]) -> None:
    payment = an_open_payment()
    heard: tuple[Observation, ...] = ()
    minute = 0
    for step, behind, minutes in steps:
        minute += minutes
        late = evolve(step, behind=behind)

        now = taken(payment, late, at_minute=minute)

        require_promises(payment, late, now, heard, at=NOON + timedelta(minutes=minute))
        payment = saved(now) if now is not payment else payment
        heard = heard if late.answer is None else (*heard, late.answer)

"""Every paisa that a gateway told of stands in the ledger, and both sides of it come to nothing."""

from collections import Counter

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from sewapay.domain.giving_back import gave_back, reserved
from sewapay.domain.ledger import Account, Posting, posting
from sewapay.domain.money import NOTHING, Money
from sewapay.domain.observation import Observation, Reported
from sewapay.domain.payment import Payment, PaymentStatus
from tests.backend.unit.given import (
    NOON,
    OWED,
    a_payment_that_is,
    an_answer,
    an_open_payment,
    saved,
    seen,
)


def rows(moved: Posting | None) -> dict[str, int]:
    return {} if moved is None else {entry.account.value: entry.paisa for entry in moved.entries}


def balances(postings: list[Posting]) -> Counter[Account]:
    sums: Counter[Account] = Counter()
    for moved in postings:
        for entry in moved.entries:
            sums[entry.account] += entry.paisa
    return sums


def test_money_that_came_is_owed_to_the_merchant_by_the_gateway() -> None:
    paid = seen(an_open_payment(), an_answer(Reported.COMPLETED))

    (moved,) = paid.postings

    assert rows(moved) == {"customer_funds": -113000, "merchant_receivable": 113000}
    assert (moved.why, moved.at, moved.payment_id, moved.booking_id) == ("payment", NOON, paid.id, paid.booking_id)


def test_the_gateways_fee_is_taken_from_what_it_owes() -> None:
    paid = seen(an_open_payment(), an_answer(Reported.COMPLETED, fee=Money(3390)))

    (moved,) = paid.postings

    assert rows(moved) == {"customer_funds": -113000, "merchant_receivable": 109610, "gateway_fee": 3390}


def test_a_fee_that_is_told_later_is_posted_later() -> None:
    paid = a_payment_that_is(PaymentStatus.COMPLETED)

    (moved,) = seen(paid, an_answer(Reported.COMPLETED, fee=Money(3390))).postings

    assert rows(moved) == {"merchant_receivable": -3390, "gateway_fee": 3390}
    assert moved.why == "payment"


@pytest.mark.fault("F50")
def test_money_that_went_back_as_a_whole_is_no_longer_owed() -> None:
    (moved,) = seen(a_payment_that_is(PaymentStatus.COMPLETED), an_answer(Reported.REFUNDED)).postings

    assert rows(moved) == {"merchant_receivable": -113000, "refunds": 113000}
    assert moved.why == "refund"


def test_a_payment_that_is_first_seen_when_it_went_back_is_posted_both_ways() -> None:
    (moved,) = seen(an_open_payment(), an_answer(Reported.REFUNDED)).postings

    assert rows(moved) == {"customer_funds": -113000, "refunds": 113000}
    assert moved.why == "payment"


def test_a_part_of_unknown_size_is_posted_when_it_is_known() -> None:
    partly = seen(a_payment_that_is(PaymentStatus.COMPLETED), an_answer(Reported.PARTIALLY_REFUNDED))

    whole = seen(saved(partly), an_answer(Reported.REFUNDED))

    assert partly.postings == ()
    assert [rows(moved) for moved in whole.postings] == [{"merchant_receivable": -113000, "refunds": 113000}]


def test_a_refund_of_ours_is_posted_when_it_is_confirmed_and_not_when_it_is_reserved() -> None:
    holding, amount = reserved(a_payment_that_is(PaymentStatus.COMPLETED), Money(13000), at=NOON)

    back = gave_back(holding, amount, at=NOON)

    assert holding.postings == ()
    assert [rows(moved) for moved in back.postings] == [{"merchant_receivable": -13000, "refunds": 13000}]


@pytest.mark.parametrize("reported", [Reported.PENDING, Reported.CANCELED, Reported.EXPIRED, Reported.UNKNOWN])
def test_nothing_is_posted_where_no_money_moved(reported: Reported) -> None:
    assert seen(an_open_payment(), an_answer(reported)).postings == ()


def test_an_answer_that_is_seen_again_is_posted_once() -> None:
    paid = saved(seen(an_open_payment(), an_answer(Reported.COMPLETED)))

    assert seen(paid, an_answer(Reported.COMPLETED)).postings == ()


def test_a_fee_without_money_is_no_money() -> None:
    open_ = an_open_payment()

    assert posting(open_, evolve(open_, fee=Money(3390)), NOON) is None


answers = st.builds(
    an_answer,
    st.sampled_from(Reported),
    amount=st.sampled_from([OWED, Money(113001), Money(1130), None]),
    fee=st.sampled_from([None, NOTHING, Money(3390), Money(1000)]),
    refunded=st.sampled_from([None, False, True]),
    transaction=st.sampled_from([None, "GFq9PFS7b2iYvL8Lir9oXe", "another"]),
)
refunds = st.one_of(st.none(), st.integers(1, 150000).map(Money))


@pytest.mark.invariant("I2")
@given(st.lists(st.tuples(answers, refunds, st.booleans()), max_size=12))
def test_whatever_is_told_each_posting_comes_to_nothing_and_the_balances_are_the_payments(
    story: list[tuple[Observation, Money | None, bool]],
) -> None:
    payment, postings = an_open_payment(), list[Posting]()

    def keep(changed: Payment) -> Payment:
        postings.extend(changed.postings)
        return saved(changed)

    for answer, refund, happened in story:
        payment = keep(seen(payment, answer))
        left = Money((payment.amount_paid or NOTHING).paisa - payment.known_refunded.paisa)
        may_go_back = payment.amount_refunded is not None and payment.status is not PaymentStatus.REFUNDED
        if happened and may_go_back and refund is not None and refund <= left:
            holding, amount = reserved(payment, refund, at=NOON)
            payment = keep(gave_back(holding, amount, at=NOON))

        paid, back = payment.amount_paid or NOTHING, payment.known_refunded
        fee = (payment.fee or NOTHING) if payment.amount_paid else NOTHING
        assert all(sum(entry.paisa for entry in moved.entries) == 0 for moved in postings)
        assert all(type(entry.paisa) is int and entry.paisa for moved in postings for entry in moved.entries)
        sums = balances(postings)
        assert sums[Account.CUSTOMER_FUNDS] == -paid.paisa
        assert sums[Account.GATEWAY_FEE] == fee.paisa
        assert sums[Account.REFUNDS] == back.paisa
        assert sums[Account.MERCHANT_RECEIVABLE] == paid.paisa - fee.paisa - back.paisa
        assert back <= paid

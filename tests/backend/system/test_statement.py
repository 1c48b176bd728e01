"""Our books beside the gateway's: each planted kind of difference is found, and none where both agree (T17, I30)."""

import asyncio
from collections.abc import Callable
from typing import Final

import pytest
from attrs import evolve

from sewapay.application.auditing.truth import By, Line, Returned, UnreadableStatement, truth_from_simulator
from sewapay.application.statement import Difference, Kind, differences
from tests.books import Mutable
from tests.busy_shop import BusyShop, a_busy_shop

# What is no agreement in the busy shop itself: money of which nobody knows how much went back, one transaction twice.
NOT_CLEAN: Final = ("partly refunded_outside", "transaction_repeated", "orphaned_reference")
ANOTHER: Final = "anotherTransactionOf22x"

Plant = Callable[[Mutable], None]

PLANTED: Final[list[tuple[Kind, Plant]]] = []


def plant(kind: Kind) -> Callable[[Plant], Plant]:
    """A difference of this kind; `Mutable.subject` is what it has to be about."""

    def planted(change: Plant) -> Plant:
        PLANTED.append((kind, change))
        return change

    return planted


@plant(Kind.AMOUNT)
def one_paisa_more_came_there(it: Mutable) -> None:
    it.at_gateway("paid", amount=113001)


@plant(Kind.AMOUNT)
def one_paisa_less_came_there(it: Mutable) -> None:
    it.at_gateway("paid", amount=112999)


@plant(Kind.AMOUNT)
def a_hundredth_came_there(it: Mutable) -> None:
    it.at_gateway("paid", amount=1130)


@plant(Kind.AMOUNT)
def a_hundredfold_came_there(it: Mutable) -> None:
    it.at_gateway("paid", amount=11300000)


@plant(Kind.AMOUNT)
def another_amount_was_asked_for_there(it: Mutable) -> None:
    it.at_gateway("open", amount=113001)


@plant(Kind.AMOUNT)
def another_amount_came_for_a_surplus_payment(it: Mutable) -> None:
    it.at_gateway("surplus", amount=1)


@plant(Kind.AMOUNT)
def another_amount_is_recorded_here(it: Mutable) -> None:
    it.payment("paid")["amount_paid"] = 112999


@plant(Kind.MISSING_THERE)
def a_completed_payment_is_missing_there(it: Mutable) -> None:
    del it.lines[it.payment("paid")["gateway_reference"]]


@plant(Kind.MISSING_THERE)
def a_refunded_payment_is_missing_there(it: Mutable) -> None:
    del it.lines[it.payment("refunded")["gateway_reference"]]


@plant(Kind.MISSING_THERE)
def a_payment_under_review_is_missing_there(it: Mutable) -> None:
    del it.lines[it.payment("amount_mismatch")["gateway_reference"]]


@plant(Kind.MISSING_THERE)
def an_open_payment_is_missing_there(it: Mutable) -> None:
    del it.lines[it.payment("open")["gateway_reference"]]


@plant(Kind.MISSING_THERE)
def a_canceled_payment_is_missing_there(it: Mutable) -> None:
    del it.lines[it.payment("canceled")["gateway_reference"]]


@plant(Kind.UNKNOWN_HERE)
def a_completed_payment_is_missing_here(it: Mutable) -> None:
    it.lines["lost"] = Line(reference="lost", amount=113000, status="completed", transaction_id=ANOTHER)
    it.subject = "lost"


@plant(Kind.UNKNOWN_HERE)
def a_refunded_payment_is_missing_here(it: Mutable) -> None:
    it.lines["lost"] = Line(reference="lost", amount=113000, status="refunded", refunded_amount=113000)
    it.subject = "lost"


@plant(Kind.UNKNOWN_HERE)
def a_payment_was_lost_here(it: Mutable) -> None:
    payment = it.payment("paid")
    it.payments.remove(payment)
    it.subject = payment["gateway_reference"]


@plant(Kind.PAID_THERE_ONLY)
def completed_there_and_open_here(it: Mutable) -> None:
    it.at_gateway("open", status="completed", transaction_id=ANOTHER)


@plant(Kind.PAID_THERE_ONLY)
def completed_there_and_pending_here(it: Mutable) -> None:
    it.at_gateway("pending", status="completed", transaction_id=ANOTHER)


@plant(Kind.PAID_THERE_ONLY)
def completed_there_and_canceled_here(it: Mutable) -> None:
    it.at_gateway("canceled", status="completed", transaction_id=ANOTHER)


@plant(Kind.PAID_THERE_ONLY)
def completed_there_and_expired_here(it: Mutable) -> None:
    it.at_gateway("expired", status="completed", transaction_id=ANOTHER)


@plant(Kind.PAID_THERE_ONLY)
def completed_there_and_failed_here(it: Mutable) -> None:
    it.at_gateway("failed", status="completed", transaction_id=ANOTHER)


@plant(Kind.PAID_THERE_ONLY)
def refunded_there_and_expired_here(it: Mutable) -> None:
    it.at_gateway("expired", status="refunded", transaction_id=ANOTHER, refunded_amount=113000)


@plant(Kind.PAID_THERE_ONLY)
def completed_there_and_under_review_without_money_here(it: Mutable) -> None:
    it.at_gateway("unknown_status", status="completed", transaction_id=ANOTHER)


@plant(Kind.PAID_HERE_ONLY)
def initiated_there_and_completed_here(it: Mutable) -> None:
    it.at_gateway("paid", status="initiated", transaction_id=None)


@plant(Kind.PAID_HERE_ONLY)
def pending_there_and_completed_here(it: Mutable) -> None:
    it.at_gateway("paid", status="pending", transaction_id=None)


@plant(Kind.PAID_HERE_ONLY)
def expired_there_and_completed_here(it: Mutable) -> None:
    it.at_gateway("paid", status="expired", transaction_id=None)


@plant(Kind.PAID_HERE_ONLY)
def canceled_there_and_partly_refunded_here(it: Mutable) -> None:
    it.at_gateway("partly refunded", status="canceled")


@plant(Kind.PAID_HERE_ONLY)
def initiated_there_and_refunded_here(it: Mutable) -> None:
    it.at_gateway("refunded", status="initiated")


@plant(Kind.PAID_HERE_ONLY)
def initiated_there_and_money_under_review_here(it: Mutable) -> None:
    it.at_gateway("booking_canceled", status="initiated")


@plant(Kind.STATUS)
def refunded_there_and_completed_here(it: Mutable) -> None:
    it.at_gateway("paid", status="refunded")


@plant(Kind.STATUS)
def partly_refunded_there_and_completed_here(it: Mutable) -> None:
    it.at_gateway("paid", status="partially_refunded")


@plant(Kind.STATUS)
def completed_there_and_refunded_here(it: Mutable) -> None:
    it.at_gateway("refunded", status="completed")


@plant(Kind.STATUS)
def completed_there_and_partly_refunded_here(it: Mutable) -> None:
    it.at_gateway("partly refunded", status="completed")


@plant(Kind.STATUS)
def refunded_there_and_partly_refunded_here(it: Mutable) -> None:
    it.at_gateway("partly refunded", status="refunded")


@plant(Kind.STATUS)
def refunded_there_and_under_review_here(it: Mutable) -> None:
    it.at_gateway("booking_canceled", status="refunded")


@plant(Kind.STATUS)
def pending_there_and_open_here(it: Mutable) -> None:
    it.at_gateway("open", status="pending")


@plant(Kind.STATUS)
def expired_there_and_open_here(it: Mutable) -> None:
    it.at_gateway("open", status="expired")


@plant(Kind.STATUS)
def initiated_there_and_pending_here(it: Mutable) -> None:
    it.at_gateway("pending", status="initiated")


@plant(Kind.STATUS)
def pending_there_and_canceled_here(it: Mutable) -> None:
    it.at_gateway("canceled", status="pending")


@plant(Kind.STATUS)
def initiated_there_and_failed_here(it: Mutable) -> None:
    it.at_gateway("failed", status="initiated")


@plant(Kind.REFUNDED_AMOUNT)
def one_paisa_more_went_back_there(it: Mutable) -> None:
    it.at_gateway("partly refunded", refunded_amount=30001)


@plant(Kind.REFUNDED_AMOUNT)
def one_paisa_less_went_back_there(it: Mutable) -> None:
    it.at_gateway("partly refunded", refunded_amount=29999)


@plant(Kind.REFUNDED_AMOUNT)
def nothing_went_back_there(it: Mutable) -> None:
    it.at_gateway("refunded", refunded_amount=0, refunds=())


@plant(Kind.REFUNDED_AMOUNT)
def another_amount_went_back_than_is_recorded_here(it: Mutable) -> None:
    it.payment("partly refunded")["amount_refunded"] = 0


@plant(Kind.REFUND_OF_UNKNOWN_AMOUNT)
def nobody_here_knows_how_much_went_back(it: Mutable) -> None:
    it.payment("partly refunded")["amount_refunded"] = None


@plant(Kind.REFUND_MISSING_THERE)
def a_confirmed_refund_is_missing_there(it: Mutable) -> None:
    it.at_gateway("partly refunded", refunds=())


@plant(Kind.REFUND_MISSING_THERE)
def one_of_two_refunds_is_missing_there(it: Mutable) -> None:
    it.at_gateway("refunded in two parts", refunds=(Returned(amount=30000),))


@plant(Kind.REFUND_MISSING_THERE)
def a_refund_of_another_amount_was_made_there(it: Mutable) -> None:
    it.at_gateway("partly refunded", refunds=(Returned(amount=29999), Returned(amount=1)))


@plant(Kind.REFUND_MISSING_HERE)
def a_refund_by_our_key_is_missing_here(it: Mutable) -> None:
    refund = it.refund("partly refunded")
    it.refunds.remove(refund)
    it.at_gateway("partly refunded", refunds=(Returned(amount=30000, by=By.API),))


@plant(Kind.REFUND_MISSING_HERE)
def a_refund_that_was_rejected_here_was_made_there(it: Mutable) -> None:
    it.at_gateway("refund refused", refunds=(Returned(amount=30000, by=By.API),))


@plant(Kind.REFUND_MISSING_HERE)
def a_refund_in_the_panel_is_missing_here(it: Mutable) -> None:
    it.at_gateway("paid", refunds=(Returned(amount=30000, by=By.PANEL),))


@plant(Kind.REFUND_MISSING_HERE)
def one_refund_was_made_twice_there(it: Mutable) -> None:
    it.at_gateway("partly refunded", refunds=(Returned(amount=30000), Returned(amount=30000)))


@plant(Kind.TRANSACTION)
def another_transaction_there(it: Mutable) -> None:
    it.at_gateway("paid", transaction_id=ANOTHER)


@plant(Kind.TRANSACTION)
def no_transaction_there(it: Mutable) -> None:
    it.at_gateway("paid", transaction_id=None)


@plant(Kind.TRANSACTION)
def no_transaction_here(it: Mutable) -> None:
    it.payment("paid")["transaction_id"] = None


@plant(Kind.TRANSACTION)
def two_payments_have_each_others_transactions(it: Mutable) -> None:
    first, second = it.payment("contradicted"), it.payment("paid")
    first["transaction_id"], second["transaction_id"] = second["transaction_id"], first["transaction_id"]


@plant(Kind.REPEATED_TRANSACTION)
def one_transaction_stands_on_two_lines_there(it: Mutable) -> None:
    transaction = it.payment("paid")["transaction_id"]
    it.at_gateway("contradicted", transaction_id=transaction)
    it.subject = transaction


@plant(Kind.REPEATED_LINE)
def one_payment_stands_twice_there(it: Mutable) -> None:
    reference = it.payment("paid")["gateway_reference"]
    it.lines["once more"] = it.lines[reference]
    it.subject = reference


@plant(Kind.FEE)
def a_fee_was_taken_there(it: Mutable) -> None:
    it.at_gateway("paid", fee=3390)


@plant(Kind.FEE)
def a_fee_is_recorded_here(it: Mutable) -> None:
    it.payment("paid")["fee"] = 3390


@plant(Kind.ORDER_REFERENCE)
def another_order_there(it: Mutable) -> None:
    it.at_gateway("open", order_reference="A" * 20)


@plant(Kind.ORDER_REFERENCE)
def two_payments_have_each_others_references(it: Mutable) -> None:
    first, second = it.payment("contradicted"), it.payment("paid")
    first["gateway_reference"], second["gateway_reference"] = second["gateway_reference"], first["gateway_reference"]


@plant(Kind.ENVIRONMENT)
def a_sandbox_payment_is_recorded_as_production(it: Mutable) -> None:
    it.payment("paid")["environment"] = "production"


@plant(Kind.ENVIRONMENT)
def a_payment_is_recorded_at_another_gateway(it: Mutable) -> None:
    it.payment("paid")["gateway"] = "esewa"


@pytest.fixture(scope="module")
def clean() -> Mutable:
    """A busy shop at work, without what is no agreement by itself."""
    return Mutable.of(asyncio.run(a_busy_shop())).without(*NOT_CLEAN)


@pytest.fixture
def it(clean: Mutable) -> Mutable:
    return clean.copy()


def found_in(it: Mutable) -> list[Difference]:
    return differences(it.books, it.truth, now=it.now)


@pytest.mark.fault("F69")
@pytest.mark.invariant("I30")
@pytest.mark.parametrize(("kind", "change"), PLANTED, ids=[f"{kind}: {change.__name__}" for kind, change in PLANTED])
def test_a_planted_difference_is_found(it: Mutable, kind: Kind, change: Plant) -> None:
    change(it)

    found = found_in(it)

    assert [each for each in found if each.kind is kind and it.subject in each.subject], [str(each) for each in found]


def test_at_least_forty_differences_of_every_kind_are_planted() -> None:
    assert len(PLANTED) >= 40
    assert {kind for kind, _ in PLANTED} == set(Kind)


@pytest.mark.invariant("I30")
def test_nothing_differs_where_nothing_was_planted(it: Mutable) -> None:
    assert found_in(it) == []


def test_nothing_differs_after_twelve_days_of_a_shop() -> None:
    async def rested() -> BusyShop:
        busy = await a_busy_shop()
        await busy.for_days(12)
        return busy

    rested_books = Mutable.of(asyncio.run(rested())).without(*NOT_CLEAN)

    assert found_in(rested_books) == []


def test_a_link_that_nobody_used_and_nobody_was_shown_is_no_difference(it: Mutable) -> None:
    it.lines["orphan"] = Line(reference="orphan", amount=113000, status="expired")

    assert found_in(it) == []


def test_a_statement_of_paid_payments_alone_does_not_miss_the_others(it: Mutable) -> None:
    paid = tuple(line for line in it.truth.lines if line.paid)

    assert differences(it.books, evolve(it.truth, lines=paid, is_whole=False), now=it.now) == []


def test_a_statement_without_single_refunds_fees_and_orders_is_compared_by_the_rest(it: Mutable) -> None:
    bare = tuple(evolve(line, refunds=None, fee=None, order_reference=None) for line in it.truth.lines)

    assert differences(it.books, evolve(it.truth, lines=bare), now=it.now) == []


@pytest.mark.parametrize("change", [completed_there_and_open_here, refunded_there_and_completed_here])
def test_what_the_next_look_will_settle_is_on_its_way(it: Mutable, change: Plant) -> None:
    change(it)

    assert [each.is_on_its_way for each in found_in(it) if each.kind is not Kind.REFUNDED_AMOUNT] == [True]


def test_what_nobody_will_look_at_is_not_on_its_way(it: Mutable) -> None:
    completed_there_and_open_here(it)
    it.payment("open")["next_check_at"] = None

    assert [each.is_on_its_way for each in found_in(it)] == [False]


def test_another_amount_is_not_on_its_way(it: Mutable) -> None:
    one_paisa_more_came_there(it)

    assert [each.is_on_its_way for each in found_in(it)] == [False]


def test_what_a_person_closed_may_stay_open_there(it: Mutable) -> None:
    it.at_gateway("closed", status="initiated")

    assert found_in(it) == []


def test_a_part_that_went_back_in_the_panel_is_told_until_a_person_has_seen_to_it(it: Mutable) -> None:
    nobody_here_knows_how_much_went_back(it)
    before = [each.kind for each in found_in(it)]
    it.tell("partly refunded", "payment.resolved", actor="staff:7", decision="close")

    assert (before, found_in(it)) == ([Kind.REFUND_OF_UNKNOWN_AMOUNT], [])


def test_a_statement_is_read_from_what_the_stand_in_shows() -> None:
    shown = {
        "now": "2026-01-15T12:00:00+05:45",
        "payments": [
            {
                "pidx": "HT6o6PEZRWFJ5ygavzHWd5",
                "purchase_order_id": "ORDER000000000000001",
                "amount": 113000,
                "status": "Partially Refunded",
                "transaction_id": "GFq9PFS7b2iYvL8Lir9oXe",
                "refunded_amount": 30000,
                "refunds": [{"amount": 30000, "at": "2026-01-15T12:00:00+05:45", "by": "api"}],
            },
            {"pidx": "bZQLD9wRVWo4CdESSfuSsB", "amount": 113000, "status": "User canceled"},
        ],
    }

    statement = truth_from_simulator(shown)

    assert statement.lines == (
        Line(
            reference="HT6o6PEZRWFJ5ygavzHWd5",
            order_reference="ORDER000000000000001",
            amount=113000,
            status="partially_refunded",
            transaction_id="GFq9PFS7b2iYvL8Lir9oXe",
            refunded_amount=30000,
            refunds=(Returned(amount=30000, by=By.API),),
        ),
        Line(reference="bZQLD9wRVWo4CdESSfuSsB", amount=113000, status="canceled"),
    )


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("initiated", "initiated"), ("pending", "pending"), ("completed", "completed"), ("refunded", "refunded"),
        ("partially_refunded", "partially_refunded"), ("canceled", "canceled"), ("expired", "expired"),
        ("failed", "failed"), ("absent", "absent"), ("ambiguous", "ambiguous"),
    ],
)  # fmt: skip
def test_a_statement_in_neutral_words_is_of_the_gateway_that_it_names(word: str, status: str) -> None:
    line = {"reference": "241028", "order_reference": "241028", "amount": 11000, "status": "WHAT IT SAYS"}
    shown = {"gateway": "esewa", "payments": [line | {"reported": word}]}

    statement = truth_from_simulator(shown, environments={"khalti": "production", "esewa": "sandbox"})

    assert (statement.gateway, statement.environment) == ("esewa", "sandbox")
    assert [(line.reference, line.status) for line in statement.lines] == [("241028", status)]


def test_our_order_reference_names_a_payment_where_the_gateway_gives_no_name() -> None:
    line = {"order_reference": "7K2M9QX4B1Z8C5T0W3RA", "amount": 11000, "reported": "completed"}

    statement = truth_from_simulator({"gateway": "esewa", "environment": "production", "payments": [line]})

    assert statement.environment == "production"
    assert [line.reference for line in statement.lines] == ["7K2M9QX4B1Z8C5T0W3RA"]


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        ([], "payments"),
        ({"payments": [{"reference": "x", "amount": 1, "reported": "completed"}]}, "which gateway"),
        ({"gateway": 5, "payments": []}, "which gateway"),
        ({"gateway": "esewa", "payments": []}, "not enabled here"),
        ({"gateway": "khalti", "environment": "moon", "payments": []}, "neither"),
        ({"gateway": "khalti", "environment": ["sandbox"], "payments": []}, "neither"),
        ({"gateway": "khalti", "payments": [{"amount": 1, "reported": "completed"}]}, "neither reference nor"),
        ({"gateway": "khalti", "payments": [{"reference": "x", "amount": 1, "reported": "Completed"}]}, "status"),
        ({"gateway": "khalti", "payments": [{"reference": "x", "amount": 1, "reported": 5}]}, "reported"),
        ({"payments": "none"}, "payments"),
        ({"payments": [1]}, "payment 1"),
        ({"payments": [{"pidx": "x", "amount": 1, "status": "Completed"}, {}]}, "payment 2"),
        ({"payments": [{"pidx": "x", "amount": 1, "status": "Paid"}]}, "status"),
        ({"payments": [{"pidx": "x", "amount": 1.5, "status": "Completed"}]}, "amount"),
        ({"payments": [{"pidx": "x", "amount": "1130", "status": "Completed"}]}, "amount"),
        ({"payments": [{"pidx": 5, "amount": 1, "status": "Completed"}]}, "pidx"),
        ({"payments": [{"pidx": "x", "amount": 1, "status": "Refunded", "refunds": 5}]}, "refunds"),
        ({"payments": [{"pidx": "x", "amount": 1, "status": "Refunded", "refunds": [{"amount": -1}]}]}, "refund"),
        ({"payments": [{"pidx": "x", "amount": 1, "status": "Refunded", "refunds": [{"amount": 1, "by": 5}]}]}, "by"),
    ],
)  # fmt: skip
def test_what_is_no_statement_is_refused_with_its_place(shown: object, why: str) -> None:
    with pytest.raises(UnreadableStatement, match=why):
        truth_from_simulator(shown)

"""What is drawn from the code agrees with it."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve

from sewapay.domain.after_look import looked_at, not_known, vouched_for
from sewapay.domain.booking import Booking, Customer
from sewapay.domain.checkout import Checkout, Redirect
from sewapay.domain.identifiers import BookingId, CustomerId, Environment, GatewayName, OrderReference, PaymentId
from sewapay.domain.money import Money
from sewapay.domain.observation import Observation, Reported
from sewapay.domain.payment import Payment
from sewapay.domain.resolution import Decision, resolve
from sewapay.domain.settlement import Policies, settle
from sewapay.domain.transitions import TRANSITIONS, PaymentStatus
from tests.docs.tables import DRAWN, HOW_TO_WRITE, ROOT, drawn_in, redrawn, transition_diagram, transition_table

NOW = datetime(2026, 1, 15, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
PAGE = (ROOT / "docs" / "money-safety.md").read_text("utf-8")


@pytest.mark.parametrize(("page", "name"), list(DRAWN), ids=lambda part: part.replace(" ", "-"))
def test_what_is_drawn_from_the_code_is_up_to_date(page: str, name: str) -> None:
    text = (ROOT / page).read_text("utf-8")

    assert drawn_in(text, name) == DRAWN[page, name](), f"{page} is out of date; draw it anew: {HOW_TO_WRITE}"


def test_drawing_anew_changes_nothing_else() -> None:
    text = "before\n<!-- drawn: it -->\nold\n<!-- end: it -->\nafter\n"

    assert redrawn(text, "it", "new") == "before\n<!-- drawn: it -->\nnew\n<!-- end: it -->\nafter\n"


def test_a_page_without_its_marks_says_which_are_wanted() -> None:
    with pytest.raises(ValueError, match="drawn: it"):
        drawn_in("nothing here", "it")


def test_the_table_has_a_cell_for_every_status_and_report() -> None:
    rows = transition_table().splitlines()[2:]

    assert len(PaymentStatus) == len(rows)
    assert {len(Reported) + 1} == {len(row.strip("|").split("|")) for row in rows}


def test_every_move_of_the_table_is_in_the_diagram() -> None:
    drawing = transition_diagram()

    for decision in TRANSITIONS.values():
        target = PaymentStatus.UNDER_REVIEW if decision.review else decision.to
        if target is not None:
            assert re.search(rf"--> ({target.value}|soft|money)$", drawing, re.MULTILINE), target


def begun() -> tuple[Booking, Payment]:
    booking = Booking.register(
        id=BookingId(123),
        customer=Customer(id=CustomerId("42")),
        title="Deep cleaning",
        amount=Money(113000),
        actor="service:shop",
        at=NOW,
    )
    payment = Payment.begin(
        id=PaymentId("7f1d2a90-56c5-4a75-8b4c-0d7b8a6e5f43"),
        booking=booking,
        gateway=GatewayName("khalti"),
        environment=Environment.SANDBOX,
        order_reference=OrderReference("ABCDEFGHIJ0123456789"),
        return_to=None,
        longest_life=timedelta(days=1),
        actor="customer:42",
        at=NOW,
    )
    return booking, payment


def paid(payment: Payment) -> Payment:
    completed = Observation(
        reported=Reported.COMPLETED, said="Completed", amount=payment.amount, transaction_id="transaction"
    )
    return payment.observe(completed, at=NOW, asked_at_version=payment.version)


def test_the_dotted_moves_of_the_diagram_happen() -> None:
    booking, created = begun()
    checkout = Checkout(next_step=Redirect("https://test-pay.khalti.com/?pidx=it"))

    opened = created.opened(checkout, default_life=timedelta(hours=1), at=NOW)
    not_sent = created.not_attempted("no connection", at=NOW)
    refused = created.refused("amount", at=NOW)
    canceled, policies = booking.cancel(actor="staff:7", at=NOW), Policies()
    _, too_late = settle(canceled, opened, paid(opened), policies=policies, transaction_seen_before=False, at=NOW)
    _, repeated = settle(booking, opened, paid(opened), policies=policies, transaction_seen_before=True, at=NOW)
    vouched = vouched_for(opened, at=NOW)

    assert (opened.status, not_sent.status) == (PaymentStatus.OPEN, PaymentStatus.FAILED)
    assert vouched.status is PaymentStatus.PENDING
    assert {PaymentStatus.UNDER_REVIEW} == {refused.status, too_late.status, repeated.status}


def test_the_dotted_moves_that_time_makes_happen() -> None:
    _, created = begun()
    opened = created.opened(Checkout(next_step=Redirect("https://test-pay.khalti.com/")), default_life=HOUR, at=NOW)
    pending = opened.observe(Observation(reported=Reported.PENDING, said="Pending"), at=NOW, asked_at_version=0)
    not_found = Observation(reported=Reported.NOT_FOUND, said="Not found.")

    never_shown = looked_at(created.unanswered("no answer", at=NOW), at=NOW + DAY, answered=False)
    stuck = looked_at(pending, at=NOW + DAY, answered=True)
    silent = looked_at(opened.unanswered("no answer", at=NOW), at=NOW + 9 * DAY, answered=False)
    lost = not_known(evolve(opened, silences=4, said=not_found.said), not_found, at=NOW + HOUR)

    assert never_shown.status is PaymentStatus.EXPIRED
    assert {PaymentStatus.UNDER_REVIEW} == {stuck.status, silent.status, lost.status}


def test_the_dotted_moves_that_a_person_makes_happen() -> None:
    booking, created = begun()
    opened = created.opened(Checkout(next_step=Redirect("https://test-pay.khalti.com/")), default_life=HOUR, at=NOW)
    canceled, policies = booking.cancel(actor="staff:7", at=NOW), Policies()
    _, paid_late = settle(canceled, opened, paid(opened), policies=policies, transaction_seen_before=False, at=NOW)
    refused = created.refused("amount", at=NOW)

    honoured = resolve(canceled, paid_late, None, decision=Decision.HONOUR, actor="staff:7", reason="fine", at=NOW)
    closed = resolve(booking, refused, None, decision=Decision.CLOSE, actor="staff:7", reason="never opened", at=NOW)

    assert (honoured.payment.status, closed.payment.status) == (PaymentStatus.COMPLETED, PaymentStatus.FAILED)


def test_every_fault_that_a_test_may_cite_stands_on_the_page_once() -> None:
    rows = re.findall(r"^\| (F\d\d) \|", PAGE, re.MULTILINE)

    assert sorted(set(rows)) == rows
    assert len(rows) > 40


def test_every_fault_that_a_test_cites_stands_on_the_page() -> None:
    cited = {
        fault for path in (ROOT / "tests").rglob("test_*.py")
        for fault in re.findall(r"""fault\(["'](F\d\d)["']\)""", path.read_text("utf-8"))
    }  # fmt: skip

    assert cited - set(re.findall(r"^\| (F\d\d) \|", PAGE, re.MULTILINE)) == set()

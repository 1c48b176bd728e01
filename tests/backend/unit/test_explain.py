"""A payment in plain words: nothing that can be true of one is left without a sentence."""

import asyncio
import json
import re
import shlex
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from attrs import evolve

from sewapay.adapters.fake.gateway import FAKE_FORM_CAPABILITIES
from sewapay.application.explain import BOOKINGS, DECISIONS, REFUNDS, REVIEWS, STATUSES, Asked, Story, explain
from sewapay.application.ports import Capabilities
from sewapay.application.storage import View
from sewapay.application.timeline import timeline
from sewapay.domain.booking import BookingStatus
from sewapay.domain.checkout import PostForm
from sewapay.domain.money import Money
from sewapay.domain.payment import Payment, PaymentStatus, ReviewReason
from sewapay.domain.refund import RefundStatus
from sewapay.domain.resolution import Decision
from sewapay.domain.settlement import Policies, Policy
from tests.backend.unit.given import NOON, a_booking, an_open_payment
from tests.busy_shop import BusyShop, a_busy_shop
from tests.shop import STAFF

ADDRESS: Final = "https://pay.shop.example"
HEADINGS: Final = [
    "How it stands",
    "What happened (Nepal time, UTC in brackets)",
    "What the gateway said",
    "The booking",
    "What is waiting",
    "What comes next",
]


PORTAL: Final = "eSewa's merchant portal (https://merchant.esewa.com.np)"
GIVES_NOTHING_BACK: Final = evolve(FAKE_FORM_CAPABILITIES, panel=PORTAL)


def told(
    story: Story,
    *,
    asked: Asked | None = None,
    policies: Policies | None = None,
    now: datetime = NOON,
    gateway: Capabilities | None = None,
) -> list[str]:
    return explain(
        story,
        asked=asked or Asked(now=True),
        policies=policies or Policies(),
        address=ADDRESS,
        now=now,
        gateway=gateway,
    )


def a_form_payment() -> Payment:
    """An open payment that its gateway knows by our reference only."""
    return evolve(an_open_payment(), gateway_reference=None, next_step=PostForm("https://pay.example/", {"a": "1"}))


def a_story(payment: Payment | None = None) -> Story:
    payment = payment or an_open_payment()
    return Story(payment=payment, booking=a_booking(), attempts=[payment], refunds=[], timeline=[])


def part(lines: list[str], heading: str) -> list[str]:
    """What stands below this heading."""
    start = lines.index(heading) + 1
    return [line.removeprefix("  ") for line in lines[start : [*lines[start:], ""].index("") + start]]


@pytest.fixture(scope="module")
def busy() -> BusyShop:
    return asyncio.run(a_busy_shop())


@pytest.fixture(scope="module")
def rested() -> BusyShop:
    async def at_rest() -> BusyShop:
        busy = await a_busy_shop()
        await busy.for_days(12)
        return busy

    return asyncio.run(at_rest())


def story_of(busy: BusyShop, name: str) -> Story:
    payment_id = busy.payments[name].id

    def read(view: View) -> Story:
        payment = view.payments.get(payment_id)
        return Story(
            payment=payment,
            booking=view.bookings.get(payment.booking_id),
            attempts=view.payments.of_booking(payment.booking_id),
            refunds=view.refunds.of_payment(payment_id),
            timeline=timeline(
                payment_id, view.events.of_booking(payment.booking_id), view.payments.evidence(payment_id)
            ),
        )

    return asyncio.run(busy.shop.store.read(read))


def test_nothing_that_can_be_true_of_a_payment_is_without_a_sentence() -> None:
    assert set(STATUSES) == set(PaymentStatus)
    assert set(REVIEWS) == set(ReviewReason)
    assert set(DECISIONS) == set(Decision)
    assert set(BOOKINGS) == set(BookingStatus)
    assert set(REFUNDS) == set(RefundStatus)


@pytest.mark.parametrize("status", PaymentStatus)
def test_every_status_is_told_in_a_sentence(status: PaymentStatus) -> None:
    payment = evolve(an_open_payment(), status=status)

    [sentence] = [STATUSES[status](each) for each in (payment,)]

    assert sentence.endswith(".")
    assert sentence in part(told(a_story(payment)), "How it stands")


@pytest.mark.parametrize("reason", ReviewReason)
def test_every_reason_for_a_review_is_told_and_what_to_look_at(reason: ReviewReason) -> None:
    payment = evolve(an_open_payment(), status=PaymentStatus.UNDER_REVIEW, review_reason=reason, reason="in detail")

    waiting = part(told(a_story(payment)), "What is waiting")

    assert waiting[0] == f"A person is asked to decide ({reason}). {REVIEWS[reason]}"
    assert waiting[1] == "In detail: in detail."


def test_every_payment_of_a_busy_shop_is_explained(busy: BusyShop, rested: BusyShop) -> None:
    for shop in (busy, rested):
        for name in shop.payments:
            story = story_of(shop, name)

            lines = told(story, now=shop.shop.clock.now())

            assert lines[0] == f"Payment {story.payment.id}"
            assert [line for line in lines if line in HEADINGS] == HEADINGS
            assert not any("None" in line or "<" in line for line in lines), (name, lines)


def test_an_open_payment_in_full() -> None:
    payment = evolve(an_open_payment(), said="Initiated", looked_at=NOON - timedelta(minutes=3))
    story = a_story(payment)

    lines = told(story)

    assert lines == [
        "Payment 00000000-0000-4000-8000-000000000001",
        "  Rs 1,130.00 for booking 123, Deep cleaning, through khalti (sandbox).",
        "  The gateway knows it as HT6o6PEZRWFJ5ygavzHWd5; our order reference is ORDER000000000000001.",
        "",
        "How it stands",
        "  The gateway was asked just now.",
        "  The customer has a link to the gateway's page. As far as we know, nobody paid.",
        "",
        "What the gateway said",
        "  Its last word: 'Initiated'.",
        "  A worker asked last 3 minutes ago.",
        "",
        "The booking",
        "  Booking 123 (Rs 1,130.00) waits for its payment.",
        "",
        "What is waiting",
        "  Nothing waits for a person.",
        "",
        "What comes next",
        "  The gateway is asked at 2026-01-15 12:01:00 (06:16:00 UTC), in 1 minute.",
        "",
        "What you can do",
        "  Ask the gateway now:",
        "    sewapay reconcile --payment 00000000-0000-4000-8000-000000000001",
    ]


def test_times_are_nepals_and_utc_and_the_other_date_is_shown() -> None:
    payment = evolve(an_open_payment(), next_check_at=datetime(2026, 1, 15, 20, 0, tzinfo=UTC))

    [comes] = part(told(a_story(payment)), "What comes next")

    assert "2026-01-16 01:45:00 (2026-01-15 20:00:00 UTC), in 13 hours" in comes


def test_a_silent_gateway_is_told_and_what_is_stored_is_explained() -> None:
    payment = evolve(an_open_payment(), outcome_unknown=True, silences=3)

    lines = told(a_story(payment), asked=Asked(now=True, silence="no answer in 10 s"))

    standing = part(lines, "How it stands")
    assert standing[0].startswith("The gateway was asked just now and gave no usable answer (no answer in 10 s).")
    assert "It has NOT failed" in standing[2]
    assert "It gave no usable answer 3 times in a row." in part(lines, "What the gateway said")


def test_a_payment_that_is_overdue_asks_whether_a_worker_runs() -> None:
    payment = evolve(an_open_payment(), next_check_at=NOON)

    late = part(told(a_story(payment), now=NOON + timedelta(hours=2)), "What comes next")

    assert late[0] == "The gateway is asked as soon as a worker gets to it: it has been due for 2 hours."
    assert "Does a worker run?" in late[1]


def test_a_payment_of_which_nothing_more_comes_says_so() -> None:
    payment = evolve(an_open_payment(), next_check_at=None)

    assert part(told(a_story(payment)), "What comes next") == ["Nothing more happens by itself."]


def test_the_policy_for_the_case_is_named_with_its_setting() -> None:
    payment = evolve(
        an_open_payment(), status=PaymentStatus.COMPLETED, review_reason=ReviewReason.SURPLUS, surplus=True
    )

    waiting = part(told(a_story(payment), policies=Policies(surplus=Policy.REFUND)), "What is waiting")

    assert waiting[-1] == "What happens in such a case by itself is SEWAPAY_ON_SURPLUS, which is refund now."


def test_a_story_tells_who_asked_for_a_refund_and_what_became_of_it(busy: BusyShop) -> None:
    lines = told(story_of(busy, "partly refunded"))

    happened = "\n".join(part(lines, "What happened (Nepal time, UTC in brackets)"))
    assert "Rs 300.00 is to be given back (the customer asked for it). (by staff:7)" in happened
    assert part(lines, "Refunds")[0].startswith("Rs 300.00 was given back.")


def test_a_story_tells_who_decided_and_why(busy: BusyShop) -> None:
    lines = told(story_of(busy, "reinstated"))

    happened = "\n".join(part(lines, "What happened (Nepal time, UTC in brackets)"))
    assert "A person decided: honour (as the panel shows). (by staff:7)" in happened


def test_other_attempts_of_the_booking_are_told(busy: BusyShop) -> None:
    lines = told(story_of(busy, "surplus"))

    settled = busy.payments["surplus, settling"].id
    assert part(lines, "The booking") == [
        f"Booking {busy.payments['surplus'].booking_id} (Rs 1,130.00) is confirmed by payment {settled}.",
        f"Another attempt: {settled}, Rs 1,130.00, completed, begun 2026-01-15 12:00:00 (06:15:00 UTC).",
    ]


def test_the_customer_may_pay_again_where_nothing_is_open(busy: BusyShop) -> None:
    assert part(told(story_of(busy, "expired")), "What you can do")[0].startswith("Let the customer pay again")
    assert not part(told(story_of(busy, "pending")), "What you can do")[0].startswith("Let the customer pay again")


def decisions_in(lines: list[str]) -> list[dict[str, object]]:
    """The bodies of the commands for a decision."""
    found = []
    for line in lines:
        if line.strip().startswith("curl") and "/resolution" in line:
            words = shlex.split(line)
            found.append(json.loads(words[words.index("-d") + 1]))
    return found


@pytest.mark.parametrize(
    ("name", "decisions"),
    [
        ("paid", []),
        ("surplus", ["honour", "refund", "hold", "close"]),
        ("amount_mismatch", ["honour", "refund", "hold"]),
        ("booking_canceled", ["honour", "refund", "hold"]),
        ("unknown_status", ["hold", "close"]),
        ("refund_lost", ["hold", "refund_happened", "refund_did_not_happen"]),
    ],
)
def test_only_decisions_that_would_be_taken_are_offered(busy: BusyShop, name: str, decisions: list[str]) -> None:
    offered = decisions_in(told(story_of(busy, name)))

    assert [body["decision"] for body in offered] == decisions


def test_a_command_for_a_decision_is_what_the_service_takes(busy: BusyShop) -> None:
    story = story_of(busy, "booking_canceled")

    [command, *_] = [line for line in told(story) if "resolution" in line]

    words = shlex.split(command)
    assert words[:3] == ["curl", "-sS", f"{ADDRESS}/v1/payments/{story.payment.id}/resolution"]
    assert json.loads(words[-1]) == {"decision": "honour", "reason": "WHY", "version": story.payment.version}


def test_a_refund_is_offered_where_something_is_left(busy: BusyShop) -> None:
    assert any(re.search(r"/refunds .*reason", line) for line in told(story_of(busy, "paid")))
    assert not any("/refunds " in line for line in told(story_of(busy, "refunded")))


def test_a_refund_is_made_in_the_portal_where_a_gateway_gives_nothing_back(busy: BusyShop) -> None:
    paid = part(told(story_of(busy, "paid"), gateway=GIVES_NOTHING_BACK), "What you can do")
    surplus = told(story_of(busy, "surplus"), gateway=GIVES_NOTHING_BACK)

    assert paid[-1] == f"Give it back in {PORTAL}; the next look notices it."
    assert f"Give it back in {PORTAL}; the next look notices it." in part(surplus, "What you can do")
    assert [body["decision"] for body in decisions_in(surplus)] == ["honour", "hold", "close"]


def test_nothing_is_offered_to_be_given_back_in_the_portal_where_nothing_is_left(busy: BusyShop) -> None:
    for name in ("refunded", "open"):
        assert not any(PORTAL in line for line in told(story_of(busy, name), gateway=GIVES_NOTHING_BACK))


def test_whoever_has_to_look_in_the_panel_is_told_where_that_is() -> None:
    payment = evolve(a_form_payment(), status=PaymentStatus.UNDER_REVIEW, review_reason=ReviewReason.STUCK)
    elsewhere = evolve(payment, review_reason=ReviewReason.BOOKING_CANCELED)

    waiting = part(told(a_story(payment), gateway=GIVES_NOTHING_BACK), "What is waiting")

    assert waiting[1] == f"For that, look in {PORTAL}."
    assert not any("look in" in line for line in told(a_story(elsewhere), gateway=GIVES_NOTHING_BACK))


def test_a_payment_that_only_our_reference_names_is_told_by_it() -> None:
    payment = evolve(a_form_payment(), outcome_unknown=True)

    lines = told(a_story(payment))

    assert lines[2] == "  The gateway knows it by our order reference, ORDER000000000000001."
    assert "  The customer has a form to the gateway's page. As far as we know, nobody paid." in lines
    names = [line for line in lines if "Write to the gateway" in line]
    assert names == [
        "  Write to the gateway, and name ORDER000000000000001, the amount and the time. Never send your key."
    ]


def test_an_amount_that_nobody_knows_is_called_so() -> None:
    payment = evolve(
        an_open_payment(),
        status=PaymentStatus.PARTIALLY_REFUNDED,
        amount_paid=Money(113000),
        amount_refunded=None,
        paid_at=NOON,
        fee=Money(3390),
    )

    [_, standing] = part(told(a_story(payment)), "How it stands")

    assert "of which the gateway keeps Rs 33.90" in standing
    assert "how much is in no answer of its" in standing


def test_nobody_is_named_but_who_acted(busy: BusyShop) -> None:
    lines = "\n".join(told(story_of(busy, "paid")))

    assert "sita@example.com" not in lines
    assert "9800000001" not in lines
    assert STAFF.actor not in lines

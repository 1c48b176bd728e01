from datetime import timedelta

import pytest

from sewapay.application.timeline import SUMMARIES, timeline
from sewapay.domain.events import Event, EventData, EventKind
from sewapay.domain.identifiers import BookingId
from sewapay.domain.observation import Evidence, Reported
from tests.backend.unit.given import NOON, an_answer, payment_id

SECOND = timedelta(seconds=1)


def an_event(kind: EventKind, *, after: int = 0, payment: int | None = 1, data: EventData | None = None) -> Event:
    return Event(
        kind=kind,
        at=NOON + after * SECOND,
        actor="sewapay",
        booking_id=BookingId(123),
        payment_id=None if payment is None else payment_id(payment),
        data=data or {},
    )


def test_every_kind_of_event_has_a_sentence() -> None:
    assert set(EventKind) == set(SUMMARIES)


@pytest.mark.parametrize("kind", EventKind)
def test_a_sentence_needs_nothing_that_an_event_may_lack(kind: EventKind) -> None:
    sentence = SUMMARIES[kind]({})

    assert sentence.endswith(".")
    assert sentence[0].isupper()


@pytest.mark.parametrize(
    ("kind", "data", "sentence"),
    [
        (EventKind.BOOKING_REGISTERED, {"amount": 113000}, "The booking was registered; Rs 1,130.00 is owed."),
        (EventKind.PAYMENT_COMPLETED, {"amount": 113000}, "The gateway says that Rs 1,130.00 was paid."),
        (EventKind.PAYMENT_COMPLETED, {"amount": None}, "The gateway says that an unknown amount was paid."),
        (EventKind.PAYMENT_OPENED, {"gateway_reference": "HT6o"}, "The gateway opened its page for the customer."),
        (
            EventKind.PAYMENT_OPENED,
            {"gateway_reference": None},
            "The way to the gateway's page was made, under our own reference.",
        ),
        (EventKind.PAYMENT_UNDER_REVIEW, {"reason": "no reason"}, "Put aside for a person: no reason."),
    ],
)
def test_a_sentence_says_how_much_and_why(kind: EventKind, data: EventData, sentence: str) -> None:
    assert sentence == SUMMARIES[kind](data)


def test_a_timeline_tells_events_and_answers_in_their_order() -> None:
    events = [
        an_event(EventKind.BOOKING_REGISTERED, payment=None),
        an_event(EventKind.PAYMENT_CREATED, after=1),
        an_event(EventKind.PAYMENT_OPENED, after=2),
        an_event(EventKind.PAYMENT_COMPLETED, after=3),
    ]
    answers = [Evidence(at=NOON + 3 * SECOND, observation=an_answer(Reported.COMPLETED))]

    told = [item.kind for item in timeline(payment_id(), events, answers)]

    assert told == [
        "booking.registered",
        "payment.created",
        "payment.opened",
        "gateway.answered",
        "payment.completed",
    ]


def test_a_timeline_leaves_other_payments_out() -> None:
    events = [an_event(EventKind.PAYMENT_CREATED, payment=1), an_event(EventKind.PAYMENT_CREATED, payment=2)]

    assert len(timeline(payment_id(1), events, [])) == 1


def test_an_answer_is_told_in_the_gateways_own_word() -> None:
    answers = [Evidence(at=NOON, observation=an_answer(Reported.CANCELED, amount=None, transaction=None))]

    (item,) = timeline(payment_id(), [], answers)

    assert item.summary == "Asked what became of it; the gateway said 'User canceled'."
    assert item.data["said"] == "User canceled"
    assert item.actor == "gateway"

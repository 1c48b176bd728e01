"""Which booking, payment or link somebody does something about, under which key, and what they are told."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sewapay.application.idempotency import AlreadyAnswered, Answer, KeyName, Once
from sewapay.application.open_checkout import OpenedCheckout
from sewapay.domain.booking import Booking
from sewapay.domain.identifiers import BookingId
from sewapay.domain.payment import Payment
from sewapay.domain.refund import Refund
from tests.backend.system.simulation.till import Till
from tests.backend.system.simulation.world import World

__all__ = [
    "a_booking",
    "a_key",
    "a_link",
    "a_payment",
    "booking_told",
    "opened_told",
    "refund_told",
    "same_answer",
    "till_of",
]


def a_booking(world: World) -> BookingId | None:
    rows = world.database.books().bookings
    return BookingId(world.chance.choice(rows)["id"]) if rows else None


def a_payment(world: World, fits: Callable[[Payment], bool]) -> Payment | None:
    found = [payment for payment in world.payments() if fits(payment)]
    return world.chance.choice(found) if found else None


def a_link(world: World) -> str | None:
    return world.chance.choice(list(world.shown)) if world.shown else None


def till_of(world: World, name: str) -> Till:
    """Of the gateway where this link or form leads to."""
    return world.tills[world.shown[name].gateway]


def a_key(world: World, actor: str, operation: str, wanted: str, told: Callable[[Any], Answer]) -> Once[Any] | None:
    """Half of the callers send a key, one of few: so that some come again, and some with another request."""
    if world.chance.random() < 0.5:
        return None
    day = world.clock.now() - timedelta(hours=world.clock.now().hour % 6)
    key = f"{day:%m%d%H}-{world.chance.randrange(3)}"
    return Once(
        name=KeyName(principal=actor, operation=operation, key=key), fingerprint=f"{operation} {wanted}", render=told
    )


def same_answer(world: World, once: Once[Any] | None, told: Callable[[Any], Answer]) -> Callable[[Any], None]:
    """I14: whoever asks again under a key hears what was said before, byte for byte, as long as it is kept."""

    def judge(result: Any) -> None:
        if once is None:
            return
        name = f"{once.name.principal} {once.name.operation} {once.name.key}"
        said = result.answer.body if isinstance(result, AlreadyAnswered) else told(result).body
        before = world.answered.setdefault(name, said)
        if before != said:
            world.shared.complaints.append(f"I14 {name} was answered {before!r}, and then {said!r}")

    return judge


def booking_told(booking: Booking) -> Answer:
    return _answer(id=int(booking.id))


def opened_told(opened: OpenedCheckout) -> Answer:
    return _answer(id=str(opened.payment.id), data={"pidx": opened.payment.gateway_reference})


def refund_told(refund: Refund) -> Answer:
    return _answer(id=str(refund.id), payment_id=str(refund.payment_id), status=refund.status.value)


def _answer(**said: object) -> Answer:
    return Answer(status=201, headers={}, body=json.dumps(said).encode())

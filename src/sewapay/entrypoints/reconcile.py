"""`sewapay reconcile --payment`: ask the gateway about one payment now, and say how it stands."""

import asyncio
from datetime import datetime

from attrs import field, frozen

from sewapay.application.explain import Asked, Story, explain
from sewapay.application.recording import Recorder, Verified
from sewapay.application.storage import Tx, View
from sewapay.application.timeline import timeline
from sewapay.application.verify_payment import Verification
from sewapay.domain.identifiers import PaymentId
from sewapay.domain.payment import Payment
from sewapay.entrypoints.container import Container

__all__ = ["Looked", "look"]


@frozen(kw_only=True)
class Looked:
    """What is known about a payment after its gateway was asked, if it could be."""

    story: Story
    asked: Asked
    now: datetime

    def line(self) -> str:
        """How it stands, in a line."""
        payment, booking = self.story.payment, self.story.booking
        flags = [
            *(["outcome unknown"] if payment.outcome_unknown else []),
            *(["surplus"] if payment.surplus else []),
            *([f"waits for a person: {payment.review_reason}"] if payment.review_reason is not None else []),
        ]
        how = ", ".join([str(payment.status), *flags])
        return f"Payment {payment.id} ({payment.amount}) is {how}; booking {booking.id} is {booking.status}."

    def explained(self, container: Container) -> list[str]:
        """Everything, in plain words."""
        settings = container.settings()
        gateway = container.gateways().get(self.story.payment.gateway)
        return explain(
            self.story,
            asked=self.asked,
            policies=settings.policies,
            address=settings.public_url,
            now=self.now,
            gateway=None if gateway is None else gateway.capabilities,
        )


@frozen(kw_only=True)
class _Overhearing(Recorder):
    """Writes down what it is told, and remembers why there was nothing to write."""

    silences: list[str] = field(factory=list)

    def silence(self, tx: Tx, asked: Payment, why: str, *, is_ours: bool, at: datetime) -> Verified:
        self.silences[:] = [why]
        return super().silence(tx, asked, why, is_ours=is_ours, at=at)


def look(container: Container, payment_id: PaymentId) -> Looked:
    """Ask, record, and read everything about it. Raises `PaymentNotFound`, `StoreUnavailable`."""
    return asyncio.run(_look(container, payment_id))


async def _look(container: Container, payment_id: PaymentId) -> Looked:
    recorder = _Overhearing(policies=container.settings().policies)
    verify = container.verify_payment(recorder=recorder)
    store = container.store()
    await store.open()
    try:
        verified = await verify(Verification(by=None, payment=payment_id, even_if_settled=True))
        story = await store.read(lambda view: _story(view, payment_id))
    finally:
        await container.http_client().aclose()
        await store.close()
    silence = recorder.silences[0] if recorder.silences else None
    asked = Asked(now=verified.payment.can_be_looked_up, silence=silence)
    return Looked(story=story, asked=asked, now=container.clock().now())


def _story(view: View, payment_id: PaymentId) -> Story:
    payment = view.payments.get(payment_id)
    events = view.events.of_booking(payment.booking_id)
    return Story(
        payment=payment,
        booking=view.bookings.get(payment.booking_id),
        attempts=view.payments.of_booking(payment.booking_id),
        refunds=view.refunds.of_payment(payment_id),
        timeline=timeline(payment_id, events, view.payments.evidence(payment_id)),
    )

"""Ask the gateway what became of a payment, and record its answer."""

from attrs import frozen

from sewapay.application.access import Operation, Principal
from sewapay.application.errors import BookingNotFound, GatewayError, PaymentNotFound
from sewapay.application.gateways import Gateways, enabled
from sewapay.application.ports import Clock, Order
from sewapay.application.storage import Read, Transact, Tx, View
from sewapay.domain.booking import Booking
from sewapay.domain.identifiers import BookingId, GatewayName, PaymentId
from sewapay.domain.observation import Observation
from sewapay.domain.payment import Payment
from sewapay.domain.settlement import settle
from sewapay.domain.transitions import MONEY

__all__ = ["GatewayReference", "Verification", "Verified", "VerifyPayment", "order_of"]


@frozen
class GatewayReference:
    """A payment by the name that its gateway gave it."""

    gateway: GatewayName
    reference: str


@frozen(kw_only=True)
class Verification:
    """Which payment to verify, and for whom.

    `by` is None for a browser that came back from the gateway: whoever knows the payment's id may make us look.
    With `booking_id`, the payment must be one of that booking. `even_if_settled` looks again although nothing is
    undecided, which notices what was done in the gateway's own panel.
    """

    by: Principal | None
    payment: PaymentId | GatewayReference
    booking_id: BookingId | None = None
    even_if_settled: bool = False


@frozen
class Verified:
    """The payment and its booking as they stand after the gateway was asked."""

    payment: Payment
    booking: Booking


def order_of(payment: Payment, booking: Booking) -> Order:
    """The payment as its gateway needs to know it."""
    return Order(
        payment_id=payment.id,
        booking_id=booking.id,
        reference=payment.order_reference,
        gateway_reference=payment.gateway_reference,
        amount=payment.amount,
        title=booking.title,
    )


@frozen
class VerifyPayment:
    """Ask the gateway what happened and record its answer.

    - The gateway's answer decides; the customer's return is only a reason to ask.
    - A completed payment of the right amount confirms its booking, exactly once.
    - No usable answer changes nothing but `outcome_unknown`; it never means that the payment failed.
    - Asking twice changes nothing the second time.
    """

    read: Read
    transact: Transact
    gateways: Gateways
    clock: Clock

    async def __call__(self, verification: Verification) -> Verified:
        """Verify it. Raises `NotAllowed`, `BookingNotFound`, `PaymentNotFound`, `StoreUnavailable`, and for a
        `GatewayReference` of a gateway that is not enabled `GatewayNotEnabled`.

        A silent gateway raises nothing: the payment comes back with its last status.
        """
        if verification.by is not None:
            verification.by.require(Operation.VERIFY_PAYMENT)
        known = await self.read(lambda view: self._find(view, verification))
        is_settled = known.payment.status in MONEY and not verification.even_if_settled
        if is_settled or not known.payment.can_be_looked_up:
            return known
        try:
            gateway = enabled(self.gateways, known.payment.gateway, known.payment.environment)
            seen = await gateway.look_up(order_of(known.payment, known.booking))
        except GatewayError as silence:
            return await self._note_silence(known, str(silence))
        return await self._record(known, seen)

    def _find(self, view: View, verification: Verification) -> Verified:
        booking = None
        if verification.booking_id is not None:
            booking = view.bookings.get(verification.booking_id)
            if verification.by is not None and not verification.by.may_see(booking):
                raise BookingNotFound
        match verification.payment:
            case GatewayReference(gateway=name, reference=reference):
                gateway = enabled(self.gateways, name)
                payment = view.payments.with_gateway_reference(name, gateway.environment, reference)
                if payment is None:
                    raise PaymentNotFound
            case payment_id:
                payment = view.payments.get(payment_id)
        if booking is None:
            booking = view.bookings.get(payment.booking_id)
        if payment.booking_id != booking.id or (verification.by is not None and not verification.by.may_see(booking)):
            raise PaymentNotFound
        return Verified(payment, booking)

    async def _note_silence(self, known: Verified, why: str) -> Verified:
        def record(tx: Tx) -> Verified:
            booking = tx.bookings.get(known.booking.id)
            payment = tx.payments.get(known.payment.id)
            noted = payment.unanswered(why, at=self.clock.now())
            return Verified(payment if noted is payment else tx.payments.save(noted), booking)

        return await self.transact(record)

    async def _record(self, known: Verified, seen: Observation) -> Verified:
        def record(tx: Tx) -> Verified:
            now = self.clock.now()
            booking = tx.bookings.get(known.booking.id)
            payment = tx.payments.get(known.payment.id)
            observed = payment.observe(seen, at=now, asked_at_version=known.payment.version)
            if observed is payment:
                return Verified(payment, booking)
            seen_before = observed.transaction_id is not None and tx.payments.has_transaction(
                observed.gateway, observed.environment, observed.transaction_id, besides=observed.id
            )
            settled, observed = settle(booking, observed, transaction_seen_before=seen_before, at=now)
            observed = tx.payments.save(observed)
            return Verified(observed, booking if settled is booking else tx.bookings.save(settled))

        return await self.transact(record)

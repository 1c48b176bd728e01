"""Ask the gateway what became of a payment, and record its answer."""

from attrs import frozen

from sewapay.application.access import Operation, Principal
from sewapay.application.errors import BookingNotFound, GatewayError, GatewayNotEnabled, PaymentNotFound
from sewapay.application.gateways import Gateways, enabled
from sewapay.application.ports import Authenticity, Clock, Flights, ReturnMessage
from sewapay.application.recording import Recorder, Verified, order_of
from sewapay.application.storage import Read, Transact, Tx, View
from sewapay.domain.identifiers import BookingId, Environment, GatewayName, OrderReference, PaymentId
from sewapay.domain.money import NOTHING
from sewapay.domain.payment import Payment
from sewapay.domain.transitions import MONEY, SOFT, UNDECIDED

__all__ = ["GatewayReference", "OurReference", "Verification", "Verified", "VerifyPayment"]


@frozen
class GatewayReference:
    """A payment by the name that its gateway gave it."""

    gateway: GatewayName
    reference: str


@frozen
class OurReference:
    """A payment by the name that we gave it at its gateway."""

    gateway: GatewayName
    environment: Environment
    reference: OrderReference

    def found_in(self, view: View) -> Payment:
        """That payment. Raises `PaymentNotFound`."""
        return _known(view.payments.with_order_reference(self.gateway, self.environment, self.reference))


@frozen(kw_only=True)
class Verification:
    """Which payment to verify, and for whom.

    `by` is None for a browser that came back from the gateway: whoever knows the payment's id may make us look.
    With `booking_id`, the payment must be one of that booking. `even_if_settled` looks again although nothing is
    undecided, which notices what was done in the gateway's own panel. `brought` is what the browser came back with.
    """

    by: Principal | None
    payment: PaymentId | GatewayReference | OurReference
    booking_id: BookingId | None = None
    even_if_settled: bool = False
    brought: ReturnMessage | None = None


@frozen
class _Looked:
    """What a look left behind, and whether the gateway was asked in vain."""

    now: Verified
    is_silent: bool = False


@frozen
class VerifyPayment:
    """Ask the gateway what happened and record its answer.

    - The gateway's answer decides; the customer's return is only a reason to ask. One that the gateway signed keeps the
      customer from paying again, while its look-up does not know of the payment yet.
    - A completed payment of the right amount confirms its booking, exactly once.
    - No usable answer changes nothing but `outcome_unknown`; it never means that the payment failed. To a customer who
      comes back it is unknown as well what became of a payment that had ended without money: it may be paid late.
    - Asking twice changes nothing the second time.
    """

    read: Read
    transact: Transact
    gateways: Gateways
    clock: Clock
    flights: Flights
    recorder: Recorder

    async def __call__(self, verification: Verification) -> Verified:
        """Verify it. Raises `NotAllowed`, `BookingNotFound`, `PaymentNotFound`, `StoreUnavailable`, and for a
        `GatewayReference` of a gateway that is not enabled `GatewayNotEnabled`.

        A silent gateway raises nothing: the payment comes back with its last status. Whoever asks about one payment at
        the same time shares a look that began after they asked.
        """
        if verification.by is not None:
            verification.by.require(Operation.VERIFY_PAYMENT)
        known = await self.read(lambda view: self._find(view, verification))
        again = verification.even_if_settled
        if self._is_over(known.payment):  # the gateway's word is kept first, or an answer that lags would end it
            known = await self._returned(_Looked(known), verification.brought)

        async def look(has_waited: bool) -> _Looked:
            return await self._look(await self._read_again(known) if has_waited else known, again=again)

        if not self._is_worth_a_look(known, again=again):
            return known
        looked = await self.flights.fresh(f"{known.payment.id} {again}", look)
        return await self._returned(looked, verification.brought)

    async def without_waiting(self, verification: Verification) -> Verified:
        """How the payment stands for who waits no longer for the look that is under way. Raises what a look does."""
        known = await self.read(lambda view: self._find(view, verification))
        return await self._returned(_Looked(known, is_silent=True), verification.brought)

    async def _returned(self, looked: _Looked, brought: ReturnMessage | None) -> Verified:
        """Keep what a return says beside a look that saw no money: the gateway's signed word, or that it is silent."""
        known = looked.now
        if brought is None or known.payment.status not in UNDECIDED | SOFT:
            return known
        is_vouched = not known.payment.vouched and self._vouches(brought, known.payment)
        if not (is_vouched or looked.is_silent):
            return known

        def record(tx: Tx) -> Verified:
            booking, at = tx.bookings.get(known.booking.id), self.clock.now()
            now = Verified(tx.payments.get(known.payment.id), booking)
            now = self.recorder.vouched(tx, now, at=at) if is_vouched else now
            return self.recorder.come_back_to_silence(tx, now, at=at) if looked.is_silent else now

        return await self.transact(record)

    def _vouches(self, brought: ReturnMessage, payment: Payment) -> bool:
        """Whether this return is the gateway's own word that this payment was made."""
        gateway = self.gateways.get(payment.gateway)
        if gateway is None or gateway.environment is not payment.environment:
            return False
        hint = gateway.read_return(brought)
        is_signed = hint.authenticity is Authenticity.SIGNED
        return is_signed and hint.says_paid and hint.order_reference == payment.order_reference

    def _is_over(self, payment: Payment) -> bool:
        """Whether an answer without money ends it, or has ended it."""
        has_no_life = payment.expires_at is not None and self.clock.now() >= payment.expires_at
        return payment.status in SOFT or (payment.status in UNDECIDED and has_no_life)

    def _is_worth_a_look(self, known: Verified, *, again: bool) -> bool:
        is_settled = known.payment.status in MONEY and not again and known.payment.amount_reserved == NOTHING
        return known.payment.can_be_looked_up and not is_settled

    async def _read_again(self, known: Verified) -> Verified:
        return await self.read(
            lambda view: Verified(view.payments.get(known.payment.id), view.bookings.get(known.booking.id))
        )

    async def _look(self, known: Verified, *, again: bool) -> _Looked:
        if not self._is_worth_a_look(known, again=again):
            return _Looked(known)
        asked = known.payment
        seen, why, is_silent = None, "", False
        try:
            gateway = enabled(self.gateways, asked.gateway, asked.environment)
            seen = await gateway.look_up(order_of(asked, known.booking.title))
        except GatewayError as error:
            why, is_silent = str(error), not isinstance(error, GatewayNotEnabled)

        def record(tx: Tx) -> Verified:
            at = self.clock.now()
            if seen is None:
                return self.recorder.silence(tx, asked, why, is_ours=False, at=at)
            return self.recorder.answer(tx, asked, seen, is_ours=False, at=at)

        return _Looked(await self.transact(record), is_silent)

    def _find(self, view: View, verification: Verification) -> Verified:
        booking = None
        if verification.booking_id is not None:
            booking = view.bookings.get(verification.booking_id)
            if verification.by is not None and not verification.by.may_see(booking):
                raise BookingNotFound
        match verification.payment:
            case GatewayReference(gateway=name, reference=theirs):
                where = enabled(self.gateways, name).environment
                payment = _known(view.payments.with_gateway_reference(name, where, theirs))
            case OurReference() as ours:
                payment = ours.found_in(view)
            case payment_id:
                payment = view.payments.get(payment_id)
        if booking is None:
            booking = view.bookings.get(payment.booking_id)
        if payment.booking_id != booking.id or (verification.by is not None and not verification.by.may_see(booking)):
            raise PaymentNotFound
        return Verified(payment, booking)


def _known(payment: Payment | None) -> Payment:
    if payment is None:
        raise PaymentNotFound
    return payment

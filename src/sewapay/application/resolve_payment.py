"""A person decides about a payment that sewapay does not decide by itself."""

from contextlib import suppress

from attrs import evolve, frozen

from sewapay.application.access import Operation, Principal
from sewapay.application.errors import GatewayError, NotTheReviewedVersion
from sewapay.application.idempotency import Once
from sewapay.application.ports import Clock
from sewapay.application.recording import Verified, open_refund
from sewapay.application.refund_payment import RefundPayment, RefundRequest
from sewapay.application.storage import Read, Transact, Tx
from sewapay.domain.errors import DecisionNotPossible, DomainError
from sewapay.domain.identifiers import PaymentId
from sewapay.domain.resolution import Decision, resolve

__all__ = ["Resolution", "ResolvePayment"]

LONGEST_REASON = 500


@frozen(kw_only=True)
class Resolution:
    """What was decided about which payment, why, and on which version of it. `once`: made again, the same answer."""

    by: Principal
    payment_id: PaymentId
    decision: Decision
    reason: str
    version: int
    once: Once[Verified] | None = None


@frozen
class ResolvePayment:
    """Settle a payment that waits for a person.

    - Only the version that was reviewed is decided about: one that changed since is refused, with its new version.
    - Who decided, what and why is an event of the payment; nothing that a gateway said is removed by it.
    - `honour` counts the money for its booking, `refund` gives it back, `hold` asks the gateway again, `close` ends it.
    - `refund_happened` and `refund_did_not_happen` settle a refund that the gateway never answered.
    """

    read: Read
    transact: Transact
    clock: Clock
    refund: RefundPayment

    async def __call__(self, resolution: Resolution) -> Verified:
        """Decide. Raises `NotAllowed`, `PaymentNotFound`, `NotTheReviewedVersion`, `NotUnderReview`,
        `DecisionNotPossible`, `NothingToRefund`, and to refund `RefundsNotOffered` and `GatewayNotEnabled`. A refund
        that cannot be sent now is sent by the reconciler.
        """
        resolution.by.require(Operation.RESOLVE_PAYMENT)
        reason = resolution.reason.strip()
        if not 1 <= len(reason) <= LONGEST_REASON or not reason.isprintable():
            raise DecisionNotPossible(f"a decision has a reason of 1 to {LONGEST_REASON} printable characters")
        known = await self.read(lambda view: view.payments.get(resolution.payment_id))

        def record(tx: Tx) -> Verified:
            booking = tx.bookings.get(known.booking_id)
            payment = tx.payments.get(known.id)
            if resolution.once is not None:
                resolution.once.check(tx)
            if payment.version != resolution.version:
                raise NotTheReviewedVersion(payment.version)
            if resolution.decision is Decision.REFUND:
                self.refund.offered_for(payment)
            refund = open_refund(tx, payment)
            resolved = resolve(
                booking,
                payment,
                refund,
                decision=resolution.decision,
                actor=resolution.by.actor,
                reason=reason,
                at=self.clock.now(),
            )
            payment = tx.payments.save(resolved.payment)
            if resolved.refund is not None and resolved.refund is not refund:
                tx.refunds.save(resolved.refund)
            booking = booking if resolved.booking is booking else tx.bookings.save(resolved.booking)
            decided = Verified(payment, booking)
            if resolution.once is not None:
                resolution.once.finish(tx, decided)
            return decided

        decided = await self.transact(record)
        if resolution.decision is not Decision.REFUND:
            return decided
        # what stops it leaves it due for the reconciler, unless the look before it settled the matter
        with suppress(GatewayError, DomainError):
            await self.refund(RefundRequest(by=None, payment_id=known.id, amount=None, reason=reason))
        return await self.read(
            lambda view: evolve(
                decided, payment=view.payments.get(known.id), booking=view.bookings.get(known.booking_id)
            )
        )

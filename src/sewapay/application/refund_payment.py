"""Give money back: write down the intent, ask the gateway once, and believe its look-up."""

from datetime import datetime, timedelta
from typing import Final

from attrs import evolve, frozen

from sewapay.application.access import Operation, Principal
from sewapay.application.errors import (
    GatewayError,
    GatewayNotConfigured,
    KeyRefused,
    NothingSent,
    PaymentNotFound,
    RefundRefused,
    RefundsNotOffered,
)
from sewapay.application.gateways import Gateways, enabled
from sewapay.application.idempotency import Once
from sewapay.application.ports import Capabilities, Clock, Ids, RefundGateway, RefundKind, RefundOrder
from sewapay.application.recording import open_refund, order_of
from sewapay.application.storage import Read, Transact, Tx
from sewapay.application.verify_payment import Verification, VerifyPayment
from sewapay.domain.booking import Booking
from sewapay.domain.errors import NothingToRefund, RefundInProgress
from sewapay.domain.giving_back import kept, reserved
from sewapay.domain.identifiers import PaymentId, RefundId
from sewapay.domain.money import NOTHING, Money
from sewapay.domain.payment import Payment, ReviewReason
from sewapay.domain.refund import Refund, RefundStatus

__all__ = ["RefundPayment", "RefundRequest"]

PAUSE_SECONDS: Final = 0.1
WAITS_AT_MOST: Final = timedelta(seconds=15)
MOST_LOOKS: Final = 3
LOOKS_AGAIN_WITHIN: Final = timedelta(seconds=12)
"""After it was asked for. A look takes two deadlines at most, and all must fit into the time a request may run."""
SHOWN_WITHIN: Final = timedelta(seconds=3)
TRIES_AGAIN_AFTER: Final = timedelta(minutes=10)
OURSELVES: Final = "sewapay"


@frozen(kw_only=True)
class RefundRequest:
    """What to give back of which payment: `amount`, or all that is left. `once`: made again, the same answer.

    `by` is None for what a policy or an earlier decision asks for; that holds only while the payment's refund is due.
    """

    by: Principal | None
    payment_id: PaymentId
    amount: Money | None
    reason: str
    once: Once[Refund] | None = None

    @property
    def actor(self) -> str:
        """How events name whoever asked for it."""
        return OURSELVES if self.by is None else self.by.actor


@frozen
class _Begun:
    refund: Refund
    payment: Payment
    booking: Booking


@frozen
class RefundPayment:
    """Give a payment's money back, all of it or a part.

    - What is given back is reserved first: all refunds together never exceed what was paid.
    - The gateway is looked at first: what went back elsewhere is not given back again.
    - One refund a payment at a time, or nobody could tell them apart; whoever comes meanwhile waits for a while.
    - The gateway is asked once. No answer is no refusal: the amount stays reserved, and nothing is sent again.
    - A look-up decides whether it happened; where it cannot tell, a person does.
    """

    read: Read
    transact: Transact
    gateways: Gateways
    clock: Clock
    ids: Ids
    verify: VerifyPayment

    async def __call__(self, request: RefundRequest) -> Refund:
        """The refund as it stands once the gateway was asked. Raises `NotAllowed`, `PaymentNotFound`,
        `NothingToRefund`, `RefundTooLarge`, `RefundInProgress`, `RefundsNotOffered`, `GatewayNotEnabled`.
        """
        if request.by is not None:
            request.by.require(Operation.REFUND_PAYMENT)
        known = await self.read(lambda view: view.payments.get(request.payment_id))
        once = request.once
        if once is not None:
            await self.transact(once.check)
        gateway = enabled(self.gateways, known.gateway, known.environment)
        refunds = self.offered_for(known)
        if known.money_was_seen:  # what went back in the gateway's own panel meanwhile is not there to be given back
            await self.verify(Verification(by=None, payment=known.id, even_if_settled=True))
        refund_id, deadline = self.ids.refund_id(), self.clock.now() + WAITS_AT_MOST
        while True:
            try:
                begun = await self.transact(lambda tx: self._begin(tx, request, refund_id, known, gateway.capabilities))
                break
            except RefundInProgress:
                if self.clock.now() >= deadline or not await self._is_out_of_the_way(request.payment_id, deadline):
                    raise
                await self.clock.pause(PAUSE_SECONDS)
        if isinstance(begun, Refund):
            return begun
        await self._send(refunds, begun)
        return await self._look_and_answer(begun, request)

    def offered_for(self, payment: Payment) -> RefundGateway:
        """What gives this payment's money back. Raises `RefundsNotOffered`, `GatewayNotEnabled`."""
        gateway = enabled(self.gateways, payment.gateway, payment.environment)
        refunds = gateway.refunds
        if refunds is None:
            can = gateway.capabilities
            unseen = "write it down: no look-up tells of it"
            noted = "it is noted here at the next look" if can.shows_refunds else unseen
            raise RefundsNotOffered(
                f"{can.label} gives nothing back by a call of ours: refund it in {can.panel}, and {noted}"
            )
        return refunds

    def _begin(
        self, tx: Tx, request: RefundRequest, refund_id: RefundId, known: Payment, can: Capabilities
    ) -> _Begun | Refund:
        now = self.clock.now()
        booking = tx.bookings.get(known.booking_id)
        payment = tx.payments.get(known.id)
        if request.by is not None and not request.by.may_see(booking):
            raise PaymentNotFound
        cut_off = None if request.once is None else request.once.check(tx)
        if request.once is not None and cut_off is not None and cut_off.subject is not None:
            refund = tx.refunds.get(RefundId(cut_off.subject))  # the first run died after this: never a second refund
            if refund.was_cut_off(now):
                refund = tx.refunds.save(refund.unanswered("the sending was cut off", at=now))
            request.once.finish(tx, refund)
            return refund
        holding, amount = reserved(payment, request.amount, at=now)
        if request.by is None and not payment.refund_due:
            raise NothingToRefund("this is not to be given back any more: a look or a person decided so meanwhile")
        is_all = amount == payment.amount_paid
        if can.refunds is RefundKind.FULL and not is_all:
            raise RefundsNotOffered(f"{can.label} gives back whole payments only: do a part of one in {can.panel}")
        refund = Refund.submit(
            id=refund_id,
            payment_id=payment.id,
            booking_id=booking.id,
            amount=amount,
            is_all=is_all,
            reason=request.reason,
            actor=request.actor,
            at=now,
        )
        if request.once is not None:
            request.once.begin(tx, subject=str(refund_id))
        refund = tx.refunds.add(refund)
        return _Begun(refund, tx.payments.save(holding), booking)

    async def _is_out_of_the_way(self, payment_id: PaymentId, deadline: datetime) -> bool:
        """Wait for the outcome of the refund in the way, until the deadline; one that is unknown may take for ever."""
        while True:
            refund = await self.read(lambda view: open_refund(view, view.payments.get(payment_id)))
            now = self.clock.now()
            if refund is None:
                return True
            is_seen_soon = refund.accepted_at is not None and now < refund.accepted_at + SHOWN_WITHIN
            if now >= deadline or not (refund.is_being_sent(now) or is_seen_soon):
                return False
            await self.clock.pause(PAUSE_SECONDS)

    async def _send(self, refunds: RefundGateway, begun: _Begun) -> None:
        wanted = RefundOrder(amount=begun.refund.amount, is_all=begun.refund.is_all)
        if begun.refund.was_cut_off(self.clock.now()):  # this process stood still, and others may have decided since
            await self.transact(lambda tx: self._note(tx, begun, rejected="not sent: it was too late by then"))
            return
        try:
            said = await refunds.refund(order_of(begun.payment, begun.booking.title), wanted)
        except (NothingSent, KeyRefused, GatewayNotConfigured) as error:
            why, again = f"not sent: {error}", error.may_ask_again
            await self.transact(lambda tx: self._note(tx, begun, rejected=why, again=again))
        except RefundRefused as error:
            why = str(error)
            await self.transact(lambda tx: self._note(tx, begun, refused=why))
        except GatewayError as error:
            why = str(error)
            await self.transact(lambda tx: self._note(tx, begun, unanswered=why))
        else:
            await self.transact(lambda tx: self._note(tx, begun, accepted=said))

    def _note(
        self,
        tx: Tx,
        begun: _Begun,
        *,
        accepted: str | None = None,
        refused: str | None = None,
        rejected: str | None = None,
        unanswered: str | None = None,
        again: bool = False,
    ) -> None:
        now = self.clock.now()
        tx.bookings.get(begun.booking.id)
        payment, refund = tx.payments.get(begun.payment.id), tx.refunds.get(begun.refund.id)
        if not refund.is_open:
            if refund.status is RefundStatus.REJECTED and rejected is None and refused is None:
                why = "a refund was taken to have not happened, and may have happened after all"
                asked = payment.needing_attention(ReviewReason.CONTRADICTORY, why, at=now)
                tx.payments.save(evolve(asked, next_check_at=now))
            return
        if accepted is not None:
            tx.refunds.save(refund.accepted(accepted, at=now))
        elif refused is not None:
            tx.refunds.save(refund.refused_by_gateway(refused))
        elif unanswered is not None:
            tx.refunds.save(refund.unanswered(unanswered, at=now))
        elif rejected is not None:
            tx.refunds.save(refund.rejected(rejected, at=now))
            back = kept(payment, at=now)
            if again and refund.requested_by == OURSELVES:
                back = evolve(back, refund_due=True, next_check_at=now + TRIES_AGAIN_AFTER)
            tx.payments.save(back)

    async def _look_and_answer(self, begun: _Begun, request: RefundRequest) -> Refund:
        """Look at once whether it happened, and keep the answer; what is not known yet is looked at again later.

        A look during which the payment changed may have been dropped, so it is made again while there is time.
        """
        known = await self.read(lambda view: view.payments.get(begun.payment.id))
        for _ in range(MOST_LOOKS):
            if known.amount_reserved == NOTHING:  # the refund has its outcome
                break
            looked = (await self.verify(Verification(by=None, payment=known.id))).payment
            if looked.version == known.version or self.clock.now() >= begun.refund.requested_at + LOOKS_AGAIN_WITHIN:
                break
            known = looked

        def answer(tx: Tx) -> Refund:
            tx.bookings.get(begun.booking.id)
            refund = tx.refunds.get(begun.refund.id)
            if request.once is not None:
                request.once.finish(tx, refund)
            return refund

        return (
            await self.transact(answer)
            if request.once is not None
            else await self.read(lambda view: view.refunds.get(begun.refund.id))
        )

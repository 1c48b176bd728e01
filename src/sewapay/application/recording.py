"""How an answer of a gateway gets into the books: read afresh, let the domain decide, save what changed."""

from collections.abc import Callable
from datetime import datetime

from attrs import evolve, frozen

from sewapay.application.ports import Order
from sewapay.application.storage import Tx, View
from sewapay.domain.after_look import come_back_to_silence, looked_at, not_known, vouched_for
from sewapay.domain.booking import Booking
from sewapay.domain.checkout import PostForm
from sewapay.domain.money import NOTHING
from sewapay.domain.observation import Observation, Reported
from sewapay.domain.payment import Payment, PaymentStatus, ReviewReason
from sewapay.domain.refund import Refund
from sewapay.domain.settlement import Policies, settle, waiting, weigh

__all__ = ["Recorder", "Verified", "open_refund", "order_of"]


@frozen
class Verified:
    """The payment and its booking as they stand after the gateway was asked."""

    payment: Payment
    booking: Booking


def order_of(payment: Payment, title: str) -> Order:
    """The payment as its gateway needs to know it."""
    return Order(
        payment_id=payment.id,
        booking_id=payment.booking_id,
        reference=payment.order_reference,
        gateway_reference=payment.gateway_reference,
        amount=payment.amount,
        title=title,
        transaction_id=payment.transaction_id,
        form=payment.next_step.fields if isinstance(payment.next_step, PostForm) else {},
    )


def open_refund(view: View | Tx, payment: Payment) -> Refund | None:
    """The refund of this payment whose outcome is not known, if there is one."""
    if payment.amount_reserved == NOTHING:
        return None
    return next((refund for refund in view.refunds.of_payment(payment.id) if refund.is_open), None)


@frozen(kw_only=True)
class Recorder:
    """Writes down what a gateway said of a payment, or that it said nothing.

    - `asked` is the payment as it was read before the gateway was asked.
    - `is_ours`: it was asked because the payment was due; then the look counts, and the next one is planned.
    - The booking is locked first; payment, booking, refund, their events and the ledger are saved together.
    - Doing it again changes nothing.
    """

    policies: Policies

    def answer(self, tx: Tx, asked: Payment, seen: Observation, *, is_ours: bool, at: datetime) -> Verified:
        """Take an answer into account."""
        booking = tx.bookings.get(asked.booking_id)
        before = tx.payments.get(asked.id)
        is_fresh = asked.version == before.version
        after = before.observe(seen, at=at, asked_at_version=asked.version)
        if is_fresh and is_ours and seen.reported is Reported.NOT_FOUND:
            after = not_known(after, seen, at=at)
        settled = booking
        if after is not before:
            is_repeated = (
                (after.status is PaymentStatus.COMPLETED or after.review_reason is ReviewReason.AMOUNT_MISMATCH)
                and after.transaction_id is not None
                and tx.payments.has_transaction(
                    after.gateway, after.environment, after.transaction_id, besides=after.id
                )
            )
            settled, after = settle(
                booking, before, after, policies=self.policies, transaction_seen_before=is_repeated, at=at
            )
        refund = open_refund(tx, before) if is_fresh else None
        after, weighed = weigh(before, after, refund, seen, policies=self.policies, at=at)
        if is_ours:
            after = looked_at(after, at=at, answered=seen.reported is not Reported.NOT_FOUND)
        says_nothing = not (after.events or after.evidence or is_ours)
        if says_nothing and evolve(after, next_check_at=before.next_check_at) == before:
            after = before  # looks of our own plan the next one: a crowd that looks must not change the version
        after = after if after == before and not after.events else tx.payments.save(after)
        if weighed is not None and weighed is not refund:
            tx.refunds.save(weighed)
        return Verified(after, booking if settled is booking else tx.bookings.save(settled))

    def silence(self, tx: Tx, asked: Payment, why: str, *, is_ours: bool, at: datetime) -> Verified:
        """Note that there was no usable answer: what is undecided becomes unknown, and nothing becomes failed."""
        return self._kept(tx, asked, lambda payment: payment.unanswered(why, at=at), is_ours=is_ours, at=at)

    def vouched(self, tx: Tx, known: Verified, *, at: datetime) -> Verified:
        """Keep that a signed return says more than the look-ups until now."""
        return self._changed(tx, known, vouched_for(known.payment, at=at))

    def come_back_to_silence(self, tx: Tx, known: Verified, *, at: datetime) -> Verified:
        """Keep that the customer is back from the gateway, and that it has not answered since."""
        return self._changed(tx, known, come_back_to_silence(known.payment, at=at))

    def _changed(self, tx: Tx, known: Verified, payment: Payment) -> Verified:
        return known if payment is known.payment else evolve(known, payment=tx.payments.save(payment))

    def nothing_to_ask(self, tx: Tx, asked: Payment, *, at: datetime) -> Verified:
        """A payment whose opening was cut off or went unanswered: no gateway can be asked about it."""

        def noted(payment: Payment) -> Payment:
            is_opening = payment.status is PaymentStatus.CREATED and not payment.can_be_looked_up
            return payment.unanswered("the opening was cut off", at=at) if is_opening else payment

        return self._kept(tx, asked, noted, is_ours=True, at=at)

    def _kept(
        self, tx: Tx, asked: Payment, change: Callable[[Payment], Payment], *, is_ours: bool, at: datetime
    ) -> Verified:
        booking = tx.bookings.get(asked.booking_id)
        before = tx.payments.get(asked.id)
        after = change(before)
        if is_ours:
            after = looked_at(after, at=at, answered=False)
            refund = open_refund(tx, before)
            if refund is not None:
                cut_off = refund.unanswered("the sending was cut off", at=at) if refund.was_cut_off(at) else refund
                after = waiting(after, cut_off, at=at)
                if cut_off is not refund:
                    tx.refunds.save(cut_off)
        return Verified(after if after == before and not after.events else tx.payments.save(after), booking)

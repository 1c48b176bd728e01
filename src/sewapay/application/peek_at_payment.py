"""Somebody reads an undecided payment: look at the gateway, unless somebody else is looking already."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Final

from attrs import frozen

from sewapay.application.errors import GatewayError, KeyRefused
from sewapay.application.gateways import Gateways, enabled
from sewapay.application.pacing import Pace
from sewapay.application.ports import Clock
from sewapay.application.recording import Recorder, Verified, order_of
from sewapay.application.storage import Claim, Transact, Tx
from sewapay.domain.identifiers import PaymentId
from sewapay.domain.payment import Payment

__all__ = ["FRESH_FOR", "PeekAtPayment"]

FRESH_FOR: Final = timedelta(seconds=5)
LEASE_SECONDS: Final = 30.0
SHARE_OF_THE_WORKERS: Final = 0.5


@frozen(kw_only=True)
class PeekAtPayment:
    """Look at one payment because it is being read.

    - It is claimed as the reconciler claims it: over all processes, one look at a time.
    - It costs the gateway's budget, and is left out when half of that is spent or the gateway is away.
    - Whether there was an answer counts for the gateway's pace as the reconciler's calls do.
    """

    transact: Transact
    gateways: Gateways
    clock: Clock
    recorder: Recorder
    per_minute: int

    async def __call__(self, payment_id: PaymentId) -> None:
        """Look, if it may. Raises `PaymentNotFound`, `StoreUnavailable`; a silent gateway raises nothing."""
        claim, pace = await self.transact(lambda tx: self._claim(tx, payment_id))
        if claim is None:
            return
        asked = claim.payment
        try:
            gateway = enabled(self.gateways, asked.gateway, asked.environment)
            seen = await gateway.look_up(order_of(asked, claim.title))
        except GatewayError as error:
            silence: GatewayError | None = error
            record: Callable[..., Verified] = partial(self.recorder.silence, asked=asked, why=str(error))
        else:
            silence = None
            record = partial(self.recorder.answer, asked=asked, seen=seen)

        def recorded(tx: Tx) -> None:
            tx.bookings.get(asked.booking_id)
            if tx.payments.release(claim):
                record(tx, is_ours=True, at=self.clock.now())

        await self.transact(recorded)
        if silence is not None or not pace.is_undisturbed:
            await self.transact(lambda tx: self._pace(tx, asked, silence))

    def _pace(self, tx: Tx, asked: Payment, silence: GatewayError | None) -> None:
        """What came of the call counts for everybody: it may have been the one that finds the gateway back."""
        pace, now = tx.paces.get(asked.gateway, asked.environment), tx.time()
        heard = pace.heard(answered=int(silence is None), silent=int(silence is not None), now=now)
        if isinstance(silence, KeyRefused):
            heard = heard.refused(now)
        tx.paces.save(asked.gateway, asked.environment, heard)

    def _claim(self, tx: Tx, payment_id: PaymentId) -> tuple[Claim | None, Pace]:
        payment = tx.payments.get(payment_id)
        pace, now = tx.paces.get(payment.gateway, payment.environment), tx.time()
        if not pace.has_left(SHARE_OF_THE_WORKERS, now=now):
            return None, pace
        pace, granted = pace.take(1, per_minute=self.per_minute, now=now)
        claim = tx.payments.claim_one(payment_id, lease_seconds=LEASE_SECONDS) if granted else None
        if claim is None:
            return None, pace
        is_due = claim.payment.looked_at is None or self.clock.now() >= claim.payment.looked_at + FRESH_FOR
        if not is_due or not claim.payment.is_undecided:  # somebody else has just looked
            tx.payments.release(claim)
            return None, pace
        tx.paces.save(payment.gateway, payment.environment, pace)
        return claim, pace

"""Look at every payment that is due: what nobody comes back for is settled all the same."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from attrs import define, evolve, field, frozen

from sewapay.application.errors import ApplicationError, GatewayError, KeyRefused, StoreUnavailable
from sewapay.application.gateways import Gateways
from sewapay.application.idempotency import KEPT_FOR
from sewapay.application.ports import Clock, PaymentGateway, Together
from sewapay.application.recording import Recorder, Verified, order_of
from sewapay.application.refund_payment import RefundPayment, RefundRequest
from sewapay.application.storage import Claim, Poisoned, Transact, Tx
from sewapay.domain.after_look import looked_at
from sewapay.domain.errors import DomainError
from sewapay.domain.identifiers import GatewayName
from sewapay.domain.money import NOTHING
from sewapay.domain.observation import Observation, Reported
from sewapay.domain.payment import Payment

__all__ = ["LeftAlone", "ReconcilePayments", "Reconciled"]

LEASE_SECONDS: Final = 120.0
SILENCES_UNTIL_STOP: Final = 5
BROKEN_AGAIN_AFTER: Final = timedelta(hours=1)
KEYS_FORGOTTEN_AT_ONCE: Final = 500


@frozen(kw_only=True)
class LeftAlone:
    """A gateway for which nothing was taken, due or not: it is away until then, or (None) the budget is spent."""

    gateway: GatewayName
    until: datetime | None


@frozen(kw_only=True)
class Reconciled:
    """What one run did: how many payments it took, asked about, and changed.

    `silent`: no usable answer. `skipped`: given back untouched because the gateway is away. `lost`: somebody else had
    taken them over. `poisoned`: rows that cannot be read. `broken`: payments, and the error that stopped each.
    `left_alone`: gateways for which nothing was taken, so that what is due there waits. `stopped`: gateways whose part
    of the run broke as a whole, and over what.
    """

    claimed: int = 0
    asked: int = 0
    changed: int = 0
    silent: int = 0
    skipped: int = 0
    lost: int = 0
    poisoned: tuple[Poisoned, ...] = ()
    broken: tuple[tuple[Claim, Exception], ...] = field(default=(), repr=False)
    left_alone: tuple[LeftAlone, ...] = ()
    stopped: tuple[tuple[GatewayName, Exception], ...] = field(default=(), repr=False)

    def and_(self, other: "Reconciled") -> "Reconciled":
        """Both together."""
        return Reconciled(
            claimed=self.claimed + other.claimed,
            asked=self.asked + other.asked,
            changed=self.changed + other.changed,
            silent=self.silent + other.silent,
            skipped=self.skipped + other.skipped,
            lost=self.lost + other.lost,
            poisoned=(*self.poisoned, *other.poisoned),
            broken=(*self.broken, *other.broken),
            left_alone=tuple(dict.fromkeys((*self.left_alone, *other.left_alone))),
            stopped=(*self.stopped, *other.stopped),
        )


@frozen(kw_only=True)
class _Seen:
    """What came of one claim. `put_off`: nothing but the time of the next look is to be kept."""

    claim: Claim
    put_off: Payment | None = None
    asked: bool = False
    silent: bool = False
    skipped: bool = False
    lost: bool = False


@define
class _Quiet:
    """Calls in a row, among those of one run, that a gateway did not answer."""

    in_a_row: int = 0
    answered: int = 0
    silent: int = 0
    key_is_refused: bool = False

    @property
    def is_away(self) -> bool:
        return self.in_a_row >= SILENCES_UNTIL_STOP or self.key_is_refused

    def heard(self) -> None:
        self.in_a_row = 0
        self.answered += 1

    def heard_nothing(self, error: GatewayError) -> None:
        self.in_a_row += 1
        self.silent += 1
        self.key_is_refused = self.key_is_refused or isinstance(error, KeyRefused)


@frozen(kw_only=True)
class ReconcilePayments:
    """Take payments whose next look is due, ask their gateways, and record what they say.

    - Each is claimed with a lease: any number of workers share the work, and one that lost its lease writes nothing.
    - A gateway is asked at most `per_minute` times by all workers together, and left alone for a while when it is away.
    - An answer that changes nothing costs one small write for many payments.
    - Money that is to be given back by a policy or a decision is given back.
    - What cannot be read, or breaks, is put off and reported; the rest goes on. So do the other gateways, where one
      breaks as a whole.
    """

    transact: Transact
    gateways: Gateways
    clock: Clock
    recorder: Recorder
    refund: RefundPayment
    together: Together
    per_minute: int
    lease_seconds: float = LEASE_SECONDS

    async def __call__(self, limit: int) -> Reconciled:
        """Work through at most `limit` due payments of each gateway. Raises `StoreUnavailable`."""
        done = Reconciled()
        for name, gateway in self.gateways.items():
            (of_one,) = await self.together([partial(self._of, gateway, limit)])
            if isinstance(of_one, StoreUnavailable):
                raise of_one
            done = done.and_(Reconciled(stopped=((name, of_one),)) if isinstance(of_one, Exception) else of_one)
        return done

    async def forget_old_answers(self) -> None:
        """Forget the answers that no `Idempotency-Key` asks for any more. Raises `StoreUnavailable`."""
        await self.transact(lambda tx: tx.answers.forget_before(tx.time() - KEPT_FOR, limit=KEYS_FORGOTTEN_AT_ONCE))

    async def _of(self, gateway: PaymentGateway, limit: int) -> Reconciled:
        claims, poisoned, left_alone = await self.transact(lambda tx: self._claim(tx, gateway, limit))
        if not claims:
            return Reconciled(poisoned=tuple(poisoned), left_alone=left_alone)
        quiet = _Quiet()
        calls = [partial(self._look, gateway, claim, quiet) for claim in claims]
        outcomes = await self.together(calls)
        seen: list[_Seen] = []
        broken: list[tuple[Claim, Exception]] = []
        for claim, outcome in zip(claims, outcomes, strict=True):
            if isinstance(outcome, Exception):
                broken.append((claim, outcome))
            else:
                seen.append(outcome)
        await self.transact(lambda tx: self._give_back(tx, gateway, seen, broken, quiet))
        return Reconciled(
            claimed=len(claims),
            asked=sum(one.asked for one in seen),
            changed=sum(one.put_off is None and not one.lost for one in seen),
            silent=quiet.silent,
            skipped=sum(one.skipped for one in seen),
            lost=sum(one.lost for one in seen),
            poisoned=tuple(poisoned),
            broken=tuple(broken),
        )

    def _claim(
        self, tx: Tx, gateway: PaymentGateway, limit: int
    ) -> tuple[list[Claim], list[Poisoned], tuple[LeftAlone, ...]]:
        pace = tx.paces.get(gateway.name, gateway.environment)
        taken, granted = pace.take(limit, per_minute=self.per_minute, now=tx.time())
        if not granted:
            until = pace.away_until if pace.is_away(tx.time()) else None
            return [], [], (LeftAlone(gateway=gateway.name, until=until),)
        claims, poisoned = tx.payments.claim(
            gateway.name,
            gateway.environment,
            due_at=self.clock.now(),
            limit=granted,
            lease_seconds=self.lease_seconds,
        )
        if claims:
            if len(claims) < granted:
                taken, _ = pace.take(len(claims), per_minute=self.per_minute, now=tx.time())
            tx.paces.save(gateway.name, gateway.environment, taken)
        return claims, poisoned, ()

    async def _look(self, gateway: PaymentGateway, claim: Claim, quiet: _Quiet) -> _Seen:
        asked = claim.payment
        if asked.refund_due and asked.amount_reserved == NOTHING:
            return await self._give_money_back(claim)
        if not asked.can_be_looked_up:
            return await self._record(claim, partial(self.recorder.nothing_to_ask, asked=asked))
        if quiet.is_away:
            return _Seen(claim=claim, put_off=asked, skipped=True)
        try:
            seen = await gateway.look_up(order_of(asked, claim.title))
        except GatewayError as silence:
            quiet.heard_nothing(silence)
            return await self._heard_nothing(claim, str(silence))
        quiet.heard()
        return await self._heard(claim, seen)

    async def _heard(self, claim: Claim, seen: Observation) -> _Seen:
        """An answer that says what is known already is worth no transaction of its own."""
        asked, now = claim.payment, self.clock.now()
        if seen.reported is not Reported.NOT_FOUND and asked.amount_reserved == NOTHING:
            after = asked.observe(seen, at=now, asked_at_version=asked.version)
            if after is asked:
                after = looked_at(asked, at=now, answered=True)
                if not after.events:
                    return _Seen(claim=claim, put_off=after, asked=True)
        return await self._record(
            claim, partial(self.recorder.answer, asked=asked, seen=seen, is_ours=True), asked=True
        )

    async def _heard_nothing(self, claim: Claim, why: str) -> _Seen:
        asked, now = claim.payment, self.clock.now()
        if asked.amount_reserved == NOTHING and asked.unanswered(why, at=now) is asked:
            after = looked_at(asked, at=now, answered=False)
            if not after.events:
                return _Seen(claim=claim, put_off=after, asked=True, silent=True)
        noted = partial(self.recorder.silence, asked=asked, why=why, is_ours=True)
        return evolve(await self._record(claim, noted, asked=True), silent=True)

    async def _record(self, claim: Claim, record: Callable[..., Verified], *, asked: bool = False) -> _Seen:
        def recorded(tx: Tx) -> _Seen:
            tx.bookings.get(claim.payment.booking_id)
            if not tx.payments.release(claim):
                return _Seen(claim=claim, asked=asked, lost=True)
            record(tx, at=self.clock.now())
            return _Seen(claim=claim, asked=asked)

        return await self.transact(recorded)

    async def _give_money_back(self, claim: Claim) -> _Seen:
        payment = claim.payment
        try:
            await self.refund(RefundRequest(by=None, payment_id=payment.id, amount=None, reason=_why(payment)))
        except StoreUnavailable:
            raise  # that says nothing of the refund: it stays due
        except (DomainError, ApplicationError) as impossible:
            why = str(impossible)

            def given_up(tx: Tx, at: datetime) -> Verified:
                booking, current = tx.bookings.get(payment.booking_id), tx.payments.get(payment.id)
                left = current
                if current.refund_due:
                    left = evolve(current, refund_due=False, reason=f"not given back: {why}")
                return Verified(tx.payments.save(looked_at(left, at=at, answered=False)), booking)

            return await self._record(claim, given_up)
        return await self._record(claim, lambda tx, at: Verified(payment, tx.bookings.get(payment.booking_id)))

    def _give_back(
        self,
        tx: Tx,
        gateway: PaymentGateway,
        seen: list[_Seen],
        broken: list[tuple[Claim, Exception]],
        quiet: _Quiet,
    ) -> None:
        later = self.clock.now() + BROKEN_AGAIN_AFTER
        put_off = [(one.claim, one.put_off) for one in seen if one.put_off is not None]
        for claim, error in broken:
            is_away = isinstance(error, StoreUnavailable)  # that says nothing about the payment: it stays due
            put_off.append((claim, claim.payment if is_away else evolve(claim.payment, next_check_at=later)))
        tx.payments.put_off(put_off)
        pace = tx.paces.get(gateway.name, gateway.environment)
        heard = pace.heard(answered=quiet.answered, silent=quiet.silent, now=tx.time())
        if quiet.key_is_refused:
            heard = heard.refused(tx.time())
        if heard != pace:
            tx.paces.save(gateway.name, gateway.environment, heard)


def _why(payment: Payment) -> str:
    return f"given back without being asked: {payment.review_reason or payment.status}"

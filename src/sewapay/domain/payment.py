"""One attempt to collect one booking's amount through one gateway, and the table that decides where it goes.

Only a gateway's answer to a look-up moves money states. An answer that is not known keeps the last status and sets
`outcome_unknown`; it never becomes a failure. What the table says is drawn in `docs/money-safety.md`.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Self

from attrs import evolve, field, frozen

from sewapay.domain.booking import Booking
from sewapay.domain.checkout import Checkout, NextStep
from sewapay.domain.doubts import doubt_about_money, is_about_another, is_put_right_by, may_have_gone_back, taken_as
from sewapay.domain.events import Event, EventData, EventKind
from sewapay.domain.identifiers import BookingId, Environment, GatewayName, OrderReference, PaymentId
from sewapay.domain.ledger import Posting, posting
from sewapay.domain.looks import FIRST_LOOK, next_look
from sewapay.domain.money import NOTHING, Money
from sewapay.domain.observation import Evidence, Observation, Reported
from sewapay.domain.transitions import MONEY, SOFT, TRANSITIONS, UNDECIDED, Decision, PaymentStatus, ReviewReason

__all__ = ["Payment", "PaymentStatus", "ReturnStyle", "ReturnTo", "ReviewReason"]

_HELD_ELSEWHERE: Final = frozenset({ReviewReason.BOOKING_CANCELED, ReviewReason.TRANSACTION_REPEATED})
_MONEY_IN_ORDER: Final = _HELD_ELSEWHERE | {ReviewReason.STUCK, ReviewReason.ORPHANED_REFERENCE}
_GONE_BACK: Final = frozenset({Reported.PARTIALLY_REFUNDED, Reported.REFUNDED})
_MONEY_REPORTS: Final = _GONE_BACK | {Reported.COMPLETED}


class ReturnStyle(StrEnum):
    """What the merchant's page is given when the browser is sent on to it."""

    PAYMENT_ID = "payment_id"
    KHALTI_WORDS = "khalti_words"


@frozen
class ReturnTo:
    """The merchant's own page for the customer who comes back, checked against the allowed origins."""

    url: str
    style: ReturnStyle


@frozen(kw_only=True)
class Payment:
    """One attempt to collect `amount` for one booking through one gateway.

    - `order_reference` is ours and stored before the gateway is called; `gateway_reference` is the gateway's.
    - `amount` is frozen when the attempt begins; `amount_paid`, `fee` and `transaction_id` are what the gateway said.
    - `amount_refunded`: what was given back; None when the gateway did, and nobody knows how much.
    - `amount_reserved`: what a refund without a known outcome may have given back, or may give back yet.
    - `refund_due`: it was decided that the rest is given back, and that was not begun yet.
    - `said`: the gateway's last word, as it was given. `paid_at` (UTC): when it first said that money was taken.
    - `outcome_unknown`: we asked and got no usable answer; the status is the last one that is known.
    - `vouched`: a return with the gateway's own signature said that it was paid; no look-up has to have agreed.
    - `surplus`: the money came, and another payment had already settled the booking.
    - `review_reason`: what a person has to decide about it, whatever its status; None when nothing.
    - `next_check_at` (UTC): when it is due for another look; None when nothing more is expected.
    - `looked_at` (UTC): when we last asked by ourselves; `silences`: how often in a row there was no usable answer.
    - `version` counts the saved changes; `events`, `evidence` and `postings` hold what happened since it was read.
    """

    id: PaymentId
    booking_id: BookingId
    gateway: GatewayName
    environment: Environment
    order_reference: OrderReference
    amount: Money
    created_at: datetime
    status: PaymentStatus = PaymentStatus.CREATED
    gateway_reference: str | None = None
    next_step: NextStep | None = field(default=None, repr=False)
    opened_at: datetime | None = None
    expires_at: datetime | None = None
    return_to: ReturnTo | None = field(default=None, repr=False)
    said: str | None = None
    outcome_unknown: bool = False
    vouched: bool = False
    surplus: bool = False
    review_reason: ReviewReason | None = None
    reason: str | None = None
    amount_paid: Money | None = None
    amount_refunded: Money | None = NOTHING
    amount_reserved: Money = NOTHING
    refund_due: bool = False
    fee: Money | None = None
    transaction_id: str | None = None
    paid_at: datetime | None = None
    next_check_at: datetime | None = None
    looked_at: datetime | None = None
    silences: int = 0
    version: int = 0
    events: tuple[Event, ...] = field(default=(), eq=False, repr=False)
    evidence: tuple[Evidence, ...] = field(default=(), eq=False, repr=False)
    postings: tuple[Posting, ...] = field(default=(), eq=False, repr=False)

    @classmethod
    def begin(
        cls,
        *,
        id: PaymentId,
        booking: Booking,
        gateway: GatewayName,
        environment: Environment,
        order_reference: OrderReference,
        return_to: ReturnTo | None,
        longest_life: timedelta,
        actor: str,
        at: datetime,
    ) -> Self:
        """A new attempt, to be committed before the gateway hears of it.

        `longest_life`: how long a link of this gateway may live; one that nobody heard of is dead after that.
        """
        payment = cls(
            id=id,
            booking_id=booking.id,
            gateway=gateway,
            environment=environment,
            order_reference=order_reference,
            amount=booking.amount,
            return_to=return_to,
            created_at=at,
            expires_at=at + longest_life,
        )
        return payment.planned_telling(
            EventKind.PAYMENT_CREATED, actor, at, gateway=str(gateway), amount=booking.amount.paisa
        )

    @property
    def is_undecided(self) -> bool:
        """Whether the customer's money may still move, as far as we know."""
        return self.outcome_unknown or self.status in UNDECIDED

    @property
    def money_was_seen(self) -> bool:
        """Whether the gateway ever said that money for this payment was taken."""
        return self.paid_at is not None

    @property
    def can_be_looked_up(self) -> bool:
        """Whether a customer could have been given its link at all."""
        return self.next_step is not None or self.gateway_reference is not None

    @property
    def holds_surplus(self) -> bool:
        """Whether it is money that came beside the payment that settled the booking, and was not given back yet."""
        return self.surplus and self.status is not PaymentStatus.REFUNDED

    @property
    def needs_attention(self) -> bool:
        """Whether a person should look: something waits for a decision, or an outcome is not known."""
        return self.review_reason is not None or self.outcome_unknown

    @property
    def known_refunded(self) -> Money:
        """What is known to have been given back."""
        return self.amount_refunded or NOTHING

    def has_live_link(self, at: datetime) -> bool:
        """Whether its checkout can still be given to the customer."""
        if self.status is not PaymentStatus.OPEN or self.next_step is None:
            return False
        return self.expires_at is None or at < self.expires_at

    def opened(self, checkout: Checkout, *, default_life: timedelta, at: datetime) -> Self:
        """The gateway opened a checkout: keep what it gave us, so that the link may be shown once this is saved.

        When the link dies is reckoned by our own clock wherever the gateway says how long it lives: two machines'
        clocks are not compared.
        """
        expires_at = checkout.expires_at or at + default_life
        if checkout.life is not None:
            expires_at = at + checkout.life
        opened = evolve(
            self,
            status=PaymentStatus.OPEN,
            next_step=checkout.next_step,
            gateway_reference=checkout.gateway_reference,
            opened_at=at,
            expires_at=expires_at,
            outcome_unknown=False,
        )
        return opened.planned_telling(
            EventKind.PAYMENT_OPENED, "gateway", at, gateway_reference=checkout.gateway_reference
        )

    def not_attempted(self, why: str, *, at: datetime) -> Self:
        """The gateway certainly never opened a checkout: nothing was sent, or our key was refused."""
        failed = evolve(self, status=PaymentStatus.FAILED, reason=why, outcome_unknown=False, next_check_at=None)
        return failed.telling(EventKind.PAYMENT_FAILED, "sewapay", at, reason=why)

    def refused(self, why: str, *, at: datetime) -> Self:
        """The gateway refused to open a checkout for what we sent: our mistake, so a person looks at it."""
        return self._moved_to_review(ReviewReason.CHECKOUT_REFUSED, why, at)

    def unanswered(self, why: str, *, at: datetime) -> Self:
        """The gateway was asked and gave no usable answer: the status stays, and another look is due.

        What is settled, ended or under review already does not become unknown by a silence. What has ended is looked at
        once more all the same: somebody had a reason to ask, and a link may be paid late.
        """
        if self.status in SOFT and self.next_check_at is None and self.can_be_looked_up:
            return evolve(self, next_check_at=at + FIRST_LOOK)
        if self.outcome_unknown or self.status not in UNDECIDED:
            return self
        return self._unsure(why, at)

    def _unsure(self, why: str, at: datetime) -> Self:
        unknown = evolve(self, outcome_unknown=True)
        return unknown.planned_telling(EventKind.PAYMENT_OUTCOME_UNKNOWN, "sewapay", at, reason=why)

    def returning_to(self, return_to: ReturnTo | None) -> Self:
        """The same payment, with the page that the customer asked to come back to last."""
        return self if return_to is None or return_to == self.return_to else evolve(self, return_to=return_to)

    def observe(self, seen: Observation, *, at: datetime, asked_at_version: int) -> Self:
        """Take a gateway's answer into account. Contradictions go to review; nothing is guessed.

        `asked_at_version` is the version that was read before the gateway was asked. When the payment has changed
        since, an answer without money in it may be older than what we know, and is dropped; so is one about money that
        went back while a refund of ours is on its way, which a look that is made now has to tell apart.
        """
        if asked_at_version != self.version and self.amount_reserved != NOTHING and seen.reported in _GONE_BACK:
            return self
        observed = self._observed(seen, at, asked_at_version)
        return self if observed is self else observed.posted(self, at)

    def _observed(self, seen: Observation, at: datetime, asked_at_version: int) -> Self:
        if seen.reported not in _MONEY_REPORTS and asked_at_version != self.version:
            return self
        if is_about_another(self, seen):
            return self._contradicted(ReviewReason.REFERENCE_MISMATCH, "the answer is about another payment", seen, at)
        if asked_at_version == self.version and is_put_right_by(self, seen):
            return evolve(self, amount_paid=None, refund_due=False)._decided(
                Decision(to=PaymentStatus.COMPLETED), seen, at
            )
        if seen.reported in _MONEY_REPORTS and (doubt := doubt_about_money(self, seen)) is not None:
            return self._contradicted(*doubt, seen, at)
        decision = TRANSITIONS[self.status, taken_as(self, seen, at)]
        if self.status is PaymentStatus.UNDER_REVIEW and self.money_was_seen and decision.to is PaymentStatus.COMPLETED:
            # other money that is under review never settles a booking by itself: a person decides
            decision = Decision(contradicts=self.review_reason not in _MONEY_IN_ORDER)
        return self._decided(decision, seen, at)

    def marked_surplus(self, *, at: datetime) -> Self:
        """The money came, and another payment had settled the booking: keep it in sight until it is given back."""
        if self.surplus:
            return self
        surplus = evolve(self, surplus=True, review_reason=ReviewReason.SURPLUS)
        return surplus.telling(EventKind.PAYMENT_SURPLUS, "sewapay", at)

    def held_for_review(self, reason: ReviewReason, why: str, *, at: datetime) -> Self:
        """The money came, and it must not settle the booking by itself: a person decides."""
        return self._moved_to_review(reason, why, at)

    def honoured(self, *, actor: str, reason: str, at: datetime) -> Self:
        """It was decided that this money counts for its booking, whatever was unusual about it."""
        status = PaymentStatus.COMPLETED if self.status is PaymentStatus.UNDER_REVIEW else self.status
        accepted = evolve(self, status=status, review_reason=None, reason=None, refund_due=False).planned(at)
        if status is not self.status:
            accepted = accepted.telling(EventKind.PAYMENT_COMPLETED, actor, at, reason=reason)
        return accepted

    def needing_attention(self, reason: ReviewReason, why: str, *, at: datetime) -> Self:
        """Ask for a person without changing the status."""
        if self.review_reason is not None:
            return self  # a person is asked already, and has to see what for
        asked = evolve(self, review_reason=reason, reason=why)
        return asked.telling(EventKind.PAYMENT_NEEDS_ATTENTION, "sewapay", at, review=str(reason), reason=why)

    def _decided(self, decision: Decision, seen: Observation, at: datetime) -> Self:
        if decision.review is ReviewReason.REFUNDED_OUTSIDE and self._knows_of_refunds:
            return self._held(seen, at)
        if decision.review is not None:
            return self._contradicted(decision.review, f"the gateway said {seen.said!r}", seen, at)
        if decision.contradicts:
            why = f"the gateway now says {seen.said!r}"
            noted = self._contradicted(ReviewReason.CONTRADICTORY, why, seen, at)
            is_new = noted is not self and decision.asks
            return noted.needing_attention(ReviewReason.CONTRADICTORY, why, at=at) if is_new else noted
        if decision.unsure and decision.to is None:
            if self.outcome_unknown and self.said == seen.said:
                return self
            noted = evolve(self.with_evidence(seen, at), said=seen.said)
            return noted if self.outcome_unknown else noted._unsure(f"the gateway said {seen.said!r}", at)
        status = decision.to or self.status
        if status is self.status:
            return self._held(seen, at)
        moved = evolve(
            self,
            status=status,
            said=seen.said,
            outcome_unknown=decision.unsure,
            review_reason=self.review_reason if status is PaymentStatus.PARTIALLY_REFUNDED else None,
            reason=None,
            refund_due=self.refund_due and status is not PaymentStatus.REFUNDED,
            evidence=(*self.evidence, Evidence(at=at, observation=seen)),
        )._with_money(seen, at)
        return moved.planned_telling(EventKind(f"payment.{status}"), "gateway", at, said=seen.said, **seen.facts)

    def _held(self, seen: Observation, at: datetime) -> Self:
        """The status stays. What the answer adds is kept; an answer that adds nothing changes nothing.

        That a page which was opened is open is nothing new.
        """
        if self.status is PaymentStatus.OPEN and self.said is None and not self.outcome_unknown:
            return self
        known = evolve(self, said=seen.said, outcome_unknown=False)._with_money(seen, at)
        if known.status not in UNDECIDED or known.outcome_unknown != self.outcome_unknown:
            known = known.planned(at)
        return self if known == self else known.with_evidence(seen, at)

    def _contradicted(self, reason: ReviewReason, why: str, seen: Observation, at: datetime) -> Self:
        """Money that was seen is never given up for a lesser report; everything else goes to a person."""
        is_about_us = reason is not ReviewReason.REFERENCE_MISMATCH
        if self.status not in MONEY and self.status is not PaymentStatus.UNDER_REVIEW:
            noted = evolve(self.with_evidence(seen, at), said=seen.said)
            noted = noted._with_money(seen, at) if is_about_us else noted
            return noted._moved_to_review(reason, why, at, **seen.facts)
        noted = evolve(self, said=seen.said, reason=why)
        if self.status is PaymentStatus.UNDER_REVIEW:
            noted = noted._with_money(seen, at) if is_about_us else noted
            noted = noted if self.money_was_seen else evolve(noted, review_reason=reason)
        if noted == self:
            return self
        facts = {"reason": why, "said": seen.said, **seen.facts}
        return noted.with_evidence(seen, at).telling(EventKind.PAYMENT_CONTRADICTED, "gateway", at, **facts)

    def _moved_to_review(self, reason: ReviewReason, why: str, at: datetime, **data: str | int | bool | None) -> Self:
        review = evolve(
            self,
            status=PaymentStatus.UNDER_REVIEW,
            review_reason=reason,
            reason=why,
            outcome_unknown=False,
        )
        return review.planned_telling(
            EventKind.PAYMENT_UNDER_REVIEW, "sewapay", at, review=str(reason), reason=why, **data
        )

    def _with_money(self, seen: Observation, at: datetime) -> Self:
        """Keep what the gateway said about this payment's money. What was said first stays, and nothing is lowered."""
        if seen.reported not in _MONEY_REPORTS:
            return self
        known_or_not = self.amount_refunded if self._knows_of_refunds else None
        refunded = {
            Reported.COMPLETED: self.amount_refunded,
            Reported.PARTIALLY_REFUNDED: known_or_not,
            Reported.REFUNDED: seen.amount if may_have_gone_back(self, seen.amount) else known_or_not,
        }[seen.reported]
        return evolve(
            self,
            amount_paid=seen.amount if self.amount_paid is None else self.amount_paid,
            amount_refunded=refunded,
            fee=self.fee if seen.fee is None else seen.fee,
            transaction_id=seen.transaction_id if self.transaction_id is None else self.transaction_id,
            paid_at=at if self.paid_at is None else self.paid_at,
        )

    def with_evidence(self, seen: Observation, at: datetime) -> Self:
        """The same payment, with an answer to be kept beside it."""
        return evolve(self, evidence=(*self.evidence, Evidence(at=at, observation=seen)))

    @property
    def _knows_of_refunds(self) -> bool:
        """Whether refunds of our own explain that something went back."""
        return self.amount_reserved != NOTHING or self.known_refunded != NOTHING

    def planned(self, at: datetime) -> Self:
        """The same payment, with its next look planned (`looks.py`); a refund, made or due, has a plan of its own."""
        return evolve(self, next_check_at=self._next_check(at))

    def planned_telling(self, kind: EventKind, actor: str, at: datetime, **data: str | int | bool | None) -> Self:
        """The same payment, with its next look planned, and one more fact to be stored beside it."""
        return evolve(
            self, next_check_at=self._next_check(at), events=(*self.events, self._event(kind, actor, at, data))
        )

    def _next_check(self, at: datetime) -> datetime | None:
        if self.amount_reserved != NOTHING or self.refund_due:
            return self.next_check_at
        moment = next_look(self, at)
        # only a look of our own finds that all were made, and asks a person
        return at if moment is None and self.is_undecided else moment

    def posted(self, before: Self, at: datetime) -> Self:
        """The same payment, with what became different about its money written down for the ledger."""
        moved = posting(before, self, at)
        return self if moved is None else evolve(self, postings=(*self.postings, moved))

    def telling(self, kind: EventKind, actor: str, at: datetime, **data: str | int | bool | None) -> Self:
        """The same payment, with one more fact to be stored beside it."""
        return evolve(self, events=(*self.events, self._event(kind, actor, at, data)))

    def _event(self, kind: EventKind, actor: str, at: datetime, data: EventData) -> Event:
        return Event(kind=kind, at=at, actor=actor, booking_id=self.booking_id, payment_id=self.id, data=data)

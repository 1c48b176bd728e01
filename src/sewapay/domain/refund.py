"""Giving money back: an intent that is stored before the gateway hears of it, and what became of it.

A gateway's yes is not believed before a look-up agrees; its silence is not a no. While nothing is known the amount
stays reserved, and the same refund is never sent again.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Self

from attrs import Attribute, evolve, field, frozen

from sewapay.domain.errors import InvalidRefund
from sewapay.domain.events import Event, EventData, EventKind
from sewapay.domain.identifiers import BookingId, PaymentId, RefundId
from sewapay.domain.money import NOTHING, Money
from sewapay.domain.observation import Observation, Reported

__all__ = ["Refund", "RefundStatus"]

LONGEST_REASON: Final = 500
SENDING_TAKES_AT_MOST: Final = timedelta(seconds=30)
DID_NOT_HAPPEN_AFTER: Final = timedelta(hours=1)
SOONEST_LOOK: Final = timedelta(seconds=5)
LATEST_LOOK: Final = timedelta(hours=6)


def _reason(_instance: object, _attribute: "Attribute[Any]", reason: str) -> None:
    if not 1 <= len(reason) <= LONGEST_REASON or not reason.isprintable() or not reason.strip():
        raise InvalidRefund(f"a refund's reason is 1 to {LONGEST_REASON} printable characters")


def _something(_instance: object, _attribute: "Attribute[Any]", amount: Money) -> None:
    if amount == NOTHING:
        raise InvalidRefund("a refund gives back at least 1 paisa")


class RefundStatus(StrEnum):
    """Where a refund stands."""

    SUBMITTED = "submitted"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


@frozen(kw_only=True)
class Refund:
    """One attempt to give back `amount` of a payment.

    `is_all`: it is the whole payment, of which nothing had gone back. `accepted_at` (UTC): when the gateway said yes;
    it is confirmed when a look-up agrees. `said`: the gateway's word, or ours for why nothing happened. `refused`: the
    gateway said no, and a look-up has to tell whether it was given back before.
    """

    id: RefundId
    payment_id: PaymentId
    booking_id: BookingId
    amount: Money = field(validator=_something)
    is_all: bool
    reason: str = field(validator=_reason)
    requested_by: str
    requested_at: datetime
    status: RefundStatus = RefundStatus.SUBMITTED
    accepted_at: datetime | None = None
    refused: bool = False
    said: str | None = None
    settled_at: datetime | None = None
    version: int = 0
    events: tuple[Event, ...] = field(default=(), eq=False, repr=False)

    @classmethod
    def submit(
        cls,
        *,
        id: RefundId,
        payment_id: PaymentId,
        booking_id: BookingId,
        amount: Money,
        is_all: bool,
        reason: str,
        actor: str,
        at: datetime,
    ) -> Self:
        """The intent, to be committed before the gateway hears of it. Raises `InvalidRefund`."""
        refund = cls(
            id=id,
            payment_id=payment_id,
            booking_id=booking_id,
            amount=amount,
            is_all=is_all,
            reason=reason,
            requested_by=actor,
            requested_at=at,
        )
        return refund._telling(EventKind.REFUND_SUBMITTED, actor, at, reason=reason)

    @property
    def is_open(self) -> bool:
        """Whether its amount is still reserved: it may have happened, or may happen yet."""
        return self.status in (RefundStatus.SUBMITTED, RefundStatus.UNKNOWN)

    def is_being_sent(self, at: datetime) -> bool:
        """Whether somebody may be asking the gateway right now."""
        return self.status is RefundStatus.SUBMITTED and self.accepted_at is None and not self.was_cut_off(at)

    def was_cut_off(self, at: datetime) -> bool:
        """Whether whoever sent it must be gone: no call takes so long."""
        is_sending = self.status is RefundStatus.SUBMITTED and self.accepted_at is None
        return is_sending and at >= self.requested_at + SENDING_TAKES_AT_MOST

    def due(self, at: datetime) -> datetime:
        """When to look again whether it happened: soon at first, and ever later."""
        return at + min(max((at - self.requested_at) / 2, SOONEST_LOOK), LATEST_LOOK)

    def accepted(self, said: str, *, at: datetime) -> Self:
        """The gateway said yes. The look-up decides."""
        return evolve(self, accepted_at=at, said=said) if self.is_open else self

    def refused_by_gateway(self, why: str) -> Self:
        """The gateway said no, perhaps because it was given back before: the look-up decides."""
        if not self.is_open:
            return self
        return evolve(self, refused=True, said=why)

    def unanswered(self, why: str, *, at: datetime) -> Self:
        """Sent, and no usable answer came: it may have happened."""
        if self.status is not RefundStatus.SUBMITTED:
            return self
        unknown = evolve(self, status=RefundStatus.UNKNOWN, said=self.said if self.refused else why)
        return unknown._telling(EventKind.REFUND_OUTCOME_UNKNOWN, "sewapay", at, reason=why)

    def rejected(self, why: str, *, actor: str = "sewapay", at: datetime) -> Self:
        """Nothing was given back; its amount is free again."""
        if not self.is_open:
            return self
        rejected = evolve(self, status=RefundStatus.REJECTED, said=why, settled_at=at)
        return rejected._telling(EventKind.REFUND_REJECTED, actor, at, reason=why)

    def confirmed(self, *, actor: str = "gateway", at: datetime) -> Self:
        """The money is on its way back."""
        if not self.is_open:
            return self
        return evolve(self, status=RefundStatus.CONFIRMED, settled_at=at)._telling(
            EventKind.REFUND_CONFIRMED, actor, at
        )

    def weigh(self, seen: Observation, *, had_given_back: Money, at: datetime) -> Self:
        """What a look-up that was made after the refund was sent says about it.

        - The gateway shows everything as given back: it happened.
        - It shows a part as given back: this one, if none was before or if the gateway had said yes. With an earlier
          part and no answer it cannot be told apart, and a person decides.
        - It shows nothing as given back: a refusal is true at once, a silence after `DID_NOT_HAPPEN_AFTER`; a yes
          waits for the gateway to catch up.
        """
        if not self.is_open:
            return self
        if seen.reported is Reported.REFUNDED:
            return self.confirmed(at=at)
        is_first = had_given_back == NOTHING
        if seen.reported is Reported.PARTIALLY_REFUNDED:
            if not self.is_all and (self.accepted_at is not None or (is_first and not self.refused)):
                return self.confirmed(at=at)
            if self.refused and self.accepted_at is None:
                return self.rejected(self.said or "the gateway refused it", at=at)
            return self
        if seen.reported is not Reported.COMPLETED or self.accepted_at is not None:
            return self
        if self.refused:
            return self.rejected(self.said or "the gateway refused it", at=at)
        if at >= self.requested_at + DID_NOT_HAPPEN_AFTER:
            return self.rejected("the gateway never answered, and does not show it as given back", at=at)
        return self

    def _telling(self, kind: EventKind, actor: str, at: datetime, **data: str | int | bool | None) -> Self:
        facts: EventData = {"refund_id": str(self.id), "amount": self.amount.paisa, **data}
        event = Event(kind=kind, at=at, actor=actor, booking_id=self.booking_id, payment_id=self.payment_id, data=facts)
        return evolve(self, events=(*self.events, event))

"""What the memory store holds, and the cursors of its lists."""

import base64
import binascii
from collections.abc import Callable
from datetime import datetime
from typing import Self, TypeVar

from attrs import define, field, frozen

from sewapay.application.access import ApiKey
from sewapay.application.errors import InvalidCursor
from sewapay.application.idempotency import KeptAnswer, KeyName
from sewapay.application.pacing import Pace
from sewapay.application.storage import Page
from sewapay.domain.booking import Booking
from sewapay.domain.events import Event
from sewapay.domain.identifiers import BookingId, Environment, GatewayName, PaymentId, RefundId
from sewapay.domain.ledger import Posting
from sewapay.domain.observation import Evidence
from sewapay.domain.payment import Payment
from sewapay.domain.refund import Refund

__all__ = ["Facts", "Lease", "StaleVersion", "cursor_at", "cut", "place_in"]

T = TypeVar("T")


class StaleVersion(Exception):
    """The stored version is not the one that the change was made from: the facts changed underneath."""


@frozen
class Lease:
    """How often a payment was claimed, and until when the last claim holds; None once it was given back."""

    number: int = 0
    until: datetime | None = None

    def is_free(self, now: datetime) -> bool:
        """Whether nobody holds it."""
        return self.until is None or self.until <= now


@define
class Facts:
    """Everything that is stored. Entities are frozen, so copying the containers copies the state."""

    bookings: dict[BookingId, Booking] = field(factory=dict)
    payments: dict[PaymentId, Payment] = field(factory=dict)
    leases: dict[PaymentId, Lease] = field(factory=dict)
    refunds: dict[RefundId, Refund] = field(factory=dict)
    postings: list[Posting] = field(factory=list)
    events: list[Event] = field(factory=list)
    evidence: dict[PaymentId, list[Evidence]] = field(factory=dict)
    paces: dict[tuple[GatewayName, Environment], Pace] = field(factory=dict)
    answers: dict[KeyName, KeptAnswer] = field(factory=dict)
    api_keys: dict[str, ApiKey] = field(factory=dict)

    def copy(self) -> Self:
        """The same facts, to be changed without changing these."""
        return type(self)(
            dict(self.bookings),
            dict(self.payments),
            dict(self.leases),
            dict(self.refunds),
            list(self.postings),
            list(self.events),
            {payment_id: list(kept) for payment_id, kept in self.evidence.items()},
            dict(self.paces),
            dict(self.answers),
            dict(self.api_keys),
        )


def cut(found: list[T], page: Page, place: Callable[[T], str]) -> tuple[list[T], str | None]:
    """One page of a list that is sorted already. A cursor is the place of the last item of the page before."""
    if page.cursor is not None:
        after = place_in(page.cursor)
        places = [place(item) for item in found]
        if after not in places:
            raise InvalidCursor
        found = found[places.index(after) + 1 :]
    items, rest = found[: page.limit], found[page.limit :]
    return items, cursor_at(place(items[-1])) if rest else None


def cursor_at(place: str) -> str:
    """The cursor that continues after this place."""
    return base64.urlsafe_b64encode(place.encode("ascii")).decode("ascii")


def place_in(cursor: str) -> str:
    """The place in a cursor; raises `InvalidCursor` for what was never one."""
    try:
        return base64.urlsafe_b64decode(cursor.encode("ascii")).decode("ascii")
    except (binascii.Error, ValueError):
        raise InvalidCursor from None

"""The complete table: what each report of a gateway means for a payment in each status.

Forward only: money that was seen is never lowered, a soft ending (canceled, expired, failed) yields to money, and a
report that cannot be true of what we know is kept as a contradiction. Amounts and references are checked before the
table is asked (`payment.py`), so every `COMPLETED` here is about the right payment and the right amount; and what is
absent long after its checkout died counts as expired (`doubts.py`).
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from attrs import frozen

from sewapay.domain.observation import Reported

__all__ = ["MONEY", "SOFT", "TRANSITIONS", "UNDECIDED", "Decision", "PaymentStatus", "ReviewReason"]


class PaymentStatus(StrEnum):
    """Where a payment stands, as far as is known."""

    CREATED = "created"
    OPEN = "open"
    PENDING = "pending"
    COMPLETED = "completed"
    CANCELED = "canceled"
    EXPIRED = "expired"
    FAILED = "failed"
    UNDER_REVIEW = "under_review"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"


class ReviewReason(StrEnum):
    """Why a person has to decide."""

    AMOUNT_MISMATCH = "amount_mismatch"
    REFERENCE_MISMATCH = "reference_mismatch"
    TRANSACTION_REPEATED = "transaction_repeated"
    BOOKING_CANCELED = "booking_canceled"
    REFUNDED_OUTSIDE = "refunded_outside"
    CONTRADICTORY = "contradictory"
    UNKNOWN_STATUS = "unknown_status"
    CHECKOUT_REFUSED = "checkout_refused"
    SURPLUS = "surplus"
    STUCK = "stuck"
    ORPHANED_REFERENCE = "orphaned_reference"
    REFUND_UNKNOWN = "refund_unknown"


UNDECIDED: Final = frozenset({PaymentStatus.CREATED, PaymentStatus.OPEN, PaymentStatus.PENDING})
SOFT: Final = frozenset({PaymentStatus.CANCELED, PaymentStatus.EXPIRED, PaymentStatus.FAILED})
MONEY: Final = frozenset({PaymentStatus.COMPLETED, PaymentStatus.PARTIALLY_REFUNDED, PaymentStatus.REFUNDED})


@frozen(kw_only=True)
class Decision:
    """One cell. Exactly one of: move `to` a status, `review` for a reason, be `unsure`, a contradiction, or hold.

    Only what is doubtful does two of them: it moves, and is unsure. `asks`: a person is asked about the contradiction.
    """

    to: PaymentStatus | None = None
    review: ReviewReason | None = None
    unsure: bool = False
    contradicts: bool = False
    asks: bool = False


_HOLD: Final = Decision()
_UNSURE: Final = Decision(unsure=True)
_CONTRADICTS: Final = Decision(contradicts=True)
_REVERSED: Final = Decision(contradicts=True, asks=True)
_DOUBTFUL: Final = Decision(to=PaymentStatus.PENDING, unsure=True)
_COMPLETED: Final = Decision(to=PaymentStatus.COMPLETED)
_PARTIAL: Final = Decision(to=PaymentStatus.PARTIALLY_REFUNDED)
_REFUNDED: Final = Decision(to=PaymentStatus.REFUNDED)
_PENDING: Final = Decision(to=PaymentStatus.PENDING)
_CANCELED: Final = Decision(to=PaymentStatus.CANCELED)
_EXPIRED: Final = Decision(to=PaymentStatus.EXPIRED)
_FAILED: Final = Decision(to=PaymentStatus.FAILED)
_STRANGE: Final = Decision(review=ReviewReason.UNKNOWN_STATUS)
_OUTSIDE: Final = Decision(review=ReviewReason.REFUNDED_OUTSIDE)

_REPORTS: Final = (
    Reported.INITIATED,
    Reported.PENDING,
    Reported.COMPLETED,
    Reported.PARTIALLY_REFUNDED,
    Reported.REFUNDED,
    Reported.CANCELED,
    Reported.EXPIRED,
    Reported.FAILED,
    Reported.NOT_FOUND,
    Reported.ABSENT,
    Reported.AMBIGUOUS,
    Reported.UNKNOWN,
)

# fmt: off
_ROWS: Final[Mapping[PaymentStatus, tuple[Decision, ...]]] = {
    #                                  initiated     pending       completed     part. refunded refunded     canceled      expired       failed        not found     absent        ambiguous     unknown word
    PaymentStatus.CREATED:            (_UNSURE,      _PENDING,     _COMPLETED,   _OUTSIDE,     _REFUNDED,    _CANCELED,    _EXPIRED,     _FAILED,      _UNSURE,      _HOLD,        _UNSURE,      _STRANGE),
    PaymentStatus.OPEN:               (_HOLD,        _PENDING,     _COMPLETED,   _OUTSIDE,     _REFUNDED,    _CANCELED,    _EXPIRED,     _FAILED,      _UNSURE,      _HOLD,        _DOUBTFUL,    _STRANGE),
    PaymentStatus.PENDING:            (_HOLD,        _HOLD,        _COMPLETED,   _OUTSIDE,     _REFUNDED,    _CANCELED,    _EXPIRED,     _FAILED,      _UNSURE,      _HOLD,        _UNSURE,      _STRANGE),
    PaymentStatus.CANCELED:           (_UNSURE,      _UNSURE,      _COMPLETED,   _OUTSIDE,     _REFUNDED,    _HOLD,        _HOLD,        _HOLD,        _HOLD,        _HOLD,        _UNSURE,      _STRANGE),
    PaymentStatus.EXPIRED:            (_UNSURE,      _UNSURE,      _COMPLETED,   _OUTSIDE,     _REFUNDED,    _HOLD,        _HOLD,        _HOLD,        _HOLD,        _HOLD,        _UNSURE,      _STRANGE),
    PaymentStatus.FAILED:             (_UNSURE,      _UNSURE,      _COMPLETED,   _OUTSIDE,     _REFUNDED,    _HOLD,        _HOLD,        _HOLD,        _HOLD,        _HOLD,        _UNSURE,      _STRANGE),
    PaymentStatus.COMPLETED:          (_CONTRADICTS, _CONTRADICTS, _HOLD,        _PARTIAL,     _REFUNDED,    _REVERSED,    _CONTRADICTS, _CONTRADICTS, _CONTRADICTS, _CONTRADICTS, _CONTRADICTS, _CONTRADICTS),
    PaymentStatus.PARTIALLY_REFUNDED: (_CONTRADICTS, _CONTRADICTS, _CONTRADICTS, _HOLD,        _REFUNDED,    _REVERSED,    _CONTRADICTS, _CONTRADICTS, _CONTRADICTS, _CONTRADICTS, _CONTRADICTS, _CONTRADICTS),
    PaymentStatus.REFUNDED:           (_CONTRADICTS, _CONTRADICTS, _CONTRADICTS, _CONTRADICTS, _HOLD,        _CONTRADICTS, _CONTRADICTS, _CONTRADICTS, _CONTRADICTS, _CONTRADICTS, _CONTRADICTS, _CONTRADICTS),
    PaymentStatus.UNDER_REVIEW:       (_HOLD,        _HOLD,        _COMPLETED,   _OUTSIDE,     _REFUNDED,    _HOLD,        _HOLD,        _HOLD,        _HOLD,        _HOLD,        _HOLD,        _HOLD),
}
# fmt: on

TRANSITIONS: Final[Mapping[tuple[PaymentStatus, Reported], Decision]] = MappingProxyType(
    {
        (status, reported): decision
        for status, row in _ROWS.items()
        for reported, decision in zip(_REPORTS, row, strict=True)
    }
)

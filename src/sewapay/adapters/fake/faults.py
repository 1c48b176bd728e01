"""What can go wrong at the fake, as values: one at a time, until all is well again."""

from enum import Enum
from typing import Final

from attrs import frozen

from sewapay.application.errors import (
    CheckoutRefused,
    GatewayError,
    KeyRefused,
    NothingSent,
    OutcomeUnknown,
    ProtocolError,
    RefundRefused,
)

__all__ = [
    "LOST_ANSWERS",
    "LOST_REFUNDS",
    "NONSENSE",
    "NO_CHECKOUTS",
    "NO_CONNECTION",
    "NO_REFUNDS",
    "SILENCE",
    "WRONG_KEY",
    "Fault",
    "On",
]


class On(Enum):
    """The calls that a fault can happen to."""

    OPENING = "opening"
    LOOK_UP = "look-up"
    REFUND = "refund"


_EVERYWHERE: Final = frozenset(On)


@frozen(kw_only=True)
class Fault:
    """What goes wrong, in which calls, and whether such a call has its effect all the same."""

    error: type[GatewayError]
    says: str
    on: frozenset[On] = _EVERYWHERE
    has_effect: bool = False

    def raised(self) -> GatewayError:
        """The error that the caller gets."""
        return self.error(f"the fake gateway {self.says}")


SILENCE: Final = Fault(error=OutcomeUnknown, says="is silent", has_effect=True)
NONSENSE: Final = Fault(error=ProtocolError, says="talks nonsense", has_effect=True)
NO_CONNECTION: Final = Fault(error=NothingSent, says="refuses connections")
WRONG_KEY: Final = Fault(error=KeyRefused, says="does not take this key")
NO_CHECKOUTS: Final = Fault(error=CheckoutRefused, says="does not take this checkout", on=frozenset({On.OPENING}))
NO_REFUNDS: Final = Fault(error=RefundRefused, says="does not take this refund", on=frozenset({On.REFUND}))
LOST_REFUNDS: Final = Fault(error=OutcomeUnknown, says="lost this refund", on=frozenset({On.REFUND}))
LOST_ANSWERS: Final = Fault(
    error=OutcomeUnknown, says="did not say what became of this refund", on=frozenset({On.REFUND}), has_effect=True
)

"""What can happen around a payment, as faults on `page`: taken when the payer pays, by page or by `/_sim/pay`."""

from collections.abc import Callable
from typing import Annotated, Final, Protocol

import msgspec
from attrs import evolve, frozen

from sewapay.standins.exchange import Answer
from sewapay.standins.faults import Fault
from sewapay.standins.shape import PAGE, Genuine, Scene, Shape

Later = Annotated[float, msgspec.Meta(ge=0, le=365 * 24 * 3600)]
Skew = Annotated[float, msgspec.Meta(ge=-365 * 24 * 3600, le=365 * 24 * 3600)]


@frozen(kw_only=True)
class Left:
    """How a payer left the payment page: the payment's status, and where and how often their browser is sent."""

    status: str
    return_url: str
    times: int = 1


class Premises(Protocol):
    """What happenings may do at a company (`company.py`)."""

    def expire(self, reference: str, /) -> object:
        """The link dies now."""
        ...

    def refund(self, reference: str, amount: int | None = None, /) -> object:
        """The merchant gives money back in the panel."""
        ...

    def left(self, reference: str, /) -> Left:
        """How the payment stands, and where the payer's browser is sent."""
        ...

    def later(self, seconds: float, what: Callable[[], object]) -> None:
        """Let something happen later, by the stand-in's clock."""
        ...

    def skew(self, seconds: float) -> None:
        """State wrong times from now on."""
        ...


class Happening(Fault, frozen=True, kw_only=True):
    """Something about the paying itself, not about one answer."""

    @classmethod
    def possible_on(cls, shape: Shape) -> frozenset[str]:
        """The payment page."""
        return frozenset({PAGE})

    def happen(self, premises: Premises, reference: str, pay: Callable[[], object]) -> Left:
        """Let the payer pay, and whatever else."""
        raise NotImplementedError


class DoubleReturn(Happening, tag="double_return", frozen=True, kw_only=True):
    """The payer's browser comes back twice: once in the background, then as it should."""

    def happen(self, premises: Premises, reference: str, pay: Callable[[], object]) -> Left:
        """Paid, and sent back twice."""
        pay()
        return evolve(premises.left(reference), times=2)


class LatePayment(Happening, tag="late_payment", frozen=True, kw_only=True):
    """The link dies first, and the money arrives `seconds` later."""

    seconds: Later

    @classmethod
    def at_random(cls, shape: Shape) -> dict[str, object]:
        """After five minutes."""
        return {"seconds": 300}

    def happen(self, premises: Premises, reference: str, pay: Callable[[], object]) -> Left:
        """Sent back unpaid; paid later."""
        premises.expire(reference)
        premises.later(self.seconds, pay)
        return premises.left(reference)


class PanelRefund(Happening, tag="panel_refund", frozen=True, kw_only=True):
    """The merchant gives `amount` paisa back in the panel, `seconds` after the payment; all of it without an amount."""

    seconds: Later
    amount: Annotated[int, msgspec.Meta(ge=1)] | None = None

    @classmethod
    def at_random(cls, shape: Shape) -> dict[str, object]:
        """After five minutes, all of it."""
        return {"seconds": 300}

    def happen(self, premises: Premises, reference: str, pay: Callable[[], object]) -> Left:
        """Paid; given back later."""
        pay()
        left = premises.left(reference)
        premises.later(self.seconds, lambda: premises.refund(reference, self.amount))
        return left


class ClockSkew(Happening, tag="clock_skew", frozen=True, kw_only=True):
    """The times that the stand-in states are off by so many `seconds` from then on. On any other route too."""

    seconds: Skew

    @classmethod
    def possible_on(cls, shape: Shape) -> frozenset[str]:
        """Everywhere."""
        return shape.routes | {PAGE}

    @classmethod
    def at_random(cls, shape: Shape) -> dict[str, object]:
        """An hour fast."""
        return {"seconds": 3600}

    def happen(self, premises: Premises, reference: str, pay: Callable[[], object]) -> Left:
        """Paid, and the times are wrong from now on."""
        pay()
        premises.skew(self.seconds)
        return premises.left(reference)

    def answer(self, genuine: Genuine, scene: Scene) -> Answer:
        """The honest answer, with the wrong time in it."""
        scene.skew(self.seconds)
        return genuine()


HAPPENINGS: Final[tuple[type[Fault], ...]] = (DoubleReturn, LatePayment, PanelRefund, ClockSkew)

"""What can go wrong with Khalti's answers alone, and how they are laid out for what can go wrong with anybody's.

Khalti's word `pidx` aims a fault at one payment, as `reference` does.
"""

from typing import Annotated, Final

import msgspec

from sewapay.standins.exchange import Answer, changed, content_of
from sewapay.standins.faults import Fault, Spoiler, WrongReference
from sewapay.standins.shape import Genuine, Scene, Shape

ON_INITIATE: Final = frozenset({"initiate"})


def _moved(amount: object, delta: int) -> object:
    return amount + delta if isinstance(amount, int) else amount


SHAPE: Final = Shape(
    reference="pidx",
    routes=frozenset({"initiate", "lookup", "refund"}),
    look_up="lookup",
    nameless=ON_INITIATE,
    amount="total_amount",
    amount_moved=_moved,
    unpaid={"status": "Initiated", "transaction_id": None, "fee": 0, "refunded": False},
    given_back=frozenset({"Partially Refunded", "Refunded"}),
    before_giving_back={"status": "Completed", "refunded": False},
    stranger="zzzzzzzzzzzzzzzzzzzzzz",
)
"""Khalti's answers as faults see them (Khalti docs, lookup)."""


class WrongPidx(WrongReference, tag="wrong_pidx", frozen=True, kw_only=True):
    """An answer about a pidx that nobody asked about."""

    @classmethod
    def possible_on(cls, shape: Shape) -> frozenset[str]:
        """Where an answer holds a pidx."""
        return frozenset({"initiate", "lookup"})


class RepeatPidx(Spoiler, tag="repeat_pidx", frozen=True, kw_only=True):
    """An initiate that answers with a pidx given out before: `known`, or else the latest."""

    known: str | None = None

    @classmethod
    def possible_on(cls, shape: Shape) -> frozenset[str]:
        """Where a pidx is given out."""
        return ON_INITIATE

    def answer(self, genuine: Genuine, scene: Scene) -> Answer:
        """The honest answer, but about the earlier link; honest when there was none."""
        honest = genuine()
        pidx = self.known or scene.earlier
        if pidx is None:
            return honest
        return changed(honest, {"pidx": pidx, "payment_url": f"{scene.base_url}/?pidx={pidx}"})


class OffDomain(Spoiler, tag="off_domain", frozen=True, kw_only=True):
    """An initiate whose payment_url leads to somebody else's host."""

    host: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9.:@\[\]-]{1,253}$")] = "pay.khalti.example"

    @classmethod
    def possible_on(cls, shape: Shape) -> frozenset[str]:
        """Where a link is given out."""
        return ON_INITIATE

    def answer(self, genuine: Genuine, scene: Scene) -> Answer:
        """The honest answer but for the link's host."""
        honest = genuine()
        pidx = content_of(honest).get("pidx")
        return changed(honest, {"payment_url": f"https://{self.host}/?pidx={pidx}"})


OWN: Final[tuple[type[Fault], ...]] = (WrongPidx, RepeatPidx, OffDomain)

"""What a ledger keeps of a payment that a shop's form began, and that its payer has to log in for."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, Generic, Self, TypeVar

from attrs import evolve, frozen

from sewapay.standins.refusals import NotPossible
from sewapay.standins.row import Row

W = TypeVar("W")
S = TypeVar("S", bound=StrEnum)


@frozen(kw_only=True)
class Session(Row[W], Generic[W, S]):
    """A row that goes from one step of type `S` to another. Whoever has logged in has until `dies_at` to pay.

    `posts` counts the forms that named this payment.
    """

    possible_from: ClassVar[Mapping[Any, AbstractSet[Any]]]
    """Which steps a step can follow."""
    logged_in_at: ClassVar[Any]
    """The step of a payer who has logged in."""
    ended_at: ClassVar[Any]
    """The step of a session that has run out of time."""

    recorded: S
    dies_at: datetime | None = None
    posts: int = 1

    def step(self, now: datetime) -> S:
        """How far it is at `now`: a session ends when the payer logged in and does not pay in time."""
        is_over = self.recorded is self.logged_in_at and self.dies_at is not None and now > self.dies_at
        step: S = self.ended_at if is_over else self.recorded
        return step

    def posted_again(self) -> Self:
        """The payment after one more form with its name."""
        return evolve(self, posts=self.posts + 1)

    def moved(self, to: S, now: datetime, *, lag: int) -> Self:
        """The payment at step `to`. Raises NotPossible when that cannot follow the step it is at."""
        at_present = self.step(now)
        if at_present not in self.possible_from[to]:
            raise NotPossible(f"The payment is {at_present.value}; it cannot become {to.value}.")
        return evolve(self, recorded=to, before=self.told(now), lagging=lag)

    def logged_in(self, now: datetime, *, seconds: int, lag: int) -> Self:
        """The payment once the payer has logged in, which gives them `seconds` to pay."""
        moved = self.moved(self.logged_in_at, now, lag=lag)
        return evolve(moved, dies_at=self.dies_at or now + timedelta(seconds=seconds))

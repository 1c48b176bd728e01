"""How fast a gateway is asked: a budget of calls a minute, and a pause when it is away. Shared by all processes.

Pace.full(now).take(50, per_minute=600, now=now)     how many of 50 calls may be made now
pace.heard(answered=3, silent=0, now=now)            what came of calls
"""

from datetime import datetime, timedelta
from typing import Final, Self

from attrs import evolve, frozen

__all__ = ["Pace"]

AWAY_AFTER: Final = 5
FIRST_PAUSE: Final = timedelta(seconds=30)
LONGEST_PAUSE: Final = timedelta(minutes=5)
MICROSECONDS_A_MINUTE: Final = 60_000_000


@frozen(kw_only=True)
class Pace:
    """One gateway's pace in one environment.

    `spent_until`: the budget is spent up to this moment; it is refilled by the passing of time. `silences`: calls in a
    row without a usable answer. `away_until`: nothing is asked before; then one call, to see.
    """

    spent_until: datetime
    silences: int = 0
    away_until: datetime | None = None

    @classmethod
    def full(cls, now: datetime) -> Self:
        """A pace with the whole budget of a minute."""
        return cls(spent_until=now - timedelta(minutes=1))

    @property
    def is_undisturbed(self) -> bool:
        """Whether its gateway answered the last call, as far as anybody knows."""
        return self.silences == 0 and self.away_until is None

    def has_left(self, share: float, *, now: datetime) -> bool:
        """Whether more than this share of a minute's budget is left."""
        return now - self.spent_until > timedelta(minutes=1) * share

    def is_away(self, now: datetime) -> bool:
        """Whether nothing is asked now, not even by one call, to see."""
        return self.away_until is not None and now < self.away_until

    def take(self, wanted: int, *, per_minute: int, now: datetime) -> tuple[Self, int]:
        """How many of `wanted` calls may be made now: none while it is away, one to see whether it is back."""
        if self.is_away(now):
            return self, 0
        if self.away_until is not None:
            wanted = min(wanted, 1)
        start = max(self.spent_until, now - timedelta(minutes=1))
        each = timedelta(microseconds=MICROSECONDS_A_MINUTE / per_minute)
        granted = min(wanted, max(0, int((now - start) / each)))
        if not granted:
            return self, 0
        probing = self.away_until is not None
        away_until = now + FIRST_PAUSE if probing else None  # nobody else probes meanwhile
        return evolve(self, spent_until=start + each * granted, away_until=away_until), granted

    def heard(self, *, answered: int, silent: int, now: datetime) -> Self:
        """What came of calls: an answer means that it is there; several silences in a row, that it is away."""
        if answered:
            return evolve(self, silences=0, away_until=None)
        if not silent:
            return self
        silences = self.silences + silent
        if silences < AWAY_AFTER:
            return evolve(self, silences=silences)
        pause = min(FIRST_PAUSE * 2 ** min(silences // AWAY_AFTER - 1, 8), LONGEST_PAUSE)
        return evolve(self, silences=silences, away_until=now + pause)

    def refused(self, now: datetime) -> Self:
        """It does not take our key: nothing else would be answered either, until somebody has put that right."""
        return evolve(self, silences=max(self.silences, AWAY_AFTER), away_until=now + LONGEST_PAUSE)

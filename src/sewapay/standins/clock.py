"""A stand-in's own time, which tests move, and what is to happen when it comes to a certain moment."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from attrs import define, field

from sewapay.standins.refusals import Refused

NEPAL: Final = timezone(timedelta(hours=5, minutes=45))
MOST_CLOCK_SECONDS: Final = 100 * 365 * 24 * 3600


def system_now() -> datetime:
    """The machine's time, aware UTC."""
    return datetime.now(UTC)


def nepal_time(moment: datetime) -> str:
    """A moment in ISO 8601 with microseconds and Nepal's +05:45."""
    return moment.astimezone(NEPAL).isoformat(timespec="microseconds")


@define
class Clock:
    """The time at the stand-in: that of `source`, moved by as much as it was told to. All times are aware UTC."""

    source: Callable[[], datetime] = system_now
    skew: timedelta = field(default=timedelta(), init=False)
    """By how much the times that it states are off; its own doings follow the right time."""
    _offset: timedelta = field(default=timedelta(), init=False)
    _standing: datetime | None = field(default=None, init=False)

    def now(self) -> datetime:
        """The time at the stand-in."""
        return self._standing or self.source() + self._offset

    def advance(self, seconds: float) -> datetime:
        """Move the time by `seconds` (backwards when negative) and tell the new time."""
        moved = self._offset.total_seconds() + seconds
        if abs(moved) > MOST_CLOCK_SECONDS:
            raise Refused("The clock moves by a hundred years at most.")
        self._offset = timedelta(seconds=moved)
        return self.now()

    def reset(self) -> None:
        """Back to the time of `source`."""
        self._offset = self.skew = timedelta()

    @contextmanager
    def standing_at(self, moment: datetime) -> Iterator[None]:
        """Let it be `moment` while something happens that was due then."""
        self._standing = moment
        try:
            yield
        finally:
            self._standing = None


@define
class Agenda:
    """What comes later by the stand-in's clock. It happens, in order, when somebody looks after its moment."""

    clock: Clock
    _waiting: list[tuple[datetime, Callable[[], object]]] = field(factory=list, init=False)

    def later(self, seconds: float, what: Callable[[], object]) -> None:
        """Let `what` happen so many seconds from now."""
        self._waiting.append((self.clock.now() + timedelta(seconds=seconds), what))
        self._waiting.sort(key=lambda entry: entry[0])

    def catch_up(self) -> None:
        """Let happen whatever is due. What has become impossible meanwhile does not happen."""
        now = self.clock.now()
        while self._waiting and self._waiting[0][0] <= now:
            due, what = self._waiting.pop(0)
            with self.clock.standing_at(due):
                try:
                    what()
                except Refused:
                    continue

    def clear(self) -> None:
        """Nothing is to come any more."""
        self._waiting.clear()

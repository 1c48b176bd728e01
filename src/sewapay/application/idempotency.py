"""One effect and one answer for a request that is made again: what `Idempotency-Key` promises.

The first transaction of a request notes that it began, the last one keeps its answer, each together with its effect:
either both are there after a crash, or neither. An answer is replayed byte for byte for 24 hours. Whoever asks while
the first request runs is told so; a request whose process died is taken over. Errors are not kept: a request that had
no effect may be made again with the same key.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from attrs import field, frozen

from sewapay.application.errors import KeyReused, StillRunning

if TYPE_CHECKING:
    from sewapay.application.storage import Tx

__all__ = ["KEPT_FOR", "AlreadyAnswered", "Answer", "KeptAnswer", "KeyName", "Once"]

T = TypeVar("T")

KEPT_FOR: Final = timedelta(hours=24)
RUNS_AT_MOST: Final = timedelta(seconds=40)
RETRY_AFTER_SECONDS: Final = 2


@frozen(kw_only=True)
class KeyName:
    """A caller's key for one operation. Two callers, or two operations, never share one."""

    principal: str
    operation: str
    key: str = field(repr=False)


@frozen(kw_only=True)
class Answer:
    """An answer as it went over the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@frozen(kw_only=True)
class KeptAnswer:
    """What is kept under a key. `fingerprint` tells requests apart; `subject` names what the request made, for whoever
    takes it over; `answer` is None while it runs. Times are UTC by the database's clock.
    """

    fingerprint: str
    begun_at: datetime
    subject: str | None = None
    answer: Answer | None = None


class AlreadyAnswered(Exception):
    """Not an error: the request was carried out before, and this is its answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("answered before")
        self.answer = answer


@frozen(kw_only=True)
class Once(Generic[T]):
    """A request that has one effect, however often it is made. `render` makes the answer of a result; it is pure."""

    name: KeyName
    fingerprint: str
    render: Callable[[T], Answer]

    def check(self, tx: "Tx") -> KeptAnswer | None:
        """What an earlier run left, if it was cut off; to be called before anything else is looked at.

        Raises `AlreadyAnswered`, `KeyReused`, and `StillRunning` while the first request may still be at work.
        """
        kept = tx.answers.find(self.name)
        now = tx.time()
        if kept is None or now >= kept.begun_at + KEPT_FOR:
            return None
        if kept.fingerprint != self.fingerprint:
            raise KeyReused
        if kept.answer is not None:
            raise AlreadyAnswered(kept.answer)
        if now < kept.begun_at + RUNS_AT_MOST:
            raise StillRunning(RETRY_AFTER_SECONDS)
        return kept

    def begin(self, tx: "Tx", *, subject: str | None = None) -> None:
        """Note, in the transaction of the first effect, that it began. Call `check` before, in the same transaction."""
        tx.answers.keep(self.name, KeptAnswer(fingerprint=self.fingerprint, begun_at=tx.time(), subject=subject))

    def finish(self, tx: "Tx", result: T) -> None:
        """Keep the answer, in the transaction of the last effect."""
        kept = KeptAnswer(fingerprint=self.fingerprint, begun_at=tx.time(), answer=self.render(result))
        tx.answers.keep(self.name, kept)

    def forget(self, tx: "Tx") -> None:
        """Nothing came of it: the same key may be used again."""
        kept = tx.answers.find(self.name)
        if kept is not None and kept.answer is None:  # another run may have taken over, and have its answer
            tx.answers.forget(self.name)

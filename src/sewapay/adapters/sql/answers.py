"""How fast gateways may be asked, and the answers that are kept for callers: rows that have names and no versions."""

from collections.abc import Callable
from datetime import datetime

from sewapay.adapters.sql import statements
from sewapay.adapters.sql.rows import Values, answer_from, pace_from, row_of_answer, row_of_name, row_of_pace
from sewapay.adapters.sql.session import Session
from sewapay.application.idempotency import KeptAnswer, KeyName
from sewapay.application.pacing import Pace
from sewapay.domain.identifiers import Environment, GatewayName

__all__ = ["SqlAnswers", "SqlPaces"]


class SqlPaces:
    """How fast each gateway may be asked, inside a transaction."""

    __slots__ = ("_session", "_time")

    def __init__(self, session: Session, time: Callable[[], datetime]) -> None:
        self._session = session
        self._time = time

    def get(self, gateway: GatewayName, environment: Environment) -> Pace:
        """Its pace; a full one for a gateway that was never asked. Locked until the transaction ends.

        What is not there cannot be locked: so a full one is stored first, and who does so second waits for the first.
        """
        which: Values = {"gateway": str(gateway), "environment": environment.value}
        row = self._session.row(statements.PACE, which)
        if row is None:
            full = Pace.full(self._time())
            self._session.write(statements.ADD_PACE, row_of_pace(gateway, environment, full))
            row = self._session.row(statements.PACE, which)
        return full if row is None else pace_from(row)

    def save(self, gateway: GatewayName, environment: Environment, pace: Pace) -> None:
        """Keep it."""
        self._session.write(statements.SAVE_PACE, row_of_pace(gateway, environment, pace))


class SqlAnswers:
    """Answers that are kept under a caller's key, inside a transaction."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def find(self, name: KeyName) -> KeptAnswer | None:
        """What is kept under this key; locked until the transaction ends.

        Whoever looks for the same key waits, even when there is nothing yet, and finds what the first one kept.
        """
        if self._session.dialect.name == "postgresql":
            words = "\x1f".join((name.principal, name.operation, name.key))
            self._session.row(statements.WAIT_FOR_A_KEY, {"name": words})
        row = self._session.row(statements.ANSWER, row_of_name(name))
        return None if row is None else answer_from(row)

    def keep(self, name: KeyName, kept: KeptAnswer) -> None:
        """Keep this, in place of what was found."""
        self._session.write(statements.KEEP_ANSWER, row_of_answer(name, kept))

    def forget(self, name: KeyName) -> None:
        """Nothing came of it: the key may be used anew."""
        self._session.write(statements.FORGET_ANSWER, row_of_name(name))

    def forget_before(self, begun_before: datetime, *, limit: int) -> int:
        """Forget up to `limit` keys that were begun before this; returns how many."""
        return self._session.write(statements.FORGET_ANSWERS, {"begun_before": begun_before, "limit": limit})

"""What a store keeps beside bookings, payments and their events: refunds, the ledger, paces, answers, API keys."""

from datetime import datetime
from typing import Protocol

from sewapay.application.access import ApiKey
from sewapay.application.idempotency import KeptAnswer, KeyName
from sewapay.application.pacing import Pace
from sewapay.domain.identifiers import Environment, GatewayName, PaymentId, RefundId
from sewapay.domain.ledger import Posting
from sewapay.domain.refund import Refund

__all__ = ["Answers", "ApiKeys", "ApiKeysView", "LedgerView", "Paces", "Refunds", "RefundsView"]


class RefundsView(Protocol):
    """Refunds, to read."""

    def get(self, refund_id: RefundId) -> Refund:
        """The refund; raises `RefundNotFound`."""
        ...

    def of_payment(self, payment_id: PaymentId) -> list[Refund]:
        """All refunds of one payment, oldest first."""
        ...


class Refunds(RefundsView, Protocol):
    """Refunds, inside a transaction, under the lock of their booking."""

    def add(self, refund: Refund) -> Refund:
        """Store a new refund with its events. Returns it as stored, at version 1.

        Raises `RefundInProgress` beside another refund of the payment whose outcome is not known.
        """
        ...

    def save(self, refund: Refund) -> Refund:
        """Store a change with its events, provided that the stored version is still `refund.version`.

        Returns it at the next version. Another version in the store makes the store run the whole transaction again.
        """
        ...


class LedgerView(Protocol):
    """The ledger, to read; its rows are written with the payment whose money they tell of."""

    def of_payment(self, payment_id: PaymentId) -> list[Posting]:
        """Every posting of a payment, oldest first."""
        ...


class Paces(Protocol):
    """How fast each gateway may be asked, shared by all processes, inside a transaction."""

    def get(self, gateway: GatewayName, environment: Environment) -> Pace:
        """Its pace; a full one for a gateway that was never asked. Locked until the transaction ends."""
        ...

    def save(self, gateway: GatewayName, environment: Environment, pace: Pace) -> None:
        """Keep it."""
        ...


class Answers(Protocol):
    """Answers that are kept under a caller's `Idempotency-Key`, inside a transaction."""

    def find(self, name: KeyName) -> KeptAnswer | None:
        """What is kept under this key, finished or not; locked until the transaction ends.

        Of two transactions that look for the same key at once, the second sees what the first kept.
        """
        ...

    def keep(self, name: KeyName, kept: KeptAnswer) -> None:
        """Keep this, in place of what was found."""
        ...

    def forget(self, name: KeyName) -> None:
        """Nothing came of it: the key may be used anew."""
        ...

    def forget_before(self, begun_before: datetime, *, limit: int) -> int:
        """Forget up to `limit` keys that were begun before this; returns how many."""
        ...


class ApiKeysView(Protocol):
    """API keys of services, to read. Only a digest of the secret is stored."""

    def find(self, key_id: str) -> ApiKey | None:
        """The key with this public id, revoked or not; None when there is none."""
        ...

    def all(self) -> list[ApiKey]:
        """Every key, oldest first."""
        ...


class ApiKeys(ApiKeysView, Protocol):
    """API keys, inside a transaction."""

    def add(self, key: ApiKey) -> None:
        """Store a new key."""
        ...

    def save(self, key: ApiKey) -> None:
        """Replace the stored key of the same id."""
        ...

"""API keys for the merchant's own services: shown once, stored as a digest, revoked at once."""

import hashlib
import hmac
import re
from typing import Final

from attrs import evolve, field, frozen

from sewapay.application.access import ApiKey, Principal, Role, Scope
from sewapay.application.errors import KeyNotFound
from sewapay.application.ports import Clock, Ids
from sewapay.application.storage import Read, Transact, Tx

__all__ = ["AuthenticateService", "CreateApiKey", "CreatedApiKey", "ListApiKeys", "RevokeApiKey"]

_TOKEN: Final = re.compile(r"swp_(?:live|test)_([0-9a-f]{16})_([A-Za-z0-9_-]{43})", re.ASCII)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


@frozen
class CreatedApiKey:
    """A new key. `token` is what the service sends as `Authorization: Bearer`; it cannot be shown again."""

    key: ApiKey
    token: str = field(repr=False)


@frozen
class CreateApiKey:
    """Create a key for a service.

    - Its secret is 256 random bits; only a SHA-256 digest is kept.
    - The token names its kind of service (`live` in production, else `test`) and its public id.
    """

    transact: Transact
    clock: Clock
    ids: Ids
    is_production: bool

    async def __call__(self, label: str, scopes: frozenset[Scope]) -> CreatedApiKey:
        """Create it. Raises `StoreUnavailable`."""
        secret = self.ids.secret()
        key = ApiKey(
            id=self.ids.payment_id().replace("-", "")[:16],
            label=label,
            digest=_digest(secret),
            scopes=scopes,
            created_at=self.clock.now(),
        )
        await self.transact(lambda tx: tx.api_keys.add(key))
        return CreatedApiKey(key, f"swp_{'live' if self.is_production else 'test'}_{key.id}_{secret}")


@frozen
class ListApiKeys:
    """Every key, revoked ones too; never a secret."""

    read: Read

    async def __call__(self) -> list[ApiKey]:
        """Oldest first. Raises `StoreUnavailable`."""
        return await self.read(lambda view: view.api_keys.all())


@frozen
class RevokeApiKey:
    """Make a key useless, from the next request on. Revoking it again changes nothing."""

    transact: Transact
    clock: Clock

    async def __call__(self, key_id: str) -> ApiKey:
        """Revoke it. Raises `KeyNotFound`, `StoreUnavailable`."""

        def record(tx: Tx) -> ApiKey:
            key = tx.api_keys.find(key_id)
            if key is None:
                raise KeyNotFound(f"there is no key {key_id}: `sewapay keys list` shows them")
            if key.revoked_at is None:
                key = evolve(key, revoked_at=self.clock.now())
                tx.api_keys.save(key)
            return key

        return await self.transact(record)


@frozen
class AuthenticateService:
    """Who a service's token belongs to.

    - The stored digest is compared in constant time.
    - A revoked key is nobody's.
    """

    read: Read

    async def __call__(self, token: str) -> Principal | None:
        """The service, or None for a token that is malformed, unknown, wrong or revoked. Raises `StoreUnavailable`."""
        parts = _TOKEN.fullmatch(token)
        if parts is None:
            return None
        key_id, secret = parts.groups()
        key = await self.read(lambda view: view.api_keys.find(key_id))
        stored = key.digest if key else _digest("")
        if not hmac.compare_digest(stored, _digest(secret)) or key is None or key.revoked_at is not None:
            return None
        return Principal(role=Role.SERVICE, id=key.id, scopes=key.scopes)

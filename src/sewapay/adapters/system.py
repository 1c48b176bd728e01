"""The real clock and real randomness."""

import asyncio
import secrets
import string
import uuid
from datetime import UTC, datetime
from typing import Final

from sewapay.domain.identifiers import OrderReference, PaymentId

__all__ = ["RandomIds", "SystemClock"]

_REFERENCE_ALPHABET: Final = string.ascii_uppercase + string.digits
_FAIR: Final = 252  # 7 * 36: bytes from here on would favour the first letters


class SystemClock:
    """The machine's clock, in UTC."""

    def now(self) -> datetime:
        """Now."""
        return datetime.now(UTC)

    async def pause(self, seconds: float) -> None:
        """Let this much time pass."""
        await asyncio.sleep(seconds)


class RandomIds:
    """Names from the operating system's randomness: 122 bits in a payment's id, 103 in an order reference."""

    def payment_id(self) -> PaymentId:
        """A random UUID (version 4)."""
        return PaymentId(str(uuid.uuid4()))

    def order_reference(self) -> OrderReference:
        """Twenty random characters of `A-Z 0-9`."""
        picked = ""
        while len(picked) < 20:
            picked += "".join(_REFERENCE_ALPHABET[byte % 36] for byte in secrets.token_bytes(24) if byte < _FAIR)
        return OrderReference(picked[:20])

    def secret(self) -> str:
        """256 random bits as 43 URL-safe characters."""
        return secrets.token_urlsafe(32)

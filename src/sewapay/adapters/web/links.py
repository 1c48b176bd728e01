"""Signed addresses of hosted pages: whoever holds one may see and pay that one booking, and nothing else."""

import base64
import hashlib
import hmac

from attrs import field, frozen

from sewapay.domain.identifiers import BookingId

__all__ = ["Links"]


@frozen
class Links:
    """Makes and checks them. HMAC-SHA256 of the booking's number, under a key that signs nothing else."""

    public_url: str
    _secret: bytes = field(repr=False)

    def checkout_url(self, booking_id: BookingId) -> str:
        """Where the booking can be paid by whoever is given this address."""
        return f"{self.public_url}{self.checkout_path(booking_id)}"

    def checkout_path(self, booking_id: BookingId) -> str:
        """The same address without the origin."""
        return f"/pay/{booking_id}?key={self._key(booking_id)}"

    def is_valid(self, booking_id: BookingId, key: str) -> bool:
        """Whether `key` is the one of this booking's page; takes the same time for every wrong key."""
        return hmac.compare_digest(self._key(booking_id).encode(), key.encode("utf-8", "replace"))

    def _key(self, booking_id: BookingId) -> str:
        digest = hmac.new(self._secret, f"hosted page of booking {booking_id}".encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

"""Names and numbers that identify things: each is a type of its own and is checked when it is made.

They subclass `str` and `int`, so they are stored, compared and shown as what they are; a plain `str` handed to
something that wants a `PaymentId` does not pass the type checker.
"""

import re
from enum import StrEnum
from typing import Final, Self

from sewapay.domain.errors import InvalidIdentifier

__all__ = ["BookingId", "CustomerId", "Environment", "GatewayName", "OrderReference", "PaymentId", "RefundId"]

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
_GATEWAY: Final = re.compile(r"[a-z][a-z0-9_]{0,31}", re.ASCII)
_ORDER_REFERENCE: Final = re.compile(r"[A-Z0-9]{20}", re.ASCII)


class BookingId(int):
    """The merchant's own number for a booking: 1 to 2**53, so that every JSON reader keeps it exact."""

    __slots__ = ()

    def __new__(cls, number: int) -> Self:
        """Raises `InvalidIdentifier` unless `number` is an `int` (not a `bool`) in range."""
        if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= 2**53:
            raise InvalidIdentifier("a booking's id is a whole number from 1 to 9007199254740992")
        return super().__new__(cls, number)


class _Text(str):
    """Text that has a shape; subclasses say which."""

    __slots__ = ()

    @classmethod
    def _checked(cls, text: object, shape: re.Pattern[str], wanted: str) -> Self:
        if not isinstance(text, str) or not shape.fullmatch(text):
            raise InvalidIdentifier(wanted)
        return super().__new__(cls, text)


class PaymentId(_Text):
    """A random UUID in lower case. It names one payment everywhere, and is not guessable."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Raises `InvalidIdentifier` for any other text."""
        return cls._checked(text, _UUID, "a payment's id is a UUID in lower case")


class RefundId(_Text):
    """A random UUID in lower case. It names one refund everywhere, and is not guessable."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Raises `InvalidIdentifier` for any other text."""
        return cls._checked(text, _UUID, "a refund's id is a UUID in lower case")


class CustomerId(_Text):
    """Who a booking belongs to, as the merchant's tokens name them: 1 to 128 printable characters."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Raises `InvalidIdentifier` for empty, longer or unprintable text."""
        if not isinstance(text, str) or not 1 <= len(text) <= 128 or not text.isprintable() or text != text.strip():
            raise InvalidIdentifier("a customer's id is 1 to 128 printable characters without spaces around them")
        return str.__new__(cls, text)


class GatewayName(_Text):
    """A gateway's name in settings, in addresses and in storage, such as `khalti`."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Raises `InvalidIdentifier` unless it is 1 to 32 of `a-z 0-9 _`, beginning with a letter."""
        return cls._checked(text, _GATEWAY, "a gateway's name is 1 to 32 of a-z, 0-9 and _, and begins with a letter")


class OrderReference(_Text):
    """Our unique name for one payment towards its gateway: 20 of `A-Z 0-9`, random, never the booking's id.

    Twenty such characters are taken by every gateway that we know (ConnectIPS allows no more than 20).
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Raises `InvalidIdentifier` for any other text."""
        return cls._checked(text, _ORDER_REFERENCE, "an order reference is 20 of A-Z and 0-9")


class Environment(StrEnum):
    """Where a gateway's money is real. A payment is only ever looked up where it was opened."""

    SANDBOX = "sandbox"
    PRODUCTION = "production"

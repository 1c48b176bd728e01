"""Who is asking, and what they may do: one table, default deny.

A customer reaches what is theirs; staff and services reach everything that the table gives them. What a caller may
not see does not exist for them: foreign and missing are the same error.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from attrs import field, frozen

from sewapay.application.errors import NotAllowed
from sewapay.domain.booking import Booking
from sewapay.domain.identifiers import CustomerId

__all__ = ["POLICY", "ApiKey", "Operation", "Principal", "Role", "Scope"]


class Role(StrEnum):
    """What kind of caller this is. `LINK` is whoever holds the signed address of one booking's page."""

    CUSTOMER = "customer"
    LINK = "link"
    STAFF = "staff"
    SERVICE = "service"


class Scope(StrEnum):
    """What an API key is good for."""

    BOOKINGS = "bookings"
    PAYMENTS = "payments"
    REFUNDS = "refunds"
    WEBHOOKS = "webhooks"
    READ = "read"


class Operation(StrEnum):
    """Everything that can be asked of sewapay through its API."""

    REGISTER_BOOKING = "register a booking"
    CANCEL_BOOKING = "cancel a booking"
    READ_BOOKING = "read a booking"
    LIST_BOOKINGS = "list bookings"
    OPEN_CHECKOUT = "open a checkout"
    VERIFY_PAYMENT = "verify a payment"
    READ_PAYMENT = "read a payment"
    LIST_PAYMENTS = "list payments"
    READ_GATEWAYS = "read the gateways"
    REFUND_PAYMENT = "refund a payment"
    READ_REFUND = "read a refund"
    RESOLVE_PAYMENT = "resolve a payment"
    READ_EVENTS = "read the events"


@frozen
class _Rule:
    """Who may: customers (their own only), a link's holder (its booking only), staff, services with a scope."""

    customer: bool
    link: bool
    staff: bool
    scopes: frozenset[Scope]


_READERS: Final = frozenset({Scope.READ, Scope.BOOKINGS, Scope.PAYMENTS})

POLICY: Final[Mapping[Operation, _Rule]] = MappingProxyType(
    {
        Operation.REGISTER_BOOKING: _Rule(customer=False, link=False, staff=True, scopes=frozenset({Scope.BOOKINGS})),
        Operation.CANCEL_BOOKING: _Rule(customer=True, link=False, staff=True, scopes=frozenset({Scope.BOOKINGS})),
        Operation.READ_BOOKING: _Rule(customer=True, link=True, staff=True, scopes=_READERS),
        Operation.LIST_BOOKINGS: _Rule(customer=True, link=False, staff=True, scopes=_READERS),
        Operation.OPEN_CHECKOUT: _Rule(customer=True, link=True, staff=True, scopes=frozenset({Scope.PAYMENTS})),
        Operation.VERIFY_PAYMENT: _Rule(customer=True, link=True, staff=True, scopes=frozenset({Scope.PAYMENTS})),
        Operation.READ_PAYMENT: _Rule(customer=True, link=True, staff=True, scopes=_READERS),
        Operation.LIST_PAYMENTS: _Rule(customer=True, link=False, staff=True, scopes=_READERS),
        Operation.READ_GATEWAYS: _Rule(customer=True, link=True, staff=True, scopes=frozenset(Scope)),
        Operation.REFUND_PAYMENT: _Rule(customer=False, link=False, staff=True, scopes=frozenset({Scope.REFUNDS})),
        Operation.READ_REFUND: _Rule(customer=True, link=False, staff=True, scopes=_READERS | {Scope.REFUNDS}),
        Operation.RESOLVE_PAYMENT: _Rule(customer=False, link=False, staff=True, scopes=frozenset()),
        Operation.READ_EVENTS: _Rule(customer=False, link=False, staff=True, scopes=_READERS | {Scope.WEBHOOKS}),
    }
)


@frozen(kw_only=True)
class Principal:
    """A caller whose credentials were checked.

    `id` is the customer's id, the staff member's, the API key's, or for a link its booking's number.
    """

    role: Role
    id: str
    scopes: frozenset[Scope] = frozenset()

    @property
    def actor(self) -> str:
        """How events name this caller."""
        return f"{self.role}:{self.id}"

    def may(self, operation: Operation) -> bool:
        """Whether the policy lets this kind of caller do `operation` at all."""
        rule = POLICY[operation]
        return {
            Role.CUSTOMER: rule.customer,
            Role.LINK: rule.link,
            Role.STAFF: rule.staff,
            Role.SERVICE: bool(rule.scopes & self.scopes),
        }[self.role]

    def require(self, operation: Operation) -> None:
        """Raise `NotAllowed` unless the caller `may` do `operation`."""
        if not self.may(operation):
            wanted = " or ".join(sorted(POLICY[operation].scopes))
            if not wanted:
                raise NotAllowed(f"only staff may {operation}: use a staff token")
            if self.role is Role.SERVICE:
                raise NotAllowed(f"this key may not {operation}: it needs the scope {wanted}")
            raise NotAllowed(f"a {self.role} may not {operation}: use a service's API key or a staff token")

    def may_see(self, booking: Booking) -> bool:
        """Whether this booking, and its payments, exist for the caller."""
        if self.role is Role.CUSTOMER:
            return booking.customer.id == self.id
        return self.role is not Role.LINK or str(booking.id) == self.id

    @property
    def only_customer(self) -> CustomerId | None:
        """Whose things a list is limited to; None for callers that see everyone's."""
        return CustomerId(self.id) if self.role is Role.CUSTOMER else None


@frozen(kw_only=True)
class ApiKey:
    """A service's key as it is stored: a public id, and a digest of the secret that was shown once."""

    id: str
    label: str
    digest: str = field(repr=False)
    scopes: frozenset[Scope]
    created_at: datetime
    revoked_at: datetime | None = None

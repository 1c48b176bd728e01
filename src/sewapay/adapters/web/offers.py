"""The gateways that a customer is offered for a booking, each as a button."""

from attrs import frozen

from sewapay.application.gateways import Gateways
from sewapay.application.ports import PaymentGateway
from sewapay.domain.booking import Booking
from sewapay.domain.identifiers import GatewayName

__all__ = ["Offer", "offers_for"]


@frozen
class Offer:
    """A gateway's name, and what customers call it."""

    name: GatewayName
    label: str


def offers_for(booking: Booking, gateways: Gateways) -> tuple[Offer, ...]:
    """Those that can take this booking's amount, in the order in which the settings name them.

    One whose key is missing here is left out: its button would lead nowhere.
    """
    return tuple(
        Offer(name, gateway.capabilities.label) for name, gateway in gateways.items() if _takes(gateway, booking)
    )


def _takes(gateway: PaymentGateway, booking: Booking) -> bool:
    can = gateway.capabilities
    is_enough = booking.amount >= can.least
    return can.configured and is_enough and (can.greatest is None or booking.amount <= can.greatest)

"""The gateways that a customer is offered for a booking, each as a button."""

from attrs import frozen

from sewapay.application.gateways import Gateways
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
    able = ((name, gateway.capabilities) for name, gateway in gateways.items())
    return tuple(Offer(name, can.label) for name, can in able if can.configured and can.takes(booking.amount))

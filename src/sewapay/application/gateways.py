"""The gateways that this service was started with."""

from collections.abc import Mapping

from sewapay.application.errors import GatewayNotEnabled
from sewapay.application.ports import PaymentGateway
from sewapay.domain.identifiers import Environment, GatewayName

__all__ = ["Gateways", "enabled"]

Gateways = Mapping[GatewayName, PaymentGateway]


def enabled(gateways: Gateways, name: GatewayName, environment: Environment | None = None) -> PaymentGateway:
    """The gateway of this name; raises `GatewayNotEnabled`.

    With `environment`, it must also be the one where the payment was opened: a sandbox payment is never looked up
    with production's key, nor the other way round.
    """
    gateway = gateways.get(name)
    if gateway is None:
        raise GatewayNotEnabled(f"the gateway {name} is not enabled here: choose one of {', '.join(sorted(gateways))}")
    if environment is not None and gateway.environment is not environment:
        raise GatewayNotEnabled(f"this payment was opened in {name}'s {environment}, which is not configured here")
    return gateway

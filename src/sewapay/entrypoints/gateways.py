"""The registry: one line a gateway. Being here is what enrols a gateway in the settings and in the tests."""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Final, Protocol

import httpx

from sewapay.application.errors import UnusableSetting
from sewapay.application.gateways import Gateways
from sewapay.application.ports import PaymentGateway
from sewapay.domain.identifiers import GatewayName

__all__ = ["REGISTRY", "build_gateways"]

REGISTRY: Final[Mapping[GatewayName, str]] = MappingProxyType(
    {
        GatewayName("khalti"): "sewapay.adapters.khalti",
        GatewayName("fake"): "sewapay.adapters.fake",
    }
)


class _Build(Protocol):
    """What every gateway's folder offers as `build`."""

    def __call__(
        self, environ: Mapping[str, str], client: httpx.AsyncClient, *, is_production: bool
    ) -> PaymentGateway: ...


def build_gateways(
    names: tuple[GatewayName, ...], environ: Mapping[str, str], client: httpx.AsyncClient, *, is_production: bool
) -> Gateways:
    """Build the gateways of these names from their own variables.

    Raises `UnusableSetting` for a name that is not registered, or for whatever the gateway refuses.
    """
    gateways: dict[GatewayName, PaymentGateway] = {}
    for name in names:
        if name not in REGISTRY:
            known = ", ".join(sorted(REGISTRY))
            raise UnusableSetting(f"SEWAPAY_GATEWAYS names {name}, which is not registered: choose from {known}")
        build: _Build = import_module(REGISTRY[name]).build
        gateways[name] = build(environ, client, is_production=is_production)
    return MappingProxyType(gateways)

"""`/v1/gateways`: the companies that bookings can be paid through here."""

from litestar import get
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from sewapay.adapters.web.body import ApiRequest
from sewapay.adapters.web.openapi import problems
from sewapay.adapters.web.schemas import GatewayList
from sewapay.application.access import Operation
from sewapay.application.gateways import Gateways

__all__ = ["list_gateways"]


@get("/gateways", summary="List the gateways", tags=["gateways"], responses=problems(401, 403, 422, 503))
async def list_gateways(request: ApiRequest, gateways: SkipValidation[NamedDependency[Gateways]]) -> GatewayList:
    """The enabled gateways, and what each can do."""
    request.user.require(Operation.READ_GATEWAYS)
    return GatewayList.of(gateways.values())

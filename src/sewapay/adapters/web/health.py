"""`/health`: whether the process runs, and whether it can serve."""

from collections.abc import Awaitable, Callable

from litestar import Router, get

from sewapay.adapters.web.openapi import problems
from sewapay.adapters.web.schemas import Health

__all__ = ["Readiness", "health_routes", "nothing_to_wait_for"]

Readiness = Callable[[], Awaitable[None]]


async def nothing_to_wait_for() -> None:
    """Ready at once."""


def health_routes(readiness: Readiness) -> Router:
    """`readiness` raises a `SewapayError` (`StoreUnavailable`) while the service cannot serve."""

    @get("/live", summary="Is it running?", sync_to_thread=False)
    def is_live() -> Health:
        """The process answers. A supervisor restarts it when this fails."""
        return Health("ok")

    @get("/ready", summary="Can it serve?", responses=problems(503))
    async def is_ready() -> Health:
        """The database answers. A load balancer sends requests elsewhere while this fails."""
        await readiness()
        return Health("ok")

    return Router("/health", route_handlers=[is_live, is_ready], tags=["health"])

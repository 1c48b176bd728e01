"""The ASGI application over a container's parts, and its life: open the store, serve, give everything back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from importlib.metadata import version

from litestar import Litestar

from sewapay.adapters.web.app import UseCases
from sewapay.adapters.web.app import create_app as create_web_app
from sewapay.adapters.web.config import JwtConfig, WebConfig
from sewapay.entrypoints.container import Container
from sewapay.entrypoints.worker import Worker

__all__ = ["create_app"]


def create_app(container: Container, *, with_worker: bool = False) -> Litestar:
    """The application. Its handlers ask the container's providers anew for each request.

    With `with_worker`, this process also looks at payments that are due.
    """
    settings = container.settings()
    use_cases = UseCases(
        open_checkout=container.open_checkout,
        verify_payment=container.verify_payment,
        refund_payment=container.refund_payment,
        resolve_payment=container.resolve_payment,
        register_booking=container.register_booking,
        cancel_booking=container.cancel_booking,
        read_booking=container.read_booking,
        list_bookings=container.list_bookings,
        read_payment=container.read_payment,
        list_payments=container.list_payments,
        read_timeline=container.read_timeline,
        read_refund=container.read_refund,
        read_refunds=container.read_refunds,
        list_events=container.list_events,
        authenticate_service=container.authenticate_service,
        gateways=container.gateways,
    )
    config = WebConfig(
        public_url=settings.public_url,
        cors_origins=settings.cors_origins,
        cors_any_loopback=not settings.is_production,
        jwt=JwtConfig(
            secret=settings.jwt_secret,
            subject_claim=settings.jwt_subject_claim,
            audience=settings.jwt_audience,
            issuer=settings.jwt_issuer,
        ),
        link_secret=settings.link_secret,
        gateway_origins=lambda: _page_origins(container),
        is_production=settings.is_production,
        version=version("sewapay"),
    )

    @contextlib.asynccontextmanager
    async def life(_app: Litestar) -> AsyncIterator[None]:
        store = container.store()
        container.gateways()
        await store.open()
        worker = Worker(container) if with_worker else None
        working = asyncio.create_task(worker.until_stopped()) if worker else None
        try:
            yield
        finally:
            if worker is not None and working is not None:
                worker.stop()
                await working
            await container.http_client().aclose()
            await store.close()

    return create_web_app(use_cases, config, lifespan=(life,), readiness=lambda: container.store().ping())


def _page_origins(container: Container) -> tuple[str, ...]:
    origins = (origin for gateway in container.gateways().values() for origin in gateway.capabilities.page_origins)
    return tuple(sorted(set(origins)))

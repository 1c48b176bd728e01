"""The application: routes over use cases, and around them what every request passes through."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from litestar import Litestar, Request, Router
from litestar.params import QueryParameter

from sewapay.adapters.web import bookings, checkout_page, events, gateways, pages, payments, refunds, returns
from sewapay.adapters.web.access_log import AccessLog
from sewapay.adapters.web.auth import Authenticator
from sewapay.adapters.web.body import LONGEST_QUERY, MOST_PAIRS, StrictRequest, pairs_of, text_of_header
from sewapay.adapters.web.config import JwtConfig, WebConfig
from sewapay.adapters.web.cors import Cors
from sewapay.adapters.web.errors import InvalidFields
from sewapay.adapters.web.failures import Failures
from sewapay.adapters.web.health import Readiness, health_routes, nothing_to_wait_for
from sewapay.adapters.web.links import Links
from sewapay.adapters.web.openapi import SIGNED_IN, StrictBodies, described
from sewapay.adapters.web.pages import Pages
from sewapay.adapters.web.problem_pages import problem_routes
from sewapay.adapters.web.sewabazaar import guide_routes
from sewapay.adapters.web.use_cases import UseCases, dependencies

__all__ = ["JwtConfig", "UseCases", "WebConfig", "create_app"]

Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]
SignedIn = Callable[[Request[Any, Any, Any]], Awaitable[None]]


def create_app(
    use_cases: UseCases,
    config: WebConfig,
    *,
    lifespan: Sequence[Lifespan] = (),
    readiness: Readiness = nothing_to_wait_for,
) -> Litestar:
    """The application over these use cases. `readiness` raises while the service cannot serve."""
    shown = Pages(config.public_url, config.form_targets)
    links = Links(config.public_url, config.link_secret)
    signed_in = _signed_in(Authenticator(config.jwt, use_cases.authenticate_service))
    failures = Failures(shown, config.public_url)
    app = Litestar(
        route_handlers=[
            _v1(signed_in),
            guide_routes(signed_in),
            returns.come_back,
            returns.come_back_unfinished,
            returns.try_again,
            returns.show_form,
            checkout_page.show_checkout,
            checkout_page.pay,
            problem_routes(shown),
            health_routes(readiness),
            pages.stylesheet,
            pages.progress_script,
            pages.icon,
        ],
        dependencies=dependencies(use_cases, links, shown),
        exception_handlers={Exception: failures},
        request_class=StrictRequest,
        openapi_config=described(config.public_url, config.version),
        plugins=[StrictBodies()],
        lifespan=list(lifespan),
        logging_config=None,
        debug=False,
    )
    inner = Cors(app.asgi_handler, origins=config.cors_origins, any_loopback=config.cors_any_loopback)
    app.asgi_handler = AccessLog(inner, is_production=config.is_production)
    return app


def _v1(signed_in: SignedIn) -> Router:
    """The API proper."""

    async def admit(request: Request[Any, Any, Any]) -> None:
        await signed_in(request)
        if request.scope["query_string"]:
            _require_known_and_single(request)

    return Router(
        "/v1",
        route_handlers=[
            bookings.register_booking,
            bookings.list_bookings,
            bookings.read_booking,
            bookings.cancel_booking,
            payments.open_payment,
            payments.list_payments,
            payments.read_payment,
            payments.read_timeline,
            payments.verify_payment,
            payments.resolve_payment,
            refunds.refund_payment,
            refunds.read_refunds,
            refunds.read_refund,
            events.list_events,
            gateways.list_gateways,
        ],
        before_request=admit,
        security=SIGNED_IN,
    )


def _signed_in(authenticate: Authenticator) -> SignedIn:
    """Before the body is read, so that nobody without credentials learns what a body should look like."""

    async def admit(request: Request[Any, Any, Any]) -> None:
        request.scope["user"] = await authenticate(text_of_header(request.scope, b"authorization"))

    return admit


def _require_known_and_single(request: Request[Any, Any, Any]) -> None:
    """Raise `InvalidFields` for a query value that is repeated, that this operation does not know, or that is no number
    written in digits where one is wanted: Litestar would read `1e1` and `5.0`.
    """
    query = request.scope["query_string"]
    if len(query) > LONGEST_QUERY:
        raise InvalidFields(f"a query has at most {LONGEST_QUERY} bytes")
    if not query.isascii():
        raise InvalidFields("a query is written in ASCII, other letters as %E0%A4 and so on")
    if query.count(b"&") >= MOST_PAIRS:
        raise InvalidFields(f"a query has at most {MOST_PAIRS} values")
    parameters = request.route_handler.parsed_fn_signature.parameters.items()
    known = {name: field for name, field in parameters if isinstance(field.kwarg_definition, QueryParameter)}
    for name, value in pairs_of(query):
        if name not in known:
            raise InvalidFields(f"{name[:64]}: unknown in this query, or given twice")
        is_number = known.pop(name).annotation in (int, int | None)
        if is_number and not (value.isascii() and value.isdigit()):
            raise InvalidFields(f"{name}: expected a whole number, in digits")

"""What the web calls: one factory a use case, asked on every request, and the bundles of those that need more.

The factories come from the composition root. Because each request asks anew, replacing a gateway or the clock in the
container works after the application was built.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Generic, TypeVar

from attrs import frozen
from litestar.di import Provide

from sewapay.adapters.web.links import Links
from sewapay.adapters.web.pages import Pages
from sewapay.application.api_keys import AuthenticateService
from sewapay.application.cancel_booking import CancelBooking
from sewapay.application.gateways import Gateways
from sewapay.application.open_checkout import OpenCheckout
from sewapay.application.ports import Clock
from sewapay.application.queries import (
    ListBookings,
    ListEvents,
    ListPayments,
    ReadBooking,
    ReadPayment,
    ReadRefund,
    ReadRefunds,
    ReadTimeline,
)
from sewapay.application.refund_payment import RefundPayment
from sewapay.application.register_booking import RegisterBooking
from sewapay.application.resolve_payment import ResolvePayment
from sewapay.application.verify_payment import VerifyPayment

__all__ = ["Desk", "HostedPage", "Returns", "UseCases", "dependencies"]

T = TypeVar("T")


@frozen(kw_only=True)
class UseCases:
    """One factory a use case, and one for the enabled gateways."""

    open_checkout: Callable[[], OpenCheckout]
    verify_payment: Callable[[], VerifyPayment]
    refund_payment: Callable[[], RefundPayment]
    resolve_payment: Callable[[], ResolvePayment]
    register_booking: Callable[[], RegisterBooking]
    cancel_booking: Callable[[], CancelBooking]
    read_booking: Callable[[], ReadBooking]
    list_bookings: Callable[[], ListBookings]
    read_payment: Callable[[], ReadPayment]
    list_payments: Callable[[], ListPayments]
    read_timeline: Callable[[], ReadTimeline]
    read_refund: Callable[[], ReadRefund]
    read_refunds: Callable[[], ReadRefunds]
    list_events: Callable[[], ListEvents]
    authenticate_service: Callable[[], AuthenticateService]
    gateways: Callable[[], Gateways]

    def clock(self) -> Clock:
        """The clock that the use cases go by; answers tell the time by the same one."""
        return self.verify_payment().clock


@frozen
class Desk(Generic[T]):
    """What most handlers are given: the use case that they call, and what they need to tell its result."""

    use_case: T
    links: Links
    clock: Clock

    def now(self) -> datetime:
        """The time that answers are made at."""
        return self.clock.now()


@frozen(kw_only=True)
class HostedPage:
    """What the page needs on which a booking is paid."""

    read_booking: ReadBooking
    open_checkout: OpenCheckout
    gateways: Gateways
    links: Links
    pages: Pages


@frozen(kw_only=True)
class Returns:
    """What is needed when a browser comes back from a gateway."""

    verify_payment: VerifyPayment
    read_payment: ReadPayment
    open_checkout: OpenCheckout
    gateways: Gateways
    pages: Pages
    clock: Clock


def dependencies(use_cases: UseCases, links: Links, pages: Pages) -> dict[str, Provide]:
    """One provider a handler. Each asks the composition root anew for every request."""

    def desk(use_case: Callable[[], T]) -> Provide:
        return _provide(lambda: Desk(use_case(), links, use_cases.clock()))

    def hosted_page() -> HostedPage:
        return HostedPage(
            read_booking=use_cases.read_booking(),
            open_checkout=use_cases.open_checkout(),
            gateways=use_cases.gateways(),
            links=links,
            pages=pages,
        )

    def returns() -> Returns:
        return Returns(
            verify_payment=use_cases.verify_payment(),
            read_payment=use_cases.read_payment(),
            open_checkout=use_cases.open_checkout(),
            gateways=use_cases.gateways(),
            pages=pages,
            clock=use_cases.clock(),
        )

    return {
        "open_checkout": desk(use_cases.open_checkout),
        "verify_payment": desk(use_cases.verify_payment),
        "refund_payment": desk(use_cases.refund_payment),
        "resolve_payment": desk(use_cases.resolve_payment),
        "register_booking": desk(use_cases.register_booking),
        "cancel_booking": desk(use_cases.cancel_booking),
        "read_booking": desk(use_cases.read_booking),
        "list_bookings": desk(use_cases.list_bookings),
        "read_payment": desk(use_cases.read_payment),
        "list_payments": desk(use_cases.list_payments),
        "read_timeline": desk(use_cases.read_timeline),
        "read_refund": desk(use_cases.read_refund),
        "read_refunds": desk(use_cases.read_refunds),
        "list_events": desk(use_cases.list_events),
        "gateways": _provide(use_cases.gateways),
        "hosted_page": _provide(hosted_page),
        "returns": _provide(returns),
    }


def _provide(make: Callable[[], object]) -> Provide:
    """A provider without parameters: Litestar reads signatures, and a container's provider has none."""

    def ask() -> Any:
        return make()

    return Provide(ask, sync_to_thread=False)

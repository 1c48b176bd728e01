"""The only place where the parts are put together.

Every use case is made anew from its ports, so `container.gateways.override(...)` works at any time, even after the
application was built from this container.
"""

from collections.abc import Mapping

from dependency_injector import containers, providers

from sewapay.adapters.sql.store import build_store
from sewapay.adapters.system import RandomIds, SystemClock, TaskFlights, TasksTogether
from sewapay.application.api_keys import AuthenticateService, CreateApiKey, ListApiKeys, RevokeApiKey
from sewapay.application.cancel_booking import CancelBooking
from sewapay.application.find_unasked import FindUnasked
from sewapay.application.open_checkout import OpenCheckout
from sewapay.application.peek_at_payment import PeekAtPayment
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
from sewapay.application.reconcile_payments import ReconcilePayments
from sewapay.application.recording import Recorder
from sewapay.application.refund_payment import RefundPayment
from sewapay.application.register_booking import RegisterBooking
from sewapay.application.resolve_payment import ResolvePayment
from sewapay.application.verify_payment import VerifyPayment
from sewapay.entrypoints.gateways import build_gateways
from sewapay.entrypoints.settings import Settings
from sewapay.wire.client import build_client

__all__ = ["Container", "build_container"]


class Container(containers.DeclarativeContainer):
    """Ports first, then one provider a use case."""

    settings: providers.Dependency[Settings] = providers.Dependency(instance_of=Settings)
    environ: providers.Dependency[Mapping[str, str]] = providers.Dependency()

    clock = providers.Singleton(SystemClock)
    ids = providers.Singleton(RandomIds)
    flights = providers.Singleton(TaskFlights)
    together = providers.Singleton(TasksTogether)
    store = providers.Singleton(build_store, settings.provided.database_url)
    http_client = providers.Singleton(build_client)
    gateways = providers.Singleton(
        build_gateways,
        settings.provided.gateways,
        environ,
        http_client,
        is_production=settings.provided.is_production,
    )
    _transact = store.provided.transact
    _read = store.provided.read

    register_booking = providers.Factory(RegisterBooking, transact=_transact, clock=clock)
    cancel_booking = providers.Factory(CancelBooking, transact=_transact, clock=clock)
    recorder = providers.Factory(Recorder, policies=settings.provided.policies)
    verify_payment = providers.Factory(
        VerifyPayment,
        read=_read,
        transact=_transact,
        gateways=gateways,
        clock=clock,
        flights=flights,
        recorder=recorder,
    )
    refund_payment = providers.Factory(
        RefundPayment,
        read=_read,
        transact=_transact,
        gateways=gateways,
        clock=clock,
        ids=ids,
        verify=verify_payment,
    )
    resolve_payment = providers.Factory(
        ResolvePayment, read=_read, transact=_transact, clock=clock, refund=refund_payment
    )
    reconcile_payments = providers.Factory(
        ReconcilePayments,
        transact=_transact,
        gateways=gateways,
        clock=clock,
        recorder=recorder,
        refund=refund_payment,
        together=together,
        per_minute=settings.provided.lookups_per_minute,
    )
    find_unasked = providers.Factory(FindUnasked, read=_read, gateways=gateways, clock=clock)
    peek_at_payment = providers.Factory(
        PeekAtPayment,
        transact=_transact,
        gateways=gateways,
        clock=clock,
        recorder=recorder,
        per_minute=settings.provided.lookups_per_minute,
    )
    open_checkout = providers.Factory(
        OpenCheckout,
        transact=_transact,
        gateways=gateways,
        clock=clock,
        ids=ids,
        verify=verify_payment,
        return_origins=settings.provided.return_origins,
        public_url=settings.provided.public_url,
    )
    read_booking = providers.Factory(ReadBooking, read=_read)
    list_bookings = providers.Factory(ListBookings, read=_read)
    read_payment = providers.Factory(ReadPayment, read=_read, peek=peek_at_payment, flights=flights, clock=clock)
    list_payments = providers.Factory(ListPayments, read=_read)
    read_timeline = providers.Factory(ReadTimeline, read=_read)
    read_refund = providers.Factory(ReadRefund, read=_read)
    read_refunds = providers.Factory(ReadRefunds, read=_read)
    list_events = providers.Factory(ListEvents, transact=_transact)
    authenticate_service = providers.Factory(AuthenticateService, read=_read)
    create_api_key = providers.Factory(
        CreateApiKey, transact=_transact, clock=clock, ids=ids, is_production=settings.provided.is_production
    )
    list_api_keys = providers.Factory(ListApiKeys, read=_read)
    revoke_api_key = providers.Factory(RevokeApiKey, transact=_transact, clock=clock)


def build_container(environ: Mapping[str, str]) -> Container:
    """The service's parts for these variables. Raises `UnusableSetting`; opens nothing yet."""
    return Container(settings=Settings.load(environ), environ=providers.Object(environ))

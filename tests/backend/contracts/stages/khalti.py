"""Khalti's gateway before its stand-in."""

from collections.abc import Callable
from types import MappingProxyType
from typing import Final

import httpx

from sewapay.adapters.khalti import build as build_khalti
from sewapay.adapters.khalti.gateway import KhaltiGateway
from sewapay.adapters.khalti.simulator import Simulator, create_app
from sewapay.application.ports import PaymentGateway
from sewapay.domain.observation import Reported
from sewapay.testing.http_stage import Company, Route, over_http
from sewapay.testing.stage import Call, Ending, StageFactory, Told

KEY: Final = "canary0123456789abcdef0123456789"

# Khalti's docs, "Lookup Payload Details" and "Payment Status Code"; "Failed" stands in their important note
WORDS: Final = MappingProxyType(
    {
        "Completed": Reported.COMPLETED,
        "Pending": Reported.PENDING,
        "Initiated": Reported.INITIATED,
        "Refunded": Reported.REFUNDED,
        "Partially Refunded": Reported.PARTIALLY_REFUNDED,
        "Expired": Reported.EXPIRED,
        "User canceled": Reported.CANCELED,
        "Canceled": Reported.CANCELED,
        "Failed": Reported.FAILED,
    }
)


def build(address: str, client: httpx.AsyncClient) -> KhaltiGateway:
    environ = {
        "KHALTI_SECRET_KEY": KEY,
        "KHALTI_BASE_URL": f"{address}/api/v2",
        "KHALTI_DEADLINE_SECONDS": "1.5",
    }
    return build_khalti(environ, client, is_production=False)


def company(wrap: Callable[[KhaltiGateway], PaymentGateway] = lambda good: good) -> Company:
    """Khalti as a stage needs to know it; `wrap` may break the gateway."""
    refund = "/api/merchant-transaction/HT6o6PEZRWFJ5ygavzHWd5/refund/"
    return Company(
        build=lambda address, client: wrap(build(address, client)),
        app=lambda: create_app(Simulator(seed=20260115)),
        reference="pidx",
        routes={
            Call.OPENING: Route(on="initiate", path="/api/v2/epayment/initiate/", counter="initiates_seen"),
            Call.LOOK_UP: Route(on="lookup", path="/api/v2/epayment/lookup/", counter="lookups_seen"),
            Call.REFUND: Route(on="refund", path=refund, counter="refunds_seen"),
        },
        told={
            Told.STATUS: "status",
            Told.AMOUNT: "total_amount",
            Told.REFERENCE: "pidx",
            Told.TRANSACTION: "transaction_id",
        },
        secrets=(KEY,),
        documented_words=WORDS,
        endings={
            Ending.CANCELED: Reported.CANCELED,
            Ending.PENDING: Reported.PENDING,
            Ending.EXPIRED: Reported.EXPIRED,
        },
    )


stage: Final[StageFactory] = over_http(company())

"""eSewa's gateway before its stand-in."""

import base64
import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import httpx
from attrs import frozen

from sewapay.adapters.esewa import build as build_esewa
from sewapay.adapters.esewa.gateway import EsewaGateway
from sewapay.adapters.esewa.simulator import Quirks, Simulator, create_app
from sewapay.adapters.esewa.simulator.signature import signature
from sewapay.application.ports import PaymentGateway, ReturnMessage
from sewapay.domain.checkout import Checkout, PostForm
from sewapay.domain.observation import Reported
from sewapay.testing.http_stage import Company, Route, over_http
from sewapay.testing.stage import Call, Ending, StageFactory, Told

KEY: Final = "canary0123456789abcdef0123456789"
STATUS: Final = "/api/epay/transaction/status/"

# eSewa's docs, "Status Check", the table of responses
WORDS: Final = MappingProxyType(
    {
        "COMPLETE": Reported.COMPLETED,
        "PENDING": Reported.PENDING,
        "AMBIGUOUS": Reported.AMBIGUOUS,
        "NOT_FOUND": Reported.ABSENT,
        "CANCELED": Reported.CANCELED,
        "FULL_REFUND": Reported.REFUNDED,
        "PARTIAL_REFUND": Reported.PARTIALLY_REFUNDED,
    }
)


@frozen
class SignedData:
    """A return's `data`: base64 of JSON, which names what it signs."""

    signature: str = "signature"
    signed: tuple[str, ...] = (
        "transaction_code",
        "status",
        "total_amount",
        "transaction_uuid",
        "product_code",
        "signed_field_names",
    )
    names: str = "signed_field_names"

    def opened_up(self, message: ReturnMessage) -> Mapping[str, str]:
        (data,) = [value for name, value in message.values if name == "data"]
        values: Mapping[str, str] = json.loads(base64.b64decode(data, validate=True))
        return values

    def put_together(self, values: Mapping[str, str]) -> ReturnMessage:
        return ReturnMessage(values=(("data", base64.b64encode(json.dumps(values).encode()).decode()),))

    def signed_with(self, key: str, values: Mapping[str, str]) -> Mapping[str, str]:
        names = values[self.names]
        covered = {name: values.get(name, "") for name in names.split(",")}
        return {**values, self.signature: signature(names, covered, key)}

    def of_our_own(self, checkout: Checkout, values: Mapping[str, str]) -> Mapping[str, str]:
        assert isinstance(checkout.next_step, PostForm)
        posted = checkout.next_step.fields
        stolen = (self.names, self.signature, *posted[self.names].split(","))
        return {**values, **{name: posted[name] for name in stolen}}


def build(address: str, client: httpx.AsyncClient) -> EsewaGateway:
    environ = {
        "ESEWA_PRODUCT_CODE": "NP-ES-CANARY",
        "ESEWA_SECRET_KEY": KEY,
        "ESEWA_FORM_URL": f"{address}/api/epay/main/v2/form",
        "ESEWA_STATUS_URL": f"{address}{STATUS}",
        "ESEWA_DEADLINE_SECONDS": "1.5",
    }
    return build_esewa(environ, client, is_production=False)


def company(
    wrap: Callable[[EsewaGateway], PaymentGateway] = lambda good: good, quirks: Quirks | None = None
) -> Company:
    """eSewa as a stage needs to know it; `wrap` may break the gateway.

    Its forms are known as soon as they were posted, which is our guess; otherwise they are unknown until the login.
    """
    known_at_once = Quirks(known_before_login=True) if quirks is None else quirks
    return Company(
        build=lambda address, client: wrap(build(address, client)),
        app=lambda: create_app(Simulator(secret_key=KEY, seed=20260115, quirks=known_at_once)),
        reference="transaction_uuid",
        routes={Call.LOOK_UP: Route(on="status", path=STATUS, counter="lookups_seen")},
        told={
            Told.STATUS: "status",
            Told.AMOUNT: "total_amount",
            Told.REFERENCE: "transaction_uuid",
            Told.TRANSACTION: "ref_id",
        },
        secrets=(KEY,),
        documented_words=WORDS,
        endings={
            Ending.CANCELED: Reported.CANCELED,
            Ending.PENDING: Reported.PENDING,
            Ending.EXPIRED: Reported.ABSENT,
        },
        signed_returns=SignedData(),
        posts="posts_seen",
    )


stage: Final[StageFactory] = over_http(company())

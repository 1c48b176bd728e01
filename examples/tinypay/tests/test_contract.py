"""Tinypay before the contract that every gateway of sewapay keeps, check by check, over TCP before its stand-in."""

import hmac
import json
from collections.abc import Callable, Mapping
from typing import Final

import httpx
import pytest
from attrs import frozen
from sewapay.application.errors import ProtocolError
from sewapay.application.ports import Authenticity, ReturnMessage
from sewapay.domain.checkout import Checkout
from sewapay.domain.observation import Reported
from sewapay.standins.description import Options
from sewapay.testing.http_stage import Company, Route, over_http
from sewapay.testing.stage import Call, Ending, StageFactory, Told
from sewapay.wire.answers import Answer
from sewapay.wire.settings import Secret

from tinypay import build
from tinypay.gateway import CHECKOUT_PATH, LOOK_UP_PATH, REFUND_PATH, TinypayGateway
from tinypay.protocol import REPORTED, read_checkout, read_return
from tinypay.simulator import STAND_IN, create_app

KEY: Final = "a-key-that-shows-nowhere"

# Tinypay's docs, "Status words"
DOCUMENTED: Final[Mapping[str, Reported]] = {
    "NEW": Reported.INITIATED,
    "PROCESSING": Reported.PENDING,
    "PAID": Reported.COMPLETED,
    "CANCELED": Reported.CANCELED,
    "EXPIRED": Reported.EXPIRED,
    "PART_REFUNDED": Reported.PARTIALLY_REFUNDED,
    "REFUNDED": Reported.REFUNDED,
}
ENDINGS: Final[Mapping[Ending, Reported]] = {
    Ending.CANCELED: Reported.CANCELED,
    Ending.PENDING: Reported.PENDING,
    Ending.EXPIRED: Reported.EXPIRED,
}


@frozen
class SignedQuery:
    """How Tinypay's returns are taken apart and made anew. Its list of what is signed is fixed."""

    signature: str = "signature"
    signed: tuple[str, ...] = ("order", "reference", "status")
    names: None = None

    def opened_up(self, message: ReturnMessage) -> Mapping[str, str]:
        return dict(message.values)

    def put_together(self, values: Mapping[str, str]) -> ReturnMessage:
        return ReturnMessage(values=tuple(values.items()))

    def signed_with(self, key: str, values: Mapping[str, str]) -> Mapping[str, str]:
        text = f"{values['order']}|{values['reference']}|{values['status']}"
        return {**values, "signature": hmac.new(key.encode(), text.encode(), "sha256").hexdigest()}

    def of_our_own(self, checkout: Checkout, values: Mapping[str, str]) -> None:
        return None  # the browser is given a link, and nothing that is signed


def build_for(address: str, client: httpx.AsyncClient) -> TinypayGateway:
    impatient = {"TINYPAY_SECRET_KEY": KEY, "TINYPAY_DEADLINE_SECONDS": "0.5"}
    return build({**STAND_IN.environ(address), **impatient}, client, is_production=False)


stage = over_http(
    Company(
        build=build_for,
        app=lambda: create_app(Options(secret_key=KEY, seed=1)),
        reference=STAND_IN.reference,
        routes={
            Call.OPENING: Route(on="checkout", path=f"/api{CHECKOUT_PATH}", counter="checkouts_seen"),
            Call.LOOK_UP: Route(on="look_up", path=f"/api{LOOK_UP_PATH}", counter="look_ups_seen"),
            Call.REFUND: Route(on="refund", path=f"/api{REFUND_PATH}", counter="refunds_seen"),
        },
        told={
            Told.STATUS: "status",
            Told.AMOUNT: "amount",
            Told.REFERENCE: "reference",
            Told.TRANSACTION: "transaction",
        },
        secrets=(KEY,),
        documented_words=DOCUMENTED,
        endings=ENDINGS,
        signed_returns=SignedQuery(),
    )
)


def test_the_documented_words_are_typed_in() -> None:
    assert dict(REPORTED) == dict(DOCUMENTED)


def test_the_documented_return_is_signed() -> None:
    values = {"order": "A1", "reference": "00f3", "status": "PAID"}
    proof = "d1c83476285c0e6d31056daa21d4b1964057c707bae1a204e1196121cdbd12c3"  # Tinypay's docs, "Return"

    hint = read_return(ReturnMessage(values=(*values.items(), ("signature", proof))), Secret("tinypay-trial-key"))

    assert hint.authenticity is Authenticity.SIGNED


@pytest.mark.parametrize("page", ["https://evil.example/pay/1", "https://pay.tinypay.example.evil.example/pay/1", 7])
def test_nobody_is_sent_to_a_page_of_somebody_elses(page: object) -> None:
    fields = {"reference": "00f3", "page": page}
    told = Answer(status=201, content_type="application/json", content=json.dumps(fields).encode())

    with pytest.raises(ProtocolError):
        read_checkout(told, "https://pay.tinypay.example")


def test_tinypay_keeps_the_contract(gateway_check: Callable[[StageFactory], None]) -> None:
    gateway_check(stage)

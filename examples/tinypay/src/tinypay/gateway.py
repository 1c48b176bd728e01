"""Tinypay over HTTP: sends what `protocol.py` writes, and hands it back what came. It repeats nothing."""

import logging
from datetime import timedelta
from typing import Final, Self

import httpx
from attrs import field, frozen
from sewapay.application.errors import GatewayNotConfigured, OutcomeUnknown, RefundRefused
from sewapay.application.ports import (
    Capabilities,
    CheckoutKind,
    Order,
    Payer,
    RefundKind,
    RefundOrder,
    ReturnHint,
    ReturnMessage,
    Urls,
)
from sewapay.domain.checkout import Checkout
from sewapay.domain.identifiers import Environment, GatewayName
from sewapay.domain.money import Money
from sewapay.domain.observation import Observation
from sewapay.wire.answers import Answer
from sewapay.wire.calls import Caller, headers_for, telling

from tinypay import protocol
from tinypay.config import TinypayConfig

__all__ = ["TinypayGateway"]

_log: Final = logging.getLogger("sewapay.tinypay")

# Tinypay's docs, "Addresses".
CHECKOUT_PATH: Final = "/checkouts"
LOOK_UP_PATH: Final = "/look-ups"
REFUND_PATH: Final = "/refunds"


@frozen(kw_only=True, eq=False)
class TinypayGateway:
    """Tinypay as a `PaymentGateway` and a `RefundGateway`."""

    config: TinypayConfig
    client: httpx.AsyncClient = field(repr=False)
    name: GatewayName = field(default=GatewayName("tinypay"), init=False)
    _caller: Caller = field(init=False, repr=False)

    @_caller.default
    def _who_asks(self) -> Caller:
        return Caller(company="Tinypay", client=self.client, deadline_seconds=self.config.deadline_seconds)

    @property
    def environment(self) -> Environment:
        """Production only on Tinypay's live host."""
        return self.config.environment

    @property
    def capabilities(self) -> Capabilities:
        """Tinypay's docs, "Limits"."""
        return Capabilities(
            label="Tinypay",
            checkout=CheckoutKind.REDIRECT,
            signed_return=True,
            refunds=RefundKind.PARTIAL,
            least=Money(100),
            greatest=None,
            reference_charset=r"[A-Za-z0-9]",
            reference_length=32,
            default_life=timedelta(minutes=15),
            page_origins=(self.config.pages,),
            panel="Tinypay's office",
            configured=self.config.secret_key is not None,
        )

    @property
    def refunds(self) -> Self:
        """Tinypay gives back all of a payment, or parts of it."""
        return self

    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        """Ask for a page where `order` can be paid, once. Raises what `PaymentGateway.open_checkout` says."""
        with telling(_log, self.name, "checkout", order):
            answer = await self._ask(CHECKOUT_PATH, protocol.checkout_body(order, urls))
            return protocol.read_checkout(answer, self.config.pages)

    def read_return(self, message: ReturnMessage) -> ReturnHint:
        """What the browser brought back, and whether Tinypay signed it."""
        return protocol.read_return(message, self.config.secret_key)

    async def look_up(self, order: Order) -> Observation:
        """Ask what became of `order`. Raises `GatewayError`."""
        with telling(_log, self.name, "look-up", order):
            if order.gateway_reference is None:
                raise OutcomeUnknown("Tinypay is asked by its own reference, and this payment never got one")
            return protocol.read_look_up(await self._ask(LOOK_UP_PATH, protocol.look_up_body(order.gateway_reference)))

    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        """Ask once to give this much back. Raises what `RefundGateway.refund` says."""
        with telling(_log, self.name, "refund", order):
            if order.transaction_id is None:
                raise RefundRefused("Tinypay gives a transaction back, and this payment has none yet")
            return protocol.read_refund(
                await self._ask(REFUND_PATH, protocol.refund_body(order.transaction_id, wanted))
            )

    async def _ask(self, path: str, body: bytes) -> Answer:
        """One request, one answer. Tinypay's docs, "Who asks": the key as a bearer token."""
        if self.config.secret_key is None:
            raise GatewayNotConfigured("TINYPAY_SECRET_KEY is not set: Tinypay cannot be asked")
        url = httpx.URL(self.config.base_url.text + path)
        own = {"Authorization": f"Bearer {self.config.secret_key.reveal()}", "Content-Type": "application/json"}
        return await self._caller.ask("POST", url, headers_for(url, own), body)

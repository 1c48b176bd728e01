"""Khalti over HTTP: sends what `protocol.py` writes, and hands it back what came. It repeats nothing."""

import logging
from datetime import timedelta
from typing import Final, Self

import httpx
from attrs import field, frozen

from sewapay.adapters.khalti import protocol
from sewapay.adapters.khalti.config import LEAST_AMOUNT, KhaltiConfig
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
from sewapay.domain.observation import Observation
from sewapay.wire.answers import Answer
from sewapay.wire.calls import Caller, headers_for, telling

__all__ = ["KhaltiGateway"]

_log: Final = logging.getLogger("sewapay.khalti")

LONGEST_LIFE: Final = timedelta(hours=24)


@frozen(kw_only=True, eq=False)
class KhaltiGateway:
    """Khalti's e-payment (KPG-2) as a `PaymentGateway` and a `RefundGateway`.

    `client` is shared and closed by whoever made it.
    """

    config: KhaltiConfig
    client: httpx.AsyncClient = field(repr=False)
    name: GatewayName = field(default=GatewayName("khalti"), init=False)
    _initiate_url: httpx.URL = field(init=False, repr=False)
    _lookup_url: httpx.URL = field(init=False, repr=False)
    _headers: httpx.Headers = field(init=False, repr=False)
    _caller: Caller = field(init=False, repr=False)
    _stand_in: str | None = field(init=False, repr=False)
    _capabilities: Capabilities = field(init=False, repr=False)

    @_initiate_url.default
    def _where_to_initiate(self) -> httpx.URL:
        return httpx.URL(self.config.base_url.text + protocol.INITIATE_PATH)

    @_lookup_url.default
    def _where_to_look_up(self) -> httpx.URL:
        return httpx.URL(self.config.base_url.text + protocol.LOOKUP_PATH)

    @_headers.default
    def _each_time(self) -> httpx.Headers:
        return self._headers_for(self._lookup_url)

    @_caller.default
    def _within_the_deadline(self) -> Caller:
        return Caller(company="Khalti", client=self.client, deadline_seconds=self.config.deadline_seconds)

    @_stand_in.default
    def _whose_pages_pass_too(self) -> str | None:
        """Off production, whoever answers at the base URL may have payment pages of its own."""
        return None if self.environment is Environment.PRODUCTION else self.config.base_url.origin

    @_capabilities.default
    def _limits(self) -> Capabilities:
        """Khalti docs, "Important": a link lives 60 minutes in production; 30 in every capture of the sandbox.

        The reference's length and letters are our guess: Khalti documents neither. So is the longest life of a link,
        far above both.
        """
        is_live = self.environment is Environment.PRODUCTION
        return Capabilities(
            label="Khalti",
            checkout=CheckoutKind.REDIRECT,
            signed_return=False,
            refunds=RefundKind.PARTIAL,
            least=LEAST_AMOUNT,
            greatest=self.config.greatest,
            reference_charset=r"[\x21-\x7e]",
            reference_length=64,
            default_life=timedelta(minutes=60 if is_live else 30),
            longest_life=LONGEST_LIFE,
            page_origins=(*protocol.PAGE_ORIGINS, *([self._stand_in] if self._stand_in else [])),
            panel=f"Khalti's merchant panel (https://{'admin' if is_live else 'test-admin'}.khalti.com)",
            configured=self.config.secret_key is not None,
        )

    @property
    def environment(self) -> Environment:
        """Production only on Khalti's live host."""
        return self.config.environment

    @property
    def capabilities(self) -> Capabilities:
        """What Khalti can do, and the limits that the settings add."""
        return self._capabilities

    @property
    def refunds(self) -> Self:
        """Khalti gives back all of a payment, or parts of it."""
        return self

    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        """Ask for a payment link, once. Raises what `PaymentGateway.open_checkout` says."""
        with telling(_log, self.name, "initiate", order):
            answer = await self._ask(self._initiate_url, protocol.initiate_body(order, urls, payer))
            return protocol.read_initiate(answer, allowed_origin=self._stand_in)

    def read_return(self, message: ReturnMessage) -> ReturnHint:
        """What the browser brought back; never signed."""
        return protocol.read_return(message)

    async def look_up(self, order: Order) -> Observation:
        """Ask what became of the payment with this order's pidx. Raises `GatewayError`."""
        with telling(_log, self.name, "look-up", order):
            if order.gateway_reference is None:
                raise OutcomeUnknown("Khalti is asked by pidx, and this payment never got one")
            answer = await self._ask(self._lookup_url, protocol.lookup_body(order.gateway_reference))
            return protocol.read_lookup(answer)

    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        """Ask once to give this much back. Raises what `RefundGateway.refund` says."""
        with telling(_log, self.name, "refund", order):
            if order.transaction_id is None:
                raise RefundRefused("Khalti refunds by transaction id, and this payment has none yet: look it up first")
            url = httpx.URL(self.config.refund_url.text + protocol.refund_path(order.transaction_id))
            return protocol.read_refund(await self._ask(url, protocol.refund_body(wanted)))

    async def _ask(self, url: httpx.URL, body: bytes) -> Answer:
        if self.config.secret_key is None:
            raise GatewayNotConfigured("KHALTI_SECRET_KEY is not set: Khalti cannot be asked")
        headers = self._headers if url.netloc == self._lookup_url.netloc else self._headers_for(url)
        return await self._caller.ask("POST", url, headers, body)

    def _headers_for(self, url: httpx.URL) -> httpx.Headers:
        """What is the same in every request (Khalti docs, "API Authorization", for the key)."""
        key = self.config.secret_key
        own = {"Authorization": f"Key {key.reveal() if key else ''}", "Content-Type": "application/json"}
        return headers_for(url, own)

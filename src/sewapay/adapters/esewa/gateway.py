"""eSewa over HTTP: makes the form that `protocol.py` writes, and asks what became of it. It repeats nothing.

Opening a checkout asks nobody: the form is signed here, and the customer's browser posts it.
"""

import logging
from typing import Final

import httpx
from attrs import field, frozen

from sewapay.adapters.esewa import protocol
from sewapay.adapters.esewa.config import LEAST_AMOUNT, EsewaConfig
from sewapay.application.errors import GatewayNotConfigured
from sewapay.application.ports import (
    Capabilities,
    CheckoutKind,
    Order,
    Payer,
    RefundKind,
    ReturnHint,
    ReturnMessage,
    Urls,
)
from sewapay.domain.checkout import Checkout, PostForm
from sewapay.domain.identifiers import Environment, GatewayName
from sewapay.domain.observation import Observation
from sewapay.wire.calls import Caller, headers_for, telling

__all__ = ["EsewaGateway"]

_log: Final = logging.getLogger("sewapay.esewa")


@frozen(kw_only=True, eq=False)
class EsewaGateway:
    """eSewa's ePay (version 2) as a `PaymentGateway`. It gives no money back by a call.

    `client` is shared and closed by whoever made it.
    """

    config: EsewaConfig
    client: httpx.AsyncClient = field(repr=False)
    name: GatewayName = field(default=GatewayName("esewa"), init=False)
    _caller: Caller = field(init=False, repr=False)
    _status_url: httpx.URL = field(init=False, repr=False)
    _headers: httpx.Headers = field(init=False, repr=False)
    _capabilities: Capabilities = field(init=False, repr=False)

    @_caller.default
    def _who_asks(self) -> Caller:
        return Caller(company="eSewa", client=self.client, deadline_seconds=self.config.deadline_seconds)

    @_status_url.default
    def _where_to_look_up(self) -> httpx.URL:
        """With the slash, as eSewa's docs write it, whether or not the setting has one."""
        return httpx.URL(f"{self.config.status_url.text}/")

    @_headers.default
    def _each_time(self) -> httpx.Headers:
        """Nothing in them proves who asks (eSewa docs, "Status Check")."""
        return headers_for(self._status_url, {})

    @_capabilities.default
    def _limits(self) -> Capabilities:
        """eSewa docs, "Request Param Details": letters, digits and hyphens, and a new name for every form.

        Its length is our guess from captures, where 36 were the most; eSewa documents none.
        """
        form_url = self.config.form_url
        return Capabilities(
            label="eSewa",
            checkout=CheckoutKind.POST_FORM,
            signed_return=True,
            refunds=RefundKind.NONE,
            least=LEAST_AMOUNT,
            greatest=self.config.greatest,
            reference_charset=r"[A-Za-z0-9-]",
            reference_length=36,
            default_life=self.config.life,
            page_origins=protocol.PAGE_ORIGINS if form_url.is_within(protocol.PAGE_HOST) else (form_url.origin,),
            single_entry=True,
            panel="eSewa's merchant portal (https://merchant.esewa.com.np)",
            configured=self.config.product_code is not None and self.config.secret_key is not None,
        )

    @property
    def environment(self) -> Environment:
        """Production only where the form goes to eSewa's live host."""
        return self.config.environment

    @property
    def capabilities(self) -> Capabilities:
        """What eSewa can do, and the limits that the settings add."""
        return self._capabilities

    @property
    def refunds(self) -> None:
        """eSewa documents no call for it: money is given back in its merchant portal."""
        return None

    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        """Sign the form that the customer's browser posts. Raises `GatewayNotConfigured`; eSewa is told nothing yet."""
        with telling(_log, self.name, "form", order):
            if self.config.product_code is None:
                raise GatewayNotConfigured("ESEWA_PRODUCT_CODE is not set: no eSewa checkout can be opened")
            if self.config.secret_key is None:
                raise GatewayNotConfigured("ESEWA_SECRET_KEY is not set: no eSewa checkout can be opened")
            fields = protocol.form_fields(order, urls, self.config.product_code, self.config.secret_key)
            return Checkout(next_step=PostForm(self.config.form_url.text, fields), life=self.config.life)

    def read_return(self, message: ReturnMessage) -> ReturnHint:
        """What the browser brought back, and whether eSewa signed it."""
        return protocol.read_return(message, self.config.product_code, self.config.secret_key)

    async def look_up(self, order: Order) -> Observation:
        """Ask what became of the payment with this reference and this amount. Raises `GatewayError`."""
        with telling(_log, self.name, "status check", order):
            merchant = protocol.merchant_of(order, self.config.product_code)
            if merchant is None:
                raise GatewayNotConfigured("ESEWA_PRODUCT_CODE is not set: eSewa cannot be asked")
            url = self._status_url.copy_with(query=protocol.status_query(order, merchant).encode())
            return protocol.read_status(await self._caller.ask("GET", url, self._headers), merchant)

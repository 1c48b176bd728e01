"""connectIPS over HTTP: makes the form that `protocol.py` writes, and asks what became of it. It repeats nothing.

Opening a checkout asks nobody: the form is signed here, and the customer's browser posts it.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Final

import httpx
from attrs import evolve, field, frozen

from sewapay.adapters.connectips import protocol
from sewapay.adapters.connectips.config import LEAST_AMOUNT, ConnectipsConfig
from sewapay.adapters.connectips.signing import Merchant
from sewapay.application.errors import GatewayError, GatewayNotConfigured
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
from sewapay.domain.observation import Observation, Reported
from sewapay.wire.answers import Answer
from sewapay.wire.calls import Caller, headers_for, telling

__all__ = ["ConnectipsGateway"]

_log: Final = logging.getLogger("sewapay.connectips")


def _today() -> date:
    return protocol.day_in_nepal(datetime.now(UTC))


@frozen(kw_only=True, eq=False)
class ConnectipsGateway:
    """connectIPS as a `PaymentGateway`. It gives no money back by a call.

    `client` is shared and closed by whoever made it. `today` tells the date for the form, which `Order` does not have.
    """

    config: ConnectipsConfig
    client: httpx.AsyncClient = field(repr=False)
    today: Callable[[], date] = field(default=_today, repr=False)
    name: GatewayName = field(default=GatewayName("connectips"), init=False)
    _caller: Caller = field(init=False, repr=False)
    _capabilities: Capabilities = field(init=False, repr=False)

    @_caller.default
    def _who_asks(self) -> Caller:
        return Caller(company="connectIPS", client=self.client, deadline_seconds=self.config.deadline_seconds)

    @_capabilities.default
    def _limits(self) -> Capabilities:
        """NCHL docs, "Merchant interface": a reference has 20 characters at most and is good for one form.

        Which characters is our guess, and so is the least amount.
        """
        url = self.config.base_url
        elsewhere = protocol.PAGE_ORIGINS if url.is_within(protocol.PAGE_HOST) else ()
        return Capabilities(
            label="connectIPS",
            checkout=CheckoutKind.POST_FORM,
            signed_return=False,
            refunds=RefundKind.NONE,
            least=LEAST_AMOUNT,
            greatest=self.config.greatest,
            reference_charset=r"[A-Z0-9]",
            reference_length=20,
            default_life=self.config.life,
            page_origins=(url.origin, *elsewhere),
            single_entry=True,
            registered_return=True,
            panel="connectIPS's merchant portal",
            shows_refunds=False,
            configured=self.config.merchant is not None,
        )

    @property
    def environment(self) -> Environment:
        """Production only on the live hosts."""
        return self.config.environment

    @property
    def capabilities(self) -> Capabilities:
        """What connectIPS can do, and the limits that the settings add."""
        return self._capabilities

    @property
    def refunds(self) -> None:
        """NCHL documents no call for it: money is given back by hand."""
        return None

    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        """Sign the form that the customer's browser posts. Raises `GatewayNotConfigured`; nobody is told anything yet.

        The addresses to return to are not in it: one for all payments is registered with NCHL.
        """
        with telling(_log, self.name, "form", order):
            fields = protocol.form_fields(order, self._merchant("no connectIPS checkout can be opened"), self.today())
            return Checkout(next_step=PostForm(self._address(protocol.FORM), fields), life=self.config.life)

    def read_return(self, message: ReturnMessage) -> ReturnHint:
        """What the browser brought back: which payment it was, and no proof."""
        return protocol.read_return(message)

    async def look_up(self, order: Order) -> Observation:
        """Ask what became of the payment with this reference and this amount. Raises `GatewayError`.

        Of a payment that was made its details are asked for too, within the same deadline: they have the transaction's
        number, by which banks and NCHL know it. They decide nothing, and are not missed when they do not come.
        """
        until = asyncio.get_running_loop().time() + self.config.deadline_seconds
        with telling(_log, self.name, "look-up", order):
            merchant = self._merchant("connectIPS cannot be asked")
            question = protocol.question(order, merchant)
            answer = await self._answer(protocol.VALIDATION, question, merchant)
            seen = protocol.read_validation(answer, order, merchant)
        if seen.reported is not Reported.COMPLETED:
            return seen
        try:
            async with asyncio.timeout_at(until):
                answer = await self._answer(protocol.DETAILS, question, merchant)
        except (GatewayError, TimeoutError) as error:
            _log.info("%s details for %s did not come: %s", self.name, order.reference, type(error).__name__)
            return seen
        return evolve(seen, transaction_id=protocol.read_transaction(answer, order, merchant))

    async def _answer(self, path: str, question: bytes, merchant: Merchant) -> Answer:
        url = httpx.URL(self._address(path))
        own = {"Authorization": protocol.authorization(merchant), "Content-Type": "application/json"}
        return await self._caller.ask("POST", url, headers_for(url, own), question)

    def _address(self, path: str) -> str:
        return self.config.base_url.text + path

    def _merchant(self, so: str) -> Merchant:
        if self.config.merchant is None:
            raise GatewayNotConfigured(f"{self.config.missing[0]} is not set: {so}")
        return self.config.merchant

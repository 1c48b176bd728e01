"""Khalti over HTTP: sends what `protocol.py` writes, and hands it back what came. It repeats nothing.

The client is httpx over aiohttp's transport, which names its errors misleadingly: a connection that broke after the
request was read arrives as `httpx.ConnectTimeout`. So errors are judged by their cause, and only aiohttp's own errors
of connecting mean that nothing was sent. Some of aiohttp's errors arrive as they are.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from datetime import timedelta
from typing import Any, Final, Self, cast

import aiohttp
import httpx
from aiohttp.http_exceptions import HttpProcessingError
from attrs import field, frozen

from sewapay.adapters.khalti import protocol
from sewapay.adapters.khalti.config import LEAST_AMOUNT, KhaltiConfig
from sewapay.application.errors import (
    GatewayError,
    GatewayNotConfigured,
    KeyRefused,
    NothingSent,
    OutcomeUnknown,
    ProtocolError,
    RefundRefused,
)
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

__all__ = ["KhaltiGateway"]

_log: Final = logging.getLogger("sewapay.khalti")

CONNECT_SECONDS: Final = 2.0
POOL_SECONDS: Final = 3.0
LONGEST_LIFE: Final = timedelta(hours=24)

_TRANSPORT_ERRORS: Final = (httpx.HTTPError, aiohttp.ClientError, HttpProcessingError, OSError)
_BEFORE_SENDING: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


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
    _extensions: Mapping[str, Any] = field(init=False, repr=False)

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
        """What is the same in every request, made once (Khalti docs, "API Authorization", for the key)."""
        key = self.config.secret_key
        return httpx.Headers(
            {
                "Host": self._lookup_url.netloc.decode("ascii"),
                "Authorization": f"Key {key.reveal() if key else ''}",
                "Content-Type": "application/json",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": "sewapay",
            }
        )

    @_extensions.default
    def _timeouts(self) -> Mapping[str, Any]:
        patience = httpx.Timeout(self.config.deadline_seconds, connect=CONNECT_SECONDS, pool=POOL_SECONDS)
        return {"timeout": patience.as_dict()}

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
        )

    @property
    def environment(self) -> Environment:
        """Production only on Khalti's live host."""
        return self.config.base_url.environment

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
        with self._telling("initiate", order):
            answer = await self._ask(self._initiate_url, protocol.initiate_body(order, urls, payer))
            return protocol.read_initiate(answer, allowed_origin=self._stand_in)

    def read_return(self, message: ReturnMessage) -> ReturnHint:
        """What the browser brought back; never signed."""
        return protocol.read_return(message)

    async def look_up(self, order: Order) -> Observation:
        """Ask what became of the payment with this order's pidx. Raises `GatewayError`."""
        with self._telling("look-up", order):
            if order.gateway_reference is None:
                raise OutcomeUnknown("Khalti is asked by pidx, and this payment never got one")
            answer = await self._ask(self._lookup_url, protocol.lookup_body(order.gateway_reference))
            return protocol.read_lookup(answer)

    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        """Ask once to give this much back. Raises what `RefundGateway.refund` says."""
        with self._telling("refund", order):
            if order.transaction_id is None:
                raise RefundRefused("Khalti refunds by transaction id, and this payment has none yet: look it up first")
            url = httpx.URL(self.config.refund_url.text + protocol.refund_path(order.transaction_id))
            return protocol.read_refund(await self._ask(url, protocol.refund_body(wanted)))

    async def _ask(self, url: httpx.URL, body: bytes) -> protocol.Answer:
        """One POST, one answer, within the deadline by the wall clock: httpx's own timeouts start anew at each byte."""
        if self.config.secret_key is None:
            raise GatewayNotConfigured("KHALTI_SECRET_KEY is not set: Khalti cannot be asked")
        seconds = self.config.deadline_seconds
        headers = self._headers
        if url.netloc != self._lookup_url.netloc:
            headers = headers.copy()
            headers["Host"] = url.netloc.decode("ascii")
        request = httpx.Request("POST", url, headers=headers, content=body, extensions=self._extensions)
        try:
            async with asyncio.timeout(seconds):
                response = await self.client.send(request, auth=None, stream=True, follow_redirects=False)
                try:
                    return await _read(response)
                finally:
                    await response.aclose()
        except _TRANSPORT_ERRORS as error:
            cause = error.__cause__ if isinstance(error, httpx.HTTPError) else error
            if isinstance(cause, _BEFORE_SENDING):
                raise NothingSent("Khalti cannot be reached: no connection could be made") from error
            if isinstance(error, TimeoutError | httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
                raise OutcomeUnknown(f"Khalti gave no whole answer within {seconds:g} s") from error
            raise OutcomeUnknown("the connection to Khalti broke before its answer was whole") from error

    @contextmanager
    def _telling(self, what: str, order: Order) -> Iterator[None]:
        """Log what went wrong, by our own words only, and let it pass on."""
        try:
            yield
        except GatewayError as error:
            level = logging.ERROR if isinstance(error, KeyRefused) else logging.WARNING
            _log.log(level, "%s %s for %s: %s: %s", self.name, what, order.reference, type(error).__name__, error)
            raise


async def _read(response: httpx.Response) -> protocol.Answer:
    """The body as it came. An encoded one is refused unread: a few kilobytes can inflate to any size."""
    response.headers.encoding = "latin-1"  # unless told, httpx guesses it anew at each look
    if response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise ProtocolError("Khalti's answer is compressed, which was not asked for")
    content = bytearray()
    body = cast(AsyncGenerator[bytes, None], response.aiter_raw())
    async with aclosing(body) as pieces:
        async for piece in pieces:
            content += piece
            if len(content) > protocol.MOST_BYTES:
                raise ProtocolError(f"Khalti answered with more than {protocol.MOST_BYTES} bytes")
    content_type = response.headers.get("content-type", "")
    return protocol.Answer(status=response.status_code, content_type=content_type, content=bytes(content))

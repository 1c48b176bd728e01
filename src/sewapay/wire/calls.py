"""One question to a gateway over HTTP: within one deadline, one answer of bounded size, each error by its cause.

The client is httpx over aiohttp's transport, which names its errors misleadingly: a connection that broke after the
request was read arrives as `httpx.ConnectTimeout`. So errors are judged by their cause, and only aiohttp's own errors
of connecting mean that nothing was sent. Some of aiohttp's errors arrive as they are.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any, Final, cast

import aiohttp
import httpx
from aiohttp.http_exceptions import HttpProcessingError
from attrs import field, frozen

from sewapay.application.errors import GatewayError, KeyRefused, NothingSent, OutcomeUnknown, ProtocolError
from sewapay.application.ports import Order
from sewapay.domain.identifiers import GatewayName
from sewapay.wire.answers import MOST_BYTES, Answer

__all__ = ["Caller", "headers_for", "telling"]

CONNECT_SECONDS: Final = 2.0
POOL_SECONDS: Final = 3.0

_TRANSPORT_ERRORS: Final = (httpx.HTTPError, aiohttp.ClientError, HttpProcessingError, OSError)
_BEFORE_SENDING: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


@frozen(kw_only=True, eq=False)
class Caller:
    """How a gateway's adapter asks its company. It repeats nothing and follows nothing.

    `company` is how sentences call it. `client` is shared and closed by whoever made it; it should be `wire.client`'s,
    since errors are told apart by its transport. `deadline_seconds` is how long one call may take in all.
    """

    company: str
    client: httpx.AsyncClient = field(repr=False)
    deadline_seconds: float
    extensions: Mapping[str, Any] = field(init=False, repr=False)

    @extensions.default
    def _timeouts(self) -> Mapping[str, Any]:
        patience = httpx.Timeout(self.deadline_seconds, connect=CONNECT_SECONDS, pool=POOL_SECONDS)
        return {"timeout": patience.as_dict()}

    async def ask(self, method: str, url: httpx.URL, headers: httpx.Headers, content: bytes = b"") -> Answer:
        """One request, one answer, within the deadline by the wall clock: httpx's own timeouts start anew at each byte.

        `headers` are all that are sent, so they should be `headers_for`'s, made once. The URL means what it meant, and
        may be written another way when it leaves: `%2F` as `/` in a query, and `..` resolved in a path, so a segment
        that came from outside is checked first. Raises `NothingSent` when no byte can have left, `ProtocolError` for an
        answer that is compressed or too large, else `OutcomeUnknown`.
        """
        seconds = self.deadline_seconds
        request = httpx.Request(method, url, headers=headers, content=content, extensions=self.extensions)
        try:
            async with asyncio.timeout(seconds):
                response = await self.client.send(request, auth=None, stream=True, follow_redirects=False)
                try:
                    return await self._read(response)
                finally:
                    await response.aclose()
        except _TRANSPORT_ERRORS as error:
            cause = error.__cause__ if isinstance(error, httpx.HTTPError) else error
            if isinstance(cause, _BEFORE_SENDING):
                raise NothingSent(f"{self.company} cannot be reached: no connection could be made") from error
            if isinstance(error, TimeoutError | httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
                raise OutcomeUnknown(f"{self.company} gave no whole answer within {seconds:g} s") from error
            raise OutcomeUnknown(f"the connection to {self.company} broke before its answer was whole") from error

    async def _read(self, response: httpx.Response) -> Answer:
        """The body as it came. An encoded one is refused unread: a few kilobytes can inflate to any size."""
        response.headers.encoding = "latin-1"  # unless told, httpx guesses it anew at each look
        if response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            raise ProtocolError(f"{self.company}'s answer is compressed, which was not asked for")
        content = bytearray()
        body = cast(AsyncGenerator[bytes, None], response.aiter_raw())
        async with aclosing(body) as pieces:
            async for piece in pieces:
                content += piece
                if len(content) > MOST_BYTES:
                    raise ProtocolError(f"{self.company} answered with more than {MOST_BYTES} bytes")
        content_type = response.headers.get("content-type", "")
        return Answer(status=response.status_code, content_type=content_type, content=bytes(content))


def headers_for(url: httpx.URL, own: Mapping[str, str]) -> httpx.Headers:
    """What every request to this URL's host carries: `own`, the host, and that JSON is wanted, not encoded."""
    return httpx.Headers(
        {
            "Host": url.netloc.decode("ascii"),
            **own,
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "sewapay",
        }
    )


@contextmanager
def telling(log: logging.Logger, gateway: GatewayName, what: str, order: Order) -> Iterator[None]:
    """Log what went wrong with this call, by our own words only, and let it pass on."""
    try:
        yield
    except GatewayError as error:
        level = logging.ERROR if isinstance(error, KeyRefused) else logging.WARNING
        log.log(level, "%s %s for %s: %s: %s", gateway, what, order.reference, type(error).__name__, error)
        raise

"""The one HTTP client of a process, for calls to gateways.

httpx over aiohttp's transport: httpx's own pool costs a multiple of it as soon as many requests are in flight.
"""

from typing import Final

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

__all__ = ["build_client"]

MOST_CONNECTIONS: Final = 256
TIMEOUT: Final = httpx.Timeout(5.0, connect=2.0, pool=3.0)

# A kept connection that the other side is about to close loses the request that is sent on it, and a POST is not
# repeated. Five seconds is the shortest that common servers keep one.
KEPT_SECONDS: Final = 4.0
NAMES_KEPT_SECONDS: Final = 30


class _NoCookies(httpx.Cookies):
    """Takes none. httpx would search every answer for them, a seventh of what a call costs."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """Leave them."""


_NO_COOKIES: Final = _NoCookies()


class _Client(httpx.AsyncClient):
    @property
    def cookies(self) -> httpx.Cookies:
        """None, ever."""
        return _NO_COOKIES

    @cookies.setter
    def cookies(self, cookies: object) -> None:
        raise TypeError("this client keeps no cookies")


def build_client() -> httpx.AsyncClient:
    """A client that follows nothing, keeps no cookies and reads no proxy or password from the environment.

    Made outside of any event loop: what belongs to a loop is made by the first request. Close it with `aclose`, in
    the loop that used it. A request waits for a connection for `pool` seconds at most, name resolution included.
    """
    tls = httpx.create_ssl_context(trust_env=False)

    def session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            ssl=tls, limit=MOST_CONNECTIONS, keepalive_timeout=KEPT_SECONDS, ttl_dns_cache=NAMES_KEPT_SECONDS
        )
        made = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
        # aiohttp sends a GET once more when its connection drops; what is asked again is for the core to say. It has no
        # public switch for it: tests/backend/services/test_http_client.py notices when this one is gone.
        made._retry_connection = False
        return made

    return _Client(
        transport=AiohttpTransport(verify=tls, client=session),
        timeout=TIMEOUT,
        trust_env=False,
        follow_redirects=False,
    )

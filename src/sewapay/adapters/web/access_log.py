"""One line for each request, and the headers that every answer carries. Plain ASGI, around the whole application.

The line holds the path and never a query: queries carry references, keys of hosted pages and telephone numbers.
"""

import re
import secrets
import time
from collections.abc import Callable
from typing import Any, Final

import structlog
from litestar.types import ASGIApp, Message, Receive, Send

__all__ = ["AccessLog", "request_id_of"]

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}", re.ASCII)
_KEY: Final = "sewapay.request_id"
LONGEST_PATH: Final = 200


def request_id_of(scope: Any) -> str:
    """The id that this request's answer and log lines carry."""
    return str(scope.get(_KEY, ""))


class AccessLog:
    """Gives the request its id, answers HEAD like GET, adds the common headers, and writes the line at the end."""

    def __init__(self, app: ASGIApp, *, is_production: bool, seconds: Callable[[], float] = time.perf_counter) -> None:
        self._app = app
        self._seconds = seconds
        self._log: Any = structlog.get_logger("sewapay.access")
        common = [(b"x-content-type-options", b"nosniff")]
        if is_production:
            common.append((b"strict-transport-security", b"max-age=31536000"))
        self._common = common

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = self._seconds()
        request_id = _given_id(scope) or secrets.token_hex(12)
        scope[_KEY] = request_id
        method = scope["method"]
        path = scope["path"]
        is_head = method == "HEAD"
        if is_head:
            scope = {**scope, "method": "GET"}  # a copy: the server goes by its own to leave out the body
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message["headers"], *self._common, (b"x-request-id", request_id.encode())]
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))
                message["headers"] = headers
            elif is_head and message["type"] == "http.response.body":
                message["body"] = b""
            await send(message)

        try:
            await self._app(scope, receive, answer)
        finally:
            self._log.info(
                "request",
                method=method,
                path=path[:LONGEST_PATH],
                status=status,
                milliseconds=round((self._seconds() - began) * 1000, 1),
                request_id=request_id,
            )


def _given_id(scope: Any) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text = value.decode("latin-1")
            return text if _REQUEST_ID.fullmatch(text) else None
    return None

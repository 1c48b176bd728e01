"""Which other origins' pages may call this API from a browser.

Tokens travel in a header, so no credentials are allowed. Plain ASGI: requests without an Origin header, which are most,
pass through untouched.
"""

from typing import Any, Final
from urllib.parse import urlsplit

from litestar.types import ASGIApp, Message, Receive, Send

__all__ = ["Cors"]

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_PREFLIGHT: Final = [
    (b"access-control-allow-methods", b"GET, HEAD, POST"),
    (b"access-control-allow-headers", b"Authorization, Content-Type, Idempotency-Key, X-Request-Id"),
    (b"access-control-max-age", b"600"),
]
_VARY: Final = (b"vary", b"Origin")
_EXPOSED: Final = (b"access-control-expose-headers", b"X-Request-Id, Retry-After, Idempotent-Replayed")


class Cors:
    """Answers preflight requests, and lets allowed origins read answers."""

    def __init__(self, app: ASGIApp, *, origins: tuple[str, ...], any_loopback: bool) -> None:
        self._app = app
        self._origins = frozenset(origins)
        self._any_loopback = any_loopback

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Handle one request."""
        origin = _header(scope, b"origin") if scope["type"] == "http" else None
        if origin is None:
            await self._app(scope, receive, send)
            return
        granted = [_VARY]
        if self._allows(origin):
            granted = [_VARY, _EXPOSED, (b"access-control-allow-origin", origin)]
        if scope["method"] == "OPTIONS" and _header(scope, b"access-control-request-method") is not None:
            headers = [*granted, *(_PREFLIGHT if len(granted) > 1 else [])]
            await send({"type": "http.response.start", "status": 204, "headers": headers})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *granted]
            await send(message)

        await self._app(scope, receive, answer)

    def _allows(self, origin: bytes) -> bool:
        text = origin.decode("latin-1")
        if text in self._origins:
            return True
        if not self._any_loopback:
            return False
        try:
            parts = urlsplit(text)
        except ValueError:
            return False
        return parts.scheme in ("http", "https") and parts.hostname in _LOOPBACK


def _header(scope: Any, name: bytes) -> bytes | None:
    key: bytes
    value: bytes
    for key, value in scope["headers"]:
        if key == name:
            return value
    return None

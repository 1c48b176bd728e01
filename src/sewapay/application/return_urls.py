"""Where a customer may be sent on to: only origins that the operator listed."""

import re
from typing import Final
from urllib.parse import urlsplit

from attrs import frozen

from sewapay.application.errors import ReturnUrlRefused

__all__ = ["ReturnOrigins"]

LONGEST_URL: Final = 2048
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST_AND_PORT: Final = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]*)?", re.ASCII)


@frozen(kw_only=True)
class ReturnOrigins:
    """The origins (`https://shop.example`, without a path) that a `return_url` may have.

    `any_loopback` allows every port of this machine too, which is for development.
    """

    origins: frozenset[str]
    any_loopback: bool = False

    def require(self, url: str) -> str:
        """The same URL when browsers may be sent there; raises `ReturnUrlRefused` with the reason."""
        if len(url) > LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
            raise ReturnUrlRefused(f"return_url is an address of at most {LONGEST_URL} plain ASCII characters")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ReturnUrlRefused("return_url is not an address that a browser could open") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ReturnUrlRefused("return_url begins with https:// (or http://) and names a host")
        if not _HOST_AND_PORT.fullmatch(parts.netloc):  # urlsplit finds the host ::1 in evil.example[::1]
            raise ReturnUrlRefused("return_url names a plain host, without a user name or a password")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        is_default = port is None or port == {"http": 80, "https": 443}[parts.scheme]
        origin = f"{parts.scheme}://{host}" if is_default else f"{parts.scheme}://{host}:{port}"
        if origin in self.origins or (self.any_loopback and parts.hostname in _LOOPBACK):
            return url
        raise ReturnUrlRefused(f"return_url may not lead to {origin}: ask the operator to add it to the return origins")

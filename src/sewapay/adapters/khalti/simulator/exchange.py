"""What goes in and out of the stand-in's pages and routes, free of any server: requests, answers, JSON."""

from collections.abc import Mapping
from typing import Final

import msgspec
from attrs import field, frozen

MOST_CONTROL_BYTES: Final = 64 * 1024
"""The largest body of a control or form request."""


@frozen(kw_only=True)
class Request:
    """One HTTP request: decoded path, first value of each query key, lower-case header names."""

    method: str
    path: str
    query: Mapping[str, str] = field(factory=dict)
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    base_url: str = ""


@frozen(kw_only=True)
class Reply:
    """An HTTP answer, and how slowly it travels: a wait before the first byte, a pause after each byte of the body."""

    status: int = 200
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)
    wait_seconds: float = 0.0
    drip_seconds: float = 0.0


@frozen(kw_only=True)
class Hangup:
    """No HTTP answer: the connection is closed (FIN), or torn down (RST) when `reset`."""

    reset: bool = False


@frozen(kw_only=True)
class Verbatim:
    """Bytes written to the connection as they are, HTTP or not, after which it is closed."""

    octets: bytes = field(repr=False)


Answer = Reply | Hangup | Verbatim


class NotJson(Exception):
    """The body is not JSON; the text says what is wrong with it."""


def json_reply(status: int, content: object, *headers: tuple[str, str]) -> Reply:
    """`content` as a JSON answer."""
    return Reply(status=status, headers=headers, body=msgspec.json.encode(content))


def parsed(body: bytes) -> object:
    """The value that a JSON body holds. Raises NotJson, also for bad UTF-8 and for nesting without end."""
    try:
        value: object = msgspec.json.decode(body)
    except RecursionError as too_deep:
        raise NotJson("nested too deeply") from too_deep
    except ValueError as wrong:  # msgspec's own errors and UnicodeDecodeError are ValueErrors
        raise NotJson(str(wrong)) from wrong
    return value


def pidx_of(request: Request) -> str | None:
    """The pidx that the request's body names, if it names one: a look-up's does."""
    try:
        asked = parsed(request.body)
    except NotJson:
        return None
    pidx = asked.get("pidx") if isinstance(asked, dict) else None
    return pidx if isinstance(pidx, str) else None

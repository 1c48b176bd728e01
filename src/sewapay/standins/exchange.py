"""What goes in and out of a stand-in's pages and routes, free of any server: requests, answers, JSON, forms."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

import msgspec
from attrs import evolve, field, frozen

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


def html_reply(status: int, page: str, *headers: tuple[str, str]) -> Reply:
    """A page."""
    return Reply(status=status, content_type="text/html; charset=utf-8", headers=headers, body=page.encode())


def parsed(body: bytes) -> object:
    """The value that a JSON body holds. Raises NotJson, also for bad UTF-8 and for nesting without end."""
    try:
        value: object = msgspec.json.decode(body)
    except RecursionError as too_deep:
        raise NotJson("nested too deeply") from too_deep
    except ValueError as wrong:  # msgspec's own errors and UnicodeDecodeError are ValueErrors
        raise NotJson(str(wrong)) from wrong
    return value


def content_of(reply: Reply) -> Mapping[str, object]:
    """The object that an answer holds; empty when it holds none, so that nothing in it can be spoiled."""
    try:
        content = parsed(reply.body)
    except NotJson:
        return {}
    return content if isinstance(content, dict) else {}


def changed(honest: Reply, values: Mapping[str, object], *, only_known: bool = True) -> Reply:
    """The honest answer with other values, and without those that are `UNSET`; all others to the letter.

    With `only_known`, only where it has the key already.
    """
    content = content_of(honest)
    wanted = {key: value for key, value in values.items() if key in content or (content and not only_known)}
    if not wanted:
        return honest
    written = msgspec.json.decode(honest.body, type=dict[str, msgspec.Raw])  # a number read and written is another text
    kept = {key: value for key, value in {**written, **wanted}.items() if value is not msgspec.UNSET}
    return evolve(honest, body=msgspec.json.encode(kept))


def form_of(request: Request) -> Mapping[str, str]:
    """What a browser's form sent (urlencoded); of a name that came twice the last value, as most servers read it."""
    return dict(parse_qsl(request.body.decode(errors="replace"), keep_blank_values=True))


def named_in(request: Request, key: str) -> str | None:
    """The text under `key` in a request's JSON body, if there is one: which payment a look-up is about."""
    try:
        asked = parsed(request.body)
    except NotJson:
        return None
    name = asked.get(key) if isinstance(asked, dict) else None
    return name if isinstance(name, str) else None

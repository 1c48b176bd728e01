"""Reading what a request carries: bounded, strict, and never a crash of ours.

Litestar's own decoding is lenient (it takes `"1000"` and `1000.0` for a number) and turns deep nesting or bad UTF-8
into a 500. `StrictRequest` replaces just that step: handlers still declare their bodies as `data: JSONBody[...]`.
"""

from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from litestar import Request
from litestar.types import Empty, Scope

from sewapay.adapters.web.errors import BodyTooLarge, InvalidFields, MalformedBody, NotJson
from sewapay.application.access import Principal

__all__ = ["LONGEST_QUERY", "MOST_BYTES", "MOST_PAIRS", "ApiRequest", "StrictRequest", "pairs_of", "text_of_header"]

MOST_BYTES: Final = 64 * 1024
DRAINED_AT_MOST: Final = 4 * 1024 * 1024
MOST_PAIRS: Final = 64
LONGEST_QUERY: Final = 8 * 1024
LONGEST_REASON: Final = 300

_DECODERS: Final[dict[Any, msgspec.json.Decoder[Any]]] = {}


class StrictRequest(Request[Principal, Any, Any]):
    """A request whose body is read up to a limit and decoded to the letter."""

    async def body(self) -> bytes:
        """The whole body. Raises `BodyTooLarge` above 64 KiB, and `MalformedBody` where JSON is awaited and none came.

        What is too large is read on for a while before it is refused: a client that is still sending would see a
        broken connection instead of the answer.
        """
        if self._body is Empty:
            self._body = await self._read()
        if not self._body and self.route_handler.parsed_data_field is not None:
            raise MalformedBody("the body is empty: send a JSON object")
        return self._body

    async def json(self) -> Any:
        """The body as the type that the handler awaits. Raises `NotJson`, `MalformedBody`, `InvalidFields`."""
        media_type = text_of_header(self.scope, b"content-type").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise NotJson("send the body as JSON, with the header Content-Type: application/json")
        field = self.route_handler.parsed_data_field
        return _decoded(await self.body(), Any if field is None else field.annotation)

    async def _read(self) -> bytes:
        kept = bytearray()
        seen = 0
        while True:
            message = await self.receive()
            if message["type"] != "http.request":
                raise MalformedBody("the connection was closed before the body was complete")
            chunk = message.get("body", b"")
            seen += len(chunk)
            if seen <= MOST_BYTES:
                kept += chunk
            if not message.get("more_body", False):
                break
            if seen > DRAINED_AT_MOST:
                break
        if seen > MOST_BYTES:
            raise BodyTooLarge(f"a body has at most {MOST_BYTES} bytes")
        return bytes(kept)


ApiRequest = StrictRequest


def _decoded(body: bytes, wanted: Any) -> Any:
    decoder = _DECODERS.get(wanted)
    if decoder is None:
        decoder = _DECODERS[wanted] = msgspec.json.Decoder(wanted)
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise InvalidFields(_said(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedBody("the body is not JSON that can be read: send one JSON object in UTF-8") from None


def _said(error: msgspec.ValidationError) -> str:
    """msgspec's sentence in a reader's words: `customer.id: expected str, got int`."""
    what, _, where = str(error).partition(" - at `$")
    what = what.replace("Object missing required", "missing").replace("Object contains unknown", "unknown")
    what = what.replace("`", "").strip()
    what = what[:1].lower() + what[1:]
    place = where.rstrip("`").lstrip(".")
    return (f"{place}: {what}" if place else what)[:LONGEST_REASON]


def text_of_header(scope: Scope, name: bytes) -> str:
    """The first header of this name (given in lower case), or empty text."""
    for key, value in scope["headers"]:
        if key == name:
            return value.decode("latin-1")
    return ""


def pairs_of(encoded: bytes) -> tuple[tuple[str, str], ...]:
    """The pairs of a query or a form, in their order, repeats included; nothing for what cannot be read as such."""
    if not encoded or len(encoded) > LONGEST_QUERY:
        return ()
    try:
        text = encoded.decode("ascii", "replace")
        return tuple(parse_qsl(text, keep_blank_values=True, errors="replace", max_num_fields=MOST_PAIRS))
    except ValueError:
        return ()

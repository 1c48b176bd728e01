"""A stand-in as an ASGI application, and how it is served.

It is a bare ASGI application on purpose: a framework between it and the connection would tidy up the very things that
it has to get wrong (lengths, encodings, connections that end without an answer).
"""

import asyncio
import re
import socket
import struct
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any, Final, assert_never
from urllib.parse import parse_qsl

import uvicorn
from attrs import frozen

from sewapay.standins.exchange import Answer, Hangup, Reply, Request, Verbatim

MOST_BODY_BYTES: Final = 1024 * 1024
MOST_DRAINED_BYTES: Final = 4 * 1024 * 1024
"""A larger body is read up to here before it is refused, since a client that is still writing would miss the answer."""

CHUNK_BYTES: Final = 64 * 1024

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_HOST: Final = re.compile(r"[A-Za-z0-9.\-:\[\]]{1,255}")


@frozen
class StandIn:
    """The ASGI application around a plain function that answers.

    The function's second argument says that the body was not kept because it was beyond all bounds.
    """

    answer: Callable[[Request, bool], Answer]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection's lifespan or one HTTP request."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            body = await _body_of(receive)
            await _deliver(self.answer(_request_of(scope, body or b""), body is None), receive, send)


def serve(app: StandIn, host: str, port: int) -> None:
    """Serve a stand-in until the process is told to stop.

    No access log: its lines would carry queries with phone numbers and transaction ids.
    """
    uvicorn.run(app, host=host, port=port, access_log=False, server_header=False, timeout_graceful_shutdown=2)


def _request_of(scope: Message, body: bytes) -> Request:
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    query: dict[str, str] = {}
    for key, text in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True):
        query.setdefault(key, text)
    host = headers.get("host", "")
    if not _HOST.fullmatch(host):
        host = ":".join(map(str, scope.get("server") or ("127.0.0.1", 80)))
    return Request(
        method=scope["method"],
        path=scope["path"],
        query=query,
        headers=headers,
        body=body,
        base_url=f"{scope['scheme']}://{host}",
    )


async def _body_of(receive: Receive) -> bytes | None:
    """The request's whole body, or None when it is larger than the stand-in keeps."""
    kept, seen = bytearray(), 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            break
        piece: bytes = message.get("body", b"")
        seen += len(piece)
        if seen <= MOST_BODY_BYTES:
            kept += piece
        if not message.get("more_body", False) or seen > MOST_DRAINED_BYTES:
            break
    return bytes(kept) if seen <= MOST_BODY_BYTES else None


async def _deliver(answered: Answer, receive: Receive, send: Send) -> None:
    match answered:
        case Reply():
            await _reply(answered, receive, send)
        case Hangup():
            await _hang_up(_transport_of(send), receive, reset=answered.reset)
        case Verbatim():
            transport = _transport_of(send)
            transport.write(answered.octets)
            transport.close()
            await _client_is_gone(receive)
        case _:
            assert_never(answered)


async def _reply(reply: Reply, receive: Receive, send: Send) -> None:
    if await _gone_within(reply.wait_seconds, receive):
        return
    headers = [("content-length", str(len(reply.body))), *reply.headers]
    if reply.content_type:
        headers.append(("content-type", reply.content_type))
    encoded = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": reply.status, "headers": encoded})
    step = 1 if reply.drip_seconds else CHUNK_BYTES
    for start in range(0, len(reply.body), step):
        await send({"type": "http.response.body", "body": reply.body[start : start + step], "more_body": True})
        if await _gone_within(reply.drip_seconds, receive):
            return
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _hang_up(transport: asyncio.Transport, receive: Receive, *, reset: bool) -> None:
    """End the connection without a byte of an answer: orderly (FIN), or as a reset (RST) by a linger time of zero."""
    if reset:
        on_its_way = transport.get_extra_info("socket")
        with socket.socket(fileno=socket.dup(on_its_way.fileno())) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    await _client_is_gone(receive)


def _transport_of(send: Send) -> asyncio.Transport:
    """The connection below the server. ASGI has no word for it; uvicorn's `send` is a method of what holds it."""
    transport: asyncio.Transport | None = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise RuntimeError("faults on the connection itself need uvicorn, with nothing wrapped around `send`")
    return transport


async def _gone_within(seconds: float, receive: Receive) -> bool:
    """Whether the client gave up while we waited so long. Waiting ends early if it did."""
    if not seconds:
        return False
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await _client_is_gone(receive)
            return True
    return False


async def _client_is_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return

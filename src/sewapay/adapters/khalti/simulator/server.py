"""The stand-in as an ASGI application, and the command that serves it.

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

from sewapay.adapters.khalti.simulator import control, pages, wire
from sewapay.adapters.khalti.simulator.exchange import Answer, Hangup, Reply, Request, Verbatim
from sewapay.adapters.khalti.simulator.faults import Scene
from sewapay.adapters.khalti.simulator.ledger import Simulator

DEFAULT_PORT: Final = 8901
MOST_BODY_BYTES: Final = 1024 * 1024
MOST_DRAINED_BYTES: Final = 4 * 1024 * 1024
"""A larger body is read up to here before it is refused, since a client that is still writing would miss the answer."""

CHUNK_BYTES: Final = 64 * 1024

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
WireRoute = Callable[[Simulator, Request], Reply]

WIRE: Final[dict[str, WireRoute]] = {"initiate": wire.initiate, "lookup": wire.look_up, "refund": wire.refund}
"""What each of Khalti's routes does, by the name that faults know it by."""

_HOST: Final = re.compile(r"[A-Za-z0-9.\-:\[\]]{1,255}")
_FORM: Final = re.compile(r"/pay/[^/]+/[a-z]+")


def create_app(simulator: Simulator | None = None) -> "StandIn":
    """The stand-in as an ASGI application; a test may hand in (and keep) the state that it answers from."""
    return StandIn(simulator=Simulator() if simulator is None else simulator)


def run(host: str = "127.0.0.1", port: int = DEFAULT_PORT, *, secret_key: str | None = None) -> None:
    """Serve the stand-in until the process is told to stop. Any secret key is accepted unless one is given.

    No access log: its lines would carry queries with phone numbers and transaction ids.
    """
    uvicorn.run(
        create_app(Simulator(secret_key=secret_key)),
        host=host,
        port=port,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )


@frozen
class StandIn:
    """The ASGI application; all it remembers is in `simulator`."""

    simulator: Simulator

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection's lifespan or one HTTP request."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            body = await _body_of(receive)
            answered = answer(self.simulator, _request_of(scope, body or b""), too_large=body is None)
            await _deliver(answered, receive, send)


def answer(simulator: Simulator, request: Request, *, too_large: bool = False) -> Answer:
    """What the stand-in answers, and does, as a plain function: routes, then the next armed fault.

    `too_large` says that the body was not kept because it was beyond all bounds.
    """
    on = wire.route_of(simulator, request.path)
    if on is not None:
        return wire.too_large() if too_large else _on_the_wire(simulator, request, on)
    if request.path.startswith("/_sim/"):
        return control.too_large() if too_large else control.control(simulator, request)
    if _FORM.fullmatch(request.path):
        return pages.too_large() if too_large else pages.form(simulator, request)
    if request.path == "/" and request.method in ("GET", "HEAD"):
        return pages.front(simulator, request)
    if wire.route_of(simulator, f"{request.path}/") is not None:
        return wire.with_slash(request)
    return wire.not_found()


def _on_the_wire(simulator: Simulator, request: Request, on: str) -> Answer:
    route = WIRE[on]
    simulator.count(on)
    fault = simulator.take_fault(on, wire.pidx_meant(simulator, request))
    if fault is None:
        return route(simulator, request)
    scene = Scene(base_url=request.base_url, earlier_pidx=simulator.latest_pidx())
    return fault.answer(lambda: route(simulator, request), scene)


def _request_of(scope: Message, body: bytes) -> Request:
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    query: dict[str, str] = {}
    for key, text in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True):
        query.setdefault(key, text)
    host = headers.get("host", "")
    if not _HOST.fullmatch(host):
        host = ":".join(map(str, scope.get("server") or ("127.0.0.1", DEFAULT_PORT)))
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

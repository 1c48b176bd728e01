"""`sewapay demo`: our gateways' stand-ins, the service and a sample booking on this machine, and nothing real."""

import asyncio
import contextlib
import logging
import secrets
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any, Final

import httpx
import uvicorn
from attrs import frozen

from sewapay.adapters.sql.migrations import migrate
from sewapay.adapters.web.auth import issue_token
from sewapay.application.access import Scope
from sewapay.domain.identifiers import CustomerId, GatewayName
from sewapay.entrypoints.asgi import create_app
from sewapay.entrypoints.container import Container, build_container
from sewapay.entrypoints.demo_walk import CUSTOMER, Walk, checked, register, say
from sewapay.entrypoints.gateways import registered
from sewapay.entrypoints.logs import configure_logs
from sewapay.entrypoints.stand_ins import stand_in_of
from sewapay.standins.description import Description, Options

__all__ = ["NotInTheDemo", "run_demo"]

DEFAULT_PORT: Final = 8000
HOST: Final = "127.0.0.1"


class NotInTheDemo(Exception):
    """The demo has no such gateway; the text names those that it has."""


@frozen(kw_only=True)
class _StandIn:
    """One gateway's stand-in, and the socket that it answers at."""

    gateway: GatewayName
    described: Description
    listening: socket.socket

    @property
    def address(self) -> str:
        return _address(self.listening)


def run_demo(*, once: bool, gateway: str) -> int:
    """Run the demo; the exit code. With `once`, walk one payment through this gateway over HTTP and stop.

    Raises `NotInTheDemo`.
    """
    described = _described()
    if gateway not in described:
        raise NotInTheDemo(f"the demo has no gateway {gateway!r}: choose from {', '.join(described)}")
    return asyncio.run(_demo(described, GatewayName(gateway), once=once))


def _described() -> Mapping[str, Description]:
    """The stand-ins of the gateways that come with sewapay; what other people wrote is run when it is asked for."""
    found = {one.name: stand_in_of(one) for one in registered() if one.is_ours}
    return {name: described for name, described in found.items() if described is not None}


async def _demo(described: Mapping[str, Description], gateway: GatewayName, *, once: bool) -> int:
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="sewapay-demo-")))
        stand_ins = {
            GatewayName(name): _StandIn(
                gateway=GatewayName(name), described=one, listening=opened.enter_context(_socket(one.port))
            )
            for name, one in described.items()
        }
        ours = opened.enter_context(_socket(DEFAULT_PORT))
        environ = _environ(folder, _address(ours), tuple(stand_ins.values()))
        container = build_container(environ)
        configure_logs(container.settings().log_file, level=logging.INFO)
        migrate(environ["SEWAPAY_DATABASE_URL"])
        labels = {name: one.capabilities.label for name, one in container.gateways().items()}
        async with AsyncExitStack() as running:
            for name, one in stand_ins.items():
                app = one.described.create_app(Options(public_url=_address(ours)))
                await running.enter_async_context(_serving(app, one.listening))
                _say_where(f"{labels[name]}'s stand-in", one.address, "no real money")
            await running.enter_async_context(_serving(create_app(container, with_worker=True), ours))
            _say_where("sewapay", _address(ours), "SQLite, in a temporary folder")
            say("")
            api = await running.enter_async_context(await _merchant(container, _address(ours)))
            if not once:
                return await _wait_for_a_person(api, tuple(stand_ins.values()))
            walk = Walk(
                gateway=gateway,
                label=labels[gateway],
                stand_in=stand_ins[gateway].address,
                reference=stand_ins[gateway].described.reference,
                api=api,
                customer=_customer(container),
            )
            return await walk()


def _say_where(what: str, address: str, aside: str) -> None:
    say(f"{what:22} {address}   ({aside})")


def _environ(folder: Path, our_url: str, stand_ins: Sequence[_StandIn]) -> Mapping[str, str]:
    """The service's variables: its own, and those with which it uses each stand-in."""
    environ = {
        "SEWAPAY_ENV": "development",
        "SEWAPAY_DATABASE_URL": f"sqlite:///{folder / 'demo.db'}",
        "SEWAPAY_PUBLIC_URL": our_url,
        "SEWAPAY_JWT_SECRET": secrets.token_urlsafe(32),
        "SEWAPAY_LOG_FILE": str(folder / "sewapay.log"),
        "SEWAPAY_GATEWAYS": ",".join(one.gateway for one in stand_ins),
    }
    for one in stand_ins:
        environ.update(one.described.environ(one.address))
    return environ


def _customer(container: Container) -> Mapping[str, str]:
    """A signed-in customer, as far as the API sees one."""
    token = issue_token(container.settings().jwt_secret, subject=CustomerId(CUSTOMER))
    return {"Authorization": f"Bearer {token}"}


async def _merchant(container: Container, our_url: str) -> httpx.AsyncClient:
    """The merchant's own service: a client of the API with a key of its own."""
    scopes = frozenset({Scope.BOOKINGS, Scope.PAYMENTS, Scope.READ})
    created = await container.create_api_key()("demo shop", scopes)
    headers = {"Authorization": f"Bearer {created.token}"}
    return httpx.AsyncClient(base_url=our_url, headers=headers, trust_env=False, timeout=20)


async def _wait_for_a_person(api: httpx.AsyncClient, stand_ins: Sequence[_StandIn]) -> int:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stopped.set)
    booking = await register(api)
    say("")
    say("Open this page, choose how to pay, and come back:")
    say("")
    say(f"    {booking['checkout_url']}")
    say("")
    for one in stand_ins:
        say(f"{one.described.label}.")
    say("Or pay, close the tab, and wait for a minute: the booking is confirmed all the same.")
    say("Stop the demo with Ctrl-C.")
    was = booking["status"]
    while not stopped.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopped.wait(), timeout=1)
        now = checked(await api.get(f"/v1/bookings/{booking['id']}"), 200)["status"]
        if now != was:
            say(f"Booking {booking['id']} is {now}.")
            was = now
    say("Stopped; nothing is kept.")
    return 0


def _socket(port: int) -> socket.socket:
    """A listening socket on the default port, or on a free one when that is taken."""
    try:
        return socket.create_server((HOST, port))
    except OSError:
        return socket.create_server((HOST, 0))


def _address(listening: socket.socket) -> str:
    return f"http://{HOST}:{listening.getsockname()[1]}"


class _Server(uvicorn.Server):
    """A server that leaves signals to the demo, which runs two of them."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]  # uvicorn's own signature is a plain generator
        yield


@contextlib.asynccontextmanager
async def _serving(app: Any, listening: socket.socket) -> AsyncIterator[None]:
    server = _Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=2))
    running = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:
        if running.done():
            await running
            raise RuntimeError("a server of the demo did not start")
        await asyncio.sleep(0.02)
    try:
        yield
    finally:
        server.should_exit = True
        await running

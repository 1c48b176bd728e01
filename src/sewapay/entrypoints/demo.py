"""`sewapay demo`: Khalti's stand-in, the service and a sample booking on this machine, and nothing real behind them."""

import asyncio
import contextlib
import logging
import secrets
import signal
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click
import httpx
import uvicorn

from sewapay.adapters.khalti.simulator import create_app as create_stand_in
from sewapay.adapters.sql.migrations import migrate
from sewapay.adapters.web.auth import issue_token
from sewapay.application.access import Scope
from sewapay.domain.money import Money
from sewapay.entrypoints.asgi import create_app
from sewapay.entrypoints.cli import DEFAULT_SIMULATOR_PORT
from sewapay.entrypoints.container import Container, build_container
from sewapay.entrypoints.logs import configure_logs

__all__ = ["run_demo"]

DEFAULT_PORT: Final = 8000
HOST: Final = "127.0.0.1"
CUSTOMER: Final = "42"
BOOKING: Final = {
    "id": 123,
    "customer": {"id": CUSTOMER, "name": "Sita Sharma", "email": "sita@example.com", "phone": "9800000001"},
    "title": "Deep cleaning, two rooms",
    "amount": 113000,
}


def run_demo(*, once: bool) -> int:
    """Run the demo; the exit code. With `once`, walk one payment over HTTP and stop."""
    return asyncio.run(_demo(once=once))


def say(text: str) -> None:
    """Tell the person at the terminal."""
    click.echo(text)


async def _demo(*, once: bool) -> int:
    with (
        tempfile.TemporaryDirectory(prefix="sewapay-demo-") as folder,
        _socket(DEFAULT_SIMULATOR_PORT) as khalti,
        _socket(DEFAULT_PORT) as ours,
    ):
        khalti_url, our_url = _address(khalti), _address(ours)
        environ = {
            "SEWAPAY_ENV": "development",
            "SEWAPAY_DATABASE_URL": f"sqlite:///{Path(folder) / 'demo.db'}",
            "SEWAPAY_PUBLIC_URL": our_url,
            "SEWAPAY_JWT_SECRET": secrets.token_urlsafe(32),
            "SEWAPAY_LOG_FILE": str(Path(folder) / "sewapay.log"),
            "KHALTI_SECRET_KEY": secrets.token_hex(16),
            "KHALTI_BASE_URL": f"{khalti_url}/api/v2",
        }
        container = build_container(environ)
        configure_logs(container.settings().log_file, level=logging.INFO)
        migrate(environ["SEWAPAY_DATABASE_URL"])
        async with _serving(create_stand_in(), khalti), _serving(create_app(container, with_worker=True), ours):
            say(f"Khalti's stand-in   {khalti_url}   (no real money)")
            say(f"sewapay             {our_url}   (SQLite, in a temporary folder)")
            say("")
            api = await _merchant(container, our_url)
            async with api:
                return await (_walk(container, api, khalti_url) if once else _wait_for_a_person(api))


async def _merchant(container: Container, our_url: str) -> httpx.AsyncClient:
    """The merchant's own service: a client of the API with a key of its own."""
    scopes = frozenset({Scope.BOOKINGS, Scope.PAYMENTS, Scope.READ})
    created = await container.create_api_key()("demo shop", scopes)
    headers = {"Authorization": f"Bearer {created.token}"}
    return httpx.AsyncClient(base_url=our_url, headers=headers, trust_env=False, timeout=20)


async def _register(api: httpx.AsyncClient) -> dict[str, Any]:
    booking = _checked(await api.post("/v1/bookings", json=BOOKING), 201)
    say(f"1. The shop registered booking {booking['id']}: {booking['title']}, {booking['amount_display']}.")
    return booking


async def _wait_for_a_person(api: httpx.AsyncClient) -> int:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stopped.set)
    booking = await _register(api)
    say("")
    say("Open this page, pay with Khalti, and come back:")
    say("")
    say(f"    {booking['checkout_url']}")
    say("")
    say("At the stand-in: wallet 9800000001, MPIN 1111, OTP 987654. Or pay, close the tab, and wait for a minute: the")
    say("booking is confirmed all the same. Stop the demo with Ctrl-C.")
    was = booking["status"]
    while not stopped.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopped.wait(), timeout=1)
        now = _checked(await api.get(f"/v1/bookings/{booking['id']}"), 200)["status"]
        if now != was:
            say(f"Booking {booking['id']} is {now}.")
            was = now
    say("Stopped; nothing is kept.")
    return 0


async def _walk(container: Container, api: httpx.AsyncClient, khalti_url: str) -> int:
    """One whole payment, as a shop's front end, a customer at Khalti and a browser would make it."""
    booking = await _register(api)
    token = issue_token(container.settings().jwt_secret, subject=CUSTOMER)
    customer = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=str(api.base_url), trust_env=False, timeout=20) as browser:
        opened = _checked(
            await browser.post(
                "/api/bookings/payments/initiate_khalti_payment/",
                headers=customer,
                json={
                    "booking_id": booking["id"],
                    "return_url": "http://localhost:3000/payment/callback",
                    "website_url": "http://localhost:3000",
                },
            ),
            200,
        )["data"]
        lives = f"{opened['expires_in'] // 60} minutes"
        say(f"2. The customer pressed Pay: Khalti gave pidx {opened['pidx']} and a link that lives {lives}.")
        paid = _checked(await browser.post(f"{khalti_url}/_sim/pay", json={"pidx": opened["pidx"]}), 200)
        say(f"3. The customer paid at Khalti's page: {paid['status']}.")
        back = await browser.get(paid["return_url"])
        if back.status_code != 303:
            raise RuntimeError(f"the return answered {back.status_code}")
        onward = urlsplit(back.headers["location"]).netloc
        say(f"4. The browser came back; sewapay asked Khalti and sent it on to {onward}.")
        verified = _checked(
            await browser.post(
                "/api/bookings/payments/process_khalti_callback/",
                headers=customer,
                json={"pidx": opened["pidx"], "transaction_id": None, "booking_id": booking["id"]},
            ),
            200,
        )
        if not verified["success"]:
            raise RuntimeError(verified["error"])
        say(f"5. Verified: {verified['message']}; Khalti's transaction is {verified['khalti_transaction_id']}.")
    now = _checked(await api.get(f"/v1/bookings/{booking['id']}"), 200)
    say(f"6. Booking {now['id']} is {now['status']}: {Money(now['amount'])} came, once.")
    return 0 if now["status"] == "confirmed" else 1


def _checked(answer: httpx.Response, wanted: int) -> dict[str, Any]:
    if answer.status_code != wanted:
        raise RuntimeError(f"{answer.request.url.path} answered {answer.status_code}: {answer.text[:300]}")
    body: dict[str, Any] = answer.json()
    return body


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

"""The service, the stand-ins and a Chromium, all real, for the tests that walk the road as a customer does."""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from attrs import define, field, frozen
from dependency_injector import providers
from playwright.sync_api import Browser, expect, sync_playwright

from sewapay.adapters.esewa.simulator import Simulator as Esewa
from sewapay.adapters.esewa.simulator import create_app as create_esewa
from sewapay.adapters.khalti.simulator import Simulator
from sewapay.adapters.khalti.simulator import create_app as create_stand_in
from sewapay.adapters.sql.migrations import migrate
from sewapay.adapters.web.auth import issue_token
from sewapay.application.access import Scope
from sewapay.entrypoints.asgi import create_app
from sewapay.entrypoints.container import build_container
from sewapay.entrypoints.worker import Worker
from tests.chromium import require_chromium
from tests.frontend.browsing import Customer
from tests.frontend.shop_front import ShopFront
from tests.servers import run_in_thread

T = TypeVar("T")

JWT_SECRET = "a secret that only the tests of this repository use"
CUSTOMER = {"id": "42", "name": "Sita Sharma", "email": "sita@example.com", "phone": "9800000001"}
IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
MOST_BYTES_OF_A_PICTURE = 120_000
QUIET = (
    "--no-sandbox",  # as root there is no other way
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


Picture = Callable[[Customer, str], None]


@define
class Ahead:
    """The real time and an offset."""

    offset: timedelta = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@frozen
class Merchant:
    """The shop's own service: it registers what is owed, and looks whether it was paid."""

    url: str
    api: httpx.Client
    environ: Mapping[str, str] = field(repr=False)
    clock: Ahead = field(factory=Ahead)

    def registers_a_booking(self, title: str = "Deep cleaning, two rooms", amount: int = 113000) -> dict[str, Any]:
        """Rs 1,130.00, owed by Sita."""
        wanted = {"customer": CUSTOMER, "title": title, "amount": amount}
        return self._body(self.api.post("/v1/bookings", json=wanted), 201)

    def opens_a_payment(self, booking: dict[str, Any], return_url: str) -> dict[str, Any]:
        """A payment whose customer comes back to the shop's own page."""
        wanted = {"booking_id": booking["id"], "gateway": "khalti", "return_url": return_url}
        return self._body(self.api.post("/v1/payments", json=wanted), 201)

    def is_told(self, booking: dict[str, Any]) -> str:
        """The booking's status, as the API tells it."""
        return str(self._body(self.api.get(f"/v1/bookings/{booking['id']}"), 200)["status"])

    def payments_of(self, booking: dict[str, Any]) -> list[dict[str, Any]]:
        """Every attempt to pay it."""
        found = self._body(self.api.get("/v1/payments", params={"booking_id": booking["id"]}), 200)["items"]
        return list(found)

    def attempts_at(self, booking: dict[str, Any]) -> dict[str, str]:
        """How each attempt to pay it stands, by gateway; for bookings with one attempt at each."""
        return {payment["gateway"]: payment["status"] for payment in self.payments_of(booking)}

    def waits(self, **how_long: float) -> None:
        """From now on the service's time is this much later. Nothing happens by itself meanwhile."""
        self.clock.offset += timedelta(**how_long)

    def has_everything_looked_up(self) -> None:
        """A worker beside the service, once: it asks about each payment that is due."""

        async def work() -> None:
            container = build_container(self.environ)
            container.clock.override(providers.Object(self.clock))
            await container.store().open()
            try:
                await Worker(container).until_nothing_is_due()
            finally:
                await container.http_client().aclose()
                await container.store().close()

        apart(work)

    def token_of_the_customer(self) -> str:
        """What the shop's front end holds while Sita is signed in."""
        return issue_token(JWT_SECRET.encode(), subject=CUSTOMER["id"])

    @staticmethod
    def _body(answer: httpx.Response, wanted: int) -> dict[str, Any]:
        assert wanted == answer.status_code, answer.text
        body: dict[str, Any] = answer.json()
        return body


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port that nobody else is given meanwhile: bound but not listening, so that our server may bind it, too."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def apart(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run it on a thread of its own: while Playwright runs, this one has a running loop."""
    with ThreadPoolExecutor(1) as other:
        return other.submit(lambda: asyncio.run(work())).result()


def new_key(environ: Mapping[str, str]) -> str:
    """A service's API key."""

    async def create() -> str:
        container = build_container(environ)
        store = container.store()
        await store.open()
        try:
            return (await container.create_api_key()("tests", frozenset(Scope))).token
        finally:
            await store.close()

    return apart(create)


@contextmanager
def running(folder: Path, **gateways: str) -> Iterator[Merchant]:
    """A shop with an API key at a running service: SQLite in a file, and the gateways of these variables."""
    with reserved_port() as port:
        environ = {
            "SEWAPAY_ENV": "development",
            "SEWAPAY_DATABASE_URL": f"sqlite:///{folder / 'sewapay.db'}",
            "SEWAPAY_PUBLIC_URL": f"http://127.0.0.1:{port}",
            "SEWAPAY_JWT_SECRET": JWT_SECRET,
            **gateways,
        }
        migrate(environ["SEWAPAY_DATABASE_URL"])
        headers = {"Authorization": f"Bearer {new_key(environ)}"}
        container, clock = build_container(environ), Ahead()
        container.clock.override(providers.Object(clock))
        with (
            run_in_thread(create_app(container), port=port) as url,
            httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=20) as api,
        ):
            yield Merchant(url, api, environ, clock)


@pytest.fixture(scope="package")
def simulator() -> Simulator:
    """The stand-in's own truth, in this process: what tests do to it behind the customer's back."""
    return Simulator()


@pytest.fixture(scope="package")
def stand_in(simulator: Simulator) -> Iterator[str]:
    """The address of Khalti's stand-in."""
    with run_in_thread(create_stand_in(simulator)) as url:
        yield url


@pytest.fixture(scope="package")
def merchant(stand_in: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Merchant]:
    """A shop that takes Khalti, whose stand-in is behind its adapter."""
    with running(tmp_path_factory.mktemp("service"), **khalti_at(stand_in)) as merchant:
        yield merchant


@pytest.fixture(scope="package")
def esewa() -> Esewa:
    """eSewa's stand-in's own truth."""
    return Esewa()


@pytest.fixture(scope="package")
def esewa_stand_in(esewa: Esewa) -> Iterator[str]:
    """The address of eSewa's stand-in."""
    with run_in_thread(create_esewa(esewa)) as url:
        yield url


@pytest.fixture(scope="package")
def bazaar(stand_in: str, esewa_stand_in: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Merchant]:
    """A shop that takes Khalti from Rs 10 on, and eSewa up to Rs 50,000."""
    esewa = {
        "ESEWA_PRODUCT_CODE": "EPAYTEST",
        "ESEWA_SECRET_KEY": "8gBm/:&EnhH.1/q",
        "ESEWA_FORM_URL": f"{esewa_stand_in}/api/epay/main/v2/form",
        "ESEWA_STATUS_URL": f"{esewa_stand_in}/api/epay/transaction/status/",
        "ESEWA_GREATEST_AMOUNT": "5000000",
    }
    both = {"SEWAPAY_GATEWAYS": "khalti,esewa", **khalti_at(stand_in), **esewa}
    with running(tmp_path_factory.mktemp("bazaar"), **both) as merchant:
        yield merchant


def khalti_at(address: str) -> dict[str, str]:
    """Khalti's variables for a stand-in there."""
    return {"KHALTI_SECRET_KEY": "a-key-that-only-the-stand-in-is-shown", "KHALTI_BASE_URL": f"{address}/api/v2"}


@pytest.fixture
def shop_front() -> ShopFront:
    """The merchant's pages; a test tells them what a signed-in customer's page knows."""
    return ShopFront()


@pytest.fixture
def shop_url(shop_front: ShopFront) -> Iterator[str]:
    """Where the merchant's pages are."""
    with run_in_thread(shop_front) as url:
        yield url


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """A Chromium with a fresh profile that talks to this machine only."""
    program = require_chromium()
    expect.set_options(timeout=15_000)  # a busy machine is slow, and nobody waits so long where all is well
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture
def a_customer(chromium: Browser) -> Iterator[Callable[..., Customer]]:
    """New customers, as many as a test needs. Afterwards: no page complained, and nothing left this machine."""
    customers: list[Customer] = []

    def come(**how: Any) -> Customer:
        customers.append(Customer.with_browser(chromium, **how))
        return customers[-1]

    yield come
    for customer in customers:
        customer.page.context.close()
    assert [complaint for customer in customers for complaint in customer.watched.complaints] == []
    assert {"127.0.0.1"} >= {host for customer in customers for host in customer.watched.hosts}


@pytest.fixture
def customer(a_customer: Callable[..., Customer]) -> Customer:
    """Sita, with script and an English browser."""
    return a_customer()


@pytest.fixture(scope="package")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Picture:
    """Takes a picture of what a customer sees. The ones in docs/images change with SEWAPAY_SCREENSHOTS=1 only."""
    wanted = os.environ.get("SEWAPAY_SCREENSHOTS", "") not in {"", "0"}
    folder = IMAGES if wanted else tmp_path_factory.mktemp("images")
    folder.mkdir(parents=True, exist_ok=True)

    def take(customer: Customer, name: str) -> None:
        taken = customer.page.screenshot(path=folder / f"{name}.png")
        assert len(taken) < MOST_BYTES_OF_A_PICTURE

    return take

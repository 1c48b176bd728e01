"""The container's providers are wired rightly: a wrong name is a TypeError on the first request, or here."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
from dependency_injector import providers
from litestar.testing import AsyncTestClient

from sewapay import application
from sewapay.adapters.fake.gateway import FakeGateway
from sewapay.adapters.memory.store import MemoryStore
from sewapay.application.open_checkout import OpenCheckout
from sewapay.application.verify_payment import VerifyPayment
from sewapay.domain.identifiers import GatewayName
from sewapay.domain.money import Money
from sewapay.domain.payment import Payment
from sewapay.entrypoints.asgi import create_app
from sewapay.entrypoints.container import Container, build_container
from tests.shop import KHALTI, PRICE, Shop

ENVIRON: Final[Mapping[str, str]] = {
    "SEWAPAY_ENV": "test",
    "SEWAPAY_GATEWAYS": "fake",
    "SEWAPAY_JWT_SECRET": "a secret that only the tests of this repository use",
}
PROVIDERS: Final = sorted(Container.providers)


def a_container(tmp_path: Path) -> Container:
    return build_container({**ENVIRON, "SEWAPAY_DATABASE_URL": f"sqlite:///{tmp_path / 'wiring.db'}"})


@pytest.mark.parametrize("name", PROVIDERS)
async def test_every_provider_gives_its_part(name: str, tmp_path: Path) -> None:
    container = a_container(tmp_path)

    part = getattr(container, name)()

    assert part is not None
    await container.http_client().aclose()
    await container.store().close()


def test_every_use_case_has_a_provider() -> None:
    folder = Path(str(next(iter(application.__path__))))
    modules = [f"sewapay.application.{path.stem}" for path in sorted(folder.glob("*.py")) if path.stem != "__init__"]
    written = {
        cls
        for module in modules
        for _, cls in inspect.getmembers(__import__(module, fromlist=["x"]), inspect.isclass)
        if cls.__module__ == module and inspect.iscoroutinefunction(vars(cls).get("__call__"))
        if not getattr(cls, "_is_protocol", False)
    }

    made = {provider.cls for provider in Container.providers.values() if isinstance(provider, providers.Factory)}
    provided = {cls for cls in made if inspect.iscoroutinefunction(vars(cls).get("__call__"))}

    assert {OpenCheckout, VerifyPayment} < written
    assert written == provided


async def test_use_cases_are_made_anew_and_their_parts_are_not(tmp_path: Path) -> None:
    container = a_container(tmp_path)

    one, other = container.verify_payment(), container.verify_payment()

    assert one is not other
    assert one.gateways is other.gateways is container.gateways()
    assert one.clock is container.open_checkout().verify.clock is container.clock()
    await container.http_client().aclose()
    await container.store().close()


def test_building_the_container_touches_no_file(tmp_path: Path) -> None:
    container = a_container(tmp_path)

    container.store()

    assert list(tmp_path.iterdir()) == []


async def test_gateways_can_be_replaced_after_the_application_was_built() -> None:
    shop = Shop()
    booking = await shop.given_a_booking()
    app = shop.app
    replaced = FakeGateway(name=KHALTI)
    shop.container.gateways.override(providers.Object({KHALTI: replaced}))

    async with AsyncTestClient(app) as client:
        answer = await client.post(
            "/v1/payments", json={"booking_id": booking.id, "gateway": "khalti"}, headers=shop.as_customer()
        )

    assert answer.status_code == 201, answer.text
    assert (shop.gateway.initiated, replaced.initiated) == (0, 1)


async def test_gateways_can_be_replaced_between_two_requests() -> None:
    shop = Shop()
    first, second = await shop.given_a_booking(), await shop.given_a_booking()
    replaced = FakeGateway(name=KHALTI)

    async with AsyncTestClient(shop.app) as client:
        for booking in (first, second):
            body = {"booking_id": booking.id, "gateway": "khalti"}
            answer = await client.post("/v1/payments", json=body, headers=shop.as_customer())
            assert answer.status_code == 201, answer.text
            shop.container.gateways.override(providers.Object({KHALTI: replaced}))

    assert (shop.gateway.initiated, replaced.initiated) == (1, 1)


async def test_the_store_and_the_clock_can_be_replaced_after_the_application_was_built() -> None:
    shop = Shop()
    app = shop.app
    other = Shop()
    booking = await other.given_a_booking(amount=Money(4700))
    shop.container.store.override(providers.Object(other.memory))

    async with AsyncTestClient(app) as client:
        answer = await client.get(f"/v1/bookings/{booking.id}", headers=shop.as_customer())

    assert answer.status_code == 200, answer.text
    assert answer.json()["amount"] == 4700


async def test_two_applications_of_one_process_share_nothing() -> None:
    one, other = Shop(), Shop()

    payment: Payment = await one.given_an_open_payment()

    assert payment.amount == PRICE
    assert (one.gateway.initiated, other.gateway.initiated) == (1, 0)
    assert isinstance(other.memory, MemoryStore)
    assert one.container.gateways() is not other.container.gateways()


async def test_the_application_is_built_from_the_real_parts_too(tmp_path: Path) -> None:
    container = a_container(tmp_path)

    async with AsyncTestClient(create_app(container)) as client:
        answer = await client.get("/health/live")

    assert answer.status_code == 200, answer.text
    assert [GatewayName("fake")] == list(container.gateways())

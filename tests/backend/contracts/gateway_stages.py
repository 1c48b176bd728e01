"""The stages on which registered gateways are put through their contract: one a gateway, by its registered name."""

import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from types import MappingProxyType
from typing import Any, Final

import httpx
from attrs import define, field, frozen

from sewapay.adapters.fake.gateway import FakeGateway
from sewapay.adapters.khalti import build as build_khalti
from sewapay.adapters.khalti.gateway import KhaltiGateway
from sewapay.adapters.khalti.simulator import Simulator
from sewapay.application.ports import PaymentGateway
from sewapay.domain.identifiers import GatewayName
from sewapay.entrypoints.http_client import build_client
from tests.backend.contracts.gateway_contract import Stage

KEY: Final = "canary0123456789abcdef0123456789"
DEADLINE_SECONDS: Final = "0.6"
_ROUTES: Final = MappingProxyType({"initiate": "initiate", "look-up": "lookup", "refund": "refund"})
_PATHS: Final = MappingProxyType(
    {
        "initiate": "/api/v2/epayment/initiate/",
        "look-up": "/api/v2/epayment/lookup/",
        "refund": "/api/merchant-transaction/HT6o6PEZRWFJ5ygavzHWd5/refund/",
    }
)

KhaltiWrap = Callable[[KhaltiGateway], PaymentGateway]
FakeWrap = Callable[[FakeGateway], PaymentGateway]


@frozen(kw_only=True)
class Khaltis:
    """A running Khalti stand-in, and the state that it answers from."""

    simulator: Simulator
    address: str


@define(kw_only=True)
class KhaltiStage:
    """Khalti's gateway over TCP, before the stand-in. Faults are armed over HTTP, as anybody would."""

    khaltis: Khaltis
    client: httpx.AsyncClient
    wrap: KhaltiWrap
    secrets: tuple[str, ...] = (KEY,)

    @property
    def initiated(self) -> int:
        return self.khaltis.simulator.initiates_seen

    @property
    def looked_up(self) -> int:
        return self.khaltis.simulator.lookups_seen

    @property
    def refunded(self) -> int:
        return self.khaltis.simulator.refunds_seen

    def given_back(self, reference: str) -> int:
        return self.khaltis.simulator.find(reference).refunded_amount

    def gateway(self) -> PaymentGateway:
        return self._built(self.khaltis.address)

    def unreachable(self) -> PaymentGateway:
        with socket.create_server(("127.0.0.1", 0)) as closed_soon:
            port = closed_soon.getsockname()[1]
        return self._built(f"http://127.0.0.1:{port}")

    @contextmanager
    def silent(self, on: str) -> Iterator[None]:
        self.spoils(on, {"fault": "delay", "seconds": 30})
        yield

    @contextmanager
    def held(self, on: str) -> Iterator[None]:
        self.spoils(on, {"fault": "delay", "seconds": 30})
        yield

    def spoils(self, on: str, fault: Mapping[str, object]) -> None:
        spoiled: dict[str, object] = {**fault, "on": _ROUTES[on]}
        if fault.get("location") == "same":
            spoiled["location"] = self.khaltis.address + _PATHS[on]
        self._sim("faults", **spoiled)

    def customer_pays(self, reference: str) -> None:
        self._sim("pay", pidx=reference)

    def customer_cancels(self, reference: str) -> None:
        self._sim("cancel", pidx=reference)

    def leaves_pending(self, reference: str) -> None:
        self._sim("pend", pidx=reference)

    def link_expires(self, reference: str) -> None:
        self._sim("expire", pidx=reference)

    def says(self, reference: str, word: str) -> None:
        self._sim("faults", on="lookup", pidx=reference, fault="status_word", word=word, times=None)

    def _built(self, address: str) -> PaymentGateway:
        environ = {
            "KHALTI_SECRET_KEY": KEY,
            "KHALTI_BASE_URL": f"{address}/api/v2",
            "KHALTI_DEADLINE_SECONDS": DEADLINE_SECONDS,
        }
        return self.wrap(build_khalti(environ, self.client, is_production=False))

    def _sim(self, action: str, **body: Any) -> None:
        answer = httpx.post(f"{self.khaltis.address}/_sim/{action}", json=body, trust_env=False)
        assert answer.status_code == 200, answer.text


@define(kw_only=True)
class FakeStage:
    """The fake, which is its own company: a restart of the service leaves it as it is."""

    wrap: FakeWrap
    secrets: tuple[str, ...] = ()
    _company: FakeGateway = field(factory=FakeGateway)

    @property
    def initiated(self) -> int:
        return self._company.initiated

    @property
    def looked_up(self) -> int:
        return self._company.looked_up

    @property
    def refunded(self) -> int:
        return self._company.refunded

    def given_back(self, reference: str) -> int:
        return sum(amount.paisa for amount in self._company.payments[reference].given_back)

    def gateway(self) -> PaymentGateway:
        return self.wrap(self._company)

    def unreachable(self) -> PaymentGateway:
        company = FakeGateway()
        company.refuses_connections()
        return self.wrap(company)

    @contextmanager
    def silent(self, on: str) -> Iterator[None]:
        self._company.goes_silent()
        yield
        self._company.answers_again()

    @contextmanager
    def held(self, on: str) -> Iterator[None]:
        self._company.holds_answers()
        yield
        self._company.releases_answers()

    def spoils(self, on: str, fault: Mapping[str, object]) -> None:
        raise NotImplementedError("the fake speaks no HTTP")

    def customer_pays(self, reference: str) -> None:
        self._company.customer_pays(reference)

    def customer_cancels(self, reference: str) -> None:
        self._company.customer_cancels(reference)

    def leaves_pending(self, reference: str) -> None:
        self._company.leaves_pending(reference)

    def link_expires(self, reference: str) -> None:
        self._company.link_expires(reference)

    def says(self, reference: str, word: str) -> None:
        self._company.says(reference, word)


def _as_it_is(gateway: PaymentGateway) -> PaymentGateway:
    return gateway


@asynccontextmanager
async def khalti_stage(khaltis: Khaltis, wrap: KhaltiWrap = _as_it_is) -> AsyncIterator[Stage]:
    """A stage with nothing on it yet."""
    khaltis.simulator.reset()
    client = build_client()
    try:
        yield KhaltiStage(khaltis=khaltis, client=client, wrap=wrap)
    finally:
        await client.aclose()


@asynccontextmanager
async def fake_stage(_khaltis: Khaltis, wrap: FakeWrap = _as_it_is) -> AsyncIterator[Stage]:
    """A stage with nothing on it yet."""
    yield FakeStage(wrap=wrap)


STAGES: Final[Mapping[GatewayName, Callable[[Khaltis], AbstractAsyncContextManager[Stage]]]] = MappingProxyType(
    {GatewayName("khalti"): khalti_stage, GatewayName("fake"): fake_stage}
)
SPEAK_HTTP: Final = frozenset({GatewayName("khalti")})

"""A customer's whole way over TCP: pay button, company's page, paying, coming back, what our page says then.

A company is its stand-in, driven by HTTP alone, as another shop's tests would drive it.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from attrs import define, field, frozen

from sewapay.adapters.connectips.simulator import STAND_IN as CONNECTIPS
from sewapay.adapters.connectips.simulator import Simulator as ConnectipsSimulator
from sewapay.adapters.esewa.simulator import STAND_IN as ESEWA
from sewapay.adapters.esewa.simulator import Simulator as EsewaSimulator
from sewapay.adapters.khalti.simulator import STAND_IN as KHALTI
from sewapay.adapters.khalti.simulator import Simulator as KhaltiSimulator
from sewapay.application.audit import audit_invariants, truth_from_simulator
from sewapay.standins.company import AnyCompany
from sewapay.standins.description import Description, Options
from sewapay.standins.faults import KINDS
from sewapay.standins.happenings import HAPPENINGS
from tests.backend.system.world import AS_SITA, PRICE, PUBLIC_URL, World
from tests.servers import run_in_thread

__all__ = ["COMPANIES", "Company", "Customer", "Known", "Stands", "a_company", "findings", "later"]

STATE: Final = re.compile(r'data-state="([a-z_]+)"')
SANDBOXES: Final = {"khalti": "sandbox", "esewa": "sandbox", "connectips": "sandbox"}
MONEY: Final = frozenset({"completed", "partially_refunded", "refunded"})
SEED: Final = 20260707
"""Not that of the other stand-ins on the same databases, which would give the same references."""

ENTERED_ONCE: Final = frozenset({"esewa", "connectips"})  # their forms are given anew to whoever comes back


@frozen(kw_only=True)
class Known:
    """What a test has to know of a company: how it is run, and on which of its routes a checkout begins."""

    stand_in: Description
    simulator: type[AnyCompany]
    opening: str

    @property
    def look_up(self) -> str:
        """The route that tells what became of a payment."""
        return self.simulator.shape.look_up

    def kinds_on(self, route: str) -> set[str]:
        """Every kind of fault that can be armed there."""
        every = (*KINDS, *HAPPENINGS, *self.simulator.own_faults)
        possible = (kind for kind in every if route in kind.possible_on(self.simulator.shape))
        return {str(kind.__struct_config__.tag) for kind in possible}


COMPANIES: Final[Mapping[str, Known]] = {
    "khalti": Known(stand_in=KHALTI, simulator=KhaltiSimulator, opening="initiate"),
    "esewa": Known(stand_in=ESEWA, simulator=EsewaSimulator, opening="form"),
    "connectips": Known(stand_in=CONNECTIPS, simulator=ConnectipsSimulator, opening="form"),
}


@frozen
class Company:
    """A running stand-in."""

    gateway: str
    address: str
    http: httpx.Client

    @property
    def known(self) -> Known:
        """What it is."""
        return COMPANIES[self.gateway]

    def sim(self, what: str, **body: Any) -> Any:
        """Tell it what happens, by one of its control routes."""
        answer = self.http.post(f"{self.address}/_sim/{what}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def goes_wrong(self, on: str, fault: Mapping[str, Any], *, reference: str | None = None) -> None:
        """Arm a fault until it is over. Its texts may say REFERENCE where the payment's own name has to stand."""
        told = {key: _named(value, reference or "") for key, value in fault.items()}
        named = {} if reference is None else {"reference": reference}
        self.sim("faults", **{"on": on, "times": None, **told, **named})

    def is_well(self) -> None:
        """Nothing goes wrong any more."""
        self.http.delete(f"{self.address}/_sim/faults").raise_for_status()

    def drawn(self) -> Any:
        """How many faults came of chance, among how many requests."""
        plan = self.http.get(f"{self.address}/_sim/faults").json()["random"]
        return plan["seen"], plan["given"]

    def ledger(self) -> Any:
        """Its own books."""
        return self.http.get(f"{self.address}/_sim/payments").json()

    def of(self, reference: str) -> str | None:
        """What became of the payment with this name, in words that all companies share; None when it has none."""
        lines = self.http.get(f"{self.address}/_sim/payments", params={"reference": reference}).json()["payments"]
        return lines[0]["reported"] if lines else None


def _named(value: Any, reference: str) -> Any:
    return value.replace("REFERENCE", reference) if isinstance(value, str) else value


@contextmanager
def a_company(gateway: str) -> Iterator[Company]:
    """Run a stand-in."""
    app = COMPANIES[gateway].stand_in.create_app(Options(seed=SEED, public_url=PUBLIC_URL))
    with run_in_thread(app) as address, httpx.Client(trust_env=False, timeout=20) as http:
        yield Company(gateway, address, http)


@frozen
class Stands:
    """Where everything stands: what is stored, what the customer's page says, and how often the booking was confirmed.

    `review`: what a person is asked. `unknown`: asked, and no usable answer came.
    """

    payment: str
    booking: str
    page: str
    confirmed: int = 0
    review: str | None = None
    unknown: bool = False


@define
class Customer:
    """One customer with one booking. `told`: each thing that our pages said since the company had the money."""

    world: World
    company: Company
    booking: int
    payment: str = ""
    reference: str = ""
    told: list[str] = field(factory=list, init=False)

    @classmethod
    async def with_a_booking(cls, world: World, company: Company, *, owes: int = PRICE) -> "Customer":
        """A customer who owes Rs 1,130, or so many paisa."""
        return cls(world, company, await world.register(amount=owes))

    async def presses_pay(self) -> httpx.Response:
        """Ask for a checkout."""
        body = {"booking_id": self.booking, "gateway": self.company.gateway}
        answer = await self.world.http.post("/v1/payments", json=body, headers=AS_SITA)
        if answer.is_success:
            shown = answer.json()
            self.payment, self.reference = shown["id"], shown["gateway_reference"] or shown["order_reference"]
        return answer

    def goes_on(self, opened: httpx.Response) -> httpx.Response | None:
        """The browser goes to the company's page, by address or by form; None when the connection broke."""
        step = opened.json()["next_step"]
        try:
            if step["kind"] == "post_form":
                return self.company.http.post(step["url"], data=step["fields"])
            return self.company.http.get(step["url"])
        except httpx.HTTPError:
            return None

    async def reaches_the_page(self) -> None:
        """Press the button and stand before the company's page."""
        opened = await self.presses_pay()
        assert opened.status_code == 201, opened.text
        page = self.goes_on(opened)
        assert page is not None
        assert page.status_code == 200, page.text

    def pays(self) -> list[str]:
        """Pay there; where the browser is sent, once for each time that it comes back."""
        urls: list[str] = self.company.sim("pay", reference=self.reference)["return_urls"]
        return urls

    async def comes_back(self, urls: list[str]) -> None:
        """The browser follows the company's redirect, and ours."""
        for url in urls:
            await self._reads(url)

    async def reloads(self) -> str:
        """Look at our page again; what it says."""
        return await self._reads(f"/return/{self.payment}/")

    async def stands(self) -> Stands:
        """Where everything stands now. Reading the page comes first: it may make us look."""
        page = await self.reloads()
        rows = await self.world.rows()
        payment, booking = rows.payments[self.payment], rows.bookings[self.booking]
        kinds = [event["kind"] for event in rows.events if event["booking_id"] == self.booking]
        return Stands(
            payment["status"],
            booking["status"],
            page,
            kinds.count("booking.confirmed"),
            payment["review_reason"],
            payment["outcome_unknown"],
        )

    async def _reads(self, url: str) -> str:
        for _ in range(3):
            answer = await self.world.come_back(url)
            if answer.status_code != 303:
                break
            url = answer.headers["location"]
            assert not urlsplit(url).netloc, "this customer's shop has no page of its own"
        found = STATE.search(answer.text)
        assert found, answer.text
        if self.company.of(self.reference) in MONEY:
            self.told.append(found[1])
        return found[1]


async def later(world: World, company: Company, **passed: float) -> None:
    """Time passes, for us and for the company; then the reconciler works until nothing is due."""
    world.clock.offset += timedelta(**passed)
    company.sim("clock", advance_seconds=timedelta(**passed).total_seconds())
    await world.calm_down()
    await world.reconcile_all()


async def findings(world: World, company: Company, *, is_quiet: bool = False) -> list[str]:
    """What the audit finds, with the company's own books beside ours."""
    truth = truth_from_simulator(company.ledger(), environments=SANDBOXES)
    now = datetime.now(UTC) + world.clock.offset
    found = audit_invariants(await world.books(), truth, now=now, is_quiet=is_quiet, single_entry=ENTERED_ONCE)
    return [str(finding) for finding in found]

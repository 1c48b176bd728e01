"""A stage for a gateway that speaks HTTP, before a stand-in that is built on `sewapay.standins`.

A test module needs a description of the two, and nothing else:

    stage = over_http(Company(build=build_for, app=create_app, reference="pidx", routes={...}, told={...}, ...))
"""

import atexit
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from types import MappingProxyType
from typing import Any, Final

import httpx
from attrs import define, field, frozen

from sewapay.application.ports import Order, PaymentGateway
from sewapay.domain.checkout import Checkout, PostForm
from sewapay.domain.observation import Reported
from sewapay.testing.servers import run_in_thread
from sewapay.testing.stage import Call, Ending, SignedReturns, Stage, StageFactory, Told
from sewapay.wire.client import build_client

__all__ = ["Build", "Company", "HttpStage", "Route", "Served", "over_http"]

Build = Callable[[str, httpx.AsyncClient], PaymentGateway]
"""Builds the gateway for the company at an address (`http://127.0.0.1:8901`), with a deadline of a second or so."""

ACTIONS: Final = MappingProxyType({Ending.CANCELED: "cancel", Ending.PENDING: "pend", Ending.EXPIRED: "expire"})
HELD_SECONDS: Final = 30
_NOTHING: Final[Mapping[str, Reported]] = MappingProxyType({})


@frozen(kw_only=True)
class Route:
    """One of a company's routes: what faults call it, where it is, and which counter counts it in `/_sim/payments`."""

    on: str
    path: str
    counter: str


@frozen(kw_only=True)
class Company:
    """What a stage has to know of a gateway and of its stand-in.

    - `build` builds the gateway; `app` makes the stand-in's ASGI application, once.
    - `reference` is what the stand-in calls a payment: `pidx`.
    - `routes` are those that the gateway itself calls: no route for opening where the checkout is a form.
    - `told` are the keys of the answer to a look-up: `{Told.STATUS: "status", Told.AMOUNT: "total_amount", ...}`, all
      four of them, but for the transaction where that answer does not name it.
    - `posts` counts the browsers' posts, which count as no opening of the gateway's, where the checkout is a form.
    """

    build: Build
    app: Callable[[], Any]
    reference: str
    routes: Mapping[Call, Route]
    told: Mapping[Told, str] = field()
    secrets: tuple[str, ...] = field(default=(), repr=False)
    documented_words: Mapping[str, Reported] = _NOTHING
    endings: Mapping[Ending, Reported] = field(factory=dict)
    signed_returns: SignedReturns | None = None
    posts: str | None = None

    @told.validator
    def _all_that_every_look_up_tells(self, _attribute: object, told: Mapping[Told, str]) -> None:
        if missing := set(Told) - {Told.TRANSACTION} - set(told):
            raise ValueError(f"told has no key for {', '.join(sorted(missing))}")


@define(kw_only=True)
class HttpStage:
    """A gateway over TCP before its stand-in. Whatever happens there is told over HTTP, as anybody would.

    `client` is the gateway's, and `hand` the test's own; both are closed by whoever made them.
    """

    company: Company
    address: str
    client: httpx.AsyncClient
    hand: httpx.Client
    speaks_http: bool = field(default=True, init=False)
    _entered: int = field(default=0, init=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The company's keys."""
        return self.company.secrets

    @property
    def calls(self) -> frozenset[Call]:
        """Those that have a route."""
        return frozenset(self.company.routes)

    @property
    def told(self) -> Mapping[Told, str]:
        """The keys of the company's look-up."""
        return self.company.told

    @property
    def documented_words(self) -> Mapping[str, Reported]:
        """The company's words."""
        return self.company.documented_words

    @property
    def endings(self) -> Mapping[Ending, Reported]:
        """What look-ups say after each ending."""
        return self.company.endings

    @property
    def signed_returns(self) -> SignedReturns | None:
        """How the company signs."""
        return self.company.signed_returns

    @property
    def initiated(self) -> int:
        """Requests for a checkout; what browsers posted is not among them."""
        if self.company.posts is not None:
            return int(self._ledger()[self.company.posts]) - self._entered
        return self._counted(Call.OPENING)

    @property
    def looked_up(self) -> int:
        """Look-ups that arrived."""
        return self._counted(Call.LOOK_UP)

    @property
    def refunded(self) -> int:
        """Requests for a refund that arrived."""
        return self._counted(Call.REFUND)

    def given_back(self, reference: str) -> int:
        """How many paisa of a payment went back, by the stand-in's ledger."""
        rows = [row for row in self._ledger()["payments"] if row[self.company.reference] == reference]
        return int(rows[0]["refunded_amount"])

    def gateway(self) -> PaymentGateway:
        """A new one, for the stand-in's address."""
        return self.company.build(self.address, self.client)

    def unreachable(self) -> PaymentGateway:
        """A gateway for a port that nobody listens at."""
        with socket.create_server(("127.0.0.1", 0)) as closed_soon:
            port = closed_soon.getsockname()[1]
        return self.company.build(f"http://127.0.0.1:{port}", self.client)

    @contextmanager
    def silent(self, on: Call) -> Iterator[None]:
        """One answer comes long after the gateway gave up."""
        self.spoils(on, {"fault": "delay", "seconds": HELD_SECONDS})
        yield

    @contextmanager
    def held(self, on: Call) -> Iterator[None]:
        """One answer is not there yet."""
        self.spoils(on, {"fault": "delay", "seconds": HELD_SECONDS})
        yield

    def spoils(self, on: Call, fault: Mapping[str, object]) -> None:
        """Arm a fault. Its `location` may be `same`: the address that was asked."""
        route = self.company.routes[on]
        armed: dict[str, object] = {**fault, "on": route.on}
        if fault.get("location") == "same":
            armed["location"] = self.address + route.path
        self._sim("faults", **armed)

    def enters(self, order: Order, checkout: Checkout) -> bool:
        """Post the form as a browser does; a payment that has a link is there already, and its link is not opened."""
        step = checkout.next_step
        if not isinstance(step, PostForm):
            return True
        self._entered += 1
        return self.hand.post(step.url, data=dict(step.fields)).status_code < 400

    def customer_pays(self, reference: str) -> str:
        """Pay by the control route."""
        return str(self._happens("pay", reference)["return_url"])

    def ends(self, reference: str, ending: Ending) -> None:
        """End it by the control route."""
        self._happens(ACTIONS[ending], reference)

    def says(self, reference: str, word: str) -> None:
        """Another word in every look-up of this payment."""
        self._aimed(reference, {"fault": "status_word", "word": word, "times": None})

    def answers_about_another(self, reference: str) -> None:
        """Another reference in the next look-up of this payment."""
        self._aimed(reference, {"fault": "wrong_reference"})

    def misstates(self, reference: str, paisa: int) -> None:
        """Another amount in the next look-up of this payment."""
        self._aimed(reference, {"fault": "wrong_amount", "delta": paisa})

    def reset(self) -> None:
        """Begin anew: nothing on the stage, nothing that goes wrong."""
        self._sim("reset")

    def _aimed(self, reference: str, fault: Mapping[str, object]) -> None:
        self.spoils(Call.LOOK_UP, {**fault, self.company.reference: reference})

    def _happens(self, action: str, reference: str) -> dict[str, Any]:
        return self._sim(action, **{self.company.reference: reference})

    def _counted(self, call: Call) -> int:
        route = self.company.routes.get(call)
        return int(self._ledger()[route.counter]) if route else 0

    def _ledger(self) -> dict[str, Any]:
        answer = self.hand.get("/_sim/payments")
        assert answer.status_code == 200, answer.text
        ledger: dict[str, Any] = answer.json()
        return ledger

    def _sim(self, action: str, **body: object) -> dict[str, Any]:
        answer = self.hand.post(f"/_sim/{action}", json=body)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told


@define
class Served:
    """A stand-in that is served from its first use until the process ends: starting one takes longer than a check."""

    _app: Callable[[], Any]
    _open: ExitStack = field(factory=ExitStack, init=False)
    _address: str | None = field(default=None, init=False)

    def address(self) -> str:
        """Where it is."""
        if self._address is None:
            self._address = self._open.enter_context(run_in_thread(self._app()))
            atexit.register(self._open.close)
        return self._address


def over_http(company: Company, served: Served | None = None) -> StageFactory:
    """The stages of a gateway before its stand-in: each resets it, and one thread serves it for all of them.

    Gateways may share a stand-in that is `served` already.
    """
    standing = served or Served(company.app)

    @asynccontextmanager
    async def stage() -> AsyncIterator[Stage]:
        client = build_client()
        try:
            with httpx.Client(base_url=standing.address(), trust_env=False, verify=False) as hand:  # noqa: S501 (no TLS here)
                made = HttpStage(company=company, address=standing.address(), client=client, hand=hand)
                made.reset()
                yield made
        finally:
            await client.aclose()

    return stage

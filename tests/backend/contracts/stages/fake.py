"""The fake, which is its own company: a restart of the service leaves it as it is."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from types import MappingProxyType
from typing import Final

from attrs import define, evolve, field

from sewapay.application.ports import Order, PaymentGateway
from sewapay.domain.checkout import Checkout
from sewapay.domain.money import Money
from sewapay.domain.observation import Reported
from sewapay.testing.fakes import FakeGateway
from sewapay.testing.stage import Call, Ending, Stage, StageFactory, Told

Wrap = Callable[[FakeGateway], PaymentGateway]


@define(kw_only=True)
class FakeStage:
    wrap: Wrap
    secrets: tuple[str, ...] = ()
    calls: frozenset[Call] = frozenset(Call)
    speaks_http: bool = False
    told: Mapping[Told, str] = MappingProxyType({})
    documented_words: Mapping[str, Reported] = MappingProxyType({})
    endings: Mapping[Ending, Reported] = MappingProxyType(
        {
            Ending.CANCELED: Reported.CANCELED,
            Ending.PENDING: Reported.PENDING,
            Ending.EXPIRED: Reported.EXPIRED,
        }
    )
    signed_returns: None = None
    _company: FakeGateway = field(factory=FakeGateway)
    _links: dict[str, str] = field(factory=dict)

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
    def silent(self, on: Call) -> Iterator[None]:
        self._company.goes_silent()
        yield
        self._company.answers_again()

    @contextmanager
    def held(self, on: Call) -> Iterator[None]:
        self._company.holds_answers()
        yield
        self._company.releases_answers()

    def spoils(self, on: Call, fault: Mapping[str, object]) -> None:
        raise NotImplementedError("the fake speaks no HTTP")

    def enters(self, order: Order, checkout: Checkout) -> bool:
        self._links[str(checkout.gateway_reference)] = checkout.next_step.url
        return True

    def customer_pays(self, reference: str) -> str:
        self._company.customer_pays(reference)
        return self._links.get(reference, "")

    def ends(self, reference: str, ending: Ending) -> None:
        happens = {
            Ending.CANCELED: self._company.customer_cancels,
            Ending.PENDING: self._company.leaves_pending,
            Ending.EXPIRED: self._company.link_expires,
        }[ending]
        happens(reference)

    def says(self, reference: str, word: str) -> None:
        self._company.says(reference, word)

    def answers_about_another(self, reference: str) -> None:
        answer = self._company.payments[reference].answer
        self._company.answers(reference, evolve(answer, gateway_reference="fake_of_somebody_else"))

    def misstates(self, reference: str, paisa: int) -> None:
        answer = self._company.payments[reference].answer
        assert answer.amount is not None
        self._company.answers(reference, evolve(answer, amount=answer.amount + Money(paisa)))


@asynccontextmanager
async def stage(wrap: Wrap = lambda good: good) -> AsyncIterator[Stage]:
    """A stage with nothing on it yet."""
    yield FakeStage(wrap=wrap)


_: Final[StageFactory] = stage

"""What is no gateway, or says of itself what cannot be, is told at the start and in a sentence."""

from datetime import timedelta
from typing import Any, cast, get_type_hints

import attrs
import pytest
from attrs import evolve

from sewapay.adapters.fake.gateway import FAKE_CAPABILITIES, FakeGateway
from sewapay.application.ports import Capabilities, Order, PaymentGateway, RefundGateway, RefundKind
from sewapay.domain.identifiers import Environment, GatewayName
from sewapay.domain.money import Money
from sewapay.domain.observation import Observation
from sewapay.entrypoints.fit_gateways import AWAITED, CALLED, KINDS, PROPERTIES, told, unfit
from sewapay.entrypoints.gateways import REGISTRY

TINYPAY = GatewayName("tinypay")


class TinyPay(FakeGateway):
    """A gateway as it should be; each test breaks one thing of it."""


class WithoutALookUp:
    name = TINYPAY
    environment = Environment.SANDBOX
    capabilities = FAKE_CAPABILITIES
    refunds = None
    open_checkout = TinyPay.open_checkout
    read_return = TinyPay.read_return


class LooksUpWithoutWaiting(TinyPay):
    def look_up(self, order: Order) -> Observation:  # type: ignore[override]  # the fault
        raise NotImplementedError


class WantsMoreToLookUp(TinyPay):
    async def look_up(self, order: Order, key: str) -> Observation:  # type: ignore[override]  # the fault
        raise NotImplementedError


class CannotSayWhatItCan(WithoutALookUp):
    look_up = TinyPay.look_up

    @property
    def capabilities(self) -> Capabilities:  # type: ignore[override]  # the fault
        raise NotImplementedError("say what it can do")


class GivesNothingBack(TinyPay):
    @property
    def refunds(self) -> None:
        return None


class SaysWhatItCanInADict(WithoutALookUp):
    capabilities = {"label": "TinyPay"}  # type: ignore[assignment]  # noqa: RUF012  # the fault
    look_up = TinyPay.look_up


class HasAMistakeInAProperty(TinyPay):
    @property
    def refunds(self) -> None:
        return self.nowhere  # type: ignore[attr-defined,no-any-return]  # the fault


class GivesBackInSecret(WithoutALookUp):
    capabilities = evolve(FAKE_CAPABILITIES, refunds=RefundKind.NONE)
    refunds = TinyPay()  # type: ignore[assignment]  # the fault
    look_up = TinyPay.look_up


class GivesBackByNoCall(TinyPay):
    @property
    def refunds(self) -> str:  # type: ignore[override]  # the fault
        return "ask us"


def gateway(**changed: Any) -> TinyPay:
    return TinyPay(name=TINYPAY, capabilities=evolve(FAKE_CAPABILITIES, **changed))


def said_of(broken: object, *, is_production: bool = False) -> str | None:
    return unfit(broken, TINYPAY, is_production=is_production)


def test_a_gateway_that_is_as_it_should_be_is_fit() -> None:
    assert said_of(gateway()) is None


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (None, "its build returned no PaymentGateway: it has no name, environment, capabilities"),
        (WithoutALookUp(), "its build returned no PaymentGateway: it has no look_up"),
        (TinyPay(name=GatewayName("giantpay")), "it is registered as tinypay and calls itself 'giantpay'"),
        (LooksUpWithoutWaiting(name=TINYPAY), "its look_up has to be async"),
        (WantsMoreToLookUp(name=TINYPAY), "its look_up does not take 1 values"),
        (TinyPay(name=TINYPAY, environment=cast(Environment, "sandbox")), "its environment is no Environment"),
        (SaysWhatItCanInADict(), "its capabilities are no Capabilities"),
        (HasAMistakeInAProperty(name=TINYPAY), "its refunds cannot be read: AttributeError, 'HasAMistakeInAProperty'"),
        (GivesNothingBack(name=TINYPAY), "its capabilities say refunds: partial, and it has none"),
        (GivesBackInSecret(), "its capabilities say refunds: none, and it has a call for them"),
        (GivesBackByNoCall(name=TINYPAY), "its refunds have no refund"),
    ],
)
def test_what_is_no_gateway_is_refused_with_the_reason(broken: object, why: str) -> None:
    assert str(said_of(broken)).startswith(why)


def test_a_gateway_that_cannot_say_what_it_can_is_refused_in_its_own_words() -> None:
    assert said_of(CannotSayWhatItCan()) == "its capabilities cannot be read: NotImplementedError, say what it can do"


def test_production_takes_no_gateway_whose_money_is_not_real() -> None:
    live = TinyPay(name=TINYPAY, environment=Environment.PRODUCTION)

    assert said_of(gateway(), is_production=True) == "its environment is sandbox, and production takes real money only"
    assert said_of(live, is_production=True) is None


@pytest.mark.parametrize(
    ("changed", "about"),
    [
        ({"label": 7}, "label is no str"),
        ({"label": " "}, "label is no printable text"),
        ({"label": "Tiny\nPay"}, "label is no printable text"),
        ({"panel": ""}, "panel is no printable text"),
        ({"checkout": "redirect"}, "checkout is no CheckoutKind"),
        ({"least": 1000}, "least is no Money"),
        ({"reference_length": True}, "reference_length is no int"),
        ({"least": Money(101), "greatest": Money(100)}, "least amount, Rs 1.01, is more than the greatest, Rs 1.00"),
        ({"reference_charset": "[A-Z"}, "reference_charset is no regular expression"),
        ({"reference_charset": "[A-Z]"}, "reference_charset takes no 0, which our references hold"),
        ({"reference_length": 19}, "reference_length is less than 20, the length of our references"),
        ({"default_life": timedelta(0)}, "default_life is above nothing"),
        ({"default_life": timedelta(days=2)}, "default_life is above nothing and at most longest_life"),
        ({"longest_life": timedelta(days=31)}, "longest_life is more than 30 days: no link is watched for longer"),
        ({"longest_life": timedelta.max}, "longest_life is more than 30 days: no link is watched for longer"),
        ({"page_origins": ["https://pay.example"]}, "page_origins is no tuple"),
        ({"page_origins": ("https://pay.example/",)}, "page_origins hold origins"),
        ({"page_origins": ("https://pay.example; script-src *",)}, "page_origins hold origins"),
        ({"page_origins": ("pay.example",)}, "page_origins hold origins"),
        ({"page_origins": ("*",)}, "page_origins hold origins"),
    ],
)
def test_capabilities_that_cannot_be_are_refused(changed: dict[str, Any], about: str) -> None:
    assert about in str(said_of(gateway(**changed)))


@pytest.mark.parametrize(
    "origin",
    ["https://pay.example", "https://*.pay.example", "http://127.0.0.1:8901", "http://[::1]:8901", "http://localhost"],
)
def test_origins_are_taken_with_their_ports_and_as_all_hosts_of_a_company(origin: str) -> None:
    assert said_of(gateway(page_origins=(origin,))) is None


def test_a_link_may_live_as_long_as_it_can_be_watched() -> None:
    assert said_of(gateway(default_life=timedelta(days=30), longest_life=timedelta(days=30))) is None


def test_least_and_greatest_can_be_the_same() -> None:
    assert said_of(gateway(least=Money(100), greatest=Money(100))) is None


def test_every_member_of_the_port_is_asked_for() -> None:
    members = {name for name in vars(PaymentGateway) if not name.startswith("_")}
    to_await = {
        name
        for port in (PaymentGateway, RefundGateway)
        for name, member in vars(port).items()
        if callable(member) and hasattr(member, "__code__") and member.__code__.co_flags & 0x80
    }

    assert members == {*PROPERTIES, *CALLED}
    assert to_await == AWAITED


def test_every_capability_is_asked_for_its_kind() -> None:
    assert {one.name for one in attrs.fields(Capabilities)} == set(KINDS)
    hints = get_type_hints(Capabilities)
    assert {name: kinds[0] for name, kinds in KINDS.items() if isinstance(hints[name], type)} == {
        name: hint for name, hint in hints.items() if isinstance(hint, type)
    }


def raised(error: Exception) -> Exception:
    def fail() -> None:
        raise error

    try:
        fail()
    except type(error) as caught:
        return caught
    raise AssertionError


def test_an_error_whose_own_text_is_a_bug_is_told_by_its_type() -> None:
    class Mute(TypeError):
        def __str__(self) -> str:
            raise KeyError("S3CRET")

    assert told(raised(Mute())).startswith("Mute in unit/test_fit_gateways.py, line ")


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ModuleNotFoundError("No module named 'tiny'"), "ModuleNotFoundError, No module named 'tiny'"),
        (NotImplementedError("write\n  this"), "NotImplementedError, write this"),
        (TypeError(), "TypeError in unit/test_fit_gateways.py, line "),
        (ValueError("the key is S3CRET"), "ValueError in unit/test_fit_gateways.py, line "),
        (KeyError("S3CRET"), "KeyError in unit/test_fit_gateways.py, line "),
    ],
)
def test_an_error_is_told_without_what_it_may_have_been_given(error: Exception, shown: str) -> None:
    assert told(raised(error)).startswith(shown)
    assert "S3CRET" not in told(raised(error))


def test_a_name_of_ours_is_a_name_that_a_gateway_can_have() -> None:
    assert all(GatewayName(name) == name for name in REGISTRY)

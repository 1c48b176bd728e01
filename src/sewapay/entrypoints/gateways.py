"""The registry: one line a gateway. Being here is what enrols a gateway in the settings and in the tests.

Other people's gateways come by the entry points of their distributions. What would fail when somebody pays is refused
at the start: whatever other people's code does wrong becomes one sentence with its name, its distribution and why.
"""

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Protocol, TypeVar, cast

import httpx
from attrs import frozen

from sewapay.application.errors import UnusableSetting
from sewapay.application.gateways import Gateways
from sewapay.application.ports import PaymentGateway
from sewapay.domain.errors import InvalidIdentifier
from sewapay.domain.identifiers import GatewayName
from sewapay.entrypoints.fit_gateways import told, unfit
from sewapay.entrypoints.held import held
from sewapay.entrypoints.registered import Registered, of_other_distributions

__all__ = ["REGISTRY", "Tried", "build_gateways", "of_name", "refused_name", "registered", "try_all"]

T = TypeVar("T")

REGISTRY: Final[Mapping[GatewayName, str]] = MappingProxyType(
    {
        GatewayName("khalti"): "sewapay.adapters.khalti",
        GatewayName("esewa"): "sewapay.adapters.esewa",
        GatewayName("connectips"): "sewapay.adapters.connectips",
        GatewayName("fake"): "sewapay.adapters.fake",
    }
)


class _Build(Protocol):
    """What every gateway's folder offers as `build`."""

    def __call__(
        self, environ: Mapping[str, str], client: httpx.AsyncClient, *, is_production: bool
    ) -> PaymentGateway: ...


@frozen(kw_only=True)
class Tried:
    """A registered gateway as it would be enabled with these variables, or `why_not`."""

    registered: Registered
    gateway: PaymentGateway | None = None
    why_not: str | None = None


def registered() -> tuple[Registered, ...]:
    """Every gateway that is installed here, ours first; other people's can have names that are taken."""
    ours = (Registered.ours(name, module) for name, module in REGISTRY.items())
    return (*ours, *of_other_distributions())


def of_name(name: str) -> tuple[Registered, ...]:
    """Who offers a gateway of this name: nobody, one, or more than can be used."""
    return tuple(one for one in registered() if one.name == name)


def build_gateways(
    names: tuple[GatewayName, ...], environ: Mapping[str, str], client: httpx.AsyncClient, *, is_production: bool
) -> Gateways:
    """Build the gateways of these names from their own variables.

    Raises `UnusableSetting`, one line for each thing that is wrong: a name that is not registered, or that is taken
    twice; a gateway that cannot be imported or built, or is none; whatever a gateway refuses.
    """
    gateways: dict[GatewayName, PaymentGateway] = {}
    wrong: list[str] = []
    everything = registered()
    for name in names:
        try:
            gateways[name] = _build(_the_only(name, everything), environ, client, is_production=is_production)
        except UnusableSetting as error:
            wrong.append(str(error))
    if wrong:
        raise UnusableSetting("\n".join(wrong))
    return MappingProxyType(gateways)


def try_all(environ: Mapping[str, str], client: httpx.AsyncClient, *, is_production: bool) -> tuple[Tried, ...]:
    """Build everything that is registered, one by one, ours first."""
    tried = []
    everything = registered()
    for one in everything:
        try:
            _require_sole(one, everything)
            gateway = _build(one, environ, client, is_production=is_production)
        except UnusableSetting as error:
            tried.append(Tried(registered=one, why_not=str(error)))
        else:
            tried.append(Tried(registered=one, gateway=gateway))
    return tuple(tried)


def refused_name(text: str, why: InvalidIdentifier) -> str:
    """Say why `SEWAPAY_GATEWAYS` cannot hold this name, and who offers a gateway by it, if anybody does."""
    for one in of_name(text):
        return str(_refusal(one, str(why)))
    return f"SEWAPAY_GATEWAYS: {why}"


def _the_only(name: GatewayName, everything: tuple[Registered, ...]) -> Registered:
    offers = [one for one in everything if one.name == name]
    if not offers:
        known = ", ".join(sorted({one.name for one in everything}))
        raise UnusableSetting(f"SEWAPAY_GATEWAYS names {name}, which is not registered: choose from {known}")
    _require_sole(offers[-1], everything)
    return offers[-1]


def _require_sole(one: Registered, everything: tuple[Registered, ...]) -> None:
    """Nobody's gateway takes another's place, not even when only one of the two would work."""
    for other in everything:
        if other.name == one.name and other != one:
            who = "sewapay has" if other.is_ours else f"{other.source} offers"
            raise _refusal(one, f"{who} a gateway by this name too: uninstall one of them")


def _build(
    one: Registered, environ: Mapping[str, str], client: httpx.AsyncClient, *, is_production: bool
) -> PaymentGateway:
    try:
        name = GatewayName(one.name)
    except InvalidIdentifier as why:
        raise _refusal(one, str(why)) from None
    build = _build_of(one)
    gateway = _theirs(one, "its build failed", lambda: build(environ, client, is_production=is_production))
    why_not = _theirs(one, "it cannot be looked over", lambda: unfit(gateway, name, is_production=is_production))
    if why_not is not None:
        raise _refusal(one, why_not)
    return gateway if one.is_ours else _theirs(one, "it cannot be looked over", lambda: held(gateway))


def _build_of(one: Registered) -> _Build:
    offered = _theirs(one, f"{one.place.value} cannot be imported", one.place.load)
    build = _theirs(one, f"{one.place.value} has no build that can be read", lambda: getattr(offered, "build", None))
    if not callable(build):
        raise _refusal(one, f"{one.place.value} has no callable build")
    if inspect.iscoroutinefunction(build):
        raise _refusal(one, f"build of {one.place.value} is async, and has to be a plain function")
    return cast(_Build, build)


def _theirs(one: Registered, went_wrong: str, run: Callable[[], T]) -> T:
    """What a piece of other people's code comes to: whatever it raises, be it an exit, refuses its gateway only."""
    try:
        return run()
    except KeyboardInterrupt:
        raise  # that is the operator
    except UnusableSetting as error:
        if one.is_ours:
            raise
        raise UnusableSetting("\n".join(f"{one}: {line}" for line in str(error).splitlines())) from error
    except BaseException as error:  # other people's code may raise anything
        if one.is_ours:
            raise
        raise _refusal(one, f"{went_wrong}: {told(error)}") from error


def _refusal(one: Registered, why: str) -> UnusableSetting:
    return UnusableSetting(f"SEWAPAY_GATEWAYS cannot name {one}: {why}")

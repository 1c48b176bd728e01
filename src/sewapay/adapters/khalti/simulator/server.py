"""Which of the stand-in's routes a request is for, and how the stand-in is made and described."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from sewapay.adapters.khalti.simulator import wire
from sewapay.adapters.khalti.simulator.control import own_actions
from sewapay.adapters.khalti.simulator.ledger import Simulator
from sewapay.adapters.khalti.simulator.pages import Page
from sewapay.standins.description import Description, Options
from sewapay.standins.exchange import Answer, Reply, Request
from sewapay.standins.payment_page import beside_the_wire
from sewapay.standins.server import StandIn

WireRoute = Callable[[Simulator, Request], Reply]

WIRE: Final[dict[str, WireRoute]] = {"initiate": wire.initiate, "lookup": wire.look_up, "refund": wire.refund}
"""What each of Khalti's routes does, by the name that faults know it by."""


def create_app(simulator: Simulator | None = None) -> StandIn:
    """The stand-in as an ASGI application; a test may hand in (and keep) the state that it answers from."""
    return StandIn(partial(answer, Simulator() if simulator is None else simulator))


def answer(simulator: Simulator, request: Request, too_large: bool = False) -> Answer:
    """What the stand-in answers, and does, as a plain function.

    `too_large` says that the body was not kept because it was beyond all bounds.
    """
    simulator.catch_up()
    on = wire.route_of(simulator, request.path)
    if on is not None:
        return wire.too_large() if too_large else _on_the_wire(simulator, request, on)
    beside = beside_the_wire(Page(simulator), request, own=own_actions(simulator), too_large=too_large)
    if beside is not None:
        return beside
    if wire.route_of(simulator, f"{request.path}/") is not None:
        return wire.with_slash(request)
    return wire.not_found()


def _on_the_wire(simulator: Simulator, request: Request, on: str) -> Answer:
    pidx = wire.pidx_meant(simulator, request)
    return simulator.answered(on, pidx, request.base_url, lambda: WIRE[on](simulator, request))


def _from_options(options: Options) -> StandIn:
    simulator = Simulator(secret_key=options.secret_key, seed=options.seed)
    for script in options.faults:
        script.arm(simulator)
    return create_app(simulator)


def _environ(address: str) -> Mapping[str, str]:
    return {"KHALTI_SECRET_KEY": "any-key-will-do-at-the-stand-in", "KHALTI_BASE_URL": f"{address}/api/v2"}


STAND_IN: Final = Description(
    label="Khalti's stand-in: its API, and a payment page for a person (MPIN 1111, OTP 987654)",
    port=8901,
    reference="pidx",
    takes_key=True,
    create_app=_from_options,
    environ=_environ,
)
"""How it is run and used."""

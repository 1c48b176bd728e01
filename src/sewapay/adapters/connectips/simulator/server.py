"""Which of the stand-in's routes a request is for, and how the stand-in is made and described."""

from collections.abc import Mapping
from functools import partial
from typing import Final

from attrs import evolve

from sewapay.adapters.connectips.simulator import wire
from sewapay.adapters.connectips.simulator.certificate import (
    APP_ID,
    APP_NAME,
    MERCHANT_ID,
    PASSWORD,
    PFX_PASSWORD,
    own_file,
)
from sewapay.adapters.connectips.simulator.control import own_actions
from sewapay.adapters.connectips.simulator.ledger import Simulator
from sewapay.adapters.connectips.simulator.pages import Page
from sewapay.adapters.connectips.simulator.quirks import Quirks
from sewapay.standins.description import Description, Options
from sewapay.standins.exchange import Answer, Request
from sewapay.standins.payment_page import beside_the_wire
from sewapay.standins.server import StandIn


def create_app(simulator: Simulator | None = None) -> StandIn:
    """The stand-in as an ASGI application; a test may hand in (and keep) the state that it answers from."""
    return StandIn(partial(answer, Simulator() if simulator is None else simulator))


def answer(simulator: Simulator, request: Request, too_large: bool = False) -> Answer:
    """What the stand-in answers, and does, as a plain function.

    `too_large` says that the body was not kept because it was beyond all bounds.
    """
    simulator.catch_up()
    page, on = Page(simulator), wire.ROUTES.get(request.path)
    if on is not None:
        if too_large:
            return page.too_large()
        genuine = partial(wire.ANSWERS[on], simulator, request)
        return simulator.answered(on, wire.txn_id_meant(request), request.base_url, genuine)
    return beside_the_wire(page, request, own=own_actions(simulator), too_large=too_large) or wire.not_found()


def _from_options(options: Options) -> StandIn:
    """`secret_key` is the password of look-ups; `public_url` is where the merchant's registered address is."""
    if options.secret_key == "":
        raise ValueError("the password is empty; leave it out for the stand-in's own")
    quirks = Quirks() if options.public_url is None else Quirks(return_url=f"{options.public_url}/return/connectips/")
    simulator = Simulator(quirks=quirks, seed=options.seed)
    if options.secret_key is not None:
        simulator.merchant = evolve(simulator.merchant, password=options.secret_key)
    for script in options.faults:
        script.arm(simulator)
    return create_app(simulator)


def _environ(address: str) -> Mapping[str, str]:
    return {
        "CONNECTIPS_MERCHANT_ID": MERCHANT_ID,
        "CONNECTIPS_APP_ID": APP_ID,
        "CONNECTIPS_APP_NAME": APP_NAME,
        "CONNECTIPS_APP_PASSWORD": PASSWORD,
        "CONNECTIPS_PFX": str(own_file()),
        "CONNECTIPS_PFX_PASSWORD": PFX_PASSWORD,
        "CONNECTIPS_BASE_URL": address,
    }


STAND_IN: Final = Description(
    label="connectIPS's stand-in: its form and look-ups, and a page to pay at (standin, password standin, OTP 123456)",
    port=8903,
    reference="TXNID",
    takes_key=True,
    create_app=_from_options,
    environ=_environ,
)
"""How it is run and used."""

"""Which of the stand-in's routes a request is for, and how the stand-in is made and described."""

from collections.abc import Mapping
from functools import partial
from typing import Final

from sewapay.adapters.esewa.simulator import wire
from sewapay.adapters.esewa.simulator.control import own_actions
from sewapay.adapters.esewa.simulator.ledger import Simulator
from sewapay.adapters.esewa.simulator.pages import Page
from sewapay.adapters.esewa.simulator.signature import UAT_KEY, UAT_PRODUCT_CODE
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
        return simulator.answered(on, wire.uuid_meant(request), request.base_url, genuine)
    return beside_the_wire(page, request, own=own_actions(simulator), too_large=too_large) or wire.not_found()


def _from_options(options: Options) -> StandIn:
    simulator = Simulator(secret_key=options.secret_key, seed=options.seed)
    for script in options.faults:
        script.arm(simulator)
    return create_app(simulator)


def _environ(address: str) -> Mapping[str, str]:
    return {
        "ESEWA_PRODUCT_CODE": UAT_PRODUCT_CODE,
        "ESEWA_SECRET_KEY": UAT_KEY,
        "ESEWA_FORM_URL": address + wire.FORM,
        "ESEWA_STATUS_URL": address + wire.STATUS,
    }


STAND_IN: Final = Description(
    label="eSewa's stand-in: ePay v2, and a payment page for a person (9806800001, Nepal@123, OTP 123456)",
    port=8902,
    reference="transaction_uuid",
    takes_key=True,
    create_app=_from_options,
    environ=_environ,
)
"""How it is run and used."""

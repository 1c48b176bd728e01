"""What a gateway promises to keep to itself."""

import pytest

from sewapay.application.errors import GatewayError
from sewapay.testing.clauses import OPENS_BY_A_CALL, check
from sewapay.testing.stage import Call, Stage
from sewapay.testing.steps import PAYER, URLS, Heard, an_order, hearing, named, opened, traces


@check()
async def secrets_show_nowhere(stage: Stage) -> None:
    """No key and nothing about the customer is in a representation, an error or a log line."""
    with hearing() as heard:
        gateway = stage.gateway()
        told = [repr(gateway), str(gateway), repr(gateway.capabilities)]
        order = await opened(stage, gateway, an_order())
        stage.customer_pays(named(order))
        told.append(repr(await gateway.look_up(order)))
        with stage.silent(Call.LOOK_UP), pytest.raises(GatewayError) as unanswered:
            await gateway.look_up(order)
        with pytest.raises(GatewayError) as unreached:
            await stage.unreachable().look_up(order)

    _nothing_private(stage, told + traces(unanswered.value, unreached.value), heard)


@check(OPENS_BY_A_CALL)
async def an_opening_shows_no_secret(stage: Stage) -> None:
    """No key and nothing about the customer is told when a checkout could not be opened."""
    with hearing() as heard:
        with stage.silent(Call.OPENING), pytest.raises(GatewayError) as unanswered:
            await stage.gateway().open_checkout(an_order(), URLS, PAYER)
        with pytest.raises(GatewayError) as unreached:
            await stage.unreachable().open_checkout(an_order(), URLS, PAYER)

    _nothing_private(stage, traces(unanswered.value, unreached.value), heard)


def _nothing_private(stage: Stage, told: list[str], heard: Heard) -> None:
    personal = (PAYER.name, PAYER.email, PAYER.phone)
    for private in (*stage.secrets, *filter(None, personal)):
        assert private not in "\n".join(told), "in a representation or an error"
        assert private not in "\n".join(heard.lines), "in a log line"

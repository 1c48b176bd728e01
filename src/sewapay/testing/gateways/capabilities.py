"""What a gateway promises about itself."""

import re
from datetime import timedelta
from string import ascii_uppercase, digits
from urllib.parse import urlsplit

from sewapay.application.ports import Order, RefundKind
from sewapay.domain.identifiers import Environment
from sewapay.testing.clauses import check
from sewapay.testing.stage import Stage
from sewapay.testing.steps import an_order, opened


@check()
async def capabilities_are_honest(stage: Stage) -> None:
    """What the capabilities say is the same each time, fits our references, and is kept."""
    gateway = stage.gateway()
    can = gateway.capabilities

    assert can == stage.gateway().capabilities
    assert can.label.strip() == can.label != ""
    assert can.panel.strip() == can.panel != ""
    assert can.least.paisa >= 1
    assert can.greatest is None or can.greatest >= can.least
    assert can.longest_life >= can.default_life > timedelta(0)
    assert can.reference_length >= 20, "our order references have 20 characters"
    assert all(re.fullmatch(can.reference_charset, letter) for letter in ascii_uppercase + digits)
    assert (can.refunds is RefundKind.NONE) == (gateway.refunds is None)
    assert can.signed_return == (stage.signed_returns is not None)
    for origin in can.page_origins:
        parts = urlsplit(origin)
        assert f"{parts.scheme}://{parts.netloc}" == origin, "an origin is a scheme, a host and perhaps a port"
        assert parts.scheme in ("https", "http")
    assert isinstance(await opened(stage, gateway, an_order(can.least.paisa)), Order), "the least amount is taken"


@check()
async def a_gateway_says_where_its_money_is(stage: Stage) -> None:
    """Payments are stored under name and environment: both are the same after a restart, and no trial is production."""
    one, other = stage.gateway(), stage.gateway()

    assert (one.name, one.environment) == (other.name, other.environment)
    assert one.name.isprintable()
    assert one.environment is Environment.SANDBOX, "what is paid here is no money, whatever is paid elsewhere"

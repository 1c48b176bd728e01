"""A gateway without a company behind it: for tests, and for trying the service out with no account at all.

With `SEWAPAY_GATEWAYS=fake`, a checkout leads straight back to where the customer came from. `FAKE_PAYS=always` (the
default) lets every look-up find the payment completed; with `FAKE_PAYS=never` the customer never pays. No money moves,
so production refuses it. Tests make a `FakeGateway` themselves and say what its customers do.
"""

from collections.abc import Mapping

import httpx

from sewapay.adapters.fake.gateway import FakeGateway, Pays
from sewapay.application.errors import UnusableSetting

__all__ = ["build"]


def build(environ: Mapping[str, str], client: httpx.AsyncClient, *, is_production: bool) -> FakeGateway:
    """The fake that these variables describe; `client` is not used. Raises `UnusableSetting`, in production always."""
    if is_production:
        raise UnusableSetting("SEWAPAY_GATEWAYS names fake, whose payments are not real: production does not take it")
    try:
        return FakeGateway(pays=Pays(environ.get("FAKE_PAYS", "").strip() or Pays.ALWAYS))
    except ValueError as unknown:
        raise UnusableSetting("FAKE_PAYS is always or never") from unknown

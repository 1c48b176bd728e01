"""Tinypay: a redirect to its page, a signed return, a look-up that decides.

| variable | default | meaning |
|---|---|---|
| `TINYPAY_SECRET_KEY` | none | without it the service starts, and opens no checkout |
| `TINYPAY_BASE_URL` | the trial server | where Tinypay's API is |
| `TINYPAY_DEADLINE_SECONDS` | 10 | how long one call may take in all, 12 at most |
"""

from collections.abc import Mapping

import httpx
from sewapay.application.errors import UnusableSetting

from tinypay.config import check_production, read_config
from tinypay.gateway import TinypayGateway

__all__ = ["build"]


def build(environ: Mapping[str, str], client: httpx.AsyncClient, *, is_production: bool) -> TinypayGateway:
    """The gateway that these variables describe. Raises `UnusableSetting`, one line for each that is wrong or unsafe.

    `client` is shared, and closed by whoever made it.
    """
    config = read_config(environ)
    unsafe = check_production(config) if is_production else []
    if unsafe:
        raise UnusableSetting("\n".join(unsafe))
    return TinypayGateway(config=config, client=client)

"""Khalti e-Payment (KPG-2): a redirect to Khalti's page, an unsigned return, a look-up that decides.

| variable | default | meaning |
|---|---|---|
| `KHALTI_SECRET_KEY` | none | without it the service starts, and opens no checkout |
| `KHALTI_PUBLIC_KEY` | none | only Khalti's mobile SDKs need it |
| `KHALTI_BASE_URL` | `https://dev.khalti.com/api/v2` | `https://khalti.com/api/v2` for real money |
| `KHALTI_REFUND_URL` | the base URL without `/v2` | refunds have an address of their own |
| `KHALTI_GREATEST_AMOUNT` | none | the most that one payment may be, in paisa |
| `KHALTI_DEADLINE_SECONDS` | 10 | how long one call to Khalti may take in all, 12 at most |

`protocol.py` is the wire and cites Khalti's docs rule by rule, `samples/` holds the documented answers, `gateway.py`
carries them over HTTP, and `simulator/` is a Khalti of one's own to try it with.
"""

import logging
from collections.abc import Mapping
from typing import Final

import httpx

from sewapay.adapters.khalti.config import check_production, read_config
from sewapay.adapters.khalti.gateway import KhaltiGateway
from sewapay.application.errors import UnusableSetting

__all__ = ["build"]

_log: Final = logging.getLogger("sewapay.khalti")


def build(environ: Mapping[str, str], client: httpx.AsyncClient, *, is_production: bool) -> KhaltiGateway:
    """The gateway that these variables describe. Raises `UnusableSetting`, one line for each that is wrong or unsafe.

    `client` is shared; it should be `wire.client`'s, since errors are told apart by its transport.
    """
    config = read_config(environ)
    unsafe = check_production(config) if is_production else []
    if unsafe:
        raise UnusableSetting("\n".join(unsafe))
    if config.secret_key is None:
        _log.warning("KHALTI_SECRET_KEY is not set: no Khalti checkout can be opened")
    return KhaltiGateway(config=config, client=client)

"""connectIPS (of NCHL): a form that the browser posts, signed with the key in a certificate file, and a look-up.

| variable | default | meaning |
|---|---|---|
| `CONNECTIPS_MERCHANT_ID` | none | the number that NCHL gave the merchant |
| `CONNECTIPS_APP_ID` | none | the application's id, which is the user name of look-ups too |
| `CONNECTIPS_APP_NAME` | none | the application's name as it is registered; the page shows it |
| `CONNECTIPS_APP_PASSWORD` | none | the password of look-ups |
| `CONNECTIPS_PFX` | none | the PKCS#12 file whose key signs, as NCHL issued it; it is read at the start |
| `CONNECTIPS_PFX_PASSWORD` | none | opens that file |
| `CONNECTIPS_BASE_URL` | `https://uat.connectips.com` | for real money `https://login.connectips.com` |
| `CONNECTIPS_GREATEST_AMOUNT` | none | the most that one payment may be, in paisa |
| `CONNECTIPS_DEADLINE_SECONDS` | 10 | how long one look-up may take in all, 12 at most |
| `CONNECTIPS_LIFE_MINUTES` | 15 | how long a form that was shown is taken to be of use |

While one of the first five is missing the service starts, and opens no checkout.

Where browsers return to is registered with NCHL beforehand: `{SEWAPAY_PUBLIC_URL}/return/connectips/`, for success and
failure alike.

`protocol.py` is the wire and cites NCHL's docs rule by rule, with `signing.py` for what is signed; `samples/` holds the
documented answers, `gateway.py` carries them over HTTP, and `simulator/` is a connectIPS of one's own to try it with.
"""

import logging
from collections.abc import Mapping
from typing import Final

import httpx

from sewapay.adapters.connectips.config import check_production, read_config
from sewapay.adapters.connectips.gateway import ConnectipsGateway
from sewapay.application.errors import UnusableSetting

__all__ = ["build"]

_log: Final = logging.getLogger("sewapay.connectips")


def build(environ: Mapping[str, str], client: httpx.AsyncClient, *, is_production: bool) -> ConnectipsGateway:
    """The gateway that these variables describe. Raises `UnusableSetting`, one line for each that is wrong or unsafe.

    `client` is shared; it should be `wire.client`'s, since errors are told apart by its transport.
    """
    config = read_config(environ)
    unsafe = check_production(config) if is_production else []
    if unsafe:
        raise UnusableSetting("\n".join(unsafe))
    for variable in config.missing:
        _log.warning("%s is not set: no connectIPS checkout can be opened", variable)
    return ConnectipsGateway(config=config, client=client)

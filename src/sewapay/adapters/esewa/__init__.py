"""eSewa ePay (version 2): a signed form that the browser posts, a signed return, a status check that decides.

| variable | default | meaning |
|---|---|---|
| `ESEWA_PRODUCT_CODE` | none | the merchant's code; without it the service starts, and opens no checkout |
| `ESEWA_SECRET_KEY` | none | signs the form and checks returns; without it likewise |
| `ESEWA_FORM_URL` | `https://rc-epay.esewa.com.np/api/epay/main/v2/form` | where the browser posts the form |
| `ESEWA_STATUS_URL` | `https://rc.esewa.com.np/api/epay/transaction/status/` | where we ask what became of it |
| `ESEWA_GREATEST_AMOUNT` | none | the most that one payment may be, in paisa |
| `ESEWA_DEADLINE_SECONDS` | 10 | how long one call to eSewa may take in all, 12 at most |
| `ESEWA_LIFE_MINUTES` | 15 | how long a form that was shown is taken to be of use |

For real money: `https://epay.esewa.com.np/api/epay/main/v2/form`, and for the status the same host or `esewa.com.np`,
whichever eSewa names to the merchant.

`protocol.py` is the wire and cites eSewa's docs rule by rule, with `signature.py` and `amounts.py` for what is most
easily done wrong; `samples/` holds the documented answers, `gateway.py` carries them over HTTP, and `simulator/` is an
eSewa of one's own to try it with.
"""

import logging
from collections.abc import Mapping
from typing import Final

import httpx

from sewapay.adapters.esewa.config import check_production, read_config
from sewapay.adapters.esewa.gateway import EsewaGateway
from sewapay.application.errors import UnusableSetting

__all__ = ["build"]

_log: Final = logging.getLogger("sewapay.esewa")


def build(environ: Mapping[str, str], client: httpx.AsyncClient, *, is_production: bool) -> EsewaGateway:
    """The gateway that these variables describe. Raises `UnusableSetting`, one line for each that is wrong or unsafe.

    `client` is shared; it should be `wire.client`'s, since errors are told apart by its transport.
    """
    config = read_config(environ)
    unsafe = check_production(config) if is_production else []
    if unsafe:
        raise UnusableSetting("\n".join(unsafe))
    for variable, value in (("ESEWA_PRODUCT_CODE", config.product_code), ("ESEWA_SECRET_KEY", config.secret_key)):
        if value is None:
            _log.warning("%s is not set: no eSewa checkout can be opened", variable)
    return EsewaGateway(config=config, client=client)

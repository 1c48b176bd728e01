"""A stand-in for connectIPS: a real HTTP server with its own ledger, and no real money.

It exists so that everything this project does with connectIPS can be tried over a real connection, without a contract
with NCHL and without a network. It shares no code with the gateway that it stands in for, its signatures neither: it
checks them against the merchant's certificate, as NCHL does. What it says was typed from NCHL's public pages.

- `/connectipswebgw/loginpage` and `/connectipswebws/api/creditor/...`: the wire, see `wire.py` and `validation.py`
- `/pay/{TXNID}/...`: the payment page that a person uses, see `pages.py`
- `/_sim/...`: what tests and scripts use instead of a person, see `control.py` here and in `standins`, and `quirks.py`

The certificate that it knows, unless it is given another, belongs to a key that it makes itself: see `certificate.py`.
Comments mark what NCHL does not document with "our guess".
"""

from sewapay.adapters.connectips.simulator.certificate import Merchant, merchant_of
from sewapay.adapters.connectips.simulator.ledger import Simulator
from sewapay.adapters.connectips.simulator.quirks import Quirks
from sewapay.adapters.connectips.simulator.server import STAND_IN, create_app

__all__ = ["STAND_IN", "Merchant", "Quirks", "Simulator", "create_app", "merchant_of"]

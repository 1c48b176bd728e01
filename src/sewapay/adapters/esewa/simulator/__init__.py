"""A stand-in for eSewa's ePay v2: a real HTTP server with its own ledger, and no real money.

It exists so that everything this project does with eSewa can be tried over a real connection, without an account and
without a network, including what eSewa does rarely: a payment that stays ambiguous, an outage told with HTTP 200, a
return whose total is not the text that was signed. It shares no code with the gateway that it stands in for, its
signatures neither; what it says was typed from eSewa's public pages and from captures that others published.

- `/api/epay/main/v2/form` and `/api/epay/transaction/status/`: the wire, see `wire.py`, `validation.py`, `returning.py`
- `/pay/{transaction_uuid}/...`: the payment page that a person uses, see `pages.py`
- `/_sim/...`: what tests and scripts use instead of a person, see `control.py` here and in `standins`, and `quirks.py`

Comments mark what eSewa does not document with "our guess"; what is documented names its place in eSewa's docs.
"""

from sewapay.adapters.esewa.simulator.ledger import Simulator
from sewapay.adapters.esewa.simulator.quirks import Quirks
from sewapay.adapters.esewa.simulator.server import STAND_IN, create_app

__all__ = ["STAND_IN", "Quirks", "Simulator", "create_app"]

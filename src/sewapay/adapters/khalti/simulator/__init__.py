"""A stand-in for Khalti's e-payment API (KPG-2): a real HTTP server with its own ledger, and no real money.

It exists so that everything this project does with Khalti can be tried over a real connection, without an account and
without a network, including what Khalti does rarely: a lost answer, a late payment, a wrong amount, a hostile body. It
shares no code with the gateway that it stands in for; what it says was typed from Khalti's public pages.

- `/api/v2/epayment/initiate/` and `/lookup/`, `/api/merchant-transaction/.../refund/`: the wire, see `wire.py`
- `/?pidx=...`: the payment page that a person uses, see `pages.py`
- `/_sim/...`: what tests and scripts use instead of a person, see `control.py` here and in `standins`, and `faults.py`

Comments mark what Khalti does not document with "our guess"; what is documented names its place in Khalti's docs.
"""

from sewapay.adapters.khalti.simulator.ledger import Simulator
from sewapay.adapters.khalti.simulator.payments import Quirks
from sewapay.adapters.khalti.simulator.server import STAND_IN, create_app

__all__ = ["STAND_IN", "Quirks", "Simulator", "create_app"]

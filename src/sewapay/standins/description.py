"""How a gateway's stand-in is run and used: one `STAND_IN` in each gateway's `simulator`, found there by that name."""

from collections.abc import Callable, Mapping

from attrs import field, frozen

from sewapay.standins.script import Script
from sewapay.standins.server import StandIn


@frozen(kw_only=True)
class Options:
    """What whoever runs a stand-in may choose: the only key that it accepts, a seed for its ids, faults from files.

    `public_url` is where browsers reach the service, without a slash, for a company that has the merchant's return
    address registered.
    """

    secret_key: str | None = field(default=None, repr=False)
    seed: int | None = None
    faults: tuple[Script, ...] = ()
    public_url: str | None = None


@frozen(kw_only=True)
class Description:
    """One gateway's stand-in."""

    label: str
    """In one sentence, for the command line: "Khalti's stand-in: its API, and a payment page for a person"."""
    port: int
    """Where it listens unless told otherwise."""
    reference: str
    """What the gateway calls a payment: `pidx`."""
    takes_key: bool
    """Whether a key for it to accept makes sense."""
    create_app: Callable[[Options], StandIn]
    """The stand-in as an ASGI application. Raises UnusableScript, and ValueError for a key that cannot be one."""
    environ: Callable[[str], Mapping[str, str]]
    """The variables with which the service uses it, from its address without a slash: `http://127.0.0.1:8901`."""

"""Find what waits at gateways that are not enabled here: nobody looks at it, and no payment tells so by itself."""

from attrs import frozen

from sewapay.application.gateways import Gateways
from sewapay.application.ports import Clock
from sewapay.application.storage import Read
from sewapay.domain.identifiers import Environment, GatewayName

__all__ = ["FindUnasked", "Unasked"]


@frozen(kw_only=True)
class Unasked:
    """A gateway that is not enabled here, and how many payments of it are due and not finished."""

    gateway: GatewayName
    environment: Environment
    payments: int


@frozen
class FindUnasked:
    """Count the due payments of gateways that are not enabled here, for the operator to be told.

    - A gateway's other environment is another gateway: a sandbox payment is never looked up with production's key.
    - Only what is undecided, or to be given back, waits for the gateway; what was paid, or ended unpaid, does not.
    """

    read: Read
    gateways: Gateways
    clock: Clock

    async def __call__(self) -> list[Unasked]:
        """These gateways, by their names; none is the rule. Raises `StoreUnavailable`."""
        now = self.clock.now()
        unfinished = await self.read(lambda view: view.payments.unfinished(due_at=now))
        enabled = {(gateway.name, gateway.environment) for gateway in self.gateways.values()}
        return [
            Unasked(gateway=name, environment=environment, payments=number)
            for (name, environment), number in sorted(unfinished.items())
            if (name, environment) not in enabled
        ]

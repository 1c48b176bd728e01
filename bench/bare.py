"""The bare loop: the gateway's own look-up over its own client, and nothing around it.

`python -m bench.bare PORT MANY AT_A_TIME` asks the fast Khalti on that port so many times. What the reconciler does
beside that is what its row is compared with.
"""

import asyncio
import sys
from collections.abc import Iterator
from itertools import cycle, islice
from typing import Final

import uvloop

from bench.due import open_order
from bench.processes import khalti_settings
from sewapay.application.ports import Order, PaymentGateway
from sewapay.domain.identifiers import GatewayName
from sewapay.entrypoints.gateways import build_gateways
from sewapay.wire.client import build_client

DIFFERENT_ORDERS: Final = 1000


async def look_up(port: int, many: int, at_a_time: int) -> None:
    """Ask so many times, with so many questions under way at once. Raises what the gateway raises."""
    client = build_client()
    khalti = GatewayName("khalti")
    gateway = build_gateways((khalti,), khalti_settings(port), client, is_production=False)[khalti]
    orders = islice(cycle([open_order(number) for number in range(1, DIFFERENT_ORDERS + 1)]), many)
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_a_time):
                group.create_task(_ask(gateway, orders))
    finally:
        await client.aclose()


async def _ask(gateway: PaymentGateway, orders: Iterator[Order]) -> None:
    for order in orders:
        await gateway.look_up(order)


if __name__ == "__main__":
    uvloop.run(look_up(*(int(number) for number in sys.argv[1:])))

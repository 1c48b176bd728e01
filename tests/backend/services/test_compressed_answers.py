"""Compressed answers are refused unread, however small they are: a few kilobytes can inflate to any size."""

import base64
import gzip
import json
import tracemalloc
import zlib
from typing import Final

import pytest
from attrs import evolve

from sewapay.adapters.khalti import build
from sewapay.adapters.khalti.simulator import Simulator, create_app
from sewapay.application.errors import ProtocolError
from sewapay.application.ports import Payer
from sewapay.standins.faults import Raw
from sewapay.wire.client import build_client
from tests.backend.orders import URLS, an_order
from tests.servers import run_in_thread

MIB: Final = 1024 * 1024


def paid(pidx: str) -> bytes:
    """What Khalti says of a paid payment."""
    fields = {"pidx": pidx, "total_amount": 113000, "status": "Completed", "transaction_id": "GFq9PFS7b2iYvL8Lir9oXe"}
    return json.dumps({**fields, "fee": 0, "refunded": False}).encode()


@pytest.mark.fault("F42")
@pytest.mark.invariant("I21")
async def test_a_compressed_answer_is_refused_unread_and_costs_no_memory() -> None:
    simulator = Simulator(seed=7)
    with run_in_thread(create_app(simulator)) as address:
        async with build_client() as client:
            environ = {"KHALTI_SECRET_KEY": "anykey", "KHALTI_BASE_URL": f"{address}/api/v2"}
            gateway = build(environ, client, is_production=False)
            pidx = str((await gateway.open_checkout(an_order(), URLS, Payer())).gateway_reference)
            order = evolve(an_order(), gateway_reference=pidx)
            for coding, packed in (
                ("gzip", gzip.compress(paid(pidx))),
                ("deflate", zlib.compress(paid(pidx))),
                ("gzip", gzip.compress(b" " * (64 * MIB) + paid(pidx))),
            ):
                _answer_with(simulator, coding, packed)
                tracemalloc.start()
                with pytest.raises(ProtocolError, match="compressed"):
                    await gateway.look_up(order)
                _, most = tracemalloc.get_traced_memory()
                tracemalloc.stop()
                assert most < 4 * MIB, f"{coding}: {most} bytes"


def _answer_with(simulator: Simulator, coding: str, packed: bytes) -> None:
    body = base64.b64encode(packed).decode()
    simulator.arm(Raw(on="lookup", headers=[("content-encoding", coding)], body_base64=body))

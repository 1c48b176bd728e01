"""The companies that the gateways' contract is run against."""

from collections.abc import Iterator

import pytest

from sewapay.adapters.khalti.simulator import Simulator, create_app
from tests.backend.contracts.gateway_stages import Khaltis
from tests.servers import run_in_thread


@pytest.fixture(scope="module")
def khaltis() -> Iterator[Khaltis]:
    simulator = Simulator(seed=20260115)
    with run_in_thread(create_app(simulator)) as address:
        yield Khaltis(simulator=simulator, address=address)

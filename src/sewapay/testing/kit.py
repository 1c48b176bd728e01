"""The contract of every gateway: all its checks by name, and how one of them is put to a gateway."""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import pytest

from sewapay.testing import clauses
from sewapay.testing.clauses import Check
from sewapay.testing.gateways import (  # noqa: F401 (importing them enrols their checks)
    answers,
    capabilities,
    checkouts,
    look_ups,
    refunds,
    returns,
    secrecy,
    signed_returns,
    silence,
    wire,
)
from sewapay.testing.stage import StageFactory

__all__ = ["CHECKS", "MOST_SECONDS", "put_through"]

# by theme, whoever imported which of them first
CHECKS: Final[Mapping[str, Check]] = MappingProxyType(
    dict(sorted(clauses.CHECKS.items(), key=lambda named: named[1].clause.__module__))
)
MOST_SECONDS: Final = 120.0
"""How long one check may take on any stage."""


async def put_through(name: str, make: StageFactory) -> None:
    """Put the gateway on a stage of its own through the check of this name.

    Skips the test, with the reason, when the check is not about this gateway.
    """
    async with asyncio.timeout(MOST_SECONDS), make() as stage:
        reason = CHECKS[name].passed_over(stage)
        if reason is not None:
            pytest.skip(reason)
        await CHECKS[name](stage)

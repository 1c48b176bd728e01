"""connectIPS's gateway before its stand-in, as a merchant whose key is made for this run."""

import atexit
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

import httpx

from sewapay.adapters.connectips import build as build_connectips
from sewapay.adapters.connectips.gateway import ConnectipsGateway
from sewapay.adapters.connectips.simulator import Simulator, create_app, merchant_of
from sewapay.adapters.connectips.simulator.certificate import new_pfx
from sewapay.application.ports import PaymentGateway
from sewapay.domain.observation import Reported
from sewapay.testing.http_stage import Company, Route, over_http
from sewapay.testing.stage import Call, Ending, StageFactory, Told

PASSWORD: Final = "canary0123456789abcdef0123456789"
PFX_PASSWORD: Final = "canary-of-the-certificate"
VALIDATION: Final = "/connectipswebws/api/creditor/validatetxn"

# NCHL's docs, "ValidateTxn And GetTxnDetail Response List". The two other words mean something only together with a
# description, which a fault that changes the word leaves as it is: FAILED beside TRANSACTION SUCCESSFUL is a person's.
WORDS: Final = MappingProxyType({"SUCCESS": Reported.COMPLETED, "FAILED": Reported.UNKNOWN})


@cache
def pfx() -> Path:
    """The merchant's file, until this process ends."""
    folder = tempfile.TemporaryDirectory(prefix="connectips-")
    atexit.register(folder.cleanup)
    file = Path(folder.name) / "merchant.pfx"
    file.write_bytes(new_pfx(PFX_PASSWORD))
    return file


def build(address: str, client: httpx.AsyncClient) -> ConnectipsGateway:
    environ = {
        "CONNECTIPS_MERCHANT_ID": "980",
        "CONNECTIPS_APP_ID": "MER-980-APP-1",
        "CONNECTIPS_APP_NAME": "Canary",
        "CONNECTIPS_APP_PASSWORD": PASSWORD,
        "CONNECTIPS_PFX": str(pfx()),
        "CONNECTIPS_PFX_PASSWORD": PFX_PASSWORD,
        "CONNECTIPS_BASE_URL": address,
        "CONNECTIPS_DEADLINE_SECONDS": "1.5",
    }
    return build_connectips(environ, client, is_production=False)


def simulator() -> Simulator:
    known = merchant_of(pfx().read_bytes(), PFX_PASSWORD, id="980", app_id="MER-980-APP-1", password=PASSWORD)
    return Simulator(merchant=known, seed=20260115)


def company(wrap: Callable[[ConnectipsGateway], PaymentGateway] = lambda good: good) -> Company:
    """connectIPS as a stage needs to know it; `wrap` may break the gateway."""
    return Company(
        build=lambda address, client: wrap(build(address, client)),
        app=lambda: create_app(simulator()),
        reference="TXNID",
        routes={Call.LOOK_UP: Route(on="validatetxn", path=VALIDATION, counter="lookups_seen")},
        told={Told.STATUS: "status", Told.AMOUNT: "txnAmt", Told.REFERENCE: "referenceId"},
        secrets=(PASSWORD, PFX_PASSWORD),
        documented_words=WORDS,
        endings={
            Ending.CANCELED: Reported.ABSENT,
            Ending.PENDING: Reported.ABSENT,
            Ending.EXPIRED: Reported.ABSENT,
        },
        posts="posts_seen",
    )


stage: Final[StageFactory] = over_http(company())

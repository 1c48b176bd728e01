"""Tinypay's settings: read from the environment, checked before anything is sent, the key never shown."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from attrs import frozen
from sewapay.application.errors import UnusableSetting
from sewapay.domain.identifiers import Environment
from sewapay.wire.settings import Address, Secret, read_address, read_deadline, read_secret

__all__ = ["TinypayConfig", "check_production", "read_config"]

# Tinypay's docs, "Addresses". Its pages are on the same host as its API.
TRIAL_URL: Final = "https://trial.tinypay.example/api"
LIVE_URL: Final = "https://live.tinypay.example/api"
LIVE_HOST: Final = "live.tinypay.example"


@frozen(kw_only=True)
class TinypayConfig:
    """What the gateway works with. `deadline_seconds` is how long one call may take in all."""

    secret_key: Secret | None
    base_url: Address
    deadline_seconds: float

    @property
    def environment(self) -> Environment:
        """Production on Tinypay's live host; money is real nowhere else."""
        return Environment.PRODUCTION if self.base_url.host == LIVE_HOST else Environment.SANDBOX

    @property
    def pages(self) -> str:
        """Where customers pay, as an origin."""
        parts = urlsplit(self.base_url.text)
        return f"{parts.scheme}://{parts.netloc.lower()}"


def read_config(variables: Mapping[str, str]) -> TinypayConfig:
    """Read Tinypay's variables. Raises `UnusableSetting` that lists everything that is wrong, one line each.

    A missing key is no error here: the service starts, and opens no checkout.
    """
    wrong: list[str] = []
    base_url = variables.get("TINYPAY_BASE_URL", "").strip() or TRIAL_URL
    config = TinypayConfig(
        secret_key=read_secret("TINYPAY_SECRET_KEY", variables.get("TINYPAY_SECRET_KEY", ""), wrong),
        base_url=read_address("TINYPAY_BASE_URL", base_url, wrong, example=TRIAL_URL),
        deadline_seconds=read_deadline(
            "TINYPAY_DEADLINE_SECONDS", variables.get("TINYPAY_DEADLINE_SECONDS", ""), wrong
        ),
    )
    if wrong:
        raise UnusableSetting("\n".join(wrong))
    return config


def check_production(config: TinypayConfig) -> list[str]:
    """What real customers must not pay with: one sentence each, naming the variable and never its value."""
    unsafe = []
    if config.environment is not Environment.PRODUCTION or config.base_url.scheme != "https":
        unsafe.append(f"TINYPAY_BASE_URL is not Tinypay's live address in production: it is {LIVE_URL}")
    if config.secret_key is None:
        unsafe.append("TINYPAY_SECRET_KEY is not set: production needs the key of a merchant's own account")
    return unsafe

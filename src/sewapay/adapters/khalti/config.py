"""Khalti's settings: read from the environment, checked before anything is sent, secrets never shown.

Sources: the integration guide's names `KHALTI_SECRET_KEY`, `KHALTI_PUBLIC_KEY` and `KHALTI_BASE_URL`; the addresses of
sandbox and production from Khalti's docs, "API Endpoints" and "Refund".
"""

import re
from collections.abc import Mapping
from typing import Final

import environ
from attrs import evolve, frozen

from sewapay.application.errors import UnusableSetting
from sewapay.domain.identifiers import Environment
from sewapay.domain.money import Money
from sewapay.wire.settings import (
    DEFAULT_DEADLINE,
    Address,
    Secret,
    read_address,
    read_deadline,
    read_paisa,
    read_secret,
)

__all__ = ["LEAST_AMOUNT", "KhaltiConfig", "check_production", "environment_of", "read_config"]

SANDBOX_URL: Final = "https://dev.khalti.com/api/v2"
PRODUCTION_URL: Final = "https://khalti.com/api/v2"

# Khalti docs, "Refund": refunds are asked for at the same host, without this at the end.
_VERSION: Final = "/v2"

# Khalti docs, "API Endpoints". Everything else, an older sandbox address included, moves no real money.
LIVE_HOST: Final = "khalti.com"

# Khalti docs, error "Amount is less than 10". Its message says "greater than Rs. 10", and real payments of exactly
# 1000 paisa exist.
LEAST_AMOUNT: Final = Money(1000)

# SHA-256 of keys that stand in public documentation, without the prefix that some pages write before them: the
# integration guide's two, the two of Khalti's web checkout page, and the pair of its older pages. Whoever starts
# production with one of them has copied a sample, and everybody has that key.
SAMPLE_KEYS: Final = frozenset(
    {
        "3bf383fd850b4922ccee8b5580045494c894a7e6362802109a7f623425949589",
        "6003da094c515386313718955224bcd412ed7fece3ff5fc32a4c183b0088edc4",
        "682f0a78c317693302df0a5869dc753ca979a04b026695803b2dc0c940e58471",
        "e3359862077b8d42982d7c30d1ff41de62ded6c1a4c77c337de566c9ce4f2f64",
        "6be6659d399c343354569814a48df6f74f97d1874d5cdfa3935ef662900da09a",
        "8ad034bb2fc036e1fe06a9243702346dd09b3a7d8259e77f25d0ac0254d01d34",
    }
)
_KEY_PREFIX: Final = re.compile(r"(live|test)_(secret|public)_key_", re.ASCII)


@frozen(kw_only=True)
class KhaltiConfig:
    """What the gateway works with. Refunds have a base of their own, always of the same environment.

    `greatest` is None where Khalti is left to say what is too much: it documents no upper bound, and the real one
    depends on merchant and wallet. `deadline_seconds` is how long one call may take in all.
    """

    secret_key: Secret | None
    public_key: Secret | None
    base_url: Address
    refund_url: Address
    greatest: Money | None
    deadline_seconds: float

    @property
    def environment(self) -> Environment:
        """Production only on Khalti's live host."""
        return environment_of(self.base_url)


@environ.config(prefix="KHALTI", frozen=True)
class _Variables:
    """The variables as they are written; `KhaltiConfig` is what they mean. An empty one counts as left out."""

    secret_key: str = environ.var(default="", help="the merchant's secret key; without it no checkout is opened")
    public_key: str = environ.var(default="", help="the merchant's public key; only Khalti's mobile SDKs need it")
    base_url: str = environ.var(default=SANDBOX_URL, help=f"or, for real money, {PRODUCTION_URL}")
    refund_url: str = environ.var(default="", help="where refunds are asked for (default: the base without /v2)")
    greatest_amount: str = environ.var(default="", help="the most that one payment may be, in paisa (default: any)")
    deadline_seconds: str = environ.var(default=DEFAULT_DEADLINE, help="how long one call to Khalti may take in all")


def read_config(variables: Mapping[str, str]) -> KhaltiConfig:
    """Read Khalti's variables. Raises `UnusableSetting` that lists everything that is wrong, one line each.

    A missing key is no error here: the service starts, and refuses to open a checkout.
    """
    written = environ.to_config(_Variables, environ=dict(variables))
    wrong: list[str] = []
    base_url = read_address("KHALTI_BASE_URL", written.base_url.strip() or SANDBOX_URL, wrong, example=SANDBOX_URL)
    refund_url = _refund_url(written.refund_url.strip(), base_url, wrong)
    config = KhaltiConfig(
        secret_key=read_secret("KHALTI_SECRET_KEY", written.secret_key, wrong),
        public_key=read_secret("KHALTI_PUBLIC_KEY", written.public_key, wrong),
        base_url=base_url,
        refund_url=refund_url,
        greatest=read_paisa("KHALTI_GREATEST_AMOUNT", written.greatest_amount, wrong, least=LEAST_AMOUNT),
        deadline_seconds=read_deadline("KHALTI_DEADLINE_SECONDS", written.deadline_seconds, wrong),
    )
    if wrong:
        raise UnusableSetting("\n".join(wrong))
    return config


def check_production(config: KhaltiConfig) -> list[str]:
    """What real customers must not pay with: one sentence each, naming the variable and never its value."""
    unsafe = []
    if config.environment is not Environment.PRODUCTION:
        unsafe.append(f"KHALTI_BASE_URL is not Khalti's live address in production: it is {PRODUCTION_URL}")
    if config.base_url.scheme != "https":
        unsafe.append("KHALTI_BASE_URL begins with https:// in production")
    if config.secret_key is None:
        unsafe.append("KHALTI_SECRET_KEY is not set: production needs the key of a merchant's own account")
    for variable, key in (("KHALTI_SECRET_KEY", config.secret_key), ("KHALTI_PUBLIC_KEY", config.public_key)):
        if key is not None and _is_a_published_sample(key):
            unsafe.append(f"{variable} is a sample from public documentation: production needs a key of its own")
    return unsafe


def environment_of(address: Address) -> Environment:
    """Production on Khalti's live host, whatever key is used there; money is real nowhere else."""
    return Environment.PRODUCTION if address.host == LIVE_HOST else Environment.SANDBOX


def _is_a_published_sample(key: Secret) -> bool:
    """Whether it stands in public documentation, with any prefix or without one."""
    return Secret(_KEY_PREFIX.sub("", key.reveal().lower(), count=1)).is_among(SAMPLE_KEYS)


def _refund_url(text: str, base_url: Address, wrong: list[str]) -> Address:
    """The refunds' base. One of another environment would give back real money for play money, or the reverse."""
    if not text:
        return evolve(base_url, text=base_url.text.removesuffix(_VERSION))
    refund_url = read_address("KHALTI_REFUND_URL", text, wrong, example=SANDBOX_URL)
    if not wrong and environment_of(refund_url) is not environment_of(base_url):
        wrong.append("KHALTI_REFUND_URL and KHALTI_BASE_URL are both Khalti's live address, or neither of them is")
    return refund_url

"""eSewa's settings: read from the environment, checked before anything is signed or sent, the key never shown.

Sources: eSewa's docs (its page "Epay", "Integration", "Status Check" and "Credentials & URLs") for the addresses; all
lengths and times are our guesses, since it documents none.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import environ
from attrs import frozen

from sewapay.application.errors import UnusableSetting
from sewapay.domain.identifiers import Environment
from sewapay.domain.money import Money
from sewapay.wire.answers import matching
from sewapay.wire.settings import (
    DEFAULT_DEADLINE,
    Address,
    Secret,
    read_address,
    read_deadline,
    read_minutes,
    read_paisa,
    read_secret,
)

__all__ = ["LEAST_AMOUNT", "EsewaConfig", "check_production", "read_config"]

UAT_FORM_URL: Final = "https://rc-epay.esewa.com.np/api/epay/main/v2/form"
UAT_STATUS_URL: Final = "https://rc.esewa.com.np/api/epay/transaction/status/"
LIVE_FORM_URL: Final = "https://epay.esewa.com.np/api/epay/main/v2/form"
LIVE_STATUS_URL: Final = "https://epay.esewa.com.np/api/epay/transaction/status/"

# eSewa docs, "Integration", for the form. For the status the docs were seen with either host.
LIVE_FORM_HOST: Final = "epay.esewa.com.np"
LIVE_HOSTS: Final = frozenset({LIVE_FORM_HOST, "esewa.com.np"})

# Our guess: eSewa documents no least amount, and none below a rupee was seen.
LEAST_AMOUNT: Final = Money(100)

# Our guess. eSewa docs, FAQ: five minutes from the login on. How long its page waits for the login is not documented.
DEFAULT_LIFE: Final = "15"
LONGEST_LIFE: Final = timedelta(days=1)

# What eSewa publishes for trials, so that everybody has it: SHA-256 of the key, and of the same with the bracket after
# it that its page makes look like a part of it.
SAMPLE_KEYS: Final = frozenset(
    {
        "0a5d76885e73c5fd334a187d3661303de5c1b1635e1274c57ba0e0276a16386e",
        "7ce046f24b565cc3ab34577d399fd49c839413f32ce9ac9425188f693856446c",
    }
)
SAMPLE_CODE: Final = "EPAYTEST"

# It stands in what is signed, where a comma or an equals sign would make it read like another field.
_CODE: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


@frozen(kw_only=True)
class EsewaConfig:
    """What the gateway works with. Form and status are always of the same environment.

    `greatest` is None where eSewa is left to say what is too much. `deadline_seconds` is how long one call may take in
    all, and `life` how long a form that was shown is taken to be of use.
    """

    product_code: str | None
    secret_key: Secret | None
    form_url: Address
    status_url: Address
    greatest: Money | None
    deadline_seconds: float
    life: timedelta

    @property
    def environment(self) -> Environment:
        """Where customers pay: with real money on eSewa's live hosts, and nowhere else."""
        return _environment_of(self.form_url)


@environ.config(prefix="ESEWA", frozen=True)
class _Variables:
    """The variables as they are written; `EsewaConfig` is what they mean. An empty one counts as left out."""

    product_code: str = environ.var(default="", help="the merchant code that eSewa gave; without it nothing works")
    secret_key: str = environ.var(default="", help="the merchant's secret key; without it no checkout is opened")
    form_url: str = environ.var(default=UAT_FORM_URL, help=f"or, for real money, {LIVE_FORM_URL}")
    status_url: str = environ.var(default=UAT_STATUS_URL, help=f"or, for real money, {LIVE_STATUS_URL}")
    greatest_amount: str = environ.var(default="", help="the most that one payment may be, in paisa (default: any)")
    deadline_seconds: str = environ.var(default=DEFAULT_DEADLINE, help="how long one call to eSewa may take in all")
    life_minutes: str = environ.var(default=DEFAULT_LIFE, help="how long a form that was shown is of use")


def read_config(variables: Mapping[str, str]) -> EsewaConfig:
    """Read eSewa's variables. Raises `UnusableSetting` that lists everything that is wrong, one line each.

    A missing code or key is no error here: the service starts, and opens no checkout.
    """
    written = environ.to_config(_Variables, environ=dict(variables))
    wrong: list[str] = []
    config = EsewaConfig(
        product_code=_product_code(written.product_code.strip(), wrong),
        secret_key=read_secret("ESEWA_SECRET_KEY", written.secret_key, wrong),
        form_url=read_address("ESEWA_FORM_URL", written.form_url.strip() or UAT_FORM_URL, wrong, example=UAT_FORM_URL),
        status_url=read_address(
            "ESEWA_STATUS_URL", written.status_url.strip() or UAT_STATUS_URL, wrong, example=UAT_STATUS_URL
        ),
        greatest=read_paisa("ESEWA_GREATEST_AMOUNT", written.greatest_amount, wrong, least=LEAST_AMOUNT),
        deadline_seconds=read_deadline("ESEWA_DEADLINE_SECONDS", written.deadline_seconds, wrong),
        life=read_minutes(
            "ESEWA_LIFE_MINUTES", written.life_minutes, wrong, default=DEFAULT_LIFE, longest=LONGEST_LIFE
        ),
    )
    if not wrong and _environment_of(config.status_url) is not config.environment:
        wrong.append("ESEWA_STATUS_URL and ESEWA_FORM_URL are both eSewa's live addresses, or neither of them is")
    if wrong:
        raise UnusableSetting("\n".join(wrong))
    return config


def check_production(config: EsewaConfig) -> list[str]:
    """What real customers must not pay with: one sentence each, naming the variable and never its value."""
    unsafe = []
    if config.form_url.host != LIVE_FORM_HOST:
        unsafe.append(f"ESEWA_FORM_URL is not eSewa's live address in production: it is {LIVE_FORM_URL}")
    if config.status_url.host not in LIVE_HOSTS:
        unsafe.append(f"ESEWA_STATUS_URL is not eSewa's live address in production: it is {LIVE_STATUS_URL}")
    for variable, address in (("ESEWA_FORM_URL", config.form_url), ("ESEWA_STATUS_URL", config.status_url)):
        if address.scheme != "https":
            unsafe.append(f"{variable} begins with https:// in production")
    if config.product_code is None:
        unsafe.append("ESEWA_PRODUCT_CODE is not set: production needs the code of a merchant's own account")
    elif config.product_code.upper() == SAMPLE_CODE:
        unsafe.append("ESEWA_PRODUCT_CODE is eSewa's code for trials: production needs a merchant's own")
    if config.secret_key is None:
        unsafe.append("ESEWA_SECRET_KEY is not set: production needs the key of a merchant's own account")
    elif config.secret_key.is_among(SAMPLE_KEYS):
        unsafe.append("ESEWA_SECRET_KEY is a sample from public documentation: production needs a key of its own")
    return unsafe


def _product_code(text: str, wrong: list[str]) -> str | None:
    if text and matching(_CODE, text) is None:
        wrong.append("ESEWA_PRODUCT_CODE has 1 to 64 letters, digits, dots, hyphens or underscores")
    return text or None


def _environment_of(address: Address) -> Environment:
    return Environment.PRODUCTION if address.host in LIVE_HOSTS else Environment.SANDBOX

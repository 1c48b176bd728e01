"""connectIPS's settings: read from the environment, checked before anything is signed or sent, the key never shown.

Sources: NCHL's docs ("Merchant interface") for names and lengths, public code for the hosts; times are our guesses,
since NCHL documents none.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

import environ
from attrs import frozen

from sewapay.adapters.connectips.signing import Merchant, SigningKey, UnusableKey, key_in
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

__all__ = ["LEAST_AMOUNT", "ConnectipsConfig", "check_production", "read_config"]

UAT_URL: Final = "https://uat.connectips.com"
LIVE_URL: Final = "https://login.connectips.com"

# Public code. The second one is older, and was seen beside the first.
LIVE_HOSTS: Final = frozenset({"login.connectips.com", "www.connectips.com"})

# Our guess: NCHL documents no least amount.
LEAST_AMOUNT: Final = Money(100)

# Our guess, as for other forms: how long the page waits for a customer is not documented.
DEFAULT_LIFE: Final = "15"
LONGEST_LIFE: Final = timedelta(days=1)

# NCHL docs, "Merchant interface": lengths. The letters are our guess: what is signed has no place for `,` and `=`, and
# a user name of HTTP's Basic none for `:`.
_MERCHANT_ID: Final = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
_APP_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,20}", re.ASCII)
_APP_NAME: Final = re.compile(r"(?! )[ -+\--<>-~]{1,30}(?<! )", re.ASCII)

# Ours. Files as they are issued have some kilobytes.
MOST_BYTES: Final = 256 * 1024

_REQUIRED: Final = (
    "CONNECTIPS_MERCHANT_ID",
    "CONNECTIPS_APP_ID",
    "CONNECTIPS_APP_NAME",
    "CONNECTIPS_APP_PASSWORD",
    "CONNECTIPS_PFX",
)


@frozen(kw_only=True)
class ConnectipsConfig:
    """What the gateway works with. `merchant` is None while one of the variables that are `missing` is not set.

    `greatest` is None where connectIPS is left to say what is too much. `deadline_seconds` is how long one look-up may
    take in all, and `life` how long a form that was shown is taken to be of use.
    """

    merchant: Merchant | None
    missing: tuple[str, ...]
    base_url: Address
    greatest: Money | None
    deadline_seconds: float
    life: timedelta

    @property
    def environment(self) -> Environment:
        """Where customers pay: with real money on the live hosts, and nowhere else."""
        return Environment.PRODUCTION if self.base_url.host in LIVE_HOSTS else Environment.SANDBOX


@environ.config(prefix="CONNECTIPS", frozen=True)
class _Variables:
    """The variables as they are written; `ConnectipsConfig` is what they mean. An empty one counts as left out."""

    merchant_id: str = environ.var(default="", help="the number that NCHL gave the merchant")
    app_id: str = environ.var(default="", help="the application's id, which is the user name of look-ups too")
    app_name: str = environ.var(default="", help="the application's name as it is registered")
    app_password: str = environ.var(default="", help="the password of look-ups")
    pfx: str = environ.var(default="", help="the PKCS#12 file whose key signs")
    pfx_password: str = environ.var(default="", help="opens that file")
    base_url: str = environ.var(default=UAT_URL, help=f"or, for real money, {LIVE_URL}")
    greatest_amount: str = environ.var(default="", help="the most that one payment may be, in paisa (default: any)")
    deadline_seconds: str = environ.var(default=DEFAULT_DEADLINE, help="how long one look-up may take in all")
    life_minutes: str = environ.var(default=DEFAULT_LIFE, help="how long a form that was shown is of use")


def read_config(variables: Mapping[str, str]) -> ConnectipsConfig:
    """Read connectIPS's variables, and the file with the key. Raises `UnusableSetting` that lists all that is wrong.

    What is missing is no error here: the service starts, and opens no checkout. What is there has to be right.
    """
    written = environ.to_config(_Variables, environ=dict(variables))
    wrong: list[str] = []
    merchant, missing = _merchant(written, wrong)
    config = ConnectipsConfig(
        merchant=merchant,
        missing=missing,
        base_url=read_address("CONNECTIPS_BASE_URL", written.base_url.strip() or UAT_URL, wrong, example=UAT_URL),
        greatest=read_paisa("CONNECTIPS_GREATEST_AMOUNT", written.greatest_amount, wrong, least=LEAST_AMOUNT),
        deadline_seconds=read_deadline("CONNECTIPS_DEADLINE_SECONDS", written.deadline_seconds, wrong),
        life=read_minutes(
            "CONNECTIPS_LIFE_MINUTES", written.life_minutes, wrong, default=DEFAULT_LIFE, longest=LONGEST_LIFE
        ),
    )
    if wrong:
        raise UnusableSetting("\n".join(wrong))
    return config


def check_production(config: ConnectipsConfig) -> list[str]:
    """What real customers must not pay with: one sentence each, naming the variable and never its value."""
    unsafe = []
    if config.base_url.host not in LIVE_HOSTS:
        unsafe.append(f"CONNECTIPS_BASE_URL is not connectIPS's live address in production: it is {LIVE_URL}")
    if config.base_url.scheme != "https":
        unsafe.append("CONNECTIPS_BASE_URL begins with https:// in production")
    unsafe += [f"{variable} is not set: production needs a merchant's own" for variable in config.missing]
    return unsafe


def _merchant(written: _Variables, wrong: list[str]) -> tuple[Merchant | None, tuple[str, ...]]:
    """Who we are, if all of it is set, and the variables that are not."""
    values = {name: str(getattr(written, name.removeprefix("CONNECTIPS_").lower())).strip() for name in _REQUIRED}
    for name, shape, wanted in (
        ("CONNECTIPS_MERCHANT_ID", _MERCHANT_ID, "a whole number"),
        ("CONNECTIPS_APP_ID", _APP_ID, "1 to 20 letters, digits, dots, hyphens or underscores"),
        ("CONNECTIPS_APP_NAME", _APP_NAME, "1 to 30 ASCII characters without a comma and an equals sign"),
    ):
        if values[name] and matching(shape, values[name]) is None:
            wrong.append(f"{name} is {wanted}")
    password = read_secret("CONNECTIPS_APP_PASSWORD", values["CONNECTIPS_APP_PASSWORD"], wrong)
    opens = read_secret("CONNECTIPS_PFX_PASSWORD", written.pfx_password, wrong)
    key = _key(values["CONNECTIPS_PFX"], opens, wrong)
    missing = tuple(name for name in _REQUIRED if not values[name])
    if password is None or key is None or missing:
        return None, missing
    merchant = Merchant(
        id=values["CONNECTIPS_MERCHANT_ID"],
        app_id=values["CONNECTIPS_APP_ID"],
        app_name=values["CONNECTIPS_APP_NAME"],
        password=password,
        key=key,
    )
    return merchant, missing


def _key(path: str, password: Secret | None, wrong: list[str]) -> SigningKey | None:
    """The key in the file, which is read here and not again."""
    if not path:
        return None
    try:
        with Path(path).open("rb") as file:
            return key_in(file.read(MOST_BYTES), password)
    except OSError as error:
        wrong.append(f"CONNECTIPS_PFX cannot be read: {error.strerror}")
    except ValueError:
        wrong.append("CONNECTIPS_PFX is the name of a file")
    except UnusableKey as why:
        wrong.append(f"CONNECTIPS_PFX {why}")
    return None

"""Khalti's settings: read from the environment, checked before anything is sent, secrets never shown.

Sources: the integration guide's names `KHALTI_SECRET_KEY`, `KHALTI_PUBLIC_KEY` and `KHALTI_BASE_URL`; the addresses of
sandbox and production from Khalti's docs, "API Endpoints" and "Refund".
"""

import ipaddress
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

import environ
from attrs import evolve, field, frozen

from sewapay.application.errors import UnusableSetting
from sewapay.domain.errors import InvalidMoney
from sewapay.domain.identifiers import Environment
from sewapay.domain.money import Money

__all__ = ["LEAST_AMOUNT", "BaseUrl", "KhaltiConfig", "Secret", "check_production", "read_config"]

SANDBOX_URL: Final = "https://dev.khalti.com/api/v2"
PRODUCTION_URL: Final = "https://khalti.com/api/v2"

# Khalti docs, "Refund": refunds are asked for at the same host, without this at the end.
_VERSION: Final = "/v2"

# Khalti docs, "API Endpoints". Everything else, an older sandbox address included, moves no real money.
LIVE_HOST: Final = "khalti.com"

# Khalti docs, error "Amount is less than 10". Its message says "greater than Rs. 10", and real payments of exactly
# 1000 paisa exist.
LEAST_AMOUNT: Final = Money(1000)

# Ours: Khalti documents no time limits. A customer waits while Khalti is asked.
DEFAULT_DEADLINE: Final = "10"
# A longer wait than a browser is kept waiting (13 s), or than an opening may take (20 s), would break both.
LONGEST_DEADLINE_SECONDS: Final = 12.0

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
_KEY: Final = re.compile(r"[\x21-\x7e]{1,256}", re.ASCII)
_ADDRESS: Final = re.compile(r"[\x21-\x7e]{1,2000}", re.ASCII)
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?|[0-9a-f:.]{2,45}", re.ASCII)
_PAISA: Final = re.compile(r"[0-9]{1,16}", re.ASCII)
_SECONDS: Final = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3})?", re.ASCII)


@frozen
class Secret:
    """A key that no repr, log line or error message shows."""

    _text: str = field(repr=False)

    def reveal(self) -> str:
        """The key itself, for the one header that carries it."""
        return self._text

    @property
    def is_a_published_sample(self) -> bool:
        """Whether it stands in public documentation, so that anybody has it."""
        bare = _KEY_PREFIX.sub("", self._text.lower(), count=1)
        return sha256(bare.encode()).hexdigest() in SAMPLE_KEYS


@frozen(kw_only=True)
class BaseUrl:
    """Where the API is. `text` ends without a slash; `host` is in lower case."""

    text: str
    scheme: str
    host: str
    port: int

    @property
    def environment(self) -> Environment:
        """Production on Khalti's live host, whatever key is used there; money is real nowhere else."""
        return Environment.PRODUCTION if self.host == LIVE_HOST else Environment.SANDBOX

    @property
    def origin(self) -> str:
        """Scheme, host and port, the port always named."""
        return f"{self.scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@frozen(kw_only=True)
class KhaltiConfig:
    """What the gateway works with. Refunds have a base of their own, always of the same environment.

    `greatest` is None where Khalti is left to say what is too much: it documents no upper bound, and the real one
    depends on merchant and wallet. `deadline_seconds` is how long one call may take in all.
    """

    secret_key: Secret | None
    public_key: Secret | None
    base_url: BaseUrl
    refund_url: BaseUrl
    greatest: Money | None
    deadline_seconds: float


@environ.config(prefix="KHALTI", frozen=True)
class _Variables:
    """The variables as they are written; `KhaltiConfig` is what they mean. An empty one counts as left out."""

    secret_key: str = environ.var(default="", help="the merchant's secret key; without it no checkout is opened")
    public_key: str = environ.var(default="", help="the merchant's public key; only Khalti's mobile SDKs need it")
    base_url: str = environ.var(default="", help=f"{SANDBOX_URL} (default) or, for real money, {PRODUCTION_URL}")
    refund_url: str = environ.var(default="", help="where refunds are asked for (default: the base without /v2)")
    greatest_amount: str = environ.var(default="", help="the most that one payment may be, in paisa (default: any)")
    deadline_seconds: str = environ.var(default="", help="how long one call to Khalti may take in all (default: 10)")


def read_config(variables: Mapping[str, str]) -> KhaltiConfig:
    """Read Khalti's variables. Raises `UnusableSetting` that lists everything that is wrong, one line each.

    A missing key is no error here: the service starts, and refuses to open a checkout.
    """
    written = environ.to_config(_Variables, environ=dict(variables))
    wrong: list[str] = []
    base_url = _address("KHALTI_BASE_URL", written.base_url.strip() or SANDBOX_URL, wrong)
    refund_url = _refund_url(written.refund_url.strip(), base_url, wrong)
    config = KhaltiConfig(
        secret_key=_key("KHALTI_SECRET_KEY", written.secret_key.strip(), wrong),
        public_key=_key("KHALTI_PUBLIC_KEY", written.public_key.strip(), wrong),
        base_url=base_url,
        refund_url=refund_url,
        greatest=_greatest(written.greatest_amount.strip(), wrong),
        deadline_seconds=_deadline(written.deadline_seconds.strip() or DEFAULT_DEADLINE, wrong),
    )
    if wrong:
        raise UnusableSetting("\n".join(wrong))
    return config


def check_production(config: KhaltiConfig) -> list[str]:
    """What real customers must not pay with: one sentence each, naming the variable and never its value."""
    unsafe = []
    if config.base_url.environment is not Environment.PRODUCTION:
        unsafe.append(f"KHALTI_BASE_URL is not Khalti's live address in production: it is {PRODUCTION_URL}")
    if config.base_url.scheme != "https":
        unsafe.append("KHALTI_BASE_URL begins with https:// in production")
    if config.secret_key is None:
        unsafe.append("KHALTI_SECRET_KEY is not set: production needs the key of a merchant's own account")
    for variable, key in (("KHALTI_SECRET_KEY", config.secret_key), ("KHALTI_PUBLIC_KEY", config.public_key)):
        if key is not None and key.is_a_published_sample:
            unsafe.append(f"{variable} is a sample from public documentation: production needs a key of its own")
    return unsafe


def _key(variable: str, text: str, wrong: list[str]) -> Secret | None:
    if not text:
        return None
    if not _KEY.fullmatch(text):
        wrong.append(f"{variable} has 1 to 256 visible ASCII characters, without spaces in it")
        return None
    return Secret(text)


def _refund_url(text: str, base_url: BaseUrl, wrong: list[str]) -> BaseUrl:
    """The refunds' base. One of another environment would give back real money for play money, or the reverse."""
    if not text:
        return evolve(base_url, text=base_url.text.removesuffix(_VERSION))
    refund_url = _address("KHALTI_REFUND_URL", text, wrong)
    if not wrong and refund_url.environment is not base_url.environment:
        wrong.append("KHALTI_REFUND_URL and KHALTI_BASE_URL are both Khalti's live address, or neither of them is")
    return refund_url


def _address(variable: str, text: str, wrong: list[str]) -> BaseUrl:
    """The address in parts. Without TLS only this machine is spoken to: the key would be read by others."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", None
    is_address = (
        _ADDRESS.fullmatch(text)
        and parts.scheme in ("http", "https")
        and _HOST.fullmatch(host)
        and port != 0
        and not set("@?#\\") & set(text)
    )
    if not is_address:
        wrong.append(f"{variable} is an address such as {SANDBOX_URL}, without user, query or fragment")
    elif parts.scheme == "http" and not _is_loopback(host):
        wrong.append(f"{variable} begins with https://, unless it is on this machine (127.0.0.1, localhost)")
    return BaseUrl(
        text=text.rstrip("/"), scheme=parts.scheme, host=host, port=port or (80 if parts.scheme == "http" else 443)
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _greatest(text: str, wrong: list[str]) -> Money | None:
    if not text:
        return None
    try:
        greatest = Money(int(text)) if _PAISA.fullmatch(text) else None
    except InvalidMoney:
        greatest = None
    if greatest is None or greatest < LEAST_AMOUNT:
        wrong.append(f"KHALTI_GREATEST_AMOUNT is a whole number of paisa, {LEAST_AMOUNT.paisa} or more")
    return greatest


def _deadline(text: str, wrong: list[str]) -> float:
    seconds = float(text) if _SECONDS.fullmatch(text) else 0.0
    if not 0 < seconds <= LONGEST_DEADLINE_SECONDS:
        wrong.append(f"KHALTI_DEADLINE_SECONDS is a number of seconds above 0, at most {LONGEST_DEADLINE_SECONDS:g}")
    return seconds

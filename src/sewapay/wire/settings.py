"""What a gateway's variables mean: keys that are never shown, addresses that can be trusted, amounts, times.

Each reader takes the variable's name and what is written in it, and adds one sentence to `wrong` when that cannot be
used; the sentence names the variable and never repeats a value. What it returns then is of no use. Blanks around a
value do not count, and a blank one counts as left out.
"""

import ipaddress
import re
from collections.abc import Set as AbstractSet
from datetime import timedelta
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

from attrs import field, frozen

from sewapay.domain.errors import InvalidMoney
from sewapay.domain.money import Money

__all__ = [
    "DEFAULT_DEADLINE",
    "Address",
    "Secret",
    "is_loopback",
    "read_address",
    "read_deadline",
    "read_minutes",
    "read_paisa",
    "read_secret",
]

# Ours: no company documents time limits. A customer waits while it is asked.
DEFAULT_DEADLINE: Final = "10"
# A longer wait than a browser is kept waiting (13 s), or than an opening may take (20 s), would break both.
LONGEST_DEADLINE_SECONDS: Final = 12.0

_KEY: Final = re.compile(r"[\x21-\x7e]{1,256}", re.ASCII)
_ADDRESS: Final = re.compile(r"[\x21-\x7e]{1,2000}", re.ASCII)
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?|[0-9a-f:.]{2,45}", re.ASCII)
_PAISA: Final = re.compile(r"[0-9]{1,16}", re.ASCII)
_SECONDS: Final = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3})?", re.ASCII)
_MINUTES: Final = re.compile(r"[0-9]{1,6}", re.ASCII)
_MINUTE: Final = timedelta(minutes=1)


@frozen
class Secret:
    """A key that no repr, log line or error message shows."""

    _text: str = field(repr=False)

    def reveal(self) -> str:
        """The key itself, for what proves to the company who asks."""
        return self._text

    def is_among(self, digests: AbstractSet[str]) -> bool:
        """Whether it is one of the keys with these SHA-256 digests (hexadecimal, small letters).

        For keys that stand in public documentation: whoever starts production with one of them has copied a sample,
        and everybody has that key. A digest tells them apart without repeating them.
        """
        return sha256(self._text.encode()).hexdigest() in digests


@frozen(kw_only=True)
class Address:
    """Where something is asked for. `text` ends without a slash; `host` is in lower case."""

    text: str
    scheme: str
    host: str
    port: int

    @property
    def origin(self) -> str:
        """Scheme, host and port, the port always named."""
        return f"{self.scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def is_within(self, domain: str) -> bool:
        """Whether the host is this domain or one below it."""
        return self.host == domain or self.host.endswith(f".{domain}")


def read_secret(variable: str, text: str, wrong: list[str]) -> Secret | None:
    """A key or a password; None when it is left out."""
    text = text.strip()
    if not text:
        return None
    if not _KEY.fullmatch(text):
        wrong.append(f"{variable} has 1 to 256 visible ASCII characters, without spaces in it")
        return None
    return Secret(text)


def read_address(variable: str, text: str, wrong: list[str], *, example: str) -> Address:
    """The address in parts. Without TLS only this machine is spoken to: the key would be read by others."""
    text = text.strip()
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
        wrong.append(f"{variable} is an address such as {example}, without user, query or fragment")
    elif parts.scheme == "http" and not is_loopback(host):
        wrong.append(f"{variable} begins with https://, unless it is on this machine (127.0.0.1, localhost)")
    return Address(
        text=text.rstrip("/"), scheme=parts.scheme, host=host, port=port or (80 if parts.scheme == "http" else 443)
    )


def is_loopback(host: str) -> bool:
    """Whether this host, by name or by number, is the machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_paisa(variable: str, text: str, wrong: list[str], *, least: Money) -> Money | None:
    """An amount in paisa, `least` or more; None when it is left out."""
    text = text.strip()
    if not text:
        return None
    try:
        amount = Money(int(text)) if _PAISA.fullmatch(text) else None
    except InvalidMoney:
        amount = None
    if amount is None or amount < least:
        wrong.append(f"{variable} is a whole number of paisa, {least.paisa} or more")
    return amount


def read_deadline(variable: str, text: str, wrong: list[str]) -> float:
    """How long one call may take in all, in seconds; 10 when it is left out."""
    text = text.strip() or DEFAULT_DEADLINE
    seconds = float(text) if _SECONDS.fullmatch(text) else 0.0
    if not 0 < seconds <= LONGEST_DEADLINE_SECONDS:
        wrong.append(f"{variable} is a number of seconds above 0, at most {LONGEST_DEADLINE_SECONDS:g}")
    return seconds


def read_minutes(variable: str, text: str, wrong: list[str], *, default: str, longest: timedelta) -> timedelta:
    """A time in whole minutes, from one up to `longest`; `default`'s when it is left out."""
    text = text.strip() or default
    time = int(text) * _MINUTE if _MINUTES.fullmatch(text) else timedelta(0)
    if not _MINUTE <= time <= longest:
        wrong.append(f"{variable} is a whole number of minutes, from 1 to {longest // _MINUTE}")
    return time

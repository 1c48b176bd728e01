"""The service's settings, from the environment and a `.env` file. Gateways read their own in their folders.

Nothing unsafe starts in production: each refusal names the variable and never its value.
"""

import hashlib
import hmac
import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self
from urllib.parse import urlsplit

import environ
from attrs import field, frozen
from dotenv import dotenv_values

from sewapay.adapters.sql.urls import read_address
from sewapay.application.errors import UnusableSetting
from sewapay.application.return_urls import ReturnOrigins
from sewapay.domain.errors import InvalidIdentifier
from sewapay.domain.identifiers import GatewayName
from sewapay.domain.settlement import FullRefund, Policies, Policy
from sewapay.entrypoints.gateways import refused_name

__all__ = ["DEVELOPMENT_JWT_SECRET", "Kind", "Settings", "environment"]

DEVELOPMENT_JWT_SECRET: Final = "for-development-only-and-refused-in-production"  # noqa: S105  # known, and refused
SHORTEST_SECRET: Final = 32
_DEFAULT_PORTS: Final[Mapping[str, int]] = MappingProxyType({"http": 80, "https": 443})
MOST_LOOKUPS_PER_MINUTE: Final = 1_000_000
FEWEST_DIFFERENT: Final = 8  # bytes of a secret; a random one of 32 has some 30


class Kind(StrEnum):
    """What the service is run for."""

    DEVELOPMENT = "development"
    TEST = "test"
    PRODUCTION = "production"


@environ.config(prefix="SEWAPAY", frozen=True)
class _Variables:
    """The variables as they are written; `Settings` is what they mean."""

    env: str = environ.var(default=Kind.DEVELOPMENT.value)
    database_url: str = environ.var(default="sqlite:///sewapay.db")
    gateways: str = environ.var(default="khalti")
    jwt_secret: str = environ.var(default=DEVELOPMENT_JWT_SECRET)
    jwt_subject_claim: str = environ.var(default="sub")
    jwt_audience: str = environ.var(default="")
    jwt_issuer: str = environ.var(default="")
    link_secret: str = environ.var(default="")
    public_url: str = environ.var(default="http://127.0.0.1:8000")
    return_origins: str = environ.var(default="")
    cors_origins: str = environ.var(default="")
    log_file: str = environ.var(default="")
    lookups_per_minute: str = environ.var(default="600")
    on_surplus: str = environ.var(default=Policy.HOLD.value)
    on_paid_late: str = environ.var(default=Policy.HOLD.value)
    on_amount_mismatch: str = environ.var(default=Policy.HOLD.value)
    on_orphaned_reference: str = environ.var(default=Policy.HONOUR.value)
    on_refunded_outside: str = environ.var(default=Policy.HOLD.value)
    on_stuck_pending: str = environ.var(default=Policy.HONOUR.value)
    on_full_refund: str = environ.var(default=FullRefund.REFUNDED.value)


@frozen(kw_only=True)
class Settings:
    """What the variables mean, checked. Secrets are absent from its representation."""

    kind: Kind
    database_url: str = field(repr=False)
    gateways: tuple[GatewayName, ...]
    jwt_secret: bytes = field(repr=False)
    jwt_subject_claim: str
    jwt_audience: str | None
    jwt_issuer: str | None
    link_secret: bytes = field(repr=False)
    public_url: str
    return_origins: ReturnOrigins
    cors_origins: tuple[str, ...]
    log_file: Path | None
    lookups_per_minute: int
    policies: Policies

    @property
    def is_production(self) -> bool:
        """Whether real customers pay here."""
        return self.kind is Kind.PRODUCTION

    @classmethod
    def load(cls, variables: Mapping[str, str]) -> Self:
        """Read and check them. Raises `UnusableSetting` that lists everything that is wrong, one line each."""
        _require_text(variables)
        written = environ.to_config(_Variables, environ=dict(variables))
        wrong: list[str] = []
        kind = Kind.DEVELOPMENT
        try:
            kind = Kind(written.env)
        except ValueError:
            wrong.append("SEWAPAY_ENV is one of development, test, production")
        try:
            read_address(written.database_url)
        except UnusableSetting as error:
            wrong.append(str(error))
        public_origin = _origin("SEWAPAY_PUBLIC_URL", written.public_url.rstrip("/"), wrong)
        origins = _origins("SEWAPAY_RETURN_ORIGINS", written.return_origins, wrong) or (public_origin,)
        cors = _origins("SEWAPAY_CORS_ORIGINS", written.cors_origins, wrong) or origins
        jwt_secret = written.jwt_secret.encode()
        if len(jwt_secret) < SHORTEST_SECRET:
            wrong.append(f"SEWAPAY_JWT_SECRET has at least {SHORTEST_SECRET} bytes")
        if written.link_secret and len(written.link_secret.encode()) < SHORTEST_SECRET:
            wrong.append(f"SEWAPAY_LINK_SECRET has at least {SHORTEST_SECRET} bytes, or is left out")
        settings_ = cls(
            kind=kind,
            database_url=written.database_url,
            gateways=_gateways(written.gateways, wrong),
            jwt_secret=jwt_secret,
            jwt_subject_claim=written.jwt_subject_claim,
            jwt_audience=written.jwt_audience or None,
            jwt_issuer=written.jwt_issuer or None,
            link_secret=written.link_secret.encode() or _derived(jwt_secret, b"sewapay hosted page links"),
            public_url=public_origin,
            return_origins=ReturnOrigins(origins=frozenset(origins), any_loopback=kind is not Kind.PRODUCTION),
            cors_origins=cors,
            log_file=Path(written.log_file) if written.log_file else None,
            lookups_per_minute=_number("SEWAPAY_LOOKUPS_PER_MINUTE", written.lookups_per_minute, wrong),
            policies=_policies(written, wrong),
        )
        if settings_.is_production:
            wrong.extend(_unsafe_in_production(settings_))
        if wrong:
            raise UnusableSetting("\n".join(wrong))
        return settings_


def environment() -> dict[str, str]:
    """The process's variables over those of a `.env` file in the working directory. Raises `UnusableSetting`."""
    try:
        read = dotenv_values(".env")
    except (OSError, UnicodeError):
        raise UnusableSetting("the file .env in the working directory cannot be read as UTF-8 text") from None
    written = {name: value for name, value in read.items() if value is not None}
    return {**written, **os.environ}


def _require_text(variables: Mapping[str, str]) -> None:
    """Bytes that are not UTF-8 arrive from the process's environment as lone surrogates."""
    strange = [name for name, text in variables.items() if name.startswith("SEWAPAY_") and not _is_text(text)]
    if strange:
        raise UnusableSetting("\n".join(f"{name} is not UTF-8 text" for name in sorted(strange)))


def _is_text(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _unsafe_in_production(settings: Settings) -> list[str]:
    unsafe = []
    for name, secret in (("SEWAPAY_JWT_SECRET", settings.jwt_secret), ("SEWAPAY_LINK_SECRET", settings.link_secret)):
        if secret == DEVELOPMENT_JWT_SECRET.encode():
            unsafe.append(f"{name} has the development value: production needs one of its own")
        elif len(set(secret)) < FEWEST_DIFFERENT:
            unsafe.append(
                f"{name} has at least {FEWEST_DIFFERENT} different characters in production: make a random one"
            )
    if settings.link_secret == settings.jwt_secret:
        unsafe.append("SEWAPAY_LINK_SECRET differs from SEWAPAY_JWT_SECRET in production, or is left out")
    if not settings.public_url.startswith("https://"):
        unsafe.append("SEWAPAY_PUBLIC_URL begins with https:// in production")
    if not all(origin.startswith("https://") for origin in settings.return_origins.origins):
        unsafe.append("SEWAPAY_RETURN_ORIGINS holds https:// origins only in production")
    if not all(origin.startswith("https://") for origin in settings.cors_origins):
        unsafe.append("SEWAPAY_CORS_ORIGINS holds https:// origins only in production")
    return unsafe


def _number(variable: str, text: str, wrong: list[str]) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text[:10]) <= MOST_LOOKUPS_PER_MINUTE:
        return int(text)
    wrong.append(f"{variable} is a whole number from 1 to {MOST_LOOKUPS_PER_MINUTE}")
    return 1


def _policies(written: _Variables, wrong: list[str]) -> Policies:
    def policy(case: str) -> Policy:
        variable, text = f"SEWAPAY_ON_{case.upper()}", getattr(written, f"on_{case}")
        try:
            policy = Policy(text)
        except ValueError:
            wrong.append(f"{variable} is one of {', '.join(Policy)}")
            return Policy.HOLD
        if policy is Policy.REFUND and case == "refunded_outside":
            wrong.append(f"{variable} is honour or hold: what went back elsewhere cannot be given back again")
        return policy

    full_refund = FullRefund.REFUNDED
    try:
        full_refund = FullRefund(written.on_full_refund)
    except ValueError:
        wrong.append(f"SEWAPAY_ON_FULL_REFUND is one of {', '.join(FullRefund)}")
    return Policies(
        surplus=policy("surplus"),
        paid_late=policy("paid_late"),
        amount_mismatch=policy("amount_mismatch"),
        orphaned_reference=policy("orphaned_reference"),
        refunded_outside=policy("refunded_outside"),
        stuck_pending=policy("stuck_pending"),
        full_refund=full_refund,
    )


def _gateways(written: str, wrong: list[str]) -> tuple[GatewayName, ...]:
    names = []
    texts = [part.strip() for part in written.split(",") if part.strip()]
    for text in texts:
        try:
            names.append(GatewayName(text))
        except InvalidIdentifier as error:
            wrong.append(refused_name(text, error))
    if not texts:
        wrong.append("SEWAPAY_GATEWAYS names at least one gateway, such as khalti")
    return tuple(dict.fromkeys(names))


def _origins(variable: str, written: str, wrong: list[str]) -> tuple[str, ...]:
    texts = filter(None, (part.strip() for part in written.split(",")))
    return tuple(_origin(variable, text.rstrip("/"), wrong) for text in texts)


def _origin(variable: str, text: str, wrong: list[str]) -> str:
    """The origin as browsers write it: lower case, and no port where it is the scheme's own."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
        is_origin = parts.scheme in _DEFAULT_PORTS and host is not None and port != 0
    except ValueError:
        is_origin = False
    if not is_origin or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        wrong.append(f"{variable} holds origins such as https://shop.example, without a path")
        return text
    name = f"[{host}]" if host and ":" in host else host
    return (
        f"{parts.scheme}://{name}"
        if port in (None, _DEFAULT_PORTS[parts.scheme])
        else f"{parts.scheme}://{name}:{port}"
    )


def _derived(secret: bytes, purpose: bytes) -> bytes:
    return hmac.new(secret, purpose, hashlib.sha256).digest()

"""Who is calling: the merchant's bearer token (a JWT) for people, an API key for the merchant's own services.

Cookies are never looked at, so nothing that a browser sends by itself signs anyone in.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import jwt
from attrs import frozen

from sewapay.adapters.web.config import JwtConfig
from sewapay.adapters.web.errors import NotSignedIn
from sewapay.application.access import Principal, Role
from sewapay.application.api_keys import AuthenticateService
from sewapay.domain.errors import InvalidIdentifier
from sewapay.domain.identifiers import CustomerId

__all__ = ["Authenticator", "issue_token"]

ALGORITHM: Final = "HS256"
LEEWAY_SECONDS: Final = 30
NEVER: Final = 2**53  # and Infinity, which Python reads as a number: no date at all
LONGEST_TOKEN: Final = 4096
REMEMBERED: Final = 2048
_REFUSED: Final = "Given token not valid for any token type"
_ROLES: Final[Mapping[str, Role]] = {"customer": Role.CUSTOMER, "staff": Role.STAFF}


@frozen
class _Verified:
    principal: Principal
    good_until: float


class Authenticator:
    """Turns an `Authorization` header into a principal. Verified tokens are remembered until they expire."""

    def __init__(
        self,
        config: JwtConfig,
        authenticate_service: Callable[[], AuthenticateService],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._authenticate_service = authenticate_service
        self._now = now
        self._verified: dict[str, _Verified] = {}

    async def __call__(self, header: str) -> Principal:
        """The caller. Raises `NotSignedIn`, `StoreUnavailable`."""
        scheme, _, token = header.partition(" ")
        token = token.strip()
        if not token or scheme.lower() != "bearer":
            raise NotSignedIn
        if token.startswith("swp_"):
            service = await self._authenticate_service()(token)
            if service is None:
                raise NotSignedIn("This API key is not valid, or was revoked.")
            return service
        return self._person(token)

    def _person(self, token: str) -> Principal:
        now = self._now()
        known = self._verified.get(token)
        if known is not None and now < known.good_until:
            return known.principal
        verified = self._verify(token)
        if len(self._verified) >= REMEMBERED:
            self._verified.pop(next(iter(self._verified)))
        self._verified[token] = verified
        return verified.principal

    def _verify(self, token: str) -> _Verified:
        if len(token) > LONGEST_TOKEN:
            raise NotSignedIn(_REFUSED)
        config = self._config
        try:
            claims = jwt.decode(
                token,
                config.secret,
                algorithms=[ALGORITHM],
                audience=config.audience,
                issuer=config.issuer,
                leeway=LEEWAY_SECONDS,
                options={
                    "require": ["exp"],
                    "verify_exp": False,  # below, by the clock that the memory goes by
                    "verify_sub": False,
                    "verify_jti": False,
                    "verify_aud": config.audience is not None,
                    "strict_aud": config.audience is not None,
                    "verify_iss": config.issuer is not None,
                },
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise NotSignedIn(_REFUSED) from None
        expires_at = claims["exp"]
        if type(expires_at) not in (int, float) or not self._now() - LEEWAY_SECONDS < expires_at < NEVER:
            raise NotSignedIn(_REFUSED)
        if claims.get("token_type", "access") != "access":
            raise NotSignedIn(_REFUSED)
        role = claims.get("role") or "customer"
        if not isinstance(role, str) or role not in _ROLES:
            raise NotSignedIn("This token's role is neither customer nor staff.")
        subject = _subject(claims.get(config.subject_claim))
        return _Verified(Principal(role=_ROLES[role], id=subject), expires_at + LEEWAY_SECONDS)


def _subject(claim: object) -> str:
    if isinstance(claim, int) and not isinstance(claim, bool):
        claim = str(claim)
    try:
        return CustomerId(claim)  # type: ignore[arg-type]  # whatever the token held: it is checked here
    except InvalidIdentifier:
        raise NotSignedIn("This token does not say whose it is.") from None


def issue_token(
    secret: bytes,
    *,
    subject: str,
    role: str | None = None,
    subject_claim: str = "sub",
    audience: str | None = None,
    issuer: str | None = None,
    lifetime_seconds: int = 3600,
    now: Callable[[], float] = time.time,
) -> str:
    """A token as the merchant's own login would issue it: for development and tests, not for production."""
    issued = int(now())
    claims: dict[str, Any] = {subject_claim: subject, "iat": issued, "exp": issued + lifetime_seconds}
    optional = {"role": role, "aud": audience, "iss": issuer}
    claims.update({name: value for name, value in optional.items() if value is not None})
    return jwt.encode(claims, secret, algorithm=ALGORITHM)

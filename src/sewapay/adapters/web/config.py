"""What the web adapter is told by the composition root."""

from collections.abc import Callable

from attrs import field, frozen

__all__ = ["JwtConfig", "WebConfig"]


@frozen(kw_only=True)
class JwtConfig:
    """How the merchant's bearer tokens are checked (HS256 only). Audience and issuer are checked when they are set."""

    secret: bytes = field(repr=False)
    subject_claim: str = "sub"
    audience: str | None = None
    issuer: str | None = None


@frozen(kw_only=True)
class WebConfig:
    """Everything that is not a use case.

    - `public_url` is the origin that browsers reach us at, without a slash at its end.
    - `cors_origins` may call from a browser; `cors_any_loopback` adds every port of this machine, for development.
    - `gateway_origins` are the origins of the enabled gateways' pages, which our pages' forms may lead to.
    """

    public_url: str
    cors_origins: tuple[str, ...] = ()
    cors_any_loopback: bool = False
    jwt: JwtConfig
    link_secret: bytes = field(repr=False)
    gateway_origins: tuple[str, ...] | Callable[[], tuple[str, ...]] = ()
    is_production: bool = False
    version: str = "0.1.0"

    def form_targets(self) -> tuple[str, ...]:
        """The gateways' origins as they stand now."""
        return self.gateway_origins() if callable(self.gateway_origins) else self.gateway_origins

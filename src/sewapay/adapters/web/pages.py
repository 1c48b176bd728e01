"""Our HTML: templates loaded once, every value escaped, nothing inline, nothing from anybody else's server."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from attrs import field, frozen
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Response, get

from sewapay.adapters.web.errors import InternalError
from sewapay.adapters.web.languages import TEXTS, Language
from sewapay.domain.booking import BookingStatus
from sewapay.domain.checkout import NextStep, PostForm

__all__ = ["BOOKING_ENDED", "Pages", "icon", "origin_of", "progress_script", "see_other", "stylesheet"]

BOOKING_ENDED: Final = {
    BookingStatus.CONFIRMED: "paid",
    BookingStatus.CANCELED: "booking_canceled",
    BookingStatus.REFUNDED: "booking_refunded",
}
"""The state that a page shows where nothing is left to pay."""

_HERE: Final = Path(__file__).parent
_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_STYLE: Final = (_HERE / "static" / "sewapay.css").read_bytes()
_SCRIPT: Final = (_HERE / "static" / "progress.js").read_bytes()
_ICON: Final = (_HERE / "static" / "sewapay.svg").read_bytes()
# What `data-state` says where it is less than the text: browser tests and styles go by it.
_SHORT: Final = {
    "booking_canceled": "canceled",
    "booking_refunded": "refunded",
    "gateway_away": "failed",
    "amount_not_taken": "failed",
}
_PORTS: Final = {"http": 80, "https": 443}
_KEEP: Final = {"Cache-Control": "public, max-age=3600"}
_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'self'"
)


def origin_of(url: str) -> str:
    """`https://pay.example` of an address on that host; empty text for what has no host."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


def _covers(source: str, url: str) -> bool:
    """Whether a source of our policy names this address; `https://*.pay.example` names every host below pay.example."""
    try:
        named, wanted = urlsplit(source), urlsplit(url)
        ports = [parts.port or _PORTS.get(parts.scheme) for parts in (named, wanted)]
    except ValueError:
        return False
    host, pattern = wanted.hostname or "", named.hostname or ""
    is_host = host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern
    return bool(host) and is_host and named.scheme == wanted.scheme and ports[0] == ports[1]


def see_other(url: str) -> Response[str]:
    """Send the browser on, by GET. Raises `InternalError` for what could not stand in a header."""
    if not url.isascii() or not url.isprintable():
        raise InternalError("an address that no browser could be sent to")
    headers = {"Location": url, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return Response("", status_code=303, media_type="text/plain", headers=headers)


@frozen
class Pages:
    """Renders them. Forms may lead to ourselves and to the gateways' origins, as they stand when a page is shown."""

    public_url: str
    form_targets: Callable[[], tuple[str, ...]] = field(repr=False)

    def show(
        self,
        template: str,
        language: Language,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **values: object,
    ) -> Response[str]:
        """One page. `values` are what the template speaks of."""
        texts = TEXTS[language]
        page = _TEMPLATES.get_template(template)
        body = page.render(language=language.value, text=texts, short=_SHORT, **values)
        return Response(
            body,
            status_code=status,
            media_type="text/html",
            headers={**self._headers(), **(headers or {})},
        )

    def state(
        self,
        state: str,
        language: Language,
        *,
        status: int = 200,
        refresh: int | None = None,
        reference: str | None = None,
        **offers: Any,
    ) -> Response[str]:
        """A page that says one thing: where a payment stands, or what was wrong.

        `refresh` (seconds) has the browser ask again by itself. `offers` are what the person can do next:
        `continue_with` (a `NextStep`); `try_again` and `others` (gateways), whose forms post to `pay_at`; `shop` and
        `reload` (addresses).
        """
        actions = {"continue_with": None, "pay_at": None, "shop": None, "reload": None, **offers}
        headers = {} if refresh is None else {"Refresh": str(refresh)}
        return self.show(
            "state.html", language, status=status, headers=headers, state=state, reference=reference, **actions
        )

    def next_step(self, step: NextStep, language: Language, *, form_page: str) -> Response[str]:
        """Send the browser to the gateway: by redirect where the policy of our pages lets a form end there.

        A form to be posted stands on a page of its own, `form_page`, so that going back or reloading repeats nothing.
        """
        if isinstance(step, PostForm):
            return see_other(form_page)
        if any(_covers(source, step.url) for source in (self.public_url, *self.form_targets())):
            return see_other(step.url)
        return self.state("redirecting", language, continue_with=step)

    def _headers(self) -> dict[str, str]:
        return {
            "Content-Security-Policy": " ".join((_POLICY, *self.form_targets())),
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cache-Control": "no-store",
            "Vary": "Accept-Language",
        }


@get("/static/sewapay.css", include_in_schema=False, sync_to_thread=False)
def stylesheet() -> Response[bytes]:
    """The pages' look."""
    return Response(_STYLE, media_type="text/css", headers=_KEEP)


@get("/static/progress.js", include_in_schema=False, sync_to_thread=False)
def progress_script() -> Response[bytes]:
    """Shows progress on a pressed button, and sends a form on to a gateway; every page works without it."""
    return Response(_SCRIPT, media_type="text/javascript", headers=_KEEP)


@get("/static/sewapay.svg", include_in_schema=False, sync_to_thread=False)
def icon() -> Response[bytes]:
    """What a browser's tab shows."""
    return Response(_ICON, media_type="image/svg+xml", headers=_KEEP)

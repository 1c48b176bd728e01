"""What every stand-in's pages need: templates, safe headers, and the payer's way back to the shop."""

from pathlib import Path
from typing import Final
from urllib.parse import quote

from attrs import field, frozen
from jinja2 import Environment, FileSystemLoader
from markupsafe import escape

from sewapay.standins.exchange import Reply, html_reply
from sewapay.standins.happenings import Left

# No form-action: Chromium holds it against every redirect that follows a form, and the merchant's return_url may send
# the browser on to an address that nobody here can know.
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'"

SHARED: Final = Path(__file__).with_name("templates")


@frozen
class Templates:
    """The pages in a stand-in's folder `templates`, written in jinja; what is not there is taken from those in ours.

    Its `base.html` extends our `stand_in.html`, sets `company` to the name that people know, and has a block `colours`.
    """

    folder: Path
    _environment: Environment = field(init=False, repr=False)

    @_environment.default
    def _reading_both(self) -> Environment:
        return Environment(
            loader=FileSystemLoader([self.folder, SHARED]), autoescape=True, trim_blocks=True, lstrip_blocks=True
        )

    def page(self, status: int, template: str, **values: str) -> Reply:
        """One page. It takes no script, and is kept by no browser."""
        return html_reply(status, self._environment.get_template(template).render(**values), *_headers(POLICY))


def rupees(paisa: int) -> str:
    """An amount as pages show it: 113000 paisa are `Rs 1,130.00`."""
    return f"Rs {paisa // 100:,}.{paisa % 100:02}"


def back_to_shop(left: Left) -> Reply:
    """The payer's browser goes to the merchant: by 302, or twice by a page when it is to come back twice.

    The address may hold letters that a header may not; those are percent-encoded.
    """
    address = quote(left.return_url, safe="".join(map(chr, range(0x21, 0x7F))))
    if left.times == 1:
        return Reply(status=302, content_type="", headers=(("location", address), ("cache-control", "no-store")))
    return _twice(address)


def _twice(address: str) -> Reply:
    """A page that loads the return address as a picture, without showing it, and goes there when that is done."""
    address = str(escape(address))
    page = (
        '<!doctype html><html lang="en"><head><title>Back to the shop</title><link rel="icon" href="data:,">'
        f'<meta http-equiv="refresh" content="0;url={address}"></head>'
        f'<body><p>Back to the shop, twice ...</p><img src="{address}" alt="" width="1" height="1"></body></html>'
    )
    return html_reply(200, page, *_headers(POLICY.replace("img-src data:", "img-src data: *")))


def _headers(policy: str) -> tuple[tuple[str, str], ...]:
    return (("content-security-policy", policy), ("cache-control", "no-store"), ("referrer-policy", "no-referrer"))

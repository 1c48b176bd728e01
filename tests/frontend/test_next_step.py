"""How our pages send a browser on to a gateway: at once where their own policy allows it, else by a page that asks."""

import pytest
from litestar.status_codes import HTTP_200_OK, HTTP_303_SEE_OTHER

from sewapay.adapters.web.languages import Language
from sewapay.adapters.web.pages import Pages
from sewapay.domain.checkout import Redirect

OURS = "https://sewapay.example"
SOURCES = ("https://khalti.example", "https://*.khalti.example", "http://127.0.0.1:8901", "https://other.example:443")


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("https://khalti.example/?pidx=1", HTTP_303_SEE_OTHER),
        ("https://pay.khalti.example/?pidx=1", HTTP_303_SEE_OTHER),
        ("https://a.b.khalti.example/", HTTP_303_SEE_OTHER),
        ("https://PAY.khalti.example/", HTTP_303_SEE_OTHER),
        ("https://pay.khalti.example:443/", HTTP_303_SEE_OTHER),
        ("https://other.example/", HTTP_303_SEE_OTHER),
        ("http://127.0.0.1:8901/?pidx=1", HTTP_303_SEE_OTHER),
        (f"{OURS}/return/1/", HTTP_303_SEE_OTHER),
        ("http://pay.khalti.example/", HTTP_200_OK),
        ("https://pay.khalti.example:8443/", HTTP_200_OK),
        ("https://notkhalti.example/", HTTP_200_OK),
        ("https://pay.khalti.example.evil.example/", HTTP_200_OK),
        ("https://pay.khalti.example@evil.example/", HTTP_200_OK),
        ("http://127.0.0.1:8902/", HTTP_200_OK),
        ("https://pay.khalti.example:port/", HTTP_200_OK),
    ],
)
def test_a_redirect_leads_only_where_the_policy_lets_a_form_end(url: str, status: int) -> None:
    pages = Pages(OURS, lambda: SOURCES)

    answer = pages.next_step(Redirect(url), Language.ENGLISH, form_page="/form/")

    assert status == answer.status_code

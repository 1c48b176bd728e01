from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sewapay.application.errors import ReturnUrlRefused
from sewapay.application.return_urls import ReturnOrigins

SHOP = ReturnOrigins(
    origins=frozenset({"https://shop.example", "http://intranet.example:8080", "https://[2001:db8::1]"})
)
DEVELOPMENT = ReturnOrigins(origins=frozenset({"https://shop.example"}), any_loopback=True)


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example",
        "https://shop.example/",
        "https://shop.example/payment/callback?booking=1",
        "https://shop.example/#/done",
        "https://shop.example?next=//evil.example",
        "https://shop.example#@evil.example",
        "https://shop.example/@evil.example",
        "https://shop.example:443/done",
        "https://SHOP.example/Done",
        "HTTPS://shop.example/done",
        "http://intranet.example:8080/done",
        "https://[2001:db8::1]/done",
        "https://[2001:DB8::1]:443/done",
        "https://shop.example/%E0%A4%98%E0%A4%B0",
        "https://shop.example/" + "x" * 2027,
    ],
)
def test_an_address_of_an_allowed_origin_is_taken_as_it_is(url: str) -> None:
    assert url == SHOP.require(url)


@pytest.mark.parametrize(
    "url",
    [
        # another host that looks like ours
        "https://evil.example",
        "https://shop.example.evil.example/",
        "https://evil-shop.example/",
        "https://evil.shop.example/",
        "https://shop.example./",
        "https://shop.example%2eevil.example/",
        "https://shop.example%00.evil.example/",
        "https://shop.example;.evil.example/",
        "https://shop.example,evil.example/",
        "https://shop_example/",
        "https://xn--shp-0na.example/",
        # another scheme or port
        "http://shop.example/",
        "https://shop.example:8443/",
        "https://shop.example:80/",
        "https://shop.example:0/",
        "https://shop.example:65536/",
        "https://shop.example:-443/",
        "https://shop.example:four/",
        "http://intranet.example/",
        "https://intranet.example:8080/",
        "javascript:alert(1)",
        "javascript://shop.example/%0aalert(1)",
        "data:text/html,<script>",
        "ftp://shop.example/",
        "ws://shop.example/",
        # who is the user, who is the host
        "https://shop.example@evil.example/",
        "https://user@shop.example/",
        "https://user:secret@shop.example/",
        "https://:@shop.example/",
        "https://@shop.example/",
        "https://evil.example@shop.example/",
        "https://evil.example#@shop.example/",
        "https://evil.example?@shop.example/",
        # slashes
        "//shop.example/",
        "///shop.example/",
        "https:///shop.example/",
        "https:shop.example/",
        "https:/shop.example/",
        "https://\\shop.example/",
        "https:\\\\shop.example\\",
        "https://evil.example\\@shop.example/",
        "https://evil.example\\.shop.example/",
        "/payment/callback",
        "shop.example/payment",
        "",
        # what browsers drop or turn into something else
        " https://shop.example/",
        "https://shop.example/ ",
        "https://shop.example/a b",
        "https://shop.\texample/",
        "ht\ntps://shop.example/",
        "https://shop.example/\r\nSet-Cookie:a=b",
        "https://shop.example/\x00",
        "https://shop.example/\x7f",
        "https://shöp.example/",
        "https://ｓhop.example/",
        "https://shop。example/",
        "https://shop.example/\u202e",
        "https://shop.example/घर",
        # brackets
        "https://[2001:db8::2]/",
        "https://[2001:db8::1/",
        "https://2001:db8::1]/",
        "https://evil.example[2001:db8::1]/",
        "https://[2001:db8::1]evil.example/",
        "https://[2001:db8::1].evil.example/",
        "https://[fe80::1%25eth0]/",
        "https://[shop.example]/",
        "https://[::ffff:127.0.0.1]/",
        # endless
        "https://shop.example/" + "x" * 2028,
    ],
)
def test_every_other_address_is_refused(url: str) -> None:
    with pytest.raises(ReturnUrlRefused):
        SHOP.require(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:3000/done",
        "https://localhost/",
        "http://127.0.0.1:5173/",
        "http://[::1]:3000/",
        "http://LOCALHOST",
    ],
)
def test_a_developers_own_machine_is_allowed_where_that_was_asked_for(url: str) -> None:
    assert url == DEVELOPMENT.require(url)

    with pytest.raises(ReturnUrlRefused):
        SHOP.require(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost.evil.example/",
        "http://127.0.0.1.evil.example/",
        "http://evil.example[::1]/",
        "http://[::1]evil.example/",
        "http://[::1]@evil.example/",
        "http://127.0.0.1@evil.example/",
        "http://localhost@evil.example:3000/",
        "http://0.0.0.0:3000/",
        "http://127.1/",
        "http://2130706433/",
        "http://localhost\\@evil.example/",
    ],
)
def test_what_only_looks_like_the_own_machine_is_refused(url: str) -> None:
    with pytest.raises(ReturnUrlRefused):
        DEVELOPMENT.require(url)


def test_the_refusal_names_the_origin_and_what_to_do() -> None:
    with pytest.raises(ReturnUrlRefused, match=r"may not lead to https://evil\.example:8443: ask the operator"):
        SHOP.require("https://evil.example:8443/secret?token=1")


PIECES = st.sampled_from(
    [
        *("https://", "http://", "https:", "//", "/", "\\", "@", ":", ":443", ":80", "?", "#", "[", "]", "%40", "%2f"),
        *("shop.example", "evil.example", ".evil.example", "localhost", "127.0.0.1", "::1", "user", ".", "\t", " "),
    ]
)


@settings(max_examples=4000)
@given(st.lists(PIECES, min_size=1, max_size=8).map("".join))
def test_whatever_is_put_together_leads_to_an_allowed_origin_or_nowhere(url: str) -> None:
    try:
        taken = DEVELOPMENT.require(url)
    except ReturnUrlRefused:
        return

    authority = urlsplit(taken).netloc.lower()
    host = authority.rpartition(":")[0] if not authority.endswith("]") and ":" in authority else authority
    assert host in {"shop.example", "localhost", "127.0.0.1", "[::1]"}
    assert not set(" \t\\@") & set(taken.partition("//")[2].partition("/")[0].partition("?")[0].partition("#")[0])


@settings(max_examples=1000)
@given(st.text(max_size=60))
def test_any_text_is_an_allowed_address_or_refused(text: str) -> None:
    for url in (text, f"https://{text}", f"https://shop.example{text}", f"http://localhost{text}"):
        try:
            assert url == DEVELOPMENT.require(url)
        except ReturnUrlRefused:
            continue

        assert urlsplit(url).hostname in {"shop.example", "localhost", "127.0.0.1", "::1"}

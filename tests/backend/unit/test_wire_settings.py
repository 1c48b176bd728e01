"""Settings of any gateway: what is taken, what is refused and by which sentence, and what is never shown."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sewapay.domain.money import Money
from sewapay.wire.settings import (
    Address,
    Secret,
    is_loopback,
    read_address,
    read_deadline,
    read_minutes,
    read_paisa,
    read_secret,
)

EXAMPLE = "https://pay.example/api"

# `printf %s 'open sesame' | sha256sum`, and the same of `OPEN SESAME`
OPEN_SESAME = "41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb"
SHOUTED = "6278571567bd45616c6fdbefe6f8119607fa9e0bcd524370797496694511ca60"


def secret(text: str, wrong: list[str]) -> Secret | None:
    return read_secret("TINYPAY_KEY", text, wrong)


def address(text: str, wrong: list[str]) -> Address:
    return read_address("TINYPAY_URL", text, wrong, example=EXAMPLE)


def paisa(text: str, wrong: list[str]) -> Money | None:
    return read_paisa("TINYPAY_MOST", text, wrong, least=Money(100))


def deadline(text: str, wrong: list[str]) -> float:
    return read_deadline("TINYPAY_SECONDS", text, wrong)


def minutes(text: str, wrong: list[str]) -> timedelta:
    return read_minutes("TINYPAY_LIFE", text, wrong, default="15", longest=timedelta(hours=24))


READERS: list[Callable[[str, list[str]], object]] = [secret, address, paisa, deadline, minutes]


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (secret, "8gBm/:&EnhH.1/q", Secret("8gBm/:&EnhH.1/q")),
        (secret, " k ", Secret("k")),
        (secret, "x" * 256, Secret("x" * 256)),
        (secret, "", None),
        (secret, " \t", None),
        (paisa, "100", Money(100)),
        (paisa, " 10000000 ", Money(10_000_000)),
        (paisa, "0100", Money(100)),
        (paisa, "", None),
        (deadline, "", 10.0),
        (deadline, "12", 12.0),
        (deadline, "0.001", 0.001),
        (minutes, "", timedelta(minutes=15)),
        (minutes, "1", timedelta(minutes=1)),
        (minutes, "1440", timedelta(days=1)),
    ],
)
def test_what_can_be_used_is_read_and_nothing_is_said(
    read: Callable[[str, list[str]], Any], text: str, value: object
) -> None:
    wrong: list[str] = []

    assert read(text, wrong) == value

    assert wrong == []


@pytest.mark.parametrize(
    ("read", "text", "sentence"),
    [
        (secret, "two words", "TINYPAY_KEY has 1 to 256 visible ASCII characters, without spaces in it"),
        (secret, "x" * 257, "TINYPAY_KEY has 1 to 256 visible ASCII characters, without spaces in it"),
        (secret, "गोप्य", "TINYPAY_KEY has 1 to 256 visible ASCII characters, without spaces in it"),
        (address, "", "TINYPAY_URL is an address such as https://pay.example/api, without user, query or fragment"),
        (
            address,
            "https://a:b@pay.example",
            "TINYPAY_URL is an address such as https://pay.example/api, without user, query or fragment",
        ),
        (
            address,
            "http://pay.example",
            "TINYPAY_URL begins with https://, unless it is on this machine (127.0.0.1, localhost)",
        ),
        (paisa, "99", "TINYPAY_MOST is a whole number of paisa, 100 or more"),
        (paisa, "100.0", "TINYPAY_MOST is a whole number of paisa, 100 or more"),
        (paisa, "१००", "TINYPAY_MOST is a whole number of paisa, 100 or more"),
        (paisa, "9" * 16, "TINYPAY_MOST is a whole number of paisa, 100 or more"),
        (paisa, "9" * 5000, "TINYPAY_MOST is a whole number of paisa, 100 or more"),
        (deadline, "0", "TINYPAY_SECONDS is a number of seconds above 0, at most 12"),
        (deadline, "12.001", "TINYPAY_SECONDS is a number of seconds above 0, at most 12"),
        (deadline, "1e1", "TINYPAY_SECONDS is a number of seconds above 0, at most 12"),
        (minutes, "0", "TINYPAY_LIFE is a whole number of minutes, from 1 to 1440"),
        (minutes, "1441", "TINYPAY_LIFE is a whole number of minutes, from 1 to 1440"),
        (minutes, "1.5", "TINYPAY_LIFE is a whole number of minutes, from 1 to 1440"),
        (minutes, "9" * 5000, "TINYPAY_LIFE is a whole number of minutes, from 1 to 1440"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_sentence_with_the_variables_name(
    read: Callable[[str, list[str]], object], text: str, sentence: str
) -> None:
    wrong = ["what was wrong before"]

    read(text, wrong)

    assert wrong == ["what was wrong before", sentence]


@pytest.mark.parametrize("read", READERS)
@given(text=st.text())
def test_no_text_breaks_a_reader_or_is_repeated(read: Callable[[str, list[str]], object], text: str) -> None:
    wrong: list[str] = []

    read(text, wrong)

    assert len(wrong) <= 1
    assert len(text.strip()) < 12 or text not in "".join(wrong)


@pytest.mark.parametrize(
    ("text", "expected", "origin"),
    [
        (
            "https://PAY.example/form/",
            Address(text="https://PAY.example/form", scheme="https", host="pay.example", port=443),
            "https://pay.example:443",
        ),
        (
            "http://[::1]:8902/form",
            Address(text="http://[::1]:8902/form", scheme="http", host="::1", port=8902),
            "http://[::1]:8902",
        ),
        (
            " http://localhost ",
            Address(text="http://localhost", scheme="http", host="localhost", port=80),
            "http://localhost:80",
        ),
    ],
)
def test_an_address_comes_in_parts_without_a_slash_at_its_end(text: str, expected: Address, origin: str) -> None:
    wrong: list[str] = []

    read = address(text, wrong)

    assert (read, read.origin, wrong) == (expected, origin, [])


@pytest.mark.parametrize("host", ["localhost", "shop.localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_this_machine_is_known_by_name_and_number(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "localhost.example", "128.0.0.1", "::", "10.0.0.1", "127.0.0.1.example"])
def test_no_other_machine_passes_for_it(host: str) -> None:
    assert not is_loopback(host)


def test_a_secret_is_shown_by_nothing_but_reveal() -> None:
    key = Secret("open sesame")

    assert key.reveal() == "open sesame"
    assert "sesame" not in f"{key} {key!r} {[key]} { ({'key': key}) }"


def test_a_published_key_is_known_by_its_digest_as_it_is_written() -> None:
    key = Secret("open sesame")

    assert key.is_among({OPEN_SESAME, SHOUTED})
    assert not key.is_among({SHOUTED})
    assert not key.is_among(frozenset())

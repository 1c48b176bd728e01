"""Hostile answers: three hundred by hand and thousands made of them, none of which may be taken for a success.

What counts as a success is decided here a second time, by hand, from Khalti's documentation.
"""

import gzip
import itertools
import json
import os
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import pytest

from sewapay.adapters.khalti import protocol
from sewapay.application.errors import GatewayError
from sewapay.domain.observation import Reported
from sewapay.wire.answers import Answer

SEED: Final = 20260115
GENERATED: Final = int(os.environ.get("SEWAPAY_HOSTILE_ANSWERS") or 5_000)

PIDX: Final = "HT6o6PEZRWFJ5ygavzHWd5"
PAID: Final[Mapping[str, object]] = {
    "pidx": PIDX,
    "total_amount": 1000,
    "status": "Completed",
    "transaction_id": "GFq9PFS7b2iYvL8Lir9oXe",
    "fee": 0,
    "refunded": False,
}
LINK: Final[Mapping[str, object]] = {
    "pidx": "bZQLD9wRVWo4CdESSfuSsB",
    "payment_url": "https://test-pay.khalti.com/?pidx=bZQLD9wRVWo4CdESSfuSsB",
    "expires_at": "2023-05-25T16:26:16.471649+05:45",
    "expires_in": 1800,
}
YES: Final[Mapping[str, object]] = {"detail": "Transaction refund successful."}

MONEY: Final = frozenset({Reported.COMPLETED, Reported.PARTIALLY_REFUNDED, Reported.REFUNDED})
MONEY_WORDS: Final = frozenset({"completed", "partially refunded", "refunded"})

NO_TEXTS: Final[tuple[object, ...]] = (
    *(None, True, False, 0, 1, -1, 1.5, [], {}, ["Completed"], {"status": "Completed"}),
    *("", " ", "\t", "\n", "\x00", "\u202e", "\ufeff", "\u200b"),
)
NO_AMOUNTS: Final[tuple[object, ...]] = (
    *("1000", "1000.0", "1e3", "", " 1000", "1,000", "Rs 10", "١٠٠٠", "१०००", "0x3e8", "1_000", "NaN", "Infinity"),
    *(1000.0, 1000.5, 999.9999999, 1e3, 1e300, -0.0, 0.1, 10.0, -1, -1000, -(2**63), 2**63, 2**64, 10**18, 10**30),
    *(True, False, None, [], [1000], {}, {"paisa": 1000}),
)
NO_PIDX: Final[tuple[object, ...]] = (
    *(None, "", " ", 0, 22, 1.5, True, [], [PIDX], {}, {"pidx": PIDX}),
    *(f" {PIDX}", f"{PIDX} ", f"{PIDX}\n", f"{PIDX}\x00", f"{PIDX}\u200b", f"{PIDX}/..", f"{PIDX}?a=b", f"{PIDX}#"),
    *("НТ6о6РЕZRWFJ5ygavzHWd5", "x" * 129, "../../etc/passwd", "' OR 1=1 --", "<script>", "%00", "é" * 22),
)
NO_TRANSACTIONS: Final[tuple[object, ...]] = (
    *(None, "", " ", 0, 1, 1.5, True, False, [], {}, ["t"], {"id": "t"}),
    *("with a space", "line\nbreak", "\x00", "é", "x" * 129, "\u202etxet", "\x7f", "\t", "a\rb", "💸", "\ud7ff"),
)
OTHER_WORDS: Final = (
    *("Complete", "Completedd", "completed!", "Com pleted", "C ompleted", "Completed.", "Completed,", "Not Completed"),
    *("Сompleted", "Cоmpleted", "Completеd", "ＣＯＭＰＬＥＴＥＤ", "Ｃompleted", "Completed✓", "सम्पन्न", "पूरा"),
    *("Success", "success", "SUCCESSFUL", "OK", "Paid", "paid", "Done", "true", "True", "1", "0", "yes", "Y", "200"),
    *("Ambiguous", "Confirmed", "Processing", "Settled", "Captured", "Authorized", "null", "None", "undefined"),
    *("Completed;Refunded", "Completed|Pending", "Completed/Pending", "Pending Completed", "Completed Pending"),
    *("Partial", "Partially", "PartiallyRefunded", "partially_refunded", "Refund", "Refundedd", "Un-refunded"),
)
NO_TRUTHS: Final[tuple[object, ...]] = ("true", "false", 0, 1, "", [], {}, 0.0, "True", "no", -1, [False])
STATUSES: Final = (
    *(100, 101, 103, 204, 205, 206, 226, 300, 301, 302, 303, 304, 305, 307, 308, 401, 402, 403, 405, 406, 407, 408),
    *(409, 410, 411, 412, 413, 414, 415, 418, 421, 423, 424, 425, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504),
    *(505, 507, 508, 511, 520, 522, 524, 599),
)
KINDS: Final = (
    *("", "text/html", "text/plain", "text/json", "text/javascript", "application/xml", "application/octet-stream"),
    *("application/jsonx", "application/json5", "application/x-json", "application/ld+json", "application/hal+json"),
    *("application/json; charset=utf-16", "application/json; charset=latin-1", "application/json;charset=ascii"),
    *("json", "*/*", "application/*", "application / json", "multipart/form-data", "application/problem+json"),
)
SPOILT: Final[tuple[Callable[[bytes], bytes], ...]] = (
    lambda body: b"",
    lambda body: b" ",
    lambda body: b"null",
    lambda body: b"true",
    lambda body: b"0",
    lambda body: b'"Completed"',
    lambda body: b"[]",
    lambda body: b"{}",
    lambda body: b"[" + body + b"]",
    lambda body: b"{" + body + b"}",
    lambda body: body[:-1],
    lambda body: body[1:],
    lambda body: body[: len(body) // 2],
    lambda body: body * 2,
    lambda body: body + b"\n" + body,
    lambda body: body + b"{}",
    lambda body: body + b"\x00",
    lambda body: b"\x00" + body,
    lambda body: b"\xef\xbb\xbf" + body,
    lambda body: b")]}'\n" + body,
    lambda body: b"callback(" + body + b")",
    lambda body: b"// ok\n" + body,
    lambda body: b"<!doctype html><title>Completed</title>",
    lambda body: b"<html><body>" + body + b"</body></html>",
    lambda body: body.replace(b'"', b"'"),
    lambda body: body.replace(b":", b"="),
    lambda body: body.replace(b"}", b",}"),
    lambda body: body.decode().encode("utf-16"),
    lambda body: body.decode().encode("utf-32"),
    lambda body: body.decode().encode("utf-7").replace(b"{", b"+AHs-"),
    lambda body: body.replace(b'"status"', b'"sta\xfftus"'),
    lambda body: b'{"status": "Completed", ' + body[1:],
    lambda body: body[:-1] + b', "status": "Completed"}',
    lambda body: body[:-1] + b', "x": NaN}',
    lambda body: body[:-1] + b', "x": Infinity}',
    lambda body: body[:-1] + b', "x": -Infinity}',
    lambda body: body[:-1] + b', "x": ' + b"9" * 5_000 + b"}",
    lambda body: body[:-1] + b', "x": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    lambda body: b'{"a":' * 12_000,
    lambda body: b"[" * 60_000,
    lambda body: body[:-1] + b', "x": "' + b"x" * 70_000 + b'"}',
    lambda body: body + b" " * 65_536,
    gzip.compress,
    lambda body: b"HTTP/1.1 200 OK\r\n\r\n" + body,
    lambda body: b"a3\r\n" + body + b"\r\n0\r\n\r\n",
)  # fmt: skip


def written(fields: Mapping[str, object]) -> bytes:
    return json.dumps(fields).encode()


def answer(content: bytes, status: int = 200, content_type: str = "application/json") -> Answer:
    return Answer(status=status, content_type=content_type, content=content)


def by_hand() -> Iterator[Answer]:
    """Answers to a look-up, each a paid one but for one thing that makes it none."""
    for name, wrong in (
        ("total_amount", NO_AMOUNTS),
        ("pidx", NO_PIDX),
        ("transaction_id", NO_TRANSACTIONS),
        ("status", (*NO_TEXTS, *OTHER_WORDS)),
        ("refunded", NO_TRUTHS),
    ):
        yield from (answer(written({**PAID, name: value})) for value in wrong)
    for name in ("total_amount", "pidx", "transaction_id", "status"):
        yield answer(written({key: value for key, value in PAID.items() if key != name}))
    yield from (answer(written(PAID), content_type=kind) for kind in KINDS)
    yield from (answer(spoil(written(PAID))) for spoil in SPOILT)
    yield from (answer(written(PAID), status) for status in (*STATUSES, 400, 404) if not 200 <= status <= 299)
    yield from (answer(b"", status) for status in STATUSES)


def _only_object(answered: Answer) -> dict[str, Any]:
    """The one JSON object of an answer, read with as little goodwill as possible; empty for anything else."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) != len(pairs):
            raise ValueError
        return dict(pairs)

    def refuse(_: str) -> None:
        raise ValueError

    kind = answered.content_type.lower().replace(" ", "").replace("utf8", "utf-8")
    if kind not in ("application/json", "application/json;charset=utf-8") or len(answered.content) > 65_536:
        return {}
    try:
        fields = json.loads(answered.content.decode("utf-8"), object_pairs_hook=once, parse_constant=refuse)
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def says_paid(answered: Answer) -> bool:
    """Whether a look-up's answer may be taken for one that money came for."""
    fields = _only_object(answered)
    amount, pidx, word = fields.get("total_amount"), fields.get("pidx"), fields.get("status")
    return (
        200 <= answered.status <= 299  # Khalti's documentation: HTTP 200, and 400 for endings without money
        and isinstance(word, str)
        and word.lower() in MONEY_WORDS
        and type(amount) is int
        and 0 <= amount < 2**63
        and isinstance(pidx, str)
        and pidx.replace("_", "").replace("-", "").isascii()
        and pidx.replace("_", "").replace("-", "").isalnum()
        and (word.lower() != "completed" or (isinstance(fields.get("transaction_id"), str)))
    )


def says_opened(answered: Answer) -> bool:
    """Whether an answer to initiate may be taken for a link to Khalti's own page."""
    fields = _only_object(answered)
    url, pidx = fields.get("payment_url"), fields.get("pidx")
    if not isinstance(url, str) or not isinstance(pidx, str) or not 200 <= answered.status <= 299:
        return False
    scheme, _, rest = url.lower().partition("://")
    host = rest.partition("/")[0].partition("?")[0]
    return scheme == "https" and f".{host}".endswith(".khalti.com") and not set("@\\ \t\n") & set(url)


def says_given_back(answered: Answer) -> bool:
    """Whether an answer to a refund may be taken for a yes."""
    return answered.status == 200 and isinstance(_only_object(answered).get("detail"), str)


def looked_up(answered: Answer) -> bool:
    """Whether a look-up with this answer would be taken for paid. Anything but a `GatewayError` passes through."""
    try:
        return protocol.read_lookup(answered).reported in MONEY
    except GatewayError:
        return False


def opened(answered: Answer) -> bool:
    """Whether an initiate with this answer would hand out a link."""
    try:
        protocol.read_initiate(answered, allowed_origin=None)
    except GatewayError:
        return False
    return True


def given_back(answered: Answer) -> bool:
    """Whether a refund with this answer would be taken as made."""
    try:
        protocol.read_refund(answered)
    except GatewayError:
        return False
    return True


HAND_MADE: Final = tuple(by_hand())


def test_three_hundred_are_made_by_hand() -> None:
    assert len(HAND_MADE) >= 300


def test_the_honest_answers_are_read() -> None:
    assert looked_up(answer(written(PAID)))
    assert opened(answer(written(LINK)))
    assert given_back(answer(written(YES)))


@pytest.mark.fault("F41")
@pytest.mark.fault("F47")
@pytest.mark.fault("F48")
@pytest.mark.invariant("I8")
@pytest.mark.parametrize("number", range(len(HAND_MADE)))
def test_no_answer_made_by_hand_is_a_success(number: int) -> None:
    answered = HAND_MADE[number]

    assert not looked_up(answered)


@pytest.mark.fault("F41")
@pytest.mark.parametrize("number", range(len(SPOILT)))
def test_no_spoilt_body_is_a_link_or_a_refund(number: int) -> None:
    spoil = SPOILT[number]

    for honest, is_taken, may_be in ((LINK, opened, says_opened), (YES, given_back, says_given_back)):
        spoilt = answer(spoil(written(honest)))
        assert not is_taken(spoilt) or may_be(spoilt)


def generated(honest: Mapping[str, object], seed: int) -> Iterator[Answer]:
    """Endlessly: the honest answer after one to four accidents, some of them harmless."""
    chance = random.Random(seed)
    values: tuple[object, ...] = (*NO_TEXTS, *NO_AMOUNTS, *NO_PIDX, *NO_TRANSACTIONS, *OTHER_WORDS, *honest.values())
    while True:
        fields = dict(honest)
        for _ in range(chance.randint(0, 2)):
            name = chance.choice([*honest, "status", "detail", "payment_url", "x", "Status", "pidx "])
            if chance.random() < 0.3:
                fields.pop(name, None)
            else:
                fields[name] = chance.choice(values)
        content = json.dumps(fields, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
        for _ in range(chance.choice((0, 0, 1, 2))):
            content = _after_an_accident(content, chance)
        status = 200 if chance.random() < 0.5 else chance.choice((200, 201, 400, 404, *STATUSES))
        kind = "application/json" if chance.random() < 0.8 else chance.choice(KINDS)
        yield answer(content, status, kind)


def _after_an_accident(content: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(content) + 1)
    accident = chance.randrange(6)
    if accident == 0:
        return content[:place]
    if accident == 1:
        return content[:place] + bytes([chance.randrange(256)]) + content[place:]
    if accident == 2:
        return content[:place] + bytes([chance.randrange(256)]) + content[place + 1 :]
    if accident == 3:
        return content[:place] + content[place + chance.randint(1, 9) :]
    if accident == 4:
        return content[:place] + content[: chance.randint(1, 40)] + content[place:]
    return chance.choice(SPOILT)(content) if len(content) < 10_000 and _is_text(content) else content


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.fault("F41")
@pytest.mark.fault("F45")
@pytest.mark.invariant("I8")
@pytest.mark.invariant("I10")
@pytest.mark.parametrize(
    ("honest", "is_taken", "may_be"),
    [(PAID, looked_up, says_paid), (LINK, opened, says_opened), (YES, given_back, says_given_back)],
    ids=["look-up", "initiate", "refund"],
)
def test_nothing_that_is_generated_is_a_success_unless_it_says_so(
    honest: Mapping[str, object], is_taken: Callable[[Answer], bool], may_be: Callable[[Answer], bool]
) -> None:
    taken = 0
    for number, answered in enumerate(itertools.islice(generated(honest, SEED), GENERATED)):
        if is_taken(answered):
            taken += 1
            assert may_be(answered), f"the answer of this number was taken for a success: {number}"

    assert 0 < taken < GENERATED / 2, "some that are generated have to be honest, and most must not be"

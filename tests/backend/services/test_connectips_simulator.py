"""The connectIPS stand-in over real HTTP: what it answers was typed by hand from NCHL's public pages."""

import base64
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates

from sewapay.adapters.connectips.simulator import STAND_IN, Quirks, Simulator, create_app, merchant_of
from sewapay.adapters.connectips.simulator.certificate import NotOurs, new_pfx, own_file
from sewapay.adapters.connectips.simulator.payment import POSSIBLE_FROM, TOLD, Form, SimulatedPayment, Step, Told
from sewapay.standins.description import Options
from sewapay.testing.servers import run_in_thread

FORM: Final = "/connectipswebgw/loginpage"
VALIDATION: Final = "/connectipswebws/api/creditor/validatetxn"
DETAILS: Final = "/connectipswebws/api/creditor/gettxndetail"
NOON: Final = datetime(2026, 1, 15, 6, 15, 0, 250000, tzinfo=UTC)  # 12:00 in Kathmandu
TXNID: Final = "7Q2M9X4KD8ZT1B6VHR3C"
PFX: Final = new_pfx("opens-it")
KEY: Final = load_key_and_certificates(PFX, b"opens-it")[0]
FIELDS: Final = {
    "MERCHANTID": "980",
    "APPID": "MER-980-APP-1",
    "APPNAME": "Sewa Bazaar",
    "TXNID": TXNID,
    "TXNDATE": "15-01-2026",
    "TXNCRNCY": "NPR",
    "TXNAMT": "113000",
    "REFERENCEID": "77",
    "REMARKS": "House cleaning",
    "PARTICULARS": "House cleaning",
}
BASIC: Final = ("MER-980-APP-1", "secret1")
NO_SUCH: Final = {
    "merchantId": 980,
    "appId": "MER-980-APP-1",
    "referenceId": TXNID,
    "txnAmt": "113000",
    "token": None,
    "status": "ERROR",
    "statusDesc": "TRANSACTION NOT FOUND",
}
"""The documented answer's fields, with the documented words for what nobody performed."""

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    known = merchant_of(PFX, "opens-it", id="980", app_id="MER-980-APP-1", password="secret1")
    quirks = Quirks(return_url="https://shop.example/return/connectips/")
    return Simulator(clock=lambda: NOON, seed=1, merchant=known, quirks=quirks)


@pytest.fixture(scope="module")
def server(simulator: Simulator) -> Iterator[str]:
    with run_in_thread(create_app(simulator)) as base_url:
        yield base_url


@pytest.fixture
def client(simulator: Simulator, server: str) -> Iterator[httpx.Client]:
    simulator.reset()
    with httpx.Client(base_url=server, trust_env=False, timeout=10) as client:
        yield client


def token(text: str) -> str:
    assert isinstance(KEY, RSAPrivateKey)
    return base64.b64encode(KEY.sign(text.encode(), PKCS1v15(), SHA256())).decode()


def signed(**changes: str) -> dict[str, str]:
    """The form, signed as NCHL's docs say."""
    fields = FIELDS | changes
    pairs = ",".join(f"{name}={value}" for name, value in fields.items())
    return {**fields, "TOKEN": token(f"{pairs},TOKEN=TOKEN")}


def entered(client: httpx.Client, **changes: str) -> None:
    answer = client.post(FORM, data=signed(**changes))
    assert answer.status_code == 200, answer.text


def question(**changes: object) -> dict[str, object]:
    asked: dict[str, object] = {
        "merchantId": 980,
        "appId": "MER-980-APP-1",
        "referenceId": TXNID,
        "txnAmt": 113000,
    } | changes
    values = (asked["merchantId"], asked["appId"], asked["referenceId"], asked["txnAmt"])
    text = "MERCHANTID={},APPID={},REFERENCEID={},TXNAMT={}".format(*values)
    return {"token": token(text), **asked}


def look_up(client: httpx.Client, path: str = VALIDATION, **changes: object) -> dict[str, Any]:
    answer = client.post(path, json=question(**changes), auth=BASIC)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def words(client: httpx.Client) -> tuple[str, str]:
    told = look_up(client)
    return told["status"], told["statusDesc"]


def sim(client: httpx.Client, action: str, **more: object) -> httpx.Response:
    return client.post(f"/_sim/{action}", json={"TXNID": TXNID, **more})


def quirks(client: httpx.Client, **changes: object) -> None:
    assert client.post("/_sim/quirks", json=changes).status_code == 200


def ledger(client: httpx.Client) -> dict[str, Any]:
    told: dict[str, Any] = client.get("/_sim/payments").json()
    return told


def carried(page: httpx.Response) -> dict[str, str]:
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))


def test_a_person_chooses_an_account_logs_in_and_pays_with_the_otp(client: httpx.Client) -> None:
    page = client.post(FORM, data=signed())
    confirm = client.post(f"/pay/{TXNID}/login", data={"bank": "2501", "user": "standin", "password": "standin"})

    left = client.post(f"/pay/{TXNID}/pay", data={**carried(confirm), "otp": "123456"})

    assert "Rs 1,130.00" in page.text
    assert "House cleaning" in page.text
    assert left.status_code == 302
    assert left.headers["location"] == f"https://shop.example/return/connectips/?TXNID={TXNID}"
    assert words(client) == ("SUCCESS", "TRANSACTION SUCCESSFUL")


@pytest.mark.parametrize(
    ("button", "status", "told"),
    [
        ("pend", "ERROR", "TRANSACTION INCOMPLETE"),
        ("fail", "FAILED", "TRANSACTION UNSUCCESSFUL"),
    ],
)
def test_a_person_lets_it_pend_or_the_bank_refuse(client: httpx.Client, button: str, status: str, told: str) -> None:
    entered(client)
    confirm = client.post(f"/pay/{TXNID}/login", data={"user": "standin", "password": "standin"})

    left = client.post(f"/pay/{TXNID}/{button}", data={**carried(confirm), "otp": "123456"})

    assert left.headers["location"].endswith(f"?TXNID={TXNID}")
    assert words(client) == (status, told)


@pytest.mark.parametrize("button", ["cancel", "expire"])
def test_who_leaves_the_page_comes_back_and_has_not_paid(client: httpx.Client, button: str) -> None:
    entered(client)

    left = client.post(f"/pay/{TXNID}/{button}")
    again = client.post(f"/pay/{TXNID}/login", data={"user": "standin", "password": "standin"})

    assert left.headers["location"].endswith(f"?TXNID={TXNID}")
    assert words(client) == ("ERROR", "TRANSACTION INCOMPLETE")
    assert again.status_code == 409
    assert "Nothing can be paid here any more" in again.text


def test_the_page_takes_no_wrong_user_no_wrong_otp_and_no_stranger(client: httpx.Client) -> None:
    entered(client)

    wrong_user = client.post(f"/pay/{TXNID}/login", data={"user": "standin", "password": "?"})
    stranger = client.post(f"/pay/{TXNID}/pay", data={"ticket": "", "otp": "123456"})
    confirm = client.post(f"/pay/{TXNID}/login", data={"user": "standin", "password": "standin"})
    wrong_otp = client.post(f"/pay/{TXNID}/pay", data={**carried(confirm), "otp": "1"})

    assert [page.status_code for page in (wrong_user, stranger, wrong_otp)] == [422, 422, 422]
    assert words(client) == ("ERROR", "TRANSACTION INCOMPLETE")


def test_a_session_ends_by_the_clock(client: httpx.Client) -> None:
    entered(client)
    sim(client, "login")
    client.post("/_sim/clock", json={"advance_seconds": 601})

    assert sim(client, "pend").json()["status"] == "TRANSACTION INCOMPLETE"
    assert ledger(client)["payments"][0]["dies_at"] == "2026-01-15T12:10:00.250000+05:45"


def test_other_addresses_are_not_there(client: httpx.Client) -> None:
    assert client.get("/").status_code == 200
    assert client.get("/pay/NOBODY/login").status_code == 404
    assert client.post(f"/pay/{TXNID}/dance").status_code == 404
    assert client.get("/connectipswebgw/").status_code == 404
    assert client.get(FORM).status_code == 405
    assert client.get(VALIDATION).status_code == 405
    assert client.post(FORM, content=b"x" * 2_000_000).status_code == 413


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"REMARKS": ""}, "field-missing"),
        ({"TXNID": "7" * 21}, "field-too-long"),
        ({"REMARKS": "x" * 51}, "field-too-long"),
        ({"PARTICULARS": "x" * 101}, "field-too-long"),
        ({"APPNAME": "x" * 31}, "field-too-long"),
        ({"REFERENCEID": "7" * 21}, "field-too-long"),
        ({"MERCHANTID": "981"}, "unknown-merchant"),
        ({"APPID": "MER-980-APP-2"}, "unknown-merchant"),
        ({"TXNCRNCY": "USD"}, "currency"),
        ({"TXNAMT": "1130.00"}, "no-amount"),
        ({"TXNAMT": "0"}, "no-amount"),
        ({"TXNDATE": "2026-01-15"}, "no-date"),
        ({"TXNDATE": "31-02-2026"}, "no-date"),
        ({"REMARKS": "a,b"}, "ambiguous"),
        ({"PARTICULARS": "a=b"}, "ambiguous"),
    ],
)
def test_a_form_is_checked_field_by_field(client: httpx.Client, changes: dict[str, str], code: str) -> None:
    page = client.post(FORM, data=signed(**changes))

    assert page.status_code == 400
    assert f'<code id="code">{code}</code>' in page.text
    assert ledger(client)["payments"] == []


@pytest.mark.parametrize("name", list(FIELDS))
def test_a_form_whose_signature_covers_something_else_is_refused(client: httpx.Client, name: str) -> None:
    changed = {"TXNAMT": "113001", "TXNDATE": "16-01-2026"}.get(name, FIELDS[name][:-1] + "9")

    page = client.post(FORM, data={**signed(), name: changed})

    assert page.status_code == 400
    assert "token" in page.text or "unknown-merchant" in page.text or "currency" in page.text


@pytest.mark.parametrize("claimed", ["x", "AAAA", "!", "é"])
def test_what_is_no_signature_is_refused(client: httpx.Client, claimed: str) -> None:
    assert '<code id="code">token</code>' in client.post(FORM, data={**signed(), "TOKEN": claimed}).text


def test_a_reference_is_good_for_one_form(client: httpx.Client) -> None:
    entered(client)

    again = client.post(FORM, data=signed())

    assert '<code id="code">txnid-used</code>' in again.text
    assert ledger(client)["payments"][0]["posts"] == 2


def test_a_script_enters_the_form_as_a_browser_would(client: httpx.Client) -> None:
    first = client.post("/_sim/enter", json=signed())
    second = client.post("/_sim/enter", json=signed())
    third = client.post("/_sim/enter", json=FIELDS)

    assert first.json()["status"] == "TRANSACTION INCOMPLETE"
    assert (second.status_code, third.status_code) == (409, 400)
    assert ledger(client)["posts_seen"] == 3


def test_a_look_up_answers_with_the_documented_fields(client: httpx.Client) -> None:
    before = look_up(client)
    entered(client)
    sim(client, "pay")

    after = look_up(client)

    assert before == NO_SUCH
    assert after == {**NO_SUCH, "status": "SUCCESS", "statusDesc": "TRANSACTION SUCCESSFUL"}


def test_another_amount_finds_nothing(client: httpx.Client) -> None:
    entered(client)
    sim(client, "pay")

    assert look_up(client, txnAmt=113001) == {**NO_SUCH, "txnAmt": "113001"}


def test_the_details_have_the_documented_fields(client: httpx.Client, simulator: Simulator) -> None:
    entered(client)
    unpaid = look_up(client, DETAILS)
    sim(client, "pay")

    answer = client.post(DETAILS, json=question(), auth=BASIC)

    number = simulator.find(TXNID).number
    assert number
    assert unpaid == {**NO_SUCH, "statusDesc": "TRANSACTION INCOMPLETE"}
    assert '"txnAmt":113000.00' in answer.text
    assert answer.json() == {
        "status": "SUCCESS",
        "statusDesc": "TRANSACTION SUCCESSFUL",
        "merchantId": 980,
        "appId": "MER-980-APP-1",
        "referenceId": TXNID,
        "txnAmt": 113000.0,
        "token": None,
        "debitBankCode": "2501",
        "txnId": number,
        "batchId": 700_000_000 + number,
        "txnDate": 1768457700250,
        "txnCrncy": None,
        "chargeAmt": 200.0,
        "chargeLiability": "CG",
        "refId": "77",
        "remarks": "House cleaning",
        "particulars": "House cleaning",
        "creditStatus": "000",
    }


@pytest.mark.parametrize("path", [VALIDATION, DETAILS])
def test_a_look_up_needs_the_password(client: httpx.Client, path: str) -> None:
    for auth in (("MER-980-APP-1", "secret2"), ("MER-980-APP-2", "secret1")):
        assert client.post(path, json=question(), auth=auth).status_code == 401
    assert client.post(path, json=question()).status_code == 401


@pytest.mark.parametrize(
    "changes",
    [
        {"merchantId": "980"},
        {"txnAmt": "113000"},
        {"txnAmt": True},
        {"appId": None},
        {"referenceId": 7},
        {"merchantId": 981},
        {"token": "AAAA"},
        {"token": None},
    ],
)
def test_a_question_that_is_not_the_documented_one_is_an_error(
    client: httpx.Client, changes: dict[str, object]
) -> None:
    entered(client)

    told = client.post(VALIDATION, json=question(**changes), auth=BASIC).json()

    assert told["status"] == "ERROR"
    assert "TRANSACTION" not in told["statusDesc"]


def test_a_question_that_is_no_json_is_refused(client: httpx.Client) -> None:
    assert client.post(VALIDATION, content=b"{", auth=BASIC).status_code == 400
    assert client.post(VALIDATION, json=[], auth=BASIC).json()["status"] == "ERROR"


def test_a_late_payment_is_possible_and_a_second_one_is_not(client: httpx.Client) -> None:
    entered(client)
    for action in ("cancel", "pay"):
        assert sim(client, action).status_code == 200

    assert words(client) == ("SUCCESS", "TRANSACTION SUCCESSFUL")
    assert [sim(client, action).status_code for action in ("pay", "cancel", "fail")] == [409, 409, 409]
    assert client.post("/_sim/pay", json={"TXNID": "NOBODY"}).status_code == 404


def test_its_ledger_is_the_statement_that_every_stand_in_gives(client: httpx.Client) -> None:
    entered(client)
    before = ledger(client)["payments"][0]
    sim(client, "pay")
    sim(client, "refund", amount=3000)

    shown = ledger(client)

    (line,) = shown["payments"]
    names = ("amount", "status", "reported", "refunded_amount")
    assert shown["gateway"] == "connectips"
    assert line["reference"] == line["order_reference"] == line["TXNID"]
    assert [before[name] for name in names] == [113000, "TRANSACTION INCOMPLETE", "absent", 0]
    assert [line[name] for name in names] == [113000, "TRANSACTION SUCCESSFUL", "completed", 3000]
    assert (before["transaction_id"], line["transaction_id"].isdigit()) == (None, True)
    assert [(refund["amount"], refund["by"]) for refund in line["refunds"]] == [(3000, "panel")]


def test_what_was_given_back_by_hand_shows_in_no_look_up(client: httpx.Client) -> None:
    entered(client)
    too_early = sim(client, "refund")
    sim(client, "pay")

    part, rest, more = sim(client, "refund", amount=3000), sim(client, "refund"), sim(client, "refund")

    assert [answer.status_code for answer in (too_early, part, rest, more)] == [409, 200, 200, 409]
    assert ledger(client)["payments"][0]["refunded_amount"] == 113000
    assert words(client) == ("SUCCESS", "TRANSACTION SUCCESSFUL")


@pytest.mark.parametrize(
    ("changes", "address"),
    [
        ({"double_question_mark": True}, f"https://shop.example/return/connectips/?TXNID={TXNID}?TXNID={TXNID}"),
        ({"return_url": "https://a.example/?shop=1"}, f"https://a.example/?shop=1&TXNID={TXNID}"),
        (
            {"return_url": "https://a.example/?shop=1", "double_question_mark": True},
            f"https://a.example/?shop=1?TXNID={TXNID}?TXNID={TXNID}",
        ),
    ],
)
def test_where_browsers_are_sent_varies(client: httpx.Client, changes: dict[str, object], address: str) -> None:
    quirks(client, **changes)
    entered(client)

    assert sim(client, "pay").json()["return_url"] == address


def test_what_look_ups_say_varies(client: httpx.Client) -> None:
    entered(client)
    quirks(client, number=True, misspelled=True, details=False, lag_lookups=1)
    sim(client, "pay")

    lagging, told = look_up(client), look_up(client)

    assert (lagging["status"], lagging["statusDesc"]) == ("ERROR", "TRANSACTION INCOMPLETE")
    assert (told["txnAmt"], told["statusDesc"]) == (113000, "TRANSACTION SUCESSFULL")
    assert client.post(DETAILS, json=question(), auth=BASIC).status_code == 404


@pytest.mark.parametrize(
    ("fault", "changes"),
    [
        ({"fault": "wrong_reference"}, {"referenceId": "SOMEBODYELSESPAYMENT"}),
        ({"fault": "wrong_amount", "delta": -1}, {"txnAmt": "112999"}),
        ({"fault": "status_word", "word": "DONE"}, {"status": "DONE"}),
        ({"fault": "lag"}, {"status": "ERROR", "statusDesc": "TRANSACTION INCOMPLETE"}),
        ({"fault": "wrong_amount", "TXNID": "ANOTHERS"}, {}),
    ],
)
def test_faults_know_its_words(client: httpx.Client, fault: dict[str, object], changes: dict[str, object]) -> None:
    entered(client)
    sim(client, "pay")
    armed = client.post("/_sim/faults", json={"on": "validatetxn", **fault})

    spoiled = look_up(client)

    assert armed.status_code == 200, armed.text
    assert spoiled == {**NO_SUCH, "status": "SUCCESS", "statusDesc": "TRANSACTION SUCCESSFUL", **changes}


def test_every_step_has_its_word_and_its_way_there() -> None:
    assert set(TOLD) == set(Step)
    assert set(POSSIBLE_FROM) == set(Step) - {Step.ENTERED}
    assert {told.value: told.status for told in Told} == {
        "TRANSACTION SUCCESSFUL": "SUCCESS",
        "TRANSACTION UNSUCCESSFUL": "FAILED",
        "TRANSACTION INCOMPLETE": "ERROR",
        "TRANSACTION NOT FOUND": "ERROR",
    }


def test_a_payment_shows_nothing_of_the_future() -> None:
    payment = SimulatedPayment(form=Form(txn_id=TXNID, amount=1, posted={}), entered_at=NOON)

    assert payment.logged_in(NOON, seconds=1, lag=0).step(NOON) is Step.LOGGED_IN
    assert payment.told(NOON) is Told.INCOMPLETE


def test_its_own_merchant_has_a_file_that_only_its_user_may_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    one, other = own_file(), own_file()

    assert one == other
    assert merchant_of(one.read_bytes(), "stand-in").id == "550"
    assert [path.name for path in one.parent.iterdir()] == ["merchant.pfx"]
    assert stat.S_IMODE(one.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(one.stat().st_mode) == 0o600
    assert STAND_IN.environ("http://127.0.0.1:8903")["CONNECTIPS_PFX"] == str(one)


def test_a_folder_that_others_may_write_to_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = tmp_path / f"sewapay-connectips-{os.getuid()}"
    folder.mkdir(mode=0o755)
    with pytest.raises(NotOurs):
        own_file()
    folder.rmdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    folder.symlink_to(elsewhere)
    with pytest.raises(NotOurs):
        own_file()


def test_whoever_runs_it_may_choose_the_password_and_says_where_the_service_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with run_in_thread(STAND_IN.create_app(Options(secret_key="mine", public_url="http://127.0.0.1:8001"))) as address:
        refused = httpx.post(address + VALIDATION, auth=("MER-550-APP-1", "stand-in"), trust_env=False)
        taken = httpx.post(address + VALIDATION, auth=("MER-550-APP-1", "mine"), trust_env=False)
        now = httpx.get(f"{address}/_sim/quirks", trust_env=False).json()

    assert (refused.status_code, taken.status_code) == (401, 400)
    assert now["return_url"] == "http://127.0.0.1:8001/return/connectips/"
    with pytest.raises(ValueError, match="password"):
        STAND_IN.create_app(Options(secret_key=""))


def test_it_is_run_by_a_command_that_says_how_to_use_it() -> None:
    program = (sys.executable, "-c", "from sewapay.entrypoints.cli import main; main()", "simulate", "connectips")

    done = subprocess.run([*program, "--help"], capture_output=True, text=True, check=True)

    text = " ".join(done.stdout.split())
    assert "connectIPS's stand-in" in text
    assert "CONNECTIPS_BASE_URL=http://127.0.0.1:8903" in text
    assert "merchant.pfx" in text

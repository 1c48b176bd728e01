"""What every stand-in has, tried on Khalti's over TCP: scripts, chance, and what happens around a payment."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import ClassVar, cast

import httpx
import msgspec
import pytest
from attrs import define, evolve, field

from sewapay.adapters.khalti import build
from sewapay.adapters.khalti.simulator import STAND_IN, Simulator, create_app
from sewapay.standins.company import Company
from sewapay.standins.control import control
from sewapay.standins.description import Options
from sewapay.standins.exchange import Answer, Reply, Request, content_of, form_of, html_reply, json_reply
from sewapay.standins.faults import Lag, WrongReference
from sewapay.standins.happenings import Left
from sewapay.standins.refusals import Refused, UnknownPayment
from sewapay.standins.script import Script, UnusableScript
from sewapay.standins.server import StandIn
from sewapay.standins.shape import Scene, Shape
from tests.servers import run_in_thread

KEY = {"authorization": "Key 05bf95cc57244045b8df5fad06748dab"}
NOON = datetime(2026, 1, 15, 6, 15, tzinfo=UTC)  # 12:00 in Kathmandu

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    return Simulator(clock=lambda: NOON)


@pytest.fixture(scope="module")
def address(simulator: Simulator) -> Iterator[str]:
    with run_in_thread(create_app(simulator)) as address:
        yield address


@pytest.fixture
def client(simulator: Simulator, address: str) -> Iterator[httpx.Client]:
    simulator.reset()
    with httpx.Client(base_url=address, trust_env=False, timeout=10) as client:
        yield client


def opened(client: httpx.Client) -> str:
    """The pidx of a new link for Rs 1,130."""
    answer = client.post(
        "/api/v2/epayment/initiate/",
        headers=KEY,
        json={
            "return_url": "https://shop.example/return/77/",
            "website_url": "https://shop.example/",
            "amount": 113000,
            "purchase_order_id": "booking-77",
            "purchase_order_name": "House cleaning",
        },
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["pidx"])


def look_up(client: httpx.Client, pidx: str) -> httpx.Response:
    return client.post("/api/v2/epayment/lookup/", headers=KEY, json={"pidx": pidx})


def status_of(client: httpx.Client, pidx: str) -> str:
    return str(look_up(client, pidx).json()["status"])


def row_of(client: httpx.Client, pidx: str) -> dict[str, object]:
    (row,) = client.get("/_sim/payments", params={"pidx": pidx}).json()["payments"]
    return dict(row)


def sim(client: httpx.Client, action: str, **body: object) -> httpx.Response:
    return client.post(f"/_sim/{action}", json=body)


def arm(client: httpx.Client, content: object) -> httpx.Response:
    return client.post("/_sim/faults", json=content)


def passes(client: httpx.Client, seconds: float) -> None:
    assert sim(client, "clock", advance_seconds=seconds).status_code == 200


def pays_on_the_page(client: httpx.Client, pidx: str) -> httpx.Response:
    page = client.post(f"/pay/{pidx}/continue", data={"mobile": "9800000001", "mpin": "1111"}).text
    ticket = page.partition('name="ticket" value="')[2].partition('"')[0]
    return client.post(f"/pay/{pidx}/pay", data={"mobile": "9800000001", "ticket": ticket, "otp": "987654"})


class TestNamingAPayment:
    @pytest.mark.parametrize("word", ["pidx", "reference"])
    @pytest.mark.parametrize(
        ("action", "status"),
        [("pay", "Completed"), ("pend", "Pending"), ("cancel", "User canceled"), ("expire", "Expired")],
    )
    def test_a_payment_is_named_by_the_companys_word_or_by_reference(
        self, client: httpx.Client, word: str, action: str, status: str
    ) -> None:
        pidx = opened(client)

        answer = sim(client, action, **{word: pidx})

        assert answer.json()["status"] == status
        assert status_of(client, pidx) == status

    def test_a_refund_in_the_panel_names_it_so_too(self, client: httpx.Client) -> None:
        pidx = opened(client)
        sim(client, "pay", reference=pidx)

        answer = sim(client, "refund", reference=pidx, amount=13000)

        assert answer.json()["status"] == "Partially Refunded"

    def test_both_words_at_once_are_a_mistake(self, client: httpx.Client) -> None:
        pidx = opened(client)

        paying = sim(client, "pay", pidx=pidx, reference=pidx)
        arming = arm(client, {"on": "lookup", "fault": "html", "pidx": pidx, "reference": pidx})

        assert paying.json() == {"error": "pidx and reference are the same thing: give one of them."}
        assert arming.json() == paying.json()
        assert (paying.status_code, arming.status_code) == (400, 400)
        assert status_of(client, pidx) == "Initiated"

    @pytest.mark.parametrize("word", ["pidx", "reference"])
    def test_a_fault_waits_for_its_payment_by_either_word(self, client: httpx.Client, word: str) -> None:
        one, other = opened(client), opened(client)
        shown = arm(client, {"on": "lookup", "fault": "status", "status": 500, word: other}).json()

        seen = [look_up(client, pidx).status_code for pidx in (one, other, other)]

        assert [fault["pidx"] for fault in shown["faults"]] == [other]
        assert seen == [200, 500, 200]


class TestArming:
    def test_a_list_is_armed_in_its_order(self, client: httpx.Client) -> None:
        pidx = opened(client)

        answer = arm(
            client,
            [{"on": "lookup", "fault": "status", "status": 500}, {"on": "lookup", "fault": "status", "status": 502}],
        )

        assert [fault["status"] for fault in answer.json()["faults"]] == [500, 502]
        assert [look_up(client, pidx).status_code for _ in range(3)] == [500, 502, 200]

    def test_a_list_with_a_mistake_arms_nothing_and_names_the_entry(self, client: httpx.Client) -> None:
        answer = arm(client, [{"on": "lookup", "fault": "html"}, {"on": "lookup", "fault": "delay"}])

        assert answer.status_code == 400
        assert answer.json()["error"].startswith("Entry 2: The body is not as it should be: ")
        assert client.get("/_sim/faults").json() == {"faults": []}

    @pytest.mark.parametrize(
        "content",
        [
            "html", 7, None, [7], {"on": "lookup", "fault": ["html"]},
            {"on": "page", "fault": "html"}, {"on": "lookup", "fault": "double_return"},
            {"on": "lookup", "fault": "late_payment", "seconds": 1}, {"on": "page", "fault": "late_payment"},
            {"on": "page", "fault": "late_payment", "seconds": -1}, {"on": "page", "fault": "panel_refund"},
            {"on": "page", "fault": "panel_refund", "seconds": 1, "amount": 0},
            {"on": "page", "fault": "clock_skew", "seconds": 1e300},
            {"random": {"seed": 7}}, {"random": {"rate": 0.2}}, {"random": {"seed": 7, "rate": 1.1}},
            {"random": {"seed": 7, "rate": 0.2, "kinds": []}}, {"random": {"seed": 7, "rate": 0.2, "kinds": ["fire"]}},
            {"random": {"seed": 7, "rate": 0.2, "on": ["nowhere"]}},
            {"random": {"seed": 7, "rate": 0.2}, "on": "lookup"},
            {"random": {"seed": 7, "rate": 0.2, "kinds": ["lag"], "on": ["initiate"]}},
            {"random": {"seed": 7, "rate": 0.2, "kinds": [{"fault": "delay", "seconds": -1}]}},
            {"random": {"seed": 7, "rate": 0.2, "kinds": [7]}}, {"random": 7},
        ],
    )  # fmt: skip
    def test_a_mistake_arms_nothing_and_is_answered_with_a_sentence(
        self, client: httpx.Client, content: object
    ) -> None:
        answer = arm(client, content)

        assert answer.status_code == 400, answer.text
        assert list(answer.json()) == ["error"]
        assert client.get("/_sim/faults").json() == {"faults": []}

    def test_deleting_clears_what_was_armed(self, client: httpx.Client) -> None:
        arm(client, {"on": "lookup", "fault": "html", "times": None})
        arm(client, {"random": {"seed": 7, "rate": 1.0, "on": ["lookup"], "kinds": ["html"]}})

        answer = client.delete("/_sim/faults")

        assert answer.json() == {"faults": []}
        assert status_of(client, opened(client)) == "Initiated"

    def test_what_could_never_happen_is_refused_in_the_same_process_too(self, simulator: Simulator) -> None:
        with pytest.raises(Refused, match="lag happens on lookup, not on initiate"):
            simulator.arm(Lag(on="initiate"))

    def test_another_name_for_a_payment_is_wrong_by_the_general_word_too(self, client: httpx.Client) -> None:
        pidx = opened(client)
        arm(client, {"on": "lookup", "fault": "wrong_reference"})
        arm(client, {"on": "lookup", "fault": "wrong_reference", "instead": "abc"})

        assert [look_up(client, pidx).json()["pidx"] for _ in range(3)] == ["z" * 22, "abc", pidx]

    @pytest.mark.parametrize(
        "kind",
        [
            {"fault": "wrong_amount"},
            {"fault": "wrong_reference"},
            {"fault": "wrong_pidx"},
            {"fault": "status_word", "word": "?"},
            {"fault": "status_word", "word": "?", "status": 400},
            {"fault": "missing", "key": "fee"},
            {"fault": "lag"},
            {"fault": "stale"},
        ],
        ids=str,
    )
    def test_a_fault_that_finds_nothing_to_change_waits_on(self, client: httpx.Client, kind: dict[str, object]) -> None:
        pidx = opened(client)
        sim(client, "pay", pidx=pidx)
        sim(client, "refund", pidx=pidx)
        honest = look_up(client, pidx).json()
        waiting = arm(client, {"on": "lookup", **kind}).json()

        nothing = look_up(client, "nobody")

        assert nothing.json() == {"detail": "Not found.", "error_key": "validation_error"}
        assert nothing.status_code == 404
        assert client.get("/_sim/faults").json() == waiting
        assert look_up(client, pidx).json() != honest
        assert client.get("/_sim/faults").json() == {"faults": []}
        assert look_up(client, pidx).json() == honest

    @pytest.mark.parametrize(
        "kind",
        [
            {"fault": "missing", "key": "total_amuont"},
            {"fault": "change", "values": {"fee": 0}},
            {"fault": "status_word", "word": "Initiated"},
            {"fault": "lag"},
            {"fault": "stale"},
            {"fault": "wrong_amount", "delta": 0},
        ],
        ids=str,
    )
    def test_so_does_one_that_would_say_what_is_true(self, client: httpx.Client, kind: dict[str, object]) -> None:
        pidx = opened(client)
        honest = look_up(client, pidx).json()
        waiting = arm(client, {"on": "lookup", "times": 2, **kind}).json()

        seen = [look_up(client, pidx).json() for _ in range(3)]

        assert seen == [honest] * 3
        assert client.get("/_sim/faults").json() == waiting

    @pytest.mark.parametrize(
        "kind",
        [{"fault": "delay", "seconds": 0}, {"fault": "clock_skew", "seconds": 60}, {"fault": "drip", "seconds": 0.001}],
        ids=str,
    )
    def test_what_changes_nothing_in_an_answer_by_its_nature_happens_all_the_same(
        self, client: httpx.Client, kind: dict[str, object]
    ) -> None:
        pidx = opened(client)
        arm(client, {"on": "lookup", **kind})

        look_up(client, pidx)

        assert client.get("/_sim/faults").json() == {"faults": []}

    def test_another_type_is_a_change(self, client: httpx.Client) -> None:
        pidx = opened(client)
        arm(client, {"on": "lookup", "fault": "change", "values": {"refunded": 0}})

        assert '"refunded":0' in look_up(client, pidx).text
        assert client.get("/_sim/faults").json() == {"faults": []}

    def test_a_request_has_its_effect_once_whether_or_not_its_fault_found_something(self, client: httpx.Client) -> None:
        arm(client, {"on": "initiate", "fault": "missing", "key": "nothing"})
        arm(client, {"on": "initiate", "fault": "repeat_pidx"})

        opened(client)

        assert len(client.get("/_sim/payments").json()["payments"]) == 1
        assert [fault["fault"] for fault in client.get("/_sim/faults").json()["faults"]] == ["missing", "repeat_pidx"]

    def test_requests_are_counted_by_route(self, client: httpx.Client) -> None:
        pidx = opened(client)
        arm(client, {"on": "lookup", "fault": "status", "status": 500})
        look_up(client, pidx)
        look_up(client, "nobody")

        assert client.get("/_sim/seen").json() == {"initiate": 1, "lookup": 2, "refund": 0}


class TestChance:
    PLAN: ClassVar[dict[str, dict[str, object]]] = {
        "random": {"seed": 7, "rate": 0.5, "on": ["lookup"], "kinds": ["html", {"fault": "status", "status": 502}]}
    }

    def seen(self, client: httpx.Client, plan: object, times: int = 40) -> list[tuple[int, str]]:
        """What so many look-ups of a payment bring: HTTP status and kind of content."""
        client.post("/_sim/reset")
        pidx = opened(client)
        assert arm(client, plan).status_code == 200
        answers = [look_up(client, pidx) for _ in range(times)]
        return [(answer.status_code, answer.headers["content-type"].partition(";")[0]) for answer in answers]

    def test_the_same_seed_and_requests_give_the_same_faults(self, client: httpx.Client) -> None:
        first, second = self.seen(client, self.PLAN), self.seen(client, self.PLAN)
        other = self.seen(client, {"random": {**self.PLAN["random"], "seed": 8}})

        assert first == second
        assert first != other
        assert set(first) == {(200, "application/json"), (200, "text/html"), (502, "application/json")}

    @pytest.mark.parametrize(("rate", "spoiled"), [(0, 0), (1, 40)])
    def test_the_rate_is_that_of_the_requests_that_get_one(self, client: httpx.Client, rate: int, spoiled: int) -> None:
        seen = self.seen(client, {"random": {"seed": 1, "rate": rate, "on": ["lookup"], "kinds": ["html"]}})

        assert seen.count((200, "text/html")) == spoiled

    def test_other_routes_are_left_alone_and_draw_nothing(self, client: httpx.Client) -> None:
        arm(client, {"random": {"seed": 7, "rate": 1, "on": ["lookup"], "kinds": ["html"]}})

        pidx = opened(client)
        look_up(client, pidx)

        assert client.get("/_sim/faults").json() == {
            "faults": [],
            "random": {"seed": 7, "rate": 1.0, "kinds": ["html"], "on": ["lookup"], "seen": 1, "given": 1},
        }

    def test_what_was_armed_by_name_comes_before_chance(self, client: httpx.Client) -> None:
        pidx = opened(client)
        arm(client, {"random": {"seed": 7, "rate": 1, "on": ["lookup"], "kinds": ["html"]}})
        arm(client, {"on": "lookup", "fault": "status", "status": 500})

        assert [look_up(client, pidx).status_code for _ in range(2)] == [500, 200]

    def test_without_kinds_a_route_gets_all_that_are_possible_there(
        self, client: httpx.Client, simulator: Simulator
    ) -> None:
        arm(client, {"random": {"seed": 7, "rate": 1}})

        drawn = {fault.__struct_config__.tag for _ in range(500) if (fault := simulator.take_fault("lookup", None))}

        assert drawn == {
            "delay", "drop_before", "drop_after", "status", "html", "redirect", "raw", "verbatim", "malformed", "huge",
            "gzip_bomb", "drip", "missing", "change", "wrong_reference", "wrong_amount", "status_word", "lag", "stale",
            "clock_skew", "wrong_pidx",
        }  # fmt: skip
        assert simulator.take_fault("page", None) is None, "what happens to payers is asked for by name"

    def test_chance_may_wait_for_one_payment(self, client: httpx.Client) -> None:
        one, other = opened(client), opened(client)
        kind = {"fault": "status", "status": 500, "pidx": other}
        arm(client, {"random": {"seed": 7, "rate": 1, "on": ["lookup"], "kinds": [kind]}})

        assert [look_up(client, pidx).status_code for pidx in (one, other, one)] == [200, 500, 200]

    def test_payers_meet_chance_on_the_page(self, client: httpx.Client) -> None:
        pidx = opened(client)
        arm(client, {"random": {"seed": 7, "rate": 1, "on": ["page"], "kinds": ["double_return"]}})

        assert len(sim(client, "pay", pidx=pidx).json()["return_urls"]) == 2


class TestScripts:
    @pytest.mark.parametrize(
        "content",
        [
            {"on": "initiate", "fault": "status", "status": 503},
            [{"on": "initiate", "fault": "status", "status": 503}],
            {"random": {"seed": 1, "rate": 1, "on": ["initiate"], "kinds": ["status"]}},
        ],
    )
    def test_a_file_of_faults_is_armed_when_the_stand_in_starts(self, tmp_path: Path, content: object) -> None:
        path = tmp_path / "faults.json"
        path.write_text(json.dumps(content))

        app = STAND_IN.create_app(Options(faults=(Script.read(path),)))

        with run_in_thread(app) as address, httpx.Client(base_url=address, trust_env=False) as client:
            assert client.post("/api/v2/epayment/initiate/", json={}, headers=KEY).status_code == 503

    @pytest.mark.parametrize(
        ("octets", "sentence"),
        [
            (b'[{"on": "lookup", "fault": "lag"}, {"on": "lookup", "fault": "x"}]', "Entry 2: There is no fault 'x';"),
            (b'{"on": "initiate", "fault": "lag"}', "lag happens on lookup, not on initiate."),
            (b"[", "is no JSON: "),
            (b"\xff", "is no JSON: "),
        ],
    )  # fmt: skip
    def test_a_file_with_a_mistake_is_refused_by_its_name_and_entry(self, octets: bytes, sentence: str) -> None:
        with pytest.raises(UnusableScript) as refused:
            STAND_IN.create_app(Options(faults=(Script("day.json", octets),)))

        assert str(refused.value).startswith("day.json")
        assert sentence in str(refused.value)

    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(UnusableScript, match=r"nothing\.json cannot be read: No such file or directory\."):
            Script.read(tmp_path / "nothing.json")


class TestDoubleReturn:
    def test_a_control_route_tells_the_return_address_twice(self, client: httpx.Client) -> None:
        one, other = opened(client), opened(client)
        arm(client, {"on": "page", "fault": "double_return", "pidx": other})

        once, twice = sim(client, "pay", pidx=one).json(), sim(client, "pay", pidx=other).json()

        assert once["return_urls"] == [once["return_url"]]
        assert twice["return_urls"] == [twice["return_url"]] * 2
        assert twice["status"] == "Completed"

    def test_a_browser_is_given_a_page_that_loads_it_and_then_goes_there(self, client: httpx.Client) -> None:
        pidx = opened(client)
        arm(client, {"on": "page", "fault": "double_return"})

        answer = pays_on_the_page(client, pidx)

        transaction = row_of(client, pidx)["transaction_id"]
        there = (
            f"https://shop.example/return/77/?pidx={pidx}&amp;transaction_id={transaction}&amp;tidx={transaction}"
            "&amp;amount=113000&amp;total_amount=113000&amp;mobile=98XXXXX001&amp;status=Completed"
            "&amp;purchase_order_id=booking-77&amp;purchase_order_name=House%20cleaning"
        )
        assert answer.status_code == 200
        assert f'<img src="{there}"' in answer.text
        assert f'<meta http-equiv="refresh" content="0;url={there}">' in answer.text
        assert "img-src data: *;" in answer.headers["content-security-policy"]

    def test_other_endings_take_no_fault_of_the_page(self, client: httpx.Client) -> None:
        arm(client, {"on": "page", "fault": "double_return"})

        left = [sim(client, action, pidx=opened(client)).json() for action in ("pend", "cancel", "expire", "pay")]

        assert [len(how["return_urls"]) for how in left] == [1, 1, 1, 2]


class TestLatePayment:
    @pytest.mark.parametrize("by", ["control", "page"])
    def test_the_link_dies_first_and_the_money_arrives_later(self, client: httpx.Client, by: str) -> None:
        pidx = opened(client)
        arm(client, {"on": "page", "fault": "late_payment", "seconds": 300})

        if by == "page":
            address = pays_on_the_page(client, pidx).headers["location"]
        else:
            address = sim(client, "pay", pidx=pidx).json()["return_url"]
        first = status_of(client, pidx)
        passes(client, 299)
        then = status_of(client, pidx)
        passes(client, 1)

        assert "&status=Expired&" in address
        assert (first, then, status_of(client, pidx)) == ("Expired", "Expired", "Completed")
        assert row_of(client, pidx)["transaction_id"]

    def test_the_payer_is_kept_until_the_money_arrives(self, client: httpx.Client) -> None:
        pidx = opened(client)
        arm(client, {"on": "page", "fault": "late_payment", "seconds": 300})

        pays_on_the_page(client, pidx)
        passes(client, 300)
        address = sim(client, "refund", pidx=pidx).json()["return_url"]

        assert "&mobile=98XXXXX001&" in address

    def test_it_arrives_by_the_clock_alone(self) -> None:
        moment = [NOON]
        simulator = Simulator(clock=lambda: moment[0])
        with run_in_thread(create_app(simulator)) as address, httpx.Client(base_url=address, trust_env=False) as client:
            pidx = opened(client)
            arm(client, {"on": "page", "fault": "late_payment", "seconds": 60})
            sim(client, "pay", pidx=pidx)

            before = status_of(client, pidx)
            moment[0] = datetime(2026, 1, 15, 6, 16, tzinfo=UTC)

            assert (before, status_of(client, pidx)) == ("Expired", "Completed")

    def test_what_somebody_else_paid_meanwhile_is_paid_once(self, client: httpx.Client) -> None:
        pidx = opened(client)
        arm(client, {"on": "page", "fault": "late_payment", "seconds": 300})
        sim(client, "pay", pidx=pidx)
        sim(client, "pay", pidx=pidx)
        transaction = row_of(client, pidx)["transaction_id"]

        passes(client, 300)

        assert row_of(client, pidx)["transaction_id"] == transaction

    def test_a_reset_forgets_what_was_to_come(self, client: httpx.Client, simulator: Simulator) -> None:
        happened: list[str] = []
        simulator.later(300, lambda: happened.append("before the reset"))

        client.post("/_sim/reset")
        simulator.later(300, lambda: happened.append("after it"))
        passes(client, 300)

        assert happened == ["after it"]


class TestPanelRefund:
    @pytest.mark.parametrize(
        ("amount", "status", "went_back"), [(None, "Refunded", 113000), (13000, "Partially Refunded", 13000)]
    )
    def test_the_merchant_gives_it_back_in_the_panel_later(
        self, client: httpx.Client, amount: int | None, status: str, went_back: int
    ) -> None:
        pidx = opened(client)
        arm(client, {"on": "page", "fault": "panel_refund", "seconds": 300, "amount": amount})

        paid = sim(client, "pay", pidx=pidx).json()["status"]
        passes(client, 299)
        before = status_of(client, pidx)
        passes(client, 3600)

        assert (paid, before, status_of(client, pidx)) == ("Completed", "Completed", status)
        assert row_of(client, pidx)["refunds"] == [
            {"amount": went_back, "at": "2026-01-15T12:05:00.000000+05:45", "by": "panel"}
        ]

    def test_what_cannot_be_given_back_any_more_is_not(self, client: httpx.Client) -> None:
        pidx = opened(client)
        arm(client, {"on": "page", "fault": "panel_refund", "seconds": 300})
        sim(client, "pay", pidx=pidx)
        sim(client, "refund", pidx=pidx)

        passes(client, 300)

        assert row_of(client, pidx)["refunded_amount"] == 113000

    def test_what_is_due_happens_in_its_order_and_at_its_time_when_much_time_passes_at_once(
        self, client: httpx.Client, simulator: Simulator
    ) -> None:
        happened: list[tuple[str, datetime]] = []
        simulator.later(600, lambda: happened.append(("later", simulator.now())))
        simulator.later(60, lambda: happened.append(("sooner", simulator.now())))

        passes(client, 86400)

        assert happened == [
            ("sooner", datetime(2026, 1, 15, 6, 16, tzinfo=UTC)),
            ("later", datetime(2026, 1, 15, 6, 25, tzinfo=UTC)),
        ]
        assert simulator.now() == datetime(2026, 1, 16, 6, 15, tzinfo=UTC)


class TestClockSkew:
    def stated(self, client: httpx.Client) -> tuple[str, int]:
        answer = client.post(
            "/api/v2/epayment/initiate/",
            headers=KEY,
            json={
                "return_url": "https://shop.example/",
                "website_url": "https://shop.example/",
                "amount": 1000,
                "purchase_order_id": "1",
                "purchase_order_name": "x",
            },
        ).json()
        return str(answer["expires_at"]), int(answer["expires_in"])

    @pytest.mark.parametrize(
        ("seconds", "expected"),
        [(3600, "2026-01-15T13:30:00.000000+05:45"), (-3600, "2026-01-15T11:30:00.000000+05:45")],
    )
    def test_times_are_stated_wrongly_from_the_payment_on(
        self, client: httpx.Client, seconds: int, expected: str
    ) -> None:
        arm(client, {"on": "page", "fault": "clock_skew", "seconds": seconds})
        before = self.stated(client)

        sim(client, "pay", pidx=opened(client))

        assert before == ("2026-01-15T12:30:00.000000+05:45", 1800)
        assert self.stated(client) == (expected, 1800)
        assert self.stated(client) == (expected, 1800)

    def test_the_first_wrong_time_may_be_in_any_answer(self, client: httpx.Client) -> None:
        arm(client, {"on": "initiate", "fault": "clock_skew", "seconds": 60})

        assert self.stated(client)[0] == "2026-01-15T12:31:00.000000+05:45"

    def test_its_own_doings_and_its_ledger_keep_the_right_time(self, client: httpx.Client) -> None:
        arm(client, {"on": "page", "fault": "clock_skew", "seconds": 3600})
        sim(client, "pay", pidx=opened(client))

        pidx = opened(client)

        assert client.get("/_sim/clock").json() == {
            "now": "2026-01-15T12:00:00.000000+05:45", "stated": "2026-01-15T13:00:00.000000+05:45",
        }  # fmt: skip
        assert row_of(client, pidx)["expires_at"] == "2026-01-15T12:30:00.000000+05:45"
        passes(client, 1801)
        assert status_of(client, pidx) == "Expired"

    def test_a_reset_sets_it_right(self, client: httpx.Client) -> None:
        arm(client, {"on": "initiate", "fault": "clock_skew", "seconds": 60})
        self.stated(client)

        client.post("/_sim/reset")

        assert self.stated(client)[0] == "2026-01-15T12:30:00.000000+05:45"


class TestDescription:
    async def test_the_service_uses_it_with_the_variables_that_it_names(self) -> None:
        app = STAND_IN.create_app(Options(seed=7))

        async with httpx.AsyncClient(trust_env=False) as http:
            with run_in_thread(app) as address:
                gateway = build(STAND_IN.environ(address), http, is_production=False)

        assert gateway.name == "khalti"

    def test_a_seed_repeats_its_ids(self) -> None:
        def first(options: Options) -> str:
            with run_in_thread(STAND_IN.create_app(options)) as address, httpx.Client(base_url=address) as client:
                return opened(client)

        assert first(Options(seed=7)) == first(Options(seed=7)) != first(Options(seed=8))

    def test_a_key_is_the_only_one_that_it_takes(self) -> None:
        with (
            run_in_thread(STAND_IN.create_app(Options(secret_key="right"))) as address,
            httpx.Client(base_url=address, trust_env=False) as client,
        ):
            answer = client.post("/api/v2/epayment/lookup/", json={}, headers=KEY)

        assert answer.status_code == 401
        assert "right" not in repr(Options(secret_key="right"))


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"amount=1%2C000&note=a+b&empty=", {"amount": "1,000", "note": "a b", "empty": ""}),
        ("name=फिर्ता".encode(), {"name": "फिर्ता"}),
        (b"a=1&a=2", {"a": "2"}),
        (b"\xff", {"\ufffd": ""}),
        (b"", {}),
    ],
)
def test_a_browsers_form_is_read(body: bytes, fields: dict[str, str]) -> None:
    assert form_of(Request(method="POST", path="/", body=body)) == fields


TINY = Shape(
    reference="invoice",
    routes=frozenset({"open", "state"}),
    look_up="state",
    status="word",
    amount="rupees",
    amount_moved=lambda rupees, delta: f"{Decimal(str(rupees)) + Decimal(delta) / 100:.2f}",
    unpaid={"word": "WAITING"},
    given_back=frozenset({"BACK"}),
    before_giving_back={"word": "THERE"},
    stranger="somebody-else",
)


class NoQuirks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A company that never varies."""


@define(kw_only=True, eq=False)
class Tiny(Company[NoQuirks]):
    """The least that a stand-in is made of: a company whose payments are words, each of Rs 10.50."""

    shape: ClassVar[Shape] = TINY

    quirks: NoQuirks = field(factory=NoQuirks)
    words: dict[str, str] = field(factory=dict, init=False)

    def becomes(self, invoice: str, word: str) -> None:
        if invoice not in self.words:
            raise UnknownPayment("No such invoice.")
        self.words[invoice] = word

    def pay(self, invoice: str, /) -> None:
        self.becomes(invoice, "THERE")

    def pend(self, invoice: str, /) -> None:
        self.becomes(invoice, "COMING")

    def cancel(self, invoice: str, /) -> None:
        self.becomes(invoice, "LEFT")

    def expire(self, invoice: str, /) -> None:
        self.becomes(invoice, "DEAD")

    def refund(self, invoice: str, amount: int | None = None, /) -> None:
        self.becomes(invoice, "BACK")

    def left(self, invoice: str, /) -> Left:
        return Left(status=self.words[invoice], return_url=f"https://shop.example/{invoice}")

    def forget(self) -> None:
        self.words.clear()

    def answer(self, request: Request, too_large: bool) -> Answer:
        self.catch_up()
        if request.path.startswith("/_sim/"):
            return control(self, request, too_large=too_large)
        invoice = request.query.get("invoice", "")
        if request.path == "/open":
            self.words[invoice] = "WAITING"
            return self.answered("open", invoice, request.base_url, lambda: html_reply(200, "<p>Please pay.</p>"))
        told = {"invoice": invoice, "rupees": "10.50", "word": self.words.get(invoice, "NOBODY")}
        return self.answered("state", invoice, request.base_url, lambda: json_reply(200, told))


class TestAnotherCompany:
    """A stand-in of somebody else's, with other words, amounts in rupees and a page where Khalti has JSON."""

    @pytest.fixture
    def tiny(self) -> Iterator[httpx.Client]:
        with (
            run_in_thread(StandIn(Tiny().answer)) as address,
            httpx.Client(base_url=address, trust_env=False, timeout=10) as tiny,
        ):
            tiny.get("/open?invoice=7")
            yield tiny

    def state(self, tiny: httpx.Client) -> dict[str, str]:
        return dict(tiny.get("/state?invoice=7").json())

    @pytest.mark.parametrize(
        ("fault", "expected"),
        [
            ({"fault": "wrong_reference"}, {"invoice": "somebody-else", "rupees": "10.50", "word": "BACK"}),
            ({"fault": "wrong_amount"}, {"invoice": "7", "rupees": "10.51", "word": "BACK"}),
            ({"fault": "wrong_amount", "delta": -1000}, {"invoice": "7", "rupees": "0.50", "word": "BACK"}),
            ({"fault": "status_word", "word": "?"}, {"invoice": "7", "rupees": "10.50", "word": "?"}),
            ({"fault": "lag"}, {"invoice": "7", "rupees": "10.50", "word": "WAITING"}),
            ({"fault": "stale"}, {"invoice": "7", "rupees": "10.50", "word": "THERE"}),
        ],
    )
    def test_faults_speak_its_words(
        self, tiny: httpx.Client, fault: dict[str, object], expected: dict[str, str]
    ) -> None:
        sim(tiny, "pay", invoice="7")
        sim(tiny, "refund", invoice="7")
        arm(tiny, {"on": "state", **fault})

        spoiled, honest = self.state(tiny), self.state(tiny)

        assert spoiled == expected
        assert honest == {"invoice": "7", "rupees": "10.50", "word": "BACK"}

    def test_answers_may_name_a_payment_otherwise_than_requests_do(self) -> None:
        scene = Scene(shape=evolve(TINY, told_as="number"), base_url="", earlier=None, skew=lambda _seconds: None)

        answer = WrongReference(on="state").answer(lambda: json_reply(200, {"invoice": "7", "number": "7"}), scene)

        assert content_of(cast(Reply, answer)) == {"invoice": "7", "number": "somebody-else"}

    @pytest.mark.parametrize("kind", [{"fault": "missing", "key": "word"}, {"fault": "change", "values": {"a": 1}},
                                      {"fault": "wrong_reference"}])  # fmt: skip
    def test_a_page_holds_nothing_for_a_fault_of_json_to_spoil(
        self, tiny: httpx.Client, kind: dict[str, object]
    ) -> None:
        waiting = arm(tiny, {"on": "open", **kind}).json()

        assert tiny.get("/open?invoice=8").text == "<p>Please pay.</p>"
        assert tiny.get("/_sim/faults").json() == waiting

    def test_one_key_may_hold_two_values_of_which_the_last_is_honest(self, tiny: httpx.Client) -> None:
        arm(tiny, {"on": "state", "fault": "change", "values": {"word": "?", "rupees": None}, "twice": True})

        answer = tiny.get("/state?invoice=7")

        assert answer.text == '{"word":"?","rupees":null,"invoice":"7","rupees":"10.50","word":"WAITING"}'

    def test_a_page_may_be_huge_too(self, tiny: httpx.Client) -> None:
        arm(tiny, {"on": "open", "fault": "huge", "mib": 1})

        assert len(tiny.get("/open?invoice=8").content) == 1024 * 1024 + 18

    def test_what_happens_to_payers_happens_here_too(self, tiny: httpx.Client) -> None:
        arm(tiny, {"on": "page", "fault": "late_payment", "seconds": 60, "invoice": "7"})

        answer = sim(tiny, "pay", reference="7").json()
        passes(tiny, 60)

        assert answer == {
            "status": "DEAD", "return_url": "https://shop.example/7", "return_urls": ["https://shop.example/7"],
        }  # fmt: skip
        assert self.state(tiny)["word"] == "THERE"

    def test_nobodys_invoice_is_a_404(self, tiny: httpx.Client) -> None:
        answer = sim(tiny, "cancel", invoice="nobody")

        assert (answer.status_code, answer.json()) == (404, {"error": "No such invoice."})

    def test_a_quirk_that_it_has_not_is_a_mistake(self, tiny: httpx.Client) -> None:
        assert sim(tiny, "quirks", expires_in=60).status_code == 400
        assert tiny.get("/_sim/quirks").json() == {}

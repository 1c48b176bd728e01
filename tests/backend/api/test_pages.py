"""The hosted page where a booking is paid, and the words of all pages."""

import re
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
from attrs import evolve
from dependency_injector import providers

from sewapay.adapters.fake.gateway import FAKE_FORM_CAPABILITIES, FakeGateway
from sewapay.adapters.web.languages import TEXTS, Language, language_of
from sewapay.adapters.web.links import Links
from sewapay.application.open_checkout import CheckoutRequest
from sewapay.application.ports import Order, Payer, Urls
from sewapay.domain.booking import Booking
from sewapay.domain.checkout import Checkout, PostForm, Redirect
from sewapay.domain.identifiers import BookingId, GatewayName
from sewapay.domain.money import Money
from sewapay.domain.observation import Reported
from sewapay.domain.payment import PaymentStatus
from tests.backend.api.talking import given_a_refund
from tests.shop import Shop, customer


class Elsewhere(FakeGateway):
    """A gateway whose page is on a host of its own."""

    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        opened = await super().open_checkout(order, urls, payer)
        return evolve(opened, next_step=Redirect("https://pay.gateway.example/?pidx=1"))


class ByForm(FakeGateway):
    """A gateway whose page is reached by posting a form."""

    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        opened = await super().open_checkout(order, urls, payer)
        return evolve(opened, next_step=PostForm("https://forms.example/pay", {"amount": "1130.0", "mark": '<&">'}))


class WellFormed(HTMLParser):
    """Notices a tag that is not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "link", "input", "img", "path"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A drawing's parts end where they begin."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


async def page_of(client: httpx.AsyncClient, shop: Shop, booking: Booking) -> str:
    shown = (await client.get(f"/v1/bookings/{booking.id}", headers=shop.as_staff())).json()
    address: str = shown["checkout_url"]
    return address


def state(answer: httpx.Response) -> str:
    return answer.text.split('data-state="', 1)[1].split('"', 1)[0]


def parsed(text: str) -> None:
    parser = WellFormed()
    parser.feed(text)
    assert parser.open == []


class TestHostedPage:
    async def test_it_shows_what_is_owed_and_a_button(self, client: httpx.AsyncClient, shop: Shop) -> None:
        booking = await shop.given_a_booking(title="Deep cleaning")

        page = await client.get(await page_of(client, shop, booking))

        assert page.status_code == 200
        assert state(page) == "ready"
        assert '<h1 id="title">Deep cleaning</h1>' in page.text
        assert '<p id="amount" class="amount">Rs 1,130.00</p>' in page.text
        assert 'id="pay-khalti"' in page.text
        assert "Pay with Fake" in page.text
        parsed(page.text)

    async def test_what_a_merchant_wrote_is_shown_and_never_run(self, client: httpx.AsyncClient, shop: Shop) -> None:
        booking = await shop.given_a_booking(title="<script>alert('x')</script> & \"more\"")

        page = await client.get(await page_of(client, shop, booking))

        assert "<script>alert" not in page.text
        assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &#34;more&#34;" in page.text

    @pytest.mark.parametrize("key", ["", "x", "%00", "%ff", "a" * 5000, "नमस्ते"])
    async def test_a_wrong_key_looks_like_a_missing_booking(
        self, client: httpx.AsyncClient, shop: Shop, key: str
    ) -> None:
        booking = await shop.given_a_booking()

        wrong = await client.get(f"/pay/{booking.id}?key={key}")
        missing = await client.get(f"/pay/99999?key={key}")
        without = await client.get(f"/pay/{booking.id}")

        assert [wrong.status_code, missing.status_code, without.status_code] == [404, 404, 404]
        assert wrong.text == missing.text == without.text

    async def test_the_key_of_one_booking_opens_no_other(self, client: httpx.AsyncClient, shop: Shop) -> None:
        first, second = await shop.given_a_booking(), await shop.given_a_booking()
        key = (await page_of(client, shop, first)).split("key=")[1]

        answer = await client.post(f"/pay/{second.id}?key={key}", data={"gateway": "khalti"})

        assert answer.status_code == 404
        assert shop.gateway.initiated == 0

    async def test_pressing_the_button_goes_to_the_gateway(self, client: httpx.AsyncClient, shop: Shop) -> None:
        booking = await shop.given_a_booking()

        answer = await client.post(await page_of(client, shop, booking), data={"gateway": "khalti"})

        [payment] = await shop.stored_payments(booking)
        assert answer.status_code == 303
        assert isinstance(payment.next_step, Redirect)
        assert answer.headers["Location"] == payment.next_step.url

    async def test_pressing_it_twice_goes_to_the_same_page(self, client: httpx.AsyncClient, shop: Shop) -> None:
        address = await page_of(client, shop, await shop.given_a_booking())

        answers = [await client.post(address, data={"gateway": "khalti"}) for _ in range(2)]

        assert answers[0].headers["Location"] == answers[1].headers["Location"]

    async def test_a_gateway_elsewhere_is_redirected_to_where_the_policy_lets_the_form_end(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        gateway = Elsewhere(name=GatewayName("khalti"))
        gateway.capabilities = evolve(gateway.capabilities, page_origins=("https://pay.gateway.example",))
        shop.container.gateways.override(providers.Object({gateway.name: gateway}))
        address = await page_of(client, shop, await shop.given_a_booking())

        page = await client.get(address)
        answer = await client.post(address, data={"gateway": "khalti"})

        policy = page.headers["Content-Security-Policy"]
        assert policy.endswith("form-action 'self' https://pay.gateway.example")
        assert answer.headers["Location"] == "https://pay.gateway.example/?pidx=1"

    async def test_where_the_policy_would_drop_the_redirect_a_page_leads_on_instead(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        gateway = Elsewhere(name=GatewayName("khalti"))
        shop.container.gateways.override(providers.Object({gateway.name: gateway}))
        address = await page_of(client, shop, await shop.given_a_booking())

        answer = await client.post(address, data={"gateway": "khalti"})

        assert answer.status_code == 200
        assert state(answer) == "redirecting"
        assert 'href="https://pay.gateway.example/?pidx=1"' in answer.text

    async def test_a_form_of_a_gateway_is_sent_by_the_browser_or_by_its_button(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        gateway = ByForm(name=GatewayName("esewa"))
        shop.container.gateways.override(providers.Object({gateway.name: gateway}))
        address = await page_of(client, shop, await shop.given_a_booking())

        chosen = await client.post(address, data={"gateway": "esewa"})
        page = await client.get(chosen.headers["Location"])

        assert (chosen.status_code, state(page)) == (303, "redirecting")
        assert '<form method="post" action="https://forms.example/pay" data-send-at-once>' in page.text
        assert '<input type="hidden" name="mark" value="&lt;&amp;&#34;&gt;">' in page.text
        parsed(page.text)

    async def test_the_gateways_that_do_not_take_the_amount_have_no_button(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        shop.gateway.capabilities = evolve(shop.gateway.capabilities, least=Money(1000), greatest=Money(5000))

        too_little = await client.get(await page_of(client, shop, await shop.given_a_booking(amount=Money(999))))
        fitting = await client.get(await page_of(client, shop, await shop.given_a_booking(amount=Money(5000))))
        too_much = await client.get(await page_of(client, shop, await shop.given_a_booking(amount=Money(5001))))

        shown = ["pay-khalti" in page.text for page in (too_little, fitting, too_much)]
        assert shown == [False, True, False]
        assert state(too_little) == state(too_much) == "not_here"
        assert "cannot be paid online here" in too_little.text
        parsed(too_little.text)

    @pytest.mark.parametrize("fault", ["refuses_connections", "goes_silent", "talks_nonsense", "refuses_key"])
    async def test_a_gateway_that_fails_is_said_with_the_button_again(
        self, client: httpx.AsyncClient, shop: Shop, fault: str
    ) -> None:
        address = await page_of(client, shop, await shop.given_a_booking())
        getattr(shop.gateway, fault)()

        page = await client.post(address, data={"gateway": "khalti"})

        assert page.status_code == 503
        assert state(page) == "failed"
        assert 'id="pay-khalti"' in page.text
        parsed(page.text)

    async def test_the_buttons_stand_in_the_order_of_the_settings(self, client: httpx.AsyncClient, shop: Shop) -> None:
        names = ["zebra", "khalti", "esewa"]
        shop.takes(*(FakeGateway(name=GatewayName(name)) for name in names))

        page = await client.get(await page_of(client, shop, await shop.given_a_booking()))
        listed = await client.get("/v1/gateways", headers=shop.as_customer())

        assert re.findall('id="pay-([a-z]+)"', page.text) == names
        assert [gateway["name"] for gateway in listed.json()["items"]] == names

    async def test_a_gateway_whose_key_is_missing_has_no_button(self, client: httpx.AsyncClient, shop: Shop) -> None:
        other = FakeGateway(name=GatewayName("esewa"))
        other.capabilities = evolve(other.capabilities, configured=False)
        shop.takes(other, shop.gateway)

        page = await client.get(await page_of(client, shop, await shop.given_a_booking()))
        listed = await client.get("/v1/gateways", headers=shop.as_customer())

        assert re.findall('id="pay-([a-z]+)"', page.text) == ["khalti"]
        assert {each["name"]: each["configured"] for each in listed.json()["items"]} == {"esewa": False, "khalti": True}

    async def test_without_any_key_nobody_is_asked_to_choose_or_to_try_again(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        address = await page_of(client, shop, await shop.given_a_booking())
        shop.gateway.capabilities = evolve(shop.gateway.capabilities, configured=False)
        shop.gateway.refuses_connections()

        shown = await client.get(address)
        pressed = await client.post(address, data={"gateway": "khalti"})

        assert [state(shown), state(pressed)] == ["not_here", "not_here"]
        assert [shown.status_code, pressed.status_code] == [200, 503]
        assert "<button" not in shown.text + pressed.text

    @pytest.mark.parametrize("form", [{}, {"gateway": ""}, {"gateway": "esewa"}, {"gateway": "<b>"}])
    async def test_a_gateway_that_is_not_offered_shows_the_page_again(
        self, client: httpx.AsyncClient, shop: Shop, form: dict[str, str]
    ) -> None:
        address = await page_of(client, shop, await shop.given_a_booking())

        page = await client.post(address, data=form)

        assert page.status_code in (409, 503)
        assert 'id="pay-khalti"' in page.text
        assert shop.gateway.initiated == 0

    async def test_what_a_gateway_does_not_take_any_more_is_said(self, client: httpx.AsyncClient, shop: Shop) -> None:
        address = await page_of(client, shop, await shop.given_a_booking(amount=Money(999)))
        shop.gateway.capabilities = evolve(shop.gateway.capabilities, least=Money(1000))

        page = await client.post(address, data={"gateway": "khalti"})

        assert page.status_code == 422
        assert state(page) == "failed"

    async def test_a_paid_booking_says_so(self, client: httpx.AsyncClient, shop: Shop) -> None:
        paid = await shop.given_a_paid_booking()
        address = await page_of(client, shop, paid.booking)

        shown = await client.get(address)
        pressed = await client.post(address, data={"gateway": "khalti"})

        assert [state(shown), state(pressed)] == ["paid", "paid"]
        assert [shown.status_code, pressed.status_code] == [200, 409]

    async def test_a_canceled_booking_says_so(self, client: httpx.AsyncClient, shop: Shop) -> None:
        booking = await shop.when_the_booking_is_canceled(await shop.given_a_booking())

        page = await client.get(await page_of(client, shop, booking))

        assert state(page) == "canceled"
        assert "nothing to pay any more" in page.text

    async def test_a_booking_that_was_given_back_says_so_and_cannot_be_paid(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        paid = await shop.given_a_paid_booking()
        await given_a_refund(shop, paid.payment)
        address = await page_of(client, shop, paid.booking)

        shown = await client.get(address)
        pressed = await client.post(address, data={"gateway": "khalti"})

        assert [state(shown), state(pressed)] == ["refunded", "refunded"]
        assert [shown.status_code, pressed.status_code] == [200, 409]
        assert "pay-khalti" not in shown.text + pressed.text
        assert "the money has been given back" in shown.text

    @pytest.mark.parametrize(("happens", "shown"), [("leaves_pending", "checking"), ("says", "review")])
    async def test_a_payment_that_may_have_gone_through_is_not_to_be_paid_again(
        self, client: httpx.AsyncClient, shop: Shop, happens: str, shown: str
    ) -> None:
        payment = await shop.given_an_open_payment()
        if happens == "says":
            shop.gateway.says(payment, "Ambiguous")
        else:
            shop.gateway.leaves_pending(payment)
        booking = await shop.stored_booking(payment.booking_id)
        address = await page_of(client, shop, booking)

        pressed = await client.post(address, data={"gateway": "khalti"})
        reloaded = await client.get(address)

        assert [state(pressed), state(reloaded)] == [shown, shown]
        assert "pay-khalti" not in pressed.text + reloaded.text
        assert len(await shop.stored_payments(booking)) == 1

    async def test_after_paying_the_customer_reads_that_it_is_paid(self, client: httpx.AsyncClient, shop: Shop) -> None:
        booking = await shop.given_a_booking()
        address = await page_of(client, shop, booking)
        to_gateway = await client.post(address, data={"gateway": "khalti"})
        [payment] = await shop.stored_payments(booking)
        shop.gateway.customer_pays(payment)

        back = await client.get(to_gateway.headers["Location"])
        result = await client.get(back.headers["Location"])

        assert state(result) == "paid"
        assert (await shop.stored_payment(payment)).status is PaymentStatus.COMPLETED

    @pytest.mark.fault("F75")
    async def test_a_database_that_is_away_is_a_page_too(self, client: httpx.AsyncClient, shop: Shop) -> None:
        address = await page_of(client, shop, await shop.given_a_booking())
        shop.memory.break_down()

        page = await client.get(address)

        assert page.status_code == 503
        assert state(page) == "unavailable"


class TestAnotherGateway:
    """On the page that says that a payment came to nothing, the other gateways are offered too."""

    @pytest.fixture
    def esewa(self, shop: Shop) -> FakeGateway:
        esewa = FakeGateway(name=GatewayName("esewa"), capabilities=evolve(FAKE_FORM_CAPABILITIES, label="eSewa"))
        shop.takes(shop.gateway, esewa)
        return esewa

    async def test_who_canceled_can_try_again_or_pay_elsewhere(
        self, client: httpx.AsyncClient, shop: Shop, esewa: FakeGateway
    ) -> None:
        payment = await shop.given_an_open_payment()
        shop.gateway.customer_cancels(payment)
        await client.get(f"/return/{payment.id}/?status=User+canceled")

        page = await client.get(f"/return/{payment.id}/")
        elsewhere = await client.post(f"/return/{payment.id}/again/", data={"gateway": "esewa"})

        assert state(page) == "canceled"
        assert 'id="try-again"' in page.text
        assert re.findall('id="pay-([a-z]+)"', page.text) == ["esewa"]
        parsed(page.text)
        payments = await shop.stored_payments(await shop.stored_booking(payment.booking_id))
        assert elsewhere.headers["Location"].endswith("/form/")
        assert {each.gateway: each.status for each in payments} == {"khalti": "canceled", "esewa": "open"}

    async def test_who_has_not_paid_at_a_gateway_of_forms_is_offered_the_others(
        self, client: httpx.AsyncClient, shop: Shop, esewa: FakeGateway
    ) -> None:
        booking = await shop.given_a_booking()
        await client.post(await page_of(client, shop, booking), data={"gateway": "esewa"})
        [payment] = await shop.stored_payments(booking)

        page = await client.get(f"/return/{payment.id}/")

        assert state(page) == "open"
        assert re.findall('id="(try-again|pay-[a-z]+|continue)"', page.text) == ["try-again", "pay-khalti"]

    @pytest.mark.parametrize("cannot", [{"configured": False}, {"least": Money(113001)}, {"greatest": Money(112999)}])
    async def test_only_gateways_that_can_take_the_amount_are_offered(
        self, client: httpx.AsyncClient, shop: Shop, esewa: FakeGateway, cannot: dict[str, Any]
    ) -> None:
        payment = await shop.given_an_open_payment()
        shop.gateway.customer_cancels(payment)
        await shop.when_it_is_verified(payment)
        able, unable = shop.gateway.capabilities, evolve(shop.gateway.capabilities, **cannot)

        shop.gateway.capabilities = unable
        without_the_same = await client.get(f"/return/{payment.id}/")
        shop.gateway.capabilities = able
        esewa.capabilities = evolve(esewa.capabilities, **cannot)
        without_the_other = await client.get(f"/return/{payment.id}/")

        offered = 'id="(try-again|pay-[a-z]+)"'
        assert re.findall(offered, without_the_same.text) == ["pay-esewa"]
        assert re.findall(offered, without_the_other.text) == ["try-again"]

    async def test_an_open_link_of_a_gateway_that_is_not_enabled_any_more_is_not_shown(
        self, client: httpx.AsyncClient, shop: Shop, esewa: FakeGateway
    ) -> None:
        payment = await shop.given_an_open_payment()
        shop.clock.advance(seconds=61)
        await shop.container.reconcile_payments()(limit=10)
        shop.takes(esewa)

        page = await client.get(f"/return/{payment.id}/")

        assert re.findall('id="(try-again|pay-[a-z]+|continue)"', page.text) == ["pay-esewa"]

    @pytest.mark.parametrize(("gateway", "status"), [("nobody", 503), ("<b>", 422), ("esewa", 422)])
    async def test_a_choice_that_is_none_opens_nothing_and_offers_the_rest(
        self, client: httpx.AsyncClient, shop: Shop, esewa: FakeGateway, gateway: str, status: int
    ) -> None:
        esewa.capabilities = evolve(esewa.capabilities, greatest=Money(1000))
        payment = await shop.given_an_open_payment()
        shop.gateway.customer_cancels(payment)
        await shop.when_it_is_verified(payment)

        answer = await client.post(f"/return/{payment.id}/again/", data={"gateway": gateway})

        assert (answer.status_code, state(answer)) == (status, "failed")
        assert 'id="try-again"' in answer.text
        assert len(await shop.stored_payments(await shop.stored_booking(payment.booking_id))) == 1


class TestForm:
    """The page that a form of a gateway stands on."""

    @pytest.fixture
    def esewa(self, shop: Shop) -> FakeGateway:
        esewa = FakeGateway(name=GatewayName("esewa"), capabilities=FAKE_FORM_CAPABILITIES)
        shop.takes(esewa, shop.gateway)
        return esewa

    async def test_it_is_shown_to_who_has_just_chosen_and_to_nobody_who_may_have_used_it(
        self, client: httpx.AsyncClient, shop: Shop, esewa: FakeGateway
    ) -> None:
        payment = await shop.given_an_open_payment()
        address = f"/return/{payment.id}/form/"
        shop.clock.advance(seconds=29)
        just_chosen = await client.get(address)
        shop.clock.advance(seconds=1)

        later = await client.get(address)

        assert (just_chosen.status_code, state(just_chosen)) == (200, "redirecting")
        assert f'value="fake_{payment.order_reference}"' in just_chosen.text
        assert (later.status_code, later.headers["Location"]) == (303, f"/return/{payment.id}/")
        parsed(just_chosen.text)

    async def test_one_that_can_be_entered_again_is_shown_while_it_lives(
        self, client: httpx.AsyncClient, shop: Shop, esewa: FakeGateway
    ) -> None:
        esewa.capabilities = evolve(esewa.capabilities, single_entry=False)
        payment = await shop.given_an_open_payment()
        shop.clock.advance(minutes=5)

        page = await client.get(f"/return/{payment.id}/form/")

        assert state(page) == "redirecting"

    @pytest.mark.parametrize("happened", ["pends", "is unknown", "is paid elsewhere", "is disabled", "is canceled"])
    async def test_it_is_not_shown_where_nobody_should_pay(
        self, client: httpx.AsyncClient, shop: Shop, esewa: FakeGateway, happened: str
    ) -> None:
        payment = await shop.given_an_open_payment()
        match happened:
            case "pends":
                esewa.leaves_pending(payment)
            case "is unknown":
                esewa.says(payment, "AMBIGUOUS", Reported.AMBIGUOUS)
            case "is paid elsewhere":
                choice = CheckoutRequest(by=customer(), booking_id=payment.booking_id, gateway=GatewayName("khalti"))
                other = (await shop.container.open_checkout()(choice)).payment
                shop.gateway.customer_pays(other)
                await shop.when_it_is_verified(other)
            case "is disabled":
                shop.takes(shop.gateway)
            case "is canceled":
                await shop.when_the_booking_is_canceled(await shop.stored_booking(payment.booking_id))
        await shop.when_it_is_verified(payment)

        answer = await client.get(f"/return/{payment.id}/form/")

        assert (answer.status_code, answer.headers["Location"]) == (303, f"/return/{payment.id}/")

    async def test_a_payment_without_a_form_has_no_such_page(self, client: httpx.AsyncClient, shop: Shop) -> None:
        payment = await shop.given_an_open_payment()

        answer = await client.get(f"/return/{payment.id}/form/")
        unknown = await client.get(f"/return/{'0' * 8}-0000-4000-8000-{'0' * 12}/form/")

        assert (answer.status_code, answer.headers["Location"]) == (303, f"/return/{payment.id}/")
        assert unknown.status_code == 404


class TestWords:
    def test_every_language_has_the_same_texts(self) -> None:
        keys = {language: set(texts) for language, texts in TEXTS.items()}

        assert set(TEXTS) == set(Language)
        assert len({frozenset(names) for names in keys.values()}) == 1

    def test_no_text_is_empty_or_left_untranslated(self) -> None:
        assert all(text.strip() for texts in TEXTS.values() for text in texts.values())
        assert all(re.search("[\u0900-\u097f]", text) for text in TEXTS[Language.NEPALI].values())

    def test_only_the_words_for_a_failure_say_failure(self) -> None:
        words = {name: text.lower() for name, text in TEXTS[Language.ENGLISH].items()}

        assert [name for name, text in words.items() if "fail" in text] == []

    @pytest.mark.parametrize(
        ("header", "language"),
        [
            ("", "en"),
            ("ne", "ne"),
            ("ne-NP,ne;q=0.9,en-US;q=0.8,en;q=0.7", "ne"),
            ("en-US,en;q=0.9,ne;q=0.8", "en"),
            ("fr,de;q=0.9,ne;q=0.2", "ne"),
            ("fr", "en"),
            ("en;q=0.1,ne;q=0.2", "ne"),
            ("ne;q=0", "en"),
            ("ne;q=x", "en"),
            (",,;;=", "en"),
            ("*", "en"),
            ("NE", "ne"),
            ("new", "en"),
            ("ne," * 5000, "ne"),
        ],
    )
    def test_the_browser_chooses(self, header: str, language: str) -> None:
        assert language_of(header) == language

    async def test_the_hosted_page_speaks_nepali(self, client: httpx.AsyncClient, shop: Shop) -> None:
        address = await page_of(client, shop, await shop.given_a_booking())

        page = await client.get(address, headers={"Accept-Language": "ne"})

        assert '<html lang="ne">' in page.text
        assert "तिर्नुपर्ने रकम" in page.text
        assert "Rs 1,130.00" in page.text
        assert "Accept-Language" in page.headers["Vary"]
        parsed(page.text)


class TestStaticFiles:
    @pytest.mark.parametrize(
        ("path", "media_type"),
        [
            ("/static/sewapay.css", "text/css"),
            ("/static/progress.js", "text/javascript"),
            ("/static/sewapay.svg", "image/svg+xml"),
        ],
    )
    async def test_they_are_served_and_may_be_kept(self, client: httpx.AsyncClient, path: str, media_type: str) -> None:
        answer = await client.get(path)

        assert answer.status_code == 200
        assert answer.headers["Content-Type"].split(";")[0] == media_type
        assert "max-age" in answer.headers["Cache-Control"]

    @pytest.mark.parametrize("path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/x", "/static/"])
    async def test_nothing_else_is(self, client: httpx.AsyncClient, path: str) -> None:
        assert (await client.get(path)).status_code == 404


def test_links_do_not_show_their_secret_and_differ_by_booking_and_secret() -> None:
    first = Links("https://pay.example", b"a" * 32)
    second = Links("https://pay.example", b"b" * 32)

    addresses = {
        first.checkout_url(BookingId(1)), first.checkout_url(BookingId(2)), second.checkout_url(BookingId(1)),
    }  # fmt: skip

    assert len(addresses) == 3
    assert "aaaa" not in repr(first)

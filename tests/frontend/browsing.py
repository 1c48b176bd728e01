"""A customer with a browser, and what the tests want to know about everything that this browser did."""

import re
from typing import Final, Literal, Self
from urllib.parse import urlsplit

from attrs import define, field
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect

WALLET: Final = "9800000001"
MPIN: Final = "1111"
OTP: Final = "987654"
ESEWA_ID: Final = "9806800001"
PASSWORD: Final = "Nepal@123"
ESEWA_OTP: Final = "123456"
CONNECTIPS_USER: Final = "standin"
CONNECTIPS_PASSWORD: Final = "standin"
CONNECTIPS_OTP: Final = "123456"
PHONE: Final = (390, 800)
SMALL_WINDOW: Final = (900, 700)

Ending = Literal["pay", "pend", "cancel", "expire", "ambiguous"]


@define(slots=False)  # Playwright keeps its wrapper of a listening method on the object itself
class Watched:
    """What a person does not see: complaints in the console, broken scripts, and where requests went."""

    complaints: list[str] = field(factory=list)
    hosts: set[str] = field(factory=set)

    def watch(self, context: BrowserContext) -> Self:
        """Note it for every page of `context`. A violated Content-Security-Policy is an error in the console."""
        context.on("console", self._note_message)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        context.on("request", self._note_request)
        context.on("requestfailed", self._note_failure)
        return self

    def forget(self, words: str) -> None:
        """Take out a complaint that belongs to what the test does. It must have come."""
        expected = [complaint for complaint in self.complaints if words in complaint]
        assert expected, f"nothing complained about {words!r}"
        for complaint in expected:
            self.complaints.remove(complaint)

    def _note_message(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _note_request(self, request: Request) -> None:
        if not request.url.startswith("data:"):
            self.hosts.add(urlsplit(request.url).hostname or request.url)

    def _note_failure(self, request: Request) -> None:
        # a page that is left while something loads is no failure of the page
        if "ERR_ABORTED" not in (request.failure or ""):
            self.complaints.append(f"{urlsplit(request.url).path}: {request.failure}")


@define
class Customer:
    """Does at a keyboard what customers do."""

    page: Page
    watched: Watched
    has_script: bool = True

    @classmethod
    def with_browser(
        cls,
        browser: Browser,
        *,
        script: bool = True,
        language: str = "en-US",
        window: tuple[int, int] = SMALL_WINDOW,
        dark: bool = False,
    ) -> Self:
        """A new customer: nothing is remembered from anybody before."""
        context = browser.new_context(
            java_script_enabled=script,
            locale=language,
            viewport={"width": window[0], "height": window[1]},
            device_scale_factor=1,
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",  # a picture of a turning wheel would differ at every run
        )
        context.set_default_timeout(15_000)
        return cls(context.new_page(), Watched().watch(context), script)

    def opens(self, url: str) -> None:
        """Go to an address."""
        self.page.goto(url)

    def chooses_khalti(self) -> None:
        """Press "Pay with Khalti" on the checkout page; ends on the stand-in's page."""
        self.page.get_by_role("button", name="Khalti").click()
        expect(self.page.locator("#notice")).to_be_visible()

    def chooses_esewa(self) -> None:
        """Press "Pay with eSewa", and where no script sends the form, its button; ends on the stand-in's page."""
        self.page.get_by_role("button", name="eSewa").click()
        self.sends_the_form()

    def chooses_connectips(self) -> None:
        """Press "Pay with connectIPS", and where no script sends the form, its button; ends on the stand-in's page."""
        self.page.get_by_role("button", name="connectIPS").click()
        self.sends_the_form()

    def sends_the_form(self) -> None:
        """Come to a stand-in by the form that our page holds: by itself with script, by its button without."""
        if not self.has_script:
            self.reads("redirecting")
            self.page.locator("#continue").click()
        expect(self.page.locator("#notice")).to_be_visible()

    def logs_in(self) -> None:
        """Fill in eSewa ID, password and OTP at the stand-in."""
        self.page.get_by_label("eSewa ID").fill(ESEWA_ID)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Log in").click()
        self.page.get_by_label("OTP").fill(ESEWA_OTP)

    def pays_with_esewa(self) -> None:
        """Pay at eSewa's stand-in, from its first page on."""
        self.logs_in()
        self.ends("pay")

    def chooses_an_account(self) -> None:
        """Choose a bank account at connectIPS's stand-in and log in; ends where the OTP is asked for."""
        self.page.get_by_label("Bank account").select_option("2501")
        self.page.get_by_label("User").fill(CONNECTIPS_USER)
        self.page.get_by_label("Password").fill(CONNECTIPS_PASSWORD)
        self.page.get_by_role("button", name="Log in").click()
        expect(self.page.get_by_label("OTP")).to_be_visible()

    def pays_with_connectips(self) -> None:
        """Pay at connectIPS's stand-in, from its first page on."""
        self.chooses_an_account()
        self.page.get_by_label("OTP").fill(CONNECTIPS_OTP)
        self.ends("pay")

    def signs_in(self) -> None:
        """Fill in the wallet's number and its MPIN at the stand-in."""
        self.page.get_by_label("Wallet number").fill(WALLET)
        self.page.get_by_label("MPIN").fill(MPIN)
        self.page.get_by_role("button", name="Continue").click()
        self.page.get_by_label("OTP").fill(OTP)

    def pays(self) -> None:
        """Pay at the stand-in, from its first page on."""
        self.signs_in()
        self.ends("pay")

    def ends(self, how: Ending) -> None:
        """Press one of the stand-in's last buttons; the browser leaves it."""
        self.page.locator(f"#{how}").click()
        expect(self.page.locator("#notice")).to_have_count(0)

    def tries_again(self) -> None:
        """Press "Try again" on the result page."""
        self.page.locator("#try-again").click()
        expect(self.page.locator("#notice")).to_be_visible()

    def reads(self, state: str, *, within: float = 15) -> None:
        """Wait, `within` seconds, until our page says `state`."""
        expect(self.page.locator("#status")).to_have_attribute("data-state", state, timeout=within * 1000)

    @property
    def buttons(self) -> list[str]:
        """What can be pressed on our page."""
        return self.page.locator("button, a.button").all_inner_texts()

    @property
    def transaction_uuid(self) -> str:
        """The payment whose page this is, at a stand-in that is sent a form; connectIPS calls it TXNID."""
        return self.page.locator("#reference").inner_text()

    @property
    def pidx(self) -> str:
        """The payment whose page at the stand-in this is."""
        found = re.search(r"[?&]pidx=(\w+)", self.page.url)
        assert found, self.page.url
        return found[1]

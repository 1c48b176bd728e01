"""Whether everybody can read and use the pages: by eye, by ear, on a narrow phone, in the dark."""

from collections.abc import Callable

import pytest

from sewapay.adapters.esewa.simulator import Simulator as Esewa
from sewapay.adapters.khalti.simulator import Simulator
from tests.frontend.browsing import Customer
from tests.frontend.conftest import Merchant

pytestmark = pytest.mark.browser

NARROW = (320, 640)
WIDE = (1280, 800)

# Limits of WCAG 2.2, level AA: contrast (1.4.3), reflow at 320 pixels (1.4.10), names (4.1.2), language (3.1.1); the
# height of what is pressed is the 44 pixels of 2.5.5, since a thumb pays here.
FAULTS = """() => {
  const faults = [];
  const name = (element) => element.tagName.toLowerCase() + (element.id ? `#${element.id}` : "");

  const rgba = (text) => {
    const [red, green, blue, alpha = 1] = text.match(/[\\d.]+/g).map(Number);
    return [red, green, blue, alpha];
  };
  const over = (front, back) => [0, 1, 2].map((i) => front[i] * front[3] + back[i] * (1 - front[3]));
  const luminance = (colour) => {
    const [red, green, blue] = colour.map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour[3] === 1) return colour.slice(0, 3);
    }
    return [255, 255, 255];
  };

  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const back = ground(element);
    const colour = rgba(style.color);
    for (let at = element; at; at = at.parentElement) colour[3] *= Number(getComputedStyle(at).opacity);
    const [dim, bright] = [luminance(over(colour, back)), luminance(back)].sort((a, b) => a - b);
    const contrast = (bright + 0.05) / (dim + 0.05);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (contrast < (isLarge ? 3 : 4.5)) {
      faults.push(`${name(element)}: contrast ${contrast.toFixed(2)} of "${texts.currentNode.data.trim()}"`);
    }
  }
  if (document.documentElement.scrollWidth > window.innerWidth) faults.push("wider than the window");
  if (!document.documentElement.lang) faults.push("no language");
  if (!document.title.trim()) faults.push("no title");
  if (document.querySelectorAll("h1").length !== 1) faults.push("not exactly one h1");
  if (document.querySelectorAll("main").length !== 1) faults.push("not exactly one main");
  for (const field of document.querySelectorAll("input:not([type=hidden])")) {
    if (!field.labels.length) faults.push(`${name(field)}: no label`);
  }
  for (const pressed of document.querySelectorAll("button, a.button, input:not([type=hidden])")) {
    if (pressed.getBoundingClientRect().height < 44) faults.push(`${name(pressed)}: too low for a thumb`);
    if (pressed.tagName !== "INPUT" && !pressed.textContent.trim()) faults.push(`${name(pressed)}: no name`);
  }
  for (const image of document.querySelectorAll("img")) {
    if (!image.hasAttribute("alt")) faults.push(`${name(image)}: no alt`);
  }
  return faults;
}"""

UNREADABLE = """<title> </title><p style="color: #999">pale</p><input style="width: 3000px"><button></button>
<img src="data:,">"""

LOOKS = pytest.mark.parametrize(
    ("dark", "language", "window"),
    [
        pytest.param(False, "ne", NARROW, id="light-nepali-narrow"),
        pytest.param(True, "en", NARROW, id="dark-english-narrow"),
        pytest.param(False, "en", WIDE, id="light-english-wide"),
    ],
)


def faults(customer: Customer) -> list[str]:
    """What is wrong with the page that the customer is on, each with its address."""
    return [f"{customer.page.url}: {fault}" for fault in customer.page.evaluate(FAULTS)]


@LOOKS
def test_every_page_of_the_road_can_be_read(
    dark: bool,
    language: str,
    window: tuple[int, int],
    a_customer: Callable[..., Customer],
    merchant: Merchant,
    simulator: Simulator,
) -> None:
    customer = a_customer(dark=dark, language=language, window=window)
    page, booking = customer.page, merchant.registers_a_booking("Deep cleaning of a house with averyveryverylongname")
    found: list[str] = []

    customer.opens(booking["checkout_url"])
    found += faults(customer)
    customer.chooses_khalti()
    found += faults(customer)
    page.locator("#continue").click()
    page.locator("#error").wait_for()
    found += faults(customer)
    customer.watched.forget("422")  # the stand-in's answer to an empty form
    customer.signs_in()
    found += faults(customer)
    customer.ends("cancel")
    customer.reads("canceled")
    found += faults(customer)
    customer.tries_again()
    pidx, [latest] = customer.pidx, [each for each in merchant.payments_of(booking) if each["status"] == "open"]
    customer.opens(f"{merchant.url}/return/{latest['id']}/")
    customer.reads("open")
    found += faults(customer)
    simulator.pend(pidx)
    customer.opens(page.url)
    customer.reads("checking")
    found += faults(customer)
    simulator.pay(pidx)
    customer.opens(page.url)
    customer.reads("paid")
    found += faults(customer)
    customer.opens(f"{merchant.url}/problems/")
    found += faults(customer)

    assert found == []


@LOOKS
def test_every_page_between_two_gateways_can_be_read(
    dark: bool,
    language: str,
    window: tuple[int, int],
    a_customer: Callable[..., Customer],
    bazaar: Merchant,
    esewa: Esewa,
) -> None:
    customer = a_customer(dark=dark, language=language, window=window)
    page, booking = customer.page, bazaar.registers_a_booking()
    found: list[str] = []

    customer.opens(booking["checkout_url"])
    found += faults(customer)
    page.route("**/static/progress.js", lambda route: route.fulfill(content_type="text/javascript", body=""))
    page.get_by_role("button", name="eSewa").click()
    customer.reads("redirecting")
    found += faults(customer)
    page.locator("#continue").click()
    found += faults(customer)
    uuid = customer.transaction_uuid
    page.locator("#login").click()
    page.locator("#error").wait_for()
    found += faults(customer)
    customer.watched.forget("422")  # the stand-in's answer to an empty form
    customer.logs_in()
    found += faults(customer)
    customer.ends("expire")
    customer.reads("open")
    found += faults(customer)
    customer.chooses_khalti()
    customer.pays()
    customer.reads("paid")
    [form] = [each for each in bazaar.payments_of(booking) if each["gateway"] == "esewa"]
    esewa.pay(uuid)
    customer.opens(f"{bazaar.url}/return/{form['id']}/?data=")
    customer.reads("surplus")
    found += faults(customer)
    customer.opens(bazaar.registers_a_booking(amount=99)["checkout_url"])
    customer.reads("not_here")
    found += faults(customer)

    assert found == []


def test_the_pages_that_say_no_can_be_read(a_customer: Callable[..., Customer], merchant: Merchant) -> None:
    customer = a_customer(window=NARROW)

    customer.opens(f"{merchant.url}/pay/999999")
    customer.reads("not_found")

    assert faults(customer) == []
    customer.watched.forget("404")


def test_a_page_that_cannot_be_read_is_noticed(customer: Customer) -> None:
    customer.page.set_content(UNREADABLE)

    found = " ".join(faults(customer))

    for what in ("contrast 2.85", "wider", "no language", "no title", "h1", "main", "label", "thumb", "name", "alt"):
        assert what in found

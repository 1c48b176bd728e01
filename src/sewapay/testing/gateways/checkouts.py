"""What a gateway promises about its checkouts: a page for one payment, and the way back from it."""

from datetime import timedelta
from urllib.parse import urlsplit

from attrs import evolve

from sewapay.application.ports import CheckoutKind, Payer
from sewapay.domain.checkout import Checkout, PostForm, Redirect
from sewapay.domain.observation import Reported
from sewapay.testing.clauses import IS_A_FORM, OPENS_BY_A_CALL, OPENS_WITHOUT_A_CALL, check
from sewapay.testing.stage import Stage
from sewapay.testing.steps import PAYER, URLS, an_order, named, opened, undecided


@check()
async def a_checkout_can_be_shown(stage: Stage) -> None:
    """A checkout is of the kind that the capabilities name, leads to an address, and says its times in UTC."""
    gateway = stage.gateway()

    checkout = await gateway.open_checkout(an_order(), URLS, PAYER)

    assert isinstance(checkout, Checkout)
    kind = {CheckoutKind.REDIRECT: Redirect, CheckoutKind.POST_FORM: PostForm}[gateway.capabilities.checkout]
    assert isinstance(checkout.next_step, kind)
    assert checkout.next_step.url.startswith(("https://", "http://127.0.0.1"))
    if checkout.gateway_reference is not None:
        assert 1 <= len(checkout.gateway_reference) <= 128
        assert checkout.gateway_reference.isprintable()
    if checkout.expires_at is not None:
        assert checkout.expires_at.utcoffset() == timedelta(0)
    if checkout.life is not None:
        assert timedelta(0) < checkout.life <= gateway.capabilities.longest_life


@check(OPENS_BY_A_CALL)
async def a_checkout_is_asked_for_once(stage: Stage) -> None:
    """Opening a checkout is one request to the company."""
    await stage.gateway().open_checkout(an_order(), URLS, PAYER)

    assert stage.initiated == 1


@check(OPENS_WITHOUT_A_CALL)
async def a_checkout_made_here_asks_nobody(stage: Stage) -> None:
    """A checkout that is made without the company is made while the company is away, and sends nothing."""
    checkout = await stage.unreachable().open_checkout(an_order(), URLS, PAYER)
    await stage.gateway().open_checkout(an_order(), URLS, PAYER)

    assert checkout.next_step.url
    assert (stage.initiated, stage.looked_up, stage.refunded) == (0, 0, 0)


@check()
async def nothing_is_known_of_a_customer_who_is_not_described(stage: Stage) -> None:
    """A customer of whom nothing is told can pay."""
    gateway, order = stage.gateway(), an_order()

    checkout = await gateway.open_checkout(order, URLS, Payer())

    assert stage.enters(evolve(order, gateway_reference=checkout.gateway_reference), checkout)


@check(IS_A_FORM)
async def a_form_is_text_in_order_without_a_secret(stage: Stage) -> None:
    """A form's fields are named text in an order that is the same each time, and none of them holds a secret."""
    gateway = stage.gateway()
    one = (await gateway.open_checkout(an_order(), URLS, PAYER)).next_step
    other = (await gateway.open_checkout(an_order(), URLS, PAYER)).next_step

    assert isinstance(one, PostForm)
    assert isinstance(other, PostForm)
    for name, text in one.fields.items():
        assert type(name) is str
        assert name.isprintable()
        assert type(text) is str, f"{name} is no text: what a browser posts is what is signed"
        assert text.isprintable()
        assert not any(secret in text for secret in stage.secrets), f"{name} holds a secret"
    assert one.fields
    assert list(one.fields) == list(other.fields)


@check()
async def a_page_is_where_the_capabilities_say(stage: Stage) -> None:
    """The checkout's address lies in one of the page origins, which our own pages' forms may lead to."""
    gateway = stage.gateway()

    checkout = await gateway.open_checkout(an_order(), URLS, PAYER)

    step = checkout.next_step
    origins = gateway.capabilities.page_origins
    if isinstance(step, PostForm) or origins:
        assert any(_is_within(step.url, origin) for origin in origins), f"{step.url} is in none of {origins}"


@check()
async def two_checkouts_are_two_payments(stage: Stage) -> None:
    """Each checkout is a payment of its own."""
    gateway = stage.gateway()
    one, other = await opened(stage, gateway, an_order()), await opened(stage, gateway, an_order())

    stage.customer_pays(named(one))

    assert (await gateway.look_up(one)).reported is Reported.COMPLETED
    assert (await gateway.look_up(other)).reported in undecided(other)


@check()
async def a_checkout_is_entered_as_often_as_it_says(stage: Stage) -> None:
    """A checkout can be shown again, unless the capabilities say that its page takes it once."""
    gateway, order = stage.gateway(), an_order()
    checkout = await gateway.open_checkout(order, URLS, PAYER)
    order = evolve(order, gateway_reference=checkout.gateway_reference)

    first, second = stage.enters(order, checkout), stage.enters(order, checkout)

    assert first
    assert second is not gateway.capabilities.single_entry


@check()
async def the_browser_comes_back_where_we_said(stage: Stage) -> None:
    """Whoever paid is sent to our return address, unless the capabilities say that another one is registered."""
    gateway = stage.gateway()
    order = await opened(stage, gateway, an_order())

    came_back = stage.customer_pays(named(order))

    if not gateway.capabilities.registered_return:
        assert came_back.startswith(URLS.return_url)


def _is_within(url: str, origin: str) -> bool:
    """Whether a Content-Security-Policy with this source would let a form lead there."""
    there, source = urlsplit(url), urlsplit(origin)
    default = {"https": 443, "http": 80}
    host, wanted = there.hostname or "", source.hostname or ""
    is_host = host.endswith(wanted[1:]) if wanted.startswith("*.") else host == wanted
    ports = [parts.port or default.get(parts.scheme) for parts in (there, source)]
    return there.scheme == source.scheme and is_host and ports[0] == ports[1]

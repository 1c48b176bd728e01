import re

import pytest

from sewapay.application.access import Role, Scope
from sewapay.application.errors import KeyNotFound
from tests.shop import Shop

PRODUCTION = {
    "SEWAPAY_ENV": "production",
    "SEWAPAY_PUBLIC_URL": "https://pay.example",
    "SEWAPAY_RETURN_ORIGINS": "https://shop.example",
}


async def test_a_new_keys_token_is_who_it_says() -> None:
    shop = Shop()

    created = await shop.container.create_api_key()("the shop", frozenset({Scope.PAYMENTS}))

    principal = await shop.container.authenticate_service()(created.token)
    assert principal is not None
    assert (principal.role, principal.id) == (Role.SERVICE, created.key.id)
    assert principal.scopes == frozenset({Scope.PAYMENTS})
    assert re.fullmatch(r"swp_test_[0-9a-f]{16}_[A-Za-z0-9_-]{43}", created.token)


async def test_a_productions_key_says_so() -> None:
    shop = Shop(environ=PRODUCTION)

    created = await shop.container.create_api_key()("the shop", frozenset(Scope))

    assert created.token.startswith("swp_live_")


async def test_the_secret_is_stored_and_shown_nowhere() -> None:
    shop = Shop()

    created = await shop.container.create_api_key()("the shop", frozenset(Scope))

    secret = created.token[-43:]
    (stored,) = await shop.container.list_api_keys()()
    assert secret not in repr(stored) + stored.digest + repr(created)
    assert stored.digest not in repr(stored)


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token[:-1] + ("A" if token[-1] != "A" else "B"),
        lambda token: token[:-1],
        lambda token: token + "x",
        lambda token: token + "\n",
        lambda token: token.upper(),
        lambda token: token.replace("swp_test_", ""),
        lambda token: token.replace("swp_test_", "swp_prod_"),
        lambda token: token[:9] + "0" * 16 + token[25:],
        lambda _: "",
        lambda _: "swp_test_0123456789abcdef_" + "A" * 43,
        lambda _: "é" * 70,
    ],
)
async def test_any_other_token_is_nobodys(change: object) -> None:
    shop = Shop()
    created = await shop.container.create_api_key()("the shop", frozenset(Scope))
    assert callable(change)

    assert await shop.container.authenticate_service()(change(created.token)) is None


async def test_a_revoked_key_is_nobodys_at_once() -> None:
    shop = Shop()
    created = await shop.container.create_api_key()("the shop", frozenset(Scope))

    revoked = await shop.container.revoke_api_key()(created.key.id)

    assert revoked.revoked_at == shop.clock.now()
    assert await shop.container.authenticate_service()(created.token) is None


async def test_revoking_again_changes_nothing() -> None:
    shop = Shop()
    created = await shop.container.create_api_key()("the shop", frozenset(Scope))
    first = await shop.container.revoke_api_key()(created.key.id)
    shop.clock.advance(days=1)

    assert first == await shop.container.revoke_api_key()(created.key.id)


async def test_revoking_one_key_leaves_the_others() -> None:
    shop = Shop()
    revoked = await shop.container.create_api_key()("old", frozenset(Scope))
    kept = await shop.container.create_api_key()("new", frozenset(Scope))

    await shop.container.revoke_api_key()(revoked.key.id)

    assert await shop.container.authenticate_service()(kept.token) is not None


async def test_a_key_that_does_not_exist_cannot_be_revoked() -> None:
    shop = Shop()

    with pytest.raises(KeyNotFound, match="there is no key nothing"):
        await shop.container.revoke_api_key()("nothing")


async def test_every_key_is_listed_with_the_revoked_ones_oldest_first() -> None:
    shop = Shop()
    for label in ("first", "second", "third"):
        created = await shop.container.create_api_key()(label, frozenset(Scope))
        shop.clock.advance(seconds=1)
    await shop.container.revoke_api_key()(created.key.id)

    keys = await shop.container.list_api_keys()()

    assert [key.label for key in keys] == ["first", "second", "third"]
    assert [key.revoked_at is None for key in keys] == [True, True, False]


async def test_two_keys_differ_in_id_and_secret() -> None:
    shop = Shop()

    one, other = [await shop.container.create_api_key()("same", frozenset(Scope)) for _ in range(2)]

    assert one.key.id != other.key.id
    assert one.token[-43:] != other.token[-43:]

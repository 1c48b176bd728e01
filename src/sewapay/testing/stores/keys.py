"""API keys."""

from attrs import evolve

from sewapay.application.access import Scope
from sewapay.application.storage import Store
from sewapay.testing.builders import NOON, a_key, minutes
from sewapay.testing.stores.given import clause, given


@clause
async def api_keys_come_back_as_they_were(store: Store) -> None:
    key, full = a_key(), evolve(a_key("f" * 16, at=NOON - minutes(1)), scopes=frozenset(Scope), revoked_at=NOON)
    none = evolve(a_key("e" * 16, at=NOON + minutes(1)), scopes=frozenset())

    for each in (key, full, none):
        await given(store, each)

    assert await store.read(lambda view: view.api_keys.find(key.id)) == key
    assert await store.read(lambda view: view.api_keys.find("0" * 16)) is None
    assert await store.read(lambda view: view.api_keys.all()) == [full, key, none]


@clause
async def a_revoked_key_is_saved(store: Store) -> None:
    key, other = a_key(), a_key("f" * 16, at=NOON + minutes(1))
    await given(store, key, other)
    revoked = evolve(key, revoked_at=NOON + minutes(2))

    await store.transact(lambda tx: tx.api_keys.save(revoked))

    assert await store.read(lambda view: view.api_keys.all()) == [revoked, other]

"""The fakes that tests use in place of a company and of a database: they keep state, and pass the contracts."""

from sewapay.adapters.fake.gateway import FAKE_CAPABILITIES, FakeGateway, FakePayment, Pays
from sewapay.adapters.memory.store import MemoryStore

__all__ = ["FAKE_CAPABILITIES", "FakeGateway", "FakePayment", "MemoryStore", "Pays"]

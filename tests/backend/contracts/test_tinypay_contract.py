"""The example of another distribution's gateway keeps the contract too, in this process and from its own folder."""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from sewapay.testing.kit import CHECKS, put_through
from sewapay.testing.stage import StageFactory

TINYPAY = Path(__file__).resolve().parents[3] / "examples" / "tinypay"
OF_NO_CONCERN = {
    "a_checkout_made_here_asks_nobody": "its company is asked for each checkout",
    "a_form_is_text_in_order_without_a_secret": "its checkout is a link and no form",
    "a_list_of_signed_names_of_its_own_is_forged": "its returns do not say what is signed",
    "the_signature_of_our_own_request_is_forged": "what the browser is given carries no signature",
}


@pytest.fixture(scope="module")
def stage() -> Iterator[StageFactory]:
    """The stage of Tinypay's own test; its modules are gone from this process afterwards."""
    folders = [str(TINYPAY / "src"), str(TINYPAY / "tests")]
    sys.path[:0] = folders
    try:
        made: StageFactory = import_module("test_contract").stage
        yield made
    finally:
        for folder in folders:
            sys.path.remove(folder)
        for module in [name for name in sys.modules if name.partition(".")[0] in ("tinypay", "test_contract")]:
            del sys.modules[module]


@pytest.mark.parametrize("name", [name for name in CHECKS if name not in OF_NO_CONCERN])
async def test_tinypay_keeps_the_contract(stage: StageFactory, name: str) -> None:
    await put_through(name, stage)


@pytest.mark.parametrize("name", OF_NO_CONCERN)
async def test_what_tinypay_does_not_do_is_passed_over(stage: StageFactory, name: str) -> None:
    with pytest.raises(pytest.skip.Exception, match=OF_NO_CONCERN[name]):
        await put_through(name, stage)

"""What a gateway promises about what the customer's browser brings back: it is a hint, whatever it says."""

from urllib.parse import parse_qsl, urlsplit

from hypothesis import given, settings
from hypothesis import strategies as st

from sewapay.application.ports import Authenticity, ReturnHint, ReturnMessage
from sewapay.testing.clauses import check
from sewapay.testing.stage import Stage
from sewapay.testing.steps import an_order, named, opened


@check()
async def a_return_never_raises_and_proves_nothing(stage: Stage) -> None:
    """Whatever came back is read without an error, nobody's is taken for signed, and what is read of it is text."""
    gateway = stage.gateway()
    assert not gateway.read_return(ReturnMessage(values=())).says_paid, "nothing came back"
    names = st.sampled_from(["pidx", "status", "reference", "transaction_uuid", "data", "purchase_order_id", "TXNID"])

    @settings(max_examples=60, database=None, deadline=None)
    @given(st.lists(st.tuples(names | st.text(), st.text() | st.sampled_from(["Completed", "\x00" * 65536, "\ud800"]))))
    def read(values: list[tuple[str, str]]) -> None:
        hint = gateway.read_return(ReturnMessage(values=tuple(values)))

        assert isinstance(hint, ReturnHint)
        assert hint.authenticity is not Authenticity.SIGNED, "nobody signed this"
        for text in (hint.claims, hint.gateway_reference, hint.order_reference):
            assert text is None or (text.isprintable() and 0 < len(text) <= 2000)

    read()


@check()
async def a_genuine_return_names_its_payment(stage: Stage) -> None:
    """What the company really sends back names the payment that was made, and no other."""
    gateway = stage.gateway()
    one, other = await opened(stage, gateway, an_order()), await opened(stage, gateway, an_order())

    for order in (other, one):
        hint = gateway.read_return(message_of(stage.customer_pays(named(order))))

        assert hint.gateway_reference in (None, order.gateway_reference)
        assert hint.order_reference in (None, str(order.reference))
        assert hint.gateway_reference or hint.order_reference
        if gateway.capabilities.registered_return:
            assert hint.order_reference == str(order.reference), "there is nothing else to find the payment by"


def message_of(address: str) -> ReturnMessage:
    """What a browser brings back that is sent to this address."""
    return ReturnMessage(values=tuple(parse_qsl(urlsplit(address).query, keep_blank_values=True)))

"""A gateway's world in a test: the gateway, and a hand on the company (or its stand-in) that stands behind it."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from enum import StrEnum
from typing import Protocol

from sewapay.application.ports import Order, PaymentGateway, ReturnMessage
from sewapay.domain.checkout import Checkout
from sewapay.domain.observation import Reported

__all__ = ["Call", "Ending", "SignedReturns", "Stage", "StageFactory", "Told"]


class Call(StrEnum):
    """What a gateway may ask its company for."""

    OPENING = "opening"
    LOOK_UP = "look-up"
    REFUND = "refund"


class Ending(StrEnum):
    """How a payment ends without being paid: the customer gives up, it stays undecided, nobody comes in time."""

    CANCELED = "canceled"
    PENDING = "pending"
    EXPIRED = "expired"


class Told(StrEnum):
    """What the answer to a look-up tells of a payment: its status, what was paid, what the company calls it, and how
    it calls the money that came.
    """

    STATUS = "status"
    AMOUNT = "amount"
    REFERENCE = "reference"
    TRANSACTION = "transaction"


class SignedReturns(Protocol):
    """How the returns of a gateway that signs them are taken apart and made anew, by other code than the gateway's."""

    @property
    def signature(self) -> str:
        """The name of the value that is the signature: `signature`."""
        ...

    @property
    def signed(self) -> tuple[str, ...]:
        """The names of the values that a genuine return's signature covers."""
        ...

    @property
    def names(self) -> str | None:
        """The name of the value that says which values are signed, if there is one: `signed_field_names`."""
        ...

    def opened_up(self, message: ReturnMessage) -> Mapping[str, str]:
        """The values in a return, in their order, the signature among them."""
        ...

    def put_together(self, values: Mapping[str, str]) -> ReturnMessage:
        """A return of exactly these values."""
        ...

    def signed_with(self, key: str, values: Mapping[str, str]) -> Mapping[str, str]:
        """These values under a signature that is made with this key, over what they themselves say is signed."""
        ...

    def of_our_own(self, checkout: Checkout, values: Mapping[str, str]) -> Mapping[str, str] | None:
        """These values under the signature that stands in our own request, made to fit it as well as can be.

        Whoever pays sees that signature. None when our requests carry none.
        """
        ...


class Stage(Protocol):
    """One gateway and its company, with nothing on it yet.

    `reference` is what the company calls a payment: its own reference, or ours where it gives none.
    """

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must show nowhere: keys."""
        ...

    @property
    def calls(self) -> frozenset[Call]:
        """What the gateway asks its company for; one whose checkout is a form has no call for opening it."""
        ...

    @property
    def speaks_http(self) -> bool:
        """Whether answers come over HTTP, where anything may happen to them: then `spoils` is used."""
        ...

    @property
    def told(self) -> Mapping[Told, str]:
        """The keys under which the answer to a look-up tells these, without those that it does not tell."""
        ...

    @property
    def documented_words(self) -> Mapping[str, Reported]:
        """Every word that the company documents for a status, and what it means to us; empty when it has none."""
        ...

    @property
    def endings(self) -> Mapping[Ending, Reported]:
        """What look-ups say after each ending that the company knows."""
        ...

    @property
    def signed_returns(self) -> SignedReturns | None:
        """How returns are signed; None for a gateway whose returns are not."""
        ...

    @property
    def initiated(self) -> int:
        """How many requests for a checkout arrived at the company from the gateway."""
        ...

    @property
    def looked_up(self) -> int:
        """How many look-ups arrived."""
        ...

    @property
    def refunded(self) -> int:
        """How many requests for a refund arrived."""
        ...

    def given_back(self, reference: str) -> int:
        """How many paisa of a payment went back, by the company's own books."""
        ...

    def gateway(self) -> PaymentGateway:
        """The gateway as it is after a restart: a new one, on the same company."""
        ...

    def unreachable(self) -> PaymentGateway:
        """A gateway whose company takes no connections."""
        ...

    def silent(self, on: Call) -> AbstractContextManager[None]:
        """One request has its effect, and its answer does not come in time."""
        ...

    def held(self, on: Call) -> AbstractContextManager[None]:
        """One request arrives, and its answer is not there yet."""
        ...

    def spoils(self, on: Call, fault: Mapping[str, object]) -> None:
        """One answer on the wire goes wrong, in one of the ways that `sewapay.standins` has."""
        ...

    def enters(self, order: Order, checkout: Checkout) -> bool:
        """The customer's browser goes to the checkout; tells whether the company's page took it."""
        ...

    def customer_pays(self, reference: str) -> str:
        """The customer pays; tells where the browser is sent then."""
        ...

    def ends(self, reference: str, ending: Ending) -> None:
        """The payment ends without being paid."""
        ...

    def says(self, reference: str, word: str) -> None:
        """From now on the company uses this word for the payment's status."""
        ...

    def answers_about_another(self, reference: str) -> None:
        """The next look-up of this payment is answered with another payment's reference."""
        ...

    def misstates(self, reference: str, paisa: int) -> None:
        """The next look-up of this payment is answered with an amount that is so much greater."""
        ...


class StageFactory(Protocol):
    """Makes a stage; a module that is named as one has it as `stage`."""

    def __call__(self) -> AbstractAsyncContextManager[Stage]:
        """A stage with nothing on it yet, for the time of one check."""
        ...

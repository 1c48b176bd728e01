"""A gateway whose checkout is a signed form and whose returns are signed, with a company of its own in memory.

It is what the checks of such gateways are proved with: small enough to be broken in one place at a time.
"""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from types import MappingProxyType
from typing import Final
from urllib.parse import urlencode

from attrs import define, field

from sewapay.application.errors import NothingSent, OutcomeUnknown
from sewapay.application.ports import (
    Authenticity,
    Capabilities,
    CheckoutKind,
    Order,
    Payer,
    PaymentGateway,
    RefundKind,
    ReturnHint,
    ReturnMessage,
    Urls,
)
from sewapay.domain.checkout import Checkout, PostForm
from sewapay.domain.identifiers import Environment, GatewayName
from sewapay.domain.money import Money
from sewapay.domain.observation import Observation, Reported
from sewapay.testing.stage import Call, Ending, Stage, Told

KEY: Final = "canary of a form 0123456789"
NAMES: Final = ("status", "amount", "reference", "signed_names")
WORDS: Final = MappingProxyType({"PAID": Reported.COMPLETED, "WAITING": Reported.PENDING, "NONE": Reported.ABSENT})

CAPABILITIES: Final = Capabilities(
    label="Form",
    checkout=CheckoutKind.POST_FORM,
    signed_return=True,
    refunds=RefundKind.NONE,
    least=Money(100),
    greatest=None,
    reference_charset=r"[A-Z0-9]",
    reference_length=36,
    default_life=timedelta(minutes=15),
    page_origins=("https://form.example",),
    single_entry=True,
)


def signature(key: str, values: Mapping[str, str]) -> str:
    """Over what the values themselves say is signed."""
    told = ",".join(f"{name}={values.get(name, '')}" for name in values["signed_names"].split(",") if name)
    return hmac.new(key.encode(), told.encode(), hashlib.sha256).hexdigest()


def paisa_of(text: str) -> int:
    rupees, _, paisa = text.partition(".")
    return int(rupees) * 100 + int(paisa)


@define
class FormCompany:
    """What the company knows: each payment's word, and what it was posted with."""

    posted: dict[str, Mapping[str, str]] = field(factory=dict)
    words: dict[str, str] = field(factory=dict)
    lies: dict[str, Mapping[str, str]] = field(factory=dict)
    looked_up: int = 0
    is_silent: bool = False
    may_answer: asyncio.Event | None = None

    async def status(self, reference: str) -> Mapping[str, str]:
        self.looked_up += 1
        await asyncio.sleep(0)
        answer = {"reference": reference, "status": "NONE", "amount": "", "transaction": ""}
        if reference in self.posted:
            answer |= {"status": self.words[reference], "amount": self.posted[reference]["amount"]}
        if answer["status"] != "WAITING" and reference in self.posted:
            answer["transaction"] = f"t_{reference}"
        answer |= self.lies.pop(reference, {})
        if self.may_answer is not None:
            await self.may_answer.wait()
        if self.is_silent:
            raise OutcomeUnknown("the form company is silent")
        return answer


@define(kw_only=True, eq=False)
class FormGateway:
    """As it should be."""

    company: FormCompany | None = field(repr=False)
    name: GatewayName = field(default=GatewayName("form"))
    environment: Environment = Environment.SANDBOX
    refunds: None = None

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        paisa = order.amount.paisa
        values = {
            "amount": f"{paisa // 100}.{paisa % 100:02}",
            "reference": str(order.reference),
            "return_url": urls.return_url,
            "signed_names": "amount,reference",
        }
        return Checkout(next_step=PostForm("https://form.example/pay", {**values, "signature": signature(KEY, values)}))

    def read_return(self, message: ReturnMessage) -> ReturnHint:
        values = dict(message.values)
        if not set(values) & {*NAMES, "signature"}:
            return ReturnHint(authenticity=Authenticity.UNSIGNED)
        if not self.verifies(values):
            return ReturnHint(authenticity=Authenticity.FORGED)
        return ReturnHint(
            authenticity=Authenticity.SIGNED,
            claims=values.get("status"),
            order_reference=values.get("reference"),
            says_paid=values.get("status") == "PAID",
        )

    def verifies(self, values: Mapping[str, str]) -> bool:
        if values.get("signed_names") != ",".join(NAMES) or not {*NAMES, "signature"} <= set(values):
            return False
        try:
            return hmac.compare_digest(signature(KEY, values).encode(), values["signature"].encode())
        except UnicodeError:
            return False

    async def look_up(self, order: Order) -> Observation:
        if self.company is None:
            raise NothingSent("the form company takes no connections")
        answer = await self.company.status(str(order.reference))
        return Observation(
            reported=WORDS.get(answer["status"], Reported.UNKNOWN),
            said=answer["status"],
            amount=Money(paisa_of(answer["amount"])) if answer["amount"] else None,
            transaction_id=answer["transaction"] or None,
            order_reference=answer["reference"],
        )


class FormSigns:
    """How the company signs what the browser brings back."""

    signature: Final = "signature"
    signed: Final = NAMES
    names: Final = "signed_names"

    def opened_up(self, message: ReturnMessage) -> Mapping[str, str]:
        return dict(message.values)

    def put_together(self, values: Mapping[str, str]) -> ReturnMessage:
        return ReturnMessage(values=tuple(values.items()))

    def signed_with(self, key: str, values: Mapping[str, str]) -> Mapping[str, str]:
        return {**values, "signature": signature(key, values)}

    def of_our_own(self, checkout: Checkout, values: Mapping[str, str]) -> Mapping[str, str]:
        assert isinstance(checkout.next_step, PostForm)
        return {**values, **checkout.next_step.fields}


@define(kw_only=True)
class FormStage:
    """A stage of the form gateway, or of one that is broken."""

    make: Callable[[FormCompany | None], PaymentGateway]
    secrets: tuple[str, ...] = (KEY,)
    calls: frozenset[Call] = frozenset({Call.LOOK_UP})
    speaks_http: bool = False
    told: Mapping[Told, str] = MappingProxyType({})
    documented_words: Mapping[str, Reported] = WORDS
    endings: Mapping[Ending, Reported] = MappingProxyType({Ending.PENDING: Reported.PENDING})
    signed_returns: FormSigns = field(factory=FormSigns)
    initiated: int = 0
    refunded: int = 0
    _company: FormCompany = field(factory=FormCompany)

    @property
    def looked_up(self) -> int:
        return self._company.looked_up

    def given_back(self, reference: str) -> int:
        return 0

    def gateway(self) -> PaymentGateway:
        return self.make(self._company)

    def unreachable(self) -> PaymentGateway:
        return self.make(None)

    @contextmanager
    def silent(self, on: Call) -> Iterator[None]:
        self._company.is_silent = True
        yield
        self._company.is_silent = False

    @contextmanager
    def held(self, on: Call) -> Iterator[None]:
        self._company.may_answer = asyncio.Event()
        yield
        self._company.may_answer = None

    def spoils(self, on: Call, fault: Mapping[str, object]) -> None:
        raise NotImplementedError("the form company speaks no HTTP")

    def enters(self, order: Order, checkout: Checkout) -> bool:
        step = checkout.next_step
        assert isinstance(step, PostForm)
        reference = step.fields["reference"]
        if reference in self._company.posted:
            return False
        self._company.posted[reference] = step.fields
        self._company.words[reference] = "WAITING"
        return step.fields["signature"] == signature(KEY, step.fields)

    def customer_pays(self, reference: str) -> str:
        self._company.words[reference] = "PAID"
        posted = self._company.posted[reference]
        values = {
            "status": "PAID",
            "amount": posted["amount"],
            "reference": reference,
            "signed_names": ",".join(NAMES),
        }
        return f"{posted['return_url']}?{urlencode({**values, 'signature': signature(KEY, values)})}"

    def ends(self, reference: str, ending: Ending) -> None:
        self._company.words[reference] = "WAITING"

    def says(self, reference: str, word: str) -> None:
        self._company.words[reference] = word

    def answers_about_another(self, reference: str) -> None:
        self._company.lies[reference] = {"reference": "SOMEBODYELSES"}

    def misstates(self, reference: str, paisa: int) -> None:
        owed = paisa_of(self._company.posted[reference]["amount"]) + paisa
        self._company.lies[reference] = {"amount": f"{owed // 100}.{owed % 100:02}"}


def as_it_should_be(company: FormCompany | None) -> PaymentGateway:
    return FormGateway(company=company)


@asynccontextmanager
async def form_stage(make: Callable[[FormCompany | None], PaymentGateway] = as_it_should_be) -> AsyncIterator[Stage]:
    """A stage with nothing on it yet."""
    yield FormStage(make=make)

"""A stand-in's payment page in two steps: plain forms that work without script, for a person with a browser.

The payer says who they are, then pays with an OTP; they may cancel or let the session end at any time, or just close
the tab. Every ending sends the browser back to the shop. Between the two steps the browser carries a ticket that binds
the payment to the payer; the stand-in remembers nobody.
"""

import hmac
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, Final, Generic, TypeVar

from attrs import frozen

from sewapay.standins.company import AnyCompany
from sewapay.standins.control import Actions, control
from sewapay.standins.exchange import MOST_CONTROL_BYTES, Reply, Request, form_of
from sewapay.standins.pages import Templates, back_to_shop
from sewapay.standins.refusals import NotPossible, UnknownPayment, Wrong

C = TypeVar("C", bound=AnyCompany)

_FORM: Final = re.compile(r"/pay/[^/]+/[a-z]+")


class NotThePayer(Exception):
    """Nobody can log in so; the text is a sentence for the person at the page."""


@frozen
class PaymentPage(ABC, Generic[C]):
    """The page of one company. A subclass says what it asks for, what it shows, and how a payment may end here.

    `templates` has `base.html`, `front.html`, `log_in.html`, and `confirm.html`, which extends our `otp.html`. Their
    forms are sent to `/pay/{reference}/{step}`.
    """

    templates: ClassVar[Templates]
    otp: ClassVar[str]
    """What it always sends and takes."""
    login: ClassVar[str] = "login"
    """The step that the first form is sent to."""
    payer: ClassVar[str]
    """The field that names the payer, in the second form a hidden one."""

    company: C

    @abstractmethod
    def is_open(self, reference: str) -> bool:
        """Whether the payment can be paid here. Raises UnknownPayment, as the next two do."""

    @abstractmethod
    def shown(self, reference: str) -> Mapping[str, str]:
        """What the templates need: `reference`, `about`, `amount`, `shop`; `state`, `sentence`, `back` once closed."""

    @abstractmethod
    def log_in(self, reference: str, payer: str, sent: Mapping[str, str]) -> None:
        """The payer sent the first form. Raises NotThePayer."""

    @abstractmethod
    def endings(self, reference: str, payer: str) -> Mapping[str, Callable[[], object]]:
        """What the second form can do, by the step that it is sent to; one of them is `pay`."""

    def front(self, _request: Request) -> Reply:
        """GET `/`: a few words about what this is."""
        return self.templates.page(200, "front.html")

    def first(self, reference: str, error: str = "") -> Reply:
        """The page to log in at, or what became of a payment that is no longer open. Raises UnknownPayment."""
        if not self.is_open(reference):
            return self._closed(reference, 200)
        return self.templates.page(422 if error else 200, "log_in.html", error=error, **self.shown(reference))

    def reloaded(self, reference: str) -> Reply:
        """GET of where a form is sent to, as after a reload. Raises UnknownPayment."""
        return self.first(reference)

    def form(self, request: Request) -> Reply:
        """POST of one of the page's forms."""
        _, _, reference, step = request.path.split("/", 3)
        if len(request.body) > MOST_CONTROL_BYTES:
            return self.too_large()
        try:
            if request.method != "POST":
                return self.reloaded(reference)
            return self._taken(reference, step, form_of(request))
        except UnknownPayment:
            return self.unknown()
        except NotPossible:
            return self._closed(reference, 409)

    def entered(self, request: Request, post: Callable[[Mapping[str, str]], str]) -> Reply:
        """What a payer sees whose browser brings a shop's form, where the company takes one.

        `post` brings its fields to the company and tells the reference of the payment, or raises Wrong: why is told to
        the person in front of the browser, and the shop hears nothing.
        """
        if request.method != "POST":
            return self._refused(405, "method", "This address takes the form of a shop's page, by POST.")
        try:
            return self.first(post(form_of(request)))
        except Wrong as wrong:
            return self._refused(400, wrong.code, wrong.sentence)

    def unknown(self) -> Reply:
        """No payment, or no step of one, is known by that address."""
        return self.templates.page(404, "unknown.html")

    def too_large(self) -> Reply:
        """A form beyond what a page ever sends."""
        return self.templates.page(413, "unknown.html")

    def _taken(self, reference: str, step: str, sent: Mapping[str, str]) -> Reply:
        if step in ("cancel", "expire"):
            (self.company.cancel if step == "cancel" else self.company.expire)(reference)
            return back_to_shop(self.company.left(reference))
        payer = sent.get(self.payer, "").strip()
        endings = self.endings(reference, payer)
        if step != self.login and step not in endings:
            return self.unknown()
        if not self.is_open(reference):
            return self._closed(reference, 409)
        if step in endings:
            return self._confirmed(reference, step, sent, endings)
        try:
            self.log_in(reference, payer, sent)
        except NotThePayer as wrong:
            return self.first(reference, str(wrong))
        return self._second(reference, payer)

    def _second(self, reference: str, payer: str, error: str = "") -> Reply:
        return self.templates.page(
            422 if error else 200,
            "confirm.html",
            error=error,
            otp=self.otp,
            payer=payer,
            payer_field=self.payer,
            ticket=self._ticket(reference, payer),
            **self.shown(reference),
        )

    def _confirmed(
        self, reference: str, step: str, sent: Mapping[str, str], endings: Mapping[str, Callable[[], object]]
    ) -> Reply:
        payer = sent.get(self.payer, "").strip()
        if not hmac.compare_digest(sent.get("ticket", "").encode(), self._ticket(reference, payer).encode()):
            return self.first(reference, "Please log in first.")
        if sent.get("otp", "").strip() != self.otp:
            return self._second(reference, payer, f"That OTP is wrong: the stand-in always sends {self.otp}.")
        if step == "pay":
            return back_to_shop(self.company.pays(reference, endings[step]))
        endings[step]()
        return back_to_shop(self.company.left(reference))

    def _refused(self, status: int, code: str, sentence: str) -> Reply:
        return self.templates.page(status, "refused.html", code=code, sentence=sentence)

    def _closed(self, reference: str, status: int) -> Reply:
        return self.templates.page(status, "closed.html", **self.shown(reference))

    def _ticket(self, reference: str, payer: str) -> str:
        return hmac.digest(self.company.ticket_key, f"{reference} {payer}".encode(), "sha256").hex()


def beside_the_wire(page: PaymentPage[C], request: Request, *, own: Actions, too_large: bool) -> Reply | None:
    """What is answered at the control routes and the payment page; None for all that is meant for the company."""
    if request.path.startswith("/_sim/"):
        return control(page.company, request, own=own, too_large=too_large)
    if _FORM.fullmatch(request.path):
        return page.too_large() if too_large else page.form(request)
    if request.path == "/" and request.method in ("GET", "HEAD"):
        return page.front(request)
    return None
